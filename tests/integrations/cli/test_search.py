"""Searches by the command, on a database, on a server that has it open, and over HTTP."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.integrations.cli.conftest import PASS, unique

SELL = {
    "StartAt": "Any",
    "States": {
        "Any": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.fail", "IsPresent": True, "Next": "No"}],
            "Default": "Yes",
        },
        "No": {"Type": "Fail", "ErrorPath": "$.fail"},
        "Yes": {"Type": "Pass", "Result": {"total": 250.5}, "End": True},
    },
}


@pytest.fixture
def sells(at, invoke, write):
    """A machine, and three executions."""
    machine = unique("sell")
    file = write(f"{machine}.asl.json", SELL)
    asked = ("--search-attributes", "customer total=output.total", "-q", *at)
    for name, input in (
        ("one", {"customer": "Ada Lovelace"}),
        ("two", {"customer": "bob"}),
        ("three", {"customer": "bob", "fail": "Declined"}),
    ):
        invoke("run", file, "--name", name, "--input", json.dumps(input), *asked)
    return machine


def names(done):
    assert done.exit_code == 0, done.stderr
    return [json.loads(each)["name"] for each in done.stdout.splitlines()]


def test_list_takes_a_query(at, sells, invoke):
    def listed(*words):
        return names(invoke("list", *words, "--machine", sells, "--json", *at))

    assert listed("customer=bob") == ["three", "two"]
    assert listed("customer=bob", "total>100") == ["two"]
    assert listed("customer=bob total>=250.5") == ["two"]
    assert listed("customer=Ada Lovelace") == ["one"]
    assert listed('customer="Ada Lovelace"', "status=SUCCEEDED") == ["one"]
    assert listed("customer=A*", "started>=1h") == ["one"]
    assert listed("--error", "Declined") == ["three"]
    assert listed("--status", "succeeded", "customer=bob", "--since", "1h") == ["two"]
    assert listed("--limit", "1") == ["three"]
    assert names(invoke("list", f"machine={sells}", "customer=bob", "--json", *at)) == [
        "three",
        "two",
    ]
    shown = invoke("machines", "show", sells, *at).stdout
    assert "search   customer total=output.total\n" in shown


def test_list_shows_the_attributes_that_are_asked_for(at, sells, invoke):
    def shown(*words):
        return invoke("list", *words, "--machine", sells, *at)

    done = shown("customer=*", "total>1").stdout.splitlines()
    assert done[0].split()[-2:] == ["customer", "total"]
    assert [each.split()[-2:] for each in done[1:]] == [["bob", "250.5"], ["Lovelace", "250.5"]]
    heads = shown("customer=bob", "--attributes", "error, total").stdout.splitlines()
    assert heads[0].split()[-2:] == ["error", "total"]
    assert heads[1].split()[-1] == "Declined" and heads[2].split()[-1] == "250.5"
    (listed,) = shown("customer=Ada*", "--json").stdout.splitlines()
    assert json.loads(listed)["searchAttributes"] == {"customer": ["Ada Lovelace"]}
    wrong = shown("--attributes", "a,9x")
    assert (wrong.exit_code, wrong.stderr) == (
        2,
        "stepwell: --attributes a,9x: '9x' is not the name of an attribute\n",
    )


def test_earlier_executions_are_indexed(at, sells, invoke):
    tagged = invoke("machines", "tag", sells, "--search-attributes", "client=customer", *at)
    assert f"`stepwell machines index {sells}" in tagged.stderr
    asked = ("--machine", sells, "--json", *at)
    partial = invoke("list", "client=bob", *asked)
    assert (names(partial), partial.stderr.count("\n")) == ([], 1)
    assert f"stepwell: client finds executions of {sells} that started since 20" in partial.stderr
    unknown = invoke("list", "customr=bob", *asked)
    assert unknown.stderr == "stepwell: no execution has the search attribute customr\n"
    removed = invoke("list", "customer=bob", *asked)
    assert names(removed) == ["three", "two"]
    assert f"customer was removed from {sells} at 20" in removed.stderr
    assert "not all: " in invoke("machines", "show", sells, *at).stdout
    indexed = invoke("machines", "index", sells, *at)
    assert (indexed.exit_code, indexed.stderr) == (
        0,
        f"indexed 3 executions of {sells} by client\n",
    )
    found = invoke("list", "client=bob", *asked)
    assert (names(found), found.stderr) == (["three", "two"], "")
    assert "not all: " not in invoke("machines", "show", sells, *at).stdout
    again = json.loads(invoke("machines", "index", sells, "--json", *at).stdout)
    assert (again["status"], again["executionsIndexed"]) == ("COMPLETE", 3)


def test_bulk_changes_take_a_query(at, sells, invoke):
    machine = f"machine={sells}"
    dry = invoke("redrive", machine, "customer=bob", "--dry-run", *at)
    assert (dry.exit_code, dry.stdout) == (0, f"{sells}/three\n")
    assert "redrive 1 execution of 1 state machine (dry run)" in dry.stderr
    none = invoke("stop", machine, "customer=bob", "--yes", *at)
    assert (none.exit_code, none.stderr) == (0, "nothing to stop: no execution matches\n")
    both = invoke("stop", f"{sells}/one", "customer=bob", "--yes", *at)
    assert (both.exit_code, "but not both" in both.stderr) == (2, True)
    wrong = invoke("redrive", machine, "status=RUNNING", *at)
    assert (wrong.exit_code, "can be redriven" in wrong.stderr) == (2, True)


def test_a_query_that_cannot_be_read_is_pointed_at(invoke, place):
    for word in ("total>>5", "total=>5", "total==5"):
        words = f"stepwell: {word}: a value that begins with <, > or = needs quotes; or is it >= or"
        assert invoke("list", word).stderr.startswith(words)
    wrong = invoke("list", "customer=ada", "total~5")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    first, query, caret = wrong.stderr.splitlines()
    assert first.startswith("stepwell: total~5: not NAME=VALUE")
    assert query == "  customer=ada total~5"
    assert caret == "               ^^^^^^^"
    assert "one status" in invoke("list", "status=FAILED", "--status", "RUNNING").stderr


def test_a_machine_without_a_list_is_refused(at, invoke, write):
    machine = unique("express")
    file = write(f"{machine}.asl.json", PASS)
    create = ("machines", "create", file, "--name", machine, "--type", "EXPRESS")
    arn = invoke(*create, *at).stdout.strip()
    refused = invoke("list", "--machine", machine, *at)
    assert (refused.exit_code, "not supported" in refused.stderr) == (2, True)
    assert invoke("list", f"machine={arn}x", *at).exit_code == 2


def test_a_tag_is_set_and_removed(at, invoke, write):
    machine = unique("tag")
    comment = "Sells. stepwell:searchAttributes customer status; stepwell:ignore W1"
    file = write(f"{machine}.asl.json", {**PASS, "Comment": comment})
    created = invoke("machines", "create", file, "--search-attributes", "sku=lines.0.sku", *at)
    assert created.exit_code == 0, created.stderr
    shown = invoke("machines", "show", machine, *at).stdout
    assert "search   customer sku=lines.0.sku\n" in shown
    assert "not searched: 'status': searches use 'status' for what each execution has" in shown
    assert invoke("machines", "tag", machine, "--search-attributes", "", *at).exit_code == 0
    assert "search   customer\n" in invoke("machines", "show", machine, *at).stdout
    faulty = invoke("machines", "tag", machine, "--search-attributes", "9x", *at)
    assert (faulty.exit_code, faulty.stderr.count("\n")) == (2, 1)
    assert "--search-attributes: '9x': not NAME" in faulty.stderr
    missing = invoke("machines", "tag", machine, *at)
    assert (missing.exit_code, "is needed" in missing.stderr) == (2, True)


@pytest.fixture
def foreign(server):
    """A server that has no operation SearchExecutions, as AWS's, before the server."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["X-Amz-Target"].endswith(".SearchExecutions"):
                return self.answer(400, b'{"__type": "UnknownOperationException"}')
            try:
                with urlopen(Request(server.url, body, self.headers)) as reply:
                    self.answer(reply.status, reply.read())
            except HTTPError as fault:
                self.answer(fault.code, fault.read())

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever).start()
        yield ["--server", f"http://127.0.0.1:{http.server_port}"]
        http.shutdown()


def test_a_server_without_searches_lists(foreign, invoke, write):
    machine = unique("aws")
    file = write(f"{machine}.asl.json", SELL)
    for name, input in (("one", {}), ("two", {"fail": "Declined"}), ("three", {"fail": "Busy"})):
        invoke("run", file, "--name", name, "--input", json.dumps(input), "-q", *foreign)

    def listed(*words):
        return names(invoke("list", *words, "--machine", machine, "--json", *foreign))

    assert listed() == ["three", "two", "one"]
    assert listed("--error", "Declined") == listed("error=Decl*") == ["two"]
    assert listed("status=FAILED", "--since", "1h", "stopped>=1h") == ["three", "two"]
    assert listed("started<1h") == []
    unknown = invoke("list", "customer=ada", *foreign)
    assert unknown.exit_code == 2
    assert "has no search attributes such as customer" in unknown.stderr
