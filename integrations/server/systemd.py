"""Messages to systemd of a service with Type=notify: see sd_notify(3)."""

from __future__ import annotations

import os
import socket

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"


def notify(state: str) -> None:
    """Does nothing where systemd has not started the process. Raises OSError."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        if address.startswith("@"):  # an abstract name
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unit:
            unit.sendto(state.encode(), address)
