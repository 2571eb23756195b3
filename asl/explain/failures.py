"""The rules about an error: what the data has instead of what the field needs, and why no retrier
or catcher took it.

Each rule is (code, when) as in missing.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from stepwell.asl import messages
from stepwell.asl.error_matching import matches
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain.jsonata_chains import top_level
from stepwell.asl.explain.readings import Reading, matching_rule, readings, value_of
from stepwell.asl.explain.subject import Subject
from stepwell.asl.explain.values import (
    attribute_type,
    described,
    follow,
    near,
    parsed,
    search,
    spelled,
)
from stepwell.asl.jsonata_functions import HOSTS
from stepwell.asl.paths import compile_path

When = Callable[[Subject], tuple[str, str] | None]  # -> (place, sentence)

_FIELD: Final = re.compile(
    r"The JSONata expression '(.*)' specified for the field '([^']*)' ", re.S
)
_NUMBER: Final = re.compile(r"\s*[-+]?\d+(\.\d+)?\s*")


class Rule(NamedTuple):
    code: str
    when: When


def field_of(subject: Subject) -> tuple[str, str] | None:
    """(field, expression) of the JSONata expression that failed."""
    match = _FIELD.search(subject.cause or "")
    if match is None:
        return None
    field = match[2]
    if field == "Condition" and (index := matching_rule(subject)) is not None:
        field = f"Choices[{index}]/Condition"
    return field, match[1]


def _in_field(subject: Subject, field: str) -> list[Reading]:
    return [each for each in readings(subject) if each.field == field]


# --- JSONPath fields ------------------------------------------------------------------------------


def _not_an_array(subject: Subject) -> tuple[str, str] | None:
    """The items of a Map are not a list."""
    cause = subject.cause or ""
    if "must point to array" in cause:
        needs, path = "ItemsPath", str(subject.fields.get("ItemsPath", "$"))
        find = compile_path(path, subject.limits).find
        value = find(subject.documents.get("selected"), subject.env())
    elif "Map state input must be" in cause:
        needs, path, value = "Items", "$states.input", subject.documents.get("input")
    else:
        return None
    text = f"{needs} needs a list, and `{path}` is {described(value)}"
    if needs not in subject.fields:
        text = f"Without {needs} the Map iterates over its input, which is {described(value)}"
    if isinstance(parsed(value), list):
        return needs, f"{text}: a list as JSON text, parse it before."
    if lists := _lists(value):
        member = spelled(path, (lists[0],), subject.jsonata)
        member = f"{{% {member} %}}" if subject.jsonata else member
        return needs, f'{text}: did you mean "{needs}": "{member}"?'
    return needs, f"{text}."


def _lists(value: Json) -> list[str]:
    """The members of an object that are lists."""
    members = value.items() if isinstance(value, dict) else ()
    return [name for name, each in members if isinstance(each, list)]


def _result_path(subject: Subject) -> tuple[str, str] | None:
    if subject.error != messages.RESULT_PATH_MATCH_FAILURE:
        return None
    path = str(subject.fields.get("ResultPath", "$"))
    keys = compile_path(path, subject.limits).query.keys
    value = subject.documents.get("input")
    for place in range(len(keys) + 1):
        at = follow(value, keys[:place])
        if at is MISSING:
            break
        if not isinstance(at, dict):
            here = f"`{spelled('$', keys[:place])}` of the state input is {described(at)}"
            if place == 0:
                here = f"The state input is {described(at)}"
            return "ResultPath", f"{here}, so nothing can be put at `{path}`: it needs an object."
    return None


def _wait(subject: Subject) -> tuple[str, str] | None:
    """SecondsPath and TimestampPath."""
    for field in ("SecondsPath", "TimestampPath"):
        if subject.type != "Wait" or field not in subject.fields:
            continue
        path = subject.fields[field]
        value = compile_path(path).find(subject.documents.get("selected"), subject.env())
        if value is MISSING:
            continue
        text = f"{field} reads `{path}`, which is {described(value)}"
        if field == "TimestampPath" and isinstance(value, str):
            return field, f'{text}: a timestamp has a "T" and a zone, as "2024-01-31T12:00:00Z".'
        if field == "TimestampPath":
            return field, f"{text}, not a timestamp in text."
        return field, f"{text}, not a whole number of seconds from 0."
    return None


_WANTS: Final[dict[str, tuple[str, type | tuple[type, ...]]]] = {
    "States.MathAdd": ("numbers", (int, float)),
    "States.MathRandom": ("numbers", (int, float)),
    "States.ArrayRange": ("numbers", (int, float)),
    "States.ArrayLength": ("a list", list),
    "States.ArrayUnique": ("a list", list),
    "States.ArrayContains": ("a list", list),
    "States.ArrayGetItem": ("a list", list),
    "States.ArrayPartition": ("a list", list),
    "States.StringSplit": ("a string", str),
    "States.StringToJson": ("a string", str),
    "States.Base64Encode": ("a string", str),
    "States.Base64Decode": ("a string", str),
    "States.JsonMerge": ("objects", dict),
    "States.Hash": ("a string", str),
}


def _intrinsic(subject: Subject) -> tuple[str, str] | None:
    if subject.error != messages.INTRINSIC_FAILURE:
        return None
    cause = subject.cause or ""
    for each in readings(subject):
        wants = _WANTS.get(each.call)
        if wants is None or each.found is MISSING or f"{each.call}(" not in cause:
            continue
        first = cause.partition(f"{each.call}(")[2].lstrip().startswith(each.text)
        if wants[1] is list and not first:
            continue  # the second argument
        if not isinstance(each.found, wants[1]) or isinstance(each.found, bool):
            text = f"{each.call} needs {wants[0]}, and `{each.text}` is {described(each.found)}"
            return each.field, f"{text}{_conversion(each, wants[1])}"
        if each.call == "States.StringToJson":
            return each.field, f"`{each.text}` is {described(each.found)}, which is not JSON."
    for each in readings(subject):
        if each.call == "States.Format" and "template needs" in cause:
            return each.field, "Each {} of States.Format takes one value: give as many as it has."
    return None


def _conversion(each: Reading, wants: Any) -> str:
    value = each.found
    if each.call == "States.StringToJson":
        return ", parsed already: use the path itself."
    if isinstance(value, str) and wants == (int, float) and _NUMBER.fullmatch(value):
        return f": convert it with `States.StringToJson({each.text})`."
    if isinstance(value, str) and parsed(value) is not MISSING:
        return f" of JSON: parse it with `States.StringToJson({each.text})`."
    if attribute_type(value):
        return ", an attribute value of DynamoDB."
    if wants is str and value is not None:
        return f": convert it with `States.JsonToString({each.text})`."
    return "."


def no_choice_matched(subject: Subject) -> bool:
    """Whether a Choice failed because all rules are false. AWS's error for it is States.Runtime."""
    if subject.type != "Choice" or subject.error != messages.RUNTIME:
        return False
    return "Default" not in subject.fields and matching_rule(subject) is None


