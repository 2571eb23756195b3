"""A history beyond the 25,000 events of AWS: restarted in the middle, redriven and stopped at its
end. A million events: STEPWELL_EVENTS=1000000 pytest -s tests/engine/test_long_history.py
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.long_history import EVENTS_OF_LOOP, measure
from tests.engine.store.conftest import own_schema

from stepwell.engine.store.keys import EVENTS as NUMBERED

EVENTS = int(os.environ.get("STEPWELL_EVENTS", NUMBERED + 3_000))
STORES: dict[str, Callable[[pytest.FixtureRequest, Path], str]] = {
    "sqlite": lambda request, folder: str(folder / "long.db"),
    "postgresql": own_schema,
}


@pytest.mark.parametrize("store", STORES)
async def test_it_costs_the_same_at_any_length(
    request: pytest.FixtureRequest, tmp_path: Path, store: str
) -> None:
    for state in EVENTS_OF_LOOP if EVENTS > 100_000 and store == "sqlite" else ("Pass",):
        db = STORES[store](request, tmp_path / state)
        (tmp_path / state).mkdir(exist_ok=True)
        found = await measure(db, EVENTS, state)
        print(store, state, found, file=sys.stderr)
        assert found.events > EVENTS > NUMBERED
        assert found.grown < 40e6
        assert found.resume_ms < 1_000
        if len(found.tenths) >= 9:  # a quick machine takes few samples of a short history
            first, last = sorted(found.tenths[:3])[1], sorted(found.tenths[-3:])[1]
            assert last < 2 * first + 5
