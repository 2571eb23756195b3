"""compile_machine(definition) -> Program. Everything that a definition says is read here, once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from stepwell.asl import field_evaluators, messages
from stepwell.asl.choice import compile_rule
from stepwell.asl.definition import DISTRIBUTED, JSONATA, MapState, StateMachine
from stepwell.asl.definition import Catcher as CatcherModel
from stepwell.asl.evaluation import Env, Json, StateError
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.program import (
    CHOICE,
    FAIL,
    MAP,
    PARALLEL,
    PASS,
    SUCCEED,
    TASK,
    TYPES,
    WAIT,
    Block,
    Catcher,
    Constant,
    MapSpec,
    Program,
    Reader,
    Retrier,
    Rule,
    State,
    Writer,
)
from stepwell.asl.resources import dataset_resource, local_resource, parse_resource


def compile_machine(
    definition: StateMachine,
    limits: Limits = DEFAULT_LIMITS,
    payload: Callable[[Json], Any] = Constant,
) -> Program:
    """Compile a validated definition.

    payload  the constructor of constant payloads: the core passes its own type, to share them by
             identity
    """
    return _Compiler(definition, limits, payload).program()


class _Compiler:
    def __init__(
        self, definition: StateMachine, limits: Limits, payload: Callable[[Json], Any]
    ) -> None:
        self.definition, self.limits, self.payload = definition, limits, payload
        self.blocks: list[Block] = []

    def program(self) -> Program:
        self.block(self.definition)
        return Program(tuple(self.blocks), self.definition, self.limits)

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
        """Compile the fields that several types share, then those of the state's type."""
        written, language = model.model_fields_set, self.language(state)
        state.next = state.block.states[model.next] if getattr(model, "next", None) else None
        if state.jsonata:
            state.parameters = field_evaluators.value_field(
                language, model, "arguments", "Arguments"
            )
            state.output = field_evaluators.value_field(language, model, "output", "Output")
        else:
            state.input_path = field_evaluators.path_field(model, "input_path", self.limits)
            state.output_path = field_evaluators.path_field(model, "output_path", self.limits)
            if "parameters" in written and state.type != MAP:
                state.parameters = language.value(model.parameters, "Parameters")
            if "result_selector" in written:
                state.result_selector = language.value(model.result_selector, "ResultSelector")
            state.result_path = field_evaluators.result_path(model, self.limits)
        if getattr(model, "assign", None):
            state.assign = language.value(model.assign, "Assign")
        state.retriers = tuple(
            _retrier(each, self.limits) for each in getattr(model, "retry", None) or ()
        )
        state.catchers = tuple(
            self.catcher(state, index, each)
            for index, each in enumerate(getattr(model, "catch", None) or ())
        )
        OWN[state.type](self, state, model)
        before = (
            state.input_path,
            state.parameters,
            state.timeout,
            state.heartbeat,
            state.credentials,
        )
        state.plain_in = not any(before)
        after = (
            state.result_selector,
            state.result_path,
            state.output_path,
            state.output,
            state.assign,
        )
        state.plain_out = not any(after)

    def language(self, state: State) -> field_evaluators.Language:
        return field_evaluators.Language(state.jsonata, self.limits)

    def catcher(self, state: State, index: int, model: CatcherModel) -> Catcher:
        written, where, language = model.model_fields_set, f"Catch[{index}]", self.language(state)
        assign = output = None
        if model.assign:
            assign = language.value(model.assign, where + "/Assign")
        if "output" in written:
            output = language.value(model.output, where + "/Output")
        return Catcher(
            frozenset(model.error_equals),
            state.block.states[model.next],
            field_evaluators.result_path(model, self.limits),
            output,
            assign,
        )

    # --- one method per type ----------------------------------------------------------------------

    def pass_(self, state: State, model: Any) -> None:
        if "result" in model.model_fields_set:
            state.constant = self.payload(model.result)
            state.input_path = state.parameters = None

    def task(self, state: State, model: Any) -> None:
        language = self.language(state)
        state.resource = parse_resource(model.resource) or local_resource(model.resource)
        state.timeout = field_evaluators.seconds(
            language, model, "timeout_seconds", "TimeoutSeconds", self.limits.timeout_seconds
        )
        state.heartbeat = field_evaluators.seconds(
            language, model, "heartbeat_seconds", "HeartbeatSeconds", self.limits.timeout_seconds
        )
        if model.credentials is not None:
            path = model.credentials.role_arn_path
            role = {"RoleArn": model.credentials.role_arn} if path is None else {"RoleArn.$": path}
            evaluate = language.value(role, "Credentials")
            state.credentials = lambda value, env: str(evaluate(value, env)["RoleArn"])

    def choice(self, state: State, model: Any) -> None:
        states, language = state.block.states, self.language(state)
        rules = []
        for index, rule in enumerate(model.choices):
            written, where = rule.model_fields_set, f"Choices[{index}]"
            assign = output = None
            test: Any
            if state.jsonata:
                test = language.typed(rule.condition, "Condition", "boolean")
                output = (
                    language.value(rule.output, where + "/Output") if "output" in written else None
                )
            else:
                test = compile_rule(rule.test, self.limits)
            if rule.assign:
                assign = language.value(rule.assign, where + "/Assign")
            rules.append(Rule(test, states[rule.next], output, assign))
        state.choices = tuple(rules)
        if model.default is not None:
            state.otherwise = Rule(
                lambda value, env: True, states[model.default], state.output, state.assign
            )

    def wait(self, state: State, model: Any) -> None:
        state.wait = field_evaluators.due(self.language(state), model, self.limits.wait_seconds)
        state.points_to_entered = True

    def succeed(self, state: State, model: Any) -> None:
        pass

    def fail(self, state: State, model: Any) -> None:
        state.error = field_evaluators.text_field(self.language(state), model, "error", "Error")
        state.cause = field_evaluators.text_field(self.language(state), model, "cause", "Cause")

    def parallel(self, state: State, model: Any) -> None:
        state.branches = tuple(self.block(branch) for branch in model.branches)

    def map(self, state: State, model: MapState) -> None:
        processor = model.item_processor or model.iterator
        assert processor is not None
        config, limits, language = processor.processor_config, self.limits, self.language(state)
        distributed = config.mode == DISTRIBUTED
        selector = (
            model.item_selector if "item_selector" in model.model_fields_set else model.parameters
        )
        compiled = None
        if selector is not None:
            compiled = language.value(selector, "ItemSelector")
        failures = field_evaluators.number(
            language, model, "tolerated_failure_count", "ToleratedFailureCount", int
        )
        percentage = field_evaluators.number(
            language, model, "tolerated_failure_percentage", "ToleratedFailurePercentage", float
        )
        most = limits.map_run_concurrency if distributed else limits.map_concurrency
        concurrency = field_evaluators.number(
            language, model, "max_concurrency", "MaxConcurrency", int
        )
        state.map = MapSpec(
            self.block(processor),
            field_evaluators.items(language, model, distributed),
            compiled,
            field_evaluators.concurrency(concurrency, most),
            concurrency,
            field_evaluators.within(failures, 0, None, messages.TOLERATED_COUNT_NEGATIVE),
            field_evaluators.within(percentage, 0, 100, messages.TOLERATED_PERCENTAGE_RANGE),
            distributed,
            config.execution_type == "EXPRESS",
            model.label,
            _reader(language, model),
            _writer(language, model),
            _transformation(model),
            self.batcher(state, model),
        )

    def batcher(
        self, state: State, model: MapState
    ) -> Callable[[list[Any], Json, Env], list[Any]] | None:
        """ItemBatcher: items -> inputs of children, {"BatchInput"?, "Items"}: in order, each batch
        as large as both bounds allow.
        """
        batcher = model.item_batcher
        if batcher is None:
            return None
        language = self.language(state)
        most_items = field_evaluators.positive(
            language, batcher, "max_items_per_batch", "MaxItemsPerBatch", self.limits.map_run_items
        )
        most_bytes = field_evaluators.positive(
            language,
            batcher,
            "max_input_bytes_per_batch",
            "MaxInputBytesPerBatch",
            self.limits.payload_bytes,
        )
        extra = None
        if "batch_input" in batcher.model_fields_set:
            extra = language.value(batcher.batch_input, "BatchInput")
        payload, limits = self.payload, self.limits

        def batch(items: list[Any], value: Json, env: Env) -> list[Any]:
            head = {} if extra is None else {"BatchInput": extra(value, env)}
            by_count, by_size = (
                most_items(value, env) or math.inf,
                most_bytes(value, env) or limits.payload_bytes,
            )
            # + 1: the last item has no comma
            room = by_size - len(payload({**head, "Items": []}).data) + 1
            batches: list[list[Json]] = []
            left: float = -1
            for item in items:
                size = len(item.data) + 1
                if not batches or len(batches[-1]) >= by_count or size > left:
                    batches.append([])
                    left = room
                batches[-1].append(item.value)
                left -= size
                if left < 0:  # a single item is too large
                    raise StateError(
                        messages.DATA_LIMIT_EXCEEDED,
                        messages.RESULT_TOO_LARGE.format(name=state.name),
                        bare=True,
                    )
            return [payload({**head, "Items": each}) for each in batches]

        return batch


