"""compile_machine(definition) -> Program: frozen objects and closures. Nothing is parsed again at run time.

A Program is a list of blocks (one for the machine, one for each Parallel branch and ItemProcessor); a Block holds States; a State holds
what the core needs to run it: evaluators, successors, retriers and catchers. Fields that a state does not use stay None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from stepwell.asl import messages
from stepwell.asl.choice import compile_rule
from stepwell.asl.definition import DISTRIBUTED, JSONATA, MapState, StateMachine
from stepwell.asl.definition import Catcher as CatcherModel
from stepwell.asl.evaluation import MISSING, Env, Evaluator, Json, StateError
from stepwell.asl.jsonata import compile_typed, compile_value
from stepwell.asl.jsontext import dumps
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.paths import compile_path, compile_result_path
from stepwell.asl.resources import Resource, local_resource, parse_resource
from stepwell.asl.templates import compile_template, compile_value_path
from stepwell.asl.timestamps import parse_timestamp

PASS, TASK, CHOICE, WAIT, SUCCEED, FAIL, PARALLEL, MAP = range(8)
TYPES: Final = {name: code for code, name in enumerate(("Pass", "Task", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"))}


class Constant:
    """A literal with its JSON text made once; what the core takes for a payload."""

    __slots__ = ("value", "data")

    def __init__(self, value: Json) -> None:
        self.value, self.data = value, dumps(value).encode()


class Retrier(NamedTuple):
    errors: frozenset[str]
    interval: float  # seconds
    max_attempts: int
    backoff: float
    max_delay: float  # seconds, infinite if not given
    jitter: bool  # JitterStrategy FULL


class Catcher(NamedTuple):
    errors: frozenset[str]
    next: State
    result_path: Callable[[Json, Json], Json] | None  # (raw input, Error Output) -> output; None: the Error Output replaces the input
    output: Evaluator | None
    assign: Evaluator | None


class Rule(NamedTuple):
    """A Choice rule, or Default (`otherwise`)."""

    test: Callable[[Json, Env], bool]
    next: State
    output: Evaluator | None
    assign: Evaluator | None


class MapSpec(NamedTuple):
    block: Block
    items: Evaluator  # -> list, or dict for a Map Run over an object
    selector: Evaluator | None
    concurrency: Callable[[Json, Env], int]  # already bounded by the limits
    most_failed: Callable[[Json, Env], int | None]  # ToleratedFailureCount
    most_failed_percent: Callable[[Json, Env], float | None]
    distributed: bool
    express: bool  # children are Express executions
    label: str | None
    reader: str | None  # ItemReader.Resource
    writer: str | None  # ResultWriter.Resource
    batch: Callable[[list[Any], Json, Env], list[Any]] | None


class State:
    """One state, compiled. See the data flow in engine/core/states.py for when each evaluator runs."""

    __slots__ = (
        "name", "type", "block", "next", "jsonata", "plain_in", "plain_out", "constant", "points_to_entered",
        "input_path", "parameters", "result_selector", "result_path", "output_path", "output", "assign",
        "retriers", "catchers", "resource", "timeout", "heartbeat", "credentials",
        "choices", "otherwise", "wait", "error", "cause", "branches", "map",
    )  # fmt: skip

    name: str
    type: int
    block: Block
    next: State | None  # None: the block ends here
    jsonata: bool
    plain_in: bool  # nothing to evaluate before the work: its input is the state input
    plain_out: bool  # nothing to evaluate after it: the result is the output, and no variable is assigned
    constant: Any | None  # Pass.Result as a payload
    points_to_entered: bool  # its EvaluationFailed follows ...StateEntered, not the event before it
    input_path: Evaluator | None
    parameters: Evaluator | None  # Parameters, or Arguments
    result_selector: Evaluator | None
    result_path: Callable[[Json, Json], Json] | None  # (raw input, result) -> merged; None: the result replaces the input
    output_path: Evaluator | None
    output: Evaluator | None
    assign: Evaluator | None
    retriers: tuple[Retrier, ...]
    catchers: tuple[Catcher, ...]
    resource: Resource | None
    timeout: Callable[[Json, Env], int] | None
    heartbeat: Callable[[Json, Env], int] | None
    credentials: Callable[[Json, Env], str] | None
    choices: tuple[Rule, ...]
    otherwise: Rule | None
    wait: Callable[[Json, Env], int] | None  # -> due time in ms
    error: Evaluator | None
    cause: Evaluator | None
    branches: tuple[Block, ...]
    map: MapSpec | None

    def __init__(self, name: str, type: int, block: Block, jsonata: bool) -> None:
        for slot in State.__slots__:
            setattr(self, slot, None)
        self.name, self.type, self.block, self.jsonata = name, type, block, jsonata
        self.retriers = self.catchers = self.choices = self.branches = ()
        self.plain_in = self.plain_out = self.points_to_entered = False

    def __repr__(self) -> str:
        return f"State({self.name!r})"


class Block:
    """A States block. `index` is its place in Program.blocks; 0 is the machine itself."""

    __slots__ = ("index", "start", "states")

    index: int
    start: State
    states: dict[str, State]

    def __init__(self, index: int) -> None:
        self.index, self.states = index, {}


class Program:
    """A compiled machine: immutable, shared by all its executions."""

    __slots__ = ("blocks", "timeout", "definition")

    def __init__(self, blocks: tuple[Block, ...], timeout: int | None, definition: StateMachine) -> None:
        self.blocks, self.timeout, self.definition = blocks, timeout, definition

    def states(self) -> Mapping[str, State]:
        """Every state by name; names are unique in a machine."""
        return {name: state for block in self.blocks for name, state in block.states.items()}


def compile_machine(definition: StateMachine, limits: Limits = DEFAULT_LIMITS, payload: Callable[[Json], Any] = Constant) -> Program:
    """Compile a validated definition.

    payload  makes the constant payloads (the core passes its own type, so that they can be handed on by identity)
    """
    return _Compiler(definition, limits, payload).program()


class _Compiler:
    def __init__(self, definition: StateMachine, limits: Limits, payload: Callable[[Json], Any]) -> None:
        self.definition, self.limits, self.payload = definition, limits, payload
        self.blocks: list[Block] = []

    def program(self) -> Program:
        self.block(self.definition)
        return Program(tuple(self.blocks), self.definition.timeout_seconds, self.definition)

    def block(self, model: Any) -> Block:
        block = Block(len(self.blocks))
        self.blocks.append(block)
        for name, state in model.states.items():
            language = state.query_language or self.definition.query_language
            block.states[name] = State(name, TYPES[state.type], block, language == JSONATA)
        for name, state in model.states.items():
            self.state(block.states[name], state)
        block.start = block.states[model.start_at]
        return block

    def state(self, state: State, model: Any) -> None:
        """The fields that several types share, then those of its own."""
        given = model.model_fields_set
        state.next = state.block.states[model.next] if getattr(model, "next", None) else None
        if state.jsonata:
            state.parameters = _jsonata(model, "arguments", "Arguments")
            state.output = _jsonata(model, "output", "Output")
        else:
            state.input_path = _path(model, "input_path")
            state.output_path = _path(model, "output_path")
            if "parameters" in given and state.type != MAP:
                state.parameters = compile_template(model.parameters, "Parameters")
            if "result_selector" in given:
                state.result_selector = compile_template(model.result_selector, "ResultSelector")
            state.result_path = _result_path(model)
        if "assign" in given:
            state.assign = (compile_value if state.jsonata else compile_template)(model.assign, "Assign")
        state.retriers = tuple(map(_retrier, getattr(model, "retry", None) or ()))
        state.catchers = tuple(self.catcher(state, index, each) for index, each in enumerate(getattr(model, "catch", None) or ()))
        OWN[state.type](self, state, model)
        before = (state.input_path, state.parameters, state.timeout, state.heartbeat, state.credentials)
        state.plain_in = not any(before)
        after = (state.result_selector, state.result_path, state.output_path, state.output, state.assign)
        state.plain_out = not any(after)

    def catcher(self, state: State, index: int, model: CatcherModel) -> Catcher:
        given, where = model.model_fields_set, f"Catch[{index}]"
        assign = output = None
        if "assign" in given:
            assign = compile_value(model.assign, where + "/Assign") if state.jsonata else compile_template(model.assign, "Assign")
        if "output" in given:
            output = compile_value(model.output, where + "/Output")
        return Catcher(frozenset(model.error_equals), state.block.states[model.next], _result_path(model), output, assign)

    # --- one method a type -------------------------------------------------------------------------------------------------

    def pass_(self, state: State, model: Any) -> None:
        if "result" in model.model_fields_set:
            state.constant = self.payload(model.result)
            state.input_path = state.parameters = None

    def task(self, state: State, model: Any) -> None:
        state.resource = parse_resource(model.resource) or local_resource(model.resource)
        state.timeout = _seconds(state, model, "timeout_seconds", "TimeoutSeconds", self.limits.timeout_seconds)
        state.heartbeat = _seconds(state, model, "heartbeat_seconds", "HeartbeatSeconds", self.limits.timeout_seconds)
        if model.credentials is not None:
            path = model.credentials.role_arn_path
            role = {"RoleArn": model.credentials.role_arn} if path is None else {"RoleArn.$": path}
            evaluate = (compile_value if state.jsonata else compile_template)(role, "Credentials")
            state.credentials = lambda value, env: str(evaluate(value, env)["RoleArn"])

    def choice(self, state: State, model: Any) -> None:
        states = state.block.states
        rules = []
        for index, rule in enumerate(model.choices):
            given, where = rule.model_fields_set, f"Choices[{index}]"
            assign = output = None
            test: Any
            if state.jsonata:
                test = compile_typed(rule.condition, "Condition", ("boolean",))
                output = compile_value(rule.output, where + "/Output") if "output" in given else None
            else:
                test = compile_rule(rule.test)
            if "assign" in given:
                assign = compile_value(rule.assign, where + "/Assign") if state.jsonata else compile_template(rule.assign, "Assign")
            rules.append(Rule(test, states[rule.next], output, assign))
        state.choices = tuple(rules)
        if model.default is not None:
            state.otherwise = Rule(lambda value, env: True, states[model.default], state.output, state.assign)

    def wait(self, state: State, model: Any) -> None:
        state.wait = _wait(state, model, self.limits.wait_seconds)
        state.points_to_entered = True

    def succeed(self, state: State, model: Any) -> None:
        pass

    def fail(self, state: State, model: Any) -> None:
        state.error = _text(state, model, "error", "Error")
        state.cause = _text(state, model, "cause", "Cause")

    def parallel(self, state: State, model: Any) -> None:
        state.branches = tuple(self.block(branch) for branch in model.branches)

    def map(self, state: State, model: MapState) -> None:
        processor = model.item_processor or model.iterator
        assert processor is not None
        config, limits = processor.processor_config, self.limits
        distributed = config.mode == DISTRIBUTED
        selector = model.item_selector if "item_selector" in model.model_fields_set else model.parameters
        compiled = None
        if selector is not None:
            compiled = (compile_value if state.jsonata else compile_template)(selector, "ItemSelector")
        failures = _number(state, model, "tolerated_failure_count", "ToleratedFailureCount", int)
        percentage = _number(state, model, "tolerated_failure_percentage", "ToleratedFailurePercentage", float)
        most = limits.map_run_concurrency if distributed else limits.map_concurrency
        state.map = MapSpec(
            self.block(processor),
            _items(state, model, distributed),
            compiled,
            _concurrency(_number(state, model, "max_concurrency", "MaxConcurrency", int), most),
            _checked(failures, 0, None, messages.TOLERATED_COUNT_NEGATIVE),
            _checked(percentage, 0, 100, messages.TOLERATED_PERCENTAGE_RANGE),
            distributed,
            config.execution_type == "EXPRESS",
            model.label,
            model.item_reader.resource if model.item_reader else None,
            model.result_writer.resource if model.result_writer else None,
            self.batcher(state, model),
        )

    def batcher(self, state: State, model: MapState) -> Callable[[list[Any], Json, Env], list[Any]] | None:
        """ItemBatcher: items -> child inputs {"BatchInput"?, "Items"}; greedy, in order, within both bounds."""
        batcher = model.item_batcher
        if batcher is None:
            return None
        most_items = _number(state, batcher, "max_items_per_batch", "MaxItemsPerBatch", int)
        most_bytes = _number(state, batcher, "max_input_bytes_per_batch", "MaxInputBytesPerBatch", int)
        extra = None
        if "batch_input" in batcher.model_fields_set:
            extra = (compile_value if state.jsonata else compile_template)(batcher.batch_input, "BatchInput")
        payload, limits = self.payload, self.limits

        def batch(items: list[Any], value: Json, env: Env) -> list[Any]:
            head = {} if extra is None else {"BatchInput": extra(value, env)}
            by_count, by_size = most_items(value, env) or math.inf, most_bytes(value, env) or limits.payload_bytes
            room = by_size - len(payload({**head, "Items": []}).data)
            batches: list[list[Json]] = []
            left: float = -1
            for item in items:
                size = len(item.data) + 1
                if not batches or len(batches[-1]) >= by_count or size > left:
                    batches.append([])
                    left = room
                batches[-1].append(item.value)
                left -= size
            return [payload({**head, "Items": each}) for each in batches]

        return batch


OWN: Final[dict[int, Callable[[_Compiler, State, Any], None]]] = {
    PASS: _Compiler.pass_,
    TASK: _Compiler.task,
    CHOICE: _Compiler.choice,
    WAIT: _Compiler.wait,
    SUCCEED: _Compiler.succeed,
    FAIL: _Compiler.fail,
    PARALLEL: _Compiler.parallel,
    MAP: _Compiler.map,
}

# --- fields --------------------------------------------------------------------------------------------------------------


def _path(model: Any, name: str) -> Evaluator | None:
    """InputPath, OutputPath: None for the identity `$`; null gives {}."""
    text = getattr(model, name, "$")
    if text == "$":
        return None
    return (lambda value, env: {}) if text is None else compile_path(text).evaluate


def _result_path(model: Any) -> Callable[[Json, Json], Json] | None:
    text = getattr(model, "result_path", "$")
    if text == "$":
        return None
    return (lambda raw, result: raw) if text is None else compile_result_path(text).put


def _jsonata(model: Any, name: str, field: str) -> Evaluator | None:
    return compile_value(getattr(model, name), field) if name in model.model_fields_set else None


def _retrier(model: Any) -> Retrier:
    return Retrier(
        frozenset(model.error_equals),
        model.interval_seconds,
        model.max_attempts,
        model.backoff_rate,
        math.inf if model.max_delay_seconds is None else model.max_delay_seconds,
        model.jitter_strategy == "FULL",
    )


def _text(state: State, model: Any, name: str, field: str) -> Evaluator | None:
    """Error, Cause of a Fail state."""
    path = getattr(model, name + "_path", None)
    if path is not None:
        evaluate = compile_value_path(path, field + "Path")
        return lambda value, env: _string(evaluate(value, env))
    text = getattr(model, name)
    if text is None:
        return None
    return compile_typed(text, field, ("string",)) if state.jsonata else (lambda value, env: text)


def _string(value: Json) -> str:
    return value if isinstance(value, str) else dumps(value)


def _integer(value: Json) -> int | None:
    """A whole number, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _float(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _number(state: State, model: Any, name: str, field: str, kind: type) -> Callable[[Json, Env], Any]:
    """A numeric field in its forms: a literal, `<field>Path`, or a JSONata expression. Absent: None."""
    path = getattr(model, name + "_path", None)
    if path is not None:
        find, convert = compile_path(path).evaluate, _integer if kind is int else _float
        text = messages.PATH_NOT_INTEGER if kind is int else messages.PATH_NOT_FLOAT

        def from_path(value: Json, env: Env) -> Any:
            found = find(value, env)
            number = convert(found)
            if number is None:
                raise StateError(messages.RUNTIME, text.format(field=field + "Path", value=_string(found), path=path))
            return number

        return from_path
    literal = getattr(model, name)
    if isinstance(literal, str):
        evaluate = compile_typed(literal, field, ("number",))
        return lambda value, env: kind(evaluate(value, env))
    return lambda value, env: literal


def _seconds(state: State, model: Any, name: str, field: str, most: int) -> Callable[[Json, Env], int] | None:
    if getattr(model, name) is None and getattr(model, name + "_path", None) is None:
        return None
    return _checked(_number(state, model, name, field, int), 1, most, messages.SECONDS_RANGE.format(field=field, least=1, most=most))


def _checked(evaluate: Callable[[Json, Env], Any], least: float, most: float | None, text: str) -> Callable[[Json, Env], Any]:
    def check(value: Json, env: Env) -> Any:
        number = evaluate(value, env)
        if number is not None and (number < least or (most is not None and number > most)):
            raise StateError(messages.RUNTIME, text)
        return number

    return check


def _concurrency(evaluate: Callable[[Json, Env], Any], most: int) -> Callable[[Json, Env], int]:
    check = _checked(evaluate, 0, None, messages.CONCURRENCY_NEGATIVE)
    return lambda value, env: min(check(value, env) or most, most)


def _items(state: State, model: MapState, distributed: bool) -> Evaluator:
    """What a Map iterates over. JSONPath: ItemsPath; JSONata: Items, else the state input."""
    kinds = ("array", "object") if distributed else ("array",)
    if model.item_reader is not None:  # the dataset comes from outside
        return lambda value, env: []
    if state.jsonata:
        if "items" in model.model_fields_set:
            return compile_typed(model.items, "Items", kinds)

        def from_input(value: Json, env: Env) -> Json:
            if not isinstance(value, (list, dict) if distributed else list):
                raise StateError(messages.QUERY_EVALUATION_ERROR, messages.MAP_INPUT_TYPE.format(value=dumps(value)))
            return value

        return from_input
    text = model.items_path or "$"
    find, shown = compile_path(text).evaluate, text.replace("$$", "$", 1)

    def from_path(value: Json, env: Env) -> Json:
        found = find(value, env)
        if not isinstance(found, (list, dict) if distributed else list):
            raise StateError(messages.RUNTIME, messages.MUST_POINT_TO_ARRAY.format(path=shown), bare=True)
        return found

    return from_path


# --- Wait ------------------------------------------------------------------------------------------------------------------


def _wait(state: State, model: Any, most: int) -> Callable[[Json, Env], int]:
    """When the Wait is over, ms: one of its five forms (Seconds, SecondsPath, Timestamp, TimestampPath; JSONata in the first and third).

    most  seconds
    """
    now_ms: Callable[[Env], int] = lambda env: round(env.now * 1000)
    if model.seconds is not None:
        if not isinstance(model.seconds, str):
            delay = model.seconds * 1000
            return lambda value, env: now_ms(env) + delay
        seconds = compile_typed(model.seconds, "Seconds", ("number",))

        def after(value: Json, env: Env) -> int:
            number = seconds(value, env)
            if not 0 <= number <= most:
                fault = messages.SECONDS_RANGE.format(field="Seconds", least=0, most=most)
                raise StateError(messages.QUERY_EVALUATION_ERROR, fault, "Seconds")
            return now_ms(env) + int(number) * 1000

        return after
    if model.timestamp is not None:
        stamp = compile_typed(model.timestamp, "Timestamp", ("string",)) if state.jsonata else (lambda value, env: model.timestamp)

        def at(value: Json, env: Env) -> int:
            text = stamp(value, env)
            return _instant(text, StateError(messages.QUERY_EVALUATION_ERROR, messages.TIMESTAMP_TYPE.format(value=text), "Timestamp"))

        return at
    path = model.seconds_path or model.timestamp_path
    find = compile_path(path).find
    if model.seconds_path is None:

        def at_path(value: Json, env: Env) -> int:
            text = find(value, env)
            shown = "" if text is MISSING else _string(text)
            return _instant(text, StateError(messages.RUNTIME, messages.TIMESTAMP_PATH_TYPE.format(path=path, value=shown)))

        return at_path

    def after_path(value: Json, env: Env) -> int:
        found = find(value, env)
        if found is MISSING:
            raise StateError(messages.RUNTIME, messages.SECONDS_PATH_MISSING.format(path=path))
        number = _integer(found)
        if number is None or number < 0:
            text = messages.SECONDS_PATH_TYPE if number is None else messages.SECONDS_PATH_NEGATIVE
            raise StateError(messages.RUNTIME, text.format(path=path, value=_string(found)))
        if number > most:
            raise StateError(messages.RUNTIME, messages.WAIT_TOO_LONG)
        return now_ms(env) + number * 1000

    return after_path


def _instant(text: Json, fault: StateError) -> int:
    """A timestamp in ms, truncated to the whole second as the service does."""
    seconds = parse_timestamp(text) if isinstance(text, str) else None
    if seconds is None:
        raise fault
    return math.floor(seconds) * 1000
