"""/metrics: what an operator needs to see, in the format and with the names of Prometheus."""

import shutil
import subprocess

import pytest
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import WAIT, eventually, metrics, one
from tests.integrations.server.test_server import create
from tests.postgres import PostgresServer

from stepwell.integrations.server.metrics import plain, summed

PROMTOOL = shutil.which("promtool")


def test_what_an_operator_watches(serve: Serve) -> None:
    live = serve("--log-sink", "-")
    client = live.client()
    client.start_execution(stateMachineArn=create(client, "waits", WAIT))
    soon = one({"Type": "Wait", "Seconds": 30, "End": True})
    client.start_execution(stateMachineArn=create(client, "soon", soon))
    for _ in range(3):
        client.list_state_machines()
    eventually(lambda: metrics(live)["stepwell_timers"] >= 1)
    values = metrics(live)
    assert values["stepwell_store_up"] == 1
    assert values["stepwell_timers_lag_seconds"] < 1
    assert values["stepwell_commit_errors_total"] == 0
    assert values["stepwell_shards_owned"] == values["stepwell_shards"] == 1
    assert values["stepwell_log_records_written_total"] == 0
    assert values["stepwell_log_records_dropped_total"] == 0
    assert 3 < values["process_open_fds"] < values["process_max_fds"]
    assert abs(live.db.stat().st_mtime - values["process_start_time_seconds"]) < 120
    (build,) = (name for name in values if name.startswith("stepwell_build_info"))
    assert 'store="sqlite"' in build and values[build] == 1
    # requests have a histogram for each operation
    assert values['stepwell_request_seconds_count{operation="ListStateMachines"}'] == 3
    assert values['stepwell_request_seconds_bucket{operation="ListStateMachines",le="+Inf"}'] == 3
    assert 0 < values['stepwell_request_seconds_sum{operation="ListStateMachines"}'] < 60
    # without telemetry there is none of it
    assert not [name for name in values if name.startswith("stepwell_trace_")]
    if PROMTOOL is None:
        pytest.skip("the rest needs promtool (scripts/operations)")
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"],
        input=live.get("/metrics"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_of_a_server_on_postgresql(serve: Serve, postgres_server: PostgresServer) -> None:
    live = serve("--db", f"{postgres_server.url}?search_path=metrics")
    values = metrics(live)
    assert values["stepwell_store_up"] == 1
    assert any('store="postgresql"' in name for name in values)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_of_the_database(serve: Serve, postgres_server: PostgresServer, kind: str) -> None:
    url = f"{postgres_server.url}?search_path=database_metrics"
    live = serve() if kind == "sqlite" else serve("--db", url)
    eventually(lambda: "stepwell_database_bytes" in metrics(live))
    values = metrics(live)
    assert 0 <= values["stepwell_database_free_bytes"] < values["stepwell_database_bytes"]
    for name in ("dead_rows", "oldest_transaction_seconds", "synchronous_standbys"):
        assert values[f"stepwell_database_{name}"] >= 0


def test_the_largest_drift_of_several_engines_is_shown_whatever_its_direction() -> None:
    parts = [[plain("stepwell_clock_drift_seconds", "gauge", "", each)] for each in (0, -7.5, 2)]
    (family,) = summed(parts)
    assert list(family.values) == [((), -7.5)]
