"""Mock files: MockConfigFile.json of Step Functions Local, with Items and Pending as additions.

    {"StateMachines": {MACHINE: {"TestCases": {CASE: {STATE: RESPONSE, ...}}}},
     "MockedResponses": {RESPONSE: {"0": {"Return": RESULT},
                                    "1-2": {"Throw": {"Error": NAME, "Cause": TEXT}}}}}

In place of RESPONSE a state may have {"Items": {"0": RESPONSE, "1-3": RESPONSE}, "Default":
RESPONSE}: responses by the index of a Map iteration; for other keys, see cases.Iterations. In place
of Return and Throw, {"Pending": true} never answers. States are named without the states that
contain them: names are unique in a state machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.engine.errors import ApiError
from stepwell.integrations.mocks import messages
from stepwell.integrations.mocks.cases import (
    ItemKey,
    Items,
    Iterations,
    Pending,
    Plan,
    Responses,
    Return,
    Step,
    TestCase,
    Throw,
    iterations,
)

__all__ = ["Items", "MockFile", "MockFileError", "Return", "TestCase", "Throw", "read_mocks"]

_NUMBERS: Final = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?")
_KINDS: Final = {"Return", "Throw", "Pending"}
_MACHINES, _RESPONSES, _CASES = "StateMachines", "MockedResponses", "TestCases"


class MockFileError(ValueError):
    """faults: all of a file, each as "file:line:column: text"."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class MockFile:
    """The test cases of state machines.

    machines  name of a state machine -> name of a test case -> the test case
    warnings  mistakes that concern only those who use what has them: "file:line:column: text"
    """

    def __init__(
        self,
        machines: Mapping[str, Mapping[str, TestCase]],
        filename: str = "",
        warnings: Sequence[str] = (),
    ) -> None:
        self.machines, self.filename, self.warnings = machines, filename, warnings

    @property
    def loaded(self) -> bool:
        """False: it stands for the file that was not named."""
        return bool(self.machines or self.filename)

    def find(self, machine: str, case: str) -> TestCase | None:
        return self.machines.get(machine, {}).get(case)

    def case(self, machine: str, case: str) -> TestCase:
        """Raises ApiError InvalidName, which names the test cases that exist."""
        found = self.find(machine, case)
        if found is None and not self.loaded:
            raise ApiError("InvalidName", messages.NO_FILE.format(case=case))
        if found is None:
            cases = self.machines.get(machine, {})
            known = messages.KNOWN_CASES.format(cases=", ".join(cases))
            text = messages.UNKNOWN_CASE.format(
                case=case, machine=machine, known=known if cases else messages.NO_CASES
            )
            raise ApiError("InvalidName", text)
        return found


def read_mocks(path: Path | str) -> MockFile:
    """Raises MockFileError, OSError."""
    return parse_mocks(Path(path).read_bytes(), str(path))


def parse_mocks(data: bytes, filename: str) -> MockFile:
    """Raises MockFileError."""
    try:
        text = data.decode("utf-8-sig")
        value = json_text.loads(text)
    except UnicodeDecodeError:
        raise MockFileError(
            [f"{filename}:1:1: {messages.FILE_NOT_JSON.format(problem='not UTF-8 text')}"]
        ) from None
    except json_text.JsonError as fault:
        at = f"{filename}:{max(fault.line, 1)}:{max(fault.column, 1)}"
        raise MockFileError(
            [f"{at}: {messages.FILE_NOT_JSON.format(problem=fault.message)}"]
        ) from None
    reader = _Reader(text, filename)
    machines = reader.read(value)
    if reader.faults:
        raise MockFileError([text for _, text in sorted([*reader.faults, *reader.warnings])])
    return MockFile(machines, filename, [text for _, text in sorted(reader.warnings)])


