"""Facts that a history leaves out, found by evaluating the definition again. Pure.

    rules      the rule of a Choice that was taken: a history has only the next state, which may be
               that of several rules
    failure    Error and Cause of a Fail state: its StateEntered event has neither
    due        the end of a Wait
    token      the task token in the recorded parameters of a task

Expressions are evaluated with the input and the variables in the history. If it lacks them, or an
expression reads other data (most of the Context object), the fact is unknown.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.compiler import compile_machine
from stepwell.asl.definition import (
    Branch,
    ChoiceState,
    FailState,
    MapState,
    ParallelState,
    StateMachine,
    TaskState,
    WaitState,
)
from stepwell.asl.definition import State as StateModel
from stepwell.asl.evaluation import Env, InlineBudgetError, Json, StateError
from stepwell.asl.histories.state_visits import Event, Visit, details
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.program import State

DEFAULT: Final = -1  # as a rule: the Choice's Default
# an expression fails, takes too long, reads missing data, or is a ${Placeholder}
_UNKNOWN: Final = (StateError, InlineBudgetError, ValueError, LookupError, TypeError)
_NESTED: Final = re.compile(r":states:::(states:startExecution|aws-sdk:sfn:start(Sync)?Execution)")
# the name of a member that is the token, also within a larger expression:
# "name.$": "$$.Task.Token" and "name": "{% $states.context.Task.Token %}"
_TOKEN: Final = re.compile(
    r"""\\?["']([^"'\\]+?)(?:\.\$)?\\?["'](?:\s|\\n)*:(?:\s|\\n)*(?:"(?:\{%)?)?(?:\s|\\n)*\$(?:\$|states\.context)\.Task\.Token\b"""
)


