"""Fixtures of the tests of functions."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integrations.bench import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.functions.close()
