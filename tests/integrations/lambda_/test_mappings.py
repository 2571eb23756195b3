"""Event source mappings: batches of a queue's messages. The queue is another server's, so what is proved is the protocol with any SQS."""

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tests.integrations.bench import until

from stepwell.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.integrations.outside import Outside
from stepwell.integrations.service import Registry

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


class Queue:
    def __init__(self, url: str, name: str) -> None:
        self.client = boto3.client("sqs", endpoint_url=url, **KEYS)
        self.url = self.client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
        self.arn = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def send(self, *bodies: str) -> None:
        for body in bodies:
            colour = {"colour": {"DataType": "String", "StringValue": "blau"}}
            self.client.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=colour)

    def empty(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return all(int(found[name]) == 0 for name in names)


@pytest.fixture
def queue(moto: str, request: pytest.FixtureRequest) -> Queue:
    return Queue(moto, request.node.name[:60])


@asynccontextmanager
async def lambda_of(db: Path, moto: str, function: Callable[..., Any]) -> AsyncIterator[Any]:
    registry = Registry({"f": function}, outside=Outside({"sqs": moto}))
    async with Engine(db, tasks=registry):
        yield await registry.host.services.get("lambda")


class Seen:
    """A function that keeps the bodies that it was called with. answer: what it then does with them."""

    def __init__(self, answer: Callable[[list[Any]], Any] = lambda records: None) -> None:
        self.batches, self.answer, self.lock = list[list[Any]](), answer, threading.Lock()

    def __call__(self, event: Any) -> Any:
        with self.lock:
            self.batches.append(event["Records"])
        return self.answer(event["Records"])

    def bodies(self) -> list[str]:
        return sorted(record["body"] for batch in self.batches for record in batch)


async def test_messages_are_handed_over_and_deleted(tmp_path: Path, moto: str, queue: Queue) -> None:
    seen = Seen()
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        made = await lambda_.create_event_source_mapping("f", queue.arn)
        assert (made["State"], made["BatchSize"]) == ("Creating", 10)
        assert (await lambda_.get_event_source_mapping(made["UUID"]))["State"] == "Enabled"
        with pytest.raises(ApiError, match="ResourceConflictException"):
            await lambda_.create_event_source_mapping("f", queue.arn)
        queue.send("a", "b", "c")
        await until(lambda: len(seen.bodies()) == 3 and queue.empty(), 20)
        record = seen.batches[0][0]
        assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:sqs", queue.arn, "us-east-1")
        assert record["messageAttributes"]["colour"] | {} == {
            "dataType": "String",
            "stringListValues": [],
            "binaryListValues": [],
            "stringValue": "blau",
        }
        assert record["attributes"]["ApproximateReceiveCount"] == "1"
        assert (await lambda_.delete_event_source_mapping(made["UUID"]))["State"] == "Deleting"
        assert (await lambda_.list_event_source_mappings())["EventSourceMappings"] == []


async def test_a_batch_that_fails_comes_again(tmp_path: Path, moto: str, queue: Queue) -> None:
    def fails_first(records: list[Any]) -> None:
        if records[0]["attributes"]["ApproximateReceiveCount"] == "1":
            raise ValueError("not yet")

    seen = Seen(fails_first)
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        await lambda_.create_event_source_mapping("f", queue.arn)
        queue.send("a")
        await until(lambda: len(seen.batches) >= 2 and queue.empty(), 20)
    assert set(seen.bodies()) == {"a"}


async def test_only_what_failed_of_a_batch_comes_again(tmp_path: Path, moto: str, queue: Queue) -> None:
    def reports(records: list[Any]) -> Any:
        again = [each for each in records if each["body"] == "bad" and each["attributes"]["ApproximateReceiveCount"] == "1"]
        return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in again]}

    seen = Seen(reports)
    queue.send("good", "bad", "fine")
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        await lambda_.create_event_source_mapping("f", queue.arn, function_response_types=["ReportBatchItemFailures"])
        await until(lambda: len(seen.bodies()) == 4 and queue.empty(), 20)
    assert seen.bodies() == ["bad", "bad", "fine", "good"]


async def test_filters_and_a_window(tmp_path: Path, moto: str, queue: Queue) -> None:
    seen = Seen()
    wanted = {"Filters": [{"Pattern": json.dumps({"body": {"kind": ["order"]}})}]}
    queue.send(*(json.dumps({"kind": kind, "n": n}) for n in range(8) for kind in ("order", "other")))
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        for bad in ({"batch_size": 11}, {"filter_criteria": {"Filters": [{"Pattern": "{"}]}}):
            with pytest.raises(ApiError, match="InvalidParameterValueException"):
                await lambda_.create_event_source_mapping("f", queue.arn, **bad)
        given = {"batch_size": 20, "maximum_batching_window_in_seconds": 1, "filter_criteria": wanted}
        await lambda_.create_event_source_mapping("f", queue.arn, **given)
        await until(lambda: len(seen.bodies()) == 8 and queue.empty(), 20)
    assert [len(batch) for batch in seen.batches] == [8]
    assert {json.loads(body)["kind"] for body in seen.bodies()} == {"order"}


async def test_a_mapping_outlives_the_process_and_can_be_switched_off(tmp_path: Path, moto: str, queue: Queue) -> None:
    seen = Seen()
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        uuid = (await lambda_.create_event_source_mapping("f", queue.arn, enabled=False))["UUID"]
        queue.send("a")
        await lambda_.update_event_source_mapping(uuid, enabled=True)
        await until(lambda: seen.bodies() == ["a"] and queue.empty(), 20)
    queue.send("b")
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        await until(lambda: seen.bodies() == ["a", "b"] and queue.empty(), 30)
        assert (await lambda_.update_event_source_mapping(uuid, enabled=False))["State"] == "Updating"
        assert (await lambda_.get_event_source_mapping(uuid))["State"] == "Disabled"


async def test_dead_letters(tmp_path: Path, moto: str, queue: Queue) -> None:
    """An event that is given up goes to the queue as it was, with what went wrong beside it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "f.py").write_text("def handler(event, context): raise ValueError('no, not this one')\n")
    async with lambda_of(tmp_path / "m.db", moto, Seen()) as lambda_:
        await lambda_.create_function(
            function_name="fails",
            role="arn:aws:iam::123456789012:role/any",
            code={"S3Bucket": "hot-reload", "S3Key": str(tmp_path / "code")},
            runtime="python3.12",
            handler="f.handler",
            dead_letter_config={"TargetArn": queue.arn},
        )
        await lambda_.put_function_event_invoke_config(function_name="fails", maximum_retry_attempts=0)
        await lambda_.invoke("fails", "Event", payload=b'{"a": 1}')
        await until(lambda: not queue.empty(), 20)
    (message,) = queue.client.receive_message(QueueUrl=queue.url, MessageAttributeNames=["All"])["Messages"]
    assert json.loads(message["Body"]) == {"a": 1}
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes | {"RequestID": ""} == {"RequestID": "", "ErrorCode": "200", "ErrorMessage": "no, not this one"}
