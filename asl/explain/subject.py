"""What an explanation is about (Subject), and what it says (Hint)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stepwell.asl.blocks import inner_blocks
from stepwell.asl.evaluation import MISSING, Env, Json
from stepwell.asl.limits import DEFAULT_LIMITS, Limits

CAUSE: Final = "cause"  # of the failure
WARNING: Final = "warning"  # the state did not fail, but this is probably not what was meant
NOTE: Final = "note"  # a fact: why a value is null


@dataclass(frozen=True, slots=True)
class Hint:
    """code: of its rule; level: CAUSE, WARNING or NOTE; field: its place in the state
    ("Parameters/total.$"); text: one line.
    """

    code: str
    level: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """A state that ran before, or the Parallel or Map around the state (`around`).

    fields          its definition
    result          of its work; MISSING if it has none, or it is unknown
    input, output   MISSING where only the definition is known
    caught          a catcher made its output
    """

    name: str
    fields: Mapping[str, Any]
    input: Json = MISSING
    output: Json = MISSING
    result: Json = MISSING
    caught: bool = False
    around: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """One visit of a state.

    fields     the state's definition; machine: that of its state machine
    documents  what `$` is, by the stage: "input" (the state input), "selected" (after InputPath),
               "result" (of the work), "joined" (after ResultPath), "error" (the Error Output);
               "items": those of a Map. One that the state did not reach is left out
    context    the Context object
    error      of its failure, None without one; cause: its text
    earlier    the states that ran before it, the last one last
    alone      the state ran by itself: the states before it are unknown
    """

    name: str
    fields: Mapping[str, Any]
    machine: Mapping[str, Any]
    jsonata: bool
    documents: Mapping[str, Json]
    variables: Mapping[str, Json] = field(default_factory=dict)
    context: Mapping[str, Json] = field(default_factory=dict)
    error: str | None = None
    cause: str | None = None
    earlier: tuple[Earlier, ...] = ()
    alone: bool = False
    now: float = 0.0
    limits: Limits = DEFAULT_LIMITS

    @property
    def type(self) -> str:
        return str(self.fields.get("Type", ""))

    @property
    def awaits_result(self) -> bool:
        """Whether the state ran alone, and no result of its work was given."""
        return self.alone and self.type in WORKING and "result" not in self.documents

    def env(self, field: str = "") -> Env:
        """What the expressions of a field read. An ItemSelector has the first item in its Context
        object.
        """
        context = dict(self.context)
        items = self.documents.get("items")
        if field.startswith("ItemSelector") and isinstance(items, list) and items:
            context["Map"] = {"Item": {"Index": 0, "Value": items[0]}}
        return Env(
            self.documents.get("input"),
            self.variables,
            lambda: context,
            lambda: bytes(16),
            self.now,
            self.documents.get("result", MISSING) if self.type in WORKING else MISSING,
            self.documents.get("error", MISSING),
        )


WORKING: Final = ("Task", "Parallel", "Map")  # have a result of their own


def states(block: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """All states of a definition by name, at any depth, each with its QueryLanguage."""
    found: dict[str, Mapping[str, Any]] = {}
    language = block.get("QueryLanguage", "JSONPath")
    for name, state in block.get("States", {}).items():
        found[name] = {"QueryLanguage": language, **state}
        for inner in inner_blocks(state):
            found |= states({"QueryLanguage": language, **inner})
    return found


def scopes(block: Mapping[str, Any], around: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """State -> the names of the Parallels and Maps around it."""
    found: dict[str, tuple[str, ...]] = {}
    for name, state in block.get("States", {}).items():
        found[name] = around
        for inner in inner_blocks(state):
            found |= scopes(inner, (*around, name))
    return found
