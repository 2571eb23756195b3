"""Two nodes on one PostgreSQL: a client never needs to know which one it talks to."""

import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError
from tests.integrations.nodes.cluster import SHARDS, Cluster, cluster
from tests.integrations.server.conftest import home
from tests.integrations.server.live import (
    PASS,
    ROLE,
    WAIT,
    Live,
    eventually,
    metrics,
    one,
)
from tests.postgres import PostgresServer

__all__ = ["home"]  # a fixture

# rolling restarts of both nodes under load
RESTARTS = int(os.environ.get("STEPWELL_RESTARTS", "1"))
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:work"


def send(queue: str, pattern: str = "") -> str:
    """A machine that sends its name to a queue."""
    return one(
        {
            "Type": "Task",
            "Resource": f"arn:aws:states:::sqs:sendMessage{pattern}",
            "Parameters": {
                "QueueUrl": queue,
                "MessageBody.$": "$$.Task.Token" if pattern else "$$.Execution.Name",
            },
            "End": True,
        }
    )


@pytest.fixture(scope="module")
def module_home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("cluster")
    plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return plain | {"HOME": str(folder), "XDG_DATA_HOME": str(folder)}


@pytest.fixture(scope="module")
def nodes(module_home: dict[str, str], postgres_server: PostgresServer) -> Iterator[Cluster]:
    with cluster(module_home, f"{postgres_server.url}?search_path=two_nodes") as whole:
        yield whole


def machine(nodes: Any, definition: str, name: str, **more: Any) -> str:
    states = nodes.client()
    arn: str = states.create_state_machine(name=name, definition=definition, roleArn=ROLE, **more)[
        "stateMachineArn"
    ]
    return arn


def ended(states: Any, arn: str) -> dict[str, Any]:
    def close() -> Any:
        found = states.describe_execution(executionArn=arn)
        return found["status"] != "RUNNING" and found

    answer: dict[str, Any] = eventually(close)
    return answer


def test_every_node_describes_lists_and_stops_every_execution(nodes: Cluster) -> None:
    states = nodes.client()
    waiting = machine(nodes, WAIT, "waiting")
    started = [
        states.start_execution(stateMachineArn=waiting, name=name)["executionArn"]
        for name in map("e{}".format, range(24))
    ] + [states.start_execution(stateMachineArn=waiting)["executionArn"] for _ in range(8)]
    for node in nodes.nodes:
        own = node.client()
        pages = own.get_paginator("list_executions").paginate(
            stateMachineArn=waiting, PaginationConfig={"PageSize": 5}
        )
        listed = [each["executionArn"] for page in pages for each in page["executions"]]
        assert sorted(listed) == sorted(started)
        for arn in started[::5]:
            assert own.describe_execution(executionArn=arn)["status"] == "RUNNING"
            history = own.get_execution_history(executionArn=arn)["events"]
            assert [each["type"] for each in history] == ["ExecutionStarted", "WaitStateEntered"]
    # the same name again is the same execution, whichever node is asked
    again = states.start_execution(stateMachineArn=waiting, name="e3")["executionArn"]
    assert again == started[3]
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        states.start_execution(stateMachineArn=waiting, name="e3", input='{"other": 1}')
    for arn in started:
        states.stop_execution(executionArn=arn, error="Stopped")
    for arn in started:
        assert states.describe_execution(executionArn=arn)["status"] == "ABORTED"


def test_a_definition_is_the_same_at_every_node_at_once(nodes: Cluster) -> None:
    states = nodes.client()
    arn = machine(nodes, one({"Type": "Pass", "Result": 0, "End": True}), "changing")
    for number in range(1, 11):
        text = one({"Type": "Pass", "Result": number, "End": True})
        states.update_state_machine(stateMachineArn=arn, definition=text)
        for node in nodes.nodes:
            own = node.client()
            started = own.start_execution(stateMachineArn=arn)["executionArn"]
            assert ended(own, started)["output"] == str(number)
    states.delete_state_machine(stateMachineArn=arn)
    for node in nodes.nodes:
        with pytest.raises(ClientError, match=r"StateMachineDoesNotExist|StateMachineDeleting"):
            node.client().start_execution(stateMachineArn=arn)


