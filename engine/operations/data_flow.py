"""The data flow of one visit of a state, stage by stage: from its input to its output, as it was or
as far as it came.

    data_flow(program, definition, machine, execution, events, "Charge the card") -> DataFlow

Pure: everything comes from the committed history and the compiled Program. What the history holds
(state input, what a task was given, its result, the output, the variables) is taken from there; the
stages between are evaluated again. An expression that gives something else each time (States.UUID,
$random, $now) can therefore differ in a stage between, and the last stage is always the recorded
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl import state_visits as v
from stepwell.asl.evaluation import MISSING, Env, Json, StateError
from stepwell.asl.history_visits import Visits
from stepwell.asl.program import CHOICE, FAIL, MAP, PARALLEL, PASS, TASK, WAIT, Program, State
from stepwell.asl.reevaluation import Reevaluation
from stepwell.asl.state_visits import Event, Visit
from stepwell.engine.arns import machine_name
from stepwell.engine.core import transitions
from stepwell.engine.core.dataflow import effective
from stepwell.engine.core.environment import context
from stepwell.engine.core.model import Execution, Frame, Payload, Scope

WORK: Final = {TASK: "Task result", PARALLEL: "Branch results", MAP: "Iteration results"}


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the data flow.

    name     the field ("InputPath"), or what it is ("State input", "Task result")
    given    the field in the definition; MISSING if it is not there     default  what stands for it
             then ("$"), or ""
    before   the value that the stage works on, MISSING where that says nothing
    value    the value after it; MISSING if the state did not come so far
    note     why there is no value, or something about it
    """

    name: str
    given: Json = MISSING
    default: str = ""
    before: Json = MISSING
    value: Json = MISSING
    note: str = ""


@dataclass(frozen=True, slots=True)
class DataFlow:
    """A visit and its stages. `number` counts the visits of the state from 1; times are epoch
    seconds; events are the ids of its own.
    """

    visit: Visit
    number: int
    visits: int
    attempts_allowed: int | None
    jsonata: bool
    variables: Mapping[str, Json]
    stages: list[Stage] = field(default_factory=list)


def data_flow(
    program: Program,
    definition: Mapping[str, Any],
    execution: Mapping[str, Any],
    events: Iterable[Event],
    state_name: str,
    number: int | None = None,
) -> DataFlow:
    """The data flow of visit `number` (from 1; None: the last) of a state.

    definition  the machine's, as JSON       execution  as DescribeExecution answers       events
                its history from the first event Raises LookupError with a text for people if the
                state does not exist or was not visited (so often).
    """
    known = program.states()
    if state_name not in known:
        raise LookupError(
            f"the machine has no state called {state_name!r}; it has {', '.join(map(repr, known))}"
        )
    history = list(events)
    every = Visits(history, Reevaluation(program.definition)).all
    found = [visit for visit in every if visit.name == state_name]
    if not found:
        raise LookupError(f"the state {state_name!r} was not visited")
    if number is not None and number > len(found):
        raise LookupError(f"the state {state_name!r} was visited {len(found)} times, not {number}")
    number = len(found) if number is None else number
    return _Flow(program, definition, execution, history, every).of(
        found[number - 1], number, len(found)
    )


def as_json(flow: DataFlow) -> dict[str, Json]:
    """A DataFlow for programs."""
    visit = flow.visit
    shown: dict[str, Json] = {
        "state": visit.name,
        "type": visit.type,
        "status": visit.status,
        "visit": flow.number,
        "visits": flow.visits,
        "attempts": visit.attempts,
        "retries": visit.retries,
        "redrives": visit.redrives,
        "waiting": visit.waiting,
        "until": visit.due,
        "token": visit.token if visit.waiting == v.CALLBACK else None,
        "queryLanguage": "JSONata" if flow.jsonata else "JSONPath",
        "events": visit.events,
        "start": visit.start,
        "end": visit.end,
        "error": visit.error,
        "cause": visit.cause,
        "variables": dict(flow.variables),
        "stages": [],
    }
    for stage in flow.stages:
        parts = {
            "name": stage.name,
            "field": stage.given,
            "value": stage.value,
            "note": stage.note or MISSING,
        }
        shown["stages"].append({name: part for name, part in parts.items() if part is not MISSING})
    return shown


