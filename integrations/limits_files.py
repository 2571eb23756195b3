"""Files of limits, for --limits: JSON or YAML, {name of a limit: number}.

    limits = read_limits(Path("limits.yaml"))

What a file does not name keeps its default, except a limit that would cut off what a raised one
allows: FOLLOWERS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.files.definition_files import DefinitionFileError, Source, read_definition
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

FILE_BYTES: Final = 65_536
LONGEST_SECONDS: Final = 100 * 365 * 24 * 3600
LARGEST: Final = 2**53  # whole numbers that every JSON parser reads exactly

# limits that cannot be changed, and why
FIXED: Final = {
    "payload_depth": "the JSON parser has it, as that of AWS does",
    "json_number_chars": "the JSON parser has it, as that of AWS does",
    "sql_chars": "the parser of topic rules has it",
    "sql_text_chars": "the functions of topic rules have it",
    "request_problems": "the checks of requests have it",
}

# name -> (least value, why)
LEAST: Final = {
    "history_events": (10, "an execution needs a few events to start and to fail"),
    "definition_depth": (4, "a machine with a state has so many levels"),
    "name_chars": (36, "generated names are UUIDs"),
    "payload_bytes": (256, "the Error Output of a Catch is a payload"),
    "request_head_bytes": (4_096, "the headers of a signed request need it"),
}

# name -> (largest value, why)
MOST: Final = {
    "payload_bytes": (64 * 1024 * 1024, "pass larger data by reference, such as an object in S3"),
    "definition_depth": (250, "definitions are checked recursively"),
    "intrinsic_depth": (100, "calls are evaluated recursively"),
    "history_events": (2**31 - 1, "event ids of AWS's clients have 32 bits"),
}


class Follower(NamedTuple):
    """A limit that is raised with another one, to `factor` times its value.

    strict  a file may not set it lower
    """

    name: str
    factor: float
    leader: str
    strict: bool = False


FOLLOWERS: Final = (
    *(
        Follower(name, factor, "payload_bytes")
        for name, factor in (
            ("variable_bytes", 1),
            ("jsonata_string_chars", 2),
            ("jsonata_array_items", 0.5),  # [0,0,0...]
            ("outbound_response_bytes", 1),
            ("function_request_bytes", 1),
            ("function_event_bytes", 1),
            ("function_response_bytes", 1),
            ("message_bytes", 1),
            ("topic_message_bytes", 1),
            ("event_bytes", 1),
            ("http_api_bytes", 1),
            ("dataset_item_bytes", 1),
            ("task_answers_bytes", 1),
        )
    ),
    Follower("topic_message_most_bytes", 1, "topic_message_bytes", strict=True),
    Follower("assign_bytes", 1, "variable_bytes"),
    Follower("dataset_file_bytes", 1, "dataset_item_bytes", strict=True),
    Follower("variables_bytes", 1, "assign_bytes"),
    # a payload is a string in the JSON of a request: most of its characters may be escaped
    Follower("request_bytes", 4, "payload_bytes", strict=True),
    Follower("request_bytes", 2, "definition_bytes", strict=True),
    Follower("request_bytes", 1, "message_bytes", strict=True),
    Follower("upload_bytes", 1, "request_bytes", strict=True),
    Follower("upload_bytes", 4 / 3, "code_zip_bytes", strict=True),  # Base64
    Follower("upload_bytes", 1, "function_request_bytes", strict=True),
    Follower("peer_request_bytes", 1, "upload_bytes", strict=True),
    Follower("open_request_bytes", 1, "peer_request_bytes", strict=True),
    # nodes pass requests on, with their headers
    Follower("node_frame_bytes", 1.25, "upload_bytes", strict=True),
)

# the first may not be greater than the second
ORDERED: Final = (
    ("page_default", "list_page"),
    ("result_least_bytes", "result_part_bytes"),
    ("result_part_bytes", "result_file_bytes"),
    ("page_default", "history_page"),
    ("jsonata_inline_steps", "jsonata_steps"),
    ("jsonata_inline_seconds", "jsonata_seconds"),
    ("jsonpath_inline_nodes", "jsonpath_nodes"),
    ("job_pause_seconds", "job_pause_most_seconds"),
    ("delivery_pause_seconds", "delivery_pause_most_seconds"),
    ("mqtt_pause_seconds", "mqtt_pause_most_seconds"),
    ("background_pause_seconds", "background_pause_most_seconds"),
    ("peer_pause_seconds", "peer_pause_most_seconds"),
    ("request_head_bytes", "open_head_bytes"),
    ("log_record_bytes", "log_buffer_bytes"),
)

Values = Mapping[str, float]


class LimitsFileError(ValueError):
    """A file of limits cannot be used. faults: each as "limits.yaml:3:1: message"."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def read_limits(path: Path) -> Limits:
    """The limits of a file: YAML if its name ends in .yaml or .yml, else JSON. Raises
    LimitsFileError with all faults of the file.
    """
    name = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LimitsFileError([f"{name}: {reason}"]) from None
    if len(data) > FILE_BYTES:
        raise LimitsFileError([f"{name}: larger than {FILE_BYTES:,} bytes"])
    if not data.strip():
        return DEFAULT_LIMITS
    try:
        source = read_definition(data, name)
        given = json_text.loads(source.text)
    except DefinitionFileError as error:
        raise LimitsFileError([str(error)]) from None
    except json_text.JsonError as error:
        place = f":{error.line}:{error.column}" if error.line else ""
        raise LimitsFileError([f"{name}{place}: not JSON: {error.message}"]) from None
    if given is None:  # a file of comments
        return DEFAULT_LIMITS
    if not isinstance(given, dict):
        text = "must have names of limits and their values, such as payload_bytes: 1048576"
        raise LimitsFileError([f"{name}:1:1: {text}"])
    faults = {limit: fault for limit, value in given.items() if (fault := _fault(limit, value))}
    if not faults:
        limits, faults = _with_followers(given)
    placed = [*_twice(source), *(_placed(source, limit, text) for limit, text in faults.items())]
    if placed:
        raise LimitsFileError(placed)
    return limits


