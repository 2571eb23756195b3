"""Two nodes answer clients as one server does: checks of that server, sent to two in turn."""

import http.client
import json
import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.conftest import ROOT
from tests.integrations.nodes.cluster import Cluster, cluster
from tests.integrations.server.live import (
    LIMITED,
    ROLE,
    Live,
    eventually,
    keep_compiled,
    metrics,
    request,
)
from tests.integrations.server.test_clients import (
    machine,
    test_any_key_and_region_may_sign,
    test_paginators_see_every_item_once,
    test_the_calls_of_terraforms_state_machine_resource,
    test_the_host_prefix_is_understood,
)
from tests.postgres import PostgresServer

from stepwell.conformance.report.results import Verdict
from stepwell.conformance.run import suites, vectors
from stepwell.conformance.run.endpoint import Endpoint

__all__ = [
    "machine",
    "test_any_key_and_region_may_sign",
    "test_paginators_see_every_item_once",
    "test_the_calls_of_terraforms_state_machine_resource",
    "test_the_host_prefix_is_understood",
]

AREAS = ("activities", "api", "distributed-map", "express", "nested", "redrive")


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("clients")
    plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    plain |= {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PYTHONPATH": str(ROOT / ".dev")}
    home = keep_compiled(plain, tmp_path_factory.getbasetemp())
    with cluster(home, postgres_server.database()) as nodes:
        yield nodes


@pytest.fixture
def client(live: Cluster) -> Any:
    return live.client()


def test_a_body_that_is_too_long_is_refused_alike_at_every_node(live: Cluster) -> None:
    head = (
        b"POST /_apis/none/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11534336\r\n\r\n"
    )
    answers = []
    for node in live.nodes:
        place = urlsplit(node.url)
        with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
            connection.sendall(head)
            response = http.client.HTTPResponse(connection)
            response.begin()
            kept = ("content-type", "connection")
            answers.append((response.status, *map(response.getheader, kept), response.read()))
    text = b'{"message":"Request Entity Too Large"}'
    assert answers == [(413, "application/json", "close", text)] * 2


def test_a_client_that_leaves_takes_no_message_at_any_node(live: Cluster) -> None:
    sqs = live.client("sqs")
    url = sqs.create_queue(QueueName="left")["QueueUrl"]
    body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}).encode()
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
    places = [urlsplit(node.url) for node in live.nodes]
    gone = [socket.create_connection((each.hostname, each.port)) for each in places * 3]
    for each in gone:
        each.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    for node in live.nodes:
        eventually(lambda node=node: metrics(node)["stepwell_open_requests"] == 4)
    for each in gone:
        each.close()
    for node in live.nodes:
        eventually(lambda node=node: metrics(node)["stepwell_open_requests"] == 1)
    sqs.send_message(QueueUrl=url, MessageBody="a")
    (got,) = sqs.receive_message(
        QueueUrl=url, MessageSystemAttributeNames=["All"], WaitTimeSeconds=5
    )["Messages"]
    assert got["Attributes"]["ApproximateReceiveCount"] == "1"


def test_a_search_at_any_node_finds_executions_of_all_shards(live: Cluster, client: Any) -> None:
    comment = "stepwell:searchAttributes customer n"
    definition = {"Comment": comment, "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
    arn = client.create_state_machine(
        name="searched", definition=json.dumps(definition), roleArn=ROLE
    )["stateMachineArn"]
    for number in range(12):
        input = json.dumps({"customer": "ada", "n": number})
        client.start_execution(stateMachineArn=arn, name=f"s{number}", input=input)

    def found(node: Live, query: str) -> list[str]:
        names, token = list[str](), dict[str, str]()
        while True:
            body = json.dumps({"query": query, "maxResults": 5, **token}).encode()
            target = {"X_Amz_Target": "AWSStepFunctions.SearchExecutions"}
            answer = json.loads(request(node, "/", body, **target)[2])
            names += [each["name"] for each in answer["executions"]]
            if "nextToken" not in answer:
                return names
            token = {"nextToken": answer["nextToken"]}

    for node in live.nodes:
        assert sorted(found(node, "customer=ada n<10")) == [f"s{number}" for number in range(10)]
        assert sorted(found(node, "customer=ada n>=9")) == ["s10", "s11", "s9"]
        eventually(lambda node=node: len(found(node, "status=SUCCEEDED customer=ada")) == 12)


def test_vectors_of_what_crosses_shards(live: Cluster) -> None:
    """The rest runs within one execution, as on one node."""
    chosen = [each for each in vectors.load() if each.area in AREAS]
    results = list(suites.run_vectors(Endpoint(live.url), chosen))
    failed = {each.name: each.problems for each in results if each.verdict is Verdict.FAILED}
    assert failed == {}
    assert sum(each.verdict is Verdict.PASSED for each in results) > 100


def test_a_node_that_waits_for_load_balancers_has_its_time_to_answer(live: Cluster) -> None:
    limits = {"drain_seconds": 1.5, "linger_seconds": 4.0}
    environment = live.nodes[0].environment
    node = Live(environment, live.db, program=LIMITED, limits=limits)  # type: ignore[arg-type]
    try:
        assert node.url
        assert node.stop() == 0
    finally:
        node.close()
