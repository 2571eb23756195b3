"""The real engine in the simulated world: whatever dies and whenever, executions end as if nothing
had happened.

STEPWELL_SEEDS=5000 pytest tests/simulation                                   more worlds than usual
STEPWELL_FIRST_SEED=5000 STEPWELL_SEEDS=5000 pytest tests/simulation          the next ones, such as
in another process STEPWELL_SEED=1234 pytest tests/simulation
this one only
"""

import os

import pytest
from tests.simulation import worlds
from tests.simulation.workloads import WORKLOADS
from tests.simulation.world import Settings

SEEDS = int(os.environ.get("STEPWELL_SEEDS", "150"))
IN_ONE_TEST = 20
FIRST = int(os.environ.get("STEPWELL_FIRST_SEED", "0"))
ONE = os.environ.get("STEPWELL_SEED")
STARTS = [int(ONE)] if ONE else range(FIRST, FIRST + SEEDS, IN_ONE_TEST)


@pytest.mark.parametrize("start", STARTS)
def test_crashes_change_nothing(start: int) -> None:
    for seed in [start] if ONE else range(start, min(start + IN_ONE_TEST, FIRST + SEEDS)):
        found = worlds.faults(seed)
        assert not found, (
            f"seed {seed}; again: STEPWELL_SEED={seed} pytest tests/simulation/test_simulation.py\n"
            + "\n".join(found)
        )


def test_one_seed_is_one_run() -> None:
    """Bit for bit: the same commits, effects and answers at the same times."""
    chosen = ["parallel", "callback", "map run", "activity"]
    first, second, other = (worlds.play(seed, chosen, Settings()) for seed in (7, 7, 8))
    assert first.trace == second.trace
    assert first.histories == second.histories
    assert first.trace != other.trace
    assert first.lives > 1


@pytest.mark.parametrize("workload", sorted(WORKLOADS))
def test_expectation(workload: str) -> None:
    """The run that the others are compared with is the same whatever the seed, and does what the
    workload is there for.
    """
    want = worlds.expected(workload)
    outcome = worlds.play(1, [workload])
    assert (outcome.violations, outcome.histories[workload]) == ([], want)
    assert any(WORKLOADS[workload].shows in line for line in want[""])
