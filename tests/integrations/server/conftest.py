"""The server as a fixture."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.server.live import LIMITED, Live, keep_compiled

Serve = Callable[..., Live]


@pytest.fixture
def home(home: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return keep_compiled(home, tmp_path_factory.getbasetemp())


@pytest.fixture
def serve(home: dict[str, str], tmp_path: Path) -> Iterator[Serve]:
    """serve("--host", ..., limits={...}): `stepwell serve` on the test's database; killed when the
    test is over.
    """
    started: list[Live] = []

    def begin(*options: object, **limits: Any) -> Live:
        started.append(Live(home, tmp_path / "served.db", *options, program=LIMITED, limits=limits))
        return started[-1]

    yield begin
    for each in started:
        each.close()
