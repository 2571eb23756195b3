"""Changes of a running execution: what a page needs to update a picture, a table and a timeline.
Pure.

    live = Live(Diagram(definition).graph)
    rows = live.feed(events)
    send(rows, live.changes())        # only what changed since the last call

`changes` returns a JSON object, small enough to be sent many times a second:

    states   {name: {"status", "visits", "active", "seconds", "retries", "redrives", "items",
             "error", "notes"}}; status: one of theme.STATUSES; items: the fields of items.Items, or
             null; notes: the texts of its remarks, without the error
    visits   rows in the order of VISIT; the id of the StateEntered event identifies a visit
    taken    ids of elements of the picture (edges, rules, joins, jumps) that were taken for the
             first time
    waiting  what open visits wait for: rows in the order of WAITING
    failure  the id of the StateEntered event of the visit that made the execution fail, or null
    status, start, end, now, events, transitions, redrives
             of the execution; times are epoch seconds
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stepwell.asl.histories import summaries
from stepwell.asl.histories.items import Items
from stepwell.asl.histories.state_visits import Event, Visit, details
from stepwell.visualize.graph import Graph
from stepwell.visualize.overlay import STATUS, Overlay
from stepwell.visualize.words.executions import ERROR, awaited, remarks

EVENT: Final = ("id", "timestamp", "type", "state", "visit", "error", "previousEventId")
VISIT: Final = (
    "entered", "name", "type", "status", "start", "end", "parent", "index", "attempts", "error",
    "resource", "mapRun", "child", "retries",
    "redrives",
)  # fmt: skip
WAITING: Final = ("entered", "kind", "words", "until", "token")
_WAITING_SHOWN: Final = 20  # waits: a Map may have thousands
_FAILED: Final = ("FailStateEntered", "StateFailed", "IterationFailed")
# Endings of event types. Those of _LOCAL change only their own visit and the visits around it; all
# others, and those of _GLOBAL, may change every open visit.
_GLOBAL: Final = ("FailStateEntered", "StateStarted")
_LOCAL: Final = (
    "StateEntered",
    "StateExited",
    "Scheduled",
    "Started",
    "Succeeded",
    "Submitted",
)


class Live:
    """One execution of a state machine, from its first event on. Inputs and outputs, which may be
    large, are not kept.
    """

    def __init__(self, graph: Graph) -> None:
        self._overlay = Overlay((), definition=graph.definition)
        self._edges = [edge for edge in graph.edges if edge.kind]
        self._heads = {
            edge.id: edge.head
            for edge in self._edges
            if graph.nodes[edge.head].kind in ("rule", "join", "jump")
        }
        # since the last call of `changes`: visits and states that may have changed, in order, and
        # whether a state was entered or exited
        self._visits: dict[Visit, None] = {}
        self._names: dict[str, None] = {}
        self._moved = False
        self._counted: dict[str, str] = {}  # Map Run -> its visit's status at the last count
        self._sent: dict[str, dict[str, Any]] = {}  # state -> its last change
        self._taken: set[str] = set()  # ids of elements that were sent as taken

    def data_of(self, type: str) -> bool:
        """Whether `feed` uses the data (input, output, parameters) of events of this type."""
        assert self._overlay.reevaluation is not None
        return self._overlay.reevaluation.wants(type)

    def feed(self, events: Iterable[Event]) -> list[list[Any]]:
        """Take the next events, in order. Returns a row for each, in the order of EVENT."""
        return [self._feed(event, details(event)) for event in events]

    def _feed(self, event: Event, detail: Mapping[str, Any]) -> list[Any]:
        affects_all = event["type"].endswith(_GLOBAL) or not event["type"].endswith(_LOCAL)
        if affects_all:
            self._touch(self._overlay.visits.open.values())
        visit = self._overlay.feed(event)
        if visit is not None:
            visit.output = visit.assigned = visit.result = None
            if "parameters" in visit.scheduled or "input" in visit.scheduled:
                visit.scheduled = {
                    name: visit.scheduled[name]
                    for name in ("resource", "resourceType")
                    if name in visit.scheduled
                }
            if visit.before is not None:
                visit.before.input = None
        # only the last event of the execution has the error of a Fail state
        if affects_all and (culprit := self._overlay.visits.culprit) is not None:
            self._touch((culprit,))
        if visit is not None:
            self._touch((visit, *visit.around()))
            self._moved = self._moved or event["id"] in (visit.entered, visit.exited)
        where = (None, None) if visit is None else (visit.name, visit.entered)
        error = detail.get("error")
        if error is None and visit is not None and event["type"].endswith(_FAILED):
            error = visit.error  # from an earlier event, or the definition
        return [
            event["id"],
            event["timestamp"],
            event["type"],
            *where,
            error,
            event["previousEventId"],
        ]

    def _touch(self, visits: Iterable[Visit]) -> None:
        for visit in visits:
            self._visits[visit] = self._names[visit.name] = None

    def uncounted(self) -> list[str]:
        """ARNs of the Map Runs that run, or have not been counted since they ended."""
        found = self._overlay.visits.map_runs.items()
        return [
            arn
            for arn, visit in found
            if visit.map_run == arn and self._counted.get(arn) != visit.status
        ]

    def count(self, map_run: str, answer: Mapping[str, Any]) -> None:
        """Take DescribeMapRun's answer for a Map Run: events have no counts of its items."""
        visit = self._overlay.visits.count(map_run, Items.of_map_run(answer))
        if visit is not None:
            self._touch((visit,))
            if answer["status"] != "RUNNING":
                self._counted[map_run] = visit.status

    def everything(self) -> dict[str, Any]:
        """`changes` for a new reader: the whole execution so far."""
        self._touch(self._overlay.visits.all)
        self._sent, self._taken, self._moved = {}, set(), True
        return self.changes()

    def changes(self) -> dict[str, Any]:
        """The changes since the last call."""
        visits = self._overlay.visits
        summary = summaries.execution(visits, visits.last)
        states = {
            name: row for name in self._names if (row := self._state(name)) != self._sent.get(name)
        }
        changed = {
            "states": states,
            "visits": [self._visit(visit) for visit in self._visits],
            "taken": self._newly_taken() if self._moved else [],
            "waiting": [self._wait(each) for each in summary.waiting[:_WAITING_SHOWN]],
            "failure": None if summary.failure is None else summary.failure.visit.entered,
            "status": summary.status,
            "start": summary.start,
            "end": summary.end,
            "now": visits.last,
            "events": summary.events,
            "transitions": summary.transitions,
            "redrives": summary.redrives,
        }
        self._sent |= states
        self._visits, self._names, self._moved = {}, {}, False
        return changed

    def _state(self, name: str) -> dict[str, Any]:
        state = summaries.of_state(self._overlay.visits, name, self._overlay.visits.last)
        return {
            "status": STATUS[state.status],
            "visits": state.visits,
            "active": state.active,
            "seconds": None if state.active else state.seconds,
            "retries": state.retries,
            "redrives": state.redrives,
            "items": None if state.items is None else state.items._asdict(),
            "error": state.error,
            "notes": [each.text for each in remarks(state, None) if each.kind != ERROR],
        }

    def _wait(self, waiting: summaries.Waiting) -> list[Any]:
        return [
            waiting.visit.entered,
            waiting.kind,
            awaited(waiting, None),
            waiting.until,
            waiting.token,
        ]

    def _visit(self, visit: Visit) -> list[Any]:
        parent = None if visit.parent is None else visit.parent.entered
        times = (visit.start, visit.end)
        return [
            visit.entered, visit.name, visit.type, visit.status, *times, parent, visit.index,
            visit.attempts, visit.error,
            visit.resource or None, visit.map_run, visit.child, visit.retries, visit.redrives,
        ]  # fmt: skip

    def _newly_taken(self) -> list[str]:
        found = dict[str, None]()
        for edge in self._edges:
            if edge.id not in self._taken and self._overlay.taken(edge):
                found[edge.id] = None
                if (head := self._heads.get(edge.id)) is not None and head not in self._taken:
                    found[head] = None
        self._taken |= found.keys()
        return list(found)
