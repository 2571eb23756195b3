"""The suite finds each of these small bugs, planted into the engine of a real server, within 2,000
examples.

STEPWELL_PLANTED=all tries every one of them; without it, a handful.
"""

import os
import sys
from pathlib import Path

import pytest
from tests.conformance import planted
from tests.conformance.conftest import _environment
from tests.integrations.server.live import Live

from stepwell.conformance.run import generated
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.endpoint import Endpoint
from stepwell.conformance.run.worker import Workers

MOST = 2_000
ALL = tuple(planted.BUGS)
TRIED = ALL if os.environ.get("STEPWELL_PLANTED") == "all" else ALL[::9]


@pytest.mark.parametrize("bug", TRIED)
def test_bug_is_found(bug: str, tmp_path: Path) -> None:
    live = Live(
        _environment(tmp_path), tmp_path / "db", program=[sys.executable, planted.__file__, bug]
    )
    try:
        endpoint = Endpoint(live.url, threads=64)
        with Workers(endpoint) as workers, Runner(endpoint, workers.real) as runner:
            tally = generated.Tally(most=1)
            areas = generated.MACHINES
            generated.run_many(
                runner,
                lambda number: generated.numbered(5, areas[number % len(areas)], number),
                MOST,
                None,
                tally,
            )
        assert tally.failures, f"not found in {tally.count} examples"
        print(f"{bug}: found by example {tally.count}")  # `pytest -rP` shows it
    finally:
        live.close()


@pytest.mark.parametrize("bug", ALL)
def test_plant_fits(bug: str) -> None:
    """Each bug can be planted in one place."""
    module, source = planted.place(bug)
    compile(source, module, "exec")
