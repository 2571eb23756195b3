"""Rules about time: timeouts, heartbeats, waits and task tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stepwell.asl.inference.machine import State, own_fields, texts
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.lint.rule import Found, Rule, Subject
from stepwell.asl.resources import REQUEST_RESPONSE

EXPRESS_SECONDS: Final = 300  # the longest Express execution
# what may contain the task token: it, or an object around it
_TOKEN: Final = re.compile(
    r"\$\$(?:\.Task\b|\s*$|\[)|\$\$\.Task\.Token|\$states\b(?!\.(?:input|result))"
)


def without_token(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        if state.resource is None or not state.resource.callback:
            continue
        name = "Arguments" if state.jsonata else "Parameters"
        values = [text for _, text, _ in texts(state.fields.get(name), "")]
        if not any(_TOKEN.search(text) or has_hole(text) for text in values):
            token = "$states.context.Task.Token" if state.jsonata else "$$.Task.Token"
            yield (
                state.at(name) if name in state.fields else state.location,
                f"no worker gets the task token, so only a timeout ends the task. Pass {token} in "
                f"{name}",
            )


def _seconds(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def wait_too_long(subject: Subject) -> Iterator[Found]:
    machine = subject.machine
    for state in machine.states:
        seconds = _seconds(state.fields.get("Seconds")) if state.type == "Wait" else None
        if seconds is None:
            continue
        own = any(each.distributed for each in state.around())
        limit = None if own else _seconds(machine.fields.get("TimeoutSeconds"))
        if state.block.express and seconds > EXPRESS_SECONDS:
            yield (
                state.at("Seconds"),
                f"waits {seconds} seconds, but an Express execution ends after {EXPRESS_SECONDS}. "
                "Use a Standard workflow",
            )
        elif limit and seconds >= limit:
            yield (
                state.at("Seconds"),
                f"waits {seconds} seconds, but the state machine's TimeoutSeconds is {limit}. "
                "Raise it, or wait less",
            )


def _limited(state: State, machine_limit: object) -> bool:
    fields = state.fields
    names = ("TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath")
    return any(name in fields for name in names) or machine_limit is not None


def no_timeout(subject: Subject) -> Iterator[Found]:
    limit = subject.machine.fields.get("TimeoutSeconds")
    for state in subject.machine.states:
        resource = state.resource
        if resource is None or _limited(state, limit):
            continue
        if resource.callback or resource.kind == "activity":
            yield (
                state.location,
                "without TimeoutSeconds or HeartbeatSeconds this task waits a year for a worker "
                "that does not answer. Set one of them",
            )
        elif resource.pattern:
            yield (
                state.location,
                "without TimeoutSeconds this task waits a year for a job that does not end. Set "
                "it to the longest time that the job may take",
            )


def idle_heartbeat(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        resource = state.resource
        if resource is None or resource.kind == "activity":
            continue
        for name in ("HeartbeatSeconds", "HeartbeatSecondsPath"):
            if resource.pattern == REQUEST_RESPONSE and name in own_fields(state):
                yield (
                    state.at(name),
                    "a request and its response send no heartbeats: use TimeoutSeconds, or "
                    ".waitForTaskToken",
                )


RULES: Final = (
    Rule("W301", "callback-without-token", "A callback task passes no task token.", without_token),
    Rule("W302", "wait-too-long", "A Wait is longer than the execution may take.", wait_too_long),
    Rule("N303", "no-timeout", "A task may wait for a year.", no_timeout),
    Rule("N304", "idle-heartbeat", "A heartbeat that no worker sends.", idle_heartbeat),
)
