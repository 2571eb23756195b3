"""History events (AWS's shape) -> the visits of states of one execution. Pure.

A history is a tree: each event names its predecessor, and the first event of a Parallel branch or
Map iteration follows an event of the Parallel or Map. `Visits.feed` takes the events in order and
records the visit of each event.

What the events leave out is inferred: an event of a failing Parallel or Map does not name the tasks
that it aborts, so all visits that are open in it are closed; a StateExited after a failure means
that the failure was caught. A Source answers what only the definition tells: the error of a Fail
state, the end of a Wait, the member of the parameters that is the task token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from stepwell.asl import json_text
from stepwell.asl.histories.items import Items
from stepwell.asl.histories.state_visits import (
    ABORTED,
    CAUGHT,
    FAILED,
    RUNNING,
    SUCCEEDED,
    TIMED_OUT,
    Event,
    Visit,
    details,
)

ENDINGS: Final = {
    "ExecutionSucceeded": SUCCEEDED,
    "ExecutionFailed": FAILED,
    "ExecutionAborted": ABORTED,
    "ExecutionTimedOut": TIMED_OUT,
}

_FAILURES: Final = ("Failed", "TimedOut")
_ITERATIONS: Final = {
    "Started": RUNNING,
    "Succeeded": SUCCEEDED,
    "Failed": FAILED,
    "Aborted": ABORTED,
}
_TASK_FAMILIES: Final = ("Task", "Activity", "LambdaFunction", "Evaluation")


class Source(Protocol):
    """What only the definition tells; asl/histories/reevaluation.py implements and documents it."""

    def see(self, event: Event, visit: Visit | None) -> None: ...

    def failure(self, visit: Visit) -> tuple[str | None, str | None]: ...

    def due(self, visit: Visit) -> float | None: ...

    def token(self, name: str, parameters: str | None) -> str | None: ...


class Visits:
    """The visits of one execution so far.

    all          in the order of their StateEntered events
    open         those that run, by the id of the StateEntered event
    named        the visits of each state, by name
    tops         the last visit of each top-level state, in the order of the first visits
    map_runs     the visits of Maps with a Map Run, by its ARN
    status       of the execution: RUNNING, SUCCEEDED, FAILED, ABORTED or TIMED_OUT
    culprit      the innermost visit that made the execution fail
    start, end   of the execution, epoch seconds; last: the time of the last event
    input, output, error, cause
                 of the execution
    events       number of events; transitions: number of states entered; redrives: of redrives
    """

    def __init__(self, events: Iterable[Event] = (), source: Source | None = None) -> None:
        self._source = source
        self.all: list[Visit] = []
        self.open: dict[int, Visit] = {}
        self.named: dict[str, list[Visit]] = {}
        self.tops: dict[str, Visit] = {}
        self.map_runs: dict[str, Visit] = {}
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
        self._owner: dict[int, Visit | None] = {}  # id of an event -> its visit
        self._iteration: dict[int, int] = {}  # id of a MapIterationStarted event -> index
        # the visits without StateExited at the last redrive
        self._resumable: dict[tuple[Visit | None, int | None, str], Visit] = {}
        for event in events:
            self.feed(event)

    @property
    def transitions(self) -> int:
        return len(self.all)

    def feed(self, event: Event) -> Visit | None:
        """Take the next event. Returns its visit, None for the execution's own events."""
        kind: str = event["type"]
        self.events += 1
        self.last = event["timestamp"]
        visit = self._take(kind, event, details(event), self._owner.get(event["previousEventId"]))
        self._owner[event["id"]] = visit
        if visit is not None:
            visit.events.append(event["id"])
            visit.step = kind
        if self._source is not None:
            self._source.see(event, visit)
        return visit

    def count(self, map_run: str, items: Items) -> Visit | None:
        """Record the counts of a Map Run, which are not in events. Returns the visit of the Map,
        None if it has started another Map Run since.
        """
        visit = self.map_runs.get(map_run)
        if visit is None or visit.map_run != map_run:
            return None
        visit.count(items)
        return visit

    def _take(
        self, kind: str, event: Event, detail: Mapping[str, Any], near: Visit | None
    ) -> Visit | None:
        if kind == "ExecutionStarted":
            self.start, self.input = event["timestamp"], detail.get("input")
            return None
        if kind == "ExecutionRedriven":
            self._redrive()
            return None
        if kind in ENDINGS:
            self._end(ENDINGS[kind], event, detail, near)
            return None
        if kind.endswith("StateEntered"):
            return self._enter(kind, event, detail, near)
        if kind.endswith("StateExited"):
            return self._exit(event, detail, near)
        if kind.endswith("StateAborted"):
            return self._aborted(event, near)
        if kind.startswith(("MapIteration", "MapState", "MapRun", "ParallelState")):
            return self._composite(kind, event, detail, near)
        if kind.startswith(_TASK_FAMILIES):
            return self._task(kind, event, detail, near)
        return near

    def _redrive(self) -> None:
        """The execution runs again. The next event of an unfinished visit reopens it."""
        self.status, self.end, self.culprit = RUNNING, None, None
        self.output = self.error = self.cause = None
        self.redrives += 1
        self._resumable = {
            _place(each): each for each in self.all if each.end is not None and each.exited is None
        }

    def _enter(
        self, kind: str, event: Event, detail: Mapping[str, Any], near: Visit | None
    ) -> Visit:
        previous = event["previousEventId"]
        visit = Visit(
            detail["name"],
            kind.removesuffix("StateEntered"),
            event["id"],
            event["timestamp"],
            detail.get("input"),
        )
        if near is not None and near.exited == previous:  # the next state of the same branch
            visit.before, visit.parent, visit.index = near, near.parent, near.index
            near.after = visit
        elif near is not None:  # the first one of a branch or iteration
            visit.parent, visit.index = near, self._iteration.get(previous)
        if visit.parent is not None:
            self._reopen(visit.parent)
        visit.redrives = int(self._resumable.pop(_place(visit), None) is not None)
        self.all.append(visit)
        self.open[visit.entered] = visit
        self.named.setdefault(visit.name, []).append(visit)
        if visit.parent is None:
            self.tops[visit.name] = visit
        if visit.type == "Wait" and self._source is not None:
            visit.due = self._source.due(visit)
        if visit.type == "Fail":
            self._close(visit, FAILED, event["timestamp"])
            if self._source is not None:
                visit.error, visit.cause = self._source.failure(visit)
            self._spread(visit, event["timestamp"])
        return visit

    def _aborted(self, event: Event, near: Visit | None) -> Visit | None:
        """A StateAborted event names no state, only its predecessor: if that is a failed task, the
        task is not retried.
        """
        if near is not None and near.type == "Task" and near.failing and near.status == RUNNING:
            self._close(near, FAILED, event["timestamp"])
            self._spread(near, event["timestamp"])
        return near

    def _spread(self, visit: Visit, when: float) -> None:
        """A final failure in a branch makes its Parallel fail, which aborts all visits in it. (Of a
        Map, events tell.)
        """
        around = visit.parent
        if around is not None and around.type == "Parallel":
            around.failing, around.culprit, around.error, around.cause = (
                True,
                visit,
                visit.error,
                visit.cause,
            )
            self._abandon(around, visit, when)

    def _exit(self, event: Event, detail: Mapping[str, Any], near: Visit | None) -> Visit | None:
        visit = _climb(near, lambda found: found.name == detail["name"])
        if visit is None:
            return near
        visit.exited, visit.output, visit.assigned = (
            event["id"],
            detail.get("output"),
            detail.get("assignedVariables"),
        )
        self._close(visit, CAUGHT if visit.failing else SUCCEEDED, event["timestamp"])
        return visit

    def _task(
        self, kind: str, event: Event, detail: Mapping[str, Any], near: Visit | None
    ) -> Visit | None:
        visit = near
        if kind == "EvaluationFailed":
            visit = self._evaluated(detail["state"], event["previousEventId"], near)
        if visit is None:
            return None
        if kind.endswith("Scheduled"):
            self._attempt(visit)
            visit.scheduled, visit.resource = detail, _resource(kind, detail)
            visit.worker = visit.child = None
            visit.token = (
                None
                if self._source is None
                else self._source.token(visit.name, detail.get("parameters"))
            )
        elif kind == "ActivityStarted":
            visit.worker = detail.get("workerName")
        elif kind == "TaskSubmitted":
            visit.child = _execution(visit, detail.get("output"))
        elif kind.endswith(_FAILURES):
            visit.failing, visit.error, visit.cause = True, detail.get("error"), detail.get("cause")
        elif kind.endswith("Succeeded"):
            visit.result = detail.get("output")
            visit.child = visit.child or _execution(visit, visit.result)
        return visit

    def _evaluated(self, name: str, previous: int, near: Visit | None) -> Visit | None:
        """The visit of an EvaluationFailed event, whose predecessor may precede the StateEntered
        event. A redrive does not enter the state of a Task again.
        """
        inside = [each for each in self.open.values() if each.name == name]
        if near in inside:
            return near
        beside = (None, None) if near is None else (near.parent, near.index)
        for around in ((near, self._iteration.get(previous)), beside):
            visit = self._resumable.get((*around, name))
            if visit is not None:
                self._reopen(visit)
                return visit
        return inside[-1] if inside else near

    def _attempt(self, visit: Visit) -> None:
        """An attempt starts: the first one, the first one after a redrive, or a retry."""
        redriven = self._reopen(visit)
        visit.attempts += 1
        visit.retries += visit.attempts > 1 and not redriven
        visit.failing, visit.culprit = False, None

    def _composite(
        self, kind: str, event: Event, detail: Mapping[str, Any], near: Visit | None
    ) -> Visit | None:
        """Take an event of a Parallel, a Map, its iterations or its Map Run."""
        family = "Parallel" if kind.startswith("Parallel") else "Map"
        name = detail.get("name")
        fits = self._may_start if kind.endswith(("Started", "Redriven")) else _runs
        visit = _climb(
            near,
            lambda found: found.type == family and (found.name == name if name else fits(found)),
        )
        if visit is None:
            return near
        step = kind.removeprefix("MapIteration").removeprefix(family).removeprefix("State")
        if kind.startswith("MapIteration"):
            self._iterated(step, visit, event, detail["index"], near)
        elif step == "Started":
            self._abandon(visit, near, event["timestamp"])
            self._fail_with(visit, near)
            self._attempt(visit)
            visit.restart(detail.get("length"))
        elif step in ("RunStarted", "RunRedriven"):
            self._reopen(visit)
            visit.map_run = detail.get("mapRunArn")
            self.map_runs[str(visit.map_run)] = visit
        elif step.endswith("Failed"):
            visit.failing = True
            if "error" in detail:
                visit.error, visit.cause = detail["error"], detail.get("cause")
            else:
                self._fail_with(visit, near)
            if step == "Failed":
                self._abandon(visit, near, event["timestamp"])
                visit.culprit = _inside(visit, near)
                self._close(visit, FAILED, event["timestamp"])
        return visit

    def _fail_with(self, visit: Visit, near: Visit | None) -> None:
        """Take the failure of a Parallel or Map from what failed in it, else from the source."""
        found: tuple[str | None, str | None] = None, None
        if near is not None and near is not visit:
            visit.error, visit.cause = near.error, near.cause
        elif self._source is not None and visit.attempts:
            found = self._source.failure(visit)
        if found != (None, None):
            visit.error, visit.cause = found

    def _may_start(self, visit: Visit) -> bool:
        """Whether it runs, or a redrive may restart it."""
        return visit.status == RUNNING or self._resumable.get(_place(visit)) is visit

    def _iterated(
        self, step: str, visit: Visit, event: Event, index: int, near: Visit | None
    ) -> None:
        if step == "Started":
            self._iteration[event["id"]] = index
        if step == "Aborted" and not _runs(visit):
            return  # of another visit of its name, which ends with what failed around both
        visit.iterate(index, _ITERATIONS[step])
        if step == "Failed":
            visit.failing = True
            visit.culprit = _inside(visit, near)
            if near is not None:
                visit.error, visit.cause = near.error, near.cause
            self._abandon(visit, near, event["timestamp"])

    def _abandon(self, around: Visit | None, culprit: Visit | None, when: float) -> None:
        """Close all open visits, or those inside a visit: the culprit and the visits around it
        failed, the others were aborted.
        """
        failed = [culprit, *culprit.around()] if culprit is not None else []
        for visit in [
            each for each in self.open.values() if around is None or around in each.around()
        ]:
            self._close(visit, FAILED if visit in failed else ABORTED, when)

    def _reopen(self, visit: Visit) -> bool:
        """After a redrive: open a visit again, and those around it. Returns whether it was
        closed.
        """
        ended = (
            [each for each in (visit, *visit.around()) if self._resumable.get(_place(each)) is each]
            if self._resumable
            else []
        )
        for each in ended:
            del self._resumable[_place(each)]
            self.open[each.entered] = each
            each.status, each.end, each.failing, each.culprit = RUNNING, None, False, None
            each.redrives += 1
            each.iterate_all((FAILED, ABORTED), RUNNING)
        return visit in ended

    def _close(self, visit: Visit, status: str, when: float) -> None:
        if self.open.pop(visit.entered, None) is not None:
            visit.end = when
        visit.status = status
        visit.iterate_all((RUNNING,), ABORTED)
        visit.drop_stale_counts()

    def _end(
        self, status: str, event: Event, detail: Mapping[str, Any], near: Visit | None
    ) -> None:
        self.status, self.end = status, event["timestamp"]
        self.output, self.error, self.cause = (
            detail.get("output"),
            detail.get("error"),
            detail.get("cause"),
        )
        if status == FAILED:
            self._abandon(None, near, self.end)
            self.culprit = None if near is None else near.innermost()
            for each in () if self.culprit is None else (self.culprit, *self.culprit.around()):
                if each.status == FAILED:
                    each.error, each.cause = self.error, self.cause
            return
        for visit in list(self.open.values()):
            self._close(visit, status, self.end)