def _reader(language: field_evaluators.Language, model: MapState) -> Reader | None:
    reader = model.item_reader
    if reader is None:
        return None
    return Reader(dataset_resource(reader.resource), field_evaluators.reader_call(language, reader))


def _writer(language: field_evaluators.Language, model: MapState) -> Writer | None:
    """None without a Resource: the results become the output of the state."""
    writer = model.result_writer
    if writer is None or writer.resource is None:
        return None
    resource, config = dataset_resource(writer.resource), writer.writer_config
    form: dict[str, Json] = {
        "Transformation": _transformation(model),
        "OutputType": (config and config.output_type) or "JSON",
    }
    return Writer(
        resource, field_evaluators.call(language, writer, "ResultWriter", lambda value, env: form)
    )


def _transformation(model: MapState) -> str:
    """The default for exported results is "NONE" (whole executions), for others "COMPACT"."""
    writer = model.result_writer
    written = writer.writer_config.transformation if writer and writer.writer_config else None
    return written or ("NONE" if writer and writer.resource else "COMPACT")


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


def _retrier(model: Any, limits: Limits) -> Retrier:
    return Retrier(
        frozenset(model.error_equals),
        model.interval_seconds,
        model.max_attempts,
        model.backoff_rate,
        limits.retry_delay_seconds if model.max_delay_seconds is None else model.max_delay_seconds,
        model.jitter_strategy == "FULL",
    )
