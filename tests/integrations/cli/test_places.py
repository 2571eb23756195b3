"""The same commands on a local database, on a server that has the database open, and on a server
over HTTP.
"""

import json
import re

import pytest
from tests.integrations.cli.conftest import FAIL, PASS, WAIT, one, unique


def test_machines_and_executions(at, invoke, write):
    machine = unique("m")
    file = write(f"{machine}.asl.json", WAIT)
    created = invoke("machines", "create", file, *at)
    assert (created.exit_code, created.stderr) == (0, f"created {machine}\n")
    arn = created.stdout.strip()
    assert arn.endswith(f":stateMachine:{machine}")
    again = invoke("machines", "create", file, *at)
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert machine in invoke("machines", "list", *at).stdout
    assert json.loads(invoke("machines", "show", machine, "--definition", *at).stdout) == WAIT
    assert "starts at Only" in invoke("machines", "show", arn, *at).stdout

    started = invoke("start", machine, "--name", "one", "--input", '{"n": 1}', *at)
    assert started.exit_code == 0, started.stderr
    execution = f"{machine}/one"
    assert started.stdout.strip().endswith(f":{machine}:one")
    listed = invoke("list", "--machine", machine, "--json", *at).stdout.splitlines()
    assert [json.loads(each)["status"] for each in listed] == ["RUNNING"]
    assert (
        invoke("executions", "list", "--machine", machine, "--json", *at).stdout.splitlines()
        == listed
    )
    assert " RUNNING  " in invoke("show", execution, *at).stdout
    assert json.loads(invoke("show", execution, "--json", *at).stdout)["input"] == '{"n": 1}'
    types = [
        json.loads(each)["type"]
        for each in invoke("history", execution, "--json", *at).stdout.splitlines()
    ]
    assert types == ["ExecutionStarted", "WaitStateEntered"]
    assert "State input" in invoke("inspect", execution, "Only", *at).stdout
    assert invoke("render", "--execution", execution, "--format", "text", *at).exit_code == 0
    last = invoke("tail", execution, "-n", "1", "--json", *at).stdout.splitlines()
    assert [json.loads(each)["type"] for each in last] == ["WaitStateEntered"]

    stopped = invoke("stop", execution, "--error", "Enough", *at)
    assert (stopped.exit_code, stopped.stderr) == (0, f"stopped {execution}\n")
    assert json.loads(invoke("show", execution, "--json", *at).stdout)["error"] == "Enough"
    again = invoke("stop", execution, *at)
    assert (again.exit_code, again.stderr) == (0, f"{execution} has ended before: ABORTED\n")
    redriven = invoke("redrive", execution, *at)
    assert redriven.exit_code == 0, redriven.stderr
    assert json.loads(invoke("show", execution, "--json", *at).stdout)["status"] == "RUNNING"
    assert invoke("stop", "--machine", machine, "--yes", *at).exit_code == 0

    file.write_text(json.dumps(PASS))
    assert invoke("machines", "update", file, *at).stderr == f"updated {machine}\n"
    assert invoke("machines", "apply", file, *at).stderr == f"unchanged {machine}\n"
    deleted = invoke("machines", "delete", machine, *at)
    assert (deleted.exit_code, "--yes" in deleted.stderr) == (2, True)
    assert invoke("machines", "delete", machine, "--yes", *at).exit_code == 0


def test_versions_and_aliases(at, invoke, write):
    machine = unique("v")
    file = write(f"{machine}.asl.json", PASS)
    assert invoke("machines", "create", file, "--publish", *at).stdout.strip().endswith(":1")
    file.write_text(json.dumps(one({"Type": "Succeed"})))
    invoke("machines", "update", file, *at)
    assert invoke("machines", "versions", machine, "--publish", *at).stdout.strip().endswith(":2")
    rows = invoke("machines", "versions", machine, *at).stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["version", "2", "1"]
    set_ = invoke("machines", "aliases", machine, "--set", "live=1:90,2:10", *at)
    assert set_.stdout.strip().endswith(f"{machine}:live"), set_.stderr
    assert "1 (90 %), 2 (10 %)" in invoke("machines", "aliases", machine, *at).stdout
    assert invoke("machines", "aliases", machine, "--set", "live=2", *at).exit_code == 0
    assert "2 (100 %)" in invoke("machines", "aliases", machine, *at).stdout
    started = invoke("start", f"{machine}:live", "--name", "x", *at)
    assert started.exit_code == 0, started.stderr
    assert invoke("machines", "aliases", machine, "--delete", "live", *at).exit_code == 0
    for words in (("aliases", machine, "--set", "live=9"), ("versions", machine, "--delete", "9")):
        unknown = invoke("machines", *words, *at)
        assert (unknown.exit_code, unknown.stdout) == (2, "")
        assert (
            f"{machine} has no version 9 (`stepwell machines versions {machine}" in unknown.stderr
        )
    assert "no execution called '' (" in invoke("show", "", *at).stderr
    assert invoke("machines", "versions", machine, "--delete", "1", *at).exit_code == 0
    for wrong in ("live", "live=x", "=1", "live=1:y"):
        assert invoke("machines", "aliases", machine, "--set", wrong, *at).exit_code == 2


