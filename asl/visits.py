"""From history events (AWS's shape) to visits of states: who ran when, how often it was tried, and how it ended.

A history is a tree of threads: each event names its predecessor, and the first event of a Parallel branch or Map iteration follows from
one of the Parallel's or Map's own. `Visits.feed` takes the events in order and keeps, for every event, the visit that it belongs to. Pure.

What the events do not say is filled in: a failing Parallel or Map gives no names of the tasks that it aborts, so every visit still open in
it is closed with it; a StateExited that follows a failure means that the failure was caught.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Event: TypeAlias = Mapping[str, Any]

RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
CAUGHT: Final = "caught"
FAILED: Final = "failed"
ABORTED: Final = "aborted"
TIMED_OUT: Final = "timed out"
ENDINGS: Final = {
    "ExecutionSucceeded": SUCCEEDED,
    "ExecutionFailed": FAILED,
    "ExecutionAborted": ABORTED,
    "ExecutionTimedOut": TIMED_OUT,
}

_FAILURES: Final = ("Failed", "TimedOut")
_TASK_FAMILIES: Final = ("Task", "Activity", "LambdaFunction", "Evaluation")


@dataclass(slots=True, eq=False)
class Visit:
    """One visit of a state, from its StateEntered event to its end.

    entered, exited  ids of the events, exited None without a StateExited      start, end  epoch seconds, end None while it runs
    parent           the visit of the Parallel or Map around it                index       its iteration in a Map, else None
    before, after    its neighbours in the same branch                         culprit     the visit inside that made it fail
    attempts         tasks scheduled, or rounds of a Parallel or Map started   scheduled   the details of the last one
    error, cause     the last failure, also when it was retried or caught      failing     the last thing that happened is a failure
    length, done, failed   a Map's items: all, succeeded, failed               live        iterations that run now
    events           ids of the events that belong to the visit itself, in order; step: the type of the last one
    """

    name: str
    type: str
    entered: int
    start: float
    input: str | None = None
    parent: Visit | None = None
    before: Visit | None = None
    after: Visit | None = None
    index: int | None = None
    status: str = RUNNING
    end: float | None = None
    exited: int | None = None
    output: str | None = None
    assigned: Mapping[str, str] | None = None
    attempts: int = 0
    scheduled: Event = field(default_factory=dict)
    resource: str = ""
    result: str | None = None
    error: str | None = None
    cause: str | None = None
    failing: bool = False
    culprit: Visit | None = None
    length: int | None = None
    done: int = 0
    failed: int = 0
    live: int = 0
    events: list[int] = field(default_factory=list)
    step: str = ""

    @property
    def retries(self) -> int:
        return max(0, self.attempts - 1)

    def around(self) -> list[Visit]:
        """The visits that it lies in, the outermost first, without itself."""
        found: list[Visit] = []
        visit = self.parent
        while visit is not None:
            found.insert(0, visit)
            visit = visit.parent
        return found


def details(event: Event) -> Mapping[str, Any]:
    """The one details member of an event, or {}."""
    for name, value in event.items():
        if name.endswith("EventDetails"):
            found: Mapping[str, Any] = value
            return found
    return {}


@dataclass(slots=True)
class Top:
    """All visits of one state of the top level: how many, the seconds of those that have ended, and the last one."""

    last: Visit
    count: int = 0
    seconds: float = 0.0


class Visits:
    """The visits of one execution so far.

    all     in the order of entering           open     those that run, by the id of their StateEntered event
    tops    the states of the top level by name, in the order of their first visits
    status  "running" or how it ended          culprit  after a failure: the innermost visit that failed
    start, end  of the execution, epoch seconds; output, error, cause as of its last event
    events      number of events seen; transitions  states entered; redrives  how often it went on after its end
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.all: list[Visit] = []
        self.open: dict[int, Visit] = {}
        self.tops: dict[str, Top] = {}
        self.status = RUNNING
        self.culprit: Visit | None = None
        self.start = 0.0
        self.last = 0.0
        self.end: float | None = None
        self.input: str | None = None
        self.output: str | None = None
        self.error: str | None = None
        self.cause: str | None = None
        self.events = 0
        self.redrives = 0
        self._owner: dict[int, Visit | None] = {}
        self._iteration: dict[int, int] = {}  # id of a MapIterationStarted -> index
        for event in events:
            self.feed(event)

    @property
    def transitions(self) -> int:
        return len(self.all)

    def feed(self, event: Event) -> Visit | None:
        """Take the next event; the visit that it belongs to, None for the execution's own events."""
        kind: str = event["type"]
        self.events += 1
        self.last = event["timestamp"]
        visit = self._take(kind, event, details(event), self._owner.get(event["previousEventId"]))
        self._owner[event["id"]] = visit
        if visit is not None:
            visit.events.append(event["id"])
            visit.step = kind
        return visit

    def _take(self, kind: str, event: Event, detail: Mapping[str, Any], near: Visit | None) -> Visit | None:
        if kind == "ExecutionStarted":
            self.start, self.input = event["timestamp"], detail.get("input")
            return None
        if kind == "ExecutionRedriven":  # what had not succeeded begins again, as its own next events tell
            self.status, self.end, self.culprit, self.output, self.error, self.cause = RUNNING, None, None, None, None, None
            self.redrives += 1
            return None
        if kind in ENDINGS:
            self._end(ENDINGS[kind], event, detail, near)
            return None
        if kind.endswith("StateEntered"):
            return self._enter(kind, event, detail, near)
        if kind.endswith("StateExited"):
            return self._exit(event, detail, near)
        if kind.startswith(("MapIteration", "MapState", "MapRun", "ParallelState")):
            return self._composite(kind, event, detail, near)
        if kind.startswith(_TASK_FAMILIES) and not kind.endswith("Aborted"):
            return self._task(kind, event, detail, near)
        return near

    def _enter(self, kind: str, event: Event, detail: Mapping[str, Any], near: Visit | None) -> Visit:
        previous = event["previousEventId"]
        visit = Visit(detail["name"], kind.removesuffix("StateEntered"), event["id"], event["timestamp"], detail.get("input"))
        if near is not None and near.exited == previous:  # the next state of the same branch
            visit.before, visit.parent, visit.index = near, near.parent, near.index
            near.after = visit
        elif near is not None:  # the first one of a branch or iteration
            visit.parent, visit.index = near, self._iteration.get(previous)
        if visit.parent is not None:
            self._reopen(visit.parent)
        self.all.append(visit)
        self.open[visit.entered] = visit
        if visit.parent is None:
            top = self.tops.setdefault(visit.name, Top(visit))
            top.last, top.count = visit, top.count + 1
        if visit.type == "Fail":
            self._close(visit, FAILED, event["timestamp"])
        return visit

    def _exit(self, event: Event, detail: Mapping[str, Any], near: Visit | None) -> Visit | None:
        visit = _climb(near, lambda found: found.name == detail["name"])
        if visit is None:
            return near
        visit.exited, visit.output, visit.assigned = event["id"], detail.get("output"), detail.get("assignedVariables")
        self._close(visit, CAUGHT if visit.failing else SUCCEEDED, event["timestamp"])
        return visit

    def _task(self, kind: str, event: Event, detail: Mapping[str, Any], near: Visit | None) -> Visit | None:
        visit = near
        if kind == "EvaluationFailed":  # may point to what came before the state was entered
            inside = [each for each in self.open.values() if each.name == detail["state"]]
            visit = near if near in inside else inside[-1] if inside else near
        if visit is None:
            return None
        if kind.endswith("Scheduled"):
            self._reopen(visit)
            visit.attempts += 1
            visit.failing, visit.scheduled = False, detail
            visit.resource = _resource(kind, detail)
        elif kind.endswith(_FAILURES):
            visit.failing, visit.error, visit.cause = True, detail.get("error"), detail.get("cause")
        elif kind.endswith("Succeeded"):
            visit.result = detail.get("output")
        return visit

    def _composite(self, kind: str, event: Event, detail: Mapping[str, Any], near: Visit | None) -> Visit | None:
        """The events of a Parallel, a Map, its iterations and its Map Run."""
        family = "Parallel" if kind.startswith("Parallel") else "Map"
        name = detail.get("name")
        visit = _climb(near, lambda found: found.type == family and (found.name == name if name else found.status == RUNNING))
        if visit is None or kind.endswith("StateAborted"):  # does not say whose: the failure around it closes it
            return near
        step = kind.removeprefix("MapIteration").removeprefix(family).removeprefix("State")
        if kind.startswith("MapIteration"):
            self._iterated(step, visit, event, detail["index"], near)
        elif step == "Started":
            self._abandon(visit, near, event["timestamp"])
            visit.attempts += 1
            visit.length, visit.done, visit.failed, visit.live = detail.get("length"), 0, 0, 0
            visit.failing, visit.culprit = False, None
        elif step.endswith("Failed"):
            visit.failing = True
            if "error" in detail:
                visit.error, visit.cause = detail["error"], detail.get("cause")
            elif near is not None and near is not visit:
                visit.error, visit.cause = near.error, near.cause
            if step == "Failed":
                self._abandon(visit, near, event["timestamp"])
                visit.culprit = near if near is not visit else None
                self._close(visit, FAILED, event["timestamp"])
        return visit

    def _iterated(self, step: str, visit: Visit, event: Event, index: int, near: Visit | None) -> None:
        if step == "Started":
            self._iteration[event["id"]] = index
            visit.live += 1
            return
        visit.live = max(0, visit.live - 1)  # a redrive goes on with iterations without telling how many
        if step == "Succeeded":
            visit.done += 1
        elif step == "Failed":
            visit.failed += 1
            visit.failing = True
            visit.culprit = near
            if near is not None:
                visit.error, visit.cause = near.error, near.cause

    def _abandon(self, around: Visit | None, culprit: Visit | None, when: float) -> None:
        """Close what still runs inside: the culprit and what lies around it failed, the others were aborted."""
        guilty = [culprit, *culprit.around()] if culprit is not None else []
        for visit in [each for each in self.open.values() if around is None or around in each.around()]:
            self._close(visit, FAILED if visit in guilty else ABORTED, when)

    def _reopen(self, visit: Visit) -> None:
        """A redrive begins it again, and what lies around it goes on."""
        for each in (visit, *visit.around()) if self.redrives else ():
            if each.end is not None and each.exited is None:
                if each.parent is None:
                    self.tops[each.name].seconds -= each.end - each.start
                self.open[each.entered] = each
                each.status, each.end, each.failing, each.culprit, each.failed = RUNNING, None, False, None, 0

    def _close(self, visit: Visit, status: str, when: float) -> None:
        visit.status, visit.live = status, 0
        if visit.entered in self.open:
            del self.open[visit.entered]
            visit.end = when
            if visit.parent is None:
                self.tops[visit.name].seconds += when - visit.start

    def _end(self, status: str, event: Event, detail: Mapping[str, Any], near: Visit | None) -> None:
        self.status, self.end = status, event["timestamp"]
        self.output, self.error, self.cause = detail.get("output"), detail.get("error"), detail.get("cause")
        if status == FAILED:
            self._abandon(None, near, self.end)
            self.culprit = near
            while self.culprit is not None and self.culprit.culprit is not None:
                self.culprit = self.culprit.culprit
            if self.culprit is not None and self.culprit.error is None:
                self.culprit.error, self.culprit.cause = self.error, self.cause
            return
        for visit in list(self.open.values()):
            self._close(visit, status, self.end)


def _climb(visit: Visit | None, fits: Callable[[Visit], bool]) -> Visit | None:
    """The visit itself or the nearest around it that fits."""
    while visit is not None and not fits(visit):
        visit = visit.parent
    return visit


def _resource(kind: str, detail: Mapping[str, Any]) -> str:
    """What a Task asks for, for people: "Lambda: charge-card", "states: startExecution.sync:2"."""
    resource = str(detail.get("resource", ""))
    if kind == "TaskScheduled":
        return f"{detail.get('resourceType', '')}: {resource}"
    family, mark = ("Activity", ":activity:") if kind.startswith("Activity") else ("Lambda", ":function:")
    return f"{family}: {resource.rpartition(mark)[2]}"


def route(visit: Visit) -> list[Visit]:
    """The visits that led to this one: those before it in its branch, and before that those that led to the Parallel or Map around it."""
    found: list[Visit] = []
    step: Visit | None = visit
    while step is not None:
        found.insert(0, step)
        step = step.before or step.parent
    return found
