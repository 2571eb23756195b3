"""What `stepwell mock record` does."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.blocks import every_state
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.histories.history_visits import ENDINGS
from stepwell.asl.histories.state_visits import details
from stepwell.engine import arns
from stepwell.engine.tasks import ITEM_READER, RESULT_WRITER, part_key
from stepwell.integrations.cli import exit_codes, files, lookup
from stepwell.integrations.cli.clients import choosing, polling
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.output.text import printable
from stepwell.integrations.cli.parsing import inputs
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.limits import Limits
from stepwell.integrations.mocks import map_parts
from stepwell.integrations.mocks.files import MockFileError, parse_mocks
from stepwell.integrations.mocks.recording import MapRun, Recording, RecordingError, merge
from stepwell.visualize import read_history


class Recorded(NamedTuple):
    """warnings  what the recording lacks"""

    recording: Recording
    machine: str
    case: str
    warnings: list[str]


@with_limits
def record(
    execution: str | None,
    history: Path | None,
    definition: Path | None,
    machine: str | None,
    case: str | None,
    output: Path | None,
    force: bool,
    server: str | None,
    db: str | None,
    limits: Limits,
) -> int:
    if (execution is None) == (history is None):
        raise UsageError("name either an execution, or a file of its history with --history")
    before = _existing(output)
    try:
        if history is not None:
            if machine is None and definition is not None:
                machine = files.machine_name(definition, "STANDARD", {}, limits)
            found = _of_file(history, machine)
        else:
            found = asyncio.run(_of_execution(str(execution), server, db, limits))
    except RecordingError as fault:
        raise UsageError(f"{history or execution}: {fault}") from None
    name, test_case = machine or found.machine, case or found.case
    cases = before.get("StateMachines", {}).get(name, {}).get("TestCases", {})
    if test_case in cases and not force:
        raise UsageError(
            f"{output} has the test case {test_case} of {name}: use another --case, or --force"
        )
    for warning in found.warnings:
        print(printable(warning), file=sys.stderr)
    merged = merge(before, name, test_case, found.recording)
    _write(json.dumps(merged, indent=2, ensure_ascii=False) + "\n", output)
    return exit_codes.SUCCEEDED


# --- where the history is -------------------------------------------------------------------------


def _of_file(file: Path, machine: str | None) -> Recorded:
    if not machine:
        raise UsageError("a history does not name its state machine: use --definition or --machine")
    try:
        events = read_history(inputs.read(file, str(file), most=files.HISTORY_BYTES))
    except ValueError as fault:
        raise UsageError(f"{file}: {fault}") from None
    events.sort(key=lambda event: int(event["id"]))
    recording = Recording(events)
    warnings = []
    if not events or events[-1]["type"] not in ENDINGS:
        last = (
            f"ends with event {events[-1]['id']} ({events[-1]['type']})" if events else "is empty"
        )
        warnings.append(
            f"warning: {file} {last}: what follows is missing. A running execution, or a page of a "
            "history (--max-items, NextToken)?"
        )
    warnings += [
        f"warning: the children of {arn} have histories of their own, which are not in this file"
        for arn in recording.map_runs
    ]
    return Recorded(recording, machine, "Recorded", warnings)


async def _of_execution(
    execution: str, server: str | None, db: str | None, limits: Limits
) -> Recorded:
    async with choosing.opened(server, db, limits) as client:
        return await of_execution(client, execution)


async def of_execution(client: Client, execution: str) -> Recorded:
    """With the children of its Map Runs. Raises UsageError, RecordingError."""
    described = await lookup.find(client, execution)
    arn, warnings = described["executionArn"], []
    if described["status"] == "RUNNING":
        warnings.append(f"warning: {described['name']} is running: what it does later is missing")
    recording = Recording([event async for event in client.history(arn)])
    states: Mapping[str, Mapping[str, Any]] = {}
    pending = list(recording.map_runs)
    if pending:
        pinned = await client.call("describe_state_machine_for_execution", execution_arn=arn)
        states = dict(every_state(json_text.loads(pinned["definition"])))
    for map_run in pending:  # children may have Map Runs, too
        warnings += await _add_map_run(client, map_run, recording, states)
        pending += [each for each in recording.map_runs if each not in pending]
    name = arns.machine_name(described["stateMachineArn"])
    return Recorded(recording, name, described["name"], warnings)


async def _add_map_run(
    client: Client,
    map_run: str,
    recording: Recording,
    states: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Its children, and what its ItemReader and ResultWriter have returned; what is missing.

    states  of the definition, by name
    """
    run = recording.map_runs[map_run]
    children = [
        each
        async for page in polling.pages(client.call, "list_executions", map_run_arn=map_run)
        for each in page["executions"]
    ]
    slots = [child["name"].rpartition("-")[2] for child in children]
    inputs: dict[int, Json] = {}
    if all(map(str.isdecimal, slots)):  # at AWS, they have other names
        for child, slot in zip(children, map(int, slots)):
            events = [event async for event in client.history(child["executionArn"])]
            recording.add(events, (*run.path, (slot, run.run)))
            inputs[slot] = json_text.loads(details(events[0])["input"])
    counts = (await client.call("describe_map_run", map_run_arn=map_run))["itemCounts"]
    missing = []
    if len(inputs) < len(children) or (counts["total"] and not children):
        missing.append(f"warning: {map_run} has children that cannot be recorded")
    fields = states.get(run.visit.name, {})
    whole = len(inputs) == len(children) and [*inputs] and max(inputs) == len(inputs) - 1
    if ITEM_READER in fields:
        found = map_parts.items(fields, [inputs[slot] for slot in sorted(inputs)])
        empty = not counts["total"]
        if found is None or not (empty or (whole and len(found) == counts["total"])):
            missing.append(_without(run, ITEM_READER, "its children do not show the items"))
        else:
            recording.add_part(run, ITEM_READER, found)
    if "Resource" in fields.get(RESULT_WRITER, {}) and run.visit.output is not None:
        written = map_parts.written(fields, json_text.loads(run.visit.output))
        if written is MISSING:
            missing.append(_without(run, RESULT_WRITER, "the output of the state does not show it"))
        else:
            recording.add_part(run, RESULT_WRITER, written)
    return missing


def _without(run: MapRun, part: str, why: str) -> str:
    key = part_key(run.visit.name, part)
    return f"warning: {key} is not recorded: {why}; add its response by hand"


# --- the mock file --------------------------------------------------------------------------------


def _existing(output: Path | None) -> dict[str, Any]:
    """The JSON value of the file to add to. Raises UsageError."""
    if output is None or not output.exists():
        return {}
    try:
        data = output.read_bytes()
        parse_mocks(data, str(output))
        value: dict[str, Any] = json_text.loads(data.decode("utf-8-sig"))
    except OSError as fault:
        raise UsageError(file_fault(output, fault)) from None
    except MockFileError as error:
        raise UsageError(f"{output} is not a valid mock file: {error.faults[0]}") from None
    return value


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    new = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(output)
    except OSError as fault:
        raise UsageError(file_fault(output, fault)) from None