def test_tokens_are_taken_at_every_node(nodes: Cluster) -> None:
    states, sqs = nodes.client(), nodes.client("sqs")
    queue = sqs.create_queue(QueueName="tokens")["QueueUrl"]
    arn = machine(nodes, send(queue, ".waitForTaskToken"), "callback")
    started = [states.start_execution(stateMachineArn=arn)["executionArn"] for _ in range(20)]
    tokens: set[str] = set()

    def complete() -> bool:
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for each in received.get("Messages", ()):
            assert each["Body"] not in tokens
            tokens.add(each["Body"])
            states.send_task_success(taskToken=each["Body"], output='{"done": true}')
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=each["ReceiptHandle"])
        return len(tokens) == 20

    eventually(complete, 60)
    for execution in started:
        assert ended(states, execution)["output"] == '{"done": true}'
    with pytest.raises(ClientError, match="InvalidToken"):
        states.send_task_success(taskToken="none", output="{}")


def test_activities_are_polled_at_every_node(nodes: Cluster) -> None:
    states = nodes.client()
    states.create_activity(name="work")
    arn = machine(nodes, one({"Type": "Task", "Resource": ACTIVITY, "End": True}), "activity")
    started = [
        states.start_execution(stateMachineArn=arn, name=f"a{number}")["executionArn"]
        for number in range(16)
    ]
    for number in range(16):
        own = nodes.nodes[number % 2].client()
        began = time.monotonic()
        task = own.get_activity_task(activityArn=ACTIVITY)
        assert task.get("taskToken"), number
        assert time.monotonic() - began < 30, "the poll waited for all of its 60 s"
        states.send_task_success(taskToken=task["taskToken"], output=str(number))
    assert {ended(states, each)["status"] for each in started} == {"SUCCEEDED"}

    # a poller that waits at one node gets the task of an execution that starts at the other
    found: list[Any] = []
    pollers = [
        threading.Thread(
            target=lambda own: found.append(own.get_activity_task(activityArn=ACTIVITY)),
            args=(node.client(),),
        )
        for node in nodes.nodes
    ]
    for each in pollers:
        each.start()
    time.sleep(0.5)
    for number in range(2):
        states.start_execution(stateMachineArn=arn, name=f"late{number}")
    for each in pollers:
        each.join(60)
    assert len({each["taskToken"] for each in found}) == 2
    for each in found:
        states.send_task_success(taskToken=each["taskToken"], output="1")


def test_messages_arrive_once_from_every_shard(nodes: Cluster) -> None:
    states, sqs = nodes.client(), nodes.client("sqs")
    queue = sqs.create_queue(QueueName="once")["QueueUrl"]
    arn = machine(nodes, send(queue), "sender")
    names = [f"m{number}" for number in range(60)]
    with ThreadPoolExecutor(8) as threads:
        list(
            threads.map(lambda name: states.start_execution(stateMachineArn=arn, name=name), names)
        )
    got: list[str] = []

    def all_came() -> bool:
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        got.extend(each["Body"] for each in received.get("Messages", ()))
        return len(got) >= 60

    eventually(all_came, 60)
    assert sorted(got) == sorted(names)


