"""kill -9 of a server under load with all of its services busy: nothing that was accepted is lost,
and what is stored once happens once.

STEPWELL_SERVICE_KILLS=50 kills that often; by default a few times.
"""

import io
import itertools
import json
import os
import random
import signal
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from tests.conftest import ROOT
from tests.integrations.server.live import ACCOUNT, REGION, ROLE, Live, eventually, keep_compiled

KILLS = int(os.environ.get("STEPWELL_SERVICE_KILLS", "3"))
SEED = int(os.environ.get("STEPWELL_KILL_SEED", random.randrange(2**31)))
SERVICES = ("stepfunctions", "sqs", "sns", "events", "lambda")
# appends a byte to a file for each call, so that the size of the file is the number of calls
NOTE = """
import os
def handler(event, context):
    records = event.get("Records")
    for each in [event] if records is None else [json.loads(record["body"]) for record in records]:
        with open(os.path.join(FOLDER, each["way"] + "-" + each["id"]), "ab", buffering=0) as file:
            file.write(b".")
    return event
"""
DIRECT, ROUTED, TOPIC = "direct", "routed", "topic"  # queues


class Server:
    """A server that is killed and comes back with the same database."""

    def __init__(self, environment: dict[str, str], db: Path) -> None:
        self._environment, self._db = environment, db
        self._live: Live | None = None
        self.start()

    def start(self) -> None:
        self._live = Live(self._environment, self._db, "--allow-private")
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": REGION}
        config = Config(
            retries={"total_max_attempts": 1}, inject_host_prefix=False, read_timeout=30
        )
        url = self._live.url
        self.clients = {
            name: boto3.client(name, endpoint_url=url, config=config, **keys) for name in SERVICES
        }

    def kill(self) -> None:
        assert self._live is not None
        self._live.stop(signal.SIGKILL)

    def close(self) -> None:
        assert self._live is not None
        self._live.close()


@pytest.fixture
def server(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    plain |= {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT / ".dev"),
    }
    opened = Server(keep_compiled(plain, tmp_path_factory.getbasetemp()), tmp_path / "served.db")
    yield opened
    opened.close()


def task(resource: str, parameters: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Parameters": parameters,
        "ResultPath": None,
        **rest,
    }


