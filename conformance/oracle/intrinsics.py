"""Intrinsic functions: `States.Format('{} is {}', $.name, States.MathAdd($.age, 1))`."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import Final

from stepwell.conformance.oracle.values import (
    ANY,
    FieldError,
    Json,
    UndeterminedError,
    is_number,
    known,
    printed,
    rounded,
    same,
    text,
)

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<call>States\.\w+)\s*\(|(?P<string>'(?:[^'\\]|\\.)*')|"
    r"(?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w.])"
    r"|(?P<word>true|false|null)\b|(?P<path>\$(?:[^\s,()\[\]]|\[(?:'(?:[^'\\]|\\.)*'|"
    r"[^\]'])*\])*)|(?P<end>\)))\s*,?\s*",
    re.DOTALL,
)
_WORDS: Final[dict[str, Json]] = {"true": True, "false": False, "null": None}
_HASHES: Final = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
}


class Template(str):
    """A string literal with its escapes, which Format needs to find its {}."""


def call(source: str, path: Callable[[str], Json]) -> Json:
    """The value of a call. `path` reads the paths among its arguments. FieldError:
    States.IntrinsicFailure, or what `path` raises.
    """
    value, end = _call(source, _TOKEN.match(source), path)
    if source[end:].strip():
        raise ValueError(source)
    return value


def _call(
    source: str, token: re.Match[str] | None, path: Callable[[str], Json]
) -> tuple[Json, int]:
    if token is None:
        raise ValueError(source)
    name, at = token["call"], token.end()
    arguments: list[Json] = []
    while True:
        token = _TOKEN.match(source, at)
        if token is None:
            raise ValueError(source)
        at = token.end()
        if token["end"]:
            return FUNCTIONS[name](*arguments), at
        if token["call"]:
            value, at = _call(source, token, path)
            comma = re.match(r"\s*,?\s*", source[at:])
            at += comma.end() if comma else 0
        elif token["string"]:
            value = Template(token["string"][1:-1])
        elif token["number"]:
            value = json.loads(token["number"])
        elif token["word"]:
            value = _WORDS[token["word"]]
        else:
            value = path(token["path"])
        arguments.append(value if name == "States.Format" and not arguments else _plain(value))


def _plain(value: Json) -> Json:
    return re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) if isinstance(value, Template) else value


def _fail() -> FieldError:
    return FieldError("States.IntrinsicFailure", ANY)


# --- arguments ------------------------------------------------------------------------------------
def _array(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise _fail()
    return value


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _fail()
    return value


def _string(value: Json, longest: int | None = None) -> str:
    if not isinstance(value, str) or (longest is not None and len(value) > longest):
        raise _fail()
    text: str = known(value)
    return text


def _integer(value: Json) -> int:
    if not is_number(value):
        raise _fail()
    number = rounded(value)
    if not -(2**31) <= number < 2**31:
        raise UndeterminedError  # documented as 32 bits, recorded with more
    return number


# --- the functions --------------------------------------------------------------------------------
def _format(template: Json, *values: Json) -> Json:
    if not isinstance(template, str):
        raise _fail()
    if not isinstance(template, Template):
        known(template)
    parts = re.split(r"(\\.|\{\})", template, flags=re.DOTALL)
    if parts.count("{}") != len(values):
        raise _fail()
    remaining = iter(values)
    written = ""
    for part in parts:
        if part == "{}":
            written += printed(next(remaining))
        elif part.startswith("\\") and (isinstance(template, Template) or part[1] in "{}"):
            written += part[1]
        else:
            written += part
    return written


def _parse(source: Json) -> Json:
    source = _string(source)
    if not source.strip():
        return None
    try:
        return json.loads(source, parse_constant=lambda name: _raise())
    except ValueError:
        raise _fail() from None


def _raise() -> None:
    raise ValueError


def _partition(items: Json, size: Json) -> Json:
    items, size = _array(items), _integer(size)
    if size <= 0:
        raise _fail()
    return [items[start : start + size] for start in range(0, len(items), size)]


def _range(first: Json, last: Json, step: Json) -> Json:
    first, last, step = _integer(first), _integer(last), _integer(step)
    if step == 0:
        raise _fail()
    numbers = range(first, last + (1 if step > 0 else -1), step)
    if len(numbers) > 1000:
        raise _fail()
    return list(numbers)


def _item(items: Json, index: Json) -> Json:
    items, index = _array(items), _integer(index)
    if not 0 <= index < len(items):
        raise _fail()
    return items[index]


def _unique(items: Json) -> Json:
    kept: list[Json] = []
    for each in known(_array(items)):
        if not any(same(each, other) for other in kept):
            kept.append(each)
    return kept


def _decode(source: Json) -> Json:
    source = _string(source, 10_000)
    try:
        data = base64.b64decode(source, validate=True)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9+/]*", source):
            raise _fail() from None
        raise UndeterminedError from None  # only the padding is missing
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UndeterminedError from None


def _hash(value: Json, algorithm: Json) -> Json:
    data = known(value) if isinstance(value, str) else text(known(value))
    if len(data) > 10_000 or algorithm not in _HASHES:
        raise _fail()
    return hashlib.new(_HASHES[algorithm], data.encode()).hexdigest()


def _merge(left: Json, right: Json, deep: Json) -> Json:
    if deep is not False:
        raise _fail()
    return {**_object(left), **_object(right)}


def _random(first: Json, end: Json, *seed: Json) -> Json:
    if _integer(end) - _integer(first) != 1:
        raise UndeterminedError
    return _integer(first)


def _split(source: Json, delimiters: Json) -> Json:
    source, delimiters = _string(source), _string(delimiters)
    parts = [""]
    for letter in source:
        if letter in delimiters:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part]


FUNCTIONS: Final[dict[str, Callable[..., Json]]] = {
    "States.Format": _format,
    "States.StringToJson": _parse,
    "States.JsonToString": lambda value: text(value) if ANY not in text(value) else known(value),
    "States.Array": lambda *values: list(values),
    "States.ArrayPartition": _partition,
    "States.ArrayContains": lambda items, wanted: any(
        same(known(each), known(wanted)) for each in _array(items)
    ),
    "States.ArrayRange": _range,
    "States.ArrayGetItem": _item,
    "States.ArrayLength": lambda items: len(_array(items)),
    "States.ArrayUnique": _unique,
    "States.Base64Encode": lambda source: base64.b64encode(
        _string(source, 10_000).encode()
    ).decode(),
    "States.Base64Decode": _decode,
    "States.Hash": _hash,
    "States.JsonMerge": _merge,
    "States.MathRandom": _random,
    "States.MathAdd": lambda left, right: _integer(left) + _integer(right),
    "States.StringSplit": _split,
    "States.UUID": lambda: ANY,
}
