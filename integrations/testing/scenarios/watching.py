"""Waits for changes of files: their times of modification are looked at twice a second. A test
project has few files, so nothing of the operating system is needed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

_POLL_SECONDS: Final = 0.5
Stamps = dict[Path, tuple[int, int]]


def stamps(files: Iterable[Path]) -> Stamps:
    """File -> (time of modification, size); those that do not exist are left out."""
    found = {}
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            continue
        found[file] = status.st_mtime_ns, status.st_size
    return found


def changed(before: Stamps, files: Callable[[], Iterable[Path]]) -> tuple[set[Path], Stamps]:
    """Wait until a file was changed, added or removed. Returns those files, and all stamps.

    files  lists those to look at
    """
    while True:
        time.sleep(_POLL_SECONDS)
        now = stamps(files())
        different = {
            file for file in before.keys() | now.keys() if before.get(file) != now.get(file)
        }
        if different:
            return different, now
