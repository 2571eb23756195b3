"""The application in examples/app, from its setup to the answer of a person, against a real server
that is killed in between.
"""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.integrations.server.live import Live, eventually, keep_compiled
from tests.ports import free_port

APP = ROOT / "examples" / "app"


class App:
    def __init__(self, home: dict[str, str], tmp_path: Path) -> None:
        self.port, self._home, self._db = free_port(), home, tmp_path / "app.db"
        self.live = self.serve()
        self.url = self.script("setup.py").strip()

    def serve(self) -> Live:
        self.live = Live(self._home, self._db, "--port", self.port)
        assert self.live.url.endswith(f":{self.port}")
        return self.live

    def script(self, name: str, *words: str) -> str:
        clean = {name: value for name, value in self._home.items() if not name.startswith("AWS_")}
        environment = {**clean, "AWS_ENDPOINT_URL": self.live.url}
        done = subprocess.run(
            [sys.executable, APP / name, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def upload(self, name: str) -> None:
        request = urllib.request.Request(
            f"{self.url}/uploads", (APP / name).read_bytes(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.loads(answer.read())["FailedEntryCount"] == 0

    def execution(self, count: int, status: str) -> dict[str, Any]:
        """The newest of `count` executions, once it has a status."""
        states = self.live.client()
        (machine,) = states.list_state_machines()["stateMachines"]

        def there() -> Any:
            listed = states.list_executions(stateMachineArn=machine["stateMachineArn"])[
                "executions"
            ]
            return len(listed) == count and listed[0]["status"] == status and listed[0]

        arn = eventually(there)["executionArn"]
        described: dict[str, Any] = states.describe_execution(executionArn=arn)
        return described


@pytest.fixture
def app(
    home: dict[str, str], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    made = App(
        keep_compiled(home, tmp_path_factory.getbasetemp()) | {"PATH": os.environ["PATH"]}, tmp_path
    )
    yield made
    made.live.close()


def opened(link: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(link, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def test_the_application(app: App) -> None:
    # a small one needs no approval
    app.upload("small.json")
    filed = json.loads(app.execution(1, "SUCCEEDED")["output"])
    assert filed == {
        "number": "2026-118",
        "supplier": "Paper Ltd",
        "total": 32,
        "reference": filed["reference"],
    }
    assert "Invoice 2026-118 is filed\n" in app.script("inbox.py", "10")

    # a large one waits for a person, also after a crash of the server
    app.upload("invoice.json")
    app.execution(2, "RUNNING")
    told = app.script("inbox.py", "10")
    assert "Please decide on invoice 2026-117\n  text: Hill & Sons wants 761.5\n" in told
    approve, refuse = (re.search(rf"{word}: (http\S+)", told)[1] for word in ("approve", "refuse"))  # type: ignore[index]
    app.live.process.kill()
    app.live.process.wait(timeout=60)
    app.serve()
    assert opened(approve) == (
        200,
        "<!doctype html><title>Invoices</title><p>Thank you: you chose to approve.</p>\n",
    )
    assert json.loads(app.execution(2, "SUCCEEDED")["output"])["total"] == 761.5
    assert "Invoice 2026-117 is filed\n" in app.script("inbox.py", "10")
    assert opened(refuse)[0] == 410 and opened(approve.partition("?")[0])[0] == 400

    # a second setup changes nothing; a person may refuse; an invalid invoice is reported
    assert app.script("setup.py").strip() == app.url
    app.upload("invoice.json")
    told = eventually(lambda: app.script("inbox.py", "10"))
    assert opened(re.search(r"refuse: (http\S+)", told)[1])[0] == 200  # type: ignore[index]
    assert app.execution(3, "FAILED")["cause"] == "was refused"
    request = urllib.request.Request(f"{app.url}/uploads", b'{"number": 5}', method="POST")
    urllib.request.urlopen(request, timeout=60).close()
    assert app.execution(4, "FAILED")["cause"] == "could not be read: KeyError 'lines'"
    last = eventually(
        lambda: (text := app.script("inbox.py", "10")) and "Invoice 5 is not filed" in text and text
    )
    assert "It could not be read" in last
