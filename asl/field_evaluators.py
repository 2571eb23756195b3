"""Fields of states -> evaluators. A field may be written as a literal, as `<Field>Path`, or as a
JSONata expression; program.py and the core need not distinguish these forms.

Most functions take: language, the model of a state or of a part of it, `name` (the attribute of the
model) and `field` (the name in errors). A field that is absent is None.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from stepwell.asl import messages
from stepwell.asl.definition import ItemReader, MapState, ReaderConfig, WaitState
from stepwell.asl.evaluation import MISSING, Env, Evaluator, Json, StateError
from stepwell.asl.json_text import dumps
from stepwell.asl.jsonata_values import compile_typed, compile_value
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.paths import compile_path, compile_result_path
from stepwell.asl.templates import compile_template, compile_value_path
from stepwell.asl.timestamps import parse_timestamp

_WHOLE: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII).fullmatch


class Language(NamedTuple):
    """The query language of a state, and the limits of its expressions."""

    jsonata: bool
    limits: Limits = DEFAULT_LIMITS

    def value(self, value: Json, field: str) -> Evaluator:
        """A payload template, or a JSON value with expressions in it."""
        return (
            compile_value(value, field, self.limits)
            if self.jsonata
            else compile_template(value, field, self.limits)
        )

    def typed(self, value: Json, field: str, *types: str) -> Evaluator:
        """A value, or an expression whose result must have one of the types."""
        return compile_typed(value, field, types, self.limits)


def path_field(model: Any, name: str, limits: Limits) -> Evaluator | None:
    """InputPath, OutputPath. None for `$`, the identity; the path null evaluates to {}."""
    text = getattr(model, name, "$")
    if text == "$":
        return None
    return (lambda value, env: {}) if text is None else compile_path(text, limits).evaluate


def result_path(model: Any, limits: Limits) -> Callable[[Json, Json], Json] | None:
    """ResultPath: (raw input, result) -> output. None for `$`: the result replaces the input."""
    text = getattr(model, "result_path", "$")
    if text == "$":
        return None
    return (lambda raw, result: raw) if text is None else compile_result_path(text, limits).put


def value_field(language: Language, model: Any, name: str, field: str) -> Evaluator | None:
    """Parameters, Arguments, ResultSelector, Output, Assign."""
    return language.value(getattr(model, name), field) if name in model.model_fields_set else None


def text_field(language: Language, model: Any, name: str, field: str) -> Evaluator | None:
    """Error and Cause of a Fail state."""
    path = getattr(model, name + "_path", None)
    if path is not None:
        evaluate = compile_value_path(path, field + "Path", limits=language.limits)
        return lambda value, env: _string(evaluate(value, env))
    text = getattr(model, name)
    if text is None:
        return None
    return language.typed(text, field, "string") if language.jsonata else (lambda value, env: text)


def _string(value: Json) -> str:
    return value if isinstance(value, str) else dumps(value)


def integer(value: Json) -> int | None:
    """A whole number, or a string of one, within the range of Java's long; None for other
    values.
    """
    if isinstance(value, bool) or not (
        isinstance(value, int) or (isinstance(value, str) and _WHOLE(value))
    ):
        return None
    number = int(value)
    return number if -(2**63) <= number < 2**63 else None


def _float(value: Json) -> float | None:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, str))
        or (isinstance(value, str) and "_" in value)
    ):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _double(value: int | float) -> float:
    """A number as a double; infinite if it is out of range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def number(
    language: Language, model: Any, name: str, field: str, kind: type
) -> Callable[[Json, Env], Any]:
    """A numeric field. kind: int or float. Evaluates to None if it is absent."""
    path = getattr(model, name + "_path", None)
    if path is not None:
        find, convert = (
            compile_path(path, language.limits).evaluate,
            integer if kind is int else _float,
        )
        text = messages.PATH_NOT_INTEGER if kind is int else messages.PATH_NOT_FLOAT

        def from_path(value: Json, env: Env) -> Any:
            found = find(value, env)
            number = convert(found)
            if number is None:
                raise StateError(
                    messages.RUNTIME,
                    text.format(field=field + "Path", value=_string(found), path=path),
                )
            return number

        return from_path
    literal = getattr(model, name)
    if isinstance(literal, str):
        evaluate = language.typed(literal, field, "number")
        whole = kind is int
        return lambda value, env: (
            int(evaluate(value, env)) if whole else _double(evaluate(value, env))
        )
    return lambda value, env: literal


