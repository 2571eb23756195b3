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
from stepwell.asl.explain.jsonata import arguments
from stepwell.asl.explain.jsonata import failures as expressions
from stepwell.asl.explain.readings import Reading, matching_rule, readings
from stepwell.asl.explain.subject import Subject
from stepwell.asl.explain.values import (
    attribute_type,
    counted,
    described,
    follow,
    near,
    parsed,
    search,
    shown,
    spelled,
)
from stepwell.asl.paths import compile_path

When = Callable[[Subject], tuple[str, str] | None]  # -> (place, sentence)

_NUMBER: Final = re.compile(r"\s*[-+]?\d+(\.\d+)?\s*")


class Rule(NamedTuple):
    code: str
    when: When


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
    if lists := expressions.lists_of(value):
        member = spelled(path, (lists[0],), subject.jsonata)
        member = f"{{% {member} %}}" if subject.jsonata else member
        return needs, f'{text}: did you mean "{needs}": "{member}"?'
    return needs, f"{text}."


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


def _number_path(subject: Subject) -> tuple[str, str] | None:
    """A field such as MaxConcurrencyPath, whose value is no number."""
    match = _NOT_NUMBER.search(subject.cause or "")
    if match is None:
        return None
    needs = "a whole number" if match[2] == "integer" else "a number"
    value = compile_path(match[3]).find(subject.documents.get("selected"), subject.env())
    return match[1], f"{match[1]} needs {needs}, and `{match[3]}` is {described(value)}."


_NOT_NUMBER: Final = re.compile(
    r"The (\w+) field refers to value .* which is not a valid (integer|float): (\$\S+)", re.DOTALL
)


def _timestamp(subject: Subject) -> tuple[str, str] | None:
    """The Timestamp of a JSONata Wait."""
    match = re.search(r"The Timestamp field cannot be parsed .*: (.*)", subject.cause or "")
    if match is None:
        return None
    text = f"The value is the text {shown(match[1])}"
    return "Timestamp", f'{text}: a timestamp has a "T" and a zone, as "2024-01-31T12:00:00Z".'


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
        if "out of the bounds" in cause and isinstance(each.found, list):
            size = counted(len(each.found), "item")
            return each.field, f"`{each.text}` has {size}, and positions count from 0."
    if match := re.search(r"had the following error: (Argument \d+ .*|The array .*)", cause):
        return _field_with(subject, cause), f"{match[1]}."
    if "The template needs" in cause:
        where = next((each.field for each in readings(subject) if each.call == "States.Format"), "")
        if slot := re.search(r"\{\w+\}", cause):
            return where, f"{slot[0]} is no slot of States.Format: write {{}}."
        return where, "Each {} of States.Format takes one value: give as many as it has."
    return None


def _field_with(subject: Subject, cause: str) -> str:
    """The field with the call that failed."""
    call = re.search(r"The function '(States\.\w+)", cause)
    found = (each.field for each in readings(subject) if call and each.call == call[1])
    return next(found, "")


def _conversion(each: Reading, wants: Any) -> str:
    value = each.found
    if each.call == "States.StringToJson":
        return ", parsed already: use the path itself."
    if isinstance(value, str) and wants == (int, float) and _NUMBER.fullmatch(value):
        return f": convert it with `States.StringToJson({each.text})`."
    if each.call == "States.StringSplit" and isinstance(value, list):
        return ", split already: use the path itself."
    if isinstance(value, str) and wants is list and "," in value and parsed(value) is MISSING:
        return f": split it with `States.StringSplit({each.text}, ',')`."
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


def _not_tolerated(subject: Subject) -> tuple[str, str] | None:
    """Child executions of a distributed Map failed."""
    if subject.error != messages.TOLERATED_FAILURE or subject.type != "Map":
        return None
    limits = [
        f"{name} {subject.fields[name]}"
        for name in subject.fields
        if name.startswith("ToleratedFailure")
    ]
    most = " and ".join(limits) or "no ToleratedFailurePercentage or ToleratedFailureCount: 0"
    return "ItemProcessor", (
        f"More iterations failed than the Map tolerates ({most}). Each is an execution of its own, "
        "which says why it failed: `stepwell list --map-run EXECUTION --status FAILED`."
    )


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
        if "Payload" not in sent:
            text = f"The function reads `{name}`, and its event is empty: there is no Payload."
            return "Arguments" if subject.jsonata else "Parameters", text
        sent = sent["Payload"]
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


def _in_expression(
    when: Callable[[Subject, tuple[str, str]], tuple[str, str] | None],
) -> When:
    """A rule about the (field, expression) that failed."""

    def find(subject: Subject) -> tuple[str, str] | None:
        found = expressions.field_of(subject)
        return None if found is None else when(subject, found)

    return find


RULES: Final[tuple[Rule, ...]] = (
    Rule("not-a-list", _not_an_array),
    Rule("result-path", _result_path),
    Rule("wait-value", _wait),
    Rule("number-path", _number_path),
    Rule("timestamp", _timestamp),
    Rule("intrinsic-argument", _intrinsic),
    Rule("no-choice", _no_choice),
    Rule("too-large", _too_large),
    Rule("not-tolerated", _not_tolerated),
    Rule("operand-type", expressions.operands),
    Rule("no-function", _in_expression(arguments.function)),
    Rule("not-called", _in_expression(arguments.not_called)),
    Rule("value-type", expressions.value_type),
    Rule("argument-type", _in_expression(arguments.argument)),
    Rule("seconds", expressions.seconds),
    Rule("function-event", _function_error),
)
LAST: Final[tuple[Rule, ...]] = (  # if no path ends without a value
    Rule("returns-nothing", expressions.nothing),
)
HANDLERS: Final = Rule("not-handled", _handlers)
