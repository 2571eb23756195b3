"""One visit of a state: when it ran, its attempts, how it ended. Pure.

history_visits.py makes visits from history events; summaries.py makes the figures that users see
from visits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from stepwell.asl.histories.items import Items, Iterations

Event: TypeAlias = Mapping[str, Any]

RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
CAUGHT: Final = "caught"
FAILED: Final = "failed"
ABORTED: Final = "aborted"
TIMED_OUT: Final = "timed out"
_NOTHING: Final[Event] = MappingProxyType({})

# what an open visit waits for
CALLBACK: Final = "callback"  # SendTaskSuccess or SendTaskFailure with its task token
WORKER: Final = "worker"  # a worker that polls its activity
ACTIVITY: Final = "activity"  # the worker that has taken its task
JOB: Final = "job"  # the end of a job or execution that it started
TIMER: Final = "timer"  # the end of a Wait
RETRY: Final = "retry"  # the delay of a retrier


@dataclass(slots=True, eq=False)
class Visit:
    """One visit of a state, from its StateEntered event to its end.

    entered, exited  ids of its StateEntered and StateExited events; exited: None without one
    start, end       epoch seconds; end: None while it runs
    parent           the visit of the Parallel or Map that contains it
    index            its iteration in a Map, else None
    before, after    the previous and next visit in the same branch
    status           RUNNING, SUCCEEDED, CAUGHT, FAILED, ABORTED or TIMED_OUT
    assigned         variable -> JSON text of its value
    attempts         tasks scheduled, or starts of a Parallel or Map
    retries          attempts that a retrier made
    redrives         redrives that restarted it
    scheduled        the details of the last attempt
    resource         what the last attempt called, for users: "Lambda: charge-card"
    result           of its task, JSON text
    error, cause     of the last failure, also if it was retried or caught
    failing          whether the last event is a failure
    culprit          the visit inside that made it fail
    length           of a Map: the number of its items
    map_run          ARN of its Map Run
    token            its task token
    due              the end of its Wait, epoch seconds
    worker           name of the worker that has taken its task
    child            ARN of the execution that it started
    events           ids of its own events, in order
    step             the type of the last of them
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
    _counted: Items | None = None  # DescribeMapRun's counts
    _iterations: Iterations | None = None

    @property
    def items(self) -> Items | None:
        """The counts of its items by status. None if it is not a Map, or if `count` was not called
        for its Map Run.
        """
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
        """What it waits for: CALLBACK, WORKER, ...; None if it has ended or is being processed."""
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
        """Its duration, up to now while it runs."""
        return max(0.0, (now if self.end is None else self.end) - self.start)

    def innermost(self) -> Visit:
        """The visit inside that made it fail, at any depth; this visit if there is none."""
        visit = self
        while visit.culprit is not None:
            visit = visit.culprit
        return visit

    def iterate(self, index: int, status: str) -> None:
        """Record that an iteration of a Map started or ended."""
        if self._iterations is None:
            self._iterations = Iterations()
        self._iterations.set(index, status)

    def iterate_all(self, statuses: tuple[str, ...], status: str) -> None:
        """Change all iterations with one of the statuses to another status."""
        for index in () if self._iterations is None else self._iterations.with_status(statuses):
            self.iterate(index, status)

    def count(self, items: Items) -> None:
        """Record the counts of its Map Run."""
        self._counted = items

    def drop_stale_counts(self) -> None:
        """Forget counts that were taken while its Map Run still ran: it has ended."""
        if self._counted is not None and self._counted.running + self._counted.pending:
            self._counted = None

    def restart(self, length: int | None) -> None:
        """Start a Map again."""
        self.length, self.map_run, self._counted, self._iterations = length, None, None, None

    def around(self) -> list[Visit]:
        """The visits of the Parallels and Maps that contain it, the outermost first."""
        found: list[Visit] = []
        visit = self.parent
        while visit is not None:
            found.insert(0, visit)
            visit = visit.parent
        return found


def details(event: Event) -> Mapping[str, Any]:
    """The value of the event's ...EventDetails member, {} if it has none."""
    for name, value in event.items():
        if name.endswith("EventDetails"):
            found: Mapping[str, Any] = value
            return found
    return {}


def route(visit: Visit) -> list[Visit]:
    """The visits that led to this one, itself included: those before it in its branch, preceded by
    the route to the Parallel or Map that contains it.
    """
    found: list[Visit] = []
    step: Visit | None = visit
    while step is not None:
        found.insert(0, step)
        step = step.before or step.parent
    return found
