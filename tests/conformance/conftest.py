"""One stepwell server for all conformance tests, with the functions that some vectors call."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.integrations.server.live import Live, keep_compiled

from stepwell.conformance.run.endpoint import Endpoint


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("conformance")
    live = Live(
        _environment(folder), folder / "db", "--functions", ROOT / "conformance/cases/functions"
    )
    yield live
    live.close()


@pytest.fixture(scope="session")
def endpoint(ours: Live) -> Endpoint:
    return Endpoint(ours.url)


def _environment(folder: Path) -> dict[str, str]:
    import os

    own = {
        "PYTHONPATH": str(ROOT / ".dev"),
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
    }
    return keep_compiled(
        {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith("STEPWELL_")
            },
            **own,
        },
        folder,
    )
