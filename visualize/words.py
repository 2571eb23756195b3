"""Texts for people, shared by pictures, the page and the command: labels of states, Choice rules,
durations, instants, remarks on executions, and escaped text. Pure.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from stepwell.asl import json_text, state_visits
from stepwell.asl.definition import (
    DISTRIBUTED,
    ChoiceRule,
    FailState,
    ItemProcessor,
    MapState,
    ParallelState,
    StateMachine,
    TaskState,
    WaitState,
)
from stepwell.asl.definition import State as StateModel
from stepwell.asl.evaluation import Json
from stepwell.asl.items import Items
from stepwell.asl.resources import CALLBACK, SYNC, SYNC_2, Resource, parse_resource
from stepwell.asl.summaries import State, Waiting
from stepwell.visualize.service_names import service_name

_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r"}
_PATTERNS: Final = {CALLBACK: " (callback)", SYNC: " (sync)", SYNC_2: " (sync)"}

_PARTITION: Final = re.compile(r"^arn:\$\{[^}]*\}:")
_PART: Final = r"(?:\$\{[^}]*\}|[^:]*)"
_HOME: Final = re.compile(
    rf"^arn:{_PART}:(lambda|states):{_PART}:{_PART}:(function|activity):(?=[^$])"
)
_ANY_HOME: Final = r"arn:aws:\1:us-east-1:123456789012:\2:"


# --- texts ----------------------------------------------------------------------------------------


def printable(text: str, limit: int = 0) -> str:
    """The text with control characters escaped; cut to `limit` characters, 0: not cut."""
    if limit and len(text) > limit:
        text = text[: limit - 1] + "…"
    return _CONTROL.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


_SOFT: Final = (
    re.compile(r"(?<=[-_./:,])(?=\S)"),
    re.compile(r"(?<=[a-z0-9])(?=[A-Z])"),
)  # where a long word may be broken, the best places first


def wrap(text: str, width: int, most: int = 0) -> list[str]:
    """The text in lines of at most `width` characters, broken at spaces; long words after
    punctuation, before capitals, or anywhere. At least one line. Control characters are escaped.

    most  the number of lines, 0: no limit. If lines are cut off, the last one ends with an ellipsis
    """
    lines = [""]
    for word in printable(text).split(" "):
        gap = " " if lines[-1] else ""
        if len(lines[-1]) + len(gap) + len(word) <= width:
            lines[-1] += gap + word
            continue
        for piece in _pieces(word, width):
            if lines[-1] and len(lines[-1]) + len(gap) + len(piece) > width:
                lines.append(piece)
            else:
                lines[-1] += gap + piece
            gap = ""
    if most and len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][: width - 1] + "…"]
    return lines


def _pieces(word: str, width: int, places: Sequence[re.Pattern[str]] = _SOFT) -> Iterable[str]:
    if len(word) <= width:
        yield word
    elif places:
        for piece in places[0].split(word):
            yield from _pieces(piece, width, places[1:])
    else:
        yield from (word[at : at + width] for at in range(0, len(word), width))


def columns(rows: Sequence[Sequence[str]], numbers: bool = False) -> list[str]:
    """Rows of cells as lines with aligned columns. numbers: all but the first column hold numbers,
    which are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    align = str.rjust if numbers else str.ljust
    return [
        "  ".join([row[0].ljust(widths[0]), *map(align, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def took(seconds: float) -> str:
    """2 ms, 1.24 s, 41.0 s, 2 min 05 s, 3 h 20 min, 12 d 4 h, 30 d."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole >= 86400 and whole % 86400 < 3600:
        return f"{whole // 86400} d"
    for size, unit, small, small_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return (
                f"{whole // size} {unit} {whole % size // small:0{1 if unit == 'd' else 2}d} "
                f"{small_unit}"
            )
    return f"{whole} s"


def when(seconds: float, exact: bool = False) -> str:
    """An instant, in epoch seconds, as the command and the page write it: 2026-11-28 11:24:08 UTC.
    exact: with milliseconds.
    """
    milliseconds = round(seconds * 1000)
    at = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}{f'.{milliseconds % 1000:03d}' if exact else ''} UTC"


def count(number: int, thing: str) -> str:
    """1 branch, 2 branches, 3 retries, 4 keys, 1,000 items."""
    if number != 1:
        thing = re.sub(r"(ch|s)$", r"\1e", re.sub(r"(?<![aeiou])y$", "ie", thing)) + "s"
    return f"{number:,} {thing}"


# --- executions -----------------------------------------------------------------------------------

# the kinds of remarks
ITEMS, SUCCEEDED, FAILED, ABORTED, RUNNING, AGAIN, TIMES, WAITS, ERROR = (
    "items", "succeeded", "failed", "aborted", "running", "again", "times", "waits", "error",
)  # fmt: skip
NO_ERROR_NAME: Final = "no error name"
_COUNTS: Final = (
    ("failed", FAILED),
    ("timed_out", FAILED),
    ("aborted", ABORTED),
    ("pending_redrive", AGAIN),
    ("running", RUNNING),
)
_WAITS: Final = {
    state_visits.CALLBACK: "waiting for a callback",
    state_visits.WORKER: "waiting for a worker",
    state_visits.ACTIVITY: "running on a worker",
    state_visits.JOB: "waiting for its job",
    state_visits.TIMER: "waiting",
    state_visits.RETRY: "waiting to retry",
}
_ERROR_CHARS: Final = 40


class Remark(NamedTuple):
    """A remark on a state: 12/40, 3 failed, 1 retry, ×2, waiting for a callback, an error. The
    kind decides its colour.
    """

    kind: str
    text: str


def counted(items: Items) -> list[Remark]:
    """Remarks on the items of a Map: 38/47, 5 failed, 4 aborted."""
    found = [Remark(ITEMS, f"{items.succeeded:,}/{items.total:,}")] if items.total else []
    numbers = ((name, kind, getattr(items, name)) for name, kind in _COUNTS)
    return found + [
        Remark(kind, f"{number:,} {name.replace('_', ' ')}")
        for name, kind, number in numbers
        if number
    ]


def remarks(state: State, now: float | None) -> list[Remark]:
    """All remarks on a state, without its status and its duration. now: epoch seconds; None leaves
    out what changes as time passes.
    """
    found = counted(state.items) if state.items is not None else []
    found += (
        [Remark(ABORTED, f"{state.aborted:,} aborted")]
        if state.aborted and state.items is None
        else []
    )
    found += [
        Remark(AGAIN, count(number, thing))
        for number, thing in ((state.retries, "retry"), (state.redrives, "redrive"))
        if number
    ]
    found += [Remark(TIMES, f"×{state.visits:,}")] if state.visits > 1 else []
    found += [Remark(WAITS, awaited(state.waiting, now))] if state.waiting is not None else []
    return found + ([Remark(ERROR, printable(state.error, _ERROR_CHARS))] if state.error else [])


def parked(reason: str) -> str:
    """The remark on a parked execution: the API shows it as RUNNING, but it cannot continue."""
    return f"parked: it cannot continue and must be stopped ({printable(reason, 300)})"


def awaited(waiting: Waiting, now: float | None) -> str:
    """What an open visit waits for: "waiting for a callback", "41.0 s left", "waiting to retry:
    Busy".
    """
    if waiting.until is not None and now is not None:
        return f"{took(waiting.until - now)} left"
    error = waiting.visit.error if waiting.kind == state_visits.RETRY else None
    worker = waiting.visit.worker if waiting.kind == state_visits.ACTIVITY else None
    if worker:
        return f"running on worker {printable(worker, _ERROR_CHARS)}"
    return (
        f"{_WAITS[waiting.kind]}: {printable(error, _ERROR_CHARS)}"
        if error
        else _WAITS[waiting.kind]
    )


def lasted(state: State) -> str:
    """A state's duration: "1.24 s", "p50 1.24 s" of several iterations, "3 active · 41.0 s" of
    several that run; "" if it is unknown.
    """
    if state.seconds is None:
        return ""
    if state.status == state_visits.RUNNING:
        return (
            f"{state.active:,} active · {took(state.seconds)}"
            if state.active > 1
            else took(state.seconds)
        )
    return f"p50 {took(state.seconds)}" if state.several else took(state.seconds)


# --- states ---------------------------------------------------------------------------------------


def parsed(resource: str) -> Resource | None:
    """The parts of a Resource, whose partition, region and account may be ${placeholders}."""
    return parse_resource(resource) or parse_resource(
        _HOME.sub(_ANY_HOME, _PARTITION.sub("arn:aws:", resource))
    )


def task_label(resource: str, arguments: Json = None) -> str:
    """What a Task calls: "Lambda: charge-card", "DynamoDB: GetItem", "Step Functions:
    StartExecution (sync)", "Activity: approve".

    arguments  its Parameters or Arguments: a literal FunctionName is shown instead of "Invoke"
    """
    about = parsed(resource)
    if about is None:
        return printable(resource, 40)
    if about.kind in ("lambda", "activity"):
        return f"{about.kind.capitalize()}: {printable(about.action, 40)}"
    suffix = _PATTERNS.get(about.pattern, "")
    function = (
        arguments.get("FunctionName")
        if about.service == "lambda" and isinstance(arguments, dict)
        else None
    )
    if isinstance(function, str) and not function.startswith(("{%", "${")):
        return f"Lambda: {printable(function.rpartition(':function:')[2], 40)}{suffix}"
    return f"{service_name(about.service)}: {about.action[:1].upper()}{about.action[1:]}{suffix}"


def wait_label(seconds: Json = None, timestamp: Json = None) -> str:
    """Wait 10 s, Wait $.delay s, Wait until 2030-01-01T00:00:00Z."""
    if timestamp is not None:
        return f"Wait until {printable(expression(str(timestamp)), 40)}"
    return "Wait" if seconds is None else f"Wait {printable(expression(str(seconds)), 40)} s"


def expression(text: str) -> str:
    """The source between {% and %}, in one line; other text unchanged."""
    return " ".join(text[2:-2].split()) if text.startswith("{%") and text.endswith("%}") else text


def state_label(state: StateModel) -> str:
    """What a state does, in a few words: the line above its name."""
    match state:
        case TaskState():
            return task_label(
                state.resource,
                state.parameters if state.parameters is not None else state.arguments,
            )
        case WaitState():
            first = (each for each in (state.seconds, state.seconds_path) if each is not None)
            return wait_label(
                next(first, None),
                state.timestamp if state.timestamp is not None else state.timestamp_path,
            )
        case FailState():
            error = state.error if state.error is not None else state.error_path
            return "Fail" if error is None else f"Fail: {printable(expression(error), 40)}"
        case ParallelState():
            return f"Parallel · {count(len(state.branches), 'branch')}"
        case MapState():
            most = (
                state.max_concurrency_path
                if state.max_concurrency_path is not None
                else state.max_concurrency
            )
            return ("Map (distributed)" if is_distributed(state) else "Map") + (
                f" · max {printable(expression(str(most)), 20)}" if most else ""
            )
    return state.type


def processor(state: MapState) -> ItemProcessor | None:
    """The block that a Map runs for each item: ItemProcessor, or the deprecated Iterator."""
    return state.item_processor if state.item_processor is not None else state.iterator


def is_distributed(state: MapState) -> bool:
    inner = processor(state)
    return inner is not None and inner.processor_config.mode == DISTRIBUTED


def retries_label(state: StateModel) -> str:
    """ "retry ×3": the largest MaxAttempts of all retriers, "" without retriers."""
    most = max((retrier.max_attempts for retrier in getattr(state, "retry", ())), default=0)
    return f"retry ×{most:,}" if most else ""


def machine_label(definition: StateMachine, states: int) -> str:
    """14 states · JSONPath."""
    return f"{count(states, 'state')} · {definition.query_language}"


# --- Choice rules ---------------------------------------------------------------------------------

# the operators that compare: type, relation, whether the operand is a path
_OPERATOR: Final = re.compile(r"(String|Numeric|Boolean|Timestamp)(\w+?)(Path)?")
_SIGNS: Final = {
    "Equals": "=",
    "LessThan": "<",
    "GreaterThan": ">",
    "LessThanEquals": "≤",
    "GreaterThanEquals": "≥",
}
_IS: Final = {
    "IsNull": "null",
    "IsString": "a string",
    "IsNumeric": "a number",
    "IsBoolean": "a boolean",
    "IsTimestamp": "a timestamp",
    "IsPresent": "present",
}


def rule_text(rule: ChoiceRule) -> str:
    """One rule of a Choice state, in one line of any length: `$.n > 5 and $.kind = "x"`,
    `not ($.total is present)`, `$.kind matches "gift-*"`.
    """
    if isinstance(rule.condition, bool):
        return "true" if rule.condition else "false"
    return _test(rule.test) if rule.condition is None else expression(rule.condition)


def condition_text(rule: Mapping[str, Json]) -> str:
    """The condition of a rule as JSON, as rule_text() writes it."""
    condition = rule.get("Condition")
    if isinstance(condition, bool):
        return "true" if condition else "false"
    return expression(condition) if isinstance(condition, str) else _test(rule)


def _test(test: Json, inner: bool = False) -> str:
    if not isinstance(test, Mapping):
        return "?"
    for word in ("And", "Or"):
        if isinstance(parts := test.get(word), list):
            text = f" {word.lower()} ".join(_test(part, len(parts) > 1) for part in parts)
            return f"({text})" if inner and len(parts) > 1 else text
    if "Not" in test:
        return f"not ({_test(test['Not'])})"
    variable = str(test.get("Variable", "?"))
    for name, operand in test.items():
        if name in _IS:
            return f"{variable} is {'not ' if operand is False else ''}{_IS[name]}"
        if name == "StringMatches":
            return f"{variable} matches {json_text.dumps(operand)}"
        match = _OPERATOR.fullmatch(name)
        if match and match[2] in _SIGNS:
            right = operand if match[3] else json_text.dumps(operand)
            return f"{variable} {_SIGNS[match[2]]} {right}"
    return variable
