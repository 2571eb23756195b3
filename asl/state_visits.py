"""From history events (AWS's shape) to visits of states: who ran when, how often it was tried, and
how it ended.

A history is a tree of threads: each event names its predecessor, and the first event of a Parallel
branch or Map iteration follows from one of the Parallel's or Map's own. `Visits.feed` takes the
events in order and keeps, for every event, the visit that it belongs to. Pure.

What the events do not say is filled in: a failing Parallel or Map gives no names of the tasks that
it aborts, so every visit still open in it is closed with it; a StateExited that follows a failure
means that the failure was caught. What only the definition tells (the error of a Fail state, the
end of a Wait, which of the parameters is the task token) is asked of a Source. The figures that
people are shown of a state or of an execution are made from visits in summaries.py, and nowhere
else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from stepwell.asl import json_text
from stepwell.asl.items import Items, Iterations

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
_ITERATIONS: Final = {
    "Started": RUNNING,
    "Succeeded": SUCCEEDED,
    "Failed": FAILED,
    "Aborted": ABORTED,
}
_TASK_FAMILIES: Final = ("Task", "Activity", "LambdaFunction", "Evaluation")


_NOTHING: Final[Event] = MappingProxyType({})

# what an open visit waits for
CALLBACK: Final = "callback"  # somebody who has its task token
WORKER: Final = "worker"  # a worker that takes the task of an activity
ACTIVITY: Final = "activity"  # the worker that has it
JOB: Final = "job"  # what it started, and awaits
TIMER: Final = "timer"
RETRY: Final = "retry"


class Source(Protocol):
    """What only the definition tells (asl/reevaluation.py)."""

    def see(self, event: Event, visit: Visit | None) -> None: ...

    def failure(self, visit: Visit) -> tuple[str | None, str | None]: ...

    def due(self, visit: Visit) -> float | None: ...

    def token(self, name: str, parameters: str | None) -> str | None: ...


@dataclass(slots=True, eq=False)
class Visit:
    """One visit of a state, from its StateEntered event to its end.

    entered, exited  ids of the events, exited None without a StateExited      start, end  epoch
                     seconds, end None while it runs
    parent           the visit of the Parallel or Map around it                index       its
                     iteration in a Map, else None
    before, after    its neighbours in the same branch                         culprit     the visit
                     inside that made it fail
    attempts         tasks scheduled, or rounds of a Parallel or Map started   scheduled   the
                     details of the last one
    retries          attempts that a retrier made                              redrives    how often
                     a redrive began it again
    error, cause     the last failure, also when it was retried or caught      failing     the last
                     thing that happened is a failure
    length           of a Map: its items                                       map_run     ARN of
                     its Map Run
    token, due       its task token; when its Wait is over, epoch seconds      worker      the name
                     of the worker that has its task
    child            ARN of the execution that it started
    events           ids of the events that belong to the visit itself, in order; step: the type of
                     the last one
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
    retries: int = 0
    redrives: int = 0
    scheduled: Event = field(default_factory=lambda: _NOTHING)
    resource: str = ""
    result: str | None = None
    error: str | None = None
    cause: str | None = None
    failing: bool = False
    culprit: Visit | None = None
    length: int | None = None
    map_run: str | None = None
    token: str | None = None
    due: float | None = None
    worker: str | None = None
    child: str | None = None
    events: list[int] = field(default_factory=list)
    step: str = ""
    _counted: Items | None = None  # by its Map Run
    _iterations: Iterations | None = None

    @property
    def items(self) -> Items | None:
        """How its items stand, None for what is no Map, or a Map Run that nobody has counted."""
        if self._counted is not None or self.map_run is not None or self.length is None:
            return self._counted
        tally = self._iterations.tally if self._iterations is not None else Counter[str]()
        started = tally.total()
        total = max(self.length, started)
        return Items(
            total,
            tally[SUCCEEDED],
            tally[FAILED],
            0,
            tally[ABORTED],
            tally[RUNNING],
            total - started,
        )

    @property
    def waiting(self) -> str | None:
        """What it waits for: CALLBACK, WORKER, ... None if it has ended, or works by itself."""
        if self.status != RUNNING:
            return None
        if self.failing:
            return RETRY
        if self.type == "Wait":
            return TIMER
        if self.step == "TaskSubmitted":
            resource = str(self.scheduled.get("resource", ""))
            return (
                CALLBACK
                if resource.endswith(".waitForTaskToken")
                else JOB
                if ".sync" in resource
                else None
            )
        return {"ActivityScheduled": WORKER, "ActivityStarted": ACTIVITY}.get(self.step)

    def seconds(self, now: float) -> float:
        """How long it took, or has taken until now."""
        return max(0.0, (now if self.end is None else self.end) - self.start)

    def innermost(self) -> Visit:
        """The visit inside that made it fail, at any depth; itself if there is none."""
        visit = self
        while visit.culprit is not None:
            visit = visit.culprit
        return visit

    def iterate(self, index: int, status: str) -> None:
        """An iteration of a Map has started or ended."""
        if self._iterations is None:
            self._iterations = Iterations()
        self._iterations.set(index, status)

    def iterate_all(self, statuses: tuple[str, ...], status: str) -> None:
        """All iterations that stand so, stand otherwise now."""
        for index in () if self._iterations is None else self._iterations.that_stand(statuses):
            self.iterate(index, status)

    def count(self, items: Items) -> None:
        """How the items of its Map Run stand."""
        self._counted = items

    def settle(self) -> None:
        """It has ended: what was counted while its Map Run went on is no longer so."""
        if self._counted is not None and self._counted.running + self._counted.pending:
            self._counted = None

    def restart(self, length: int | None) -> None:
        """A new round of a Map."""
        self.length, self.map_run, self._counted, self._iterations = length, None, None, None

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


