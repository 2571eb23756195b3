"""Which process opened a local TCP connection."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

_Address = tuple[str, int]  # IPv4


def opened_by(pid: int, client: _Address, server: _Address) -> bool:
    """Whether the process has the client's end of a connection open. False without /proc."""
    with suppress(OSError):  # the process has ended, or there is no /proc
        ends = [_end(client), _end(server)]
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inode = next((row[9] for row in rows if row[1:3] == ends), None)
        return inode is not None and any(
            _target(fd) == f"socket:[{inode}]" for fd in Path(f"/proc/{pid}/fd").iterdir()
        )
    return False


def _end(address: _Address) -> str:
    """As /proc/net/tcp shows it: 0100007F:1F90."""
    return f"{socket.inet_aton(address[0])[::-1].hex().upper()}:{address[1]:04X}"


def _target(fd: Path) -> str:
    with suppress(OSError):  # closed meanwhile
        return os.readlink(fd)
    return ""
