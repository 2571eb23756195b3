"""Where AWS's JSONata differs from the engine's: two tables of functions, and the operators.

HOSTS are Python functions. PRELUDE is JSONata, which precedes an expression that contains one of
its words: it defines functions, and replaces functions of the engine whose cost the engine's
budgets do not count. Names with § are internal: no variable of a definition can have one.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import takewhile
from math import floor
from typing import Any, Final

from stepwell.asl import messages
from stepwell.asl.evaluation import Json
from stepwell.asl.java_values import identity
from stepwell.asl.json_text import JsonError, loads

_ALGORITHMS: Final = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
}


class JsonataError(Exception):
    """An evaluation failed; `what` completes the message messages.JSONATA."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class JsonataBudgetError(JsonataError):
    """The functions of this file exceeded the budget of an evaluation; the engine does not count
    their work.
    """


METER: Final[ContextVar[int]] = ContextVar("METER")
"""The steps that this evaluation may still spend in the functions of this file. An item, or 64
characters, is one step.
"""


def _spend(steps: int) -> None:
    left = METER.get() - steps
    METER.set(left)
    if left < 0:
        raise JsonataBudgetError(
            messages.JSONATA_THREW.format(code="U1006", message=messages.JSONATA_BUDGET)
        )


def threw(code: str, message: str) -> JsonataError:
    """The failure of an expression that threw a JSONata error."""
    return JsonataError(messages.JSONATA_THREW.format(code=code, message=message))


# --- in Python ------------------------------------------------------------------------------------
# The engine has checked the arguments against the signature; undefined is None, in and out.


def _partition(items: list[Json] | None, size: float | None) -> list[list[Json]] | None:
    if items is None or size is None:
        return None
    if size < 1:
        raise _mismatch("partition", 2)
    _spend(len(items))
    return [items[start : start + floor(size)] for start in range(0, len(items), floor(size))]