def build(server: Server, notes: Path) -> str:
    """Queues, a topic, a rule, a function, and a workflow that uses all of them; the workflow's
    ARN.
    """
    sqs, sns, events, lambda_ = (
        server.clients[name] for name in ("sqs", "sns", "events", "lambda")
    )
    urls = {
        name: sqs.create_queue(QueueName=name)["QueueUrl"]
        for name in (DIRECT, ROUTED, TOPIC, "work")
    }
    arns = {name: f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}" for name in urls}
    topic = sns.create_topic(Name="news")["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arns[TOPIC],
        Attributes={"RawMessageDelivery": "true"},
    )
    events.put_rule(Name="all", EventPattern='{"source": ["test"]}')
    events.put_targets(
        Rule="all", Targets=[{"Id": "q", "Arn": arns[ROUTED], "InputPath": "$.detail"}]
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("f.py", f"import json\nFOLDER = {str(notes)!r}\n{NOTE}")
    given = {
        "Runtime": "python3.12",
        "Handler": "f.handler",
        "Role": ROLE,
        "Code": {"ZipFile": packed.getvalue()},
    }
    function = lambda_.create_function(FunctionName="note", Timeout=30, **given)["FunctionArn"]
    lambda_.create_event_source_mapping(
        EventSourceArn=arns["work"], FunctionName="note", BatchSize=5
    )
    body = {"way": "task", "id.$": "$.id"}
    event = {"Source": "test", "DetailType": "t", "Detail": body}
    states = {
        "Queue": task(
            "sqs:sendMessage", {"QueueUrl": urls[DIRECT], "MessageBody": body}, Next="Topic"
        ),
        "Topic": task("sns:publish", {"TopicArn": topic, "Message": body}, Next="Event"),
        "Event": task("events:putEvents", {"Entries": [event]}, Next="Later"),
        "Later": task(
            "lambda:invoke",
            {"FunctionName": function, "InvocationType": "Event", "Payload": body},
            Next="Now",
        ),
        "Now": task(
            "lambda:invoke",
            {"FunctionName": function, "Payload": {"way": "sync", "id.$": "$.id"}},
            End=True,
        ),
    }
    definition = json.dumps({"StartAt": "Queue", "States": states})
    machine = server.clients["stepfunctions"].create_state_machine(
        name="all", definition=definition, roleArn=ROLE
    )
    return str(machine["stateMachineArn"])


def send(server: Server, machine: str, way: str, id: str) -> bool:
    """One call from outside; whether it was accepted. If the answer was lost, this is unknown."""
    clients, body = server.clients, json.dumps({"way": way, "id": id})
    queue = f"{clients['sqs'].meta.endpoint_url}/{ACCOUNT}"
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:news"
    calls: dict[str, Any] = {
        "start": lambda: clients["stepfunctions"].start_execution(
            stateMachineArn=machine, name=id, input=body
        ),
        "queue": lambda: clients["sqs"].send_message(
            QueueUrl=f"{queue}/{DIRECT}", MessageBody=body
        ),
        "topic": lambda: clients["sns"].publish(TopicArn=topic, Message=body),
        "event": lambda: clients["events"].put_events(
            Entries=[{"Source": "test", "DetailType": "t", "Detail": body}]
        ),
        "invoke": lambda: clients["lambda"].invoke(
            FunctionName="note", InvocationType="Event", Payload=body
        ),
        "mapping": lambda: clients["sqs"].send_message(QueueUrl=f"{queue}/work", MessageBody=body),
    }
    try:
        calls[way]()
    except Exception:  # the server was killed, is away, or has just come back under another address
        return False
    return True


WAYS = ("start", "queue", "topic", "event", "invoke", "mapping")


def drained(server: Server, name: str, wanted: set[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """How often each message is in a queue, once all that are wanted have come and no more do."""
    sqs, found = server.clients["sqs"], Counter[tuple[str, str]]()
    url = f"{sqs.meta.endpoint_url}/{ACCOUNT}/{name}"

    def all_there() -> bool:
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                body = json.loads(each["Body"])
                found[body["way"], body["id"]] += 1
                sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        return wanted <= found.keys()

    eventually(all_there, 90)
    return found


def test_nothing_is_lost(server: Server, tmp_path: Path) -> None:
    print(f"STEPWELL_KILL_SEED={SEED}")
    draw, notes = random.Random(SEED), tmp_path / "notes"
    notes.mkdir()
    machine = build(server, notes)
    accepted: dict[str, set[str]] = {way: set() for way in WAYS}
    stop, numbers = threading.Event(), itertools.count()

    def work(way: str) -> None:
        while not stop.is_set():
            id = f"{next(numbers)}"
            if send(server, machine, way, id):
                accepted[way].add(id)
            else:
                stop.wait(0.05)

    with ThreadPoolExecutor(len(WAYS)) as threads:
        workers = [threads.submit(work, way) for way in WAYS]
        try:
            for _ in range(KILLS):
                before = sum(map(len, accepted.values()))
                eventually(lambda before=before: sum(map(len, accepted.values())) > before + 60, 60)
                stop.wait(draw.uniform(0, 0.5))
                server.kill()
                server.start()
        finally:
            stop.set()
        for each in workers:
            each.result()
    assert all(accepted.values()), accepted

    client = server.clients["stepfunctions"]
    for id in accepted["start"]:
        arn = machine.replace(":stateMachine:", ":execution:") + f":{id}"
        eventually(
            lambda arn=arn: client.describe_execution(executionArn=arn)["status"] != "RUNNING", 90
        )
        assert client.describe_execution(executionArn=arn)["status"] == "SUCCEEDED"
    started = {("task", id) for id in accepted["start"]}
    direct = drained(server, DIRECT, started | {("queue", id) for id in accepted["queue"]})
    topic = drained(server, TOPIC, started | {("topic", id) for id in accepted["topic"]})
    routed = drained(server, ROUTED, started | {("event", id) for id in accepted["event"]})
    for found in (
        direct,
        topic,
        routed,
    ):  # stored in one transaction with what sent it, and with what delivered it
        assert [each for each, times in found.items() if times > 1] == []

    def noted(way: str, ids: set[str]) -> bool:
        return all((notes / f"{way}-{id}").exists() for id in ids)

    for way, ids in (
        ("invoke", accepted["invoke"]),
        ("mapping", accepted["mapping"]),
        ("task", accepted["start"]),
    ):
        eventually(lambda way=way, ids=ids: noted(way, ids), 120)
    assert noted("sync", accepted["start"])