def seconds(
    language: Language, model: Any, name: str, field: str, most: int
) -> Callable[[Json, Env], int] | None:
    """TimeoutSeconds, HeartbeatSeconds: a whole number from 1 to `most`."""
    if getattr(model, name) is None and getattr(model, name + "_path", None) is None:
        return None
    return positive(language, model, name, field, most)


def positive(
    language: Language, model: Any, name: str, field: str, most: int
) -> Callable[[Json, Env], Any]:
    """A whole number from 1 to `most`. Evaluates to None if it is absent."""
    return within(
        number(language, model, name, field, int),
        1,
        most,
        messages.NUMBER_RANGE.format(field=field, least=1, most=most),
    )


def within(
    evaluate: Callable[[Json, Env], Any], least: float, most: float | None, text: str
) -> Callable[[Json, Env], Any]:
    """`evaluate`; a number out of bounds is StateError States.Runtime with the cause `text`."""

    def check(value: Json, env: Env) -> Any:
        number = evaluate(value, env)
        if number is not None and (number < least or (most is not None and number > most)):
            raise StateError(messages.RUNTIME, text)
        return number

    return check


def concurrency(evaluate: Callable[[Json, Env], Any], most: int) -> Callable[[Json, Env], int]:
    """MaxConcurrency: at most `most`, which also replaces 0."""
    check = within(evaluate, 0, None, messages.CONCURRENCY_NEGATIVE)
    return lambda value, env: min(check(value, env) or most, most)


def items(language: Language, model: MapState, distributed: bool) -> Evaluator:
    """The items of a Map. JSONPath: ItemsPath; JSONata: Items, or the state input."""
    types = ("array", "object") if distributed else ("array",)
    if model.item_reader is not None:  # the reader provides the items
        return lambda value, env: []
    if language.jsonata:
        if "items" in model.model_fields_set:
            return language.typed(model.items, "Items", *types)

        def from_input(value: Json, env: Env) -> Json:
            if not isinstance(value, (list, dict) if distributed else list):
                raise StateError(
                    messages.QUERY_EVALUATION_ERROR,
                    messages.MAP_INPUT_TYPE.format(value=dumps(value)),
                )
            return value

        return from_input
    text = model.items_path or "$"
    find, shown = compile_path(text, language.limits).evaluate, text.replace("$$", "$", 1)

    def from_path(value: Json, env: Env) -> Json:
        found = find(value, env)
        if not isinstance(found, (list, dict) if distributed else list):
            raise StateError(
                messages.RUNTIME, messages.MUST_POINT_TO_ARRAY.format(path=shown), bare=True
            )
        return found

    return from_path


def call(
    language: Language, model: Any, field: str, rest: Callable[[Json, Env], dict[str, Json]]
) -> Evaluator:
    """The request of an ItemReader or ResultWriter to its resource: Parameters or Arguments, merged
    with `rest`, which wins.
    """
    name = "arguments" if language.jsonata else "parameters"
    template = getattr(model, name) if name in model.model_fields_set else {}
    evaluate = language.value(template, f"{field}/{name.title()}")

    def merged(value: Json, env: Env) -> Json:
        parameters = evaluate(value, env)
        return {**(parameters if isinstance(parameters, dict) else {}), **rest(value, env)}

    return merged


