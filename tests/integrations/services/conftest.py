"""The house, its queues, an HTTP sink, and moto's server as the AWS outside."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.conformance.moto import moto
from tests.integrations.services.embedded_engine import House, Sink
from tests.integrations.services.queues import Place


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path / "house.db") as opened:
        yield opened


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A house with queues."""
    found = await Place(House(tmp_path / "q.db")).open()
    yield found
    await found.house.close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    opened = Sink()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def outside() -> Iterator[str]:
    with moto() as url:
        yield url
