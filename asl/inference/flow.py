"""What flows through a machine: an abstract interpretation of its states on Shapes.

    infer(Machine(definition)).inputs["Ship"]    # what `$` can be when Ship is entered

The states are run on Shapes in the order of the data flow (engine/core/dataflow.py) until nothing
changes. The result covers every execution whose input is like `inputs`: a real value that is not
in its Shape is a defect (tests/asl/inference/test_flow.py checks generated machines). What a task
answers is known from `results` only; everything else that is not known is ANY.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from stepwell.asl import json_text, messages
from stepwell.asl.definition import DISTRIBUTED
from stepwell.asl.error_matching import matches
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.field_evaluators import integer
from stepwell.asl.inference import shapes as s
from stepwell.asl.inference import stages
from stepwell.asl.inference.choice_shapes import Results, rule_results
from stepwell.asl.inference.contexts import ERROR_OUTPUT, context
from stepwell.asl.inference.field_shapes import (
    WRONG_TYPE,
    FieldFailure,
    Scene,
    required,
    value_shape,
)
from stepwell.asl.inference.machine import Block, Edge, Machine, State, entries
from stepwell.asl.inference.shapes import ANY, Shape, has_hole
from stepwell.asl.inference.stages import Variables
from stepwell.asl.json_text import item as item_of
from stepwell.asl.json_text import member
from stepwell.asl.resources import Resource
from stepwell.asl.timestamps import parse_timestamp

ResultsOfTasks: TypeAlias = Callable[[Resource], Shape | None]  # None: nothing is known

_VISITS: Final = 12  # of a state; then everything that flows into it is ANY
_NUMBERS: Final = (  # fields that read a number, by path
    "TimeoutSecondsPath",
    "HeartbeatSecondsPath",
    "MaxConcurrencyPath",
    "ToleratedFailureCountPath",
    "ToleratedFailurePercentagePath",
)
# field -> (its reader, which returns None for a text of another form; the form)
_FORMS: Final[dict[str, tuple[Callable[[Json], Any], str]]] = {
    "SecondsPath": (integer, "a whole number"),
    "TimeoutSecondsPath": (integer, "a whole number"),
    "HeartbeatSecondsPath": (integer, "a whole number"),
    "MaxConcurrencyPath": (integer, "a whole number"),
    "TimestampPath": (parse_timestamp, "a timestamp"),
}


class Flow(NamedTuple):
    """What arrives at a state."""

    input: Shape
    variables: Variables


Way: TypeAlias = tuple[str | None, Flow]  # (next state, what arrives there); None: the block ends


class Failure(NamedTuple):
    """A field that fails whenever it is evaluated. handled: whether a catcher takes the error."""

    state: State
    cause: FieldFailure
    handled: bool


class Facts:
    """The result of infer().

    inputs, variables  by state name; a state that no execution enters is missing
    outputs            of blocks: what the machine, a branch or an ItemProcessor returns
    results            of the work of Tasks, Parallels and Maps, by state
    rules              Choice -> what each of its rules may give; None for one that always fails
    items              of Maps: what they iterate over
    scenes             Choice -> what its rules can read
    failures           in the order of the text
    """

    def __init__(self) -> None:
        self.flows: dict[State, Flow] = {}
        self.outputs: dict[Block, Shape] = {}
        self.results: dict[State, Shape] = {}
        self.rules: dict[State, list[Results | None]] = {}
        self.scenes: dict[State, Scene] = {}
        self.items: dict[State, Shape] = {}
        self.failed: dict[tuple[State, str], FieldFailure] = {}

    @property
    def inputs(self) -> dict[str, Shape]:
        return {state.name: flow.input for state, flow in self.flows.items()}

    @property
    def variables(self) -> dict[str, Variables]:
        return {state.name: flow.variables for state, flow in self.flows.items()}

    @property
    def failures(self) -> Iterator[Failure]:
        for (state, part), cause in self.failed.items():
            catching = part.startswith(state.at("Catch"))  # its own catchers do not see that
            inner = tuple(state.around()) if catching else (state, *state.around())
            yield Failure(state, cause, _handled(inner, cause.error))


def infer(
    machine: Machine,
    execution_input: Shape = ANY,
    results: ResultsOfTasks = lambda resource: None,
) -> Facts:
    """What flows through a machine whose executions have such an input."""
    walk = _Walk(execution_input, results)
    walk.block(machine.block, Flow(execution_input, {}))
    return walk.facts


def _handled(states: Iterable[State], error: str) -> bool:
    """Whether a catcher of one of the states takes the error, or a Map tolerates it."""
    return any(
        (each.distributed and _tolerant(each))
        or (
            error != messages.RUNTIME
            and any(covers(error_names(entry), error) for entry in entries(each.fields, "Catch"))
        )
        for each in states
    )


def _tolerant(state: State) -> bool:
    return any(name.startswith("Tolerated") for name in state.fields)


def error_names(entry: Mapping[str, Json]) -> frozenset[str]:
    """ErrorEquals of a retrier or catcher."""
    names = entry.get("ErrorEquals")
    return frozenset(
        each for each in (names if isinstance(names, list) else ()) if isinstance(each, str)
    )


def covers(names: frozenset[str], error: str) -> bool:
    """Whether ErrorEquals may cover an error of the language; placeholders may be any name."""
    return matches(names, error) or any(map(has_hole, names))


class _Walk:
    """The interpretation. Facts only grow, so that it ends."""

    def __init__(self, execution_input: Shape, results: ResultsOfTasks) -> None:
        self.execution_input, self.results = execution_input, results
        self.facts = Facts()
        self.entered: dict[Block, Flow] = {}
        self.visits: dict[State, int] = {}
        self.shapes: dict[int, Shape] = {}  # id -> bounded
        self.kept: list[Shape] = []

    # --- blocks -----------------------------------------------------------------------------------

    def block(self, block: Block, flow: Flow) -> Shape:
        """What the block returns."""
        known = self.entered.get(block)
        joined = flow if known is None else _join(known, flow)
        if block.start is None:
            return ANY
        if known is not None and joined == known:
            return self.facts.outputs[block]
        self.entered[block] = joined
        output = self.facts.outputs.get(block, s.NOTHING)
        waiting = [(block.start, joined)]
        while waiting:
            state, arriving = waiting.pop()
            if not self.arrive(state, arriving):
                continue
            for target, leaving in self.step(state, self.facts.flows[state]):
                if target is None:
                    output = s.join(output, leaving.input)
                else:
                    waiting.append((block.states[target], leaving))
        self.facts.outputs[block] = output
        return output

    def arrive(self, state: State, flow: Flow) -> bool:
        """Add what arrives at a state. Returns whether it is news."""
        if not flow.input.reached:
            return False
        flow = Flow(
            self.bounded(flow.input), {n: self.bounded(v) for n, v in flow.variables.items()}
        )
        known = self.facts.flows.get(state)
        joined = flow if known is None else _join(known, flow)
        if known is not None and joined == known:
            return False
        self.visits[state] = self.visits.get(state, 0) + 1
        if self.visits[state] > _VISITS:
            joined = Flow(ANY, dict.fromkeys(joined.variables, s.MAYBE))
        self.facts.flows[state] = joined
        return joined != known

    def bounded(self, shape: Shape) -> Shape:
        """shapes.bounded(), once for a Shape that flows through several states unchanged."""
        known = self.shapes.get(id(shape))
        if known is None:
            known = s.bounded(shape)
            self.shapes[id(shape)] = self.shapes[id(known)] = known
            self.kept.append(shape)  # so that no other Shape has its id
        return known

    # --- one state --------------------------------------------------------------------------------

    def step(self, state: State, flow: Flow) -> list[Way]:
        """Every way out of a state."""
        around = context(state, self.execution_input)
        scene = Scene(flow.input, flow.input, flow.variables, around)
        found: list[Way] = []
        if state.type == "Choice":
            found += self.attempt(state, "", partial(self.choice, state, scene))
        elif state.type == "Fail":
            self.attempt(state, "", partial(self.fail, state, scene))
        else:
            found += self.attempt(state, "", partial(self.work, state, scene))
        for edge in state.edges:
            if edge.holder == "Catch":
                found += self.attempt(
                    state, edge.location, partial(self.caught, state, edge, scene)
                )
        return found

    def attempt(self, state: State, part: str, run: Callable[[], list[Way]]) -> list[Way]:
        """Run a part of a state, and note whether it always fails."""
        self.facts.failed.pop((state, part), None)
        try:
            return run()
        except FieldFailure as failure:
            self.facts.failed[(state, part)] = failure
            return []

    def work(self, state: State, scene: Scene) -> list[Way]:
        """Pass, Task, Wait, Succeed, Parallel and Map: up to the state's output."""
        selected = stages.selected(state, scene)
        for name in _NUMBERS:
            if name in state.fields:
                self.expect(state, name, selected, s.NUMBER, s.STRING)
            elif state.jsonata:
                self.typed(state, name.removesuffix("Path"), selected, s.NUMBER)
        if "Credentials" in state.fields:
            value_shape(
                state.jsonata, state.fields["Credentials"], selected, state.at("Credentials")
            )
        effective = stages.effective(state, selected)
        if stages.constant(state) and not state.jsonata:
            result = s.of(state.fields["Result"])
        elif state.type == "Task":
            result = (state.resource and self.results(state.resource)) or ANY
        elif state.type == "Parallel":
            result = self.parallel(state, effective, scene)
        elif state.type == "Map":
            result = self.map(state, selected)
        else:
            if state.type == "Wait":
                self.wait(state, selected)
            result = effective
        if not result.reached:
            return []
        self.facts.results[state] = result
        output, variables = stages.shaped(state, result, scene)
        return [(_next(state), Flow(output, variables))]

    def expect(self, state: State, name: str, scene: Scene, *kinds: str) -> None:
        """What a path field finds must be of one of the kinds, a constant text of its form."""
        where, text = state.at(name), state.fields[name]
        found = required(text, scene, where)
        if found.never(*kinds):
            wanted = s.described(Shape(frozenset(kinds)))
            raise _wrong(f"{name} always fails: {text} is", found, wanted, where)
        read, wanted = _FORMS.get(name, (lambda value: value, ""))
        if found.kinds == {s.STRING} and found.value is not MISSING and read(found.value) is None:
            message = (
                f"{name} always fails: {text} is {json_text.dumps(found.value)}, not {wanted}. "
                "Select a value of that form"
            )
            raise FieldFailure(messages.RUNTIME, where, WRONG_TYPE, message)

    def wait(self, state: State, selected: Scene) -> None:
        if "SecondsPath" in state.fields:
            self.expect(state, "SecondsPath", selected, s.NUMBER, s.STRING)
        if "TimestampPath" in state.fields:
            self.expect(state, "TimestampPath", selected, s.STRING)
        if state.jsonata:
            for name, kind in (("Seconds", s.NUMBER), ("Timestamp", s.STRING)):
                self.typed(state, name, selected, kind)

    def typed(self, state: State, name: str, scene: Scene, *kinds: str) -> Shape:
        """A JSONata field whose value must be of one of the kinds."""
        if name not in state.fields:
            return ANY
        found = value_shape(True, state.fields[name], scene, state.at(name))
        if found.never(*kinds):
            wanted = s.described(Shape(frozenset(kinds)))
            error = messages.QUERY_EVALUATION_ERROR
            raise _wrong(f"{name} always fails: it is", found, wanted, state.at(name), error)
        return found

    def fail(self, state: State, scene: Scene) -> list[Way]:
        for name in ("Error", "Cause"):
            if state.jsonata:
                self.typed(state, name, scene, s.STRING)
            elif isinstance(text := state.fields.get(name + "Path"), str) and text[:1] == "$":
                required(text, scene, state.at(name + "Path"))
        return []

    def parallel(self, state: State, effective: Shape, scene: Scene) -> Shape:
        outputs = [self.block(each, Flow(effective, scene.variables)) for each in state.blocks]
        if not all(each.reached for each in outputs):
            return s.NOTHING  # a branch never ends
        return s.array(s.join_all(outputs), len(outputs))

    def map(self, state: State, selected: Scene) -> Shape:
        self.facts.failed.pop((state, "ItemSelector"), None)
        items = self.items(state, selected)
        self.facts.items[state] = items
        item = items.items if items.only(s.ARRAY) and items.items is not None else ANY
        try:
            item = self.selector(state, selected, item if item.reached else ANY)
        except FieldFailure as failure:  # it is evaluated for each item, if there are any
            if items.length != 0:
                self.facts.failed[(state, "ItemSelector")] = failure
            return s.NOTHING if items.length else s.array(s.NOTHING)
        for block in state.blocks:
            separate = block.config.get("Mode") == DISTRIBUTED
            start = item
            if "ItemBatcher" in state.fields:
                start = s.record({"Items": s.array(item)}, open=True)
            output = self.block(block, Flow(start, {} if separate else selected.variables))
            if separate:
                return ANY
            return s.array(output) if output.reached or not items.length else s.NOTHING
        return ANY

    def items(self, state: State, selected: Scene) -> Shape:
        """What a Map iterates over."""
        kinds = (s.ARRAY, s.OBJECT) if state.distributed else (s.ARRAY,)
        if "ItemReader" in state.fields:
            items = s.LIST
        elif not state.jsonata:
            text = state.fields.get("ItemsPath", "$")
            where = state.at("ItemsPath") if "ItemsPath" in state.fields else state.location
            items = required(text, selected, where)
            if items.never(*kinds):
                raise _wrong(f"ItemsPath always fails: {text} is", items, "an array", where)
        elif "Items" in state.fields:
            items = self.typed(state, "Items", selected, *kinds)
        else:
            items, error = selected.input, messages.QUERY_EVALUATION_ERROR
            if items.never(*kinds):
                text = "the Map always fails: without Items it iterates over its input, which is"
                raise _wrong(text, items, "an array", state.location, error)
        return items

    def selector(self, state: State, selected: Scene, item: Shape) -> Shape:
        """What an iteration gets."""
        name = "ItemSelector" if "ItemSelector" in state.fields else "Parameters"
        if name not in state.fields:
            return item
        scene = replace(selected, context=context(state, self.execution_input, item))
        return value_shape(state.jsonata, state.fields[name], scene, state.at(name))

    # --- transitions ------------------------------------------------------------------------------

    def choice(self, state: State, scene: Scene) -> list[Way]:
        selected = stages.selected(state, scene)
        known: list[Results | None] = []
        self.facts.rules[state], self.facts.scenes[state] = known, selected
        found: list[Way] = []
        targets = {edge.location: edge.target for edge in state.edges}
        for index, rule in enumerate(entries(state.fields, "Choices")):
            where = item_of(state.at("Choices"), index)
            results = self.rule(state, rule, where, selected)
            known.append(results)
            if results is None:
                return found  # no later rule is evaluated
            target = targets.get(member(where, "Next"))
            if results.true and target is not None:
                found += self.attempt(
                    state, where, partial(_taken, state, rule, where, selected, target)
                )
            if not results.false:
                return found
        target = targets.get(state.at("Default"))
        if target is not None:
            where = state.location
            found += self.attempt(
                state,
                "Default",
                partial(_taken, state, state.fields, where, selected, target),
            )
        return found

    def rule(self, state: State, rule: dict[str, Json], where: str, scene: Scene) -> Results | None:
        """What a rule may give, None if it always fails."""
        try:
            return rule_results(rule, state.jsonata, scene, where)
        except FieldFailure as failure:
            self.facts.failed[(state, where)] = failure
            return None

    def caught(self, state: State, edge: Edge, scene: Scene) -> list[Way]:
        """The way through a catcher, from the state's input and the variables at its entry."""
        catcher = entries(state.fields, "Catch")[edge.place]
        where = item_of(state.at("Catch"), edge.place)
        scene = replace(scene, root=ERROR_OUTPUT, error_output=ERROR_OUTPUT)
        variables = stages.assigned(state, catcher, where, scene)
        if state.jsonata:
            output = ERROR_OUTPUT
            if "Output" in catcher:
                output = value_shape(True, catcher["Output"], scene, member(where, "Output"))
        else:
            output = stages.put(catcher, where, scene.input, ERROR_OUTPUT)
        return [(edge.target, Flow(output, variables))]


def _join(left: Flow, right: Flow) -> Flow:
    names = {**left.variables, **right.variables}
    return Flow(
        s.join(left.input, right.input),
        {
            name: s.join(left.variables.get(name, s.ABSENT), right.variables.get(name, s.ABSENT))
            for name in names
        },
    )


def _taken(
    state: State, rule: Mapping[str, Json], where: str, selected: Scene, target: str
) -> list[Way]:
    output, variables = stages.taken(state, rule, where, selected)
    return [(target, Flow(output, variables))]


def _next(state: State) -> str | None:
    following = state.fields.get("Next")
    return following if isinstance(following, str) and following in state.block.states else None


def _wrong(
    text: str, found: Shape, wanted: str, location: str, error: str = messages.RUNTIME
) -> FieldFailure:
    message = f"{text} {s.described(found)}, not {wanted}. Select a value of that type"
    return FieldFailure(error, location, WRONG_TYPE, message)
