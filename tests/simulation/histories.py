"""Histories as they compare: apart from times, tokens and the order in which concurrent branches
take their turns.

An event's id says only when it was written; what it follows from says where it belongs. So an event
is compared by its own content and that of all its ancestors. Two kinds of event follow from
whichever branch happened to be last, and are traced to what opened them instead:
the ...Succeeded and ...Exited of a Parallel or Map, and the start of an iteration that had to wait
for its turn.
"""

import hashlib
import json
import re
from itertools import pairwise
from typing import Any

Event = dict[str, Any]
_TOKEN = re.compile(r"MTo[\w=-]{20,}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}")
_TIMES = re.compile(
    r"1[67]\d{11}|1[67]\d{8}\.\d+|Content-Length\W+\d+|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} "
    r"\d{4} [\d:]+ GMT"
)  # in answers
_OPENS = {
    f"{state}State{end}": f"{state}StateStarted"
    for state in ("Parallel", "Map")
    for end in ("Succeeded", "Exited")
}
_ENDS = ("Succeeded", "Failed", "TimedOut")
_FAMILIES = ("LambdaFunction", "Activity", "Task")


def problems(events: list[Event], ended: dict[str, Any]) -> list[str]:
    """What is wrong with a closed execution's history in itself."""
    found = []
    if [event["id"] for event in events] != list(range(1, len(events) + 1)):
        found.append(f"ids have gaps: {[event['id'] for event in events]}")
        return found
    for event in events:
        before, number = event["previousEventId"], event["id"]
        if not 0 <= before < number or (
            before == 0 and number > 2 and event["type"] != "ExecutionAborted"
        ):
            found.append(f"event {number} {event['type']} follows from {before}")
    times = [event["timestamp"] for event in events]
    if times != sorted(times):
        found.append("time went back")
    last = events[-1]["type"]
    if last != "Execution" + "".join(word.capitalize() for word in ended["status"].split("_")):
        found.append(f"{ended['status']}, but the last event is {last}")
    for event, following in pairwise(events):
        if bool(re.match(r"Execution(Succeeded|Failed|Aborted|TimedOut)", event["type"])) != (
            following["type"] == "ExecutionRedriven"
        ):
            found.append(f"event {event['id']} {event['type']} is followed by {following['type']}")
    return found + _twice(events)


def _twice(events: list[Event]) -> list[str]:
    """Attempts with more than one outcome, states left more than once, iterations that ended more
    than once.
    """
    by_id, seen, found = {event["id"]: event for event in events}, {}, []
    redrives = 0
    for event in events:
        kind = event["type"]
        redrives += kind == "ExecutionRedriven"
        family = next(
            (name for name in _FAMILIES if kind.startswith(name) and kind.endswith(_ENDS)), None
        )
        if family:
            cause = event["previousEventId"]
            while by_id[cause]["type"] != family + "Scheduled":
                cause = by_id[cause]["previousEventId"]
            key: tuple[Any, ...] = ("outcome", cause)
        elif kind.endswith("StateExited") and kind not in _OPENS:
            key = ("exit", event["previousEventId"])
        elif kind in _OPENS:
            key = (kind, _opened(event["previousEventId"], by_id, {}, _OPENS[kind]))
        elif kind in ("MapIterationStarted", "MapIterationSucceeded", "MapIterationFailed"):
            details = event[
                "mapIterationStartedEventDetails"
                if kind.endswith("Started")
                else kind[0].lower() + kind[1:] + "EventDetails"
            ]
            opened = _opened(
                event["previousEventId"], by_id, {}, "MapStateStarted", details["name"]
            )
            key = (
                "start" if kind.endswith("Started") else f"end after {redrives} redrives",
                opened,
                details["index"],
            )
        else:
            continue
        if key in seen:
            found.append(f"{kind} {event['id']} repeats {seen[key]}: {key}")
        seen[key] = event["id"]
    return found


def _opened(
    at: int, by_id: dict[int, Event], jumps: dict[int, int], kind: str, name: str | None = None
) -> int:
    """The event of that kind, of the state of that name, that is still open at event `at`, going
    back from there.
    """
    while True:
        event = by_id[at]
        if event["type"] == kind and (name is None or _state(event, by_id) == name):
            return at
        opens = _OPENS.get(event["type"])
        if opens:
            at = jumps.get(at) or _opened(event["previousEventId"], by_id, jumps, opens)
        at = by_id[at]["previousEventId"]


def _state(event: Event, by_id: dict[int, Event]) -> str:
    """The name of the Map state that a MapStateStarted belongs to."""
    while event["type"] != "MapStateEntered":
        event = by_id[event["previousEventId"]]
    name: str = event["stateEnteredEventDetails"]["name"]
    return name


def canonical(events: list[Event], lost_attempts: bool = False) -> list[str]:
    """One line an event, sorted. lost_attempts: leave out attempts of activities that a worker took
    and never got an answer for.
    """
    by_id = {event["id"]: event for event in events}
    jumps: dict[int, int] = {}
    lost = {event["id"]: event["previousEventId"] for event in events if _unsure(event)} | (
        _lost(events, by_id) if lost_attempts else {}
    )
    keys: dict[int, tuple[str, str]] = {0: ("", "")}
    for event in events:
        number, kind, before = event["id"], event["type"], event["previousEventId"]
        while before in lost:
            before = lost[before]
        if kind in _OPENS:
            jumps[number] = before = _opened(before, by_id, jumps, _OPENS[kind])
        elif kind == "MapIterationStarted":
            before = _opened(
                before,
                by_id,
                jumps,
                "MapStateStarted",
                event["mapIterationStartedEventDetails"]["name"],
            )
        path, _ = keys[before]
        shown = {
            name: value
            for name, value in event.items()
            if name not in ("id", "previousEventId", "timestamp")
        }
        text = _TIMES.sub(
            "TIME", _UUID.sub("UUID", _TOKEN.sub("TOKEN", json.dumps(shown, sort_keys=True)))
        )
        keys[number] = (
            hashlib.blake2b((path + text).encode(), digest_size=8).hexdigest(),
            f"{path} > {text}",
        )
    return sorted(line for number, (_, line) in keys.items() if number and number not in lost)


def _unsure(event: Event) -> bool:
    """An answer to a task token may come before that of the call which handed the token out."""
    return event["type"] == "TaskSubmitted" and event["taskSubmittedEventDetails"][
        "resource"
    ].endswith(".waitForTaskToken")


def _lost(events: list[Event], by_id: dict[int, Event]) -> dict[int, int]:
    """The events of attempts that timed out -> what comes before the attempt."""
    found: dict[int, int] = {}
    for event in events:
        if event["type"] == "ActivityTimedOut":
            chain = [event["id"]]
            while by_id[chain[-1]]["type"] != "ActivityScheduled":
                chain.append(by_id[chain[-1]]["previousEventId"])
            found |= dict.fromkeys(chain, by_id[chain[-1]]["previousEventId"])
    return found


def difference(want: list[str], got: list[str]) -> str:
    """The first few lines that only one of them has."""
    missing, extra = list(want), []
    for line in got:
        if line in missing:
            missing.remove(line)
        else:
            extra.append(line)
    return "\n".join(
        [f"  missing {line}" for line in missing[:4]] + [f"  extra   {line}" for line in extra[:4]]
    )
