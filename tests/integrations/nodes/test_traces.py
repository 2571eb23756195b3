"""The trace of an execution in a cluster: what it starts belongs to it, on whatever node."""

import json

from tests.integrations.nodes.cluster import cluster
from tests.integrations.server.conftest import home
from tests.integrations.server.live import PASS, ROLE, eventually
from tests.postgres import PostgresServer

__all__ = ["home"]

TRACE = "1-5759e988-bd862e3fe1be46a994272793"


def test_nested_executions_of_all_shards_are_in_the_trace(
    home: dict[str, str], postgres_server: PostgresServer
) -> None:
    home["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"  # on, without a receiver
    with cluster(home, postgres_server.database()) as nodes:
        states = nodes.client()
        child = states.create_state_machine(name="child", definition=PASS, roleArn=ROLE)
        start = {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution",
            "Parameters": {"StateMachineArn": child["stateMachineArn"], "Name.$": "$"},
            "End": True,
        }
        each = {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "Start", "States": {"Start": start}},
            "End": True,
        }
        definition = json.dumps({"StartAt": "Each", "States": {"Each": each}})
        parent = states.create_state_machine(name="parent", definition=definition, roleArn=ROLE)
        started = states.start_execution(
            stateMachineArn=parent["stateMachineArn"],
            input=json.dumps([f"n{number}" for number in range(24)]),
            traceHeader=f"Root={TRACE};Sampled=1",
        )

        def status() -> str:
            described = states.describe_execution(executionArn=started["executionArn"])
            return str(described["status"])

        eventually(lambda: status() == "SUCCEEDED", 60)
        children = states.list_executions(stateMachineArn=child["stateMachineArn"])["executions"]
        headers = [
            states.describe_execution(executionArn=each["executionArn"]).get("traceHeader", "")
            for each in children
        ]
        assert len(headers) == 24
        assert {header.partition(";")[0] for header in headers} == {f"Root={TRACE}"}
