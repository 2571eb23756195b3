"""The console over HTTP, without a browser: access, answers and streams, and how streams bear
many events and slow readers.
"""

import http.client
import json
import re
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import (
    PASS,
    ROLE,
    WAIT,
    Live,
    eventually,
    one,
    request,
    resident_bytes,
)

TARGET = {
    "X-Amz-Target": "AWSStepFunctions.ListStateMachines",
    "Content-Type": "application/x-amz-json-1.0",
}


def get(
    live: Live, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=60)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        return (
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
        )
    finally:
        connection.close()


def ask(live: Live, what: str, /, **query: Any) -> Any:
    status, _, body = get(live, f"/console/api/{what}?{urlencode(query)}")
    return json.loads(body) if status == 200 else (status, json.loads(body)["code"])


def listen(
    live: Live, name: str, seconds: float = 60, last: str = "", **query: Any
) -> Iterator[tuple[str, Any]]:
    """(id, data) of the messages of a stream, as an EventSource gives them; until its `end`."""
    headers = {"Last-Event-ID": last} if last else {}
    request = urllib.request.Request(
        f"{live.url}/console/api/{name}?{urlencode(query)}", headers=headers
    )
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for raw in answer:
            line = raw.decode().rstrip("\n")
            if line:
                key, _, value = line.partition(": ")
                fields[key] = value
                continue
            if fields.get("event") == "end":
                return
            if "data" in fields:
                yield fields.get("id", ""), json.loads(fields["data"])
            fields = {}


def create(live: Live, name: str = "machine", definition: str = PASS, **more: Any) -> str:
    return str(
        live.client().create_state_machine(name=name, definition=definition, roleArn=ROLE, **more)[
            "stateMachineArn"
        ]
    )


def start(live: Live, machine: str, name: str, input: str = "{}") -> str:
    return str(
        live.client().start_execution(stateMachineArn=machine, name=name, input=input)[
            "executionArn"
        ]
    )


def closed(live: Live, arn: str) -> None:
    client = live.client()
    eventually(lambda: client.describe_execution(executionArn=arn)["status"] != "RUNNING", 60)


def loop(times: int) -> str:
    """Four events a round."""
    count = {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "Enough?"}
    enough = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.n", "NumericLessThan": times, "Next": "Count"}],
        "Default": "Done",
    }
    return json.dumps(
        {
            "StartAt": "Count",
            "States": {"Count": count, "Enough?": enough, "Done": {"Type": "Succeed"}},
        }
    )


# --- the page and access to it --------------------------------------------------------------------


def test_the_page_loads_only_its_own_files(serve: Serve):
    live = serve()
    status, headers, page = get(live, "/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {policy[each] for each in ("script-src", "style-src", "img-src", "connect-src")} == {
        "'self'"
    }
    assert headers["x-content-type-options"] == "nosniff"
    names = re.findall(r'(?:href|src)="(/console/[^"]+)"', page.decode())
    assert len(names) > 5
    for name in names:
        status, headers, body = get(live, name)
        assert (status, len(body) > 0) == (200, True), name
        assert get(live, name, if_none_match=headers["etag"])[0] == 304
        assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", body), name
    assert get(live, "/console/nothing.js")[0] == 404
    assert get(live, "/console/../index.html")[0] == 404
    assert get(live, "/console/%2e%2e/theme.py")[0] == 404
    assert get(live, "/console/api/search", "POST", b"{}")[0] == 405
    assert (
        get(
            live,
            "/",
            "POST",
            b"{}",
            **{name.replace("-", "_"): value for name, value in TARGET.items()},
        )[0]
        == 200
    )  # still the API's


def test_no_console(serve: Serve):
    live = serve("--no-console")
    assert b"<html" not in get(live, "/")[2]
    assert get(live, "/console/api/info")[0] in (400, 404)
    assert live.client().list_state_machines()["stateMachines"] == []


