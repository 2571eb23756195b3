"""What all tests share: hypothesis profiles, and the real command as a fixture."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import settings
from tests.postgres import PostgresServer, postgres

ROOT = Path(__file__).resolve().parent.parent
# what the installed script does
SCRIPT = [
    sys.executable,
    "-c",
    (
        "import sys; from stepwell.integrations.cli.entry import main; sys.argv[0] = 'stepwell'; "
        "sys.exit(main())"
    ),
]

# ci: the same examples on each run and on each machine, so that a red build is red again at home.
# dev: new examples each time.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

Command = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def root() -> Path:
    """The folder of the project."""
    return ROOT


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment in which the command finds the package, and the user's data folder is one of
    the test's own.
    """
    paths = [str(ROOT / ".dev"), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {
        "PYTHONPATH": os.pathsep.join(paths),
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "NO_COLOR": "1",
    }
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("STEPWELL_")},
        **own,
    }


@pytest.fixture
def command(home: dict[str, str]) -> Command:
    """command("run", file, ...): `stepwell ...` as a process of its own, to its end."""

    def run(*arguments: object, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        words = [*SCRIPT, *map(str, arguments)]
        return subprocess.run(
            words,
            env=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def command_here(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The same in this process, in a tenth of the time: for what a command writes and returns. No
    fixture for what a process is or has: signals, a terminal, imports, a database that is open.
    """
    from stepwell.integrations.cli.main import app

    for name in set(os.environ) - set(home):
        monkeypatch.delenv(name)
    for name, value in home.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [*map(str, arguments)]
        done = CliRunner().invoke(app, words)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def start(home: dict[str, str]) -> Iterator[Start]:
    """start("run", file, ...): the same, in the background; killed when the test is over."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        words = [*SCRIPT, *map(str, arguments)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(words, env=home, text=True, encoding="utf-8", **pipes))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests; each uses a schema of its own."""
    with postgres(fsync="off") as server:
        yield server
