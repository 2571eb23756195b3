"""Orphans of earlier servers are killed; processes of a running server, or of a server in another
PID namespace, are not.
"""

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integrations.bench import alive, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child"]
# marks a process as a function's, prints its folder, and ends, or waits for the end of its input
SERVER = """
    import subprocess, sys, tempfile
    from stepwell.integrations.services.runtime import orphans

    mark = orphans.new_mark()
    folder = tempfile.mkdtemp(prefix=f"{orphans.FOLDER}{mark}-")
    env = {"PATH": "/usr/bin:/bin", orphans.NAME: mark}
    subprocess.Popen(["sleep", sys.argv[2]], env=env, start_new_session=True, stdout=-3)
    print(folder, flush=True)
    if sys.argv[1] == "waits":
        sys.stdin.read()
"""
CLEAR = "from stepwell.integrations.services.runtime import orphans; orphans.kill_abandoned()"
SECONDS = iter(
    range(10_000_000 + os.getpid() * 100, 20_000_000)
)  # of a sleep: by which its process is found


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}


@pytest.fixture
def seconds() -> Iterator[str]:
    number = str(next(SECONDS))
    yield number
    for pid in helpers(number):
        os.kill(pid, 9)


def helpers(seconds: str) -> list[int]:
    """PIDs of the processes that sleep so many seconds."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and (entry / "cmdline").read_bytes() == f"sleep\0{seconds}\0".encode()
                and alive(int(entry.name))
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def server(
    environment: dict[str, str], how: str, seconds: str, *before: str
) -> tuple[subprocess.Popen[str], Path]:
    """A process that marks a helper, and its temporary folder."""
    command = [*before, sys.executable, "-c", textwrap.dedent(SERVER), how, seconds]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    folder = process.stdout.readline().strip()
    if how == "ends":
        process.wait(30)
    return process, Path(folder)


def clear(environment: dict[str, str], *before: str) -> None:
    assert ran(*before, sys.executable, "-c", CLEAR, environment=environment) == 0


def ran(*command: str, environment: dict[str, str] | None = None) -> int:
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, check=False, timeout=60
    ).returncode


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(30)
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


async def test_orphans_of_an_ended_server_are_killed(
    environment: dict[str, str], seconds: str
) -> None:
    process, folder = server(environment, "ends", seconds)
    assert helpers(seconds) and folder.is_dir()
    clear(environment)
    await until(lambda: not helpers(seconds))
    assert not folder.exists()
    end(process)


async def test_processes_of_a_running_server_are_not_killed(
    environment: dict[str, str], seconds: str
) -> None:
    process, folder = server(environment, "waits", seconds)
    clear(environment)
    assert helpers(seconds) and folder.is_dir()
    end(process)


@pytest.mark.parametrize(
    "mounted", [[], ["--mount-proc"]], ids=["the proc of the machine", "a proc of its own"]
)
async def test_processes_of_another_pid_namespace_are_not_killed(
    environment: dict[str, str], seconds: str, mounted: list[str]
) -> None:
    """A server in a container: outside of it, its PIDs belong to other processes."""
    if await asyncio.to_thread(ran, *UNSHARE, *mounted, "true"):
        pytest.skip("no PID namespaces may be made here")
    process, folder = server(environment, "waits", seconds, *UNSHARE, *mounted)
    await until(lambda: helpers(seconds))  # its command line shows a moment after it has begun
    clear(environment)
    assert helpers(seconds) and folder.is_dir()
    clear(environment, *UNSHARE, *mounted)  # a third server
    assert helpers(seconds) and folder.is_dir()
    end(process)
    await until(lambda: not helpers(seconds))
