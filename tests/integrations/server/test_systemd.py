"""What the server tells systemd, as a unit with Type=notify expects it."""

import socket
from pathlib import Path

from tests.integrations.server.conftest import Serve


def test_it_tells_when_it_is_ready_alive_and_stopping(
    serve: Serve, home: dict[str, str], tmp_path: Path
) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unit:
        unit.bind("\0" + name)  # an abstract one, as systemd uses in containers
        unit.settimeout(30)
        home["NOTIFY_SOCKET"] = "@" + name
        live = serve()
        assert unit.recv(100) == b"READY=1"
        assert live.get("/ready") == "ready\n"
        assert unit.recv(100) == b"WATCHDOG=1"
        assert live.stop() == 0
        unit.settimeout(1)
        messages = set()
        while b"STOPPING=1" not in messages:
            messages.add(unit.recv(100))
