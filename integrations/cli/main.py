"""The command `stepwell`: its subcommands are declared in declarations/, with their options
(options.py).

A declaration passes its options to a function of commands/, which returns the exit code
(exit_codes.py). The module of that function is imported only then, so that --help stays fast.
"""

from __future__ import annotations

import os
import signal
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


def _open_streams() -> None:
    """A standard stream that the caller has closed reads and writes nothing: else a database could
    get its number.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def main() -> None:
    """What the entry point calls."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _open_streams()
    try:
        " ".join(sys.argv).encode()
    except UnicodeEncodeError:
        print("stepwell: an argument is not UTF-8 text", file=sys.stderr)
        sys.exit(exit_codes.USAGE)
    for stream in (sys.stdout, sys.stderr):
        _escaping(stream)
    try:
        if instruction := os.environ.get(COMPLETE):
            from click.shell_completion import shell_complete

            from stepwell.integrations.cli import completion  # noqa: F401  it knows this shell

            sys.exit(shell_complete(app, {}, "stepwell", COMPLETE, instruction))
        app.main(prog_name="stepwell")
    finally:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while the process ends


if __name__ == "__main__":
    main()
