"""The command that finds mistakes in definitions."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from click import get_current_context

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.parsing.declaring import Argument, Group, Option
from stepwell.integrations.cli.parsing.usage import WrongUsageError

top = Group()


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
    Option(help="text, json (lines), sarif (2.1.0) or github (annotations)."),
]
_Rules = Annotated[bool, Option("--rules", help="Print the table of rules and exit.")]


@top.command(section=o.DEFINITIONS)
def lint(
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
    type: o.WorkflowType = None,
    limits: o.LimitsFile = None,
) -> None:
    """Find mistakes beyond validation: what cannot match, must fail, or is never reached."""
    if rules:
        call("lint.rules")
    if not files:
        raise WrongUsageError("FILE is missing: stepwell lint FILE...", get_current_context())
    chosen = {
        "type": type,
        "inputs": tuple(input or ()),
        "select": tuple(select or ()),
        "ignore": tuple(ignore or ()),
        "notes": notes,
        "strict": strict,
        "format": format.value,
    }
    call("lint.run", files, param or [], params, chosen, limits=limits)
