"""Commands that show what a change of a definition does."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import PLAIN, call

top = typer.Typer(**PLAIN)

_NAMED = "a file, git:REVISION:PATH, or a state machine: NAME, NAME:VERSION, NAME:ALIAS or ARN."
Old = Annotated[str, Argument(metavar="OLD", help=f"Old definition: {_NAMED}")]
New = Annotated[str, Argument(metavar="NEW", help=f"New definition: {_NAMED}")]
Drawing = Annotated[
    Path | None,
    Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Draw both side by side: .svg, .png, .html, .pdf or .dot.",
    ),
]


@top.command()
def diff(
    old: Old,
    new: New,
    output: Drawing = None,
    theme: o.ThemeOption = o.Theme.AUTO,
    direction: o.DirectionOption = o.Direction.TB,
    param: o.Params = None,
    db: o.Db = None,
    json: o.Json = False,
    limits: o.LimitsFile = None,
) -> None:
    """Show what a change of a definition means. Exit code 1 if anything changed."""
    call(
        *("diff.diff", old, new, param or [], db, json, output, theme.value, direction.value),
        limits=limits,
    )
