"""Nodes that share the shards of a PostgreSQL schema are killed and take over from each other:
nothing acknowledged is lost, and every execution ends as if nothing had happened.

STEPWELL_SHARD_KILLS=200 kills that often; STEPWELL_KILL_SEED chooses the moments.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.engine.shard_runner import opened
from tests.engine.store.conftest import own_schema

from stepwell.engine.engine import Engine
from stepwell.engine.sharding import Shard, shard_of, shard_of_id

RUNNER = Path(__file__).with_name("shard_runner.py")
KILLS = int(os.environ.get("STEPWELL_SHARD_KILLS", "3"))
COUNT = 4
TASK = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:work"}
MACHINE = {
    "StartAt": "A",
    "States": {
        "A": {**TASK, "Next": "W"},
        "W": {"Type": "Wait", "Seconds": 0, "Next": "B"},
        "B": {**TASK, "End": True},
    },
}


class Node:
    """A process that runs shard_runner.py; what it prints goes to a file."""

    def __init__(self, url: str, machine: str, output: Path) -> None:
        self.output = output
        with output.open("wb") as lines:
            self.process = subprocess.Popen(
                [sys.executable, str(RUNNER), url, str(COUNT), machine],
                stdin=subprocess.PIPE,
                stdout=lines,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )

    def said(self) -> list[list[str]]:
        whole = self.output.read_text().rpartition("\n")[0]  # it may die amid a line
        return [line.split() for line in whole.splitlines()]

    def count(self, word: str) -> int:
        """How often it has said that: "owns" for each shard that it has taken over."""
        return sum(words[0] == word for words in self.said())


def eventually(nodes: list[Node], word: str, count: int) -> None:
    """Until the nodes have said that so often since they began."""
    end = time.monotonic() + 60
    while sum(node.count(word) for node in nodes) < count:
        assert time.monotonic() < end
        assert all(node.process.poll() is None for node in nodes)
        time.sleep(0.02)


async def created(url: str) -> str:
    async with opened(url, Shard(0, COUNT)) as engine:
        made = await engine.create_state_machine("m", json.dumps(MACHINE))
        return made["stateMachineArn"]


def test_nodes_are_killed_and_take_over_from_each_other(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url, moments = (
        own_schema(request, tmp_path),
        random.Random(os.environ.get("STEPWELL_KILL_SEED")),
    )
    machine = asyncio.run(created(url))
    all_nodes: list[Node] = []

    def begin() -> Node:
        all_nodes.append(Node(url, machine, tmp_path / f"node-{len(all_nodes)}"))
        return all_nodes[-1]

    living = [begin(), begin()]
    try:
        eventually(living, "owns", COUNT)
        for kill in range(KILLS):
            eventually(living, "started", sum(node.count("started") for node in living) + 25)
            time.sleep(moments.uniform(0.1, 0.6))
            victim = living.pop(0)
            other, taken = living[0], living[0].count("owns")
            frozen = kill % 3 == 2
            victim.process.send_signal(signal.SIGSTOP if frozen else signal.SIGKILL)
            eventually([other], "owns", taken + 1)
            victim.process.kill()
            victim.process.wait()
            newcomer = begin()
            living.append(newcomer)
            eventually([newcomer], "owns", 1)
        for node in living:
            assert node.process.stdin is not None
            node.process.stdin.close()
            assert node.process.wait(timeout=60) == 0
    finally:
        for node in all_nodes:
            node.process.kill()
            node.process.wait()
    said = [words for node in all_nodes for words in node.said()]
    started = {words[1] for words in said if words[0] == "started"}
    ended = {words[1]: words[2] for words in said if words[0] == "ended"}
    assert len(started) > 10 * KILLS and set(ended.values()) == {"SUCCEEDED"}
    asyncio.run(check(url, started, ended))


async def check(url: str, started: set[str], ended: dict[str, str]) -> None:
    """All that was acknowledged is there, on its shard, and ends."""
    async with AsyncExitStack() as stack:
        engines = [
            await stack.enter_async_context(opened(url, Shard(number, COUNT)))
            for number in range(COUNT)
        ]
        listed: dict[str, str] = {}
        token, pages = None, 0
        while token is not None or not pages:
            page = await engines[0].list_all_executions(max_results=1000, next_token=token)
            items, token, pages = page["executions"], page.get("nextToken"), pages + 1
            assert not listed.keys() & {item["executionArn"] for item in items}
            listed.update({item["executionArn"]: item["status"] for item in items})
        assert started <= listed.keys() and ended.items() <= listed.items()
        for arn in [arn for arn, status in listed.items() if status != "SUCCEEDED"]:
            assert (await engines[shard_of(arn, COUNT)].wait(arn, 60))["status"] == "SUCCEEDED"
        for arn in random.sample(sorted(started), min(60, len(started))):
            await check_whole(engines[shard_of(arn, COUNT)], arn)


async def check_whole(engine: Engine, arn: str) -> None:
    row, described = await engine.store.describe(arn), await engine.describe_execution(arn)
    assert row is not None and shard_of_id(row.id) == engine.shard.number
    assert described["output"] == described["input"]
    events = (await engine.get_execution_history(arn))["events"]
    assert [event["id"] for event in events] == list(range(1, row.events + 1))
    kinds = [event["type"] for event in events]
    assert kinds.count("LambdaFunctionSucceeded") == 2 and kinds.count("ExecutionStarted") == 1
    assert kinds[-1] == "ExecutionSucceeded"