def test_no_console_if_requests_must_be_signed(serve: Serve, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("[default]\naws_access_key_id = test\naws_secret_access_key = test\n")
    live = serve("--credentials", keys)
    assert b"<html" not in get(live, "/")[2]
    assert get(live, "/console/api/search")[0] != 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_pages_of_other_origins_get_nothing(serve: Serve, headers: dict[str, str]):
    live = serve()
    create(live)
    for path in ("/console/api/search", "/console/api/changes", "/console/api/info"):
        status, answered, body = get(live, path, **headers)
        assert status in (400, 403)
        assert b"executions" not in body
        assert "access-control-allow-origin" not in answered


def test_a_read_only_console_may_not_change_anything(serve: Serve):
    live = serve("--read-only")
    arn = start(live, create(live, definition=WAIT), "one")  # an SDK may
    assert ask(live, "info")["readOnly"] is True
    own = {"Origin": live.url, "Content-Type": "application/x-amz-json-1.0"}

    def call(operation: str, body: Any) -> int:
        headers = {"X-Amz-Target": f"AWSStepFunctions.{operation}", **own}
        return get(live, "/", "POST", json.dumps(body).encode(), **headers)[0]

    assert call("DescribeExecution", {"executionArn": arn}) == 200
    assert call("ListStateMachines", {}) == 200
    assert call("SearchExecutions", {"query": "status=RUNNING"}) == 200
    assert call("StopExecution", {"executionArn": arn}) == 400
    assert call("FireTimer", {"executionArn": arn}) == 400
    assert live.client().describe_execution(executionArn=arn)["status"] == "RUNNING"


# --- answers --------------------------------------------------------------------------------------


def test_search_takes_a_query(serve: Serve):
    live = serve()
    comment = "stepwell:searchAttributes customer"
    definition = json.dumps({**json.loads(PASS), "Comment": comment})
    arn, other = create(live, definition=definition), create(live, "other", definition)
    for number in range(5):
        for machine in (arn, other):
            name = f"{machine[-3:]}-{number}"
            input = json.dumps({"customer": "ada" if number % 2 else "bob"})
            live.client().start_execution(stateMachineArn=machine, name=name, input=input)
    found, token = [], ""
    while token is not None:
        answer = ask(live, "search", name="customer=bob", machine=other, limit="2", token=token)
        found += [each["name"] for each in answer["executions"]]
        token = answer["nextToken"]
    assert found == ["her-4", "her-2", "her-0"]
    assert len(ask(live, "search", name="customer=bob", status="SUCCEEDED")["executions"]) == 6
    wrong = ask(live, "search", name="customer=bob ada")
    assert wrong["executions"] == [] and "'ada' at column 14" in wrong["fault"]


def test_searches_over_http(serve: Serve):
    live = serve()
    definition = json.dumps({**json.loads(PASS), "Comment": "stepwell:searchAttributes id"})
    arn = create(live, definition=definition)
    live.client().start_execution(stateMachineArn=arn, name="x", input='{"id": 10000000000000001}')

    def search(**body: Any) -> tuple[int, Any]:
        target = {"X_Amz_Target": "AWSStepFunctions.SearchExecutions"}
        status, _, answer = request(live, "/", json.dumps(body).encode(), **target)
        return status, json.loads(answer)

    status, found = search(query="id=10000000000000001", maxResults=1)
    assert status == 200 and [each["name"] for each in found["executions"]] == ["x"]
    assert search(query="id=10000000000000000")[1]["executions"] == []
    assert len(search()[1]["executions"]) == 1
    status, refused = search(query="id=1 id~1")
    assert status == 400 and refused["__type"].endswith("ValidationException")
    assert refused["message"].startswith("'id~1' at column 6: ")
    assert search(query="id=1", nextToken="x")[1]["__type"].endswith("InvalidToken")
    assert search(query="a" * 4097)[0] == search(query=1)[0] == 400


def test_search_reads_all_executions_page_by_page(serve: Serve):
    live = serve(console_searched=20, list_page=10)
    one_machine, other = create(live), create(live, "other")
    for number in range(45):
        start(live, one_machine, f"run-{number:02}")
    start(live, other, "elsewhere")
    found, token, asked = list[str](), "", 0
    while token is not None:
        answer = ask(live, "search", machine=one_machine, name="RUN-4", token=token)
        found += [each["name"] for each in answer["executions"]]
        token, asked = answer["nextToken"], asked + 1
        assert answer["searched"] <= 20
    assert (found, asked) == ([f"run-{number}" for number in (44, 43, 42, 41, 40)], 3)
    assert [each["name"] for each in ask(live, "search", name="else")["executions"]] == [
        "elsewhere"
    ]
    assert ask(live, "search", status="RUNNING")["executions"] == []
    assert ask(
        live, "search", machine="arn:aws:states:us-east-1:123456789012:stateMachine:none"
    ) == (404, "StateMachineDoesNotExist")


def test_a_list_of_all_executions_has_no_children_of_map_runs(serve: Serve):
    live = serve()
    rows = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Row",
        "States": {"Row": {"Type": "Pass", "End": True}},
    }
    mapped = {"Type": "Map", "Label": "Rows", "ItemProcessor": rows}
    parent = create(live, "etl", one({**mapped, "End": True}))
    arn = start(live, parent, "nightly", input="[1, 2, 3]")
    closed(live, arn)
    assert [each["name"] for each in ask(live, "search", limit="2")["executions"]] == ["nightly"]
    assert len(ask(live, "search", machine=f"{parent}/Rows")["executions"]) == 3


