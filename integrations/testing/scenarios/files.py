"""Scenario files: order.test.yaml (or .yml, .json) beside order.asl.json.

    machine: order.asl.json      # default: the definition of the same name
    mocks:                       # of all scenarios
      Reserve: {reservation: r-1}
    scenarios:
      - name: The card is declined
        input: {orderId: 7}
        mocks:
          Charge: {error: CardDeclined, cause: no money}
        expect: {error: CardDeclined, visited: [Reserve, Charge, Release]}

docs/reference/scenario-files.md describes all members.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_files import DefinitionFileError, Place
from stepwell.asl.files.placeholders import Placeholders
from stepwell.asl.files.yaml_values import YamlReader
from stepwell.asl.limits import DEFAULT_LIMITS
from stepwell.integrations.definitions.folders import DEFINITIONS, SCENARIOS, file_of
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.mocks.cases import Response, Return, Throw
from stepwell.integrations.testing.errors import WorkflowTestError, suggestion
from stepwell.integrations.testing.mocking import Answer, Answers
from stepwell.integrations.testing.scenarios.expectations import Expectation, StateExpectation

_UNKNOWN: Final = "extra_forbidden"


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


Type = Annotated[Literal["STANDARD", "EXPRESS"], BeforeValidator(_upper)]
Params = dict[str, Any]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Scenario(_Model):
    """One execution and what is expected of it.

    mocks  state -> a value; {error, cause}; {return}; a list of those, one for each call
    case   of the mock file
    """

    name: str
    input: Any = Field(default_factory=dict)
    input_file: str | None = None
    case: str | None = None
    mocks: dict[str, Any] = Field(default_factory=dict)
    params: Params = Field(default_factory=dict)
    start: datetime | None = None
    skip: str | None = None
    expect: Expectation = Field(default_factory=Expectation)


class ScenarioFile(_Model):
    """The members of a file. Paths are relative to it.

    machines  other state machines, which tasks start: name -> definition
    """

    machine: str | None = None
    machines: dict[str, str] = Field(default_factory=dict)
    type: Type | None = None
    params: Params = Field(default_factory=dict)
    functions: str | None = None
    mock_file: str | None = None
    mocks: dict[str, Any] = Field(default_factory=dict)
    start: datetime | None = None
    scenarios: list[Scenario] = Field(min_length=1)


class ScenarioFileError(UsageError):
    """problems: one line each, "order.test.yaml:3:7: message"."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Suite:
    """A scenario file that was read.

    machine  path of the definition
    locate   JSON pointer in the file -> its place
    """

    file: Path
    content: ScenarioFile
    machine: Path
    locate: Callable[[str], Place]

    def at(self, location: str) -> str:
        line, column = self.locate(location)
        return f"{self.file}:{line}:{column}"

    def path(self, relative: str) -> Path:
        return self.file.parent / relative

    @property
    def others(self) -> dict[str, Path]:
        """The definitions of other state machines, by name."""
        return {name: self.path(each) for name, each in self.content.machines.items()}


def read_suite(file: Path) -> Suite:
    """Raises ScenarioFileError with all problems of the file."""
    value, locate = _value(file)
    try:
        content = ScenarioFile.model_validate(value)
    except ValidationError as invalid:
        placed = [(locate(_pointer(each)), _text(each)) for each in invalid.errors()]
        raise ScenarioFileError(
            [f"{file}:{line}:{column}: {text}" for (line, column), text in sorted(placed)]
        ) from None
    twice = _repeated(content.scenarios)
    if twice is not None:
        line, column = locate(json_text.item("/scenarios", twice) + "/name")
        name = content.scenarios[twice].name
        raise ScenarioFileError([f"{file}:{line}:{column}: another scenario is called {name!r}"])
    suite = Suite(file, content, _machine(file, content.machine), locate)
    where = suite.at("/machine") if content.machine else f"{file}:1:1"
    named = {name: suite.at(json_text.member("/machines", name)) for name in content.machines}
    paths = [(where, suite.machine), *((named[name], each) for name, each in suite.others.items())]
    lost = [f"{at}: there is no definition {each}" for at, each in paths if not _is_file(each)]
    if lost:
        raise ScenarioFileError(lost)
    return suite


def _is_file(definition: Path) -> bool:
    return file_of(definition).is_file()