class _Reader:
    """Reads one file, and collects all of its faults: ((line, column), text).

    warnings  those that other tools accept: the last of duplicate keys counts, and a response that
              does not exist is missed when a task needs it
    """

    def __init__(self, text: str, filename: str) -> None:
        self.faults: list[tuple[tuple[int, int], str]] = []
        self.warnings: list[tuple[tuple[int, int], str]] = []
        self._filename, self._text = filename, text
        self._places = json_text.positions(text)

    def read(self, value: Json) -> dict[str, dict[str, TestCase]]:
        if json_text.has_duplicates(self._text):
            for at, first, second in json_text.duplicates(self._text):
                text = messages.DUPLICATE.format(key=at.rpartition("/")[2], line=first[0])
                place = f"{self._filename}:{second[0]}:{second[1]}"
                self.warnings.append((second, f"{place}: warning: {text}"))
        if not self._is_object("/", value, "a mock file"):
            return {}
        self._keys("/", value, (_MACHINES, _RESPONSES), (_MACHINES,))
        responses = self._responses(value.get(_RESPONSES, {}))
        at, machines = f"/{_MACHINES}", value.get(_MACHINES, {})
        if not self._is_object(at, machines, _MACHINES):
            return {}
        return {
            name: self._machine(json_text.member(at, name), machine, responses)
            for name, machine in machines.items()
        }

    # --- responses --------------------------------------------------------------------------------

    def _responses(self, value: Json) -> dict[str, tuple[Step, ...]]:
        at = f"/{_RESPONSES}"
        if not self._is_object(at, value, _RESPONSES):
            return {}
        return {
            name: self._steps(json_text.member(at, name), name, each)
            for name, each in value.items()
        }

    def _steps(self, at: str, name: str, value: Json) -> tuple[Step, ...]:
        if not self._is_object(at, value, f"response {name!r}"):
            return ()
        if not value:
            self._fault(at, messages.RESPONSES_EMPTY, name=name)
        steps = []
        for key, indexes, here in self._numbered(at, value):
            response = self._response(here, key, value[key])
            if response is not None:
                steps.append(Step(indexes[0], indexes[-1], response, self._place(here)))
        return tuple(sorted(steps, key=lambda step: step.first))

    def _numbered(self, at: str, value: Mapping[str, Json]) -> list[tuple[str, range, str]]:
        """(key, its numbers, its location) of each member whose key is a number or a range."""
        found: list[tuple[str, range, str]] = []
        for key in value:
            here, match = json_text.member(at, key), _NUMBERS.fullmatch(key)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
            if last < first:
                self._fault(here, messages.NUMBER, key=key)
                continue
            for other, numbers, _ in found:
                if first <= numbers[-1] and numbers[0] <= last:
                    self._fault(here, messages.OVERLAP, key=key, other=other)
                    break
            found.append((key, range(first, last + 1), here))
        return found

    def _response(self, at: str, key: str, value: Json) -> Return | Throw | Pending | None:
        found = _KINDS & value.keys() if isinstance(value, dict) else ()
        if not isinstance(value, dict) or len(found) != 1:
            self._fault(at, messages.RETURN_OR_THROW, key=key)
            return None
        if "Return" in value:
            return Return(value["Return"])
        if "Pending" in value:
            return Pending()
        thrown, at = value["Throw"], f"{at}/Throw"
        if not self._is_object(at, thrown, "Throw"):
            return None
        error, cause = thrown.get("Error"), thrown.get("Cause")
        if not isinstance(error, str | None):
            self._fault(f"{at}/Error", messages.THROW_FIELD, field="Error")
        if not isinstance(cause, str | None):
            self._fault(f"{at}/Cause", messages.THROW_FIELD, field="Cause")
        return Throw(error, cause)

    # --- test cases -------------------------------------------------------------------------------

    def _machine(
        self, at: str, value: Json, responses: Mapping[str, tuple[Step, ...]]
    ) -> dict[str, TestCase]:
        if not self._is_object(at, value, "a state machine"):
            return {}
        known = len(self.faults)
        self._keys(at, value, (_CASES,))
        if _CASES not in value and len(self.faults) == known:  # none can be chosen
            self._warn(at, messages.MISSING_KEY, key=_CASES)
        at, cases, found = f"{at}/{_CASES}", value.get(_CASES, {}), {}
        if not self._is_object(at, cases, _CASES):
            return {}
        for name, case in cases.items():
            here = json_text.member(at, name)
            if self._is_object(here, case, f"test case {name!r}"):
                states = {
                    state: self._state(json_text.member(here, state), state, each, responses)
                    for state, each in case.items()
                }
                found[name] = TestCase(states, name, self._place(here))
        return found

    def _state(
        self, at: str, state: str, value: Json, responses: Mapping[str, tuple[Step, ...]]
    ) -> Responses | Items:
        if isinstance(value, str):
            return self._named(at, value, responses)
        if not isinstance(value, dict):
            self._fault(at, messages.STATE_VALUE, state=state)
            return Items({})
        for key in value.keys() - {"Items", "Default"}:
            self._fault(json_text.member(at, key), messages.ITEMS_KEY, key=key)
        items, default = value.get("Items"), value.get("Default")
        if not isinstance(items, dict) or not items:
            self._fault(at, messages.ITEMS_EMPTY)
            items = {}
        others = None
        if "Default" in value:
            others = self._named(f"{at}/Default", default, responses)
        return Items(self._items(f"{at}/Items", items, responses), others)

    def _items(
        self, at: str, value: Mapping[str, Json], responses: Mapping[str, tuple[Step, ...]]
    ) -> dict[ItemKey, Plan]:
        found: dict[str, Iterations] = {}
        for key in value:
            here, parsed = json_text.member(at, key), iterations(key)
            if parsed is None:
                self._fault(here, messages.ITERATION, key=key)
                continue
            for other, earlier in found.items():
                if parsed.overlaps(earlier):
                    self._fault(here, messages.OVERLAP, key=key, other=other)
                    break
            found[key] = parsed
        return {key: self._named(json_text.member(at, key), value[key], responses) for key in found}

    def _named(self, at: str, name: Json, responses: Mapping[str, tuple[Step, ...]]) -> Responses:
        if not isinstance(name, str):
            what = at.rpartition("/")[2]
            self._fault(at, messages.NAME_EXPECTED, what=repr(what))
            return Responses(())
        if name not in responses:
            hint = messages.meant(name, responses)
            self._warn(at, messages.NO_RESPONSE_NAMED, name=name, hint=hint)
        return Responses(responses.get(name, ()), name, self._place(at))

    # --- places -----------------------------------------------------------------------------------

    def _keys(
        self,
        at: str,
        value: Mapping[str, Any],
        known: tuple[str, ...],
        required: tuple[str, ...] = (),
    ) -> None:
        """Other keys, such as a Comment, are allowed; misspelt ones are not."""
        for key in value.keys() - set(known):
            close = get_close_matches(key, set(known) - value.keys(), 1)
            if close:
                here = json_text.member(at, key)
                return self._fault(here, messages.MISSPELT, key=key, known=close[0])
        for key in required:
            if key not in value:
                self._fault(at, messages.MISSING_KEY, key=key)
        return None

    def _is_object(self, at: str, value: Json, what: str) -> bool:
        if not isinstance(value, dict):
            self._fault(at, messages.NOT_OBJECT, what=what)
        return isinstance(value, dict)

    def _place(self, at: str) -> str:
        line, column = json_text.nearest(self._places, at)
        return f"{self._filename}:{line}:{column}"

    def _fault(self, at: str, message: str, **values: object) -> None:
        self.faults.append(self._placed(at, message.format(**values)))

    def _warn(self, at: str, message: str, **values: object) -> None:
        self.warnings.append(self._placed(at, f"warning: {message.format(**values)}"))

    def _placed(self, at: str, text: str) -> tuple[tuple[int, int], str]:
        return json_text.nearest(self._places, at), f"{self._place(at)}: {text}"
