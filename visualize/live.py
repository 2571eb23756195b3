"""An execution while it runs, told in changes: what a page needs to keep a picture, a table and a timeline as they are. Pure.

    live = Live(Diagram(definition).graph)
    rows = live.feed(events)
    send(rows, live.changes())        # only what is new since the last time

A change is a dict for JSON, small enough to be sent many times a second:

    states   {name: {"status", "count", "retries", "seconds", "done", "total", "failed", "active"}}; status: one of theme.STATUSES
    visits   rows in the order of VISIT, known by their first member, the id of their StateEntered event
    taken    ids of the elements of the picture (edges, rules, joins, jumps) that were gone along; they never become not taken
    status, start, end, now, events, transitions, redrives    of the execution; times are epoch seconds
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stepwell.asl.visits import Event, Visit, details
from stepwell.visualize.choices import Choices
from stepwell.visualize.graph import Graph
from stepwell.visualize.overlay import Overlay

EVENT: Final = ("id", "timestamp", "type", "state", "visit", "error", "previousEventId")
VISIT: Final = ("entered", "name", "type", "status", "start", "end", "parent", "index", "attempts", "error", "resource", "mapRun")
_QUIET: Final = ("StateEntered", "StateExited", "Scheduled", "Started", "Succeeded", "Submitted")  # they concern what is around them only


class Live:
    """One execution of a state machine, from its first event on. It keeps no inputs and outputs, which may be large."""

    def __init__(self, graph: Graph) -> None:
        choices = Choices(graph.definition)
        self._in_doubt = choices.in_doubt
        self._overlay = Overlay((), choices=choices)
        self._edges = [edge for edge in graph.edges if edge.kind]
        self._heads = {edge.id: edge.head for edge in self._edges if graph.nodes[edge.head].kind in ("rule", "join", "jump")}
        self._runs: dict[Visit, str] = {}
        self._visits: dict[Visit, None] = {}  # that may have changed
        self._names: dict[str, None] = {}
        self._moved = False
        self._told: dict[str, dict[str, Any]] = {}
        self._taken: set[str] = set()

    def data_of(self, type: str) -> bool:
        """Whether the data of such events is of use: it tells which of several rules was taken."""
        return self._in_doubt and (type in ("ExecutionStarted", "ChoiceStateEntered") or type.endswith("StateExited"))

    def feed(self, events: Iterable[Event]) -> list[list[Any]]:
        """Take the next events, in order: what a list shows of them, in the order of EVENT."""
        return [self._feed(event, details(event)) for event in events]

    def _feed(self, event: Event, detail: Mapping[str, Any]) -> list[Any]:
        loud = not event["type"].endswith(_QUIET)
        if loud:  # it may end everything that runs, or begin it again
            self._touch(self._overlay.visits.open.values())
        visit = self._overlay.feed(event)
        if visit is not None:
            visit.output = visit.assigned = None
            if visit.before is not None:
                visit.before.input = None
        if loud and (culprit := self._overlay.visits.culprit) is not None:  # what a Fail state gave is told by the end of the execution
            self._touch((culprit,))
        if visit is not None:
            if "mapRunArn" in detail:
                self._runs[visit] = detail["mapRunArn"]
            self._touch((visit, *visit.around()))
            self._moved = self._moved or event["id"] in (visit.entered, visit.exited)
        where = (None, None) if visit is None else (visit.name, visit.entered)
        return [event["id"], event["timestamp"], event["type"], *where, detail.get("error"), event["previousEventId"]]

    def _touch(self, visits: Iterable[Visit]) -> None:
        for visit in visits:
            self._visits[visit] = self._names[visit.name] = None

    def everything(self) -> dict[str, Any]:
        """As if nothing had been told yet."""
        self._touch(self._overlay.visits.all)
        self._told, self._taken, self._moved = {}, set(), True
        return self.changes()

    def changes(self) -> dict[str, Any]:
        """What is new since the last time."""
        visits = self._overlay.visits
        states = {name: row for name in self._names if (row := self._state(name)) != self._told.get(name)}
        told = {
            "states": states,
            "visits": [self._visit(visit) for visit in self._visits],
            "taken": self._newly_taken() if self._moved else [],
            "status": visits.status,
            "start": visits.start,
            "end": visits.end,
            "now": visits.last,
            "events": visits.events,
            "transitions": visits.transitions,
            "redrives": visits.redrives,
        }
        self._told |= states
        self._visits, self._names, self._moved = {}, {}, False
        return told

    def _state(self, name: str) -> dict[str, Any]:
        current, every = self._overlay.current(name), self._overlay.visited(name)
        return {
            "status": self._overlay.status(name),
            "count": len(every),
            "retries": sum(visit.retries for visit in every),
            "seconds": sum(visit.end - visit.start for visit in current if visit.end is not None),
            "done": sum(visit.done for visit in current),
            "failed": sum(visit.failed for visit in current),
            "total": sum(visit.length or 0 for visit in current),
            "active": sum(visit.end is None for visit in current),
        }

    def _visit(self, visit: Visit) -> list[Any]:
        parent = None if visit.parent is None else visit.parent.entered
        times = (visit.start, visit.end)
        return [
            visit.entered, visit.name, visit.type, visit.status, *times, parent, visit.index, visit.attempts, visit.error,
            visit.resource or None, self._runs.get(visit),
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