def reader_call(language: Language, model: ItemReader) -> Evaluator:
    """The request of an ItemReader: its parameters, MaxItems (0: all) and the other fields of its
    ReaderConfig, as written.
    """
    config = model.reader_config or ReaderConfig()
    most = number(language, config, "max_items", "MaxItems", int)
    others: dict[str, Json] = config.model_dump(
        by_alias=True,
        exclude_defaults=True,
        exclude={"max_items", "max_items_path", "comment"},
        mode="json",
    )
    return call(
        language,
        model,
        "ItemReader",
        lambda value, env: {"MaxItems": most(value, env), "ReaderConfig": others},
    )


# --- Wait -----------------------------------------------------------------------------------------

_Due: TypeAlias = Callable[[Json, Env], int]  # -> epoch milliseconds


def due(language: Language, model: WaitState, most: int) -> _Due:
    """The end of a Wait, whichever of its fields it has. most: seconds."""
    if model.seconds is not None:
        return _seconds(language, model.seconds, most)
    if model.timestamp is not None:
        return _timestamp(language, model.timestamp)
    if model.seconds_path is not None:
        return _seconds_path(language, model.seconds_path, most)
    assert model.timestamp_path is not None
    return _timestamp_path(language, model.timestamp_path)


def _now_ms(env: Env) -> int:
    return round(env.now * 1000)


def _seconds(language: Language, seconds: int | str, most: int) -> _Due:
    if not isinstance(seconds, str):
        delay = seconds * 1000
        return lambda value, env: _now_ms(env) + delay
    evaluate = language.typed(seconds, "Seconds", "number")

    def due(value: Json, env: Env) -> int:
        number = evaluate(value, env)
        if not 0 <= number <= most:
            cause = messages.NUMBER_RANGE.format(field="Seconds", least=0, most=most)
            raise StateError(messages.QUERY_EVALUATION_ERROR, cause, "Seconds")
        return _now_ms(env) + int(number) * 1000

    return due


def _timestamp(language: Language, timestamp: str) -> _Due:
    evaluate: Evaluator = lambda value, env: timestamp
    if language.jsonata:
        evaluate = language.typed(timestamp, "Timestamp", "string")

    def due(value: Json, env: Env) -> int:
        text = evaluate(value, env)
        cause = messages.TIMESTAMP_TYPE.format(value=text)
        return _instant(text, StateError(messages.QUERY_EVALUATION_ERROR, cause, "Timestamp"))

    return due


def _seconds_path(language: Language, path: str, most: int) -> _Due:
    find = compile_path(path, language.limits).find

    def due(value: Json, env: Env) -> int:
        found = find(value, env)
        if found is MISSING:
            raise StateError(messages.RUNTIME, messages.SECONDS_PATH_MISSING.format(path=path))
        number = integer(found)
        if number is None or number < 0:
            text = messages.SECONDS_PATH_TYPE if number is None else messages.SECONDS_PATH_NEGATIVE
            raise StateError(messages.RUNTIME, text.format(path=path, value=_string(found)))
        if number > most:
            raise StateError(messages.RUNTIME, messages.WAIT_TOO_LONG)
        return _now_ms(env) + number * 1000

    return due


def _timestamp_path(language: Language, path: str) -> _Due:
    find = compile_path(path, language.limits).find

    def due(value: Json, env: Env) -> int:
        text = find(value, env)
        shown = "" if text is MISSING else _string(text)
        cause = messages.TIMESTAMP_PATH_TYPE.format(path=path, value=shown)
        return _instant(text, StateError(messages.RUNTIME, cause))

    return due


def _instant(text: Json, error: StateError) -> int:
    """A timestamp in epoch milliseconds, truncated to whole seconds as AWS does. Raises `error`."""
    seconds = parse_timestamp(text) if isinstance(text, str) else None
    if seconds is None:
        raise error
    return math.floor(seconds) * 1000
