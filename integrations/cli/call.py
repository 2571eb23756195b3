"""How a declared command calls the function that carries it out, and reports what it could not
expect.
"""

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

from stepwell.integrations.cli import exit_codes


def call(function: str, /, *arguments: Any, **options: Any) -> NoReturn:
    """Call MODULE.FUNCTION of commands/ and exit with its code. An unexpected exception is
    reported in one line, with exit code 70.
    """
    module, _, name = function.rpartition(".")
    try:
        command = getattr(import_module(f"stepwell.integrations.cli.commands.{module}"), name)
        code = command(*arguments, **options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = exit_codes.INTERRUPTED
    except BrokenPipeError:
        code = pipe_closed()
    except Exception as error:
        if os.environ.get("STEPWELL_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        words = " ".join(str(error).split())
        print(
            f"stepwell: internal error: {type(error).__name__}: {words} (STEPWELL_DEBUG=1 "
            "shows the traceback)",
            file=sys.stderr,
        )
        code = exit_codes.INTERNAL
    sys.exit(code)


def pipe_closed() -> int:
    """The reader of the output has left (`| head`): no message, nor at the final flush. The exit
    code.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exit_codes.PIPE_CLOSED
