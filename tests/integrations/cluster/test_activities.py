"""Activities: pollers of every node find the tasks of every shard, each once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.integrations.cluster.shards import ROLE, Call, Network, ShardEngine

from stepwell.engine.errors import ApiError
from stepwell.integrations.cluster.activities import ActivityPollers
from stepwell.integrations.host import LostAnswerError, UnreachableError
from stepwell.integrations.limits import DEFAULT_LIMITS

ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:a"
MACHINE = {
    "StartAt": "T",
    "States": {"T": {"Type": "Task", "Resource": ACTIVITY, "End": True}},
}
LIMITS = replace(DEFAULT_LIMITS, pollers=3)


class Shards:
    """Engines of `count` shards, and a node with pollers of its own at some of them."""

    def __init__(self, folder: Path, count: int, nodes: int) -> None:
        self.network = Network(count)
        self.engines = [
            ShardEngine(folder / f"{n}.db", self.network, n, LIMITS, real_time=True)
            for n in range(count)
        ]
        self.nodes = [ActivityPollers(self.network.peers(n), LIMITS) for n in range(nodes)]

    async def start(self, shard: int, *inputs: Any) -> None:
        """Executions of one activity task each."""
        engine = self.engines[shard].engine
        text = json.dumps(MACHINE)
        machine = await engine.create_state_machine("m", text, role_arn=ROLE)
        for each in inputs:
            await engine.start_execution(machine["stateMachineArn"], input=json.dumps(each))

    async def create(self, name: str = "a") -> None:
        for each in self.engines:
            await each.engine.create_activity(name)


@asynccontextmanager
async def shards(folder: Path, count: int = 3, nodes: int = 2) -> AsyncIterator[Shards]:
    made = Shards(folder, count, nodes)
    async with AsyncExitStack() as stack:
        for each in made.engines:
            await stack.enter_async_context(each)
        for node in made.nodes:
            stack.push_async_callback(node.close)
        await made.create()
        yield made


async def test_a_poller_gets_a_task_of_any_shard(tmp_path: Path) -> None:
    async with shards(tmp_path) as made:
        for shard in range(3):
            polling = asyncio.ensure_future(made.nodes[0].get_activity_task(ACTIVITY, "w", 20))
            await asyncio.sleep(0.05)
            await made.start(shard, {"from": shard})
            got = await polling
            assert json.loads(got["input"]) == {"from": shard} and got["taskToken"]
            (execution,) = await made.engines[shard].engine.store.list_executions(status="RUNNING")
            events = await made.engines[shard].history(execution.arn)
            assert events[-1]["type"] == "ActivityStarted"
            await made.engines[shard].engine.send_task_success(got["taskToken"], "{}")


async def test_tasks_that_wait_are_found_and_shards_take_turns(tmp_path: Path) -> None:
    async with shards(tmp_path) as made:
        for shard in range(3):
            await made.start(shard, *({"shard": shard, "n": n} for n in range(4)))
        got = []
        for _ in range(12):
            answer = await made.nodes[1].get_activity_task(ACTIVITY, None, 20)
            got.append(json.loads(answer["input"]))
        for shard in range(3):
            assert [each["n"] for each in got if each["shard"] == shard] == [0, 1, 2, 3]
        assert {each["shard"] for each in got[:5]} == {0, 1, 2}
        assert await made.nodes[1].get_activity_task(ACTIVITY, None, 0.05) == {}


async def test_an_idle_poller_costs_no_calls(tmp_path: Path) -> None:
    async with shards(tmp_path) as made:
        pollers = [
            asyncio.ensure_future(node.get_activity_task(ACTIVITY, None, 600))
            for node in made.nodes
            for _ in range(3)
        ]
        # of each node at each shard: one that subscribes, and one that waits
        await made.network.called("watch", 2 * 3 * 2)
        with pytest.raises(ApiError, match="ActivityWorkerLimitExceeded"):
            while True:  # until all pollers wait
                await made.nodes[0].get_activity_task(ACTIVITY, None, 0)
        await made.network.called("check", 2 * 3 + 1)
        before = made.network.calls.total()
        await asyncio.sleep(0.3)
        assert made.network.calls.total() == before
        assert made.network.calls["watch"] == 2 * 3 * 2
        for each in pollers:
            each.cancel()
        await asyncio.gather(*pollers, return_exceptions=True)
        # the next poll finds the subscription
        assert await made.nodes[0].get_activity_task(ACTIVITY, None, 0.01) == {}
        assert made.network.calls.total() == before + 1


async def test_a_new_activity_is_watched_beside_another(tmp_path: Path) -> None:
    async with shards(tmp_path) as made:
        await made.create("b")
        other = ACTIVITY[:-1] + "b"
        first = asyncio.ensure_future(made.nodes[0].get_activity_task(other, None, 20))
        await asyncio.sleep(0.05)
        second = asyncio.ensure_future(made.nodes[0].get_activity_task(ACTIVITY, None, 20))
        await asyncio.sleep(0.05)
        await made.start(2, 1)
        assert json.loads((await second)["input"]) == 1
        first.cancel()


async def test_an_unknown_activity_is_refused(tmp_path: Path) -> None:
    async with shards(tmp_path) as made:
        with pytest.raises(ApiError, match="ActivityDoesNotExist"):
            await made.nodes[0].get_activity_task(ACTIVITY + "x")
        await made.engines[1].engine.delete_activity(ACTIVITY)
        assert await made.nodes[0].get_activity_task(ACTIVITY, None, 0.1) == {}


async def test_a_task_that_was_taken_for_a_client_that_left_is_not_lost(tmp_path: Path) -> None:
    async with shards(tmp_path) as made:
        taken, go = asyncio.Event(), asyncio.Event()

        async def slow(call: Call) -> Any:
            answer = await call.run()
            if call.method == "take":
                taken.set()
                await go.wait()
            return answer

        made.network.fault = slow
        leaving = asyncio.ensure_future(made.nodes[0].get_activity_task(ACTIVITY, "first", 20))
        await made.start(1, "task")
        await taken.wait()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        staying = asyncio.ensure_future(made.nodes[0].get_activity_task(ACTIVITY, "second", 20))
        await asyncio.sleep(0.02)
        go.set()
        assert json.loads((await staying)["input"]) == "task"


async def test_each_task_is_given_once_over_a_bad_network(tmp_path: Path) -> None:
    """Answers are lost, calls refused and clients leave; every task arrives, and once."""
    async with shards(tmp_path) as made:
        random, got, failed = Random(7), Counter[int](), Counter[str]()

        def fails(call: Call) -> bool:
            """A take not five times: then its node would leave the task to its timeout."""
            take = call.arguments.get("call", "")
            wrong = random.random() < 0.1 and not (take and failed[take] == 3)
            failed[take] += wrong
            return wrong

        async def bad(call: Call) -> Any:
            if fails(call):
                raise UnreachableError("refused")
            await asyncio.sleep(random.random() * 0.004)
            answer = await call.run()
            if fails(call):
                raise LostAnswerError("lost")
            return answer

        async def poll(node: ActivityPollers) -> None:
            while sum(got.values()) < 60:
                try:
                    async with asyncio.timeout(random.random() * 0.1):
                        task = await node.get_activity_task(ACTIVITY, None, 0.5)
                except (TimeoutError, UnreachableError, ApiError):
                    continue
                if task:
                    got[json.loads(task["input"])] += 1

        pollers = [asyncio.ensure_future(poll(node)) for node in made.nodes for _ in range(3)]
        await asyncio.sleep(0.05)
        made.network.fault = bad
        for start in range(0, 60, 6):
            for shard in range(3):
                await made.start(shard, start + 2 * shard, start + 2 * shard + 1)
        async with asyncio.timeout(60):
            await asyncio.gather(*pollers)
        assert got == Counter(range(60))


async def test_a_shard_that_moves_is_watched_again(tmp_path: Path) -> None:
    async with shards(tmp_path) as made:
        polling = asyncio.ensure_future(made.nodes[0].get_activity_task(ACTIVITY, None, 20))
        await asyncio.sleep(0.05)
        waiting: set[asyncio.Task[Any]] = set()

        async def cut(call: Call) -> Any:
            running = asyncio.ensure_future(call.run())
            waiting.add(running)
            await asyncio.wait([running])
            if running.cancelled():
                raise LostAnswerError("the owner is no more")
            return running.result()

        made.network.fault = cut
        await made.start(2, "first")
        assert json.loads((await polling)["input"]) == "first"
        polling = asyncio.ensure_future(made.nodes[0].get_activity_task(ACTIVITY, None, 20))
        await asyncio.sleep(0.05)
        for each in waiting:
            each.cancel()
        await made.engines[2].close()
        await made.engines[2].open()
        await made.start(2, "second")
        assert json.loads((await polling)["input"]) == "second"


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_task_stays_in_its_queue_while_shards_move(seed: int, tmp_path: Path) -> None:
    """A task that was handed over to a client is that client's; all others find one."""
    async with shards(tmp_path) as made:
        random, got = Random(seed), set[int]()
        waiting, taking = set[asyncio.Task[Any]](), set[asyncio.Task[Any]]()

        async def cut(call: Call) -> Any:
            """Calls end with the owner of their shard."""
            running = asyncio.create_task(call.run())
            kind = taking if call.method == "take" else waiting
            kind.add(running)
            running.add_done_callback(kind.discard)
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:
                running.cancel()
                raise
            if running.cancelled():
                raise LostAnswerError("the owner is no more")
            return running.result()

        made.network.fault = cut

        async def poll(node: ActivityPollers) -> None:
            while len(got) < 36:
                task = await node.get_activity_task(ACTIVITY, None, 0.3)
                if task:
                    got.add(json.loads(task["input"]))

        pollers = [asyncio.create_task(poll(node)) for node in made.nodes for _ in range(2)]
        for number in range(0, 36, 6):
            shard = random.randrange(3)
            await made.start(shard, *range(number, number + 6))
            await asyncio.sleep(random.random() * 0.05)
            moving = random.randrange(1, 3)
            made.network.services.pop(moving)
            await asyncio.gather(
                *taking, return_exceptions=True
            )  # what they take is in no queue any more
            for each in list(waiting):
                each.cancel()
            await made.engines[moving].close()
            await made.engines[moving].open()
        async with asyncio.timeout(60):
            await asyncio.gather(*pollers)
        assert got == set(range(36))
