"""Engines under a clock that the test moves."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.life import Life

from stepwell.engine.limits import Limits


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    made = Life(tmp_path / "stepwell.db")
    await made.open()
    yield made
    await made.engine.close()


@pytest.fixture(params=[False, True], ids=["", "restart"])
def restart(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Life]]]:
    lives: list[Life] = []

    async def make(**limits: Any) -> Life:
        made = Life(tmp_path / f"{len(lives)}.db", Limits(**limits))
        lives.append(made)
        await made.open()
        return made

    yield make
    for each in lives:
        await each.engine.close()
