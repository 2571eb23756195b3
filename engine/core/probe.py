"""A state under test: a copy of the compiled state whose evaluators record their results. It is all
that TestState adds to the interpreter.

    probe = Probe(state, ...)    the interpreter runs probe.state like any other state
    probe.seen                   the data flow, as far as the state got

Nothing is evaluated twice: what is recorded is what happened. The successors of the state are
replaced by Succeed states of the same names.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

from stepwell.asl.evaluation import Env, Evaluator, Json
from stepwell.asl.program import (
    CHOICE,
    FAIL,
    MAP,
    PARALLEL,
    PASS,
    SUCCEED,
    TASK,
    WAIT,
    Retrier,
    State,
)

_IN: Final = ("afterInputPath", "afterParameters")
_OUT: Final = ("afterResultSelector", "afterResultPath")
# In JSONPath, these are shown even if the state lacks the field (recorded; documented for Pass).
_ALWAYS: Final[dict[int, tuple[str, ...]]] = {
    PASS: (*_IN, *_OUT),
    TASK: (*_IN, *_OUT),
    CHOICE: ("afterInputPath",),
    WAIT: _IN,
    SUCCEED: ("afterInputPath",),
    FAIL: ("afterInputPath",),
    PARALLEL: _OUT,
    MAP: ("afterInputPath", *_OUT),
}
_NEVER: Final[dict[int, tuple[str, ...]]] = {
    PARALLEL: ("afterInputPath", "afterArguments")
}  # recorded


class Probe:
    """Records what TestState shows of one state.

    state  runs in place of the original
    seen   member of InspectionData -> value (JSON; a number for the limits of a Map)
    """

    def __init__(
        self,
        original: State,
        input: Json = None,
        retries: int = 0,
        items: Evaluator | None = None,
        pointed: bool = False,
    ) -> None:
        """
        input    of the state
        retries  attempts that each retrier has used before
        items    the mocked result of a Map's ItemReader
        pointed  an ItemsPointer picks the items
        """
        self.seen: dict[str, Json] = {}
        self.state = state = copy.copy(original)
        state.next = _end(original.next)
        state.catchers = tuple(
            catcher._replace(next=_end(catcher.next)) for catcher in original.catchers
        )
        state.choices = tuple(rule._replace(next=_end(rule.next)) for rule in original.choices)
        if original.otherwise is not None:
            state.otherwise = original.otherwise._replace(next=_end(original.otherwise.next))
        state.retriers = tuple(_used(retrier, retries) for retrier in original.retriers)
        state.branches = ()  # not run: the result of a Parallel is mocked
        if original.constant is not None:
            self.seen["result"] = original.constant.value
        if original.type == FAIL and not original.jsonata:  # its paths read the input itself
            self.seen["afterInputPath"] = input
        self._watch(original)
        if original.map is not None:
            self._watch_map(original, items, pointed)

    def _watch(self, original: State) -> None:
        state = self.state
        state.plain_in = state.plain_out = False
        if original.jsonata:
            state.parameters = self._recording("afterArguments", original.parameters)
            return
        state.input_path = self._recording("afterInputPath", original.input_path)
        state.parameters = self._recording("afterParameters", original.parameters)
        state.result_selector = self._recording("afterResultSelector", original.result_selector)
        merge = original.result_path
        if merge is not None or "afterResultPath" in _ALWAYS[state.type]:
            state.result_path = lambda raw, result: self._record(
                "afterResultPath", result if merge is None else merge(raw, result)
            )

    def _recording(
        self, member: str, evaluate: Callable[[Json, Env], Any] | None
    ) -> Evaluator | None:
        """An evaluator that records its result; None if nothing is evaluated or shown."""
        if member in _NEVER.get(self.state.type, ()):
            return evaluate
        if evaluate is not None:
            return lambda value, env: self._record(member, evaluate(value, env))
        if self.state.jsonata or member not in _ALWAYS[self.state.type]:
            return None
        return lambda value, env: self._record(member, value)

    def _record(self, member: str, value: Any) -> Any:
        if value is not None or member.startswith("after"):  # an absent limit is not shown
            self.seen[member] = value
        return value

    def _watch_map(self, original: State, items: Evaluator | None, pointed: bool) -> None:
        spec = original.map
        assert spec is not None
        find = items or spec.items
        shown = (
            "afterItemsPointer"
            if pointed
            else "afterItemsPath"
            if not original.jsonata and spec.reader is None
            else ""
        )

        def concurrency(value: Json, env: Env) -> int:
            bounded = spec.concurrency(value, env)
            self._record("maxConcurrency", spec.max_concurrency(value, env))
            return bounded

        def batch(inputs: list[Any], value: Json, env: Env) -> list[Any]:
            if spec.selector is not None:
                self._record("afterItemSelector", [each.value for each in inputs])
            if spec.batch is None:
                return inputs
            batches = spec.batch(inputs, value, env)
            self._record("afterItemBatcher", [each.value for each in batches])
            return batches

        self.state.map = spec._replace(
            items=(lambda value, env: self._record(shown, find(value, env))) if shown else find,
            concurrency=concurrency,
            tolerated_count=lambda value, env: self._record(
                "toleratedFailureCount", spec.tolerated_count(value, env)
            ),
            tolerated_percentage=lambda value, env: self._record(
                "toleratedFailurePercentage", spec.tolerated_percentage(value, env)
            ),
            batch=batch,
            mocked=True,
        )


def _end(state: State | None) -> Any:
    """A state of the same name that ends the test."""
    if state is None:
        return None
    end = State(state.name, SUCCEED, state.block, state.jsonata)
    end.plain_in = end.plain_out = True
    return end


def _used(retrier: Retrier, times: int) -> Retrier:
    """A retrier after some attempts. It has no jitter: a test shows the delay without it."""
    try:
        interval = retrier.interval * retrier.backoff**times
    except OverflowError:
        interval = float("inf")
    return retrier._replace(
        max_attempts=max(0, retrier.max_attempts - times), interval=interval, jitter=False
    )
