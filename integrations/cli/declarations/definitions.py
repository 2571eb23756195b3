"""Commands that read definitions."""

import typer

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import PLAIN, call

top = typer.Typer(**PLAIN)


@top.command()
def validate(
    files: o.DefinitionFiles,
    param: o.Params = None,
    type: o.WorkflowType = o.Type.STANDARD,
    json: o.Json = False,
    limits: o.LimitsFile = None,
) -> None:
    """Report all problems of definitions, with file, line and column."""
    call("validate.validate", files, param or [], type.value, json, limits=limits)


@top.command()
def render(
    file: o.OptionalFile = None,
    output: o.OutputFile = None,
    format: o.PictureFormatOption = None,
    theme: o.ThemeOption = o.Theme.AUTO,
    direction: o.DirectionOption = o.Direction.TB,
    collapse: o.Collapse = None,
    execution: o.DrawnExecution = None,
    history: o.HistoryFile = None,
    param: o.Params = None,
    db: o.Db = None,
    limits: o.LimitsFile = None,
) -> None:
    """Draw a state machine or an execution: SVG, PNG, PDF, DOT, Mermaid or text."""
    look = {"theme": theme.value, "direction": direction.value, "collapse": collapse or []}
    kind = format and format.value
    call(
        *("render.render", file, output, kind, look, execution, history, param or [], db),
        limits=limits,
    )