def _place(visit: Visit) -> tuple[Visit | None, int | None, str]:
    return visit.parent, visit.index, visit.name


def _inside(visit: Visit, found: Visit | None) -> Visit | None:
    return found if found is not None and visit in found.around() else None


def _runs(visit: Visit) -> bool:
    return visit.status == RUNNING


def _execution(visit: Visit, output: str | None) -> str | None:
    """The ARN of the execution that a task started, from the service's answer; None for other
    tasks.
    """
    if output is None or visit.scheduled.get("resourceType") not in ("states", "aws-sdk:sfn"):
        return None
    answer = json_text.loads(output)
    arn = (
        next((answer[name] for name in ("ExecutionArn", "executionArn") if name in answer), None)
        if isinstance(answer, dict)
        else None
    )
    return arn if isinstance(arn, str) else None


def _climb(visit: Visit | None, fits: Callable[[Visit], bool]) -> Visit | None:
    """The innermost of the visit and the visits around it that fits."""
    while visit is not None and not fits(visit):
        visit = visit.parent
    return visit


def _resource(kind: str, detail: Mapping[str, Any]) -> str:
    """What a task calls, for users: "Lambda: charge-card", "states: startExecution.sync:2"."""
    resource = str(detail.get("resource", ""))
    if kind == "TaskScheduled":
        return f"{detail.get('resourceType', '')}: {resource}"
    family, mark = (
        ("Activity", ":activity:") if kind.startswith("Activity") else ("Lambda", ":function:")
    )
    return f"{family}: {resource.rpartition(mark)[2]}"