def test_inspect_and_events_and_states_are_exact(serve: Serve):
    live = serve()
    big = "123456789012345678901234567890"
    definition = one(
        {
            "Type": "Pass",
            "Parameters": {"kept.$": "$.big", "more": 1},
            "ResultPath": "$.made",
            "End": True,
        }
    )
    arn = start(live, create(live, definition=definition), "one", f'{{"big": {big}}}')
    closed(live, arn)
    flow = ask(live, "inspect", arn=arn, state="Only")
    assert [stage["name"] for stage in flow["stages"]] == [
        "State input",
        "InputPath",
        "Parameters",
        "ResultPath",
        "OutputPath",
    ]
    assert flow["stages"][2]["value"] == f'{{"kept":{big},"more":1}}'
    assert flow["output"] == f'{{"big":{big},"made":{{"kept":{big},"more":1}}}}'
    assert (
        json.loads(ask(live, "state", arn=arn, state="Only")["definition"])["ResultPath"]
        == "$.made"
    )
    assert ask(live, "event", arn=arn, id=2)["stateEnteredEventDetails"]["name"] == "Only"
    assert ask(live, "event", arn=arn, id=99) == (404, "NotFound")
    assert ask(live, "inspect", arn=arn, state="None") == (404, "NotFound")
    assert ask(live, "inspect", arn=arn) == (400, "ValidationException")
    assert ask(live, "event", arn=arn, id="-1") == (400, "ValidationException")
    assert ask(live, "nothing") == (404, "NotFound")


def test_export_is_one_document_with_the_whole_history(serve: Serve):
    live = serve(history_page=7)
    arn = start(live, create(live, definition=loop(20)), "a.name", '{"n": 0}')
    closed(live, arn)
    status, headers, body = get(live, f"/console/api/export?{urlencode({'arn': arn})}")
    exported = json.loads(body)
    assert (status, headers["content-disposition"]) == (200, 'attachment; filename="a.name.json"')
    assert [event["id"] for event in exported["events"]] == list(range(1, 85))
    assert exported["execution"]["status"] == "SUCCEEDED"
    assert exported["events"][1]["stateEnteredEventDetails"]["input"] == '{"n": 0}'
    assert get(live, f"/console/api/export?{urlencode({'arn': arn + 'x'})}")[0] == 404


# --- streams --------------------------------------------------------------------------------------


def test_a_stream_resumes_after_the_last_event_and_ends_with_the_execution(serve: Serve):
    live = serve()
    states = {
        "A": {"Type": "Pass", "Next": "B"},
        "B": {"Type": "Wait", "Seconds": 1, "Next": "C"},
        "C": {"Type": "Pass", "End": True},
    }
    machine = create(live, definition=json.dumps({"StartAt": "A", "States": states}))
    arn = start(live, machine, "one")
    messages = list(listen(live, "watch", arn=arn))
    rows = [row for _, data in messages for row in data["rows"]]
    assert [row[0] for row in rows] == list(range(1, 9))
    assert [data["whole"] for _, data in messages] == [True] + [False] * (len(messages) - 1)
    assert messages[-1][0] == "8"
    assert messages[-1][1]["status"] == "succeeded"
    assert {name: row["status"] for name, row in messages[0][1]["states"].items()} == {
        "A": "succeeded",
        "B": "running",
    }
    again = list(listen(live, "watch", arn=arn, last="5"))
    assert [row[0] for _, data in again for row in data["rows"]] == [6, 7, 8]
    assert set(again[0][1]["states"]) == {"A", "B", "C"}  # the first message has all of it
    assert list(listen(live, "watch", arn=arn, last="8")) == []
    assert ask(live, "watch", arn=arn + "x") == (404, "ExecutionDoesNotExist")


def test_the_list_stream_has_starts_and_ends_up_to_a_limit(serve: Serve):
    live = serve(console_changed=5)
    machine, other = create(live), create(live, "other")
    received = list[dict[str, Any]]()

    def read() -> None:
        for _, data in listen(live, "changes", seconds=20, machine=machine):
            received.append(data)
            if data["more"]:
                return

    reader = threading.Thread(target=read)
    reader.start()
    number = 0
    while not received:
        start(live, other, f"other-{number}")
        start(live, machine, f"run-{number}")
        number += 1
        time.sleep(0.05)
    while reader.is_alive() and number < 2000:
        start(live, machine, f"run-{number}")
        number += 1
    reader.join(60)
    assert received[-1]["more"]
    assert all(len(each["executions"]) <= 5 for each in received)
    assert {each["stateMachineArn"] for data in received for each in data["executions"]} == {
        machine
    }
    assert any(
        each["status"] == "SUCCEEDED" and "stopDate" in each
        for data in received
        for each in data["executions"]
    )


