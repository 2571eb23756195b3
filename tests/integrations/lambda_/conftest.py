"""A server for the tests of a file, with functions."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.integrations.lambda_.calls import ECHO, archive, client_of
from tests.integrations.server.live import ROLE, Live, keep_compiled


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("lambda")
    plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    plain |= {
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "PYTHONPATH": str(ROOT / ".dev"),
        "OF_THE_SERVER": "secret",
    }
    server = Live(keep_compiled(plain, tmp_path_factory.getbasetemp()), folder / "served.db")
    yield server
    server.close()


@pytest.fixture
def client(live: Live) -> Any:
    return client_of(live.url)


@pytest.fixture
def make(client: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """make(source, ...): creates a function for the test, and returns its name."""
    names: list[str] = []

    def create(source: str = ECHO, handler: str = "f.handler", **parameters: Any) -> str:
        name = f"{request.node.name.partition('[')[0][:50]}-{len(names)}"
        names.append(name)
        code = {"ZipFile": archive(f__py=source)}
        client.create_function(
            FunctionName=name,
            Role=ROLE,
            **{"Runtime": "python3.12", "Handler": handler, "Code": code} | parameters,
        )
        return name

    yield create
    for name in names:
        client.delete_function(FunctionName=name)
