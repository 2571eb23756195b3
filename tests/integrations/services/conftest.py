"""The house, its queues, an HTTP sink, and moto's server as the AWS outside."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.conformance.moto import moto
from tests.integrations.services.embedded_engine import EmbeddedEngine, Sink
from tests.integrations.services.queues import QueueFixture


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[EmbeddedEngine]:
    async with EmbeddedEngine(tmp_path / "house.db") as opened:
        yield opened


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[QueueFixture]:
    """A house with queues."""
    found = await QueueFixture(EmbeddedEngine(tmp_path / "q.db")).open()
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
