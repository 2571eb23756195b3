"""The house, an HTTP sink, and moto's server as the AWS outside."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.conformance.moto import moto
from tests.integrations.local.house import House, Sink


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path / "house.db") as opened:
        yield opened


@pytest.fixture
def sink() -> Iterator[Sink]:
    opened = Sink()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def outside() -> Iterator[str]:
    with moto() as url:
        yield url
