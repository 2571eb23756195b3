"""Real PgBouncers for tests, each before a server of tests/postgres.py."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.postgres import PostgresServer

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pooler(server: PostgresServer, mode: str, **settings: object) -> Iterator[str]:
    """The URL of the server's database behind a PgBouncer. Skips the test if that is missing."""
    if PGBOUNCER is None:
        pytest.skip("needs pgbouncer (scripts/operations)")
    folder = Path(tempfile.mkdtemp(prefix="stepwell-pooler-"))
    folder.chmod(0o755)
    port = free_port()
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": mode,
        "logfile": folder / "log",
    } | settings
    lines = [f"{name} = {value}" for name, value in settings.items()]
    database = f"* = host=127.0.0.1 port={server.port} user=stepwell"
    file = folder / "pgbouncer.ini"
    file.write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines]))
    file.chmod(0o644)
    if server.user is not None:
        shutil.chown(folder, server.user.pw_uid)
    process = subprocess.Popen([PGBOUNCER, "-q", file], **server._as_user())  # type: ignore[call-overload]
    try:
        end = time.monotonic() + 20
        while not _listens(port):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        yield server.url.replace(f":{server.port}/", f":{port}/")
    finally:
        process.kill()
        process.wait(timeout=20)
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
