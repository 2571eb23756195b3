"""A past execution, rebuilt from its committed history and its compiled Program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepwell.asl import json_text
from stepwell.asl.evaluation import MISSING, Env, Json, StateError
from stepwell.asl.explain.subject import states
from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories.state_visits import Event, Visit
from stepwell.asl.program import Program
from stepwell.engine.arns import machine_name
from stepwell.engine.core.dataflow import effective
from stepwell.engine.core.environment import context
from stepwell.engine.core.model import Execution, Frame, Payload, Scope
from stepwell.engine.operations.data_flow.shapes import Given


class PastExecution:
    """An execution as its history shows it: the frames of its visits, as they were.

    states, definitions  by name, compiled and as JSON       history  event id -> event
    machine              the definition as JSON
    given                of a state that runs alone
    all                  the visits of all states
    """

    def __init__(
        self,
        program: Program,
        definition: Mapping[str, Any],
        execution: Mapping[str, Any],
        history: list[Event],
        every: list[Visit],
        given: Given | None = None,
    ) -> None:
        self.states, self.history, self.all = (
            program.states(),
            {event["id"]: event for event in history},
            every,
        )
        self.given = given
        self.machine, self.definitions = definition, states(definition)
        started = v.details(history[0]) if history else {}
        self.execution = Execution(
            id=0,
            uuid="",
            arn=execution["executionArn"],
            name=execution["name"],
            machine_arn=execution["stateMachineArn"],
            machine_name=machine_name(execution["stateMachineArn"]),
            role_arn=started.get("roleArn", ""),
            express=":express:" in execution["executionArn"],
            input=Payload(json_text.loads(execution["input"])),
            started=round(execution["startDate"] * 1000),
            deadline=None,
            extras={"context": dict(given.context)} if given and given.context else {},
        )

    def frame(self, visit: Visit) -> Frame:
        """The frame as it was when the state was entered."""
        state = self.states[visit.name]
        frame = Frame(
            0,
            0,
            visit.index or 0,
            state.block,
            Payload(loads(visit.input)),
            Scope(self.variables(visit)),
            visit.entered,
        )
        frame.state, frame.entered, frame.entered_at = (
            state,
            visit.entered,
            round(visit.start * 1000),
        )
        frame.retries = (visit.retries,) if visit.attempts else ()
        inside: Visit | None = visit
        while inside is not None and not (
            inside.parent is not None and inside.parent.type == "Map"
        ):
            inside = inside.parent
        if inside is not None and inside.parent is not None and inside.index is not None:
            items = self.items(inside.parent)
            if isinstance(items, list) and inside.index < len(items):
                frame.item = (inside.index, Payload(items[inside.index]), None)
        return frame

    def variables(self, visit: Visit) -> dict[str, Payload]:
        """The variables that the state saw: assigned before it in its block and in the blocks
        around it.
        """
        known = self.given.variables if self.given else {}
        assigned = {name: Payload(value) for name, value in known.items()}
        for step in v.route(visit)[:-1]:
            if (
                step.exited is not None and step.after is not None
            ):  # else it is around the next one, and still open there
                assigned |= {
                    name: Payload(json_text.loads(text))
                    for name, text in (step.assigned or {}).items()
                }
        return assigned

    def items(self, visit: Visit) -> Json:
        """The items of a Map, evaluated again; MISSING if that fails."""
        frame = self.frame(visit)
        env, spec = self.env(frame), frame.state.map
        assert spec is not None
        try:
            return spec.items(effective(frame, env), env)
        except StateError:
            return MISSING

    def env(self, frame: Frame, result: Json = MISSING, error_output: Json = MISSING) -> Env:
        return Env(
            frame.raw.value,
            frame.scope.values,
            lambda: context(self.execution, frame),
            lambda: bytes(16),
            frame.entered_at / 1000,
            result,
            error_output,
        )


def loads(text: str | None) -> Json:
    """JSON text -> its value; MISSING if there is none."""
    return MISSING if text is None else json_text.loads(text)
