"""One `stepwell serve` for the tests of a file, and clients of it."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from tests.conftest import ROOT
from tests.integrations.server.live import REGION, ROLE, Live, keep_compiled

ECHO = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
FUNCTION = """
import base64, json

def handler(event, context):
    answer = json.loads(event["body"]) if event.get("body") else None
    return event if answer is None or answer.get("echo") else answer["answer"]
"""


class Site:
    """A server and its clients. aws(service) -> boto3's client."""

    def __init__(self, live: Live, key: str = "test", secret: str = "test") -> None:
        self.live, self.url, self._key, self._secret = live, live.url, key, secret
        self._clients: dict[str, Any] = {}

    def aws(self, service: str) -> Any:
        if service not in self._clients:
            keys = {"aws_access_key_id": self._key, "aws_secret_access_key": self._secret}
            config = Config(retries={"total_max_attempts": 1}, inject_host_prefix=False)
            self._clients[service] = boto3.client(
                service, endpoint_url=self.url, region_name=REGION, config=config, **keys
            )
        return self._clients[service]

    def machine(self, name: str, definition: str = ECHO, type: str = "STANDARD") -> str:
        created = self.aws("stepfunctions").create_state_machine(
            name=name, definition=definition, roleArn=ROLE, type=type
        )
        return str(created["stateMachineArn"])

    def inputs(self, machine: str) -> list[Any]:
        """The inputs of the executions of a machine, the oldest first."""
        states = self.aws("stepfunctions")
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine)
        listed = [each["executionArn"] for page in pages for each in page["executions"]]
        return [
            json.loads(states.describe_execution(executionArn=each)["input"])
            for each in reversed(listed)
        ]


Open = Callable[..., Live]


@pytest.fixture(scope="module")
def open_live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """open_live("--option", ...): `stepwell serve` on the database of this file's tests, with the
    functions in FUNCTION.
    """
    folder = tmp_path_factory.mktemp("triggers")
    (folder / "functions").mkdir()
    (folder / "functions" / "answer.py").write_text(FUNCTION)
    paths = [str(ROOT / ".dev"), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "HOME": str(folder), "NO_COLOR": "1"}
    environment = keep_compiled({**os.environ, **own}, tmp_path_factory.getbasetemp())
    started: list[Live] = []

    def begin(*options: object) -> Live:
        started.append(
            Live(environment, folder / "served.db", "--functions", folder / "functions", *options)
        )
        return started[-1]

    yield begin
    for each in started:
        each.close()