class Reevaluation:
    """The facts of one execution: its events are passed to `see`, in order."""

    def __init__(self, definition: StateMachine, limits: Limits = DEFAULT_LIMITS) -> None:
        self._definition, self._limits = definition, limits
        self._rules: dict[tuple[str, str], list[int]] = {}  # (Choice, target) -> rules
        self._tokens: dict[str, set[str]] = {}  # state -> members of parameters that are the token
        self._literals: dict[str, tuple[str | None, str | None]] = {}  # Fail state -> Error, Cause
        self._wanted: set[str] = set()  # types of events whose data is used
        for name, state in _states(definition):
            self._note(name, state)
        if any(len(rules) > 1 for rules in self._rules.values()):
            self._wanted.add("ChoiceStateEntered")
        self._scoped = bool(
            self._wanted & {"ChoiceStateEntered", "FailStateEntered", "WaitStateEntered"}
        )
        self._compiled: Mapping[str, State] | None = None
        self._scopes: dict[tuple[Visit | None, int | None], dict[str, Json]] = {}
        self._input: Json = None

    def _note(self, name: str, state: StateModel) -> None:
        """Record what is unknown about a state, and the events whose data is used to find it."""
        if isinstance(state, ChoiceState):
            for index, target in [
                *((index, rule.next) for index, rule in enumerate(state.choices)),
                (DEFAULT, state.default),
            ]:
                if target is not None:
                    self._rules.setdefault((name, target), []).append(index)
        elif isinstance(state, FailState):
            if (
                any(
                    text is not None and text.startswith("{%")
                    for text in (state.error, state.cause)
                )
                or state.error_path
                or state.cause_path
            ):
                self._wanted.add("FailStateEntered")
            else:
                self._literals[name] = state.error, state.cause
        elif isinstance(state, WaitState) and not isinstance(state.seconds, int):
            self._wanted.add("WaitStateEntered")
        elif isinstance(state, TaskState):
            parameters = json_text.dumps(
                state.parameters if state.parameters is not None else state.arguments
            )
            if names := set(_TOKEN.findall(parameters)):
                self._tokens[name] = names
                self._wanted.add("TaskScheduled")
            if _NESTED.search(state.resource):
                self._wanted |= {"TaskSubmitted", "TaskSucceeded"}

    def wants(self, type: str) -> bool:
        """Whether the data (input, output, parameters) of events of this type is used."""
        return type in self._wanted or (
            self._scoped and (type == "ExecutionStarted" or type.endswith("StateExited"))
        )

    def see(self, event: Event, visit: Visit | None) -> None:
        """Take an event of the history and its visit: data that expressions may read."""
        if not self._scoped:
            return
        if visit is None:
            if (text := details(event).get("input")) is not None:
                self._input = json_text.loads(text)
        elif event["id"] == visit.exited and visit.assigned:
            scope = self._scopes.setdefault((visit.parent, visit.index), {})
            scope |= {name: json_text.loads(text) for name, text in visit.assigned.items()}

    # --- answers ---

    def rules(self, visit: Visit, target: str) -> list[int]:
        """The rules (indices in Choices, DEFAULT) by which a visit of a Choice may have led to a
        state: a single one, if it can be found.
        """
        rules = self._rules.get((visit.name, target), [])
        if len(rules) < 2 or visit.input is None:
            return rules
        try:
            state, value, env = self._entered(visit)
            effective = value if state.input_path is None else state.input_path(value, env)
            found = next(
                (index for index, rule in enumerate(state.choices) if rule.test(effective, env)),
                DEFAULT,
            )
        except _UNKNOWN:
            return rules
        return [found] if found in rules else rules

    def failure(self, visit: Visit) -> tuple[str | None, str | None]:
        """Error and Cause of a visit of a Fail state; None if absent or unknown."""
        if visit.name in self._literals or visit.input is None:
            return self._literals.get(visit.name, (None, None))
        try:
            state, value, env = self._entered(visit)
            error, cause = (each and each(value, env) for each in (state.error, state.cause))
        except _UNKNOWN:
            return None, None
        return error if isinstance(error, str) else None, cause if isinstance(cause, str) else None

    def due(self, visit: Visit) -> float | None:
        """The end of a visit of a Wait, epoch seconds; None if it is unknown."""
        try:
            state, value, env = self._entered(visit)
            effective = (
                value
                if state.input_path is None or visit.input is None
                else state.input_path(value, env)
            )
            return None if state.wait is None else state.wait(effective, env) / 1000
        except _UNKNOWN:
            return None

    def token(self, name: str, parameters: str | None) -> str | None:
        """The task token in the parameters of a task of the state `name`, as its TaskScheduled
        event has them; None if they have none.
        """
        names = self._tokens.get(name)
        if names is None or parameters is None:
            return None
        found = (
            value
            for member, value in _members(json_text.loads(parameters))
            if member in names and isinstance(value, str)
        )
        return next(found, None)

    # --- evaluation ---

    def _entered(self, visit: Visit) -> tuple[State, Json, Env]:
        """(compiled state, its input, its Env) at the start of a visit."""
        if self._compiled is None:
            self._compiled = {}  # a definition that cannot be compiled is not compiled again
            self._compiled = compile_machine(self._definition, self._limits).states()
        value = json_text.loads(visit.input or "null")
        env = Env(
            value,
            self._variables(visit),
            lambda: self._context(visit),
            lambda: bytes(16),
            visit.start,
            in_thread=False,
        )
        return self._compiled[visit.name], value, env

    def _variables(self, visit: Visit) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for each in (*visit.around(), visit):
            found |= self._scopes.get((each.parent, each.index), {})
        return found

    def _context(self, visit: Visit) -> dict[str, Any]:
        return {"Execution": {"Input": self._input}, "State": {"Name": visit.name}}


def _states(block: Branch | StateMachine) -> Iterator[tuple[str, StateModel]]:
    for name, state in block.states.items():
        yield name, state
        inner = state.branches if isinstance(state, ParallelState) else ()
        if isinstance(state, MapState):
            inner = tuple(
                each for each in (state.item_processor, state.iterator) if each is not None
            )
        for each in inner:
            yield from _states(each)


def _members(value: Json) -> Iterator[tuple[str, Json]]:
    """(name, value) of every member of an object, at any depth."""
    for name, inner in (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    ):
        if isinstance(name, str):
            yield name, inner
        yield from _members(inner)
