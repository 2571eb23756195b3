"""A definition for the rules: its blocks and states with their locations, and the transitions
between them.

It reads the JSON value, as checks.py does: texts with unfilled placeholders may be anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Final, NamedTuple

from stepwell.asl.blocks import PROCESSORS
from stepwell.asl.checks import targets
from stepwell.asl.definition import DISTRIBUTED, JSONATA, JSONPATH
from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import PLACEHOLDER
from stepwell.asl.json_text import item, member
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.resources import Resource, parse_resource

_HOLE: Final = "\0"
_SAMPLES: Final = {1: "aws", 3: "us-east-1", 4: "123456789012"}  # parts of an ARN


class Edge(NamedTuple):
    """A transition. field: Next, Default; holder: "", "Choices" or "Catch"; place: of the rule or
    catcher in it; location: of the field.
    """

    field: str
    target: str
    location: str
    holder: str = ""
    place: int = -1


class State:
    """One state. fields: as written; location: "/States/A"; blocks: those inside it."""

    def __init__(self, name: str, fields: dict[str, Json], location: str, block: Block) -> None:
        self.name, self.fields, self.location, self.block = name, fields, location, block
        self.type = fields.get("Type")
        language = fields.get("QueryLanguage", block.machine.language)
        self.jsonata = language == JSONATA
        self.blocks = tuple(self._blocks())

    def _blocks(self) -> Iterator[Block]:
        machine = self.block.machine
        if self.type == "Parallel":
            for index, branch in enumerate(entries(self.fields, "Branches")):
                where = item(member(self.location, "Branches"), index)
                yield Block(machine, branch, where, self)
        elif self.type == "Map":
            for name in PROCESSORS:
                if isinstance(processor := self.fields.get(name), dict):
                    yield Block(machine, processor, member(self.location, name), self)

    def at(self, field: str) -> str:
        """The location of a field."""
        return member(self.location, field)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """The transitions in the order of the text, each to a state that exists."""
        places = {
            member(item(self.at(holder), index), "Next"): (holder, index)
            for holder in ("Choices", "Catch")
            for index in range(len(entries(self.fields, holder)))
        }
        return tuple(
            Edge(field, target, where, *places.get(where, ("", -1)))
            for field, target, where in targets(self.fields, self.location)
            if target in self.block.states
        )

    @cached_property
    def resource(self) -> Resource | None:
        """Of a Task; None if it is not known. A placeholder may be the partition, the region or
        the account.
        """
        text = self.fields.get("Resource")
        if self.type != "Task" or not isinstance(text, str):
            return None
        parts = PLACEHOLDER.sub(_HOLE, text).split(":")
        for place, value in _SAMPLES.items():
            if len(parts) > place and _HOLE in parts[place]:
                parts[place] = value
        return None if any(_HOLE in part for part in parts) else parse_resource(":".join(parts))

    @property
    def distributed(self) -> bool:
        """Whether it is a Map whose iterations are executions of their own."""
        return any(block.config.get("Mode") == DISTRIBUTED for block in self.blocks)

    def around(self) -> Iterator[State]:
        """The Parallels and Maps that contain it, the innermost first."""
        owner = self.block.owner
        while owner is not None:
            yield owner
            owner = owner.block.owner


class Block:
    """The machine, a branch, or an ItemProcessor."""

    def __init__(
        self, machine: Machine, fields: dict[str, Json], location: str, owner: State | None
    ) -> None:
        self.machine, self.fields, self.location, self.owner = machine, fields, location, owner
        config = fields.get("ProcessorConfig")
        self.config: dict[str, Json] = config if isinstance(config, dict) else {}
        self.states: dict[str, State] = {}
        inside = member(location, "States")
        states = fields.get("States")
        for name, state in states.items() if isinstance(states, dict) else ():
            if isinstance(state, dict):
                self.states[name] = State(name, state, member(inside, name), self)

    @property
    def start(self) -> State | None:
        start = self.fields.get("StartAt")
        return self.states.get(start) if isinstance(start, str) else None

    @property
    def express(self) -> bool:
        """Whether its states run in an Express execution."""
        if self.config.get("Mode") == DISTRIBUTED:
            return self.config.get("ExecutionType") == "EXPRESS"
        return self.owner.block.express if self.owner else self.machine.express

    @cached_property
    def loops(self) -> tuple[tuple[State, ...], ...]:
        """The sets of states that lead to each other (Tarjan), in the order of the text."""
        places: dict[str, int] = {}  # in the order of the visits
        low: dict[str, int] = {}
        open_: list[str] = []
        found: list[set[str]] = []
        for root in self.states:
            waiting = [] if root in places else [(root, iter(self.states[root].edges))]
            while waiting:
                name, edges = waiting[-1]
                if name not in places:
                    places[name] = low[name] = len(places)
                    open_.append(name)
                edge = next(edges, None)
                if edge is None:
                    waiting.pop()
                    if low[name] == places[name]:
                        at = open_.index(name)
                        found.append(set(open_[at:]))
                        del open_[at:]
                    if waiting:
                        above = waiting[-1][0]
                        low[above] = min(low[above], low[name])
                elif edge.target not in places:
                    waiting.append((edge.target, iter(self.states[edge.target].edges)))
                elif edge.target in open_:
                    low[name] = min(low[name], places[edge.target])
        loops = [each for each in found if self._cyclic(each)]
        return tuple(tuple(s for n, s in self.states.items() if n in loop) for loop in loops)

    def _cyclic(self, names: set[str]) -> bool:
        return any(edge.target in names for name in names for edge in self.states[name].edges)

    def leading_to(self, names: Iterable[str]) -> set[str]:
        """These states, and all that may come before them."""
        before: dict[str, list[str]] = {}
        for name, state in self.states.items():
            for edge in state.edges:
                before.setdefault(edge.target, []).append(name)
        reached = set(names)
        waiting = list(reached)
        while waiting:
            new = set(before.get(waiting.pop(), ())) - reached
            reached |= new
            waiting += new
        return reached


class Machine:
    """A state machine. express: its type."""

    def __init__(
        self, fields: dict[str, Json], express: bool = False, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.fields, self.express, self.limits = fields, express, limits
        self.language = JSONATA if fields.get("QueryLanguage") == JSONATA else JSONPATH
        self.block = Block(self, fields, "/", None)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, outer ones first."""
        found = [self.block]
        for block in found:
            found += [inner for state in block.states.values() for inner in state.blocks]
        return tuple(found)

    @cached_property
    def states(self) -> tuple[State, ...]:
        """All states."""
        return tuple(state for block in self.blocks for state in block.states.values())


def entries(fields: dict[str, Json], name: str) -> list[dict[str, Any]]:
    """The objects of a list field: Choices, Retry, Catch, Branches. [] if it is not one."""
    value = fields.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def texts(value: Json, location: str) -> Iterator[tuple[str, str, str]]:
    """(key, text, location) of every string in a value; key "" in arrays and at the top."""
    waiting: list[tuple[str, Json, str]] = [("", value, location)]
    while waiting:
        key, each, where = waiting.pop()
        if isinstance(each, str):
            yield key, each, where
        elif isinstance(each, dict):
            waiting += [(name, inner, member(where, name)) for name, inner in each.items()]
        elif isinstance(each, list):
            waiting += [("", inner, item(where, index)) for index, inner in enumerate(each)]


def own_fields(state: State) -> dict[str, Json]:
    """The fields of a state without its inner blocks."""
    inner = (*PROCESSORS, "Branches")
    return {name: value for name, value in state.fields.items() if name not in inner}
