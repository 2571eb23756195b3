"""What `stepwell render` does: a definition, and perhaps an execution of it, as a picture."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.definition import StateMachine
from stepwell.asl.state_visits import details
from stepwell.engine.engine import Engine
from stepwell.integrations import database
from stepwell.integrations.cli import commands, files
from stepwell.integrations.errors import Refused
from stepwell.visualize import Diagram, RenderError, read_history
from stepwell.visualize.diagram import SUFFIXES
from stepwell.visualize.layout import FORMATS, program


class Shown(NamedTuple):
    """An execution: the definition that it runs, and what Diagram draws over it. Nothing, if none
    is shown.
    """

    definition: str = ""
    history: list[dict[str, Any]] | None = None
    now: float | None = None
    map_runs: Mapping[str, Any] | None = None


@commands.refusing
def render(
    file: Path | None,
    output: Path | None,
    format: str | None,
    look: Mapping[str, Any],
    execution: str | None,
    history: Path | None,
    param: Sequence[str],
    db: Path | None,
) -> int:
    """look: theme, direction and collapse, as of Diagram."""
    if execution is not None and history is not None:
        raise Refused("give --execution or --history, not both")
    if file is None and execution is None:
        raise Refused("name a file, or an --execution whose definition is drawn")
    format = format or (_format(output) if output else _to_terminal())
    if format in ("png", "pdf") and output is None and sys.stdout.isatty():
        raise Refused(f"{format} is nothing for a terminal: give --output FILE")
    shown = Shown() if execution is None else asyncio.run(_execution(execution, db))
    if history is not None:
        shown = shown._replace(history=_events(history))
    definition: StateMachine | str = (
        _definition(file, param) if file is not None else shown.definition
    )
    try:
        drawn = Diagram(
            definition, shown.history, now=shown.now, map_runs=shown.map_runs, **look
        ).render(format)
    except RenderError as fault:
        raise Refused(str(fault)) from None
    _write(drawn, output)
    return 0


def _to_terminal() -> str:
    """SVG, or where no program lays it out Mermaid, which needs none."""
    if any(map(program, FORMATS)):
        return "svg"
    print(
        (
            "Neither graphviz-pure nor the system's Graphviz (dot) is installed: this is Mermaid "
            "instead of SVG."
        ),
        file=sys.stderr,
    )
    return "mermaid"


def _format(output: Path) -> str:
    if output.suffix.lower() not in SUFFIXES:
        raise Refused(f"{output}: give --format, or one of the suffixes {', '.join(SUFFIXES)}")
    return SUFFIXES[output.suffix.lower()]


def _definition(file: Path, param: Sequence[str]) -> StateMachine:
    """Any Resource will do, and placeholders without a parameter stay as they are, also in
    expressions: nothing is run.
    """
    unfilled = files.Unfilled(files.parameters(param))
    source = files.definition(
        file, unfilled, "STANDARD", None, lambda resource: resource, excused=files.unfilled
    )
    try:
        return StateMachine.model_validate(json_text.loads(source.text))
    except ValueError:  # a placeholder where only a few words may stand
        files.definition(file, unfilled, "STANDARD", None, lambda resource: resource)
        raise


def _events(file: Path) -> list[dict[str, Any]]:
    try:
        return read_history(files.read(file, str(file), most=files.HISTORY_BYTES))
    except ValueError as fault:
        raise Refused(f"{file}: {fault}") from None


async def _execution(name: str, db: Path | None) -> Shown:
    async with database.reading(database.database(db)) as engine:
        described = await commands.find(engine, name)
        definition, _, _ = await commands.pinned(engine, described)
        events = [event async for event in commands.all_events(engine, described["executionArn"])]
        now = engine.clock.now() / 1000 if described["status"] == "RUNNING" else None
        return Shown(definition, events, now, await _map_runs(engine, events))


async def _map_runs(engine: Engine, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = dict.fromkeys(arn for event in events if (arn := details(event).get("mapRunArn")))
    return {arn: await engine.describe_map_run(map_run_arn=arn) for arn in found}


def _write(drawn: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(drawn)
        return
    try:
        output.write_bytes(drawn)
    except OSError as fault:
        raise Refused(f"{output}: {fault.strerror or fault}") from None
