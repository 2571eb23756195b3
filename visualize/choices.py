"""Which rule of a Choice was taken, where several lead to the same state: a history names only that state. Pure.

The rules are asked again, with the input and the variables that the history tells. Where it does not tell them, or a rule wants to know
more (all of the Context object), every rule that leads there may have been it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stepwell.asl import jsontext
from stepwell.asl.definition import Branch, ChoiceState, MapState, ParallelState, StateMachine
from stepwell.asl.evaluation import Env, Impatient, Json, StateError
from stepwell.asl.program import State, compile_machine
from stepwell.asl.visits import Event, Visit, details
from stepwell.visualize.words import processor

DEFAULT: Final = -1  # the rule that is none
# An expression fails, takes too long, asks for what is not here, or is none at all: ${Placeholder}
_UNKNOWN: Final = (StateError, Impatient, ValueError, LookupError, TypeError)


class Choices:
    """Of one machine. in_doubt: whether any Choice has several rules to the same state, so that inputs are of use."""

    def __init__(self, definition: StateMachine) -> None:
        self._definition = definition
        self._rules: dict[tuple[str, str], list[int]] = {}
        for name, state in _choices(definition):
            targets = [*((index, rule.next) for index, rule in enumerate(state.choices)), (DEFAULT, state.default)]
            for index, target in targets:
                if target is not None:
                    self._rules.setdefault((name, target), []).append(index)
        self.in_doubt = any(len(rules) > 1 for rules in self._rules.values())
        self._states: Mapping[str, State] | None = None
        self._scopes: dict[tuple[Visit | None, int | None], dict[str, Json]] = {}
        self._input: Json = None

    def see(self, event: Event, visit: Visit | None) -> None:
        """An event of the history, and whose it is: what rules may ask for."""
        if not self.in_doubt:
            return
        if visit is None:
            if (text := details(event).get("input")) is not None:
                self._input = jsontext.loads(text)
        elif event["id"] == visit.exited and visit.assigned:
            scope = self._scopes.setdefault((visit.parent, visit.index), {})
            scope |= {name: jsontext.loads(text) for name, text in visit.assigned.items()}

    def taken(self, visit: Visit, target: str) -> list[int]:
        """The rules (indices in Choices, DEFAULT) by which a visit of a Choice may have gone on to a state."""
        rules = self._rules.get((visit.name, target), [])
        if len(rules) < 2 or visit.input is None:
            return rules
        found = self._ask(visit)
        return [found] if found in rules else rules

    def _ask(self, visit: Visit) -> int | None:
        try:
            if self._states is None:
                self._states = compile_machine(self._definition).states()
            state, value = self._states[visit.name], jsontext.loads(visit.input or "null")
            env = Env(value, self._variables(visit), lambda: self._context(visit), lambda: bytes(16), visit.start, patient=False)
            asked = value if state.input_path is None else state.input_path(value, env)
            return next((index for index, rule in enumerate(state.choices) if rule.test(asked, env)), DEFAULT)
        except _UNKNOWN:
            self._states = self._states or {}
            return None

    def _variables(self, visit: Visit) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for each in (*visit.around(), visit):
            found |= self._scopes.get((each.parent, each.index), {})
        return found

    def _context(self, visit: Visit) -> dict[str, Any]:
        return {"Execution": {"Input": self._input}, "State": {"Name": visit.name}}


def _choices(block: Branch | StateMachine) -> Iterator[tuple[str, ChoiceState]]:
    for name, state in block.states.items():
        if isinstance(state, ChoiceState):
            yield name, state
        elif isinstance(state, ParallelState):
            for branch in state.branches:
                yield from _choices(branch)
        elif isinstance(state, MapState) and (inner := processor(state)) is not None:
            yield from _choices(inner)
