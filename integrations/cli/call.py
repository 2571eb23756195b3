"""How a declared command calls the function that carries it out, and how what it could not expect
ends the process.
"""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, NoReturn

from stepwell.integrations.cli import exit_codes

UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""Why a stream of output refuses a text: its disk is full, for instance."""


def call(function: str, /, *arguments: Any, **options: Any) -> NoReturn:
    """Call MODULE.FUNCTION of commands/ and exit with its code."""

    def work() -> object:
        module, _, name = function.rpartition(".")
        command = getattr(import_module(f"stepwell.integrations.cli.commands.{module}"), name)
        return command(*arguments, **options)

    end(work)


def end(work: Callable[[], object]) -> NoReturn:
    """Exit with the code that it returns. An unexpected exception is reported in one line, with
    exit code 70.
    """
    try:
        code = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = exit_codes.INTERRUPTED
    except BrokenPipeError:  # the reader of the output has left (`| head`)
        _discard(sys.stdout)
        code = exit_codes.PIPE_CLOSED
    except Exception as error:
        code = exit_codes.INTERNAL
        with suppress(OSError):  # standard error may be what refuses
            _report(error)
    sys.exit(code if isinstance(code, int) else exit_codes.SUCCEEDED)


def _report(error: Exception) -> None:
    if isinstance(error, OSError) and error.filename is None and error.errno in UNWRITABLE:
        _discard(sys.stdout)
        reason = os.strerror(error.errno or 0).lower()
        print(f"stepwell: the output cannot be written: {reason}", file=sys.stderr, flush=True)
        return
    if os.environ.get("STEPWELL_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    words = " ".join(str(error).split())
    print(
        f"stepwell: internal error: {type(error).__name__}: {words} (STEPWELL_DEBUG=1 "
        "shows the traceback)",
        file=sys.stderr,
        flush=True,
    )


def _discard(stream: Any) -> None:
    """What it still holds: else the end of the process would report it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