def _no_choice(subject: Subject) -> tuple[str, str] | None:
    if not no_choice_matched(subject):
        return None
    return "Choices", "No rule is true and there is no Default: add a Default, for all other input."


def _too_large(subject: Subject) -> tuple[str, str] | None:
    if subject.error != messages.DATA_LIMIT_EXCEEDED:
        return None
    return "", (
        f"A payload may have {subject.limits.payload_bytes:,} bytes: keep less of the result with "
        f"{'Output' if subject.jsonata else 'ResultSelector'}, or pass a reference (S3) instead."
    )


# --- JSONata --------------------------------------------------------------------------------------

_ARITHMETIC: Final = ("T2001", "T2002")


def _jsonata_operands(subject: Subject) -> tuple[str, str] | None:
    """`+` on a string; a comparison of different types."""
    found, cause = field_of(subject), subject.cause or ""
    if found is None or not any(f"{code}:" in cause for code in (*_ARITHMETIC, "T2009", "T2010")):
        return None
    values = [each for each in _in_field(subject, found[0]) if each.found is not MISSING]
    compares = "T2009:" in cause or "T2010:" in cause
    for each in values:
        if not isinstance(each.found, int | float) or isinstance(each.found, bool):
            here = f"`{each.text}` is {described(each.found)}"
            if attribute_type(each.found):
                return found[0], f"{here}, an attribute value of DynamoDB."
            if isinstance(each.found, str) and _NUMBER.fullmatch(each.found):
                return found[0], f"{here}, not a number: write `$number({each.text})`."
            if "+" in found[1] and isinstance(each.found, str) and not compares:
                return found[0], f"{here}: `+` adds numbers, `&` joins strings."
            if compares:
                return found[0], f"{here}: `<` and `>` compare numbers, or strings."
            return found[0], f"{here}, not a number."
    if "+" in found[1] and not compares:
        return found[0], "`+` adds numbers: join strings with `&`."
    return None


