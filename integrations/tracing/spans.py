"""The spans of an execution, from its history: a span for the execution, for each state, for each
iteration of a Map, and for each attempt of a task. Pure.

    ExecutionTrace(x).apply(x, first, at, history) -> the spans that ended

Every event names the one before it on its thread, so an event's place in the tree of open spans
follows from the place of that one.

    ExecutionStarted     the execution          ...StateExited   what the state is in
    ...StateEntered      the state              Map/Parallel     the nearest one that has not
    ...Scheduled         the attempt            ...StateFailed     failed; all in it end
    ...Succeeded         the state again        Execution...     all end
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from stepwell.engine.core.events import HistoryEvent
from stepwell.engine.core.history import TABLE
from stepwell.engine.core.model import Execution, Payload
from stepwell.integrations.tracing import conventions
from stepwell.integrations.tracing.conventions import Attributes
from stepwell.integrations.tracing.ids import STARTED, span_id, trace_of

EXECUTION, STATE, ITERATION, ATTEMPT = "execution", "state", "iteration", "attempt"
ABORTED: Final = "aborted"  # error.type of what was stopped


class Span(NamedTuple):
    """One that has ended. Times in ms, ids as hex digits; parent_id is empty at the top of a trace.

    error  the error's name; None: it succeeded
    """

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: Attributes
    error: str | None


class Event(NamedTuple):
    """A history event. details: its fields by their names."""

    type: str
    number: int
    before: int  # its previousEventId
    at: int
    details: dict[str, Any]


class Node:
    """An open span. event: id of the event that it began with; type: of a state."""

    __slots__ = (
        "event",
        "parent",
        "what",
        "type",
        "name",
        "kind",
        "start",
        "attributes",
        "inside",
        "events",
        "id",
        "error",
        "failed",
    )

    def __init__(
        self, event: int, parent: Node | None, what: str, type: str, name: str, start: int
    ) -> None:
        self.event, self.parent, self.what, self.type = event, parent, what, type
        self.id = ""  # until it is needed
        self.name, self.start, self.kind = name, start, conventions.INTERNAL
        self.attributes: Attributes = {}
        self.inside: dict[int, Node] = {}  # by event; in order of their beginning
        self.events: list[int] = []  # after which a thread is here
        self.error: str | None = None
        self.failed = False  # a Parallel or Map: its failure is written
        if parent is not None:
            parent.inside[event] = self


class ExecutionTrace:
    """The open spans of one execution.

    trace  the one that it belongs to
    next   id of the event that it is to see next
    """

    def __init__(self, x: Execution) -> None:
        self.x, self.trace, self.next = x, trace_of(x), STARTED
        self.root = Node(STARTED, None, EXECUTION, "", x.machine_name, x.started)
        self.root.kind = conventions.SERVER
        self._at: dict[int, Node] = {}  # event -> the place after it
        self._anchors: set[int] = set()  # events that several threads follow from
        self._ended: list[Span] = []

    def apply(self, x: Execution, events: Iterable[tuple[int, int, HistoryEvent]]) -> list[Span]:
        """events: (id, ms, event), in order. Returns the spans that they end."""
        self.x = x
        for number, at, event in events:
            (name, *row), before = TABLE[event[0]], event[1]
            place = self._at.get(before, self.root)
            handler = _HANDLERS.get(name)
            if handler is not None:
                details = dict(zip(row[1:], event[2:], strict=False))
                place = handler(self, place, Event(name, number, before, at, details))
            if name.endswith("StateEntered") and before not in self._anchors:
                self._at.pop(before, None)  # one state follows another
            self._at[number] = place
            if place is not self.root:
                place.events.append(number)
            self.next = number + 1
        ended, self._ended = self._ended, []
        return ended

    # --- handlers of events: each returns the place after its event ------------------------------

    def _entered(self, place: Node, event: Event) -> Node:
        kind = event.type.removesuffix("StateEntered")
        node = Node(event.number, place, STATE, kind, event.details["name"], event.at)
        node.attributes = {"stepwell.state.name": node.name, "stepwell.state.type": kind}
        return node

    def _exited(self, place: Node, event: Event) -> Node:
        state = _nearest(place, lambda node: node.what == STATE)
        if state is None or state.name != event.details["name"]:  # entered before a redrive
            return place
        self._end_inside(state, event.at)
        self._end(state, event.at, None)
        return state.parent or self.root

    def _several_follow(self, place: Node, event: Event) -> Node:
        """The start of branches or iterations: the first, or a retry after some failed."""
        self._anchors.add(event.number)
        state = _container(place, event.type.removesuffix("StateStarted")) or place
        self._end_inside(state, event.at)
        state.error = None
        return state

    def _aborted(self, place: Node, event: Event) -> Node:
        """A branch or an iteration failed, so that all of them end. Their events name the failing
        one as the event before.
        """
        state = _container(place, "Parallel", "Map")
        if state is None:
            return place
        state.error = state.error or place.error
        self._end_inside(state, event.at)
        self._at[event.before] = state
        state.events.append(event.before)
        return state

    def _state_failed(self, place: Node, event: Event) -> Node:
        state = _container(place, event.type.removesuffix("StateFailed"))
        if state is None:
            return place
        state.failed, state.error = True, state.error or place.error
        self._end_inside(state, event.at)
        return state

    def _iteration_started(self, place: Node, event: Event) -> Node:
        map_state = _nearest(place, lambda node: node.type == "Map") or place
        index = event.details["index"]
        node = Node(
            event.number, map_state, ITERATION, "", f"{event.details['name']}[{index}]", event.at
        )
        node.attributes = {
            "stepwell.state.name": event.details["name"],
            "stepwell.map.index": index,
        }
        self._anchors.add(event.number)
        return node

    def _iteration_succeeded(self, place: Node, event: Event) -> Node:
        iteration = _nearest(place, lambda node: node.what == ITERATION)
        if iteration is None:
            return place
        self._end(iteration, event.at, None)
        map_state = iteration.parent or self.root
        for last in iteration.events[-1:]:  # the next iteration follows from it, too
            self._at[last] = map_state
            map_state.events.append(last)
        return map_state

    def _iteration_failed(self, place: Node, event: Event) -> Node:
        iteration = _nearest(place, lambda node: node.what == ITERATION)
        if iteration is not None:
            iteration.error = place.error or conventions.OTHER
        return place  # it ends with its Map, whose failure follows from the same event

    def _scheduled(self, place: Node, event: Event) -> Node:
        name = event.details["resource"].rpartition(":")[2]
        node = Node(event.number, place, ATTEMPT, "", name, event.at)
        if event.type == "TaskScheduled":
            parameters = event.details.get("parameters")
            payload = parameters.value if isinstance(parameters, Payload) else None
            service, action = event.details["resourceType"], event.details["resource"]
            node.name = f"{service}:{action}"
            node.kind, node.attributes = conventions.of_task(service, action, payload)
        elif event.type == "ActivityScheduled":
            node.kind, node.attributes = conventions.of_activity(event.details["resource"])
        else:
            node.kind, node.attributes = conventions.of_function(event.details["resource"])
        return node

    def _attempt_ended(self, place: Node, event: Event) -> Node:
        error = None
        if not event.type.endswith("Succeeded"):
            error = event.details.get("error") or conventions.OTHER
        attempt = _nearest(place, lambda node: node.what == ATTEMPT)
        if attempt is None:
            place.error = error
            return place
        self._end(attempt, event.at, error)
        state = attempt.parent or self.root
        state.error = error
        return state

    def _failing(self, place: Node, event: Event) -> Node:
        place.error = event.details.get("error") or conventions.OTHER
        return place

    def _map_run(self, place: Node, event: Event) -> Node:
        place.attributes["stepwell.map_run.arn"] = event.details["mapRunArn"]
        return place

    def _redriven(self, place: Node, event: Event) -> Node:
        """A span of its own below the first one, which has ended."""
        self._at.clear()
        self.root = Node(
            event.number, None, EXECUTION, "", f"{self.x.machine_name} redrive", event.at
        )
        self.root.attributes["stepwell.redrive.count"] = event.details["redriveCount"]
        return self.root

    def _closed(self, place: Node, event: Event) -> Node:
        error = None
        if not event.type.endswith("Succeeded"):
            error = event.details.get("error") or event.type.removeprefix("Execution").lower()
        self._end_inside(self.root, event.at, error)
        self.root.attributes |= conventions.of_execution(self.x)
        self.root.attributes["stepwell.execution.status"] = self.x.status
        self._end(self.root, event.at, error)
        return self.root

    # --- the ends of spans -----------------------------------------------------------------------

    def _end_inside(self, node: Node, at: int, error: str | None = None) -> None:
        """End all open spans in one: they did not succeed. error: of those without their own."""
        for child in list(node.inside.values()):
            self._end_inside(child, at, error)
            self._end(child, at, child.error or error or ABORTED)

    def _end(self, node: Node, at: int, error: str | None) -> None:
        for each in node.events:
            self._at.pop(each, None)
            self._anchors.discard(each)
        attributes = node.attributes
        if error is not None:
            attributes["error.type"] = error
        if node.parent is not None:
            node.parent.inside.pop(node.event, None)
            parent_id = self._id(node.parent)
        elif node.event == STARTED:
            parent_id = self.trace.span_id
        else:
            parent_id = span_id(self.x, STARTED)
        self._ended.append(
            Span(
                node.name,
                node.kind,
                self.trace.trace_id,
                self._id(node),
                parent_id,
                node.start,
                at,
                attributes,
                error,
            )
        )

    def _id(self, node: Node) -> str:
        node.id = node.id or span_id(self.x, node.event)
        return node.id


def _nearest(node: Node | None, fits: Callable[[Node], bool]) -> Node | None:
    """A span or the nearest one around it that fits."""
    while node is not None and not fits(node):
        node = node.parent
    return node


def _container(place: Node, *types: str) -> Node | None:
    """The nearest Parallel or Map whose failure is not written yet."""
    return _nearest(place, lambda node: node.type in types and not node.failed)


_Handler = Callable[[ExecutionTrace, Node, Event], Node]
_BY_ENDING: Final[tuple[tuple[_Handler, tuple[str, ...]], ...]] = (
    (ExecutionTrace._several_follow, ("ParallelStateStarted", "MapStateStarted")),
    (ExecutionTrace._iteration_started, ("MapIterationStarted",)),
    (ExecutionTrace._iteration_succeeded, ("MapIterationSucceeded",)),
    (ExecutionTrace._iteration_failed, ("MapIterationFailed",)),
    (ExecutionTrace._state_failed, ("ParallelStateFailed", "MapStateFailed")),
    (ExecutionTrace._map_run, ("MapRunStarted", "MapRunRedriven")),
    (ExecutionTrace._failing, ("MapRunFailed", "EvaluationFailed")),
    (ExecutionTrace._redriven, ("ExecutionRedriven",)),
    (
        ExecutionTrace._closed,
        ("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"),
    ),
    (ExecutionTrace._aborted, ("StateAborted",)),
    (ExecutionTrace._entered, ("StateEntered",)),
    (ExecutionTrace._exited, ("StateExited",)),
    (
        ExecutionTrace._scheduled,
        ("TaskScheduled", "ActivityScheduled", "LambdaFunctionScheduled"),
    ),
    (
        ExecutionTrace._attempt_ended,
        tuple(
            kind + end
            for kind in ("Task", "Activity", "LambdaFunction")
            for end in (
                "Succeeded",
                "Failed",
                "TimedOut",
                "ScheduleFailed",
                "StartFailed",
                "SubmitFailed",
            )
        ),
    ),
)
_HANDLERS: Final[dict[str, _Handler]] = {
    row[0]: next(handler for handler, ends in _BY_ENDING if row[0].endswith(ends))
    for row in TABLE
    if any(row[0].endswith(ends) for _, ends in _BY_ENDING)
}
