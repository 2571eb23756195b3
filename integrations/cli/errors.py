"""How an expected error ends a command: one line on standard error and an exit code. It imports
little, since every command does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stepwell.engine.errors import ApiError, StoreError, WrongShardError
from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.clients.choosing import Where
from stepwell.integrations.cli.output.text import count, printable
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits


def reports_errors(command: Callable[..., int]) -> Callable[..., int]:
    """Exit code 2 where the user asked for what cannot be done; 70 where the store failed."""

    def run(*arguments: Any, **options: Any) -> int:
        code = exit_codes.USAGE
        lines: Sequence[str] = ()
        try:
            return command(*arguments, **options)
        except UsageError as fault:
            words, lines = str(fault), fault.picture
        except WrongShardError as fault:
            words = str(fault)
        except ApiError as fault:
            words = fault.message
        except StoreError as fault:
            # a full disk, for instance: what was committed is kept, and `resume` continues from it
            words, code = str(fault), exit_codes.INTERNAL
            if mend := _mend(fault):
                words, code = f"{words}; {mend}", exit_codes.USAGE
        print(f"stepwell: {printable(words)}", file=sys.stderr)
        for line in lines:
            print(f"  {printable(line)}", file=sys.stderr)
        return code

    return run


def _mend(fault: StoreError) -> str:
    from stepwell.engine.store.base import StoreInUseError  # imported late: it has the language

    if not isinstance(fault, StoreInUseError):
        return ""
    if fault.served:
        return "name a server with --server URL, or use another database with --db"
    return "wait until it ends, or use another database with --db"


def with_limits(command: Callable[..., int]) -> Callable[..., int]:
    """A command whose keyword `limits` is the file of the option; `command` gets the Limits. It
    reports errors as reports_errors() does.
    """

    @reports_errors
    def run(*arguments: Any, limits: Path | None = None, **options: Any) -> int:
        return command(*arguments, limits=_in_force(limits), **options)

    return run


def with_where(command: Callable[..., int]) -> Callable[..., int]:
    """The same for a command whose keyword `where` has these options; `command` gets a Where."""

    @reports_errors
    def run(*arguments: Any, where: Any, **options: Any) -> int:
        read = Where(where.server, where.db, _in_force(where.limits))
        return command(*arguments, where=read, **options)

    return run


def _in_force(file: Path | None) -> Limits:
    if file is None:
        return DEFAULT_LIMITS
    # imported late: it imports YAML
    from stepwell.integrations.limits_files import LimitsFileError, read_limits

    try:
        return read_limits(file)
    except LimitsFileError as error:
        for fault in error.faults:
            print(printable(fault), file=sys.stderr)
        raise UsageError(f"--limits {file}: {count(len(error.faults), 'error')}") from None
