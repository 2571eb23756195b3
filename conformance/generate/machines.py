"""Whole machines with an input that fits them.

A machine is grown state by state next to an example: the oracle runs each new state, so that the
next one knows what its input looks like.
They end by construction (states only lead onward, loops count), and nothing waits: seconds are 0,
timestamps have passed. Only retries take time, as the language has no delay shorter than a second;
Case.kind STANDARD is for those, and for histories.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from stepwell.conformance.generate.expressions import Expressions
from stepwell.conformance.generate.jsonpath import Source, rule, written
from stepwell.conformance.generate.profiles import PROFILES, Profile
from stepwell.conformance.generate.rewrites import comment, looped
from stepwell.conformance.generate.scripts import ACTIVITIES, ACTIVITY, raised, scripted
from stepwell.conformance.generate.values import (
    INSTANTS,
    NO_INSTANTS,
    array,
    chance,
    kind_of,
    nodes,
    state_input,
    value,
)
from stepwell.conformance.oracle import Undetermined
from stepwell.conformance.oracle.interpreter import Run
from stepwell.conformance.oracle.model import Broke, Left
from stepwell.conformance.oracle.values import MISSING, Json
from stepwell.conformance.run.case import EXPRESS, STANDARD, Case

State = dict[str, Any]

ERRORS: Final = ("Boom", "E1", "Café", "Custom.Error")
_NAMES: Final = ("S", "Step", "Zustand ", "é")
_LONGEST: Final = 80  # letters of a name
# What catchers name: none of the last ones is ever the error of a generated state, or it is nothing
# that can be caught
_CAUGHT: Final = (
    *(*ERRORS, "States.TaskFailed", "States.IntrinsicFailure", "States.QueryEvaluationError") * 8,
    *(
        "States.Timeout",
        "States.Runtime",
        "States.DataLimitExceeded",
        "States.ResultPathMatchFailure",
    ),
    *(
        "States.BranchFailed",
        "States.NoChoiceMatched",
        "States.ParameterPathFailure",
        "States.ReferencePathConflict",
    ),
    *("States.Permissions", "States.Http.Socket", "States.Http.StatusCode.404"),
)
_LIMITS: Final = {"limit": 60, "beat": 50}  # seconds of a task, by path
_CAUSES: Final = ("why", "", "it's {} é", '{"a":1}')


def machine_case(r: Random, area: str) -> Case:
    """A machine of an area."""
    profile = PROFILES[area]
    given = state_input(r)
    if area == "tasks" and isinstance(given, dict) and chance(r, 0.5):
        given |= _LIMITS
    maker = Maker(r, profile, given)
    definition = maker.machine()
    kind = STANDARD if chance(r, profile.standard) or maker.waits else EXPRESS
    return Case(definition, given, kind, area)


class Block:
    """A States block that is being made."""

    def __init__(self, depth: int, in_map: bool, variables: dict[str, Json]) -> None:
        self.depth, self.in_map, self.variables = depth, in_map, dict(variables)
        self.states: dict[str, State] = {}
        self.own: list[str] = []  # variables that it assigns


class Maker:
    """Makes one machine."""

    def __init__(self, r: Random, profile: Profile, given: Json) -> None:
        self.r, self.profile, self.given = r, profile, given
        self.language = {"P": "JSONPath", "J": "JSONata", "M": "JSONPath"}[
            letter := r.choice(profile.languages)
        ]
        self.mixed = letter == "M"
        self.names = 0
        self.variables = 0
        self.budget = r.randrange(2, 11)
        self.waits = False  # for a retry or a timeout

    def machine(self) -> dict[str, Any]:
        block, _ = self.block(self.given, self.profile.depth, {}, False, longest=5)
        made: dict[str, Any] = {"StartAt": block["StartAt"]}
        if self.language == "JSONata":
            made["QueryLanguage"] = "JSONata"
        if chance(self.r, 0.05):
            made["Comment"] = "made by conformance"
        if chance(self.r, 0.03):
            made["TimeoutSeconds"] = 300
        if chance(self.r, 0.03):
            made["Version"] = "1.0"
        if chance(self.r, 0.1):
            comment(self.r, block)
        return {**made, "States": block["States"]}

    def name(self) -> str:
        self.names += 1
        made = f"{self.r.choice(_NAMES) if chance(self.r, 0.1) else 'S'}{self.names}"
        return made.rjust(_LONGEST, "é") if chance(self.r, 0.02) else made

    def variable(self, block: Block) -> str:
        if block.own and chance(self.r, 0.4):
            return self.r.choice(block.own)
        self.variables += 1
        name = f"{'é' if chance(self.r, 0.05) else 'v'}{self.variables}"
        block.own.append(name)
        return name

    # --- blocks -----------------------------------------------------------------------------------

    def block(
        self, data: Json, depth: int, variables: dict[str, Json], in_map: bool, longest: int = 3
    ) -> tuple[dict[str, Any], Json]:
        """(States in a row, what they give): each leads to the next one, some to later ones too."""
        r = self.r
        block = Block(depth, in_map, variables)
        names = [self.name() for _ in range(r.randrange(1, longest + 1))]
        for place, name in enumerate(names):
            self.budget -= 1
            later = names[place + 1 :]
            state = self.state(data, block, later)
            left = self.left(name, state, data, block)
            if (
                left is None and state["Type"] != "Fail" and chance(r, 0.7)
            ):  # one that fails ends the machine: not too many of them
                state = self.state(data, block, later)
                left = self.left(name, state, data, block)
            block.states[name] = state
            if left is not None:
                block.variables = left.variables
                data = self.output_path(state, left.output, block)
        made = {"StartAt": names[0], "States": block.states}
        if chance(r, self.profile.loop):
            self.variables += 1
            jsonata = self.language == "JSONata" or (self.mixed and chance(r, 0.4))
            new, mixed = [self.name() for _ in range(4)], jsonata and self.language != "JSONata"
            looped(made, new, f"loop{self.variables}", r.choice((1, 2, 2, 3)), jsonata, mixed)
        return made, data

    def left(self, name: str, state: State, data: Json, block: Block) -> Left | None:
        """How an example leaves a state; None if it does not."""
        definition = {"QueryLanguage": self.language, "StartAt": name, "States": {name: state}}
        run = Run(definition, self.given, scripted, False, [])
        try:
            return run.visit(
                name,
                state,
                data,
                block.variables,
                {"Index": 0, "Value": data} if block.in_map else MISSING,
                (),
            )
        except (Broke, Undetermined):
            return None

    def probe(self, data: Json, block: Block, **fields: Json) -> Json:
        """What a Pass state with these fields makes of an example."""
        left = self.left("x", {"Type": "Pass", **fields, "End": True}, data, block)
        return data if left is None else left.output

    def output_path(self, state: State, come: Json, block: Block) -> Json:
        """Give a state an OutputPath now and then; what it leaves of what came out without it."""
        jsonata = "JSONata" in (self.language, state.get("QueryLanguage"))
        if jsonata or state["Type"] == "Fail" or not chance(self.r, 0.12):
            return come
        self.select(state, "OutputPath", come, block, 1.0)
        return self.probe(come, block, InputPath=state["OutputPath"])

    def state(self, data: Json, block: Block, later: list[str]) -> State:
        """A state that goes on to later[0], or ends the block."""
        r, types = self.r, self.profile.types
        letter = r.choice(types)
        if letter in "LM" and (block.depth == 0 or self.budget <= 0):
            letter = "P"
        if letter == "C" and not later:
            letter = "P"
        if not later and letter == "P" and chance(r, 0.15):
            letter = "S"
        if letter == "F" or (
            not later and block.depth < self.profile.depth and chance(r, self.profile.fail)
        ):
            letter = "F" if not later else "P"
        jsonata = self.language == "JSONata" or (self.mixed and chance(r, 0.4))
        state: State = {"Type": _TYPES[letter]}
        if jsonata and self.language != "JSONata":
            state["QueryLanguage"] = "JSONata"
        make: Callable[[State, Json, Block, list[str], bool], None] = getattr(self, _MAKERS[letter])
        make(state, data, block, later, jsonata)
        return state

    def onward(self, state: State, later: list[str]) -> None:
        if later:
            state["Next"] = later[0]
        else:
            state["End"] = True

    def source(self, data: Json, block: Block, retried: bool = False) -> Source:
        return Source(self.r, data, block.variables, block.in_map, retried)

    def expressions(self, data: Json, block: Block) -> Expressions:
        return Expressions(self.r, data, block.variables, block.in_map)

    # --- fields that several types have -----------------------------------------------------------

    def select(
        self, state: State, name: str, data: Json, block: Block, probability: float = 0.25
    ) -> None:
        """InputPath, OutputPath."""
        if chance(self.r, probability):
            state[name] = None if chance(self.r, 0.12) else self.source(data, block).path()

    def result_path(self, state: State, raw: Json, probability: float = 0.35) -> None:
        r = self.r
        if chance(r, probability):
            choices: list[str | None] = [
                "$",
                None,
                "$.r",
                "$.r",
                "$.o.new",
                "$.deep.er",
                "$['x y']",
            ]
            choices += [written(r, keys) for keys, _ in nodes(raw, 2) if keys][:6]
            state["ResultPath"] = r.choice(choices)

    def assign(
        self,
        state: State,
        data: Json,
        block: Block,
        jsonata: bool,
        expressions: Expressions | None = None,
    ) -> None:
        r = self.r
        if not chance(r, self.profile.assign):
            return
        made: dict[str, Json] = {}
        for _ in range(r.randrange(1, 3)):
            name = self.variable(block)
            if jsonata:
                made[name] = (expressions or self.expressions(data, block)).value(1)
            elif name not in made and name + ".$" not in made:
                source = self.source(data, block)
                if chance(r, 0.6):
                    made[name + ".$"] = source.call() if chance(r, 0.3) else source.path()
                else:
                    made[name] = (
                        source.template(1, self.profile.calls) if chance(r, 0.4) else value(r, 1)
                    )
        state["Assign"] = made

    def output(self, state: State, expressions: Expressions, probability: float = 0.5) -> None:
        if chance(self.r, probability):
            state["Output"] = expressions.value()

    def shaped(
        self,
        state: State,
        result: Json,
        raw: Json,
        block: Block,
        jsonata: bool,
        selector: bool = True,
    ) -> None:
        """From a result to the output: ResultSelector, ResultPath, OutputPath; Output; Assign."""
        r = self.r
        if jsonata:
            expressions = self.expressions(raw, block).with_result("result", result)
            self.output(state, expressions, 0.4)
            self.assign(state, raw, block, True, expressions)
            return
        if selector and chance(r, 0.25):
            state["ResultSelector"] = self.source(result, block, retried=True).template(
                1, self.profile.calls
            )
        self.result_path(state, raw, 0.4)
        self.assign(state, result, block, False)

    # --- types ------------------------------------------------------------------------------------

    def pass_(
        self, state: State, data: Json, block: Block, later: list[str], jsonata: bool
    ) -> None:
        r = self.r
        self.onward(state, later)
        if jsonata:
            self.output(state, self.expressions(data, block), 0.75)
            self.assign(state, data, block, True)
            return
        self.select(state, "InputPath", data, block)
        if chance(r, 0.15):
            state["Result"] = value(r)
        if chance(r, 0.55):
            state["Parameters"] = self.source(self.seen(state, data, block), block).template(
                2, self.profile.calls
            )
        self.result_path(state, data)
        self.assign(state, self.seen(state, data, block), block, False)

    def seen(self, state: State, data: Json, block: Block) -> Json:
        """What InputPath leaves of an input."""
        if "InputPath" not in state:
            return data
        return self.probe(data, block, InputPath=state["InputPath"])

    def succeed(
        self, state: State, data: Json, block: Block, later: list[str], jsonata: bool
    ) -> None:
        if jsonata:
            self.output(state, self.expressions(data, block))
        else:
            self.select(state, "InputPath", data, block)

    def fail(self, state: State, data: Json, block: Block, later: list[str], jsonata: bool) -> None:
        r = self.r
        for name, texts in (("Error", ERRORS), ("Cause", _CAUSES)):
            if chance(r, 0.15):
                continue
            if jsonata and chance(r, 0.3):
                state[name] = self.expressions(data, block).expression("string")
            elif not jsonata and chance(r, 0.2):
                path = self.source(data, block).reference("string")
                state[name + "Path"] = path or "States.Format('{}-{}', 'a', 1)"
            else:
                state[name] = r.choice(texts)

    def wait(self, state: State, data: Json, block: Block, later: list[str], jsonata: bool) -> None:
        r = self.r
        self.onward(state, later)
        if jsonata:
            if chance(r, 0.5):
                state["Seconds"] = r.choice(
                    (0, "{% 0 %}", "{% 1 - 1 %}", "{% 'a' %}" if chance(r, 0.2) else "{% 0 %}")
                )
            else:
                state["Timestamp"] = r.choice(
                    (
                        *INSTANTS,
                        "{% '2001-02-03T04:05:06Z' %}",
                        "{% '" + r.choice(NO_INSTANTS) + "' %}",
                    )
                )
            self.output(state, self.expressions(data, block), 0.3)
            self.assign(state, data, block, True)
            return
        kind = r.randrange(4)
        if kind == 0:
            state["Seconds"] = 0
        elif kind == 1:
            state["Timestamp"] = r.choice(INSTANTS)
        elif kind == 2:
            due = [keys for keys, found in nodes(data) if not _waits(found) and keys]
            state["SecondsPath"] = written(r, r.choice(due)) if due else "$.missing"
        else:
            texts = [
                keys
                for keys, found in nodes(data)
                if kind_of(found) == "string" and found in (*INSTANTS, *NO_INSTANTS)
            ]
            state["TimestampPath"] = (
                written(r, r.choice(texts)) if texts and chance(r, 0.9) else "$.s"
            )
        if kind < 2:
            self.select(state, "InputPath", data, block)
        self.assign(state, self.seen(state, data, block), block, False)

    def choice(
        self, state: State, data: Json, block: Block, later: list[str], jsonata: bool
    ) -> None:
        r = self.r
        expressions = self.expressions(data, block)
        if not jsonata:
            self.select(state, "InputPath", data, block, 0.12)
        seen = self.seen(state, data, block)
        rules = []
        for _ in range(r.randrange(1, 4)):
            if jsonata:
                made: State = {
                    "Condition": r.choice((True, False))
                    if chance(r, 0.1)
                    else expressions.expression("boolean")
                }
                self.output(made, expressions, 0.3)
            else:
                made = rule(self.source(seen, block))
            self.assign(made, seen, block, jsonata)
            rules.append({**made, "Next": r.choice(later)})
        state["Choices"] = rules
        rules[-1]["Next"] = later[0]  # so that it can be reached
        if chance(r, 0.9):
            state["Default"] = r.choice(later)
        if jsonata:
            self.output(state, expressions, 0.2)
        self.assign(state, seen, block, jsonata)

    def task(self, state: State, data: Json, block: Block, later: list[str], jsonata: bool) -> None:
        r = self.r
        self.onward(state, later)
        state["Resource"] = ACTIVITY.format(r.randrange(ACTIVITIES))
        steps: list[State] = []
        for _ in range(r.randrange(1, 3)):
            if chance(r, 0.45):
                failed = {"error": r.choice(ERRORS), "cause": r.choice(_CAUSES)}
                steps.append({name: text for name, text in failed.items() if chance(r, 0.9)})
            else:
                steps.append({"output": value(r)})
        if chance(r, 0.01):
            steps[0] = {"silent": True}
        if any(step.get("silent") for step in steps):
            state["TimeoutSeconds"], self.waits = 1, True
        elif chance(r, 0.15):
            state["TimeoutSeconds"] = 60
            if chance(r, 0.5):
                state["HeartbeatSeconds"] = 50
        if jsonata and chance(r, 0.75):
            state["Arguments"] = {
                "script": steps,
                "turn": "{% $states.context.State.RetryCount %}",
                "v": self.expressions(data, block).value(1),
            }
        elif not jsonata and chance(r, 0.75):
            self.select(state, "InputPath", data, block, 0.15)
            source = self.source(self.seen(state, data, block), block)
            state["Parameters"] = {
                "script": steps,
                "turn.$": "$$.State.RetryCount",
                **_renamed(source.template(1)),
            }
        elif (
            not jsonata
            and "TimeoutSeconds" not in state
            and isinstance(data, dict)
            and data.get("limit") == _LIMITS["limit"]
        ):
            state["TimeoutSecondsPath"] = "$.limit" if chance(r, 0.9) else "$.missing"
            if chance(r, 0.5) and data.get("beat") == _LIMITS["beat"]:
                state["HeartbeatSecondsPath"] = "$.beat"
        self.failing(state, data, block, later, jsonata)
        self.shaped(state, steps[0].get("output", data), data, block, jsonata)

    def parallel(
        self, state: State, data: Json, block: Block, later: list[str], jsonata: bool
    ) -> None:
        r = self.r
        self.onward(state, later)
        if jsonata and chance(r, 0.35):
            state["Arguments"] = (
                self.expressions(data, block).members()
                if chance(r, 0.5)
                else self.expressions(data, block).value()
            )
        elif not jsonata:
            self.select(state, "InputPath", data, block, 0.15)
            if chance(r, 0.35):
                state["Parameters"] = self.source(
                    self.seen(state, data, block), block, retried=True
                ).template(1, self.profile.calls)
        given = self.parallel_input(state, data, block)
        flaky = chance(r, self.profile.retry) and self.profile.retry > 0
        made = [
            self.block(given, block.depth - 1, block.variables, block.in_map)
            for _ in range(r.randrange(1, 4))
        ]
        state["Branches"] = [branch for branch, _ in made]
        if flaky:
            self.flaky(state, jsonata)
        self.failing(state, data, block, later, jsonata)
        self.shaped(state, [output for _, output in made], data, block, jsonata)

    def parallel_input(self, state: State, data: Json, block: Block) -> Json:
        probe = {
            name: each
            for name, each in state.items()
            if name in ("QueryLanguage", "InputPath", "Parameters")
        }
        if "Arguments" in state:
            probe["Output"] = state["Arguments"]
        return self.probe(data, block, **probe)

    def flaky(self, state: State, jsonata: bool) -> None:
        """Fails until it has been retried so many times."""
        times, choose, broken, done = self.r.randrange(1, 3), self.name(), self.name(), self.name()
        if jsonata:
            state["Arguments"] = {"turn": "{% $states.context.State.RetryCount %}"}
            test: State = {"Condition": f"{{% $states.input.turn < {times} %}}", "Next": broken}
        else:
            state.pop("InputPath", None)
            state["Parameters"] = {"turn.$": "$$.State.RetryCount"}
            test = {"Variable": "$.turn", "NumericLessThan": times, "Next": broken}
        language = {"QueryLanguage": "JSONata"} if jsonata and self.language != "JSONata" else {}
        states = {
            choose: {"Type": "Choice", **language, "Choices": [test], "Default": done},
            broken: {"Type": "Fail", "Error": self.r.choice(ERRORS)},
            done: {"Type": "Succeed"},
        }
        state["Branches"] = [{"StartAt": choose, "States": states}, *state["Branches"][:1]]
        retrier: State = {
            "ErrorEquals": [self.r.choice((*ERRORS, "States.ALL", "States.TaskFailed"))],
            "IntervalSeconds": 1,
        }
        retrier |= {
            "BackoffRate": self.r.choice((1, 1.0, 1.5)),
            "MaxAttempts": self.r.randrange(0, 3),
        }
        if chance(self.r, 0.3):
            retrier |= {"JitterStrategy": "FULL", "MaxDelaySeconds": 2}
        state["Retry"], self.waits = [retrier], True

    def map(self, state: State, data: Json, block: Block, later: list[str], jsonata: bool) -> None:
        r = self.r
        self.onward(state, later)
        items: Json = None
        if jsonata:
            if not isinstance(data, list) or chance(r, 0.5):
                state["Items"] = (
                    [value(r, 1), *array(r)]
                    if chance(r, 0.15)
                    else self.expressions(data, block).expression("array")
                )
            probe: State = {"QueryLanguage": "JSONata", "Output": state.get("Items", data)}
        else:
            self.select(state, "InputPath", data, block, 0.1)
            path = self.source(self.seen(state, data, block), block).reference("array")
            if path is not None:
                state["ItemsPath"] = path
            probe = {"InputPath": state.get("ItemsPath", "$")}
        items = self.probe(self.seen(state, data, block), block, **probe)
        item = items[0] if isinstance(items, list) and items else None
        if chance(r, 0.4):
            state["MaxConcurrency"] = r.choice((0, 1, 1, 2, 3, 40, 41))
        elif not jsonata and chance(r, 0.1):
            numbers = [keys for keys, found in nodes(data) if kind_of(found) == "number" and keys]
            state["MaxConcurrencyPath"] = (
                written(r, r.choice(numbers)) if numbers and "InputPath" not in state else "$.w"
            )
        if chance(r, 0.3):
            inside = Block(0, True, block.variables)
            source = self.source(self.seen(state, data, block), inside)
            name = (
                "ItemSelector" if jsonata or chance(r, 0.9) else "Parameters"
            )  # as it was called once
            state[name] = (
                self.expressions(data, inside).members()
                if jsonata
                else source.template(1, self.profile.calls)
            )
            item = {"a": item, "n": 1}
        processor, output = self.block(item, block.depth - 1, block.variables, True)
        if chance(r, 0.2):
            processor = {"ProcessorConfig": {"Mode": "INLINE"}, **processor}
        state["Iterator" if chance(r, 0.05) else "ItemProcessor"] = processor
        self.failing(state, data, block, later, jsonata)
        self.shaped(
            state,
            [output for _ in (items if isinstance(items, list) else ())],
            data,
            block,
            jsonata,
        )

    def failing(
        self, state: State, data: Json, block: Block, later: list[str], jsonata: bool
    ) -> None:
        """Retry and Catch."""
        r, profile = self.r, self.profile
        if profile.retry and "Retry" not in state and chance(r, profile.retry):
            own = r.choice([*raised(state) * 4, *ERRORS])
            names = [own if chance(r, 0.6) else r.choice((*ERRORS, "States.ALL"))]
            again = {
                "ErrorEquals": names,
                "IntervalSeconds": 1,
                "MaxAttempts": r.randrange(1, 3),
                "BackoffRate": 1.0,
            }
            never = {
                "ErrorEquals": [own],
                "MaxAttempts": 0,
            }  # the first that matches decides, whatever the next one would do
            state["Retry"] = [never, again] if chance(r, 0.6) else [again]
            self.waits = True
        if not later or not chance(r, profile.catch):
            return
        catchers = []
        for _ in range(r.randrange(1, 4)):
            names = [r.choice(_CAUGHT)]
            if chance(r, 0.3):
                names.append(r.choice(ERRORS))
            catcher: State = {"ErrorEquals": names, "Next": r.choice(later)}
            error = {"Error": "Boom", "Cause": "why"}
            if jsonata:
                expressions = self.expressions(data, block).with_result("errorOutput", error)
                self.output(catcher, expressions, 0.4)
                self.assign(catcher, data, block, True, expressions)
            else:
                self.result_path(catcher, data, 0.6)
                self.assign(catcher, error, block, False)
            catchers.append(catcher)
        if chance(r, 0.6):
            catchers[-1]["ErrorEquals"] = ["States.ALL"]
        state["Catch"] = catchers


def _waits(found: Json) -> bool:
    """Whether SecondsPath would wait for so long, or mean what nobody has written down."""
    return isinstance(found, str) or (
        isinstance(found, (int, float))
        and not isinstance(found, bool)
        and found > 0
        and found == int(found)
    )


def _renamed(template: dict[str, Json]) -> dict[str, Json]:
    return {f"p_{name}": each for name, each in template.items()}


_TYPES: Final = {
    "P": "Pass",
    "T": "Task",
    "C": "Choice",
    "W": "Wait",
    "S": "Succeed",
    "F": "Fail",
    "L": "Parallel",
    "M": "Map",
}
_MAKERS: Final = {
    "P": "pass_",
    "T": "task",
    "C": "choice",
    "W": "wait",
    "S": "succeed",
    "F": "fail",
    "L": "parallel",
    "M": "map",
}