class _Flow:
    """The stages of one execution's visits."""

    def __init__(
        self,
        program: Program,
        definition: Mapping[str, Any],
        execution: Mapping[str, Any],
        history: list[Event],
        every: list[Visit],
    ) -> None:
        self.states, self.history, self.all = (
            program.states(),
            {event["id"]: event for event in history},
            every,
        )
        self.given = _every_state(definition)
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
        )

    def of(self, visit: Visit, number: int, visits: int) -> DataFlow:
        state, frame = self.states[visit.name], self.frame(visit)
        allowed = (
            1 + max((retrier.max_attempts for retrier in state.retriers), default=0)
            if visit.attempts
            else None
        )
        flow = DataFlow(visit, number, visits, allowed, state.jsonata, frame.scope.values)
        walk = _Walk(self, visit, state, frame, self.given[visit.name], flow.stages)
        try:
            walk.walk()
        except StateError as fault:
            flow.stages.append(
                Stage(
                    walk.at, walk.given.get(walk.at, MISSING), note=f"{fault.error}: {fault.cause}"
                )
            )
        return flow

    def frame(self, visit: Visit) -> Frame:
        """The frame as it stood when the state was entered."""
        state = self.states[visit.name]
        frame = Frame(
            0,
            0,
            visit.index or 0,
            state.block,
            Payload(_loads(visit.input)),
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
        assigned: dict[str, Payload] = {}
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


@dataclass(slots=True)
class _Walk:
    """One visit, from stage to stage. `at` is the field that is being evaluated."""

    flow: _Flow
    visit: Visit
    state: State
    frame: Frame
    given: Mapping[str, Any]
    stages: list[Stage]
    at: str = ""

    def add(
        self,
        name: str,
        value: Json = MISSING,
        *,
        before: Json = MISSING,
        default: str = "",
        note: str = "",
    ) -> None:
        self.stages.append(Stage(name, self.given.get(name, MISSING), default, before, value, note))

    def walk(self) -> None:
        state, raw, env = self.state, self.frame.raw.value, self.flow.env(self.frame)
        self.add("State input", raw)
        if state.type == FAIL:
            for name, evaluate in (("Error", state.error), ("Cause", state.cause)):
                if evaluate is not None:
                    self.at = name
                    self.stages.append(
                        Stage(
                            name,
                            self.given.get(name, self.given.get(name + "Path", MISSING)),
                            value=evaluate(raw, env),
                        )
                    )
            return
        data = self.effective(raw, env)
        result = self.work(data, env)
        if self.visit.status == v.CAUGHT:
            self.caught()
        elif result is not MISSING and (self.visit.exited is not None or self.visit.failing):
            self.shape(raw, result)
        if self.visit.assigned and self.visit.status != v.CAUGHT:
            self.add("Assign", _variables(self.visit.assigned))

    def effective(self, raw: Json, env: Env) -> Json:
        """InputPath and Parameters, or Arguments."""
        state, data = self.state, raw
        if not state.jsonata and "Result" not in self.given:
            self.at = "InputPath"
            data = raw if state.input_path is None else state.input_path(raw, env)
            self.add("InputPath", data, before=raw, default="$")
        name = "Arguments" if state.jsonata else "Parameters"
        if state.parameters is not None:
            self.at = name
            text = self.visit.scheduled.get("parameters", self.visit.scheduled.get("input"))
            data = state.parameters(data, env) if text is None else _loads(text)
            self.add(name, data)
        return data

    def work(self, data: Json, env: Env) -> Json:
        """What the state did; its result, MISSING if there is none (yet)."""
        kind = self.state.type
        if kind == PASS:
            if "Result" in self.given:
                self.add("Result", self.given["Result"])
                return self.given["Result"]
            return data
        if kind == CHOICE:
            self.choice(data, env)
            return data
        if kind == WAIT:
            name = next(
                name
                for name in ("Seconds", "SecondsPath", "Timestamp", "TimestampPath")
                if name in self.given
            )
            over = "" if self.visit.end is not None else "it is not over"
            self.add(name, note=over)
            return data
        if kind not in WORK:
            return data
        result = _loads(self.visit.result) if kind == TASK else self.gathered(data, env)
        note = "" if result is not MISSING else "failed" if self.visit.failing else "not there yet"
        if self.visit.failing and result is MISSING:
            note = ": ".join(part for part in (self.visit.error, self.visit.cause) if part) or note
        resource = self.given.get("Resource", MISSING) if kind == TASK else MISSING
        self.stages.append(Stage(WORK[kind], resource, value=result, note=note))
        return result

    def choice(self, data: Json, env: Env) -> None:
        self.at = "Choices"
        target = self.visit.after.name if self.visit.after else None
        for index, rule in enumerate(self.state.choices):
            if rule.test(data, env):
                self.stages.append(
                    Stage(
                        f"Choices[{index}]",
                        _without_next(self.given["Choices"][index]),
                        note=f"→ {rule.next.name}",
                    )
                )
                return
        self.add("Default", note=f"→ {target}" if target else "no rule matched")

    def gathered(self, data: Json, env: Env) -> Json:
        """The outputs of the branches or iterations of the last round, in order."""
        if self.state.type == MAP:
            self.at = "ItemsPath" if not self.state.jsonata else "Items"
            spec = self.state.map
            assert spec is not None
            self.add(
                self.at,
                spec.items(data, env),
                before=data,
                default="" if self.state.jsonata else "$",
            )
            if spec.distributed:
                return (
                    MISSING
                    if self.visit.exited is None or not self.plain_map()
                    else _loads(self.visit.output)
                )
        rounds = [
            event
            for event in self.visit.events
            if self.flow.history[event]["type"].endswith("StateStarted")
        ]
        inner = [
            each
            for each in self.flow.all
            if each.parent is self.visit and rounds and each.entered > rounds[-1]
        ]
        if self.visit.length == 0:
            return []
        ended = {
            self.place(each): each.output
            for each in inner
            if each.exited is not None and each.after is None
        }
        whole = len(self.state.branches) if self.state.type == PARALLEL else self.visit.length
        return (
            [_loads(ended[place]) for place in sorted(ended)]
            if ended and len(ended) == whole
            else MISSING
        )

    def place(self, visit: Visit) -> int:
        """The number of a visit's branch or iteration."""
        if self.state.type == MAP:
            return visit.index or 0
        return next(
            place for place, block in enumerate(self.state.branches) if visit.name in block.states
        )

    def plain_map(self) -> bool:
        """Nothing stands between the result and the output."""
        return not any(
            name in self.given for name in ("ResultSelector", "ResultPath", "OutputPath", "Output")
        )

    def shape(self, raw: Json, result: Json) -> None:
        """From the result to the output. The last stage shows the recorded output."""
        state, env = (
            self.state,
            self.flow.env(self.frame, result=result if self.state.type in WORK else MISSING),
        )
        recorded = _loads(self.visit.output)
        if state.jsonata:
            self.at = "Output"
            computed = (
                recorded
                if recorded is not MISSING or state.output is None
                else state.output(result, env)
            )
            self.add(
                "Output",
                computed,
                before=result,
                default="the result" if state.type in WORK else "the state input",
            )
            return
        value = result
        if state.result_selector is not None:
            self.at = "ResultSelector"
            value = state.result_selector(result, env)
            self.add("ResultSelector", value, before=result)
        if state.type in (PASS, *WORK):
            self.at = "ResultPath"
            value = value if state.result_path is None else state.result_path(raw, value)
            self.add("ResultPath", value, before=raw, default="$")
        self.at = "OutputPath"
        output = value if state.output_path is None else state.output_path(value, env)
        if recorded is not MISSING:
            note = (
                "as recorded: evaluated again, an expression gave something else"
                if output != recorded
                else ""
            )
            output = recorded
            self.add("OutputPath", output, before=value, default="$", note=note)
        else:
            self.add("OutputPath", output, before=value, default="$")

    def caught(self) -> None:
        """The Error Output and what the catcher made of it."""
        error = {"Error": self.visit.error, "Cause": self.visit.cause}
        self.stages.append(Stage("Error Output", value=error))
        target = self.visit.after.name if self.visit.after else None
        for index, catcher in enumerate(self.state.catchers):
            if catcher.next.name == target and transitions.matches(catcher.errors, error["Error"]):
                given = self.given["Catch"][index]
                field, default, before = (
                    ("Output", "the error output", error)
                    if self.state.jsonata
                    else ("ResultPath", "$", self.frame.raw.value)
                )
                output = _loads(self.visit.output)
                self.stages.append(
                    Stage(
                        f"Catch[{index}] {field}",
                        given.get(field, MISSING),
                        default,
                        before,
                        output,
                        f"→ {target}",
                    )
                )
                break
        if self.visit.assigned:
            self.stages.append(Stage("Catch Assign", value=_variables(self.visit.assigned)))


def _loads(text: str | None) -> Json:
    return MISSING if text is None else json_text.loads(text)


def _variables(assigned: Mapping[str, str]) -> Json:
    return {name: json_text.loads(text) for name, text in assigned.items()}


def _without_next(rule: Mapping[str, Any]) -> Json:
    return {name: value for name, value in rule.items() if name not in ("Next", "Comment")}


def _every_state(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    blocks = [definition]
    while blocks:
        for name, state in blocks.pop()["States"].items():
            found[name] = state
            blocks += state.get("Branches", ())
            blocks += [state[field] for field in ("ItemProcessor", "Iterator") if field in state]
    return found
