"""Fields that come in several forms, each to one evaluator: a literal, its `...Path` twin, or a
JSONata expression.

What a field means does not depend on how it was written; program.py builds states from these, and
the core never asks which form it was.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from stepwell.asl import messages
from stepwell.asl.definition import ItemReader, MapState, ReaderConfig
from stepwell.asl.evaluation import MISSING, Env, Evaluator, Json, StateError
from stepwell.asl.json_text import dumps
from stepwell.asl.jsonata import compile_typed, compile_value
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.paths import compile_path, compile_result_path
from stepwell.asl.templates import compile_template, compile_value_path
from stepwell.asl.timestamps import parse_timestamp

_WHOLE: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII).fullmatch


class Language(NamedTuple):
    """How the fields of a state are compiled: in which query language, within which limits."""

    jsonata: bool
    limits: Limits = DEFAULT_LIMITS

    def value(self, given: Json, field: str) -> Evaluator:
        """A payload template, or a JSON value with expressions in it."""
        return (
            compile_value(given, field, self.limits)
            if self.jsonata
            else compile_template(given, field)
        )

    def typed(self, given: Json, field: str, *kinds: str) -> Evaluator:
        """A value, or an expression that must give one of the kinds."""
        return compile_typed(given, field, kinds, self.limits)


def path_field(model: Any, name: str) -> Evaluator | None:
    """InputPath, OutputPath: None for the identity `$`; null gives {}."""
    text = getattr(model, name, "$")
    if text == "$":
        return None
    return (lambda value, env: {}) if text is None else compile_path(text).evaluate


def result_path(model: Any) -> Callable[[Json, Json], Json] | None:
    text = getattr(model, "result_path", "$")
    if text == "$":
        return None
    return (lambda raw, result: raw) if text is None else compile_result_path(text).put


def value_field(language: Language, model: Any, name: str, field: str) -> Evaluator | None:
    return language.value(getattr(model, name), field) if name in model.model_fields_set else None


def text_field(language: Language, model: Any, name: str, field: str) -> Evaluator | None:
    """Error, Cause of a Fail state."""
    path = getattr(model, name + "_path", None)
    if path is not None:
        evaluate = compile_value_path(path, field + "Path")
        return lambda value, env: _string(evaluate(value, env))
    text = getattr(model, name)
    if text is None:
        return None
    return language.typed(text, field, "string") if language.jsonata else (lambda value, env: text)


def _string(value: Json) -> str:
    return value if isinstance(value, str) else dumps(value)


def _integer(value: Json) -> int | None:
    """A whole number that a Java long can hold, also one written as text; None for anything
    else.
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
    """A number as a double; infinite if there is none so large."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def number(
    language: Language, model: Any, name: str, field: str, kind: type
) -> Callable[[Json, Env], Any]:
    """A numeric field in its forms: a literal, `<field>Path`, or a JSONata expression. Absent:
    None.
    """
    path = getattr(model, name + "_path", None)
    if path is not None:
        find, convert = compile_path(path).evaluate, _integer if kind is int else _float
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
    if getattr(model, name) is None and getattr(model, name + "_path", None) is None:
        return None
    return positive(language, model, name, field, most)


def positive(
    language: Language, model: Any, name: str, field: str, most: int
) -> Callable[[Json, Env], Any]:
    """A whole number from 1 to `most`. Absent: None."""
    return within(
        number(language, model, name, field, int),
        1,
        most,
        messages.NUMBER_RANGE.format(field=field, least=1, most=most),
    )


def within(
    evaluate: Callable[[Json, Env], Any], least: float, most: float | None, text: str
) -> Callable[[Json, Env], Any]:
    def check(value: Json, env: Env) -> Any:
        number = evaluate(value, env)
        if number is not None and (number < least or (most is not None and number > most)):
            raise StateError(messages.RUNTIME, text)
        return number

    return check


def concurrency(evaluate: Callable[[Json, Env], Any], most: int) -> Callable[[Json, Env], int]:
    check = within(evaluate, 0, None, messages.CONCURRENCY_NEGATIVE)
    return lambda value, env: min(check(value, env) or most, most)


def items(language: Language, model: MapState, distributed: bool) -> Evaluator:
    """What a Map iterates over. JSONPath: ItemsPath; JSONata: Items, else the state input."""
    kinds = ("array", "object") if distributed else ("array",)
    if model.item_reader is not None:  # the dataset comes from outside
        return lambda value, env: []
    if language.jsonata:
        if "items" in model.model_fields_set:
            return language.typed(model.items, "Items", *kinds)

        def from_input(value: Json, env: Env) -> Json:
            if not isinstance(value, (list, dict) if distributed else list):
                raise StateError(
                    messages.QUERY_EVALUATION_ERROR,
                    messages.MAP_INPUT_TYPE.format(value=dumps(value)),
                )
            return value

        return from_input
    text = model.items_path or "$"
    find, shown = compile_path(text).evaluate, text.replace("$$", "$", 1)

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
    """What an ItemReader or ResultWriter asks of its resource: Parameters or Arguments, and `rest`,
    which goes before.
    """
    name = "arguments" if language.jsonata else "parameters"
    given = getattr(model, name) if name in model.model_fields_set else {}
    evaluate = language.value(given, f"{field}/{name.title()}")

    def both(value: Json, env: Env) -> Json:
        found = evaluate(value, env)
        return {**(found if isinstance(found, dict) else {}), **rest(value, env)}

    return both


def reader_call(language: Language, model: ItemReader) -> Evaluator:
    """ItemReader: with MaxItems (None: all) and the rest of its ReaderConfig as it is written."""
    config = model.reader_config or ReaderConfig()
    most = number(language, config, "max_items", "MaxItems", int)
    plain: dict[str, Json] = config.model_dump(
        by_alias=True,
        exclude_defaults=True,
        exclude={"max_items", "max_items_path", "comment"},
        mode="json",
    )
    return call(
        language,
        model,
        "ItemReader",
        lambda value, env: {"MaxItems": most(value, env), "ReaderConfig": plain},
    )


# --- Wait -----------------------------------------------------------------------------------------


def due(language: Language, model: Any, most: int) -> Callable[[Json, Env], int]:
    """When the Wait is over, ms: one of its five forms (Seconds, SecondsPath, Timestamp,
    TimestampPath; JSONata in the first and third).

    most  seconds
    """
    now_ms: Callable[[Env], int] = lambda env: round(env.now * 1000)
    if model.seconds is not None:
        if not isinstance(model.seconds, str):
            delay = model.seconds * 1000
            return lambda value, env: now_ms(env) + delay
        seconds = language.typed(model.seconds, "Seconds", "number")

        def after(value: Json, env: Env) -> int:
            number = seconds(value, env)
            if not 0 <= number <= most:
                fault = messages.NUMBER_RANGE.format(field="Seconds", least=0, most=most)
                raise StateError(messages.QUERY_EVALUATION_ERROR, fault, "Seconds")
            return now_ms(env) + int(number) * 1000

        return after
    if model.timestamp is not None:
        stamp = (
            language.typed(model.timestamp, "Timestamp", "string")
            if language.jsonata
            else (lambda value, env: model.timestamp)
        )

        def at(value: Json, env: Env) -> int:
            text = stamp(value, env)
            return _instant(
                text,
                StateError(
                    messages.QUERY_EVALUATION_ERROR,
                    messages.TIMESTAMP_TYPE.format(value=text),
                    "Timestamp",
                ),
            )

        return at
    path = model.seconds_path or model.timestamp_path
    find = compile_path(path).find
    if model.seconds_path is None:

        def at_path(value: Json, env: Env) -> int:
            text = find(value, env)
            shown = "" if text is MISSING else _string(text)
            return _instant(
                text,
                StateError(
                    messages.RUNTIME, messages.TIMESTAMP_PATH_TYPE.format(path=path, value=shown)
                ),
            )

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