def test_nested_executions_and_map_runs_run_on_every_shard(nodes: Cluster) -> None:
    states = nodes.client()
    inner = machine(nodes, PASS, "inner")
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": inner, "Name.$": "$.name", "Input": {"a": 1}},
        "ResultSelector": {"output.$": "$.Output"},
        "End": True,
    }
    outer = machine(nodes, one(nested), "outer")
    started = [
        states.start_execution(
            stateMachineArn=outer, name=f"o{number}", input=json.dumps({"name": f"i{number}"})
        )["executionArn"]
        for number in range(16)
    ]
    for each in started:
        description = ended(states, each)
        assert json.loads(description["output"]) == {"output": {"a": 1}}, description
    items = {
        "Type": "Map",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "P",
            "States": {"P": {"Type": "Pass", "End": True}},
        },
        "End": True,
    }
    mapped = machine(nodes, one(items), "mapped")
    arn = states.start_execution(
        stateMachineArn=mapped, name="map", input=json.dumps(list(range(20)))
    )["executionArn"]
    assert json.loads(ended(states, arn)["output"]) == list(range(20))
    for node in nodes.nodes:
        own = node.client()
        (run,) = own.list_map_runs(executionArn=arn)["mapRuns"]
        children = own.list_executions(mapRunArn=run["mapRunArn"])["executions"]
        assert len(children) == 20
        child = own.describe_execution(executionArn=children[7]["executionArn"])
        assert child["status"] == "SUCCEEDED"


