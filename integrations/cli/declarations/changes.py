"""Commands that show what a change of a definition does."""

from pathlib import Path
from typing import Annotated

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.declarations import executions as executions_
from stepwell.integrations.cli.parsing.declaring import Argument, Group, Option

top = Group()
canary = Group("Try a version with a part of new executions.")

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


@top.command(section=o.DEFINITIONS)
def diff(
    old: Old,
    new: New,
    output: Drawing = None,
    theme: o.ThemeOption = o.Theme.AUTO,
    direction: o.DirectionOption = o.Direction.TB,
    param: o.Params = None,
    params: o.ParamsFile = None,
    json: o.Json = False,
    where: o.Where = o.WHERE,
) -> None:
    """Show what a change of a definition means. Exit code 1 if anything changed."""
    call(
        *("revisions.diff.diff", old, new, param or [], params, json, output),
        *(theme.value, direction.value),
        where=where,
    )


Definition = Annotated[
    str, Option("--definition", metavar="NEW", help=f"The definition to replay with: {_NAMED}")
]
Recordings = Annotated[
    list[str] | None,
    Argument(
        metavar="[EXECUTION|FILE]...",
        help="Executions by name, MACHINE/NAME or ARN, or files with exported histories.",
    ),
]
OldDefinition = Annotated[
    str | None,
    Option("--old", metavar="OLD", help="The definition of executions in files that have none."),
]
Since = Annotated[
    str | None,
    Option(metavar="TIME", help=f"Executions that started since: {o.TIMES}"),
]


@top.command(section=o.DEFINITIONS)
def replay(
    definition: Definition,
    executions: Recordings = None,
    machine: executions_.Filter = None,
    status: executions_.StatusFilter = None,
    since: Since = None,
    limit: executions_.Limit = 100,
    old: OldDefinition = None,
    param: o.Params = None,
    params: o.ParamsFile = None,
    json: o.Json = False,
    where: o.Where = o.WHERE,
) -> None:
    """Replay recorded executions with another definition: what would differ?"""
    shown = status and status.value
    call(
        *(
            "revisions.replay.replay",
            definition,
            executions or [],
            machine,
            shown,
            since,
            limit,
            old,
        ),
        *(param or [], params, json),
        where=where,
    )


Machine = Annotated[str, Argument(metavar="MACHINE", help="Name or ARN of a state machine.")]
Alias = Annotated[str, Option(metavar="NAME", help="Alias that starts the executions.")]
Version = Annotated[
    str | None, Option(metavar="VERSION", help="Version to try.  [default: the newest]")
]
Percent = Annotated[
    int, Option(metavar="N", min=1, max=99, help="Part of new executions, in percent.")
]


@canary.command()
def start(
    machine: Machine,
    alias: Alias,
    to: Version = None,
    percent: Percent = 10,
    where: o.Where = o.WHERE,
) -> None:
    """Route a part of new executions to a version; again: change the part."""
    call("revisions.canary.start", machine, alias, to, percent, where=where)


@canary.command("status")
def status_(
    machine: Machine,
    alias: Alias,
    since: Since = None,
    limit: executions_.Limit = 10_000,
    json: o.Json = False,
    utc: o.Utc = False,
    where: o.Where = o.WHERE,
) -> None:
    """Compare both versions. Exit code 1 if the new one fails more often or is slower."""
    call(
        *("revisions.canary.status", machine, alias, since, limit, json, utc),
        where=where,
    )


@canary.command()
def promote(machine: Machine, alias: Alias, where: o.Where = o.WHERE) -> None:
    """Route all new executions to the new version."""
    call("revisions.canary.end", machine, alias, True, where=where)


@canary.command()
def rollback(machine: Machine, alias: Alias, where: o.Where = o.WHERE) -> None:
    """Route all new executions to the version before."""
    call("revisions.canary.end", machine, alias, False, where=where)
