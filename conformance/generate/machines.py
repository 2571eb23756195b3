"""Machines, each with an input that fits it.

A machine is generated state by state beside an example: the oracle runs each new state, so that the
input of the next one is known. Every machine ends (states only lead onward, loops count), and
nothing waits: seconds are 0, timestamps have passed. Only retries and task timeouts take time, as
the language has no shorter delay than a second; such machines are of type STANDARD.
"""

from random import Random
from typing import Any, Final

from stepwell.conformance.generate.jsonpath import written
from stepwell.conformance.generate.profiles import PROFILES, Profile
from stepwell.conformance.generate.rewrites import comment, looped
from stepwell.conformance.generate.state_fields import ERRORS, Block, Draft, Fields, State
from stepwell.conformance.generate.state_types import STATES, TASK_LIMITS
from stepwell.conformance.generate.values import array, chance, kind_of, nodes, state_input, value
from stepwell.conformance.oracle.values import Json
from stepwell.conformance.run.case import EXPRESS, STANDARD, Case

# the letters of Profile.types
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


def machine_case(r: Random, area: str) -> Case:
    """A machine of an area."""
    profile = PROFILES[area]
    execution_input = state_input(r)
    if area == "tasks" and isinstance(execution_input, dict) and chance(r, 0.5):
        execution_input |= TASK_LIMITS
    maker = Maker(r, profile, execution_input)
    definition = maker.machine()
    standard = chance(r, profile.standard) or maker.fields.waits
    return Case(definition, execution_input, STANDARD if standard else EXPRESS, area)


