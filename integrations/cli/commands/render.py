"""What `stepwell render` does: draw a definition, with or without an execution."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.definition import StateMachine
from stepwell.asl.files.definition_files import displayed
from stepwell.asl.histories.state_visits import details
from stepwell.integrations.cli import exit_codes, files, lookup
from stepwell.integrations.cli.clients import choosing
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.parsing import inputs
from stepwell.integrations.definitions import folders
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.limits import Limits
from stepwell.visualize import Diagram, RenderError, read_history
from stepwell.visualize.diagram import SUFFIXES
from stepwell.visualize.layout import FORMATS, program

# formats that can have several state machines one after another, and the line before each
_IN_SEQUENCE: Final = {"text": "{}\n", "mermaid": "%% {}\n"}


class Shown(NamedTuple):
    """An execution: the definition that it runs, and the parameters of Diagram. Empty if only a
    definition is drawn.
    """

    definition: str = ""
    history: Sequence[Mapping[str, Any]] | None = None
    now: float | None = None
    map_runs: Mapping[str, Any] | None = None


@with_limits
def render(
    file: Path | None,
    output: Path | None,
    format: str | None,
    look: Mapping[str, Any],
    execution: str | None,
    history: Path | None,
    param: Sequence[str],
    params: Path | None,
    server: str | None,
    db: str | None,
    limits: Limits,
) -> int:
    """look: theme, direction and collapse, as of Diagram."""
    if execution is not None and history is not None:
        raise UsageError("use either --execution or --history, not both")
    if file is None and execution is None:
        raise UsageError("name a file, or an execution with --execution")
    format = format or (_format(output) if output else _to_terminal())
    if format in ("png", "pdf") and output is None and sys.stdout.isatty():
        raise UsageError(f"{format} cannot be printed on a terminal: use --output FILE")
    shown = Shown() if execution is None else asyncio.run(_execution(execution, server, db, limits))
    if history is not None:
        shown = shown._replace(history=_events(history))
    given = files.parameters(param, params, limits)
    machines: Sequence[Path] = [file] if file is not None else []
    if file is not None and shown == Shown() and output is None and format in _IN_SEQUENCE:
        machines = folders.machines(file, limits)
    if len(machines) > 1:
        for machine in machines:
            drawn = _drawn(_definition(machine, given, limits), shown, format, look, limits)
            _write(_IN_SEQUENCE[format].format(machine).encode() + drawn, None)
        return exit_codes.SUCCEEDED
    definition = shown.definition if file is None else _definition(file, given, limits)
    _write(_drawn(definition, shown, format, look, limits), output)
    return exit_codes.SUCCEEDED


def _drawn(
    definition: StateMachine | str,
    shown: Shown,
    format: str,
    look: Mapping[str, Any],
    limits: Limits,
) -> bytes:
    try:
        return Diagram(
            definition, shown.history, now=shown.now, map_runs=shown.map_runs, limits=limits, **look
        ).render(format)
    except RenderError as fault:
        raise UsageError(str(fault)) from None


def _to_terminal() -> str:
    """SVG; Mermaid where no layout program is installed, because it needs none."""
    if any(map(program, FORMATS)):
        return "svg"
    print(
        (
            "Neither graphviz-pure nor the system's Graphviz (dot) is installed: printing Mermaid "
            "instead of SVG."
        ),
        file=sys.stderr,
    )
    return "mermaid"


def _format(output: Path) -> str:
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{output}: use --format, or one of the suffixes {', '.join(SUFFIXES)}")
    return SUFFIXES[output.suffix.lower()]


def _definition(file: Path, parameters: Mapping[str, Any], limits: Limits) -> StateMachine:
    """Any Resource is valid, and placeholders need no value: nothing is run."""
    source = files.definition(
        file,
        parameters,
        "STANDARD",
        None,
        lambda resource: resource,
        limits,
        runs=False,
    )
    return StateMachine.model_validate(json_text.loads(displayed(source, limits)))


def _events(file: Path) -> list[dict[str, Any]]:
    try:
        return read_history(inputs.read(file, str(file), most=files.HISTORY_BYTES))
    except ValueError as fault:
        raise UsageError(f"{file}: {fault}") from None


async def _execution(name: str, server: str | None, db: str | None, limits: Limits) -> Shown:
    async with choosing.opened(server, db, limits) as client:
        described = await lookup.find(client, name)
        definition, _ = await client.definition(described)
        events = [event async for event in client.history(described["executionArn"])]
        now = client.now() if described["status"] == "RUNNING" else None
        return Shown(definition, events, now, await _map_runs(client, events))


async def _map_runs(client: Client, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    arns = dict.fromkeys(arn for event in events if (arn := details(event).get("mapRunArn")))
    return {arn: await client.call("describe_map_run", map_run_arn=arn) for arn in arns}


def _write(drawn: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(drawn)
        return
    try:
        output.write_bytes(drawn)
    except OSError as fault:
        raise UsageError(file_fault(output, fault)) from None