def _hash(text: str | None, algorithm: str | None) -> str | None:
    if text is None or algorithm is None:
        return None
    if algorithm not in _ALGORITHMS:
        raise _mismatch("hash", 2)
    _spend(len(text) // 64)
    return hashlib.new(_ALGORITHMS[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def _parse(text: str | None) -> dict[str, Json] | None:
    """{"v": value}: a bare null would become undefined."""
    if text is None:
        return None
    _spend(len(text) // 64)
    try:
        return {"v": loads(text)}
    except JsonError as fault:
        raise threw("D3120", messages.JSONATA_PARSE.format(reason=fault.message)) from None


def _seeded(seed: float) -> float:
    """A number 0 <= n < 1, the same for the same seed. AWS's numbers for a seed are unknown."""
    digest = hashlib.blake2b(str(floor(seed)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def _uuid(entropy: str, draw: float) -> str:
    """A version 4 UUID, from the evaluation's 16 bytes of entropy and a number that differs between
    calls.
    """
    digits = hashlib.blake2b(f"{entropy} {draw!r}".encode(), digest_size=16).hexdigest()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _unique(items: list[Json]) -> list[Json]:
    _spend(len(items))
    first: dict[object, Json] = {}
    for item in items:
        first.setdefault(identity(item), item)
    return list(first.values())


def _mismatch(name: str, index: int) -> JsonataError:
    return threw("T0410", messages.JSONATA_ARGUMENT.format(index=index, name=name))


_PART: Final = re.compile(r"\[(?!\[)([^\]]*)\]|(\[\[|\]\]|[^\[])")
_NUMBER_CHARS: Final = 400  # more than any number has
_DIGITS: Final = frozenset("0123456789")
_DECIMAL: Final = re.compile(r"[YMD](?P<digits>#*[0-9]*)(?P<ordinal>o?)(?:,(?P<width>[-*0-9]+))?")


def _dated(text: str, picture: str) -> bool:
    """Whether year, month and day have as many digits as a picture of theirs: with JSONata 2.0.6,
    "2018-1-7" is no time by [Y0001]-[M01]-[D01]. True where the engine's own check is enough.
    """
    _spend((len(text) + len(picture)) // 64)
    literals, markers = [""], list[str]()
    for marker, literal in _PART.findall(picture):
        if literal:
            literals[-1] += literal[0]
        else:
            markers.append("".join(marker.split()))
            literals.append("")
    if _PART.sub("", picture):
        return True
    place = len(literals[0])
    for number, (marker, literal) in enumerate(zip(markers, literals[1:], strict=True), start=1):
        decimal = _DECIMAL.fullmatch(marker)
        if decimal is None:
            place = text.find(literal, place) if literal else -1
            if place < 0:
                return True
        else:
            least, most = _widths(decimal)
            behind = place + min(most, _NUMBER_CHARS) + 1  # one digit too many is enough
            given = sum(1 for _ in takewhile(_DIGITS.__contains__, text[place:behind]))
            if not literal and number < len(markers):  # the digits of the next marker follow
                if least != most:
                    return True
                given = min(given, most)
            if not least <= given <= most:
                return False
            place += given + (2 if decimal["ordinal"] else 0)
        place += len(literal)
    return True


def _widths(marker: re.Match[str]) -> tuple[int, int]:
    """The least and the largest number of digits."""
    optional = marker["digits"].count("#")
    required = len(marker["digits"]) - optional or 1
    least, _, most = (marker["width"] or "").rpartition("-")
    if most.isdecimal():
        return int(most) - optional, int(most)
    if least.isdecimal():
        required = max(required, int(least))
    width = required + optional
    return (required, width) if width >= 2 else (1, _NUMBER_CHARS)


def _absent(name: str) -> None:
    """A function has no pattern to search for. JSONata's reference fails, the engine returns
    undefined, which a condition takes for false.
    """
    raise _mismatch(name, 2)


HOSTS: Final[dict[str, tuple[Callable[..., Any], str]]] = {
    "partition": (_partition, "<an:a>"),
    "hash": (_hash, "<ss:s>"),
    "§parse": (_parse, "<s:o>"),
    "§seeded": (_seeded, "<n:n>"),
    "§uuid": (_uuid, "<sn:s>"),
    "§unique": (_unique, "<a:a>"),
    "§absent": (_absent, "<s:x>"),
    "§dated": (_dated, "<ss:b>"),
}

# functions that only AWS has, has otherwise, or has not
OWN: Final = ("$eval", "$uuid", "$random", "$parse", "$range")

# --- in JSONata -----------------------------------------------------------------------------------
# LIMIT is replaced by the largest length of a string; a $pad beyond it raises the engine's error.

PRELUDE: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("$eval",), "$eval:=null;"),  # AWS has no $eval: calling it is T1006
    # before $random is replaced: both draw from the engine's seeded generator
    (("$uuid",), "$§draw:=$random;$uuid:=function()<:s>{$§uuid($§entropy,$§draw())};"),
    (
        ("$random",),
        "$§random:=$random;$random:=function($seed)<n?:n>{"
        "$exists($seed)?$§seeded($seed):$§random()};",
    ),
    (("$parse",), "$parse:=function($json)<s:x>{$§parse($json).v};"),
    (
        ("$range",),
        # recorded on AWS: a single element is returned without an array
        "$range:=function($first,$last,$step)<nnn:x>{"
        "($f:=$floor($first);$s:=$floor($step);"
        "$all:=[[0..$floor(($floor($last)-$f)/$s)].($f+$*$s)];$count($all)=1?$all[0]:$all)};",
    ),
    # the engine's $distinct and $keys compare all pairs in a single step; they return a sequence if
    # their argument is one
    (
        ("$distinct", "$keys"),
        "$§distinct:=$distinct;$distinct:=function($of)<x:x>{$count($of)<500?$§distinct($of):"
        "($all:=$§unique($of);$count($all)=1?$§distinct($of):$all)};",
    ),
    (
        ("$keys",),
        (
            '$keys:=function($of)<x-:a<s>>{$type($of)="array"?$distinct($of.$keys()):$type($of)="object"?$each($of,'
            "function($v,$k){$k})};"
        ),
    ),
    # the engine builds the whole string before it checks the length
    (
        ("$replace",),
        "$§replace:=$replace;$replace:=function($in,$old,$new,$most)<s-(sf)(sf)n?:s>{"
        '$exists($in) and $not($exists($old))?$§absent("replace"):'
        '$type($old)="string" and $type($new)="string" and $length($in)*$length($new)>LIMIT'
        ' and $min([$most,$count($split($in,$old))])*$length($new)>LIMIT?$pad("",'
        "LIMIT+1):$§replace($in,$old,$new,$most)};",
    ),
    (
        ("$formatInteger",),
        "$§formatInteger:=$formatInteger;$formatInteger:=function($value,$picture)<n-s:s>{"
        '$length($picture)>1000?$pad("",LIMIT+1):$§formatInteger($value,$picture)};',
    ),
    (
        ("$contains",),
        "$§contains:=$contains;$contains:=function($in,$old)<s-(sf):b>{"
        '$exists($in) and $not($exists($old))?$§absent("contains"):$§contains($in,$old)};',
    ),
    (
        ("$split",),
        "$§split:=$split;$split:=function($in,$old,$most)<s-(sf)n?:a<s>>{"
        '$exists($in) and $not($exists($old))?$§absent("split"):$§split($in,$old,$most)};',
    ),
    (
        ("$toMillis",),
        "$§toMillis:=$toMillis;$toMillis:=function($time,$picture)<s-s?:n>{"
        "$exists($picture) and $exists($time)?$§dated($time,$picture)?$§toMillis($time,$picture):()"
        ":$§toMillis($time)};",
    ),
)

# --- newer than AWS's -----------------------------------------------------------------------------

# operator -> what says the same in AWS's version
NEWER: Final = {"??": "$exists(a) ? a : b", "?:": "a ? a : b"}
_NEWER: Final = re.compile("|".join(map(re.escape, NEWER)))
_SIGNATURE: Final = re.compile(r"(?<=\))\s*<[^{}\"']*>(?=\s*\{)")


def newer_operators(source: str) -> Iterator[tuple[int, str]]:
    """(offset, the source with a name in its place) of each text that may be one of the operators
    `??` and `?:`. JSONata has them since 2.1, Step Functions has 2.0.6. In a literal or a comment
    the name is harmless; as an operator it is a syntax error.
    """
    if any(operator in source for operator in NEWER):
        plain = _SIGNATURE.sub(lambda found: " " * len(found[0]), source)
        for found in _NEWER.finditer(plain):
            yield found.start(), f"{plain[: found.start()]}§§{plain[found.end() :]}"


# --- functions as values --------------------------------------------------------------------------

# items and members: by name, as `{"id": $uuid}`, or as they are
_NAMED_ITEM: Final = re.compile(r"[\[:,]\s*\$(\w+)\s*(?=[,}\]])")
_FUNCTION_ITEM: Final = re.compile(r"[\[:]\s*(?:function\b|λ)")
# variables that the expression defines, other than by `:= function`
_DEFINED: Final = re.compile(
    r"\$(\w+)\s*:=(?!\s*(?:function\b|λ|\$\w+\s*[;)~]))|[@#]\$(\w+)"
    r"|(?:function|λ)\s*\(([^()]*)\)"
)


def lists_functions(source: str, functions: frozenset[str]) -> bool:
    """Whether items or members of a result may be functions. functions: the names in the expression
    that are not of variables of the state machine.
    """
    return bool(uncalled(source, functions) or _FUNCTION_ITEM.search(source))


def uncalled(source: str, functions: frozenset[str]) -> frozenset[str]:
    """The functions that are the value of an expression, or items or members in it."""
    named = functions.intersection([source.removeprefix("$"), *_NAMED_ITEM.findall(source)])
    if named:
        defined = " ".join(" ".join(found) for found in _DEFINED.findall(source))
        named -= set(re.findall(r"\w+", defined))
    return named