class Maker:
    """Generates one machine. `budget`: the number of states after which no container follows."""

    def __init__(self, r: Random, profile: Profile, execution_input: Json) -> None:
        self.r, self.profile, self.execution_input = r, profile, execution_input
        self.fields = Fields(r, profile, execution_input)
        self.budget = r.randrange(2, 11)

    @property
    def language(self) -> str:
        return self.fields.language

    def machine(self) -> dict[str, Any]:
        block, _ = self.block(self.execution_input, self.profile.depth, {}, False, longest=5)
        machine: dict[str, Any] = {"StartAt": block["StartAt"]}
        if self.language == "JSONata":
            machine["QueryLanguage"] = "JSONata"
        if chance(self.r, 0.05):
            machine["Comment"] = "made by conformance"
        if chance(self.r, 0.03):
            machine["TimeoutSeconds"] = 300
        if chance(self.r, 0.03):
            machine["Version"] = "1.0"
        if chance(self.r, 0.1):
            comment(self.r, block)
        return {**machine, "States": block["States"]}

    def block(
        self, data: Json, depth: int, variables: dict[str, Json], in_map: bool, longest: int = 3
    ) -> tuple[dict[str, Any], Json]:
        """(a block of states in a row, an example of its output): each state leads to the next one,
        some also to later ones.
        """
        r, fields = self.r, self.fields
        block = Block(depth, in_map, dict(variables))
        names = [fields.state_name() for _ in range(r.randrange(1, longest + 1))]
        for place, name in enumerate(names):
            self.budget -= 1
            later = names[place + 1 :]
            state = self.state(data, block, later)
            left = fields.run(name, state, data, block)
            if left is None and state["Type"] != "Fail" and chance(r, 0.7):
                # a state that fails ends the machine: keep only some of them
                state = self.state(data, block, later)
                left = fields.run(name, state, data, block)
            block.states[name] = state
            if left is not None:
                block.variables = left.variables
                data = fields.output_path(state, left.output, block)
        definition = {"StartAt": names[0], "States": block.states}
        if chance(r, self.profile.loop):
            fields.variables += 1
            variable = f"loop{fields.variables}"
            jsonata = fields.is_jsonata()
            new = [fields.state_name() for _ in range(4)]
            mixed = jsonata and self.language != "JSONata"
            looped(definition, new, variable, r.choice((1, 2, 2, 3)), jsonata, mixed)
        return definition, data

    def state(self, data: Json, block: Block, later: list[str]) -> State:
        """A state that leads to later[0], or ends the block."""
        r = self.r
        letter = r.choice(self.profile.types)
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
        jsonata = self.fields.is_jsonata()
        state: State = {"Type": _TYPES[letter]}
        if jsonata and self.language != "JSONata":
            state["QueryLanguage"] = "JSONata"
        draft = Draft(state, data, block, later, jsonata)
        if letter == "L":
            self.parallel(draft)
        elif letter == "M":
            self.map(draft)
        else:
            STATES[state["Type"]](self.fields, draft)
        return state

    # --- Parallel ---------------------------------------------------------------------------------

    def parallel(self, draft: Draft) -> None:
        r, fields, state, block = self.r, self.fields, draft.state, draft.block
        draft.end_or_next()
        if draft.jsonata and chance(r, 0.35):
            expressions = fields.expressions(draft.data, block)
            state["Arguments"] = expressions.members() if chance(r, 0.5) else expressions.value()
        elif not draft.jsonata:
            fields.select(state, "InputPath", draft.data, block, 0.15)
            if chance(r, 0.35):
                source = fields.source(fields.selected_input(draft), block, retried=True)
                state["Parameters"] = source.template(1, self.profile.calls)
        branch_input = self._branch_input(draft)
        flaky = chance(r, self.profile.retry) and self.profile.retry > 0
        branches = [
            self.block(branch_input, block.depth - 1, block.variables, block.in_map)
            for _ in range(r.randrange(1, 4))
        ]
        state["Branches"] = [branch for branch, _ in branches]
        if flaky:
            self._flaky(draft)
        fields.retry_and_catch(draft)
        fields.result_fields(draft, [output for _, output in branches])

    def _branch_input(self, draft: Draft) -> Json:
        """An example of what every branch gets."""
        names = ("QueryLanguage", "InputPath", "Parameters")
        probe = {name: each for name, each in draft.state.items() if name in names}
        if "Arguments" in draft.state:
            probe["Output"] = draft.state["Arguments"]
        return self.fields.pass_output(draft.data, draft.block, probe)

    def _flaky(self, draft: Draft) -> None:
        """Let a Parallel fail until it was retried once or twice."""
        r, fields, state = self.r, self.fields, draft.state
        times = r.randrange(1, 3)
        choose, broken, done = (fields.state_name() for _ in range(3))
        if draft.jsonata:
            state["Arguments"] = {"turn": "{% $states.context.State.RetryCount %}"}
            test: State = {"Condition": f"{{% $states.input.turn < {times} %}}", "Next": broken}
        else:
            state.pop("InputPath", None)
            state["Parameters"] = {"turn.$": "$$.State.RetryCount"}
            test = {"Variable": "$.turn", "NumericLessThan": times, "Next": broken}
        mixed = draft.jsonata and self.language != "JSONata"
        language = {"QueryLanguage": "JSONata"} if mixed else {}
        states = {
            choose: {"Type": "Choice", **language, "Choices": [test], "Default": done},
            broken: {"Type": "Fail", "Error": r.choice(ERRORS)},
            done: {"Type": "Succeed"},
        }
        state["Branches"] = [{"StartAt": choose, "States": states}, *state["Branches"][:1]]
        retrier: State = {
            "ErrorEquals": [r.choice((*ERRORS, "States.ALL", "States.TaskFailed"))],
            "IntervalSeconds": 1,
            "BackoffRate": r.choice((1, 1.0, 1.5)),
            "MaxAttempts": r.randrange(0, 3),
        }
        if chance(r, 0.3):
            retrier |= {"JitterStrategy": "FULL", "MaxDelaySeconds": 2}
        state["Retry"], fields.waits = [retrier], True

    # --- Map --------------------------------------------------------------------------------------

    def map(self, draft: Draft) -> None:
        r, fields, state, block = self.r, self.fields, draft.state, draft.block
        draft.end_or_next()
        items = self._items(draft)
        item = items[0] if isinstance(items, list) and items else None
        self._concurrency(draft)
        if chance(r, 0.3):
            self._item_selector(draft)
            item = {"a": item, "n": 1}
        processor, output = self.block(item, block.depth - 1, block.variables, True)
        if chance(r, 0.2):
            processor = {"ProcessorConfig": {"Mode": "INLINE"}, **processor}
        state["Iterator" if chance(r, 0.05) else "ItemProcessor"] = processor
        fields.retry_and_catch(draft)
        fields.result_fields(draft, [output for _ in (items if isinstance(items, list) else ())])

    def _items(self, draft: Draft) -> Json:
        """Items or ItemsPath; an example of the items."""
        r, fields, state, data, block = self.r, self.fields, draft.state, draft.data, draft.block
        if draft.jsonata:
            if not isinstance(data, list) or chance(r, 0.5):
                state["Items"] = (
                    [value(r, 1), *array(r)]
                    if chance(r, 0.15)
                    else fields.expressions(data, block).expression("array")
                )
            probe: State = {"QueryLanguage": "JSONata", "Output": state.get("Items", data)}
        else:
            fields.select(state, "InputPath", data, block, 0.1)
            path = fields.source(fields.selected_input(draft), block).reference("array")
            if path is not None:
                state["ItemsPath"] = path
            probe = {"InputPath": state.get("ItemsPath", "$")}
        return fields.pass_output(fields.selected_input(draft), block, probe)

    def _concurrency(self, draft: Draft) -> None:
        r, state = self.r, draft.state
        if chance(r, 0.4):
            state["MaxConcurrency"] = r.choice((0, 1, 1, 2, 3, 40, 41))
        elif not draft.jsonata and chance(r, 0.1):
            numbers = [
                keys for keys, each in nodes(draft.data) if kind_of(each) == "number" and keys
            ]
            state["MaxConcurrencyPath"] = (
                written(r, r.choice(numbers)) if numbers and "InputPath" not in state else "$.w"
            )

    def _item_selector(self, draft: Draft) -> None:
        """ItemSelector, sometimes under its old name Parameters."""
        fields, inside = self.fields, Block(0, True, dict(draft.block.variables))
        source = fields.source(fields.selected_input(draft), inside)
        name = "ItemSelector" if draft.jsonata or chance(self.r, 0.9) else "Parameters"
        draft.state[name] = (
            fields.expressions(draft.data, inside).members()
            if draft.jsonata
            else source.template(1, self.profile.calls)
        )
