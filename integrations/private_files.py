"""Files with what is as secret as the database: logs of executions, keys."""

from __future__ import annotations

import os
import stat
from typing import Final

MODE: Final = 0o600


def opener(path: str, flags: int) -> int:
    """For open(): only its owner may read the file, be it new or one that was there with another mode."""
    file = os.open(path, flags, MODE)
    found = os.fstat(file)
    if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) != MODE and found.st_uid == os.geteuid():
        os.fchmod(file, MODE)
    return file
