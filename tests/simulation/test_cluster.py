"""Real nodes in a simulated cluster: whatever dies, freezes, is cut off or lost, each execution
ends as if nothing had happened, and sends each message once.

STEPWELL_CLUSTER_SEEDS=5000 pytest tests/simulation/test_cluster.py     more worlds than usual
STEPWELL_CLUSTER_FIRST=5000 STEPWELL_CLUSTER_SEEDS=5000 pytest ...      the next ones
STEPWELL_CLUSTER_SEED=1234 pytest tests/simulation/test_cluster.py      this one only
"""

import asyncio
import os
from unittest.mock import patch

import pytest
from tests.simulation.cluster import customers
from tests.simulation.cluster.customers import QUEUE
from tests.simulation.cluster.world import Settings, World

from stepwell.engine.sharding import HOME
from stepwell.engine.store.membership import View

SEEDS = int(os.environ.get("STEPWELL_CLUSTER_SEEDS", "60"))
IN_ONE_TEST = 20
FROZEN_SECONDS = 30
FIRST = int(os.environ.get("STEPWELL_CLUSTER_FIRST", "0"))
ONE = os.environ.get("STEPWELL_CLUSTER_SEED")
STARTS = [int(ONE)] if ONE else range(FIRST, FIRST + SEEDS, IN_ONE_TEST)


@pytest.mark.parametrize("start", STARTS)
def test_troubles_change_nothing(start: int) -> None:
    for seed in [start] if ONE else range(start, min(start + IN_ONE_TEST, FIRST + SEEDS)):
        found = customers.faults(seed)
        assert not found, (
            f"seed {seed}; again: STEPWELL_CLUSTER_SEED={seed} pytest "
            "tests/simulation/test_cluster.py\n" + "\n".join(found)
        )


@pytest.mark.parametrize("seed", [2559, 3819, 5541])
def test_a_node_that_was_frozen_looks_before_it_answers(seed: int) -> None:
    """Worlds in which it said of a queue that another owner had created: it does not exist."""
    assert not customers.faults(seed)


@pytest.mark.parametrize("seed", [10, 12])
def test_a_node_that_was_frozen_while_it_opened_a_shard_looks_before_it_answers(seed: int) -> None:
    """It had taken home before; another node has taken it since, and created a queue."""
    world = World(seed, Settings())
    refused: list[BaseException | None] = []

    async def story() -> None:
        while HOME not in world.server.owners:  # noqa: ASYNC110  (it has no event)
            await asyncio.sleep(0.0001)
        frozen = world.server.owners[HOME].process
        await asyncio.sleep(world.rng.random() * 0.6)
        assert HOME not in frozen.node.owned
        world.loop.freeze(frozen)
        await asyncio.sleep(FROZEN_SECONDS)
        (other,) = [each for each in world.processes if each is not frozen]
        await other.spawn(other.front.services["sqs"].create_queue(queue_name="q"))
        world.loop.thaw(frozen)
        for _ in range(100):
            task = frozen.spawn(frozen.front.services["sqs"].receive_message(queue_url=QUEUE))
            task.add_done_callback(lambda task: refused.append(task.exception()))
            await asyncio.sleep(0.01)
        await asyncio.wait([task])

    world.run([story])
    assert not world.violations
    assert not [each for each in refused if each is not None]


def test_a_look_that_fails_by_a_defect_is_not_the_last() -> None:
    world, looks = World(1, Settings()), []

    async def story() -> None:
        first = world.processes[0]
        look = first.members.look

        async def failing() -> View:
            looks.append(world.loop.virtual)
            if len(looks) == 3:
                raise ZeroDivisionError
            return await look()

        with patch.object(first.members, "look", failing):
            await asyncio.sleep(FROZEN_SECONDS)
        assert first.node.sees

    world.run([story])
    assert len(looks) > 10
    assert not world.violations


def test_a_call_that_is_sent_after_a_freeze_takes_no_effect() -> None:
    """A node sent a task home that the next owner of its shard had had done, and home, opened
    again meanwhile, did not know it any more.
    """
    assert not customers.faults(11595)


def test_one_seed_is_one_run() -> None:
    chosen = ["send", "callback", "nested"]
    settings = Settings(nodes=3, troubles=5, commits=(0.01, 0.01), network=0.1)
    first, second, other = (customers.play(seed, chosen, settings) for seed in (7, 7, 8))
    assert first.trace == second.trace
    assert first.trace != other.trace
