"""The exit codes of the command. Imports nothing: main.py reads it for every call."""

from typing import Final

SUCCEEDED: Final = 0
FAILED: Final = 1
USAGE: Final = 2
TIMED_OUT: Final = 3
ABORTED: Final = 4
INTERNAL: Final = 70
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
"""128 + SIGPIPE, as of programs that this signal ends."""
BY_STATUS: Final = {
    "SUCCEEDED": SUCCEEDED,
    "FAILED": FAILED,
    "TIMED_OUT": TIMED_OUT,
    "ABORTED": ABORTED,
}
"""Status of an execution -> exit code of the command that waited for it."""
