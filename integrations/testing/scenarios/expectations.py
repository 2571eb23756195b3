"""What a scenario expects, and how a result differs from it.

Members that are not written are not compared. `..._contains` compares a part: an object may have
other members, at any depth; a text may have more around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stepwell.asl import json_text
from stepwell.asl.evaluation import MISSING, Json
from stepwell.integrations.testing.results import (
    Result,
    StateResult,
    first_missing,
    names,
    shorten,
)
from stepwell.visualize.words.texts import took

_SHOWN: Final = 20  # differences of one value
_PART: Final = "_contains"


class StateExpectation(BaseModel):
    """Of the last visit of a state."""

    model_config = ConfigDict(extra="forbid")

    input: Any = None
    input_contains: Any = None
    arguments: Any = None
    arguments_contains: Any = None
    result: Any = None
    result_contains: Any = None
    output: Any = None
    output_contains: Any = None
    error: str | None = None
    cause_contains: str | None = None
    attempts: int | None = Field(default=None, ge=0)
    visits: int | None = Field(default=None, ge=0)


class Expectation(BaseModel):
    """Of an execution. Without a status it is FAILED if an error or a cause is expected, else
    SUCCEEDED. The duration may differ by less than a second, because functions take real time.

    machines  name -> of the last execution of another state machine, which a task has started
    """

    model_config = ConfigDict(extra="forbid")

    status: Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"] | None = None
    output: Any = None
    output_contains: Any = None
    error: str | None = None
    cause: str | None = None
    cause_contains: str | None = None
    visited: list[str] | None = None
    visited_contains: list[str] | None = None
    not_visited: list[str] | None = None
    states: dict[str, StateExpectation] = Field(default_factory=dict)
    duration: float | None = Field(default=None, ge=0)
    machines: dict[str, Expectation] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_ending(self) -> Expectation:
        if self.wanted_status == "SUCCEEDED" and self._failure():
            raise ValueError(f"an execution that has SUCCEEDED has no {self._failure()}")
        if self.wanted_status != "SUCCEEDED" and self.model_fields_set & {
            "output",
            "output_contains",
        }:
            raise ValueError(f"an execution that has {self.wanted_status} has no output")
        return self

    def _failure(self) -> str:
        return next(
            (
                name
                for name in ("error", "cause", "cause_contains")
                if getattr(self, name) is not None
            ),
            "",
        )

    @property
    def wanted_status(self) -> str:
        return self.status or ("FAILED" if self._failure() else "SUCCEEDED")


class Mismatch(NamedTuple):
    """location: JSON pointer in the Expectation; lines: what differs."""

    location: str
    lines: list[str]


def mismatches(expected: Expectation, result: Result) -> Iterator[Mismatch]:
    """How a result differs, in the order of importance."""
    if result.status != expected.wanted_status:
        text = f"status: expected {expected.wanted_status}, got {result.status}"
        yield Mismatch("/status", [text])
    for name in ("error", "cause"):
        yield from _value(expected, name, result, "/" + name)
    yield from _part_of_text(expected.cause_contains, result.cause, "cause", "")
    if result.status == "SUCCEEDED":
        for name in ("output", "output_contains"):
            yield from _value(expected, name, result, "/" + name)
    yield from _way(expected, result)
    if expected.duration is not None and abs(expected.duration - result.duration) >= 1:
        expected_text, text = (_seconds(each) for each in (expected.duration, result.duration))
        yield Mismatch("/duration", [f"duration: expected {expected_text}, got {text}"])
    for name, state in expected.states.items():
        yield from _state(name, state, result)
    for name, other in expected.machines.items():
        yield from _other(name, other, result)


def _other(name: str, expected: Expectation, result: Result) -> Iterator[Mismatch]:
    at = json_text.member("/machines", name)
    try:
        found = result.execution(name)
    except LookupError as fault:
        yield Mismatch(at, [fault.args[0]])
        return
    for location, (first, *rest) in mismatches(expected, found):
        yield Mismatch(at + location, [f"{name}: {first}", *rest])


def _seconds(duration: float) -> str:
    """3 s, 86400 s (1 d): the number as a scenario has it."""
    text = f"{round(duration, 3):.15g} s"
    return text if duration < 60 else f"{text} ({took(duration)})"


def _way(expected: Expectation, result: Result) -> Iterator[Mismatch]:
    visits = names(result)
    wanted = expected.visited
    if wanted is not None and not (
        len(wanted) == len(visits)
        and all(each in way for each, way in zip(wanted, visits, strict=True))
    ):
        yield Mismatch("/visited", ["visited differs", *_steps(wanted, visits)])
    missing = first_missing(expected.visited_contains or (), result)
    if missing is not None:
        yield Mismatch("/visited_contains", [f"not visited in this order: {missing}"])
    for index, name in enumerate(expected.not_visited or ()):
        if any(name in way for way in visits):
            yield Mismatch(
                json_text.item("/not_visited", index), [f"visited, but should not be: {name}"]
            )


def _steps(wanted: list[str], visits: list[tuple[str, str]]) -> Iterator[str]:
    """A diff of two ways: "  A", "- B" that was expected, "+ C" that was visited."""
    import difflib

    got = [at if at in wanted or name not in wanted else name for name, at in visits]
    for line in difflib.ndiff(wanted, got):
        if not line.startswith("?"):
            yield line


def _state(name: str, expected: StateExpectation, result: Result) -> Iterator[Mismatch]:
    at = json_text.member("/states", name)
    if expected.visits == 0:
        if any(name in way for way in names(result)):
            yield Mismatch(at + "/visits", [f"visited, but should not be: {name}"])
        return
    try:
        state = result.state(name)
    except LookupError as fault:
        yield Mismatch(at, [fault.args[0]])
        return
    for field in (name for name in StateExpectation.model_fields if name in _COMPARED):
        yield from _value(expected, field, state, f"{at}/{field}", f"{name}: ")
    yield from _part_of_text(expected.cause_contains, state.cause, "cause", at, f"{name}: ")
    if expected.visits is not None and expected.visits != len(state.visits):
        text = f"{name}: expected {expected.visits} visits, got {len(state.visits)}"
        yield Mismatch(at + "/visits", [text])


_COMPARED: Final = frozenset(StateExpectation.model_fields) - {"visits", "cause_contains"}


def _value(
    expected: BaseModel, field: str, got: Result | StateResult, location: str, prefix: str = ""
) -> Iterator[Mismatch]:
    """Compare one member, if it is written."""
    if field not in expected.model_fields_set:
        return
    part = field.endswith(_PART)
    name = field.removesuffix(_PART)
    lines = list(differences(getattr(expected, field), getattr(got, name), part))
    if lines:
        lines = [line.removeprefix("$: ") for line in lines]
        more = len(lines) - _SHOWN
        cut = [f"… {more} more"] if more > 0 else []
        yield Mismatch(location, [f"{prefix}{name} differs", *lines[:_SHOWN], *cut])


def _part_of_text(
    wanted: str | None, got: str | None, name: str, at: str, prefix: str = ""
) -> Iterator[Mismatch]:
    if wanted is not None and wanted not in (got or ""):
        lines = [f"{prefix}{name} differs", f"expected it to contain {wanted!r}", f"got {got!r}"]
        yield Mismatch(f"{at}/{name}{_PART}", lines)


def differences(wanted: Json, got: Json, part: bool = False, at: str = "$") -> Iterator[str]:
    """One line for each place where two JSON values differ.

    part  objects of `got` may have more members
    """
    if isinstance(wanted, dict) and isinstance(got, dict):
        for name, value in wanted.items():
            yield from differences(value, got.get(name, MISSING), part, _member(at, name))
        if not part:
            for name in got.keys() - wanted.keys():
                yield f"{_member(at, name)}: unexpected {_show(got[name])}"
    elif isinstance(wanted, list) and isinstance(got, list):
        for index in range(max(len(wanted), len(got))):
            here = f"{at}[{index}]"
            if index >= len(wanted):
                yield f"{here}: unexpected {_show(got[index])}"
            else:
                inner = got[index] if index < len(got) else MISSING
                yield from differences(wanted[index], inner, part, here)
    elif got is MISSING:
        yield f"{at}: missing, expected {_show(wanted)}"
    elif isinstance(wanted, bool) is not isinstance(got, bool) or wanted != got:
        yield f"{at}: expected {_show(wanted)}, got {_show(got)}"


def _member(at: str, name: str) -> str:
    return f"{at}.{name}" if name.isidentifier() else f"{at}[{json_text.dumps(name)}]"


_show: Callable[[Json], str] = lambda value: shorten(json_text.dumps(value))
