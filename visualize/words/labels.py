"""What a Task calls and what a Wait waits for, in a few words, by fields of a definition."""

import re
from typing import Final

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import CALLBACK, SYNC, SYNC_2, Resource, parse_resource
from stepwell.visualize.service_names import service_name
from stepwell.visualize.words.texts import lasting, printable

_PATTERNS: Final = {CALLBACK: " (callback)", SYNC: " (sync)", SYNC_2: " (sync)"}

_PARTITION: Final = re.compile(r"^arn:\$\{[^}]*\}:")
_PART: Final = r"(?:\$\{[^}]*\}|[^:]*)"
_HOME: Final = re.compile(
    rf"^arn:{_PART}:(lambda|states):{_PART}:{_PART}:(function|activity):(?=[^$])"
)
_ANY_HOME: Final = r"arn:aws:\1:us-east-1:123456789012:\2:"


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
    """Wait 10 s, Wait 30 d, Wait $.delay s, Wait until 2030-01-01T00:00:00Z."""
    if timestamp is not None:
        return f"Wait until {printable(expression(str(timestamp)), 40)}"
    if isinstance(seconds, int | float):
        return f"Wait {lasting(seconds)}"
    return "Wait" if seconds is None else f"Wait {printable(expression(str(seconds)), 40)} s"


def expression(text: str) -> str:
    """The source between {% and %}, in one line; other text unchanged."""
    return " ".join(text[2:-2].split()) if text.startswith("{%") and text.endswith("%}") else text
