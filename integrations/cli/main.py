"""The command `stepwell`: its subcommands are declared in declarations/, with their options
(options.py).

A declaration passes its options to a function of commands/, which returns the exit code
(exit_codes.py). The module of that function is imported only then, so that --help stays fast.
"""

from __future__ import annotations

import os
import sys
from typing import Final, TextIO

from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli import options as o
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
from stepwell.integrations.cli.parsing.declaring import Group
from stepwell.integrations.cli.parsing.groups import COMPLETE, Commands, Top

TOP: Final = (running.top, definitions.top, lint.top, testing.top, changes.top, executions.top)


def _top() -> Top:
    commands = Group("Run Amazon States Language workflows durably.")
    for group in TOP:
        commands.commands.update(group.commands)
    groups = {}
    for group, name, section in (
        (machines.machines, "machines", o.DEFINITIONS),
        (changes.canary, "canary", o.DEFINITIONS),
        (executions.executions, "executions", o.EXECUTIONS),
        (tasks.activity, "activity", o.RUNNING),
        (tasks.task, "task", o.RUNNING),
        (time.time, "time", o.RUNNING),
        (mocks.mock, "mock", o.DEFINITIONS),
        (database.database, "db", o.ADMINISTRATION),
    ):
        groups[name] = Commands(name, group)
        groups[name].section = section
    return Top("stepwell", commands, groups, o.SECTIONS)


app = _top()


def _escaping(stream: TextIO) -> None:
    """Characters that its encoding lacks are escaped."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def main() -> None:
    """The entry point of the installed command."""
    try:
        " ".join(sys.argv).encode()
    except UnicodeEncodeError:
        print("stepwell: an argument is not UTF-8 text", file=sys.stderr)
        sys.exit(exit_codes.USAGE)
    for stream in (sys.stdout, sys.stderr):
        _escaping(stream)
    if COMPLETE in os.environ:
        from stepwell.integrations.cli import completion  # noqa: F401  it knows this shell
    app.main(prog_name="stepwell", complete_var=COMPLETE)


if __name__ == "__main__":
    main()