def test_the_console_and_http_apis_are_served_at_every_node(nodes: Cluster) -> None:
    states, apis = nodes.client(), nodes.client("apigatewayv2")
    arn = machine(nodes, WAIT, "watched")
    api = apis.create_api(Name="a", ProtocolType="HTTP")["ApiId"]
    integration = apis.create_integration(
        ApiId=api,
        IntegrationType="AWS_PROXY",
        IntegrationSubtype="StepFunctions-StartExecution",
        CredentialsArn=ROLE,
        PayloadFormatVersion="1.0",
        RequestParameters={"StateMachineArn": arn, "Input": "$request.body"},
    )["IntegrationId"]
    apis.create_route(ApiId=api, RouteKey="POST /start", Target=f"integrations/{integration}")
    apis.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    started = [
        states.start_execution(stateMachineArn=arn, name=f"w{number}")["executionArn"]
        for number in range(6)
    ]
    for node in nodes.nodes:
        assert "<!doctype html>" in node.get("/").lower()
        assert json.loads(node.get("/console/api/info"))["account"] == "123456789012"
        for each in started:
            look = json.loads(node.get(f"/console/api/look?arn={quote(each)}"))
            assert look["status"] == "RUNNING"
        stream = urllib.request.urlopen(
            f"{node.url}/console/api/watch?arn={quote(started[0])}", timeout=10
        )
        with stream:
            lines = [stream.readline() for _ in range(4)]
        assert any(line.startswith(b"data:") for line in lines), lines
        request = urllib.request.Request(f"{node.url}/_apis/{api}/start", b"{}", method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert "executionArn" in json.loads(answer.read())


def test_the_list_of_changes_has_the_executions_of_all_shards(nodes: Cluster) -> None:
    arn = machine(nodes, PASS, "changing")
    states, names = nodes.client(), {f"c{number}" for number in range(24)}
    for place, node in enumerate(nodes.nodes):
        stream = urllib.request.urlopen(f"{node.url}/console/api/changes?machine={arn}", timeout=60)
        with stream:
            following = 0
            while following < SHARDS:  # each shard begins so
                following += stream.readline() == b"retry: 1000\n"
            begun = [f"{name}-{place}" for name in names]
            for name in begun:
                states.start_execution(stateMachineArn=arn, name=name)
            seen: dict[str, str] = {}
            while len(seen) < len(names) or "RUNNING" in seen.values():
                line = stream.readline()
                assert line, "the stream has ended"
                if line.startswith(b"data: "):
                    for each in json.loads(line.removeprefix(b"data: "))["executions"]:
                        seen[each["name"]] = each["status"]
            assert seen == dict.fromkeys(begun, "SUCCEEDED")


def test_status_events_of_every_shard_reach_a_rule(nodes: Cluster) -> None:
    states, events, sqs = nodes.client(), nodes.client("events"), nodes.client("sqs")
    queue = sqs.create_queue(QueueName="statuses")["QueueUrl"]
    arn = machine(nodes, PASS, "told")
    pattern = {
        "source": ["aws.states"],
        "detail": {"stateMachineArn": [arn], "status": ["SUCCEEDED"]},
    }
    events.put_rule(Name="ended", EventPattern=json.dumps(pattern))
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    events.put_targets(
        Rule="ended", Targets=[{"Id": "q", "Arn": queue_arn["Attributes"]["QueueArn"]}]
    )
    names = {f"t{number}" for number in range(24)}
    for name in names:
        states.start_execution(stateMachineArn=arn, name=name)
    got: list[str] = []

    def all_came() -> bool:
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        got.extend(
            json.loads(each["Body"])["detail"]["name"] for each in received.get("Messages", ())
        )
        return len(got) >= 24

    eventually(all_came, 60)
    assert sorted(got) == sorted(names)


def test_a_node_that_is_killed_or_frozen_is_replaced(
    module_home: dict[str, str], postgres_server: PostgresServer
) -> None:
    """At once, not because the killed one is silent."""
    url = f"{postgres_server.url}?search_path=dying"
    with cluster(module_home, url, owner_idle_seconds=600) as nodes:
        states = nodes.client(retries={"total_max_attempts": 5})
        text = json.dumps(
            {
                "StartAt": "Wait",
                "States": {
                    "Wait": {"Type": "Wait", "Seconds": 4, "Next": "Pass"},
                    "Pass": {"Type": "Pass", "End": True},
                },
            }
        )
        arn = machine(nodes, text, "sleepy")
        started = [
            states.start_execution(stateMachineArn=arn, name=f"k{number}")["executionArn"]
            for number in range(24)
        ]
        killed = nodes.nodes[0]
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
        survivor = nodes.nodes[1]
        nodes.balancer.nodes = nodes.balancer.nodes[1:]

        def owned() -> float:
            with suppress(OSError):
                return metrics(survivor)["stepwell_shards_owned"]
            return 0

        # a shard without an owner is no reason for a balancer to take the last node out
        assert survivor.get("/ready") == "ready\n"
        eventually(lambda: owned() == 8)
        for each in started:
            assert ended(states, each)["status"] == "SUCCEEDED"


def counters(node: Live) -> dict[str, float]:
    ends = ("_total", "_count", "_sum", "_bucket")
    return {
        name: value
        for name, value in metrics(node).items()
        if name.partition("{")[0].endswith(ends)
    }


def test_nodes_are_replaced_without_a_failed_request(
    module_home: dict[str, str], postgres_server: PostgresServer
) -> None:
    with cluster(module_home, f"{postgres_server.url}?search_path=rolling") as nodes:
        arn = machine(nodes, PASS, "rolled")
        stop, faults, started = threading.Event(), list[BaseException](), list[str]()

        def load(worker: int) -> None:
            states = nodes.client()  # without retries
            number = 0
            while not stop.is_set():
                number += 1
                try:
                    name = f"r{worker}-{number}" if number % 2 else None
                    more = {"name": name} if name else {}
                    answer = states.start_execution(stateMachineArn=arn, **more)
                    started.append(answer["executionArn"])
                except BaseException as error:
                    faults.append(error)

        threads = [threading.Thread(target=load, args=(each,)) for each in range(4)]
        for each in threads:
            each.start()
        try:
            for _ in range(2 * RESTARTS):  # each replaces one of two nodes
                before = counters(nodes.nodes[1])
                nodes.start()
                nodes.settled()
                after = counters(nodes.nodes[1])  # which has handed shards over
                assert [name for name in before if after.get(name, 0) < before[name]] == []
                nodes.end(nodes.nodes[0], signal.SIGTERM)
                nodes.settled()
        finally:
            stop.set()
            for each in threads:
                each.join()
        print(f"{2 * RESTARTS} nodes replaced, {len(started)} starts, {len(faults)} failed")
        assert not faults, (len(faults), len(started), faults[:3])
        states = nodes.client()
        for each in started[:: max(1, len(started) // 50)]:
            assert ended(states, each)["status"] == "SUCCEEDED"
