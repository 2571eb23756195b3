"""Where the database is by default, and files that only their owner may read, like it: execution
logs, keys.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

MODE: Final = 0o600
_SYSTEM: Final = ("/dev/", "/proc/")


def opener(path: str, flags: int) -> int:
    """For open(): makes the file readable by its owner only, also one that exists with another
    mode.

    The mode is kept of a file of another owner, of a device or pipe, and of anything below /dev and
    /proc (/dev/stderr may lead to any file).
    """
    file = os.open(path, flags, MODE)
    status = os.fstat(file)
    own = (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == os.geteuid()
        and not path.startswith(_SYSTEM)
    )
    if own and stat.S_IMODE(status.st_mode) != MODE:
        os.fchmod(file, MODE)
    return file


def restrict(path: str) -> None:
    """The same for a file that is not opened."""
    with suppress(PermissionError):  # of another owner
        os.close(opener(path, os.O_RDONLY))


def default_path() -> Path:
    """stepwell.db in the user's data folder: $XDG_DATA_HOME, on macOS ~/Library/Application
    Support, else ~/.local/share.
    """
    data_home = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(data_home):  # the specification says to ignore relative ones
        folder = Path(data_home)
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path.home() / ".local" / "share"
    return folder / "stepwell" / "stepwell.db"