def _jsonata_function(subject: Subject) -> tuple[str, str] | None:
    found, cause = field_of(subject), subject.cause or ""
    if found is None:
        return None
    if re.search(r"\bStates\.\w+\s*\(", found[1]):
        return found[0], (
            "`States.*` functions exist in JSONPath only: JSONata has functions of its own."
        )
    if "T1005:" not in cause and "T1006:" not in cause:
        return None
    env = subject.env()
    for name in re.findall(r"\$(\w+)\s*\(", found[1]):
        if value_of(f"$type(${name})", env, subject) == "function" or name in HOSTS:
            continue
        meant = near(name, _FUNCTIONS)
        return found[0], f"There is no function `${name}`" + (
            f": did you mean `${meant}`?" if meant else "."
        )
    bare = re.search(r"(?<![$\w.])([a-z]\w*)\s*\(", found[1])
    if bare and bare[1] in _FUNCTIONS:
        return found[0], f"A function has a `$` before its name: write `${bare[1]}(...)`."
    return None


_NAMES: Final = """
    string length substring substringBefore substringAfter uppercase lowercase trim pad
    contains split join match replace base64encode base64decode encodeUrl decodeUrl number
    abs floor ceil round power sqrt random formatNumber formatBase formatInteger
    parseInteger sum max min average boolean not exists count append sort reverse shuffle
    distinct zip keys lookup spread merge sift each error assert type map filter single
    reduce now millis fromMillis toMillis partition range hash uuid parse
"""
_FUNCTIONS: Final = tuple(_NAMES.split())  # of JSONata, and those that AWS adds


def _jsonata_type(subject: Subject) -> tuple[str, str] | None:
    """An expression has a value of another type than its field needs."""
    found, cause = field_of(subject), subject.cause or ""
    expected = re.search(r"Expected '(.*)', but was '(\w+)' for value", cause)
    if found is None or expected is None:
        return None
    field, source = found
    if "array" in expected[1] and ("[" in source or "." in source or "(" in source):
        if "[" in source or "$filter" in source or "$map" in source:
            return field, (
                "JSONata returns a single match without a list around it: write "
                f"`[{source}]`, or append `[]` to the path."
            )
        value = value_of(source, subject.env(), subject)
        if isinstance(parsed(value), list):
            return field, f"The value is a list as JSON text: write `$parse({source})`."
        if lists := _lists(value):
            return field, f"It is {described(value)}: did you mean `{source}.{lists[0]}`?"
        return field, f"It is {described(value)}: write `[{source}]` for a list of one."
    if expected[1] == "boolean":
        return field, f"A Condition must be true or false: compare, or write `$boolean({source})`."
    if expected[1] == "number" and expected[2] == "string":
        return field, f"It is text: write `$number({source})`."
    if expected[1] == "string":
        return field, f"It is {_article(expected[2])}: write `$string({source})`."
    return None


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}" if word != "null" else word


def _jsonata_argument(subject: Subject) -> tuple[str, str] | None:
    """A function got a value of another type."""
    found, cause = field_of(subject), subject.cause or ""
    if found is None or not re.search(r"\b(T0410|T0411|T0412|D3030|D3110|D3120):", cause):
        return None
    code = re.search(r"\b([TD]\d{4}):", cause)
    for each in _in_field(subject, found[0]):
        if each.found is MISSING or isinstance(each.found, int | float):
            continue
        here = f"`{each.text}` is {described(each.found)}"
        inner = parsed(each.found)
        if inner is not MISSING and "$parse" not in found[1]:
            return found[0], f"{here}, JSON as text: write `$parse({each.text})`."
        if attribute_type(each.found):
            return found[0], f"{here}, an attribute value of DynamoDB."
        if code and code[1] == "D3030":
            return found[0], f"{here}, which is not a number."
        if code and code[1] == "D3120":
            return found[0], f"{here}, which is not JSON."
        if code and code[1] == "D3110":
            return found[0], f"{here}, which is not a timestamp of ISO 8601."
        return found[0], f"{here}: the function needs another type."
    return None


def _jsonata_nothing(subject: Subject) -> tuple[str, str] | None:
    """The expression is undefined though its paths lead to values."""
    found = field_of(subject)
    if found is None or messages.JSONATA_UNDEFINED not in (subject.cause or ""):
        return None
    field, source = found
    text = top_level(source)
    if "?" in text and ":" not in text.partition("?")[2]:
        condition = source[: source.index("?")].strip()
        return field, (
            f"`{condition}` is false and there is no else: write `... : null` behind it. An "
            "expression must return a value."
        )
    call = re.match(r"\s*\$(\w+)\s*\(", source)
    if call and call[1] in ("filter", "single", "lookup", "match", "sift", "max", "min", "average"):
        return (
            field,
            f"`${call[1]}` found nothing: give a default, `$exists(...) ? ... : null`.",
        )
    if re.search(r"\[[^\]]*\]\s*$", source):
        return field, "No item passes the predicate: write `[...]` around it for an empty list."
    return field, "An expression must return a value: write `null` or `[]` where there is none."