class Visits:
    """The visits of one execution so far.

    all     in the order of entering           open     those that run, by the id of their
            StateEntered event
    named   the visits of each state, by name  tops     the last visit of each state of the top
            level, in the order of their first visits
    status  "running" or how it ended          culprit  after a failure: the innermost visit that
            failed
    start, end  of the execution, epoch seconds; output, error, cause as of its last event
    events      number of events seen; transitions  states entered; redrives  how often it went on
                after its end
    map_runs    the visits of Maps with a Map Run, by its ARN
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
        self._owner: dict[int, Visit | None] = {}
        self._iteration: dict[int, int] = {}  # id of a MapIterationStarted -> index
        self._resumable: dict[
            tuple[Visit | None, int | None, str], Visit
        ] = {}  # what had been entered and not left before the last redrive
        for event in events:
            self.feed(event)

    @property
    def transitions(self) -> int:
        return len(self.all)

    def feed(self, event: Event) -> Visit | None:
        """Take the next event; the visit that it belongs to, None for the execution's own
        events.
        """
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
        """How the items of a Map Run stand, which no event tells; the visit whose they are, None if
        it has begun another one since.
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
        if (
            kind == "ExecutionRedriven"
        ):  # what had not succeeded begins again, as its own next events tell
            self.status, self.end, self.culprit, self.output, self.error, self.cause = (
                RUNNING,
                None,
                None,
                None,
                None,
                None,
            )
            self.redrives += 1
            self._resumable = {
                _place(each): each
                for each in self.all
                if each.end is not None and each.exited is None
            }
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
        """It does not say whose, only what it follows from: a task in a branch that has failed for
        good, if it is no Parallel or Map.
        """
        if near is not None and near.type == "Task" and near.failing and near.status == RUNNING:
            self._close(near, FAILED, event["timestamp"])
            self._spread(near, event["timestamp"])
        return near

    def _spread(self, visit: Visit, when: float) -> None:
        """What failed for good in a branch makes the Parallel around it fail, and aborts what runs
        in it. (A Map's events say so.)
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
        if kind == "EvaluationFailed":  # may point to what came before the state was entered
            inside = [each for each in self.open.values() if each.name == detail["state"]]
            visit = near if near in inside else inside[-1] if inside else near
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

    def _attempt(self, visit: Visit) -> None:
        """An attempt begins: the first one, the first one after a redrive, or one that a retrier
        makes.
        """
        again = self._reopen(visit)
        visit.attempts += 1
        visit.retries += visit.attempts > 1 and not again
        visit.failing, visit.culprit = False, None

    def _composite(
        self, kind: str, event: Event, detail: Mapping[str, Any], near: Visit | None
    ) -> Visit | None:
        """The events of a Parallel, a Map, its iterations and its Map Run."""
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
            if near is not None and near is not visit:
                visit.error, visit.cause = near.error, near.cause
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
            elif near is not None and near is not visit:
                visit.error, visit.cause = near.error, near.cause
            if step == "Failed":
                self._abandon(visit, near, event["timestamp"])
                visit.culprit = near if near is not visit else None
                self._close(visit, FAILED, event["timestamp"])
        return visit

    def _may_start(self, visit: Visit) -> bool:
        """It runs, or a redrive may begin it again."""
        return visit.status == RUNNING or self._resumable.get(_place(visit)) is visit

    def _iterated(
        self, step: str, visit: Visit, event: Event, index: int, near: Visit | None
    ) -> None:
        if step == "Started":
            self._iteration[event["id"]] = index
        visit.iterate(index, _ITERATIONS[step])
        if step == "Failed":
            visit.failing = True
            visit.culprit = near
            if near is not None:
                visit.error, visit.cause = near.error, near.cause
            self._abandon(visit, near, event["timestamp"])

    def _abandon(self, around: Visit | None, culprit: Visit | None, when: float) -> None:
        """Close what still runs inside: the culprit and what lies around it failed, the others were
        aborted.
        """
        guilty = [culprit, *culprit.around()] if culprit is not None else []
        for visit in [
            each for each in self.open.values() if around is None or around in each.around()
        ]:
            self._close(visit, FAILED if visit in guilty else ABORTED, when)

    def _reopen(self, visit: Visit) -> bool:
        """A redrive begins it again, and what lies around it goes on. Whether it did."""
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
        visit.settle()

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
            for each in (
                () if self.culprit is None else (self.culprit, *self.culprit.around())
            ):  # it is their error, too
                if each.status == FAILED:
                    each.error, each.cause = self.error, self.cause
            return
        for visit in list(self.open.values()):
            self._close(visit, status, self.end)


def _place(visit: Visit) -> tuple[Visit | None, int | None, str]:
    return visit.parent, visit.index, visit.name


def _runs(visit: Visit) -> bool:
    return visit.status == RUNNING


def _execution(visit: Visit, output: str | None) -> str | None:
    """The ARN of the execution that a task started, from what the service answered; None for other
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
    """The visit itself or the nearest around it that fits."""
    while visit is not None and not fits(visit):
        visit = visit.parent
    return visit


def _resource(kind: str, detail: Mapping[str, Any]) -> str:
    """What a Task asks for, for people: "Lambda: charge-card", "states: startExecution.sync:2"."""
    resource = str(detail.get("resource", ""))
    if kind == "TaskScheduled":
        return f"{detail.get('resourceType', '')}: {resource}"
    family, mark = (
        ("Activity", ":activity:") if kind.startswith("Activity") else ("Lambda", ":function:")
    )
    return f"{family}: {resource.rpartition(mark)[2]}"


def route(visit: Visit) -> list[Visit]:
    """The visits that led to this one: those before it in its branch, and before that those that
    led to the Parallel or Map around it.
    """
    found: list[Visit] = []
    step: Visit | None = visit
    while step is not None:
        found.insert(0, step)
        step = step.before or step.parent
    return found
