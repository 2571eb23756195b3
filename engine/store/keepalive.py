"""TCP connections whose other end has lost its power, or its network: nothing says so."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

_PROBES: Final = 4  # unanswered ones end an idle connection


def end_when_silent(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Let the kernel end a connection with an error when its other end has acknowledged nothing for
    `seconds`: neither data, nor, while there is none, its probes. A busy one acknowledges.
    """
    sock: Any = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    pause = max(1, round(seconds / (_PROBES + 1)))
    options = {
        "TCP_USER_TIMEOUT": round(seconds * 1000),  # Linux only
        "TCP_KEEPIDLE": pause,
        "TCP_KEEPALIVE": pause,  # the same on macOS
        "TCP_KEEPINTVL": pause,
        "TCP_KEEPCNT": _PROBES,
    }
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