def _value(file: Path) -> tuple[Json, Callable[[str], Place]]:
    """The content of a file, and JSON pointer -> place. Raises ScenarioFileError."""
    try:
        text, placeholders = file.read_bytes().decode("utf-8-sig"), Placeholders({})
        if file.suffix == ".json":
            places = json_text.positions(text)
            return json_text.loads(text), lambda at: json_text.nearest(places, at)
        reader = YamlReader(str(file), placeholders, DEFAULT_LIMITS)
        value = json_text.loads(placeholders.unmarked(json_text.dumps(reader.read(text))))
        return value, lambda at: json_text.nearest(reader.places, at)
    except OSError as fault:
        problem = file_fault(file, fault)
    except UnicodeDecodeError:
        problem = f"{file}:1:1: not UTF-8 text"
    except DefinitionFileError as fault:
        problem = str(fault)
    except json_text.JsonError as fault:
        problem = f"{file}:{fault.line or 1}:{fault.column or 1}: {fault.message}"
    raise ScenarioFileError([problem])


def _machine(file: Path, named: str | None) -> Path:
    """The definition: the one that is named, or the one with the name of the scenario file."""
    if named is not None:
        return file.parent / named
    stem = file.name.removesuffix(next(each for each in SCENARIOS if file.name.endswith(each)))
    beside = [file.with_name(stem + suffix) for suffix in DEFINITIONS]
    return next((each for each in beside if each.is_file()), beside[0])


def _repeated(scenarios: list[Scenario]) -> int | None:
    """The index of the first scenario whose name an earlier one has."""
    known = set()
    for index, scenario in enumerate(scenarios):
        if scenario.name in known:
            return index
        known.add(scenario.name)
    return None


def _pointer(error: ErrorDetails) -> str:
    at = ""
    for part in error["loc"]:
        at = json_text.item(at, part) if isinstance(part, int) else json_text.member(at, part)
    return at or "/"


_MEMBERS: Final[dict[str, type[BaseModel]]] = {
    "expect": Expectation,
    "states": StateExpectation,
    "scenarios": Scenario,
}
# the beginning of a type of pydantic's errors -> our words
_WANTED: Final = {
    "list": "must be a list, such as [A, B]",
    "dict": "must have names and values, such as {NAME: VALUE}",
    "model": "must have names and values, such as {NAME: VALUE}",
    "string": "must be text; write a number, true or null in quotes",
    "float": "must be a number",
    "int": "must be a whole number",
    "greater_than": "must be 0 or more",
    "too_short": "must not be empty",
    "datetime": "must be a time such as 2026-01-31T12:00:00Z",
}


def _text(error: ErrorDetails) -> str:
    """pydantic's error in our words."""
    *around, name = error["loc"] or ("",)
    if error["type"] == _UNKNOWN:
        owner = next((_MEMBERS[str(part)] for part in reversed(around) if part in _MEMBERS), None)
        known = (owner or ScenarioFile).model_fields
        return f"unknown member {name!r}{suggestion(str(name), known)}"
    if error["type"] == "missing":
        return f"the member {name!r} is missing"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    kind = next((text for key, text in _WANTED.items() if error["type"].startswith(key)), None)
    text = kind or error["msg"].removeprefix("Input should ").replace("be ", "must be ", 1)
    return f"{name} {text}" if name else "the file must have members, such as scenarios: [...]"


def answers_of(value: Json, item: str | None, place: str, is_list: bool = False) -> Answers:
    """A mock in short form. A list has a response for each call; anything else answers every call.

    item, place  see Answer
    is_list      the result is a list: of calls is only one of {error} and {return}
    """
    if is_list and isinstance(value, list) and not (value and all(map(_is_call, value))):
        value = {"return": value}
    values = value if isinstance(value, list) else [value]
    if not values:
        raise WorkflowTestError("an empty list has no response: write {return: []} for that result")
    times = 1 if isinstance(value, list) else None
    return tuple(Answer(_response(each), times, item, place, _after(each)) for each in values)


def _is_call(value: Json) -> bool:
    """{error, cause} or {return}, with or without {after}"""
    if not isinstance(value, dict):
        return False
    keys = value.keys() - {"after"}
    return keys == {"return"} or ("error" in keys and keys <= {"error", "cause"})


def _after(value: Json) -> float:
    """Seconds that the call takes. Raises WorkflowTestError."""
    seconds = value.get("after", 0) if _is_call(value) else 0
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise WorkflowTestError(f"after is a number of seconds, not {json_text.dumps(seconds)}")
    return float(seconds)


def _response(value: Json) -> Response:
    """{error, cause} is a failure, {return} a result, as is anything else. See _after."""
    if not _is_call(value):
        return Return(value)
    if "error" in value:
        return Throw(value["error"], value.get("cause"))
    return Return(value["return"])
