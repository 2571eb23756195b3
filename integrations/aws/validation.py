"""Checks of the parameters of operations, compiled once from botocore's shapes.

`compile_input(shape)` returns a function from the parsed body to keyword arguments. A wrong JSON
type is an error at once (SerializationException); violated constraints are collected and reported
together (ValidationException). Unknown members and null are ignored.
"""

from __future__ import annotations

import re
import sys
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from typing import Any, Final

from botocore import xform_name
from botocore.model import ListShape, MapShape, Shape, StructureShape

from stepwell.asl.java_values import java_text
from stepwell.engine import messages as engine_messages
from stepwell.engine.errors import ApiError
from stepwell.integrations.aws import messages
from stepwell.integrations.limits import DEFAULT_LIMITS

Problems = list[str]
# (value, path such as "tags.1.member.key", problems so far) -> the converted value
Read = Callable[[Any, str, Problems], Any]
Rule = tuple[Callable[[Any], bool], str]  # (whether a value violates it, AWS's text)

MOST_PROBLEMS: Final = DEFAULT_LIMITS.request_problems
# AWS prints the values of an enum in its own order: recorded ones; the others in the model's order
ENUM_ORDERS: Final = {
    "ExecutionStatus": ("SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING")
}
# classes in Java's regular expressions of the models -> Python's
JAVA_CLASSES: Final = {
    r"\p{ASCII}": r"[\x00-\x7F]",
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",
    r"\p{Graph}": r"\x21-\x7e",
    r"\p{Upper}": r"A-Z",
    r"\p{Digit}": r"0-9",
    r"\p{Cntrl}": r"\x00-\x1f\x7f",
    # without unassigned characters
    r"\p{C}": r"\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\uf8ff\ufeff",
    # within brackets
    r"\p{L}\p{Z}\p{N}_": r"\w \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}


# service -> its text for a missing member; its code for invalid parameters; enums that services
# check themselves
MISSING: Final = {"sqs": messages.PARAMETER_MISSING}
CODES: Final = {
    "apigatewayv2": "BadRequestException",
    "iot": "InvalidRequestException",
    "iot-data": "InvalidRequestException",
}
UNCHECKED: Final = frozenset(
    {"QueueAttributeName", "MessageSystemAttributeName", "MessageSystemAttributeNameForSends"}
)
_NULL: Final = re.compile(engine_messages.MEMBER_NULL.format(at="(.*)"))


def compile_input(
    shape: StructureShape | None, service: str = ""
) -> Callable[[Any], dict[str, Any]]:
    """The body of a request, as parsed from JSON -> keyword arguments of the operation's method.
    Raises ApiError.
    """
    if shape is None:
        return lambda body: {}
    read_body = _structure(shape, {}, xform_name)

    def read(body: Any) -> dict[str, Any]:
        problems: Problems = []
        try:
            arguments: dict[str, Any] = read_body(body, "", problems)
        except RecursionError:  # a shape that contains itself
            raise ApiError("SerializationException", "") from None
        if (
            problems
            and service in MISSING
            and (missing := _NULL.fullmatch(problems[0])) is not None
        ):
            raise ApiError(
                "MissingParameter",
                MISSING[service].format(name=missing[1][:1].upper() + missing[1][1:]),
            )
        if problems:
            text = engine_messages.VALIDATION if len(problems) == 1 else messages.VALIDATIONS
            raise ApiError(
                CODES.get(service, "ValidationException"),
                text.format(count=len(problems), errors="; ".join(problems)),
            )
        return arguments

    return read


def _compile(shape: Shape, memo: dict[str, Read]) -> Read:
    def later(value: Any, at: str, problems: Problems) -> Any:
        return memo[shape.name](value, at, problems)

    if shape.name not in memo:
        memo[shape.name] = later  # for shapes that contain themselves
        memo[shape.name] = _READERS[shape.type_name](shape, memo)
    return memo[shape.name]


# --- scalars --------------------------------------------------------------------------------------


def _string(value: Any) -> str:
    if type(value) is not str:
        raise _wrong(value, "a String")
    return value


def _whole(wanted: str, bits: int) -> Callable[[Any], int]:
    largest = 2 ** (bits - 1)

    def read(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not -largest <= value < largest:
            raise _wrong(value, wanted)
        return value

    return read


def _number(wanted: str) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if type(value) is not int and type(value) is not float:
            raise _wrong(value, wanted)
        try:
            return float(value)
        except OverflowError:
            raise _wrong(value, wanted) from None

    return read


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong(value, "a Boolean")
    return value


def _blob(value: Any) -> bytes:
    if type(value) is bytes:  # the raw body of a request
        return value
    try:
        return a2b_base64(_string(value), strict_mode=True)
    except (Base64Error, ValueError):  # ValueError: letters outside ASCII
        raise _wrong(value, "a Blob") from None


_SCALARS: Final[dict[str, Callable[[Any], Any]]] = {
    "string": _string,
    "character": _string,
    "integer": _whole("an Integer", 32),
    "long": _whole("a Long", 64),
    "float": _number("a Float"),
    "double": _number("a Double"),
    "timestamp": _number("a Timestamp"),  # seconds since 1970
    "boolean": _boolean,
    "blob": _blob,
}


def _wrong(value: Any, wanted: str) -> ApiError:
    if type(value) is dict:
        text = messages.NO_STRUCTURE
    elif type(value) is list:
        text = messages.NO_LIST
    else:
        kind = (
            "STRING"
            if type(value) is str
            else str(value).upper()
            if type(value) is bool
            else "NUMBER"
        )
        text = messages.WRONG_TYPE.format(found=f"{kind}_VALUE", wanted=wanted)
    return ApiError("SerializationException", text)


def _scalar(shape: Shape, _: dict[str, Read]) -> Read:
    convert, rules = _SCALARS[shape.type_name], _rules(shape)

    def read(value: Any, at: str, problems: Problems) -> Any:
        value = convert(value)
        _check(shape, rules, value, at, problems)
        return value

    return read


def _text(shape: Shape, memo: dict[str, Read]) -> Read:
    """A fast check of strings whose only constraints are lengths: most members are such."""
    least, most, check = (
        shape.metadata.get("min", 0),
        shape.metadata.get("max", sys.maxsize),
        _scalar(shape, memo),
    )
    if not shape.metadata.keys().isdisjoint(("pattern", "enum")):
        return check

    def read(value: Any, at: str, problems: Problems) -> Any:
        return (
            value
            if type(value) is str and least <= len(value) <= most
            else check(value, at, problems)
        )

    return read


# --- containers -----------------------------------------------------------------------------------


def _structure(
    shape: StructureShape, memo: dict[str, Read], rename: Callable[[str], str] = str
) -> Read:
    """Reads the present members into a dict. rename: name of a member -> key."""
    required = frozenset(shape.required_members)
    # error texts have the members' names in Java
    members = [
        (name, name[0].lower() + name[1:], rename(name), name in required, _compile(member, memo))
        for name, member in shape.members.items()
    ]

    def read(value: Any, at: str, problems: Problems) -> Any:
        if type(value) is not dict:
            raise _no_container(value, "structure")
        arguments = {}
        for name, java, key, is_required, read_member in members:
            item = value.get(name)
            if item is not None:
                arguments[key] = read_member(item, f"{at}.{java}" if at else java, problems)
            elif is_required:
                problems.append(
                    engine_messages.MEMBER_NULL.format(at=f"{at}.{java}" if at else java)
                )
        return arguments

    return (lambda value, at, problems: value) if shape.is_document_type else read


def _list(shape: ListShape, memo: dict[str, Read]) -> Read:
    rules, read_item = _rules(shape), _compile(shape.member, memo)
    item_rules = _item_rules(shape.member, messages.RULE_ITEMS)

    def read(value: Any, at: str, problems: Problems) -> Any:
        if type(value) is not list:
            raise _no_container(value, "list")
        _check(shape, rules, value, at, problems)
        items, before = [], len(problems)
        for number, item in enumerate(value, 1):
            if item is None:
                problems.append(engine_messages.MEMBER_NULL.format(at=f"{at}.{number}.member"))
            else:
                items.append(read_item(item, f"{at}.{number}.member", problems))
            if len(problems) > before and item_rules:
                problems[before:] = [_violation(shape, value, at, item_rules)]
                break
            if len(problems) >= MOST_PROBLEMS:
                break
        return items

    return read


def _map(shape: MapShape, memo: dict[str, Read]) -> Read:
    rules, read_key, read_item = (
        _rules(shape),
        _compile(shape.key, memo),
        _compile(shape.value, memo),
    )
    key_rules, value_rules = (
        _item_rules(shape.key, messages.RULE_KEYS),
        _item_rules(shape.value, messages.RULE_VALUES),
    )

    def read(value: Any, at: str, problems: Problems) -> Any:
        if type(value) is not dict:
            raise _no_container(value, "map")
        _check(shape, rules, value, at, problems)
        entries, before = {}, len(problems)
        for key, item in value.items():
            read_key(key, f"{at}.{key}", problems)
            if len(problems) > before:
                problems[before:] = [_violation(shape, value, at, key_rules)]
                break
            if item is not None:
                entries[key] = read_item(item, f"{at}.{key}.member", problems)
            if len(problems) > before and value_rules:
                problems[before:] = [_violation(shape, value, at, value_rules)]
                break
            if len(problems) >= MOST_PROBLEMS:
                break
        return entries

    return read


def _no_container(value: Any, wanted: str) -> ApiError:
    if type(value) in (dict, list):
        return _wrong(value, wanted)
    return ApiError("SerializationException", messages.EXPECTED.format(wanted=wanted))


_READERS: Final[dict[str, Callable[[Any, dict[str, Read]], Read]]] = {
    **dict.fromkeys(_SCALARS, _scalar),
    "string": _text,
    "structure": _structure,
    "list": _list,
    "map": _map,
}


# --- constraints ----------------------------------------------------------------------------------


def _rules(shape: Shape) -> list[Rule]:
    """The constraints of a value of the right type, in the order in which AWS reports them."""
    facts, rules = shape.metadata, list[Rule]()
    sized = shape.type_name in ("string", "blob", "list", "map")
    size: Callable[[Any], Any] = len if sized else lambda value: value
    if "max" in facts:
        text = messages.RULE_LONGEST if sized else messages.RULE_LARGEST
        rules.append((lambda value: size(value) > facts["max"], text.format(limit=facts["max"])))
    if "min" in facts and (facts["min"] or not sized):
        text = messages.RULE_SHORTEST if sized else messages.RULE_SMALLEST
        rules.append((lambda value: size(value) < facts["min"], text.format(limit=facts["min"])))
    if "pattern" in facts:
        rules.append(_pattern(facts["pattern"]))
    if "enum" in facts and shape.name not in UNCHECKED:
        rules.append(_enum(shape.name, facts["enum"]))
    return rules


def _pattern(pattern: str) -> Rule:
    translated = pattern
    for java, ours in JAVA_CLASSES.items():
        translated = translated.replace(java, ours)
    try:
        matches = re.compile(translated).fullmatch
    except re.error:
        # not of an embedded service (a test compiles theirs): other services check their parameters
        # themselves
        return lambda value: False, ""
    return lambda value: matches(value) is None, messages.RULE_PATTERN.format(pattern=pattern)


def _enum(name: str, values: list[str]) -> Rule:
    known, order = frozenset(values), ENUM_ORDERS.get(name, ())
    printed = order if known == frozenset(order) else values
    return lambda value: value not in known, messages.RULE_ENUM.format(values=", ".join(printed))


def _item_rules(shape: Shape, text: str) -> str:
    """The constraints of a list's items as one text about the list; "" if there are none, or the
    items are containers.
    """
    rules = _rules(shape) if shape.type_name in _SCALARS else []
    return text.format(rules=", ".join(rule for _, rule in rules)) if rules else ""


def _check(shape: Shape, rules: list[Rule], value: Any, at: str, problems: Problems) -> None:
    for broken, rule in rules:
        if broken(value):
            problems.append(_violation(shape, value, at, rule))


def _violation(shape: Shape, value: Any, at: str, rule: str) -> str:
    if secret(shape):
        return messages.CONSTRAINT_SECRET.format(at=at, rule=rule)
    return messages.CONSTRAINT.format(value=_printed(shape, value), at=at, rule=rule)


def secret(shape: Shape) -> bool:
    """Whether a value is sensitive: it appears in no error text and no log."""
    return bool(shape.metadata.get("sensitive"))


def _printed(shape: Shape, value: Any) -> str:
    """A value as AWS prints it: lists as [a, b], structures as Name(member=value)."""
    if value is None:
        return "null"
    if secret(shape):
        return messages.REDACTED
    if isinstance(shape, ListShape) and type(value) is list:
        return f"[{', '.join(_printed(shape.member, item) for item in value)}]"
    if isinstance(shape, StructureShape) and type(value) is dict:
        members = (
            f"{name}={_printed(each, value.get(name))}" for name, each in shape.members.items()
        )
        return f"{shape.name}({', '.join(members)})"
    if isinstance(shape, MapShape) and type(value) is dict:
        items = (f"{key}={_printed(shape.value, item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    return java_text(value)
