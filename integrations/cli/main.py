"""The command `stepwell`: its subcommands are declared in declarations/, with their options
(options.py).

A declaration passes its options to a function of commands/, which returns the exit code
(exit_codes.py). The module of that function is imported only then, so that --help stays fast.
"""

import os
import sys
from typing import Annotated

import typer

from stepwell.integrations.cli import completion, exit_codes
from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import PLAIN
from stepwell.integrations.cli.declarations import (
    changes,
    database,
    definitions,
    executions,
    lint,
    machines,
    mocks,
    running,
    tasks,
    testing,
    time,
)
from stepwell.integrations.cli.plugins import Commands

app = typer.Typer(
    help="Run Amazon States Language workflows durably.",
    cls=Commands,
    pretty_exceptions_enable=False,
    **PLAIN,
)
for group in (*(running.top, definitions.top, lint.top, testing.top, changes.top, executions.top),):
    app.add_typer(group)
for group, name, panel in (
    (machines.machines, "machines", o.DEFINITIONS),
    (changes.canary, "canary", o.DEFINITIONS),
    (executions.executions, "executions", o.EXECUTIONS),
    (tasks.activity, "activity", o.RUNNING),
    (tasks.task, "task", o.RUNNING),
    (time.time, "time", o.RUNNING),
    (mocks.mock, "mock", o.DEFINITIONS),
    (database.database, "db", o.ADMINISTRATION),
):
    app.add_typer(group, name=name, rich_help_panel=panel)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"stepwell {version('stepwell')}")
        except PackageNotFoundError:  # run from a checkout
            print("stepwell (not installed)")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # characters that its encoding lacks are escaped
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """The entry point of the installed command."""
    try:
        " ".join(sys.argv).encode()
    except UnicodeEncodeError:
        print("stepwell: an argument is not UTF-8 text", file=sys.stderr)
        sys.exit(exit_codes.USAGE)
    if completion.VARIABLE in os.environ:
        completion.prepare()
    app(prog_name="stepwell")


if __name__ == "__main__":
    main()
