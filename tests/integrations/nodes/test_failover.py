"""A synchronous standby takes over from a primary that is killed: nothing acknowledged is lost.

STEPWELL_FAILOVERS=20 pytest -s tests/integrations/nodes/test_failover.py
"""

import os
import threading
import time
from collections import Counter
from typing import Any

import pytest
from tests.integrations.nodes.cluster import Cluster
from tests.integrations.nodes.test_deaths import EVENTS, definition, started
from tests.integrations.server.conftest import home
from tests.integrations.server.live import ROLE, eventually
from tests.postgres import PROGRAMS, REASON, ReplicatedServer, replicated

__all__ = ["home"]  # a fixture

FAILOVERS = int(os.environ.get("STEPWELL_FAILOVERS", "1"))


@pytest.mark.skipif(PROGRAMS is None, reason=REASON)
def test_a_standby_takes_over(home: dict[str, str]) -> None:
    with replicated() as servers:
        url = f"{servers.url}&search_path=failing"
        nodes = Cluster(home, url)
        try:
            nodes.start()
            nodes.start()
            nodes.settled()
            _fail_over(nodes, servers)
        finally:
            nodes.close()


def _fail_over(nodes: Cluster, servers: ReplicatedServer) -> None:
    states, sqs = nodes.client(), nodes.client("sqs")
    queue = sqs.create_queue(QueueName="once")["QueueUrl"]
    arn = states.create_state_machine(name="m", definition=definition(queue), roleArn=ROLE)[
        "stateMachineArn"
    ]
    stop, names, took = threading.Event(), list[str](), list[float]()

    def load(worker: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            name = f"f{worker}-{number}"
            while not started(nodes, arn, name):
                time.sleep(0.02)
            names.append(name)

    threads = [threading.Thread(target=load, args=(each,)) for each in range(3)]
    for each in threads:
        each.start()
    try:
        for _ in range(FAILOVERS):
            time.sleep(1)
            before = len(names)
            servers.kill_primary()
            began = time.monotonic()
            servers.promote()
            eventually(lambda before=before: len(names) > before + 6, 60)
            took.append(time.monotonic() - began)
            nodes.settled(60)
            servers.add_standby()
    finally:
        stop.set()
        for each in threads:
            each.join()
    print(f"{FAILOVERS} failovers, {len(names)} executions, back within {max(took):.1f} s")
    check(nodes, arn, names)


def check(nodes: Cluster, arn: str, names: list[str]) -> None:
    """All have succeeded, with a whole history."""
    states = nodes.client(retries={"total_max_attempts": 5})
    statuses: Counter[str] = Counter()
    for name in names:
        execution = f"{arn.replace(':stateMachine:', ':execution:')}:{name}"

        def closed(execution: str = execution) -> Any:
            found = states.describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        statuses[eventually(closed, 60)["status"]] += 1
        events = states.get_execution_history(executionArn=execution)["events"]
        assert [each["type"] for each in events] == EVENTS, (name, events)
    assert statuses == {"SUCCEEDED": len(names)}
