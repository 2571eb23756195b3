"""A server with limits of its own: it shows what is in force, and what it allows passes."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import PASS, ROLE, metrics

LONG = "x" * 300_000


def test_a_server_shows_what_is_in_force(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text("payload_bytes: 400000\n")
    live = serve("--limits", tmp_path / "limits.yaml")
    client = live.client()
    machine = client.create_state_machine(name="m", definition=PASS, roleArn=ROLE)[
        "stateMachineArn"
    ]
    started = client.start_execution(stateMachineArn=machine, input=json.dumps(LONG))
    assert started["executionArn"]
    with pytest.raises(client.exceptions.ClientError, match="less than or equal to 400000"):
        client.start_execution(stateMachineArn=machine, input=json.dumps("x" * 400_000))
    line: dict[str, Any] | None = live.said("limits that differ from the defaults")
    assert line is not None and line["payload_bytes"] == line["variable_bytes"] == 400_000
    assert "queues" not in line
    values = metrics(live)
    assert values['stepwell_limit{name="payload_bytes"}'] == 400_000
    assert values['stepwell_limit{name="request_bytes"}'] == 2_097_152
    assert values['stepwell_limit{name="history_events"}'] == 25_000
