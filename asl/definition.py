"""A state machine as written: a frozen model for each object of the Amazon States Language, with
its fields, their types and ranges.

Attributes are snake_case, fields in the text PascalCase (aliases). checks.py checks the rules
between fields and between states; program.py compiles the models. Upper bounds that are limits are
those of the validation's context, a Limits; without a context there are none.

Optional fields have a default; where an absent field differs from null, `model_fields_set` (names
of attributes) tells. Numbers that a JSONata state may write as expressions are `int | str` or
`float | str`.

Source: https://states-language.net and the Step Functions Developer Guide.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
)
from pydantic.alias_generators import to_pascal
from pydantic_core import CoreSchema, PydanticKnownError
from pydantic_core.core_schema import no_info_plain_validator_function

from stepwell.asl.evaluation import Json
from stepwell.asl.limits import Limits

JSONPATH: Final = "JSONPath"
JSONATA: Final = "JSONata"
DISTRIBUTED: Final = "DISTRIBUTED"

QueryLanguage: TypeAlias = Literal["JSONPath", "JSONata"]
_Item = TypeVar("_Item")
_Limit: TypeAlias = Callable[[Limits], int]

# Many[X]: a JSON array, stored as a tuple (a strict pydantic tuple would reject a list)
Many: TypeAlias = Annotated[tuple[_Item, ...], Strict(False)]
Some: TypeAlias = Annotated[tuple[_Item, ...], Strict(False), Field(min_length=1)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]


def _within(limit: _Limit) -> AfterValidator:
    """At most the limit. A string is an expression: its result is checked at run time."""

    def check(value: Json, info: ValidationInfo) -> Json:
        if info.context is not None and not isinstance(value, str):
            most = limit(info.context)
            if value is not None and value > most:
                raise PydanticKnownError("less_than_equal", {"le": most})
        return value

    return AfterValidator(check)


def _no_longer(text: str, info: ValidationInfo) -> str:
    if info.context is not None and len(text) > info.context.items_pointer_chars:
        raise PydanticKnownError(
            "string_too_long", {"max_length": info.context.items_pointer_chars}
        )
    return text


def _seconds(limits: Limits) -> int:
    return limits.timeout_seconds


@dataclass(frozen=True)
class _Number:
    """A number within bounds, or a string: checks.py checks that it is a JSONata expression."""

    kind: type[int | float]
    least: int
    most: int | None = None

    def check(self, value: Json) -> Json:
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, self.kind)):
            raise PydanticKnownError("int_type" if self.kind is int else "float_type")
        if value < self.least:
            raise PydanticKnownError("greater_than_equal", {"ge": self.least})
        if self.most is not None and value > self.most:
            raise PydanticKnownError("less_than_equal", {"le": self.most})
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """Without the string, which JSONata states may have: schema.py adds it."""
        most = {} if self.most is None else {"maximum": self.most}
        type_ = "integer" if self.kind is int else "number"
        return {"numberOrExpression": {"type": type_, "minimum": self.least, **most}}


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_pascal, defer_build=True
    )


class _Commented(_Model):
    comment: Json = None  # AWS accepts any value


# --- parts of states ------------------------------------------------------------------------------


class Retrier(_Commented):
    error_equals: Some[str]
    interval_seconds: Annotated[int, Field(ge=1), _within(_seconds)] = 1
    max_attempts: Annotated[int, Field(ge=0), _within(_seconds)] = 3
    backoff_rate: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0
    max_delay_seconds: (
        Annotated[int, Field(ge=1), _within(lambda limits: limits.retry_delay_seconds)] | None
    ) = None
    jitter_strategy: Literal["FULL", "NONE"] = "NONE"


class Catcher(_Commented):
    error_equals: Some[str]
    next: Text
    result_path: str | None = "$"
    output: Json = None
    assign: dict[str, Json] | None = None


class ChoiceRule(_Commented):
    """One rule of a Choice state.

    JSONata: `condition`, an expression or true/false. JSONPath: `test`, Variable with an operator,
    or And, Or, Not: choice.py compiles it.
    """

    model_config = ConfigDict(extra="allow")

    next: Text
    condition: str | bool | None = None
    output: Json = None
    assign: dict[str, Json] | None = None

    @property
    def test(self) -> dict[str, Json]:
        """All fields that are not declared here: {"Variable": "$.x", "NumericEquals": 1}."""
        return self.model_extra or {}


class Credentials(_Model):
    """The role that a task runs under; AWS ignores other members."""

    model_config = ConfigDict(extra="ignore")

    role_arn: Json = None
    # JSONPath: a path or an intrinsic call
    role_arn_path: Annotated[Json, Field(alias="RoleArn.$")] = None


class ReaderConfig(_Commented):
    input_type: Literal["CSV", "JSON", "JSONL", "PARQUET", "MANIFEST"] | None = None
    transformation: Literal["NONE", "LOAD_AND_FLATTEN"] = "NONE"
    manifest_type: Literal["ATHENA_DATA", "S3_INVENTORY"] | None = None
    csv_header_location: Annotated[
        Literal["FIRST_ROW", "GIVEN"] | None, Field(alias="CSVHeaderLocation")
    ] = None
    csv_headers: Annotated[Many[str] | None, Field(alias="CSVHeaders")] = None
    csv_delimiter: Annotated[
        Literal["COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"], Field(alias="CSVDelimiter")
    ] = "COMMA"
    max_items: Annotated[int | str, _Number(int, 0)] = 0  # 0: all
    max_items_path: str | None = None
    items_pointer: Annotated[str, AfterValidator(_no_longer)] | None = None


class ItemReader(_Commented):
    resource: Text
    parameters: Json = None
    arguments: Json = None
    reader_config: ReaderConfig | None = None


class ItemBatcher(_Commented):
    max_items_per_batch: Annotated[int | str | None, _Number(int, 1)] = None
    max_items_per_batch_path: str | None = None
    max_input_bytes_per_batch: Annotated[
        int | str | None, _Number(int, 1), _within(lambda limits: limits.payload_bytes)
    ] = None
    max_input_bytes_per_batch_path: str | None = None
    batch_input: Json = None


class WriterConfig(_Commented):
    transformation: Literal["NONE", "COMPACT", "FLATTEN"] | None = None
    output_type: Literal["JSON", "JSONL"] | None = None


class ResultWriter(_Commented):
    resource: Text | None = None
    parameters: Json = None
    arguments: Json = None
    writer_config: WriterConfig | None = None


class ProcessorConfig(_Commented):
    mode: Literal["INLINE", "DISTRIBUTED"] = "INLINE"
    execution_type: Literal["STANDARD", "EXPRESS"] | None = None


# --- states ---------------------------------------------------------------------------------------


class _State(_Model):
    comment: Json = None
    query_language: QueryLanguage | None = None  # None: the state machine's


class _Paths(_Model):
    input_path: str | None = "$"
    output_path: str | None = "$"


class _Step(_Model):
    """The fields of a state that can have a next state."""

    input_path: str | None = "$"
    output_path: str | None = "$"
    next: Text | None = None
    end: bool = False
    assign: dict[str, Json] | None = None
    output: Json = None


class _Failing(_Model):
    """The fields of a state that can fail."""

    retry: Many[Retrier] = ()
    catch: Many[Catcher] = ()


class _Result(_Model):
    result_selector: Json = None
    result_path: str | None = "$"


class PassState(_Step, _State):
    type: Literal["Pass"]
    parameters: Json = None
    result: Json = None
    result_path: str | None = "$"


class TaskState(_Failing, _Result, _Step, _State):
    type: Literal["Task"]
    resource: Text
    parameters: Json = None
    arguments: Json = None
    credentials: Credentials | None = None
    timeout_seconds: Annotated[int | str | None, _Number(int, 1), _within(_seconds)] = None
    timeout_seconds_path: str | None = None
    heartbeat_seconds: Annotated[int | str | None, _Number(int, 1), _within(_seconds)] = None
    heartbeat_seconds_path: str | None = None


class ChoiceState(_Paths, _State):
    type: Literal["Choice"]
    choices: Some[ChoiceRule]
    default: Text | None = None
    assign: dict[str, Json] | None = None
    output: Json = None


class WaitState(_Step, _State):
    type: Literal["Wait"]
    seconds: Annotated[
        int | str | None, _Number(int, 0), _within(lambda limits: limits.wait_seconds)
    ] = None
    seconds_path: str | None = None
    timestamp: str | None = None
    timestamp_path: str | None = None


class SucceedState(_Paths, _State):
    type: Literal["Succeed"]
    output: Json = None


class FailState(_State):
    type: Literal["Fail"]
    error: str | None = None
    error_path: str | None = None
    cause: str | None = None
    cause_path: str | None = None


class ParallelState(_Failing, _Result, _Step, _State):
    type: Literal["Parallel"]
    branches: Some["Branch"]
    parameters: Json = None
    arguments: Json = None


class MapState(_Failing, _Result, _Step, _State):
    """ItemProcessor and ItemSelector have the deprecated names Iterator and Parameters; checks.py
    checks that only one of the two is used.
    """

    type: Literal["Map"]
    item_processor: "ItemProcessor | None" = None
    iterator: "ItemProcessor | None" = None
    item_selector: Json = None
    parameters: Json = None
    items_path: str | None = None
    items: Json = None
    item_reader: ItemReader | None = None
    item_batcher: ItemBatcher | None = None
    result_writer: ResultWriter | None = None
    label: str | None = None
    max_concurrency: Annotated[int | str, _Number(int, 0)] = 0  # 0: as many as the mode allows
    max_concurrency_path: str | None = None
    # without a count and a percentage, no failure is tolerated
    tolerated_failure_count: Annotated[int | str | None, _Number(int, 0)] = None
    tolerated_failure_count_path: str | None = None
    tolerated_failure_percentage: Annotated[float | str | None, _Number(float, 0, 100)] = None
    tolerated_failure_percentage_path: str | None = None


State: TypeAlias = Annotated[
    PassState
    | TaskState
    | ChoiceState
    | WaitState
    | SucceedState
    | FailState
    | ParallelState
    | MapState,
    Field(discriminator="type"),
]
States: TypeAlias = Annotated[dict[str, State], Field(min_length=1)]


# --- blocks of states -----------------------------------------------------------------------------


class Branch(_Model):
    comment: Json = None
    states: States
    start_at: Text


class ItemProcessor(Branch):
    processor_config: Annotated[ProcessorConfig, Field(default_factory=ProcessorConfig)]


class StateMachine(_Commented):
    states: States
    start_at: Text
    version: Literal["1.0"] = "1.0"
    timeout_seconds: Annotated[int, Field(ge=0), _within(_seconds)] | None = None
    query_language: QueryLanguage = "JSONPath"
