"""More nested executions at once than there are slots, on a real server that is killed in between,
and an unrelated task beside them.

STEPWELL_PARENTS=5000 pytest -s tests/integrations/server/test_floods.py    on a quiet machine: the
task under 1 s, /health under 250 ms
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import ROLE, Live, eventually, one

PARENTS = int(os.environ.get("STEPWELL_PARENTS", "1200"))
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:echo"
SECONDS = 240  # for all of them, on a busy machine; before, they never ended
CHILD = {"Type": "Wait", "Seconds": 5, "End": True}


@contextmanager
def measured(do: Callable[[], object], pause: float) -> Iterator[list[float]]:
    """How long each call took, made one after the other meanwhile."""
    took, over = list[float](), threading.Event()

    def run() -> None:
        while not over.wait(pause):
            began = time.monotonic()
            do()
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()


def run(client: Any, machine: str) -> None:
    arn = client.start_execution(stateMachineArn=machine)["executionArn"]
    eventually(lambda: client.describe_execution(executionArn=arn)["status"] == "SUCCEEDED", 60)


def start(client: Any, machine: str) -> None:
    while True:
        try:
            return client.start_execution(stateMachineArn=machine)
        except ClientError as refused:
            assert refused.response["Error"]["Code"] == "ThrottlingException"
            time.sleep(0.2)


def left(client: Any, machine: str) -> int:
    pages = client.get_paginator("list_executions").paginate(
        stateMachineArn=machine, statusFilter="RUNNING", maxResults=1000
    )
    return sum(len(page["executions"]) for page in pages)


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    folder = tmp_path / "functions"
    folder.mkdir()
    (folder / "echo.py").write_text("def handler(event, context):\n    return event\n")
    return folder


def test_thousands_of_nested_parents_end_and_do_not_delay_others(serve: Serve, functions: Path):
    live: Live = serve("--functions", functions)
    client = live.client(max_pool_connections=40)

    def create(name: str, state: dict[str, Any]) -> str:
        return str(
            client.create_state_machine(name=name, definition=one(state), roleArn=ROLE)[
                "stateMachineArn"
            ]
        )

    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "End": True,
    }
    child = create("child", CHILD)
    parent = create("parent", {**nested, "Parameters": {"StateMachineArn": child}})
    other = create("other", {"Type": "Task", "Resource": FUNCTION, "End": True})
    run(client, other)
    beside = live.client()
    with (
        measured(lambda: live.get("/health"), 0.02) as health,
        measured(lambda: run(beside, other), 0.1) as task,
    ):
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda _: start(client, parent), range(PARENTS)))
        running = left(client, parent)
    print(
        f"{running} of {PARENTS} run; task {max(task):.2f} s, /health {max(health):.3f} s",
        file=sys.stderr,
    )
    assert max(task) < 20 and max(health) < 10  # of a busy machine
    live.close()  # killed
    live = serve("--functions", functions)
    client, beside = live.client(), live.client()
    with (
        measured(lambda: live.get("/health"), 0.02) as health,
        measured(lambda: run(beside, other), 0.1) as task,
    ):
        eventually(lambda: not left(client, parent), SECONDS)
    print(f"after kill -9: task {max(task):.2f} s, /health {max(health):.3f} s", file=sys.stderr)
    pages = client.get_paginator("list_executions").paginate(
        stateMachineArn=parent, statusFilter="SUCCEEDED", maxResults=1000
    )
    assert sum(len(page["executions"]) for page in pages) == PARENTS
    pages = client.get_paginator("list_executions").paginate(stateMachineArn=child, maxResults=1000)
    assert sum(len(page["executions"]) for page in pages) == PARENTS, "none was started twice"
