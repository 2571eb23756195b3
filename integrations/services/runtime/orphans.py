"""Kills processes that a function started and that left its process group, such as daemons.

They are recognised by a mark in their environment, "NAMESPACE-PID-START-NUMBER": PID namespace, PID
and start time of the engine's process, and a number of the sandbox. So the orphans of an engine
that has ended are recognised too, but never those of another PID namespace, such as a container's.
Only with /proc; a process that overwrites its environment is not recognised.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from stepwell.engine.supervisor import Supervisor

NAME: Final = "STEPWELL_SANDBOX"
FOLDER: Final = (
    "stepwell-sandbox-"  # begins the name of a sandbox's temporary folder; then the mark
)
_PROC: Final = Path("/proc")
_ROUNDS: Final = 20
_PAUSE_SECONDS: Final = 0.01  # until killed processes have ended
_numbers: Final = itertools.count()


def _started(pid: str) -> str:
    """The start time of a process in clock ticks; "" if it does not exist."""
    try:
        return (_PROC / pid / "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _namespace() -> str:
    """The PID namespace of this process, "nsNUMBER"; "" if /proc is that of another one. (It does
    not begin with a digit: earlier versions of the engine kill by such marks.)
    """
    try:
        inode = os.stat(_PROC / "self" / "ns" / "pid").st_ino
        return f"ns{inode}" if os.readlink(_PROC / "self") == str(os.getpid()) else ""
    except OSError:
        return ""


def new_mark() -> str:
    return f"{_namespace()}-{os.getpid()}-{_started('self')}-{next(_numbers)}"


class OrphanKiller:
    """Searches /proc in a thread, for the orphans of all sandboxes that ended meanwhile."""

    def __init__(self) -> None:
        self.supervisor = Supervisor()
        self._marks: set[str] = set()
        self._search: asyncio.Task[None] | None = None

    def kill_soon(self, mark: str) -> None:
        """Kill the processes with this mark."""
        self._marks.add(mark)
        if self._search is None:
            self._search = self.supervisor.start("orphan_processes", self._run)

    async def _run(self) -> None:
        while self._marks:
            marks = set(self._marks)
            await asyncio.to_thread(_kill, marks.__contains__)
            self._marks -= marks
        self._search = None

    async def close(self) -> None:
        """Waits for the search."""
        if self._search is not None:
            await self._search


def kill_abandoned() -> None:
    """Kill the orphans of engines of this namespace that have ended, and delete their temporary
    folders. Blocks.
    """
    own_namespace = _namespace()
    if not own_namespace:
        return

    def abandoned(mark: str) -> bool:
        namespace, pid, started, *_ = [*mark.split("-"), "", ""]
        return namespace == own_namespace and pid.isdigit() and _started(pid) != started

    _kill(abandoned)
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        if abandoned(folder.name.removeprefix(FOLDER)):
            shutil.rmtree(folder, ignore_errors=True)  # it can be another user's


def _kill(is_orphan: Callable[[str], bool]) -> None:
    """is_orphan: (mark). Repeated until there is none: an orphan may fork before it is killed."""
    for _ in range(_ROUNDS if _PROC.is_dir() else 0):
        if not sum(_kill_one(pid, is_orphan) for pid in os.listdir(_PROC) if pid.isdigit()):
            return
        time.sleep(_PAUSE_SECONDS)


def _kill_one(pid: str, is_orphan: Callable[[str], bool]) -> bool:
    with suppress(OSError):  # another user's, or it has ended
        for entry in (_PROC / pid / "environ").read_bytes().split(b"\0"):
            name, _, mark = entry.partition(b"=")
            if name == NAME.encode() and is_orphan(mark.decode("latin-1")):
                os.kill(int(pid), signal.SIGKILL)
                return True
    return False
