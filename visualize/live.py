"""An execution while it runs, told in changes: what a page needs to keep a picture, a table and a
timeline as they are. Pure.

    live = Live(Diagram(definition).graph)
    rows = live.feed(events)
    send(rows, live.changes())        # only what is new since the last time

A change is a dict for JSON, small enough to be sent many times a second:

    states   {name: {"status", "visits", "active", "seconds", "retries", "redrives", "items",
             "error", "notes"}}; status: one of theme.STATUSES; items: as of visits.Items, or null;
             notes: what a picture says of it beside status, duration and error
    visits   rows in the order of VISIT, known by their first member, the id of their StateEntered
             event
    taken    ids of the elements of the picture (edges, rules, joins, jumps) that were gone along;
             they never become not taken
    waiting  what open visits wait for: rows in the order of WAITING
    failure  the visit that made the execution fail, known by its StateEntered event; null if it did
             not fail status, start, end, now, events, transitions, redrives    of the execution;
             times are epoch seconds
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stepwell.asl import summaries
from stepwell.asl.items import Items
from stepwell.asl.state_visits import Event, Visit, details
from stepwell.visualize.graph import Graph
from stepwell.visualize.overlay import STATUS, Overlay
from stepwell.visualize.words import ERROR, awaited, remarks

EVENT: Final = ("id", "timestamp", "type", "state", "visit", "error", "previousEventId")
VISIT: Final = (
    "entered", "name", "type", "status", "start", "end", "parent", "index", "attempts", "error",
    "resource", "mapRun", "child", "retries",
    "redrives",
)  # fmt: skip
WAITING: Final = ("entered", "kind", "words", "until", "token")
_SHOWN: Final = 20  # of what is waited for: a Map may have thousands
_FAILED: Final = ("FailStateEntered", "StateFailed", "IterationFailed")
_LOUD: Final = ("FailStateEntered", "StateStarted")
_QUIET: Final = (
    "StateEntered",
    "StateExited",
    "Scheduled",
    "Started",
    "Succeeded",
    "Submitted",
)  # they concern what is around them only


class Live:
    """One execution of a state machine, from its first event on. It keeps no inputs and outputs,
    which may be large.
    """

    def __init__(self, graph: Graph) -> None:
        self._overlay = Overlay((), definition=graph.definition)
        self._edges = [edge for edge in graph.edges if edge.kind]
        self._heads = {
            edge.id: edge.head
            for edge in self._edges
            if graph.nodes[edge.head].kind in ("rule", "join", "jump")
        }
        self._visits: dict[Visit, None] = {}  # that may have changed
        self._names: dict[str, None] = {}
        self._moved = False
        self._counted: dict[
            str, str
        ] = {}  # Map Run -> the status of its visit when it was counted for the last time
        self._told: dict[str, dict[str, Any]] = {}
        self._taken: set[str] = set()

    def data_of(self, type: str) -> bool:
        """Whether the data of such events is of use: it tells which of several rules was taken, or
        what a Fail state gave.
        """
        assert self._overlay.again is not None
        return self._overlay.again.wants(type)

    def feed(self, events: Iterable[Event]) -> list[list[Any]]:
        """Take the next events, in order: what a list shows of them, in the order of EVENT."""
        return [self._feed(event, details(event)) for event in events]

    def _feed(self, event: Event, detail: Mapping[str, Any]) -> list[Any]:
        loud = event["type"].endswith(_LOUD) or not event["type"].endswith(_QUIET)
        if loud:  # it may end everything that runs, or begin it again
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
        if (
            loud and (culprit := self._overlay.visits.culprit) is not None
        ):  # what a Fail state gave is told by the end of the execution
            self._touch((culprit,))
        if visit is not None:
            self._touch((visit, *visit.around()))
            self._moved = self._moved or event["id"] in (visit.entered, visit.exited)
        where = (None, None) if visit is None else (visit.name, visit.entered)
        error = detail.get("error")
        if (
            error is None and visit is not None and event["type"].endswith(_FAILED)
        ):  # the event has none, but what it follows from has
            error = visit.error
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
        """ARNs of the Map Runs whose items go on, or have not been counted since they ended."""
        found = self._overlay.visits.map_runs.items()
        return [
            arn
            for arn, visit in found
            if visit.map_run == arn and self._counted.get(arn) != visit.status
        ]

    def count(self, map_run: str, answer: Mapping[str, Any]) -> None:
        """How the items of a Map Run stand: DescribeMapRun's answer, which no event tells."""
        visit = self._overlay.visits.count(map_run, Items.of_map_run(answer))
        if visit is not None:
            self._touch((visit,))
            if answer["status"] != "RUNNING":
                self._counted[map_run] = visit.status

    def everything(self) -> dict[str, Any]:
        """As if nothing had been told yet."""
        self._touch(self._overlay.visits.all)
        self._told, self._taken, self._moved = {}, set(), True
        return self.changes()

    def changes(self) -> dict[str, Any]:
        """What is new since the last time."""
        visits = self._overlay.visits
        stands = summaries.execution(visits, visits.last)
        states = {
            name: row for name in self._names if (row := self._state(name)) != self._told.get(name)
        }
        told = {
            "states": states,
            "visits": [self._visit(visit) for visit in self._visits],
            "taken": self._newly_taken() if self._moved else [],
            "waiting": [self._wait(each) for each in stands.waiting[:_SHOWN]],
            "failure": None if stands.failure is None else stands.failure.visit.entered,
            "status": stands.status,
            "start": stands.start,
            "end": stands.end,
            "now": visits.last,
            "events": stands.events,
            "transitions": stands.transitions,
            "redrives": stands.redrives,
        }
        self._told |= states
        self._visits, self._names, self._moved = {}, {}, False
        return told

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
