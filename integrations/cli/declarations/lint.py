"""The command that finds mistakes in definitions."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import PLAIN, call

top = typer.Typer(**PLAIN)


class ReportFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


_OptionalFiles = Annotated[
    list[Path] | None,
    Argument(
        metavar="FILE...",
        help="Definitions: .asl.json, .asl.yaml, templates, TEMPLATE#MACHINE, or folders of them.",
        show_default=False,
    ),
]
_Examples = Annotated[
    list[str] | None,
    Option(
        "--input",
        "-i",
        metavar="JSON|@FILE|-",
        help="Example of the input, which says what flows in; repeatable.",
    ),
]
_Codes = Annotated[
    list[str] | None,
    Option(metavar="CODE", help="Only these rules: codes, or how codes begin; repeatable."),
]
_NotCodes = Annotated[
    list[str] | None, Option(metavar="CODE", help="Without these rules; repeatable.")
]
_Notes = Annotated[bool, Option("--notes", help="Also print notes: advice on sound definitions.")]
_Strict = Annotated[bool, Option("--strict", help="Exit with 1 for notes, too.")]
_Report = Annotated[
    ReportFormat,
    Option(case_sensitive=False, help="text, json (lines), sarif (2.1.0) or github (annotations)."),
]
_Rules = Annotated[bool, Option("--rules", help="Print the table of rules and exit.")]


@top.command(rich_help_panel=o.DEFINITIONS)
def lint(
    context: typer.Context,
    files: _OptionalFiles = None,
    input: _Examples = None,
    select: _Codes = None,
    ignore: _NotCodes = None,
    notes: _Notes = False,
    strict: _Strict = False,
    format: _Report = ReportFormat.TEXT,
    rules: _Rules = False,
    param: o.Params = None,
    params: o.ParamsFile = None,
    type: o.WorkflowType = o.Type.STANDARD,
    limits: o.LimitsFile = None,
) -> None:
    """Find mistakes beyond validation: what cannot match, must fail, or is never reached."""
    if rules:
        call("lint.rules")
    if not files:
        raise typer.BadParameter("name at least one definition", context, param_hint="FILE")
    chosen = {
        "type": type.value,
        "inputs": tuple(input or ()),
        "select": tuple(select or ()),
        "ignore": tuple(ignore or ()),
        "notes": notes,
        "strict": strict,
        "format": format.value,
    }
    call("lint.run", files, param or [], params, chosen, limits=limits)
