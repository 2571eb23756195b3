"""The `aws` command knows every operation that is served here: each is asked for once, and answered
in the service's own words.

What the operations do is tested with boto3, service by service. Here is only what the command
needs: its parser of parameters, its signer, its reader of answers. One process of it asks for
everything, since each costs half a second to start.
"""

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.model import Shape
from tests.conftest import ROOT
from tests.integrations.server.live import REGION, AwsCommand, Live, keep_compiled

from stepwell.engine import Engine
from stepwell.integrations.aws.models import operation_method
from stepwell.integrations.server.protocols.aws_json import service_model
from stepwell.integrations.server.protocols.own_operations import OWN
from stepwell.integrations.services.registry import TABLE

TO_A_FILE = {
    "invoke": ["--function-name", "x", os.devnull]
}  # what writes its answer to a file wants its parameters in words
REFUSED = (254, 255)  # by the service, in versions 2 and 1
FAULTS = (
    "InternalFailure",
    "InternalError",
    "UnknownOperation",
    "ServiceUnavailable",
    "InternalServerError",
    "(500)",
    "(404)",
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("command")
    plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    plain |= {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PYTHONPATH": str(ROOT / ".dev")}
    server = Live(keep_compiled(plain, tmp_path_factory.getbasetemp()), folder / "served.db")
    yield server
    server.close()


def least(shape: Shape) -> Any:
    """The least that a parameter may be."""
    kind = shape.type_name
    if kind == "structure":
        return {name: least(shape.members[name]) for name in shape.required_members}
    if kind == "list":
        return [least(shape.member)] * max(1, shape.metadata.get("min", 1))
    if kind == "map":
        return {}
    if kind in ("integer", "long", "double", "float"):
        return max(1, shape.metadata.get("min", 1))
    words = {"boolean": False, "timestamp": "2026-01-01T00:00:00Z", "blob": "eA=="}
    return words.get(
        kind, (getattr(shape, "enum", None) or ["x" * max(1, shape.metadata.get("min", 1))])[0]
    )


def served(service: str) -> list[str]:
    """The operations of a service that are here, without our own, which the command lacks."""
    if service == "stepfunctions":
        kind: type = Engine
    else:
        module, name = TABLE[service]
        kind = getattr(importlib.import_module(f"stepwell.integrations.services.{module}"), name)
    return [
        name
        for name in service_model(service).operation_names
        if hasattr(kind, operation_method(name)) and f"{name}Input" not in OWN.get(service, {})
    ]


@pytest.mark.parametrize("service", ["stepfunctions", *TABLE])
def test_every_operation(service: str, live: Live, tmp_path: Path) -> None:
    calls = {}
    for name in served(service):
        operation, command = service_model(service).operation_model(name), xform_name(name, "-")
        given = least(operation.input_shape) if operation.input_shape is not None else {}
        calls[name] = [
            "--endpoint-url",
            live.url,
            service,
            command,
            *TO_A_FILE.get(command, ["--cli-input-json", json.dumps(given)]),
        ]
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    command = AwsCommand(environment)
    told = {}
    for name, words in calls.items():
        done = command(*words, timeout=240)
        told[name] = (done.returncode, done.stderr)
    command.close()
    assert told, "nothing is served"
    odd = {
        name: (code, text)
        for name, (code, text) in told.items()
        if code != 0
        and (
            code not in REFUSED
            or "An error occurred (" not in text
            or any(fault in text for fault in FAULTS)
        )
    }
    assert odd == {}
