"""Files with what is as secret as the database: logs of executions, keys."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Final

MODE: Final = 0o600
_NOT_OURS: Final = ("/dev/", "/proc/")


def opener(path: str, flags: int) -> int:
    """For open(): only its owner may read the file, be it new or one that was there with another
    mode.

    What others own, and what is no file of ours to change (a device, a pipe, /dev/stderr wherever
    it leads), keeps its mode.
    """
    file = os.open(path, flags, MODE)
    found = os.fstat(file)
    ours = (
        stat.S_ISREG(found.st_mode)
        and found.st_uid == os.geteuid()
        and not path.startswith(_NOT_OURS)
    )
    if ours and stat.S_IMODE(found.st_mode) != MODE:
        os.fchmod(file, MODE)
    return file


def restrict(path: str) -> None:
    """The same of a file that is not written now."""
    with suppress(PermissionError):  # of another owner
        os.close(opener(path, os.O_RDONLY))
