"""Processes that a function started and that left its process group, such as daemons: found by a
mark in their environment, and killed.

A mark is "NAMESPACE-PID-START-NUMBER" of the process that we are and of a sandbox, so that what an
earlier one of us left behind is recognised too. A PID means something in its namespace only: what
belongs to a server in a container is never judged from outside of it.
Only where there is /proc; a process that changes its own environment is beyond us.
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
FOLDER: Final = "stepwell-sandbox-"  # and the mark: how the temporary folder of a sandbox is called
_PROC: Final = Path("/proc")
_ROUNDS: Final = 20
_PAUSE_SECONDS: Final = 0.01  # for the killed to go
_numbers: Final = itertools.count()


def _started(pid: str) -> str:
    """When a process was started, in clock ticks; "" if there is none."""
    try:
        return (_PROC / pid / "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _namespace() -> str:
    """Of our PIDs, "nsNUMBER"; "" if /proc is not that of it. (Earlier versions judge marks that
    begin with digits.)
    """
    try:
        found = os.stat(_PROC / "self" / "ns" / "pid").st_ino
        return f"ns{found}" if os.readlink(_PROC / "self") == str(os.getpid()) else ""
    except OSError:
        return ""


def new_mark() -> str:
    return f"{_namespace()}-{os.getpid()}-{_started('self')}-{next(_numbers)}"


class Hunter:
    """Kills in a thread, since reading /proc takes a while; one search finds what all sandboxes
    that ended meanwhile have left.
    """

    def __init__(self) -> None:
        self.supervisor = Supervisor()
        self._marks: set[str] = set()
        self._search: asyncio.Task[None] | None = None

    def hunt(self, mark: str) -> None:
        """Kill what bears this mark, soon."""
        self._marks.add(mark)
        if self._search is None:
            self._search = self.supervisor.start("stray_processes", self._run)

    async def _run(self) -> None:
        while self._marks:
            marks = set(self._marks)
            await asyncio.to_thread(_kill, marks.__contains__)
            self._marks -= marks
        self._search = None

    async def close(self) -> None:
        """Once all is done."""
        if self._search is not None:
            await self._search


def clear_abandoned() -> None:
    """Kill what earlier processes of this namespace, which have ended, left behind, and delete its
    temporary folders. Blocks.
    """
    ours = _namespace()
    if not ours:
        return

    def abandoned(mark: str) -> bool:
        namespace, pid, started, *_ = [*mark.split("-"), "", ""]
        return namespace == ours and pid.isdigit() and _started(pid) != started

    _kill(abandoned)
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        if abandoned(folder.name.removeprefix(FOLDER)):
            shutil.rmtree(folder, ignore_errors=True)  # it may be another user's


def _kill(condemned: Callable[[str], bool]) -> None:
    """Again until nothing is found: what is found may just be forking."""
    for _ in range(_ROUNDS if _PROC.is_dir() else 0):
        if not sum(_kill_one(pid, condemned) for pid in os.listdir(_PROC) if pid.isdigit()):
            return
        time.sleep(_PAUSE_SECONDS)


def _kill_one(pid: str, condemned: Callable[[str], bool]) -> bool:
    with suppress(OSError):  # it is another user's, or has ended
        for entry in (_PROC / pid / "environ").read_bytes().split(b"\0"):
            name, _, mark = entry.partition(b"=")
            if name == NAME.encode() and condemned(mark.decode("latin-1")):
                os.kill(int(pid), signal.SIGKILL)
                return True
    return False
