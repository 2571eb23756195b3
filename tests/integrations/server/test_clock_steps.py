"""A real server whose clock is set forward and back while it runs, by libfaketime; its monotonic
clock is not changed.
"""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import botocore.auth
import pytest
from botocore.exceptions import ClientError
from tests.integrations.server.live import LIMITED, ROLE, Live, eventually, one
from tests.integrations.server.test_server import metrics
from tests.postgres import PostgresServer

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
DAY = 24 * 3600
REAL_NOW: Callable[[], Any] = botocore.auth.get_current_datetime
SECONDS = 15  # that a Wait of 1 s may take on a busy machine; the clock is wrong by more

pytestmark = pytest.mark.skipif(
    LIBRARY is None, reason="no libfaketime here (Debian: apt-get install faketime)"
)


class Faked:
    """A server that can be started again, and the clock that it shares with its clients."""

    def __init__(self, home: dict[str, str], folder: Path) -> None:
        self._file, self._keys, self._db = folder / "offset", folder / "keys", folder / "served.db"
        self._keys.write_text("[default]\naws_access_key_id = test\naws_secret_access_key = test\n")
        fake = {
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self._environment = home | fake | {"LD_PRELOAD": str(LIBRARY)}
        self.offset = 0
        self.set(0)
        self.live = self._begin()

    def _begin(self) -> Live:
        return Live(self._environment, self._db, "--credentials", self._keys, program=LIMITED)

    def set(self, seconds: int) -> None:
        """Off the real time by so much, for the server and for those who call it."""
        made = self._file.with_suffix(".new")
        made.write_text(f"{seconds:+d}")
        made.replace(self._file)
        self.offset = seconds

    def now(self, *_: object) -> Any:
        return REAL_NOW() + timedelta(seconds=self.offset)

    def kill(self) -> None:
        self.live.close()
        self.live = self._begin()

    def client(self) -> Any:
        return self.live.client()

    def close(self) -> None:
        self.live.close()


@pytest.fixture
def faked(home: dict[str, str], tmp_path: Path) -> Iterator[Faked]:
    made = Faked(home, tmp_path)
    with patch.object(botocore.auth, "get_current_datetime", made.now):
        yield made
    made.close()


def slept(faked: Faked, machine: str, meanwhile: Callable[[], object] = lambda: None) -> float:
    """How long a Wait of 1 s took in real time."""
    client = faked.client()
    began = time.monotonic()
    arn = client.start_execution(stateMachineArn=machine)["executionArn"]
    meanwhile()
    eventually(
        lambda: client.describe_execution(executionArn=arn)["status"] == "SUCCEEDED", SECONDS
    )
    return time.monotonic() - began


def test_a_wait_and_signed_requests_go_on_whatever_the_clock_does(faked: Faked):
    machine = faked.client().create_state_machine(
        name="sleeper", definition=one({"Type": "Wait", "Seconds": 1, "End": True}), roleArn=ROLE
    )["stateMachineArn"]
    taken = [slept(faked, machine)]
    for seconds in (30 * DAY, 0, -30, -600):
        taken.append(
            slept(faked, machine, lambda to=seconds: faked.set(to))
        )  # the step comes while it sleeps
        taken.append(slept(faked, machine))
        faked.kill()
        taken.append(slept(faked, machine))
    print("a Wait of 1 s took", [round(each, 2) for each in taken], file=sys.stderr)
    faked.set(-3600)
    with (
        pytest.raises(ClientError) as refused,
        patch.object(botocore.auth, "get_current_datetime", REAL_NOW),
    ):
        faked.client().list_state_machines()
    assert "Signature not yet current" in str(refused.value)


def test_the_drift_of_the_clock_is_a_metric(faked: Faked):
    assert abs(metrics(faked.live)["stepwell_clock_drift_seconds"]) < 1
    faked.set(30 * DAY)
    assert metrics(faked.live)["stepwell_clock_drift_seconds"] > 29 * DAY
    faked.set(-600)
    assert -700 < metrics(faked.live)["stepwell_clock_drift_seconds"] < -500


def test_a_node_whose_clock_differs_is_refused(
    home: dict[str, str], postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """Timers of the shards that it takes would fire early, and their time never goes back."""
    url = f"{postgres_server.url}?search_path=skewed"
    for offset, words in (("+2h", "7200 s ahead of"), ("-90", "90 s behind")):
        fake = {"LD_PRELOAD": str(LIBRARY), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1"}
        live = Live(home | fake, tmp_path / "unused", "--db", url)
        assert live.process.wait(timeout=60) == 2
        eventually(lambda live=live: live.log)
        assert f"clock of this machine is {words} that of the server" in live.log[-1]["message"]
        live.close()
