"""Replays of generated executions with their own definition: no difference, nothing unknown."""

import os

import pytest
from tests.engine.replay.histories import generated, opened, record

from stepwell.asl.validate import validate

FIRST = int(os.environ.get("STEPWELL_FIRST_SEED", "0"))
HISTORIES = int(os.environ.get("STEPWELL_HISTORIES", "120"))


@pytest.mark.parametrize("block", range(0, HISTORIES, 40))
async def test_generated_executions_are_replayed_without_a_difference(block: int) -> None:
    events = redriven = retried = 0
    async with opened() as engine:
        for seed in range(FIRST + block, FIRST + min(block + 40, HISTORIES)):
            case = generated(seed)
            if validate(case.definition).errors:
                continue  # some generated redrives have states that nothing leads to
            recorded = await record(engine, case.definition, case.input, redrives=seed % 3)
            for known in (True, False):
                found = recorded.replay(known=known)
                assert found.same and found.known, (seed, found.divergences[:3])
                assert found.unrepeatable == (), (seed, found.unrepeatable[:3])
            kinds = [each["type"] for each in recorded.events]
            events += len(kinds)
            redriven += "ExecutionRedriven" in kinds
            retried += kinds.count("LambdaFunctionFailed")
    assert events > 300 and redriven and retried
