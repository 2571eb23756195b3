"""The mocks of one state of a Workflow, as a test writes them, and the responses they become.

.mock("Charge", error="Busy", times=2).mock("Charge", {"id": 1})   # twice, then all others
.mock("Poll", "RUNNING", "RUNNING", "DONE")                        # one for each call
.mock("Resize", error="Broken", item=3)                            # in one Map iteration
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.engine.tasks import ITEM_READER, RESULT_WRITER
from stepwell.integrations.mocks import checks
from stepwell.integrations.mocks.cases import (
    Items,
    Response,
    Responses,
    Return,
    Step,
    Throw,
    iterations,
)
from stepwell.integrations.testing.errors import WorkflowTestError, is_expected

__tracebackhide__: Final = is_expected
WHOLE: Final = ("Parallel", "Map")


@dataclass(frozen=True, slots=True)
class Target:
    """What a mock answers for.

    name  as a test writes it: that of a state, or "STATE.ItemReader"
    part  "", ItemReader or ResultWriter
    """

    name: str
    state: Mapping[str, Any]
    part: str = ""

    @property
    def whole(self) -> bool:
        """A Parallel or Map, whose states do not run."""
        return not self.part and self.state["Type"] in WHOLE

    @property
    def is_list(self) -> bool:
        """An array is one result."""
        return self.whole or self.part == ITEM_READER

    def check(self, answer: Answer) -> None:
        """Raises WorkflowTestError if it cannot be the answer."""
        value = answer.response
        if self.whole and answer.item is not None:
            raise WorkflowTestError(f"{self._named}: item is for the mocks of its tasks")
        if self.whole and answer.after:
            raise WorkflowTestError(f"{self._named}: after is for the mocks of its tasks")
        if self.whole and not isinstance(value, Return | Throw):
            raise WorkflowTestError(f"{self._named} is mocked with its result, not a callable")
        if isinstance(value, Return) and (wanted := self._wanted(value.value)):
            raise WorkflowTestError(f"{self._named} is mocked with {wanted}")

    @property
    def _named(self) -> str:
        return repr(self.name) if self.part else f"the {self.state['Type']} {self.name!r}"

    def _wanted(self, value: Json) -> str | None:
        """What the result should be; None: it is that."""
        if self.part == ITEM_READER:
            return None if isinstance(value, list | dict) else "the items: an array or an object"
        if self.part or not self.whole:
            return None
        if RESULT_WRITER in self.state:
            return None if isinstance(value, dict) else "the result of its ResultWriter: an object"
        if not isinstance(value, list):
            return "an array: the outputs of all that is in it"
        branches = len(self.state.get("Branches", value))
        return None if branches == len(value) else f"an array of {branches} outputs, one a branch"


def target(name: str, states: Mapping[str, Mapping[str, Any]]) -> Target | None:
    """None: nothing of this name can be mocked."""
    state = states.get(name)
    if state is not None:
        return Target(name, state) if state["Type"] in ("Task", *WHOLE) else None
    outer, _, part = name.rpartition(".")
    if part in checks.PARTS and part in states.get(outer, {}):
        return Target(name, states[outer], part)
    return None


@dataclass(frozen=True, slots=True)
class Answer:
    """A response to calls of a state.

    times  of so many; None: of all further ones
    item   only in this Map iteration, or in these: 3, "1-3" (see mocks.cases.Iterations)
    place  in the scenario: "file:line:column"
    after  seconds that the task takes, in the time of the execution
    """

    response: Response
    times: int | None
    item: int | str | None
    place: str = ""
    after: float = 0.0


Answers = tuple[Answer, ...]


def answers(
    results: tuple[Any, ...],
    error: str | None,
    cause: str | None,
    times: int | None,
    item: int | str | None,
    after: float = 0.0,
) -> Answers:
    """Raises WorkflowTestError if the arguments of .mock() contradict each other."""
    if (error is None) == (not results):
        raise WorkflowTestError("mock() takes results or an error: .mock('Charge', {'id': 1})")
    if error is None and cause is not None:
        raise WorkflowTestError("mock(cause=...) needs an error, too")
    if times is not None and times < 1:
        raise WorkflowTestError(f"mock(times={times}): at least 1")
    if after < 0:
        raise WorkflowTestError(f"mock(after={after}): seconds, at least 0")
    if item is not None and (iterations(str(item)) is None):
        raise WorkflowTestError(f"mock(item={item!r}): 0 is the first item, '1-3' the next three")
    given = (Throw(error, cause),) if error is not None else tuple(map(_response, results))
    if len(given) > 1:
        return tuple(Answer(each, times or 1, item, after=after) for each in given)
    return (Answer(given[0], times, item, after=after),)


def _response(result: Json | Callable[[Json], Any]) -> Response:
    return result if callable(result) else Return(result)


def added(before: Answers, new: Answers, instead: bool) -> Answers:
    """A response of all calls is replaced by the next one; those of some calls are followed by
    it, unless it comes `instead`.
    """
    item = new[0].item
    kept = tuple(
        each for each in before if each.item != item or (each.times is not None and not instead)
    )
    return (*kept, *new)


def plan(answers: Answers) -> Responses | Items:
    """The responses to a state."""
    items = {each.item for each in answers}
    by_item = {item: _responses([each for each in answers if each.item == item]) for item in items}
    default = by_item.pop(None, None)
    if not by_item and default is not None:
        return default
    return Items({item: each for item, each in by_item.items() if item is not None}, default)


def _responses(answers: Sequence[Answer]) -> Responses:
    steps, first = [], 0
    for each in answers:
        last = None if each.times is None else first + each.times - 1
        steps.append(Step(first, last, each.response, each.place, after=each.after))
        first += each.times or 0
    return Responses(tuple(steps), place=answers[0].place)
