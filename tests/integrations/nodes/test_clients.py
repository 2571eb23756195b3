"""Two nodes answer clients as one server does: checks of that server, sent to two in turn."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.integrations.nodes.cluster import Cluster, cluster
from tests.integrations.server.live import keep_compiled
from tests.integrations.server.test_clients import (
    machine,
    test_any_key_and_region_may_sign,
    test_paginators_see_every_item_once,
    test_the_calls_of_terraforms_state_machine_resource,
    test_the_host_prefix_is_understood,
)
from tests.postgres import PostgresServer

from stepwell.conformance.report.results import Verdict
from stepwell.conformance.run import suites, vectors
from stepwell.conformance.run.endpoint import Endpoint

__all__ = [
    "machine",
    "test_any_key_and_region_may_sign",
    "test_paginators_see_every_item_once",
    "test_the_calls_of_terraforms_state_machine_resource",
    "test_the_host_prefix_is_understood",
]

AREAS = ("activities", "api", "distributed-map", "express", "nested", "redrive")


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("clients")
    plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    plain |= {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PYTHONPATH": str(ROOT / ".dev")}
    home = keep_compiled(plain, tmp_path_factory.getbasetemp())
    with cluster(home, postgres_server.database()) as nodes:
        yield nodes


@pytest.fixture
def client(live: Cluster) -> Any:
    return live.client()


def test_vectors_of_what_crosses_shards(live: Cluster) -> None:
    """The rest runs within one execution, as on one node."""
    chosen = [each for each in vectors.load() if each.area in AREAS]
    results = list(suites.run_vectors(Endpoint(live.url), chosen))
    failed = {each.name: each.problems for each in results if each.verdict is Verdict.FAILED}
    assert failed == {}
    assert sum(each.verdict is Verdict.PASSED for each in results) > 100
