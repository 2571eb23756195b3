"""Stopping and redriving many executions at once, and following them."""

import json
import re
import secrets
import subprocess
import time

import pytest
from tests.conftest import SCRIPT
from tests.integrations.cli.conftest import FAIL, WAIT, environment, serve

from stepwell.integrations.cli.clients import selection
from stepwell.integrations.errors import UsageError


@pytest.fixture(params=["database", "http"])
def machine(request, place, invoke, write):
    """(name, options of the place) of a state machine with three executions that wait."""
    name = f"many-{secrets.token_hex(3)}"
    if request.param == "database":
        invoke("run", write("first.asl.json", FAIL), "--db", "many.db", "-q")
        at = ["--db", str(place / "many.db")]
    else:
        at = ["--server", request.getfixturevalue("server").url]
    invoke("machines", "create", write(f"{name}.asl.json", WAIT), *at)
    for number in range(3):
        assert invoke("start", name, "--name", f"e{number}", *at).exit_code == 0
    return name, at


def statuses(invoke, name, at) -> list[str]:
    listed = invoke("list", "--machine", name, "--json", *at).stdout.splitlines()
    return sorted(json.loads(each)["status"] for each in listed)


def test_stop_and_redrive_by_filter(machine, invoke):
    name, at = machine
    dry = invoke("stop", "--machine", name, "--dry-run", *at)
    assert (dry.exit_code, sorted(dry.stdout.split())) == (0, [f"{name}/e{n}" for n in range(3)])
    assert dry.stderr == "stop 3 executions of 1 state machine (dry run)\n"
    asked = invoke("stop", "--machine", name, *at)
    assert asked.exit_code == 2
    assert "this would stop 3 executions of 1 state machine: use --yes" in asked.stderr
    assert statuses(invoke, name, at) == ["RUNNING"] * 3
    done = invoke("stop", "--machine", name, "--yes", "--error", "Enough", *at)
    assert (done.exit_code, done.stderr) == (0, "stopped 3 executions\n")
    assert statuses(invoke, name, at) == ["ABORTED"] * 3
    none = invoke("stop", "--machine", name, "--yes", *at)
    assert (none.exit_code, none.stderr) == (0, "nothing to stop: no execution matches\n")
    assert invoke("redrive", "--machine", name, "--error", "Other", "--yes", *at).exit_code == 0
    assert statuses(invoke, name, at) == ["ABORTED"] * 3
    dry = invoke("redrive", "--machine", name, "--error", "Enough", "--dry-run", *at)
    assert len(dry.stdout.split()) == 3
    redriven = invoke("redrive", "--machine", name, "--error", "Enough", "--yes", *at)
    assert redriven.stderr.startswith("redriven 3 executions\n")
    assert statuses(invoke, name, at) == ["RUNNING"] * 3
    invoke("stop", f"{name}/e0", f"{name}/e1", f"{name}/e2", *at)


def test_single_failures_do_not_end_it(machine, invoke):
    name, at = machine
    invoke("stop", f"{name}/e0", *at)
    done = invoke("redrive", f"{name}/e0", f"{name}/e1", *at)
    assert done.exit_code == 1
    assert re.search(rf"^{name}/e1: .*RUNNING", done.stderr, re.MULTILINE), done.stderr
    assert "redriven 1 execution, 1 failed" in done.stderr.splitlines()
    invoke("stop", "--machine", name, "--yes", *at)


def test_filters_that_cannot_be(invoke, machine):
    name, at = machine
    for words in (
        ["stop"],
        ["stop", "a", "--machine", name],
        ["stop", "--machine", name, "--status", "FAILED"],
        ["redrive", "--machine", name, "--status", "RUNNING"],
        ["list", "--since", "yesterday"],
    ):
        done = invoke(*words, *at)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert statuses(invoke, name, at) == ["RUNNING"] * 3
    assert invoke("list", "--machine", name, "--until", "1h", "--json", *at).stdout == ""
    assert len(invoke("list", "--machine", name, "--since", "1h", *at).stdout.splitlines()) == 4
    invoke("stop", "--machine", name, "--yes", *at)


@pytest.mark.parametrize(
    "text", ["2026-11-28", "2026-11-28T10:00:00+01:00", "30m", "2H", "1.5d", "1h30m"]
)
def test_times(text):
    assert selection.read({"since": text}).since is not None


@pytest.mark.parametrize("text", ["soon", "999999w"])
def test_what_is_no_time(text):
    with pytest.raises(UsageError, match=f"--until {text}: not a time"):
        selection.read({"until": text})


def test_times_have_a_zone(invoke, machine, monkeypatch):
    name, at = machine
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert " +05:30" in invoke("list", "--machine", name, *at).stdout
        assert " UTC" in invoke("list", "--machine", name, "--utc", *at).stdout
        assert " +05:30" in invoke("tail", f"{name}/e0", *at).stdout
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
        invoke("stop", "--machine", name, "--yes", *at)


def test_tail_prints_the_last_events_in_order(machine, invoke):
    name, at = machine
    lines = invoke("tail", "--machine", name, "-n", "1", *at).stdout.splitlines()
    assert len(lines) == 3
    assert all(re.search(rf"  {name}/e\d     2  WaitStateEntered  Only", line) for line in lines)
    invoke("stop", "--machine", name, "--yes", *at)


def test_tail_follows_while_the_server_is_started_again(invoke, write, place):
    db = place / "again.db"
    server = serve(place, db)
    port = int(server.url.rpartition(":")[2])
    at = ["--server", server.url]
    try:
        invoke("machines", "create", write("w.asl.json", WAIT), *at)
        names = ["old", "other", "third"]
        for name in names:
            invoke("start", "w", "--name", name, *at)
        with (place / "tail").open("w") as output, (place / "errors").open("w") as errors:
            tail = subprocess.Popen(
                [*SCRIPT, "tail", "-f", "--machine", "w", "--json", *at],
                env=environment(place), stdout=output, stderr=errors, text=True,
            )  # fmt: skip

        def seen(words: str) -> list[str]:
            end = time.monotonic() + 60
            while words not in (text := (place / "tail").read_text()):
                assert time.monotonic() < end, text + (place / "errors").read_text()
                time.sleep(0.05)
            return text.splitlines()

        seen(":third")
        server.process.kill()
        server.process.wait()
        server = serve(place, db, port=port)
        invoke("start", "w", "--name", "new", *at)
        invoke("stop", "w/old", *at)
        seen(":new")
        lines = [json.loads(line) for line in seen("ExecutionAborted")]
        old = [each for each in lines if each["executionArn"].endswith(":old")]
        assert [each["id"] for each in old] == [1, 2, 3], "none is lost or repeated"
        (line,) = (place / "errors").read_text().splitlines()
        assert line.startswith("stepwell: no answer from ") and line.endswith("; trying again")
        tail.send_signal(2)
        assert tail.wait(60) == 130
    finally:
        server.process.kill()
        server.process.wait()
        tail.kill()
        tail.wait()
