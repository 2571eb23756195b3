"""The fields that states of several types share, drawn to fit an example of the state's input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from stepwell.conformance.generate.expressions import Expressions
from stepwell.conformance.generate.jsonpath import Source, written
from stepwell.conformance.generate.profiles import Profile
from stepwell.conformance.generate.scripts import raised, scripted
from stepwell.conformance.generate.values import chance, nodes, value
from stepwell.conformance.oracle import UndeterminedError
from stepwell.conformance.oracle.execution import Execution
from stepwell.conformance.oracle.model import BlockError, StateExit
from stepwell.conformance.oracle.states import visit_state
from stepwell.conformance.oracle.values import MISSING, Json

State = dict[str, Any]

ERRORS: Final = ("Boom", "E1", "Café", "Custom.Error")
CAUSES: Final = ("why", "", "it's {} é", '{"a":1}')
_NAMES: Final = ("S", "Step", "Zustand ", "é")
_NAME_LETTERS: Final = 80  # of the longest name
# ErrorEquals of catchers. The last three groups match no error that a generated state can have
# caught.
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


@dataclass(slots=True)
class Block:
    """A States block being generated. `variables`: example values of those in scope; `assigned`:
    names that the block's own states assign. Containers may be nested `depth` levels deeper.
    """

    depth: int
    in_map: bool
    variables: dict[str, Json]
    states: dict[str, State] = field(default_factory=dict)
    assigned: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Draft:
    """A state being generated. `data`: an example of its input; `later`: the names of the states
    after it in its block.
    """

    state: State
    data: Json
    block: Block
    later: list[str]
    jsonata: bool

    def end_or_next(self) -> None:
        if self.later:
            self.state["Next"] = self.later[0]
        else:
            self.state["End"] = True


class Fields:
    """Draws fields, state names and variable names for one machine."""

    def __init__(self, r: Random, profile: Profile, execution_input: Json) -> None:
        self.r, self.profile, self.execution_input = r, profile, execution_input
        letter = r.choice(profile.languages)
        self.language = {"P": "JSONPath", "J": "JSONata", "M": "JSONPath"}[letter]
        self.mixed = letter == "M"
        self.names = 0
        self.variables = 0
        self.waits = False  # a retry or a timeout takes time

    # --- names ------------------------------------------------------------------------------------

    def state_name(self) -> str:
        self.names += 1
        name = f"{self.r.choice(_NAMES) if chance(self.r, 0.1) else 'S'}{self.names}"
        return name.rjust(_NAME_LETTERS, "é") if chance(self.r, 0.02) else name

    def variable(self, block: Block) -> str:
        """The name of a variable to assign: a new one, or one that the block already assigns."""
        if block.assigned and chance(self.r, 0.4):
            return self.r.choice(block.assigned)
        self.variables += 1
        name = f"{'é' if chance(self.r, 0.05) else 'v'}{self.variables}"
        block.assigned.append(name)
        return name

    def is_jsonata(self) -> bool:
        """Whether the next state is in JSONata."""
        return self.language == "JSONata" or (self.mixed and chance(self.r, 0.4))

    # --- examples ---------------------------------------------------------------------------------

    def run(self, name: str, state: State, data: Json, block: Block) -> StateExit | None:
        """How the oracle leaves a state with an example; None if the state fails."""
        definition = {"QueryLanguage": self.language, "StartAt": name, "States": {name: state}}
        execution = Execution(definition, self.execution_input, scripted, False, [])
        item = {"Index": 0, "Value": data} if block.in_map else MISSING
        try:
            return visit_state(execution, name, state, data, block.variables, item, ())
        except (BlockError, UndeterminedError):
            return None

    def pass_output(self, data: Json, block: Block, fields: Mapping[str, Json]) -> Json:
        """The output of a Pass state with these fields; `data` itself if the state fails."""
        left = self.run("x", {"Type": "Pass", **fields, "End": True}, data, block)
        return data if left is None else left.output

    def selected_input(self, draft: Draft) -> Json:
        """An example of the state's input after InputPath."""
        if "InputPath" not in draft.state:
            return draft.data
        return self.pass_output(draft.data, draft.block, {"InputPath": draft.state["InputPath"]})

    def source(self, data: Json, block: Block, retried: bool = False) -> Source:
        return Source(self.r, data, block.variables, block.in_map, retried)

    def expressions(self, data: Json, block: Block) -> Expressions:
        return Expressions(self.r, data, block.variables, block.in_map)

    # --- fields -----------------------------------------------------------------------------------

    def select(
        self, state: State, name: str, data: Json, block: Block, probability: float = 0.25
    ) -> None:
        """InputPath, OutputPath."""
        if chance(self.r, probability):
            state[name] = None if chance(self.r, 0.12) else self.source(data, block).path()

    def output_path(self, state: State, output: Json, block: Block) -> Json:
        """Sometimes add OutputPath to a state. `output`: an example of the output without it;
        returns the one with it.
        """
        jsonata = "JSONata" in (self.language, state.get("QueryLanguage"))
        if jsonata or state["Type"] == "Fail" or not chance(self.r, 0.12):
            return output
        self.select(state, "OutputPath", output, block, 1.0)
        return self.pass_output(output, block, {"InputPath": state["OutputPath"]})

    def result_path(self, state: State, raw_input: Json, probability: float = 0.35) -> None:
        if chance(self.r, probability):
            choices: list[str | None] = [
                "$", None, "$.r", "$.r", "$.o.new", "$.deep.er", "$['x y']",
            ]  # fmt: skip
            choices += [written(self.r, keys) for keys, _ in nodes(raw_input, 2) if keys][:6]
            state["ResultPath"] = self.r.choice(choices)

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
        assign: dict[str, Json] = {}
        for _ in range(r.randrange(1, 3)):
            name = self.variable(block)
            if jsonata:
                assign[name] = (expressions or self.expressions(data, block)).value(1)
            elif name not in assign and name + ".$" not in assign:
                source = self.source(data, block)
                if chance(r, 0.6):
                    assign[name + ".$"] = source.call() if chance(r, 0.3) else source.path()
                else:
                    assign[name] = (
                        source.template(1, self.profile.calls) if chance(r, 0.4) else value(r, 1)
                    )
        state["Assign"] = assign

    def output(self, state: State, expressions: Expressions, probability: float = 0.5) -> None:
        if chance(self.r, probability):
            state["Output"] = expressions.value()

    def result_fields(self, draft: Draft, result: Json) -> None:
        """The fields that shape a result: ResultSelector, ResultPath, Output, Assign."""
        state, data, block = draft.state, draft.data, draft.block
        if draft.jsonata:
            expressions = self.expressions(data, block).with_result("result", result)
            self.output(state, expressions, 0.4)
            self.assign(state, data, block, True, expressions)
            return
        if chance(self.r, 0.25):
            source = self.source(result, block, retried=True)
            state["ResultSelector"] = source.template(1, self.profile.calls)
        self.result_path(state, data, 0.4)
        self.assign(state, result, block, False)

    # --- failures ---------------------------------------------------------------------------------

    def retry_and_catch(self, draft: Draft) -> None:
        r, state = self.r, draft.state
        if self.profile.retry and "Retry" not in state and chance(r, self.profile.retry):
            state["Retry"] = self._retriers(state)
            self.waits = True
        if draft.later and chance(r, self.profile.catch):
            state["Catch"] = self._catchers(draft)

    def _retriers(self, state: State) -> list[State]:
        r = self.r
        own = r.choice([*raised(state) * 4, *ERRORS])
        again = {
            "ErrorEquals": [own if chance(r, 0.6) else r.choice((*ERRORS, "States.ALL"))],
            "IntervalSeconds": 1,
            "MaxAttempts": r.randrange(1, 3),
            "BackoffRate": 1.0,
        }
        never = {"ErrorEquals": [own], "MaxAttempts": 0}  # the first retrier that matches decides
        return [never, again] if chance(r, 0.6) else [again]

    def _catchers(self, draft: Draft) -> list[State]:
        r, catchers = self.r, []
        error = {"Error": "Boom", "Cause": "why"}
        for _ in range(r.randrange(1, 4)):
            names = [r.choice(_CAUGHT)]
            if chance(r, 0.3):
                names.append(r.choice(ERRORS))
            catcher: State = {"ErrorEquals": names, "Next": r.choice(draft.later)}
            if draft.jsonata:
                expressions = self.expressions(draft.data, draft.block)
                expressions = expressions.with_result("errorOutput", error)
                self.output(catcher, expressions, 0.4)
                self.assign(catcher, draft.data, draft.block, True, expressions)
            else:
                self.result_path(catcher, draft.data, 0.6)
                self.assign(catcher, error, draft.block, False)
            catchers.append(catcher)
        if chance(r, 0.6):
            catchers[-1]["ErrorEquals"] = ["States.ALL"]
        return catchers