def test_a_thousand_events_a_second_arrive_in_time_with_bounded_memory(serve: Serve):
    """One execution after the other, thousands of events a second: each reader is done when the
    execution is, and memory stays.
    """
    live = serve()
    machine = create(live, definition=loop(2500))
    sizes = []
    for number in range(4):
        arn = start(live, machine, f"run-{number}", '{"n": 0}')
        began = time.monotonic()
        ends = list[tuple[int, int, float]]()

        def read(
            arn: str = arn, began: float = began, ends: list[tuple[int, int, float]] = ends
        ) -> None:
            messages = list(listen(live, "watch", arn=arn))
            ends.append(
                (
                    sum(len(data["rows"]) for _, data in messages),
                    len(messages),
                    time.monotonic() - began,
                )
            )

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(60)
        described = live.client().describe_execution(executionArn=arn)
        took = (described["stopDate"] - described["startDate"]).total_seconds()
        assert [each[0] for each in ends] == [10_004] * 3
        assert max(each[1] for each in ends) < 1_000  # many events a message
        assert max(each[2] for each in ends) < 2 * max(took, 10_004 / 1_000)  # of a busy machine
        sizes.append(resident_bytes(live.process.pid))
    assert sizes[3] < sizes[1] + 24 * 2**20


def test_a_client_that_does_not_read_delays_no_other(serve: Serve):
    live = serve()
    machine = create(live, definition=loop(5000))
    arn = start(live, machine, "one", '{"n": 0}')
    stuck = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=60)
    stuck.request("GET", f"/console/api/watch?{urlencode({'arn': arn})}")
    closed(live, arn)
    assert sum(len(data["rows"]) for _, data in listen(live, "watch", arn=arn)) == 20_004
    stuck.close()


def test_open_streams_are_bounded_and_end_with_the_server(serve: Serve):
    live = serve(console_streams=3, drain_seconds=60)
    arn = start(live, create(live, definition=WAIT), "one")
    held = []
    for _ in range(3):
        connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=60)
        connection.request("GET", f"/console/api/watch?{urlencode({'arn': arn})}")
        answer = connection.getresponse()
        assert answer.status == 200
        held.append((connection, answer))
    assert ask(live, "watch", arn=arn) == (503, "ServiceUnavailable")
    held.pop()[0].close()
    eventually(lambda: _opens(live, arn))
    began = time.monotonic()
    assert live.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 30, "it waited for the streams"
    for _, answer in held:
        answer.read()  # to its end
        answer.close()


def _opens(live: Live, arn: str) -> bool:
    connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=60)
    connection.request("GET", f"/console/api/watch?{urlencode({'arn': arn})}")
    try:
        return connection.getresponse().status == 200
    finally:
        connection.close()


def test_of_several_rules_to_one_state_the_taken_one_is_reported(serve: Serve):
    live = serve()
    over = [{"Variable": "$.n", "NumericGreaterThan": limit, "Next": "There"} for limit in (5, 2)]
    fork = {"Type": "Choice", "Choices": over, "Default": "There"}
    definition = json.dumps(
        {"StartAt": "Fork", "States": {"Fork": fork, "There": {"Type": "Succeed"}}}
    )
    arn = start(live, create(live, definition=definition), "one", '{"n": 3}')
    taken = [
        id
        for _, data in listen(live, "watch", arn=arn)
        for id in data["taken"]
        if id.startswith("rule-")
    ]
    svg = ask(live, "diagram", arn=arn)["svg"]
    assert len(taken) == 1
    assert re.search(rf'id="{taken[0]}"[^>]* data-rule="1"', svg)


def test_a_page_shows_so_many_events(serve: Serve) -> None:
    live = serve(console_events=40)
    passes = {f"S{n}": {"Type": "Pass", "Next": f"S{n + 1}"} for n in range(60)}
    states = {**passes, "S60": {"Type": "Succeed"}}
    machine = create(live, "long", json.dumps({"StartAt": "S0", "States": states}))
    arn = start(live, machine, "x")
    client = live.client()
    eventually(lambda: client.describe_execution(executionArn=arn)["status"] == "SUCCEEDED")
    *_, (_, last) = listen(live, "watch", arn=arn)
    assert last == {"message": "The first 40 events are shown; GetExecutionHistory has all."}
    assert ask(live, "inspect", arn=arn, state="S3") == (400, "HistoryTooLong")
    assert ask(live, "event", arn=arn, id=100)["id"] == 100
