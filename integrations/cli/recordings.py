"""Executions for a replay: of a database, of a server, and of files that AWS's tools write.

A file is one of
    a history                     aws stepfunctions get-execution-history
    all about one execution       jq -s add definition.json describe.json history.json
    log records, one per line     of Express workflows: CloudWatch's format, many executions
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.diff.canonical import places
from stepwell.asl.histories.history_visits import ENDINGS, Visits
from stepwell.asl.histories.state_visits import Event
from stepwell.engine.core.history import TABLE
from stepwell.engine.replay.map_results import SHAPING
from stepwell.integrations.cli import files, lookup
from stepwell.integrations.cli.clients import polling, selection
from stepwell.integrations.cli.clients.base import SEVERAL, Client
from stepwell.integrations.cli.parsing import inputs
from stepwell.integrations.errors import UsageError
from stepwell.visualize import read_history

_DETAILS: Final = {row[0]: row[1] for row in TABLE if len(row) > 1}
_NUMBERS: Final = (
    "length", "index", "timeoutInSeconds", "heartbeatInSeconds", "redriveCount",
)  # fmt: skip
CHILDREN: Final = 10_000  # of a Map Run whose outputs are read


class Recorded(NamedTuple):
    """An execution as it was recorded.

    definition  JSON text; None: the source has none
    id, uuid    of this engine's store, else 0 and ""
    map_results  ARN of a Map Run -> outputs of its children, if its state does not show them
    map_runs     ARN of a Map Run -> its state
    client       has its children; None: the source has not
    child_of     the Map that it is a child of, in that definition
    label        of that Map, if the definition is the child's own; "" if it has none
    """

    name: str
    description: Mapping[str, Any]
    events: list[Any]
    definition: str | None
    id: int = 0
    uuid: str = ""
    map_results: Mapping[str, Sequence[str]] = MappingProxyType({})
    map_runs: Mapping[str, str] = MappingProxyType({})
    client: Client | None = None
    child_of: str | None = None
    label: str | None = None


# --- files ----------------------------------------------------------------------------------------


def in_file(file: Path) -> Iterator[Recorded]:
    """The executions in a file. Raises UsageError."""
    data = inputs.read(file, str(file), most=files.HISTORY_BYTES)
    try:
        value = json_text.loads(data)
    except (json_text.JsonError, UnicodeError):
        value = None
    about = value if isinstance(value, dict) else {}
    if value is None or "event_timestamp" in about:
        yield from _logged(file, data)
        return
    try:
        events = read_history(data)
    except ValueError as fault:
        raise UsageError(f"{file}: {fault}") from None
    definition = about.get("definition")
    yield Recorded(
        str(file),
        about,
        events,
        definition if isinstance(definition, str) else None,
        map_runs=map_runs(events),
        label=str(about.get("label", "")) if "mapRunArn" in about else None,
    )


def map_runs(events: Iterable[Event]) -> dict[str, str]:
    """The ARNs of the Map Runs of a history, and their states."""
    seen = Visits()
    for event in events:
        seen.feed(event)
    return {arn: visit.name for arn, visit in seen.map_runs.items()}


def _logged(file: Path, data: bytes) -> Iterator[Recorded]:
    """The executions in a file of log records, each when it has ended."""
    running: dict[str, list[dict[str, Any]]] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json_text.loads(line)
            arn, event = str(record["execution_arn"]), _event(record)
        except (json_text.JsonError, UnicodeError, LookupError, TypeError, ValueError):
            raise UsageError(
                f"{file}:{number}: neither a history event nor a log record of an execution"
            ) from None
        running.setdefault(arn, []).append(event)
        if event["type"] in ENDINGS:
            yield _of_log(arn, running.pop(arn))
    for arn, events in running.items():
        yield _of_log(arn, events)


def _of_log(arn: str, events: list[Any]) -> Recorded:
    return Recorded(arn, {"executionArn": arn}, events, None, map_runs=map_runs(events))


def _event(record: Mapping[str, Any]) -> dict[str, Any]:
    """A log record -> the event as GetExecutionHistory shows it."""
    kind = str(record["type"])
    details = {
        name: int(value) if name in _NUMBERS else value
        for name, value in (record.get("details") or {}).items()
    }
    return {
        "id": int(record["id"]),
        "previousEventId": int(record["previous_event_id"]),
        "type": kind,
        "timestamp": int(record["event_timestamp"]) / 1000,
        **({_DETAILS[kind]: details} if kind in _DETAILS else {}),
    }


# --- databases and servers ------------------------------------------------------------------------


async def of_machine(
    client: Client, machine: str, status: str | None, since: float | None, limit: int
) -> AsyncIterator[str]:
    """The ARNs of the newest executions of a state machine, version or alias. since: epoch
    seconds.
    """
    wanted = selection.Wanted(machine, (status,) if status else (), since)
    async for each in selection.executions(client, wanted, limit):
        yield each["executionArn"]


async def recorded(client: Client, arn: str) -> Recorded:
    """An execution of a database or server. The definition of a child is that of its parent."""
    described = await client.describe(arn)
    child_of = None
    machine = await client.call("describe_state_machine_for_execution", execution_arn=arn)
    if (map_run := machine.get("mapRunArn")) is not None:
        parent = (await client.call("describe_map_run", map_run_arn=map_run))["executionArn"]
        child_of = map_runs([each async for each in client.history(parent)]).get(map_run)
        machine = await client.call("describe_state_machine_for_execution", execution_arn=parent)
    return await _read(client, described, machine["definition"], child_of)


async def children(client: Client, parent: Recorded, map_run: str) -> AsyncIterator[Recorded]:
    """The children of a Map Run, some at a time, without Express ones that succeeded and did not
    wait: these are not stored.
    """
    async for page in polling.pages(client.call, "list_executions", map_run_arn=map_run):
        for start in range(0, len(page["executions"]), SEVERAL):
            found = await asyncio.gather(
                *(
                    _read(client, each, parent.definition or "", parent.map_runs[map_run])
                    for each in page["executions"][start : start + SEVERAL]
                )
            )
            for each in found:
                yield each


async def _read(
    client: Client, described: Mapping[str, Any], definition: str, child_of: str | None
) -> Recorded:
    arn, name = described["executionArn"], lookup.full_name(described)
    events = [each async for each in client.history(arn)]
    id, uuid = await client.seed(arn)
    runs = map_runs(events)
    shaped = runs if runs and _shapes_map_runs(definition) else {}
    read = {each: await _outputs(client, each) for each in shaped}
    results = {each: outputs for each, outputs in read.items() if outputs is not None}
    return Recorded(
        *(name, described, events, definition, id, uuid, results),
        map_runs=runs,
        client=client,
        child_of=child_of,
    )


def _shapes_map_runs(definition: str) -> bool:
    """Whether the output of a distributed Map does not show its result."""
    states = places(json_text.loads(definition)).values()
    return any("ProcessorConfig" in each.fields and SHAPING & each.fields.keys() for each in states)


async def _outputs(client: Client, map_run: str) -> list[str] | None:
    """Of the children that succeeded, in the order of the items; None: they are too many, or not
    known, such as those of Express children that did not wait.
    """
    counts = (await client.call("describe_map_run", map_run_arn=map_run))["executionCounts"]
    if counts["total"] > CHILDREN:
        return None
    found: dict[int, str] = {}
    async for page in polling.pages(client.call, "list_executions", map_run_arn=map_run):
        for each in page["executions"]:
            number = each["name"].rpartition("-")[2]  # as the engine names them
            if each["status"] == "SUCCEEDED" and number.isdigit():
                described = await client.describe(each["executionArn"])
                found[int(number)] = described.get("output", "null")
    if len(found) != counts["succeeded"]:
        return None
    return [output for _, output in sorted(found.items())]
