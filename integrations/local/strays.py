"""Processes that a function started and that left its process group, such as daemons: found by a mark in their environment, and killed.

A mark is "PID-START-NUMBER" of the process that we are and of a sandbox, so that what an earlier one of us left behind is recognised too.
Only where there is /proc; a process that changes its own environment is beyond us.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

NAME: Final = "STEPWELL_SANDBOX"
_PROC: Final = Path("/proc")


def _started(pid: str) -> str:
    """When a process was started, in clock ticks; "" if there is none."""
    try:
        return (_PROC / pid / "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


OURS: Final = f"{os.getpid()}-{_started('self')}"


def hunt(mark: str) -> None:
    """Kill what bears this mark; in a thread, since reading /proc takes a while."""
    asyncio.get_running_loop().run_in_executor(None, _kill, lambda found: found == mark)


def abandoned() -> None:
    """Kill what an earlier process, which is no more, left behind. Blocks."""

    def of_the_dead(mark: str) -> bool:
        pid, _, rest = mark.partition("-")
        return pid.isdigit() and _started(pid) != rest.partition("-")[0]

    _kill(of_the_dead)


def _kill(condemned: Callable[[str], bool]) -> None:
    """Again until nothing is found: what is found may just be forking."""
    while any([_kill_one(pid, condemned) for pid in os.listdir(_PROC) if pid.isdigit()] if _PROC.is_dir() else ()):
        pass


def _kill_one(pid: str, condemned: Callable[[str], bool]) -> bool:
    with suppress(OSError):  # it is another user's, or has ended
        for entry in (_PROC / pid / "environ").read_bytes().split(b"\0"):
            name, _, mark = entry.partition(b"=")
            if name == NAME.encode() and condemned(mark.decode("latin-1")):
                os.kill(int(pid), signal.SIGKILL)
                return True
    return False
