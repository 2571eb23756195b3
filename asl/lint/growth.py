"""Rules about what grows: payloads and histories; and about what it costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.inference.machine import State, own_fields, texts
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.lint.rule import Found, Rule, Subject
from stepwell.asl.resources import REQUEST_RESPONSE

_APPENDS: Final = re.compile(r"States\.(?:Array|JsonMerge)\s*\(|\$(?:append|merge|string)\s*\(")
_PAYLOADS: Final = ("Arguments", "Output", "ItemSelector", "Parameters", "Result", "ResultSelector")
_DISCARDED: Final = ("Result", "ResultSelector")  # with ResultPath null
_SHORT_POLL: Final = 60  # seconds
_MOST_EVENTS: Final = 25_000  # of a Standard execution
_EVENTS: Final = {"Task": 5, "Wait": 2, "Choice": 2, "Pass": 2, "Parallel": 8, "Map": 8}

# (service, action that asks for a job's state) -> what waits for it instead
_POLLED: Final = {
    ("glue", "getjobrun"): "glue:startJobRun.sync",
    ("athena", "getqueryexecution"): "athena:startQueryExecution.sync",
    ("batch", "describejobs"): "batch:submitJob.sync",
    ("ecs", "describetasks"): "ecs:runTask.sync",
    ("codebuild", "batchgetbuilds"): "codebuild:startBuild.sync",
    ("sfn", "describeexecution"): "states:startExecution.sync:2",
    ("emr", "describestep"): "elasticmapreduce:addStep.sync",
    ("sagemaker", "describetrainingjob"): "sagemaker:createTrainingJob.sync",
    ("sagemaker", "describetransformjob"): "sagemaker:createTransformJob.sync",
    ("sagemaker", "describeprocessingjob"): "sagemaker:createProcessingJob.sync",
    ("databrew", "describejobrun"): "databrew:startJobRun.sync",
    ("emrserverless", "getjobrun"): "emr-serverless:startJobRun.sync",
    ("emrcontainers", "describejobrun"): "emr-containers:startJobRun.sync",
    ("mediaconvert", "getjob"): "mediaconvert:createJob.sync",
    ("bedrock", "getmodelcustomizationjob"): "bedrock:createModelCustomizationJob.sync",
}


def _polled(state: State) -> str | None:
    """The integration that waits for what a task asks for."""
    resource = state.resource
    if resource is None or resource.pattern != REQUEST_RESPONSE:
        return None
    service = resource.service.removeprefix("aws-sdk:").replace("-", "").lower()
    return _POLLED.get((service, resource.action.lower()))


def _loops(subject: Subject) -> Iterator[tuple[State, ...]]:
    for block in subject.machine.blocks:
        yield from block.loops


def poll(subject: Subject) -> Iterator[Found]:
    for loop in _loops(subject):
        if not any(state.type == "Wait" for state in loop):
            continue
        for state in loop:
            if not state.block.express and (better := _polled(state)):
                yield (
                    state.location,
                    f"this loop asks whether a job has ended: {better} waits for it in one state, "
                    "without transitions to pay for",
                )


def short_poll(subject: Subject) -> Iterator[Found]:
    for loop in _loops(subject):
        for state in loop:
            seconds = state.fields.get("Seconds") if state.type == "Wait" else None
            if isinstance(seconds, int) and 0 < seconds < _SHORT_POLL and not state.block.express:
                yield (
                    state.at("Seconds"),
                    f"each turn of this loop costs {len(loop)} state transitions, "
                    f"{3600 // seconds * len(loop):,} an hour. Wait longer, or use a callback",
                )


def long_history(subject: Subject) -> Iterator[Found]:
    for loop in _loops(subject):
        if loop[0].block.express or any(_counts(state) for state in loop):
            continue
        events = sum(_EVENTS.get(str(state.type), 2) for state in loop)
        yield (
            loop[0].location,
            f"this loop has no counter: each turn records about {events} events, and an "
            f"execution fails after {_MOST_EVENTS:,}, some {_MOST_EVENTS // events:,} turns. Limit "
            "the turns, or start a new execution",
        )


def _counts(state: State) -> bool:
    """Whether a state seems to count: it adds to a number, or compares one."""
    return any(
        key.startswith("Numeric") or "MathAdd" in text or re.search(r"[+<>-]\s*\d", text)
        for key, text, _ in texts(own_fields(state), "")
    ) or any(str(key).startswith("Numeric") for key in _keys(state.fields.get("Choices")))


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _keys(each)
    elif isinstance(value, list):
        for each in value:
            yield from _keys(each)


def growing(subject: Subject) -> Iterator[Found]:
    for loop in _loops(subject):
        for state in loop:
            for _, text, where in texts(own_fields(state), state.location):
                if _APPENDS.search(text) and state.type in ("Pass", "Task") and _own(state, where):
                    yield (
                        where,
                        "in a loop this value may grow with each turn, up to the 256 KiB of a "
                        "payload. Keep large results in S3, and pass their key",
                    )
                    break


def _own(state: State, where: str) -> bool:
    """Whether the value stays: in a variable, or in the output."""
    return where.startswith((state.at("Assign"), state.at("Output"), state.at("Parameters")))


def inline_map(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        if state.type != "Map" or state.distributed or state.block.express:
            continue
        items = subject.facts.items.get(state)
        if items is not None and items.length is not None:
            continue  # as many as are written
        events = sum(
            _EVENTS.get(str(each.type), 2)
            for block in state.blocks
            for each in block.states.values()
        )
        yield (
            state.location,
            f"an inline Map records about {events + 2} events per item in this history, which ends "
            f"at {_MOST_EVENTS:,}: some {_MOST_EVENTS // (events + 2):,} items. For more, use Mode "
            "DISTRIBUTED",
        )


def concurrency(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        fields = state.fields
        limited = any(name in fields for name in ("MaxConcurrency", "MaxConcurrencyPath"))
        inner = (each for block in state.blocks for each in block.states.values())
        calls = any(
            each.resource is not None and each.resource.service == "lambda" for each in inner
        )
        if state.distributed and not limited and calls:
            yield (
                state.location,
                "without MaxConcurrency this Map starts up to 10,000 iterations at once, more than "
                "Lambda's default of 1,000 concurrent calls. Set MaxConcurrency",
            )


def large_literal(subject: Subject) -> Iterator[Found]:
    most = subject.machine.limits.payload_bytes
    for state in subject.machine.states:
        for field in _PAYLOADS:
            size = _literal_bytes(state.fields.get(field))
            if size > most and not _is_dropped(state, field):
                yield (
                    state.at(field),
                    f"this value has {size:,} bytes, and a payload may have {most:,}: the state "
                    "fails with States.DataLimitExceeded. Keep the value in S3, and pass its key",
                )


def _is_dropped(state: State, field: str) -> bool:
    """Whether a value may be no part of an input, output or request."""
    if field in _DISCARDED or (field == "Parameters" and state.type == "Pass"):
        path, output = state.fields.get("ResultPath", "$"), state.fields.get("OutputPath", "$")
        return path is None or output != "$"
    return False


def _literal_bytes(value: Json) -> int:
    """Of what is written in a value, without expressions and what they become."""
    if isinstance(value, dict):
        return 2 + sum(
            (0 if key.endswith(".$") else _literal_bytes(each)) + len(key) + 4
            for key, each in value.items()
        )
    if isinstance(value, list):
        return 2 + sum(_literal_bytes(each) + 1 for each in value)
    if isinstance(value, str) and (value.startswith("{%") or has_hole(value)):
        return 0
    return json_text.size(json_text.dumps(value))


RULES: Final = (
    Rule("N501", "growing-payload", "A loop appends to a value.", growing),
    Rule("N502", "unbounded-loop", "A loop without a counter fills the history.", long_history),
    Rule("N503", "inline-map", "The items of an inline Map fill the history.", inline_map),
    Rule("N504", "unbounded-concurrency", "A Map may call Lambda too often.", concurrency),
    Rule(
        "E505",
        "large-literal",
        "A value that is written out is larger than a payload.",
        large_literal,
    ),
    Rule("N601", "poll-instead-of-sync", "A loop polls where .sync waits.", poll),
    Rule("N602", "short-poll", "A loop waits for less than a minute.", short_poll),
)
