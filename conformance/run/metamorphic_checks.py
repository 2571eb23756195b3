"""What must hold for every machine: rules of a single history, and relations between two runs.

Each check yields a line for each violation.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from stepwell.conformance.oracle.history import ABORTED, details_member
from stepwell.conformance.run.matching import parsed

Json = Any
Event = Mapping[str, Json]

TERMINAL: Final = frozenset(
    {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}
)
_EVENT_ID: Final = re.compile(r"event id #\d+")
_PREFIX: Final = re.compile(
    r"An error occurred while executing the state '(.*?)' \(entered at the event id #(\d+)\)\.",
    re.DOTALL,
)


def of_history(events: Sequence[Event], closed: bool = True) -> list[str]:
    """All checks of one history. `closed`: the execution has ended."""
    return [
        *well_formed(events, closed),
        *balanced(events, closed),
        *data_flows(events),
        *explained(events),
    ]


def _details(event: Event) -> Mapping[str, Json]:
    member = details_member(event["type"])
    found: Mapping[str, Json] = (event.get(member) or {}) if member else {}
    return found


def well_formed(events: Sequence[Event], closed: bool = True) -> Iterator[str]:
    """Ids count from 1, predecessors come before, timestamps never decrease; there is one start,
    and one end, which is the last event.
    """
    if not events:
        yield "the history is empty"
        return
    for place, event in enumerate(events, 1):
        if event["id"] != place:
            yield f"event {place} has the id {event['id']}"
        before = event.get("previousEventId", 0)
        if not 0 <= before < event["id"]:
            yield f"event {event['id']} follows {before}"
        member = details_member(event["type"])
        others = [name for name in event if name.endswith("EventDetails") and name != member]
        if others:
            yield f"event {event['id']} ({event['type']}) has {', '.join(others)}"
    times = [event["timestamp"] for event in events]
    if any(later < earlier for earlier, later in pairwise(times)):
        yield "timestamps run backwards"
    if events[0]["type"] != "ExecutionStarted":
        yield f"it starts with {events[0]['type']}"
    starts = [event["id"] for event in events if event["type"] == "ExecutionStarted"]
    if len(starts) != 1:
        yield f"ExecutionStarted is there {len(starts)} times"
    redriven = sum(event["type"] == "ExecutionRedriven" for event in events)
    ends = [event["id"] for event in events if event["type"] in TERMINAL]
    if len(ends) != redriven + closed or (closed and ends[-1] != len(events)):
        yield f"it ends with the events {ends} of {len(events)}, after {redriven} redrives"


def balanced(events: Sequence[Event], closed: bool = True) -> Iterator[str]:
    """No state is exited more often than entered; without failures and aborts, each is exited as
    often as entered. The same for iterations.
    """
    entered = Counter(
        _details(event)["name"] for event in events if event["type"].endswith("StateEntered")
    )
    left = Counter(
        _details(event)["name"] for event in events if event["type"].endswith("StateExited")
    )
    for name, count in left.items():
        if count > entered[name]:
            yield f"the state {name} is left {count} times and entered {entered[name]} times"
    started, ended = Counter[Json](), Counter[Json]()
    for event in events:
        if event["type"].startswith("MapIteration"):
            details = _details(event)
            counter = started if event["type"] == "MapIterationStarted" else ended
            counter[details["name"], details["index"]] += 1
    for key, count in ended.items():
        if count > started[key]:
            yield f"the iteration {key} ends {count} times and starts {started[key]} times"
    kinds = Counter(event["type"] for event in events)
    again = any(
        kinds[f"{kind}StateStarted"] > kinds[f"{kind}StateEntered"] for kind in ("Parallel", "Map")
    )
    calm = not again and not any(kind.endswith("Failed") or kind in ABORTED for kind in kinds)
    if closed and events and events[-1]["type"] == "ExecutionSucceeded" and calm:
        failing = [name for name, count in entered.items() if count != left[name]]
        if failing:
            yield f"these states are entered and not left: {', '.join(failing)}"
        if started != ended:
            yield "not every iteration that starts ends"


def data_flows(events: Sequence[Event]) -> Iterator[str]:
    """The output of a state is the input of the next one, from the execution's input to its
    output.
    """
    by_id = {event["id"]: event for event in events}
    first = parsed(_details(events[0]).get("input", "null")) if events else None
    for event in events:
        before, details = by_id.get(event.get("previousEventId", 0)), _details(event)
        if event["type"].endswith("StateEntered") and "input" in details:
            got = parsed(details["input"])
            if before is None and got != first:
                yield (
                    f"event {event['id']}: the first state does not get the input of the execution"
                )
            if (
                before is not None
                and before["type"].endswith("StateExited")
                and got != parsed(_details(before)["output"])
            ):
                yield (
                    f"event {event['id']}: the state {details['name']} does not get what event "
                    f"{before['id']} gave"
                )
        if event["type"] == "ExecutionSucceeded" and before is not None and "output" in details:
            last = (
                _details(before).get("output") if before["type"].endswith("StateExited") else None
            )
            if last is None or parsed(last) != parsed(details["output"]):
                yield "the output of the execution is not that of its last state"


def explained(events: Sequence[Event]) -> Iterator[str]:
    """A cause that names a state and an event id has the event at which that state was entered."""
    by_id = {event["id"]: event for event in events}
    for event in events:
        match = _PREFIX.match(str(_details(event).get("cause", "")))
        if match is None or event["type"] not in ("ExecutionFailed", "EvaluationFailed"):
            continue
        entered = by_id.get(int(match[2]))
        if (
            entered is None
            or not entered["type"].endswith("StateEntered")
            or _details(entered)["name"] != match[1]
        ):
            yield f"event {event['id']}: {match[1]!r} was not entered at event {match[2]}"


def alike(one: Any, other: Any) -> Iterator[str]:
    """Two runs of the same machine and input have the same result, except for event ids in
    causes.
    """
    for name in ("status", "error", "cause", "output"):
        first, second = (
            _EVENT_ID.sub("event id #", str(getattr(run, name))) for run in (one, other)
        )
        if first != second and (name != "output" or parsed(first) != parsed(second)):
            yield f"{name}: {first} and then {second}"