def changed(limits: Limits) -> dict[str, tuple[float, float]]:
    """name -> (value, default) of the limits that differ from their defaults."""
    pairs = ((each.name, getattr(limits, each.name)) for each in fields(limits))
    return {
        name: (value, default)
        for name, value in pairs
        if value != (default := getattr(DEFAULT_LIMITS, name))
    }


def _placed(source: Source, limit: str, fault: str) -> str:
    line, column = source.locate(json_text.member("/", limit))
    return f"{source.filename}:{line}:{column}: {limit}: {fault}"


def _twice(source: Source) -> list[str]:
    """Names that a JSON file has twice; reading YAML reports them."""
    return [
        f"{source.filename}:{line}:{column}: {at[1:]}: is in the file twice"
        for at, _, (line, column) in json_text.duplicates(source.text)
    ]


def _fault(name: str, value: object) -> str | None:
    """What is wrong with a limit by itself."""
    default = getattr(DEFAULT_LIMITS, name, None)
    if name not in Limits.__dataclass_fields__ or default is None:
        close = get_close_matches(name, Limits.__dataclass_fields__, 1)
        return "there is no such limit" + (f"; did you mean {close[0]}?" if close else "")
    if name in FIXED:
        return f"cannot be changed: {FIXED[name]}"
    whole = isinstance(default, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        wanted = "a whole number" if whole else "a number"
        return f"must be {wanted}, such as {default}, not {json_text.dumps(value)}"
    assert isinstance(value, (int, float))
    least, why = LEAST.get(name, (1 if default and whole else 0, ""))
    if not math.isfinite(value) or value < least or (not whole and value <= 0):
        return _bound("at least" if whole else "more than", least, why)
    most, why = MOST.get(name, (LONGEST_SECONDS if name.endswith("_seconds") else LARGEST, ""))
    return _bound("at most", most, why) if value > most else None


def _bound(words: str, value: float, why: str) -> str:
    return f"must be {words} {value:,}" + (f": {why}" if why else "")


def _with_followers(given: Values) -> tuple[Limits, dict[str, str]]:
    """The limits with those that follow raised ones, and what contradicts another limit."""
    limits, faults = (
        replace(
            DEFAULT_LIMITS,
            **{name: type(getattr(DEFAULT_LIMITS, name))(value) for name, value in given.items()},
        ),
        dict[str, str](),
    )
    for name, factor, leader, strict in FOLLOWERS:
        least = math.ceil(factor * getattr(limits, leader))
        if getattr(limits, name) >= least:
            continue
        if name not in given:
            limits = replace(limits, **{name: least})
        elif strict:
            faults |= _contradiction(given, limits, name, least, leader)
    for smaller, larger in ORDERED:
        least = getattr(limits, smaller)
        if getattr(limits, larger) < least:
            faults |= _contradiction(given, limits, larger, least, smaller)
    return limits, faults


def _contradiction(
    given: Values, limits: Limits, name: str, least: float, leader: str
) -> dict[str, str]:
    """At the place of the limit that is too low, or of the other one if only that is given."""
    value, other = getattr(limits, name), getattr(limits, leader)
    if name not in given:
        text = f"{other:,} is too high for {name} ({value:,}): lower it, or set {name}, too"
        return {leader: text}
    text = f"{value:,} is too low for {leader} ({other:,}): set it to at least {least:,}"
    return {name: f"{text}, or lower {leader}"}
