"""Rules and findings: what the files of rules and the output have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from stepwell.asl.inference.flow import Facts, ResultsOfTasks, infer
from stepwell.asl.inference.machine import Machine
from stepwell.asl.inference.shapes import Shape
from stepwell.asl.resources import Resource

ERROR: Final = "error"
WARNING: Final = "warning"
NOTE: Final = "note"
SEVERITIES: Final = (ERROR, WARNING, NOTE)
# (resource, names of its parameters) -> what is wrong with them, and the mend
CheckOfParameters: TypeAlias = Callable[[Resource, frozenset[str]], Iterable[str]]
_Result = TypeVar("_Result")
_BY_LETTER: Final = {"E": ERROR, "W": WARNING, "N": NOTE}


class Finding(NamedTuple):
    """One finding. location: "/States/A/Next"; message: what is wrong, and the mend."""

    code: str
    severity: str
    location: str
    message: str


class Subject:
    """What rules examine: a machine, and what flows through it."""

    def __init__(
        self,
        machine: Machine,
        execution_input: Shape,
        results: ResultsOfTasks,
        parameters: CheckOfParameters,
    ) -> None:
        self.machine, self.execution_input, self.results = machine, execution_input, results
        self.parameters = parameters
        self._known: dict[tuple[Any, ...], Any] = {}

    def once(self, find: Callable[..., _Result], *arguments: Any) -> _Result:
        """find(*arguments), computed once for several rules."""
        key = (find, *arguments)
        if key not in self._known:
            self._known[key] = find(*arguments)
        result: _Result = self._known[key]
        return result

    @cached_property
    def facts(self) -> Facts:
        return infer(self.machine, self.execution_input, self.results)


Found: TypeAlias = tuple[str, str]  # (location, message)
Find: TypeAlias = Callable[[Subject], Iterator[Found]]


class Rule(NamedTuple):
    """A rule. code: its first letter is the severity; name: for people; sentence: what it finds;
    find: yields the findings.
    """

    code: str
    name: str
    sentence: str
    find: Find

    @property
    def severity(self) -> str:
        return _BY_LETTER[self.code[0]]
