"""The log events of executions, as AWS writes them to CloudWatch Logs: a unit -> LogEvents. Pure;
integrations/log_sink.py writes them.

    unit --log_events--> LogEvent(group, stream, ms, message), one for each history event that
    belongs to the level

An execution is logged as the loggingConfiguration of its machine says at the start, which is kept
in Execution.extras["logging"]; Standard and Express alike. A record is the history event with its
ids and numbers as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import encode, size
from stepwell.engine.core.history import TABLE, to_aws
from stepwell.engine.ids import derived
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.store.base import Unit

_FATAL: Final = ("ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")
_TYPES: Final = tuple(row[0] for row in TABLE)
LEVELS: Final[Mapping[str, frozenset[str]]] = {
    "ALL": frozenset(_TYPES),
    "ERROR": frozenset(
        name
        for name in _TYPES
        if name.endswith(("Failed", "TimedOut", "Aborted")) or name == "FailStateEntered"
    ),
    "FATAL": frozenset(_FATAL),
    "OFF": frozenset(),
}
"""Logging level -> the event types that are logged."""

_CODES: Final = {
    level: frozenset(code for code, name in enumerate(_TYPES) if name in names)
    for level, names in LEVELS.items()
}
_DATA: Final = ("input", "output", "parameters")
_EVENT_KEYS: Final = {"timestamp", "type", "id", "previousEventId"}


class LogEvent(NamedTuple):
    """One line of a log stream. `message` is the record as JSON text, `timestamp` is in ms."""

    group: str
    stream: str
    timestamp: int
    message: bytes


class LogSink(Protocol):
    """Where log events go. Handed to Engine(log_sink=...)."""

    def write(self, events: Sequence[LogEvent]) -> None:
        """Take them without blocking and without raising: called on the event loop, after the
        commit. May drop, and must then count.
        """

    async def close(self) -> None:
        """Write the events that were accepted."""


def wanted(configuration: Mapping[str, Any] | None) -> bool:
    """Whether a machine with this loggingConfiguration has its executions logged."""
    return (
        configuration is not None
        and configuration.get("level", "OFF") != "OFF"
        and log_group(configuration) is not None
    )


def log_group(configuration: Mapping[str, Any]) -> str | None:
    """The log group of a loggingConfiguration: arn:aws:logs:REGION:ACCOUNT:log-group:NAME:* has
    NAME.
    """
    for destination in configuration.get("destinations") or ():
        arn: str = destination.get("cloudWatchLogsLogGroup", {}).get("logGroupArn", "")
        return arn.split(":", 6)[-1].removesuffix(":*") or None
    return None


def log_events(
    unit: Unit, configuration: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS
) -> list[LogEvent]:
    """The log events of a unit, in the order of its history; `configuration` is one that is
    wanted().
    """
    kept = _CODES[configuration["level"]]
    if kept.isdisjoint([event[0] for event in unit.history]):
        return []
    x, group, data = (
        unit.execution,
        log_group(configuration),
        bool(configuration.get("includeExecutionData")),
    )
    assert group is not None
    minute = datetime.fromtimestamp(x.started / 1000, UTC).strftime("%Y-%m-%d-%H-%M")
    stream = f"states/{x.machine_name}/{minute}/{derived(x.uuid, 'log')[:8]}"
    redrives = x.extras.get("redrives", 0)
    events = []
    for number, event in enumerate(unit.history, unit.first):
        if event[0] in kept:
            shown = record(to_aws(event, number, unit.at, data), unit.at, x.arn, redrives)
            message = encode(shown)
            if len(message) > limits.log_record_bytes:
                message = encode(
                    {**shown, "details": bounded(shown["details"], limits.log_record_bytes)}
                )
            events.append(LogEvent(group, stream, unit.at, message))
    return events


def record(event: Mapping[str, Any], at: int, execution_arn: str, redrives: int) -> dict[str, Json]:
    """A history event as in GetExecutionHistory -> its log record.

    Numbers in details are text, too, and an event without details has {} (unconfirmed: no recording
    has either).
    """
    details: dict[str, Any] = next(
        (value for key, value in event.items() if key not in _EVENT_KEYS), {}
    )
    return {
        "id": str(event["id"]),
        "type": event["type"],
        "details": {
            name: str(value) if type(value) is int else value for name, value in details.items()
        },
        "previous_event_id": str(event["previousEventId"]),
        "event_timestamp": str(at),
        "execution_arn": execution_arn,
        "redrive_count": str(redrives),
    }


def bounded(details: Mapping[str, Json], most: int) -> dict[str, Json]:
    """Details with at most `most` bytes of input, output, parameters and variables; what was cut,
    or left out, is marked truncated.
    """
    details = dict(details)
    sizes = {
        name: size(value)
        for name, value in details.items()
        if isinstance(value, str) and name in _DATA
    }
    variables = details.get("assignedVariables")
    if isinstance(variables, dict):
        sizes["assignedVariables"] = sum(
            size(name) + size(text) for name, text in variables.items()
        )
    for name in sorted(sizes, key=sizes.__getitem__):  # the small ones stay whole
        if sizes[name] > most:
            details[name] = _cut(details[name], most)
            if name + "Details" in details:
                details[name + "Details"] = {"truncated": True}
        most -= min(most, sizes[name])
    return details


def _cut(value: Json, most: int) -> Json:
    return value.encode()[:most].decode(errors="ignore") if isinstance(value, str) else {}