def test_what_does_not_exist(at, invoke):
    for words in (
        ["show", "none"],
        ["show", "nothing/none"],
        ["list", "--machine", "nothing"],
        ["start", "nothing"],
        ["machines", "show", "nothing"],
        ["stop", "none"],
        ["redrive", "none"],
        ["tail", "none"],
        ["activity", "poll", "none"],
    ):
        done = invoke(*words, *at)
        assert (done.exit_code, done.stdout) == (2, ""), words
        assert re.fullmatch(r"stepwell: [^\n]+\n", done.stderr), done.stderr


# --- a server that has the database open ----------------------------------------------------------


@pytest.fixture(params=["socket", "http"])
def served(request, place, server):
    return ["--db", str(server.db)] if request.param == "socket" else ["--server", server.url]


def test_run_where_a_server_is(served, server, invoke, write):
    name = unique("run")
    file = write(f"{name}.asl.json", one({"Type": "Pass", "Result": [7], "End": True}))
    done = invoke("run", file, "--name", "r", *served)
    assert (done.exit_code, done.stdout) == (0, "[7]\n"), done.stderr
    first, *lines = done.stderr.splitlines()
    assert first.startswith(f"runs on the server at {server.url}")
    assert "✔ SUCCEEDED" in lines[-1]
    assert "SUCCEEDED" in invoke("show", f"{name}/r", "--server", server.url).stdout
    failing = invoke("run", write(f"{name}.asl.json", FAIL), *served)
    assert (failing.exit_code, failing.stdout) == (1, "")
    assert "✘ FAILED  Declined: no money" in failing.stderr
    assert "stepwell inspect" in failing.stderr and served[1] in failing.stderr
    express = invoke("run", file, "--type", "EXPRESS", *served)
    assert (express.exit_code, express.stderr.splitlines()[-1]) == (1, "FAILED  Declined: no money")
    late = invoke("run", write(f"{name}w.asl.json", WAIT), "--timeout", "0.5", *served)
    assert late.exit_code == 3
    assert "follow it with: stepwell tail -f" in late.stderr
    invoke("stop", "--machine", f"{name}w", "--yes", *served)


def test_show_proposes_what_a_server_allows(served, server, invoke, write):
    name = unique("show")
    invoke("machines", "create", write(f"{name}.asl.json", WAIT), *served)
    invoke("start", name, "--name", "s", *served)
    shown = invoke("executions", "show", f"{name}/s", *served).stdout
    assert "resume" not in shown
    assert f"next: stepwell tail -f s {' '.join(served)}" in shown
    refused = invoke("resume", f"{name}/s", "--db", server.db)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"stepwell: the server at {server.url} has ")
    assert refused.stderr.count("\n") == 1
    invoke("stop", f"{name}/s", *served)


def test_run_uses_the_functions_beside_the_file_at_the_server_of_its_database(
    server, invoke, write
):
    name = unique("fn")
    write("functions/hello.py", "def handler(event, context):\n return 'hello'\n")
    task = one(
        {
            "Type": "Task",
            "Resource": "arn:aws:lambda:us-east-1:123456789012:function:hello",
            "End": True,
        }
    )
    done = invoke("run", write(f"{name}.asl.json", task), "--db", server.db)
    assert (done.exit_code, done.stdout) == (0, '"hello"\n'), done.stderr
    over_http = ["--server", server.url]
    noted = invoke("run", f"{name}.asl.json", *over_http)
    assert f"functions is not used: the server at {server.url} has its own" in noted.stderr
    done = invoke("run", f"{name}.asl.json", "--functions", "functions", *over_http)
    assert (done.exit_code, "--functions" in done.stderr) == (2, True)
