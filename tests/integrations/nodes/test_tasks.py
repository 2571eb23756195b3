"""Tasks on several nodes: of functions, and of executions on shards whose node dies."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.nodes.cluster import Cluster
from tests.integrations.nodes.test_cluster import ended, machine, module_home
from tests.integrations.server.live import ROLE, eventually, one
from tests.postgres import PostgresServer

__all__ = ["module_home"]  # a fixture

FOLDER = """
import os
def handler(event, context):
    return {'folder': event, 'process': os.getpid()}
"""
CREATED = "def lambda_handler(event, context):\n    return {'created': event}\n"
SLEEPY = json.dumps(
    {
        "StartAt": "Wait",
        "States": {
            "Wait": {"Type": "Wait", "Seconds": 4, "Next": "Pass"},
            "Pass": {"Type": "Pass", "End": True},
        },
    }
)


ASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {}}
# a test case with one response before a node dies, and others after that
MOCKS = {
    "StateMachines": {
        "asking": {"TestCases": {"Twice": {"First": "Numbered", "Again": "Numbered"}}},
        "asked": {"TestCases": {"Twice": {"Only": "Numbered"}}},
    },
    "MockedResponses": {"Numbered": {"0": {"Return": {"Payload": 0}}}},
}


def asking(child: str) -> str:
    """A machine that waits between its mocked tasks; the last one starts an execution."""
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": child},
        "OutputPath": "$.Output",
        "End": True,
    }
    states = {
        "First": {**ASK, "Next": "Wait"},
        "Wait": {"Type": "Wait", "Seconds": 4, "Next": "Again"},
        "Again": {**ASK, "Next": "Nested"},
        "Nested": nested,
    }
    return json.dumps({"StartAt": "First", "States": states})


def invoking(function: str) -> dict[str, Any]:
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload.$": "$"},
        "OutputPath": "$.Payload",
        "End": True,
    }
    return {"StartAt": function, "States": {function: state}}


@pytest.fixture
def nodes(
    module_home: dict[str, str], postgres_server: PostgresServer, tmp_path: Path
) -> Iterator[Cluster]:
    functions = tmp_path / "functions"
    functions.mkdir()
    (functions / "local.py").write_text(FOLDER)
    whole = Cluster(module_home, f"{postgres_server.url}?search_path=functions")
    try:
        mocks = tmp_path / "mocks.json"
        mocks.write_text(json.dumps(MOCKS))
        for _ in range(2):
            whole.start("--functions", functions, "--mocks", mocks)
        whole.settled()
        yield whole
    finally:
        whole.close()


def test_functions_and_nested_executions_of_every_shard(nodes: Cluster, tmp_path: Path) -> None:
    """A node dies meanwhile: no task fails for that."""
    states, code = nodes.client(retries={"total_max_attempts": 8}), tmp_path / "code"
    code.mkdir()
    (code / "lambda_function.py").write_text(CREATED)
    nodes.client("lambda").create_function(
        FunctionName="created",
        Runtime="python3.11",
        Role=ROLE,
        Handler="lambda_function.lambda_handler",
        Code={"S3Bucket": "hot-reload", "S3Key": str(code)},
    )
    branches = [invoking("local"), invoking("created")]
    both = machine(nodes, one({"Type": "Parallel", "End": True, "Branches": branches}), "both")
    sleepy = machine(nodes, SLEEPY, "sleepy")
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": sleepy, "Name.$": "$.name", "Input": {"a": 1}},
        "ResultSelector": {"output.$": "$.Output"},
        "End": True,
    }
    outer = machine(nodes, one(nested), "outer")

    def started(machine: str, count: int) -> list[str]:
        return [
            states.start_execution(
                stateMachineArn=machine, name=f"o{n}", input=json.dumps({"name": f"i{n}"})
            )["executionArn"]
            for n in range(count)
        ]

    processes = set[int]()
    for number, arn in enumerate(started(both, 16)):
        event = {"name": f"i{number}"}
        output = json.loads(ended(states, arn)["output"])
        processes.add(output[0].pop("process"))
        assert output == [{"folder": event}, {"created": event}]
    # one after the other: the shards of a node share its processes
    processes.clear()
    for number in range(12):
        again = states.start_execution(stateMachineArn=both, name=f"again{number}", input="{}")
        output = json.loads(ended(states, again["executionArn"])["output"])
        processes.add(output[0]["process"])
    assert len(processes) <= 2
    asks = asking(machine(nodes, one({**ASK, "End": True}), "asked"))
    mocked = started(machine(nodes, asks, "asking") + "#Twice", 8)
    waiting = started(outer, 16)

    def all_run() -> bool:
        return len(states.list_executions(stateMachineArn=sleepy)["executions"]) == 16

    eventually(all_run)
    nodes.end(nodes.nodes[0], signal.SIGKILL)

    def closed(arn: str) -> Any:
        found = states.describe_execution(executionArn=arn)
        return found["status"] != "RUNNING" and found

    for arn in mocked:
        found = eventually(lambda arn=arn: closed(arn), 60)
        assert json.loads(found.get("output", "{}")) == {"Payload": 0}, found
    for arn in waiting:
        found = eventually(lambda arn=arn: closed(arn), 60)
        assert found["status"] == "SUCCEEDED", found
    assert len(states.list_executions(stateMachineArn=sleepy)["executions"]) == 16
