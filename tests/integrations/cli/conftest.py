"""The command in this process, and one real server for all tests of a file."""

import json
import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from tests.conftest import ROOT, SCRIPT

from stepwell.integrations.cli.main import app

Invoke = Callable[..., Any]


def one(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"StartAt": "Only", "States": {"Only": state}, **more}


PASS = one({"Type": "Pass", "End": True})
WAIT = one({"Type": "Wait", "Seconds": 600, "End": True})
FAIL = one({"Type": "Fail", "Error": "Declined", "Cause": "no money"})


class Served(NamedTuple):
    url: str
    db: Path
    process: "subprocess.Popen[str]"


def environment(folder: Path) -> dict[str, str]:
    """As the fixture `home`, for the folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STEPWELL_", "AWS_"))
    }
    return kept | {
        "PYTHONPATH": str(ROOT / ".dev"),
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
        "NO_COLOR": "1",
    }


def serve(folder: Path, db: Path, *options: object, port: int = 0) -> Served:
    """A server that listens, with its log in the folder."""
    log = (folder / f"serve-{db.stem}.log").open("w+")
    words = [*SCRIPT, "serve", "--db", str(db), "--port", str(port), *map(str, options)]
    process = subprocess.Popen(words, env=environment(folder), stderr=log, text=True)
    while not (found := re.search(r" listening url=(\S+)", Path(log.name).read_text())):
        assert process.poll() is None, Path(log.name).read_text()
    return Served(found[1], db, process)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    served = serve(folder, folder / "served.db")
    yield served
    served.process.kill()
    served.process.wait()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the test, which is also the user's home."""
    for name in [*os.environ]:
        if name.startswith(("STEPWELL_", "AWS_")):
            monkeypatch.delenv(name)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def invoke(place: Path) -> Invoke:
    """invoke("list", ...): the command in this process; see click.testing.Result."""

    def run(*words: object, input: str | None = None) -> Any:
        result = CliRunner().invoke(app, [str(each) for each in words], input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return run


@pytest.fixture
def write(place: Path) -> Callable[[str, Any], Path]:
    def write(name: str, content: Any) -> Path:
        path = place / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return path

    return write


PLACES = ("database", "socket", "http", "environment")


@pytest.fixture(params=PLACES)
def at(request, place, invoke, write, monkeypatch):
    """The options with which commands reach one of the places."""
    if request.param == "database":
        write("empty.asl.json", PASS)
        invoke("run", "empty.asl.json", "-q", "--db", "local.db")
        return ["--db", str(place / "local.db")]
    server = request.getfixturevalue("server")
    if request.param == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL_SFN", server.url)
        return []
    return ["--db", str(server.db)] if request.param == "socket" else ["--server", server.url]


def unique(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(3)}"
