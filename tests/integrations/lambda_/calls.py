"""Shared by the tests of Lambda's API on a real server: functions to create, and calls of them."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.integrations.server.live import REGION

ECHO = """
import os
count = 0

def handler(event, context):
    global count
    count += 1
    print("seen")
    seen = {"event": event, "count": count, "version": context.function_version}
    return {**seen, "colour": os.environ.get("COLOUR"), "pid": os.getpid()}
"""


def archive(**files: str) -> bytes:
    """NAME__EXT=text -> the bytes of a zip with NAME.EXT."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as packed:
        for name, text in files.items():
            packed.writestr(name.replace("__", "."), text)
    return target.getvalue()


BAD = """
import os, subprocess, sys, time

def crash(event, context): os._exit(1)
def hang(event, context): time.sleep(600)
def spin(event, context):
    while True: pass
def fork(event, context):
    while True: os.fork()
def memory(event, context):
    held = []
    while True: held.append(bytearray(1 << 20))
def stdout(event, context):
    for _ in range(1000): print("x" * 100_000)
    return "dry"
def no_json(event, context): return {1, 2}
def recursion(event, context): return recursion(event, context)
def daemon(event, context):
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    return subprocess.Popen(sleep, start_new_session=True).pid
"""


def client_of(url: str) -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=70)
    return boto3.client(
        "lambda",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
    )


def invoke(
    client: Any, name: str, event: Any = None, **parameters: Any
) -> tuple[Any, dict[str, Any]]:
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode(), **parameters)
    return json.loads(answer["Payload"].read()), answer


def refused(call: Callable[..., Any], **parameters: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    response = error.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"]["Message"],
    )