# --- Retry and Catch ------------------------------------------------------------------------------


def _handlers(subject: Subject) -> tuple[str, str] | None:
    """Why no retrier or catcher took the error."""
    fields, error = subject.fields, subject.error
    handlers = [
        (f"{part}[{index}]", each)
        for part in ("Retry", "Catch")
        for index, each in enumerate(fields.get(part, ()))
        if isinstance(each, Mapping)
    ]
    if not handlers or error is None:
        return None
    if error == messages.RUNTIME:
        return handlers[0][0], (
            "States.Runtime is never retried or caught, not even by States.ALL."
        )
    taken = [where for where, each in handlers if matches(each.get("ErrorEquals", ()), error)]
    if any(where.startswith("Catch") for where in taken):
        return None
    for where, each in handlers:
        if text := _misspelled(error, each.get("ErrorEquals", ())):
            return where, text
    if taken:
        return _exhausted(fields, taken[0], error)
    names = [name for _, each in handlers for name in each.get("ErrorEquals", ())]
    if error in (messages.TIMEOUT, messages.HEARTBEAT_TIMEOUT) and messages.TASK_FAILED in names:
        return handlers[0][0], f"States.TaskFailed does not cover {error}: name it in ErrorEquals."
    parts = " or ".join(dict.fromkeys(where.partition("[")[0] for where, _ in handlers))
    return handlers[0][0], (
        f"No {parts} names {error}: {'it has' if len(names) == 1 else 'they have'} "
        f"{', '.join(names[:6])}."
    )


def _exhausted(fields: Mapping[str, Any], where: str, error: str) -> tuple[str, str] | None:
    retrier = fields["Retry"][int(where[6:-1])]
    most = retrier.get("MaxAttempts", 3)
    if most == 0:
        return where, f"{where} matches {error} with MaxAttempts 0: it is never retried."
    return None


def _misspelled(error: str, names: Sequence[Json]) -> str | None:
    texts = [name for name in names if isinstance(name, str)]
    if matches(texts, error):
        return None
    short = {name.rpartition(".")[2]: name for name in texts}
    if error.rpartition(".")[2] in short:
        return f"ErrorEquals has `{short[error.rpartition('.')[2]]}`, and the error is `{error}`."
    alike = (each for each in texts if error.startswith(each) or each.startswith(error))
    meant = near(error, texts) or next(alike, None)
    return meant and f"ErrorEquals has `{meant}`, and the error is `{error}`: names must be equal."


# a function in Python, and one in Node: what it read
_UNDEFINED: Final = re.compile(
    r"""KeyError: '(\w+)'|"errorMessage": ?"'(\w+)'"|of undefined \(reading '(\w+)'\)"""
)


def _function_error(subject: Subject) -> tuple[str, str] | None:
    """A function failed for a member that its event lacks."""
    match = _UNDEFINED.search(subject.cause or "")
    if subject.type != "Task" or match is None:
        return None
    name = next(filter(None, match.groups()))
    sent = subject.documents.get("sent", subject.documents.get("selected"))
    if isinstance(sent, dict) and ":states:::lambda:invoke" in subject.fields["Resource"]:
        sent = sent.get("Payload")
    if not isinstance(sent, dict):
        return None
    meant = near(name, sent)
    place = search(sent, (name,))
    text = f"The function reads `{name}`; its event has {', '.join(f'`{k}`' for k in sent)}"
    if meant:
        return "Parameters", f"{text}: did you mean `{meant}`?"
    if place:
        return "Parameters", f"{text}, and `{spelled('event', place.trail)}`."
    return "Parameters", f"{text}."


RULES: Final[tuple[Rule, ...]] = (
    Rule("not-a-list", _not_an_array),
    Rule("result-path", _result_path),
    Rule("wait-value", _wait),
    Rule("intrinsic-argument", _intrinsic),
    Rule("no-choice", _no_choice),
    Rule("too-large", _too_large),
    Rule("operand-type", _jsonata_operands),
    Rule("no-function", _jsonata_function),
    Rule("value-type", _jsonata_type),
    Rule("argument-type", _jsonata_argument),
    Rule("function-event", _function_error),
)
LAST: Final[tuple[Rule, ...]] = (  # if no path ends without a value
    Rule("returns-nothing", _jsonata_nothing),
)
HANDLERS: Final = Rule("not-handled", _handlers)
