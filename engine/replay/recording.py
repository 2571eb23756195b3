"""A recorded execution: its visits of states with the results of their attempts, each found by its
place in the machine. Pure.

A history is in AWS's shape, from this engine or exported from AWS: GetExecutionHistory,
DescribeExecution.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from stepwell.asl import json_text
from stepwell.asl.histories.history_visits import ENDINGS, Visits
from stepwell.asl.histories.state_visits import Event, Visit, details
from stepwell.asl.timestamps import epoch_seconds
from stepwell.engine.core.model import Payload

# a visit: of the Parallel or Map around it, then (iteration or None, state, number of the visit)
Place: TypeAlias = tuple[tuple[int | None, str, int], ...]

SUCCEEDED, FAILED, TIMED_OUT = "Succeeded", "Failed", "TimedOut"
_ENDS: Final = (SUCCEEDED, FAILED, TIMED_OUT)
_FAMILIES: Final = ("Task", "Activity", "LambdaFunction")
_STEPS: Final = ("ActivityStarted", "TaskSubmitted")
_COMPOSITE_STARTS: Final = ("ParallelStateStarted", "MapStateStarted")
_MAP_RUN_ENDS: Final = ("MapRunSucceeded", "MapRunFailed")


class Report(NamedTuple):
    """An event of an attempt. number: its id; at: ms."""

    number: int
    at: int
    details: Mapping[str, Any]
    kind: str = ""


@dataclass(slots=True)
class Attempt:
    """One attempt of a Task, or one start of a Parallel or Map.

    reports  Started (with a worker), Submitted and the end, in order
    """

    scheduled: Report
    reports: list[Report] = field(default_factory=list)


@dataclass(slots=True)
class RecordedVisit:
    """A visit of a state. entered, left: ids of its events; left: None without StateExited."""

    visit: Visit
    place: Place
    attempts: list[Attempt] = field(default_factory=list)
    left: Report | None = None
    map_run_end: Report | None = None

    @property
    def entered(self) -> Report:
        return Report(self.visit.entered, round(self.visit.start * 1000), {})


class Recording(NamedTuple):
    """An execution that was recorded.

    id, uuid   of the store; of another engine 0 and made of the ARN
    started    ms
    map_results  ARN of a Map Run -> outputs of its children in the order of the items, as JSON text
    visits     place -> visit, in order
    scopes     (place of a Parallel or Map, iteration) -> the states that were visited in it
    marks      ExecutionRedriven, and the ends of the execution, in order
    status     RUNNING if it had not ended
    """

    id: int
    uuid: str
    arn: str
    name: str
    machine_arn: str
    role_arn: str
    input: Payload
    started: int
    express: bool
    version: str | None
    alias: str | None
    map_results: Mapping[str, Sequence[str]]
    visits: Mapping[Place, RecordedVisit]
    scopes: Mapping[tuple[Place, int | None], set[str]]
    marks: tuple[Report, ...]
    status: str
    output: str | None
    error: str | None
    cause: str | None


def read_recording(
    description: Mapping[str, Any],
    events: Iterable[Event],
    renamed: Mapping[str, str],
    id: int = 0,
    uuid: str = "",
    map_results: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Recording:
    """The recording of an execution. Raises ValueError, whose text is for people, if it cannot be
    replayed.

    description  DescribeExecution's answer; of an export without one {} is enough
    events       its history; timestamps are epoch seconds
    renamed      old name -> new name of states: places have the new names
    """
    history = sorted(events, key=lambda each: each["id"])
    if not history or history[0]["type"] != "ExecutionStarted":
        raise ValueError("its history does not begin with ExecutionStarted")
    started = details(history[0])
    text = started.get("input", description.get("input"))
    if text is None:
        raise ValueError("its history has no input: export it with execution data")
    reader = _Reader(renamed)
    for event in history:
        reader.take(event)
    arn = str(
        description.get("executionArn")
        or "arn:aws:states:us-east-1:123456789012:execution:recorded:recorded"
    )
    machine_arn = str(description.get("stateMachineArn") or _machine_of(arn))
    last = next((each for each in reversed(reader.marks) if each.kind in ENDINGS), None)
    ended = last is not None and reader.marks[-1] is last
    return Recording(
        id=id,
        uuid=uuid or hashlib.blake2b(arn.encode(), digest_size=16).hexdigest(),
        arn=arn,
        name=str(description.get("name") or arn.rpartition(":")[2]),
        machine_arn=machine_arn,
        role_arn=str(started.get("roleArn", "")),
        input=Payload(json_text.loads(text), text.encode()),
        started=round(1000 * epoch_seconds(description.get("startDate", history[0]["timestamp"]))),
        express=":express:" in arn,
        version=started.get("stateMachineVersionArn"),
        alias=started.get("stateMachineAliasArn"),
        map_results=map_results,
        visits=reader.visits,
        scopes=reader.scopes,
        marks=tuple(reader.marks),
        status=_STATUSES[last.kind] if last is not None and ended else "RUNNING",
        output=reader.seen.output,
        error=reader.seen.error,
        cause=reader.seen.cause,
    )


_STATUSES: Final = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}


def _machine_of(arn: str) -> str:
    parts = arn.replace(":express:", ":execution:").split(":")
    return ":".join([*parts[:5], "stateMachine", *parts[6:7]])


class _Reader:
    """Takes the events of a history in order."""

    def __init__(self, renamed: Mapping[str, str]) -> None:
        self.renamed = renamed
        self.seen = Visits()
        self.visits: dict[Place, RecordedVisit] = {}
        self.marks: list[Report] = []
        self.counts: Counter[tuple[Place, int | None, str]] = Counter()
        self.scopes: dict[tuple[Place, int | None], set[str]] = {}
        self.known: dict[int, RecordedVisit] = {}  # by id(visit)
        self.latest = 0  # ms: exports may be out of order by a little

    def take(self, event: Event) -> None:
        visit = self.seen.feed(event)
        kind: str = event["type"]
        self.latest = max(self.latest, round(event["timestamp"] * 1000))
        report = Report(event["id"], self.latest, details(event), kind)
        if kind in ENDINGS or kind == "ExecutionRedriven":
            self.marks.append(report)
        elif visit is not None:
            self.note(report, visit)

    def note(self, report: Report, visit: Visit) -> None:
        kind = report.kind
        if visit.entered == report.number:
            self.enter(visit)
            return
        recorded = self.known[id(visit)]
        if kind.endswith("StateExited"):
            recorded.left = report
        elif kind in _COMPOSITE_STARTS:
            recorded.attempts.append(Attempt(report))
        elif kind in _MAP_RUN_ENDS:
            recorded.map_run_end = report
        elif kind.startswith(_FAMILIES) and visit.type == "Task":
            if kind.endswith("Scheduled"):
                recorded.attempts.append(Attempt(report))
            elif recorded.attempts and (kind in _STEPS or kind.endswith(_ENDS)):
                recorded.attempts[-1].reports.append(report)

    def enter(self, visit: Visit) -> None:
        around: Place = () if visit.parent is None else self.known[id(visit.parent)].place
        name = self.renamed.get(visit.name, visit.name)
        # a branch needs no number: names of states are unique in a machine
        index = visit.index if visit.parent is not None and visit.parent.type == "Map" else None
        self.counts[around, index, name] += 1
        self.scopes.setdefault((around, index), set()).add(name)
        place = (*around, (index, name, self.counts[around, index, name]))
        self.visits[place] = self.known[id(visit)] = RecordedVisit(visit, place)
