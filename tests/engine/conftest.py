"""Engines under a clock that the test moves."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.engine_fixture import EngineFixture

from stepwell.engine.limits import Limits


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[EngineFixture]:
    made = EngineFixture(tmp_path / "stepwell.db")
    await made.open()
    yield made
    await made.engine.close()


@pytest.fixture(params=[False, True], ids=["", "restart"])
def restart(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[EngineFixture]]]:
    lives: list[EngineFixture] = []

    async def make(**limits: Any) -> EngineFixture:
        made = EngineFixture(tmp_path / f"{len(lives)}.db", Limits(**limits))
        lives.append(made)
        await made.open()
        return made

    yield make
    for each in lives:
        await each.engine.close()
