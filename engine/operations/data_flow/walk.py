"""The stages of one visit of a state: from its input to its output, or to where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.error_matching import matches
from stepwell.asl.evaluation import MISSING, Env, Json
from stepwell.asl.explain.choices import tested
from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories.state_visits import Visit
from stepwell.asl.program import CHOICE, FAIL, MAP, PARALLEL, PASS, TASK, WAIT, State
from stepwell.engine.core.model import Frame
from stepwell.engine.operations.data_flow import why
from stepwell.engine.operations.data_flow.past import PastExecution, loads
from stepwell.engine.operations.data_flow.shapes import Stage

WORK: Final = {TASK: "Task result", PARALLEL: "Branch results", MAP: "Iteration results"}


@dataclass(slots=True)
class Walk:
    """One visit, from stage to stage.

    fields  the state's definition        at  the field that is being evaluated
    """

    past: PastExecution
    visit: Visit
    state: State
    frame: Frame
    fields: Mapping[str, Any]
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
        self.stages.append(
            Stage(name, self.fields.get(name, MISSING), default, before, value, note)
        )

    def walk(self) -> None:
        state, raw, env = self.state, self.frame.raw.value, self.past.env(self.frame)
        self.add("State input", raw)
        if state.type == FAIL:
            for name, evaluate in (("Error", state.error), ("Cause", state.cause)):
                if evaluate is not None:
                    self.at = name
                    self.stages.append(
                        Stage(
                            name,
                            self.fields.get(name, self.fields.get(name + "Path", MISSING)),
                            value=evaluate(raw, env),
                        )
                    )
            return
        data = self.effective(raw, env)
        result = self.work(data, env)
        if self.visit.status == v.CAUGHT:
            self.caught()
        elif "for the field 'Catch[" in (self.visit.cause or ""):
            self.failed_catch()
        elif result is not MISSING and (
            self.visit.exited is not None or self.visit.failing or self.visit.status == v.FAILED
        ):
            self.shape(raw, result)
        if self.visit.assigned and self.visit.status != v.CAUGHT:
            self.add("Assign", _variables(self.visit.assigned))

    def effective(self, raw: Json, env: Env) -> Json:
        """InputPath and Parameters, or Arguments."""
        state, data = self.state, raw
        if not state.jsonata and "Result" not in self.fields:
            self.at = "InputPath"
            data = raw if state.input_path is None else state.input_path(raw, env)
            self.add("InputPath", data, before=raw, default="$")
        name = "Arguments" if state.jsonata else "Parameters"
        if state.parameters is not None:
            self.at = name
            text = self.visit.scheduled.get("parameters", self.visit.scheduled.get("input"))
            data = state.parameters(data, env) if text is None else loads(text)
            self.add(name, data)
        return data

    def work(self, data: Json, env: Env) -> Json:
        """The stages of the state's work; returns its result, MISSING if there is none (yet)."""
        kind = self.state.type
        if kind == PASS:
            if "Result" in self.fields:
                self.add("Result", self.fields["Result"])
                return self.fields["Result"]
            return data
        if kind == CHOICE:
            self.choice(data, env)
            return data
        if kind == WAIT:
            name = next(
                name
                for name in ("Seconds", "SecondsPath", "Timestamp", "TimestampPath")
                if name in self.fields
            )
            over = "" if self.visit.end is not None else "it is not over"
            self.add(name, note=over)
            return data
        if kind not in WORK:
            return data
        result = loads(self.visit.result) if kind == TASK else self.gathered(data, env)
        given = self.past.given
        if given is not None and kind != TASK and not self.visit.failing:
            result = given.result
        note = "" if result is not MISSING else "failed" if self.visit.failing else "not there yet"
        if self.visit.failing and result is MISSING:
            note = ": ".join(part for part in (self.visit.error, self.visit.cause) if part) or note
        if result is MISSING and (inside := self.failed_inside()) is not None:
            note = f"failed in {inside.name}"
        resource = self.fields.get("Resource", MISSING) if kind == TASK else MISSING
        self.stages.append(Stage(WORK[kind], resource, value=result, note=note))
        return result

    def failed_inside(self) -> Visit | None:
        """The visit inside that made a Parallel or Map fail."""
        failed = [each for each in self.past.all if each.status == v.FAILED]
        inside = [each for each in failed if self.visit in each.around()]
        return inside[-1] if inside and self.visit.status == v.FAILED else None

    def choice(self, data: Json, env: Env) -> None:
        self.at = "Choices"
        target = self.visit.after.name if self.visit.after else None
        about = why.subject(self.past, self.visit, self.frame, self.stages, (None, None))
        compared = {each.place: each.text for each in tested(about)}
        for index, rule in enumerate(self.state.choices):
            matched, text = rule.test(data, env), compared.get(index, "")
            note = f"→ {rule.next.name}" if matched else "false"
            field = _without_next(self.fields["Choices"][index])
            self.stages.append(
                Stage(f"Choices[{index}]", field, note=f"{note}: {text}" if text else note)
            )
            if matched:
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
                    else loads(self.visit.output)
                )
        rounds = [
            event
            for event in self.visit.events
            if self.past.history[event]["type"].endswith("StateStarted")
        ]
        inner = [
            each
            for each in self.past.all
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
            [loads(ended[place]) for place in sorted(ended)]
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
        """Whether the result is the output: no field shapes it."""
        return not any(
            name in self.fields for name in ("ResultSelector", "ResultPath", "OutputPath", "Output")
        )

    def shape(self, raw: Json, result: Json) -> None:
        """From the result to the output. The last stage shows the recorded output."""
        state, env = (
            self.state,
            self.past.env(self.frame, result=result if self.state.type in WORK else MISSING),
        )
        recorded = loads(self.visit.output)
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

    def failed_catch(self) -> None:
        """The Error Output that a catcher got whose own expressions failed."""
        for event in reversed(self.visit.events):
            shown = v.details(self.past.history[event])
            if "error" in shown and shown["error"] != self.visit.error:
                error = {"Error": shown["error"], "Cause": shown.get("cause")}
                self.stages.append(Stage("Error Output", value=error))
                return

    def caught(self) -> None:
        """The Error Output, and the output of the catcher."""
        error = {"Error": self.visit.error, "Cause": self.visit.cause}
        self.stages.append(Stage("Error Output", value=error))
        target = self.visit.after.name if self.visit.after else None
        for index, catcher in enumerate(self.state.catchers):
            if catcher.next.name == target and matches(catcher.errors, error["Error"]):
                fields = self.fields["Catch"][index]
                field, default, before = (
                    ("Output", "the error output", error)
                    if self.state.jsonata
                    else ("ResultPath", "$", self.frame.raw.value)
                )
                output = loads(self.visit.output)
                self.stages.append(
                    Stage(
                        f"Catch[{index}] {field}",
                        fields.get(field, MISSING),
                        default,
                        before,
                        output,
                        f"→ {target}",
                    )
                )
                break
        if self.visit.assigned:
            self.stages.append(Stage("Catch Assign", value=_variables(self.visit.assigned)))


def _variables(assigned: Mapping[str, str]) -> Json:
    return {name: json_text.loads(text) for name, text in assigned.items()}


def _without_next(rule: Mapping[str, Any]) -> Json:
    return {name: value for name, value in rule.items() if name not in ("Next", "Comment")}
