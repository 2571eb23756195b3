"""Real PostgreSQL servers for tests: each in a folder of its own, reached through a Unix socket and
a port of its own.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ports import free_port


def _programs() -> Path | None:
    """The folder of the newest server that is installed."""
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4])
    )
    return installed[-1].parent if installed else None


PROGRAMS = _programs()
REASON = "needs PostgreSQL (scripts/postgres)"


class PostgresServer:
    """A server of its own. start() and kill() as often as a test likes."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.data, self.settings = folder, folder / "data", settings
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        # the server refuses to run as root
        self.user = None if os.geteuid() else _account()
        if self.user is not None:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        self._run(
            "initdb", "-D", str(self.data), "-U", "stepwell", "-A", "trust", "-N", "--no-locale"
        )

    @property
    def url(self) -> str:
        return f"postgresql://stepwell@127.0.0.1:{self.port}/postgres"

    def database(self) -> str:
        """The URL of a new database."""
        self._databases += 1
        name = f"new_{self._databases}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "stepwell", name)
        return self.url.removesuffix("postgres") + name

    def _as_user(self) -> dict[str, object]:
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        assert PROGRAMS is not None
        subprocess.run(
            [str(PROGRAMS / program), *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            **self._as_user(),  # type: ignore[call-overload]
        )

    def start(self) -> None:
        """Raises AssertionError with the server's log if it does not start."""
        known = self.process is not None  # its clients know its port
        while not self._started():  # another process has taken the port
            self.port = self.port if known else free_port()
            time.sleep(0.1)

    def _started(self) -> bool:
        assert PROGRAMS is not None
        before = len(self.log())
        options = {"unix_socket_directories": str(self.folder), "shared_buffers": "32MB"}
        settings = [f"-c{name}={value}" for name, value in (options | self.settings).items()]
        log = open(self.folder / "log", "ab")  # noqa: SIM115  # the server's, closed below
        with log:
            self.process = subprocess.Popen(
                [
                    *(str(PROGRAMS / "postgres"), "-D", str(self.data), "-p", str(self.port)),
                    *settings,
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                **self._as_user(),  # type: ignore[call-overload]
            )
        end = time.monotonic() + 60
        ready = [str(PROGRAMS / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode or self.process.poll() is not None:
            log = self.log()[before:]
            if self.process.poll() is not None and "Address already in use" in log:
                return False
            assert self.process.poll() is None and time.monotonic() < end, log
            time.sleep(0.05)
        return True

    def log(self) -> str:
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def kill(self) -> None:
        """As a power cut would: every process of the server."""
        if self.process is not None:
            self._signal(
                signal.SIGQUIT
            )  # immediate shutdown: no checkpoint, and no process is left
            self.process.wait(timeout=30)

    def _signal(self, number: int) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


@contextmanager
def postgres(**settings: str) -> Iterator[PostgresServer]:
    """A server that runs. Skips the test where PostgreSQL is not installed."""
    if PROGRAMS is None:
        pytest.skip(REASON)
    folder = Path(tempfile.mkdtemp(prefix="stepwell-postgres-"))
    try:
        server = PostgresServer(folder, **settings)
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class ReplicatedServer:
    """A primary and a synchronous standby, each on a port that stays. url: of both, for writing."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder, self._count = folder, 1
        access = folder / "access"
        access.write_text("local all all trust\nhost all,replication all all trust\n")
        access.chmod(0o644)
        settings = {"fsync": "off", "wal_keep_size": "256MB", "hba_file": str(access), **settings}
        self.primary = PostgresServer(self._new_folder(), **settings)
        self._ports = [self.primary.port, free_port()]
        self.primary.start()
        self.standby: PostgresServer | None = None
        self.add_standby()

    @property
    def url(self) -> str:
        return self.reached_at("127.0.0.1", "127.0.0.1")

    def reached_at(self, *addresses: str) -> str:
        """The same with other addresses of this machine."""
        pairs = zip(addresses, self._ports, strict=True)
        hosts = ",".join(f"{address}:{port}" for address, port in pairs)
        return f"postgresql://stepwell@{hosts}/postgres?target_session_attrs=read-write"

    def _new_folder(self) -> Path:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        return folder

    def ask(self, sql: str) -> str:
        assert PROGRAMS is not None
        words = [PROGRAMS / "psql", "-XAtc", sql, self.primary.url]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.strip()

    def add_standby(self) -> None:
        """A copy of the primary, which follows it. Returns once commits wait for it."""
        (port,) = {*self._ports} - {self.primary.port}
        standby = self.standby = Standby(self._new_folder(), self.primary, port)
        standby.start()
        self.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.ask("SELECT pg_reload_conf()")
        end = time.monotonic() + 60
        while self.ask("SELECT sync_state FROM pg_stat_replication") != "sync":
            assert time.monotonic() < end, standby.log()
            time.sleep(0.05)

    def kill_primary(self) -> None:
        self.primary.kill()

    def promote(self) -> None:
        """The standby becomes the primary, which waits for no other."""
        assert self.standby is not None
        self.primary, self.standby = self.standby, None
        self.primary._run("pg_ctl", "promote", "-D", str(self.primary.data), "-w")
        self.ask("ALTER SYSTEM SET synchronous_standby_names = ''")
        self.ask("SELECT pg_reload_conf()")

    def kill(self) -> None:
        for each in (self.primary, self.standby):
            if each is not None:
                each.kill()


class Standby(PostgresServer):
    """A server whose data is copied from another, which it follows."""

    def __init__(self, folder: Path, primary: PostgresServer, port: int) -> None:
        self._primary = primary
        super().__init__(folder, **primary.settings)
        self.port = port

    def _run(self, program: str, *arguments: str) -> None:
        if program != "initdb":
            return super()._run(program, *arguments)
        copy = ("-D", str(self.data), "-R", "-X", "stream", "-c", "fast", "-d", self._primary.url)
        return super()._run("pg_basebackup", *copy)


@contextmanager
def replicated(**settings: str) -> Iterator[ReplicatedServer]:
    """Two servers that run."""
    folder = Path(tempfile.mkdtemp(prefix="stepwell-postgres-"))
    folder.chmod(0o755)
    try:
        servers = ReplicatedServer(folder, **settings)
        try:
            yield servers
        finally:
            servers.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
