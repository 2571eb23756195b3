"""Fixtures of the tests of functions and of Terraform."""

import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.integrations.bench import Bench
from tests.integrations.terraform.steps import Terraform


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.functions.close()


@pytest.fixture(scope="session", autouse=True)
def terraform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[Terraform] | None]:
    """Begun before the first test of this folder, since the provider waits for minutes; only if its
    tests are among those that run.
    """
    if shutil.which("terraform") is None or not any(
        "test_terraform" in item.nodeid for item in request.session.items
    ):
        yield None
        return
    with ThreadPoolExecutor(1) as thread:
        begun = thread.submit(Terraform, tmp_path_factory.mktemp("terraform"))
        yield begun
    if begun.exception() is None:
        begun.result().live.close()
