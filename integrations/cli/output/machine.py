"""What the output shows of a state machine: labels of its states, and where a visit is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from stepwell.asl.blocks import every_state
from stepwell.asl.histories.deferred_reevaluation import DeferredReevaluation
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.state_visits import Event, Visit
from stepwell.integrations.cli.output.text import DIM, Line, count, printable
from stepwell.visualize.words.labels import task_label, wait_label


def label(state: Mapping[str, Any]) -> str:
    """What a state does in a few words, from its definition: "Lambda: charge-card", "Wait 10 s",
    "Map".
    """
    kind = str(state.get("Type", ""))
    if kind == "Task":
        return task_label(
            str(state.get("Resource", "")), state.get("Parameters", state.get("Arguments"))
        )
    if kind == "Wait":
        seconds, timestamp = (
            state.get(field, state.get(f"{field}Path")) for field in ("Seconds", "Timestamp")
        )
        return wait_label(seconds, timestamp)
    if kind == "Parallel":
        return f"Parallel · {count(len(state.get('Branches', ())), 'branch')}"
    return kind


class Machine(NamedTuple):
    """What the output shows of a state machine besides the events."""

    name: str
    type: str  # STANDARD, EXPRESS
    definition: Mapping[str, Any]
    states: Mapping[str, Mapping[str, Any]]
    place: Sequence[str] = ()  # the options that lead there, for the commands that are proposed

    def label(self, visit: Visit) -> str:
        text = (
            label(self.states[visit.name])
            if visit.name in self.states
            else visit.resource or visit.type
        )
        if visit.type == "Choice" and visit.after is not None:
            return f"{text} → {printable(visit.after.name, 40)}"
        return text

    def visits(self, events: Iterable[Event] = ()) -> Visits:
        """The visits of an execution, with the data that follows from the definition."""
        return Visits(events, DeferredReevaluation(self.definition))

    def line(self, run: str) -> Line:
        """The first line of an execution: machine, name, type, language, number of states."""
        about = (
            f"{self.type.lower()} · {self.definition.get('QueryLanguage', 'JSONPath')} · "
            f"{count(len(self.states), 'state')}"
        )
        return [
            (printable(self.name), "bold"),
            ("  run ", DIM),
            (printable(run), ""),
            (f"  {about}", DIM),
        ]


def machine(
    name: str, type: str, definition: Mapping[str, Any], place: Sequence[str] = ()
) -> Machine:
    return Machine(name, type, definition, dict(every_state(definition)), place)


def where(visit: Visit, top: Visit | None = None) -> str:
    """A visit's name with those of the Parallels and Maps around it (inside `top` only): "Ship ›
    Pack", "Resize[3] › Convert".
    """
    path = [*visit.around(), visit]
    if top is not None:
        path = path[path.index(top) + 1 :]
    names = []
    for each, inner in zip(path, [*path[1:], None], strict=True):
        place = (
            f"[{inner.index}]"
            if inner is not None and each.type == "Map" and inner.index is not None
            else ""
        )
        names.append(printable(each.name, 80) + place)
    prefix = (
        f"#{path[0].index} "
        if top is not None and top.type == "Map" and path[0].index is not None
        else ""
    )
    return prefix + " › ".join(names)
