"""Event source mappings: batches of a queue's messages. The queue is on another server, so the
protocol with any SQS is tested.
"""

import asyncio
import dataclasses
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tests.integrations.bench import until
from tests.integrations.lambda_.calls import archive

from stepwell.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.tasks.registry import Registry

QUEUE = "arn:aws:sqs:us-east-1:123456789012:q"
QUEUE_URL = "http://anywhere/123456789012/q"
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
        self.url = self.client.create_queue(QueueName=name)["QueueUrl"]
        self.arn = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]

    def send(self, *bodies: str) -> None:
        for body in bodies:
            colour = {"colour": {"DataType": "String", "StringValue": "blau"}}
            self.client.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=colour)

    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)[
            "Attributes"
        ]
        return sum(int(found[name]) for name in names)

    def empty(self) -> bool:
        return not self.left()

    def show(self, record: Any) -> None:
        """End the visibility timeout of a message that a function has got."""
        self.client.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
        )


@pytest.fixture
def queue(moto: str, request: pytest.FixtureRequest) -> Queue:
    return Queue(moto, request.node.name[:60])


@asynccontextmanager
async def lambda_of(db: Path, moto: str, function: Callable[..., Any]) -> AsyncIterator[Any]:
    registry = Registry({"f": function}, outside=Outside({"sqs": moto}))
    async with Engine(db, tasks=registry):
        yield await registry.host.services.get("lambda")


class Seen:
    """A function that records the bodies of its events. answer: (bodies) -> its result."""

    def __init__(self, answer: Callable[[list[Any]], Any] = lambda records: None) -> None:
        self.batches, self.answer, self.lock = list[list[Any]](), answer, threading.Lock()

    def __call__(self, event: Any) -> Any:
        with self.lock:
            self.batches.append(event["Records"])
        return self.answer(event["Records"])

    def bodies(self) -> list[str]:
        return sorted(record["body"] for batch in self.batches for record in batch)


async def test_processed_messages_are_deleted(tmp_path: Path, moto: str, queue: Queue) -> None:
    seen = Seen()
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        mapping = await lambda_.create_event_source_mapping("f", queue.arn)
        assert (mapping["State"], mapping["BatchSize"]) == ("Creating", 10)
        assert (await lambda_.get_event_source_mapping(mapping["UUID"]))["State"] == "Enabled"
        with pytest.raises(ApiError, match="ResourceConflictException"):
            await lambda_.create_event_source_mapping("f", queue.arn)
        queue.send("a", "b", "c")
        await until(lambda: len(seen.bodies()) == 3 and queue.empty())
        record = seen.batches[0][0]
        assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == (
            "aws:sqs",
            queue.arn,
            "us-east-1",
        )
        assert record["messageAttributes"]["colour"] | {} == {
            "dataType": "String",
            "stringListValues": [],
            "binaryListValues": [],
            "stringValue": "blau",
        }
        assert record["attributes"]["ApproximateReceiveCount"] == "1"
        assert (await lambda_.delete_event_source_mapping(mapping["UUID"]))["State"] == "Deleting"
        assert (await lambda_.list_event_source_mappings())["EventSourceMappings"] == []


async def test_a_failed_batch_is_received_again(tmp_path: Path, moto: str, queue: Queue) -> None:
    def fails_first(records: list[Any]) -> None:
        if records[0]["attributes"]["ApproximateReceiveCount"] == "1":
            raise ValueError("not yet")

    seen = Seen(fails_first)
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        await lambda_.create_event_source_mapping("f", queue.arn)
        queue.send("a")
        await until(lambda: seen.batches)
        queue.show(seen.batches[0][0])
        await until(lambda: len(seen.batches) == 2 and queue.empty())
    assert set(seen.bodies()) == {"a"}


async def test_only_the_failed_messages_of_a_batch_are_received_again(
    tmp_path: Path, moto: str, queue: Queue
) -> None:
    def reports(records: list[Any]) -> Any:
        again = [
            each
            for each in records
            if each["body"] == "bad" and each["attributes"]["ApproximateReceiveCount"] == "1"
        ]
        return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in again]}

    seen = Seen(reports)
    queue.send("good", "bad", "fine")
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        await lambda_.create_event_source_mapping(
            "f", queue.arn, function_response_types=["ReportBatchItemFailures"]
        )
        await until(lambda: len(seen.bodies()) == 3 and queue.left() == 1)
        (bad,) = [each for batch in seen.batches for each in batch if each["body"] == "bad"]
        queue.show(bad)
        await until(lambda: len(seen.bodies()) == 4 and queue.empty())
    assert seen.bodies() == ["bad", "bad", "fine", "good"]


async def test_filters_and_a_window(tmp_path: Path, moto: str, queue: Queue) -> None:
    seen = Seen()
    wanted = {"Filters": [{"Pattern": json.dumps({"body": {"kind": ["order"]}})}]}
    queue.send(
        *(json.dumps({"kind": kind, "n": n}) for n in range(8) for kind in ("order", "other"))
    )
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        for bad in ({"batch_size": 11}, {"filter_criteria": {"Filters": [{"Pattern": "{"}]}}):
            with pytest.raises(ApiError, match="InvalidParameterValueException"):
                await lambda_.create_event_source_mapping("f", queue.arn, **bad)
        parameters = {
            "batch_size": 20,
            "maximum_batching_window_in_seconds": 3,
            "filter_criteria": wanted,
        }
        await lambda_.create_event_source_mapping("f", queue.arn, **parameters)
        await until(lambda: len(seen.bodies()) == 8 and queue.empty())
    assert [len(batch) for batch in seen.batches] == [8]
    assert {json.loads(body)["kind"] for body in seen.bodies()} == {"order"}


async def test_a_mapping_survives_a_restart_and_can_be_disabled(
    tmp_path: Path, moto: str, queue: Queue
) -> None:
    seen = Seen()
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        uuid = (await lambda_.create_event_source_mapping("f", queue.arn, enabled=False))["UUID"]
        queue.send("a")
        await lambda_.update_event_source_mapping(uuid, enabled=True)
        await until(lambda: seen.bodies() == ["a"] and queue.empty())
    queue.send("b")
    async with lambda_of(tmp_path / "m.db", moto, seen) as lambda_:
        await until(lambda: seen.bodies() == ["a", "b"] and queue.empty())
        assert (await lambda_.update_event_source_mapping(uuid, enabled=False))[
            "State"
        ] == "Updating"
        assert (await lambda_.get_event_source_mapping(uuid))["State"] == "Disabled"


async def test_dead_letters(tmp_path: Path, moto: str, queue: Queue) -> None:
    """A discarded event is sent to the queue unchanged, with the error as attributes."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "f.py").write_text(
        "def handler(event, context): raise ValueError('no, not this one')\n"
    )
    async with lambda_of(tmp_path / "m.db", moto, Seen()) as lambda_:
        await lambda_.create_function(
            function_name="fails",
            role="arn:aws:iam::123456789012:role/any",
            code={"S3Bucket": "hot-reload", "S3Key": str(tmp_path / "code")},
            runtime="python3.12",
            handler="f.handler",
            dead_letter_config={"TargetArn": queue.arn},
        )
        await lambda_.put_function_event_invoke_config(
            function_name="fails", maximum_retry_attempts=0
        )
        await lambda_.invoke("fails", "Event", payload=b'{"a": 1}')
        await until(lambda: not queue.empty())
    (message,) = queue.client.receive_message(QueueUrl=queue.url, MessageAttributeNames=["All"])[
        "Messages"
    ]
    assert json.loads(message["Body"]) == {"a": 1}
    attributes = {
        name: value["StringValue"] for name, value in message["MessageAttributes"].items()
    }
    assert attributes | {"RequestID": ""} == {
        "RequestID": "",
        "ErrorCode": "200",
        "ErrorMessage": "no, not this one",
    }


# --- errors ---------------------------------------------------------------------------------------


@asynccontextmanager
async def created(db: Path, **limits: Any) -> AsyncIterator[tuple[Any, Any, Any]]:
    """(Lambda, SQS, engine) with a function `f` of an archive, and an embedded queue `q`."""
    tight = dataclasses.replace(
        DEFAULT_LIMITS, background_pause_seconds=0.02, background_pause_most_seconds=0.1, **limits
    )
    registry = Registry({}, limits=tight)
    async with Engine(db, tasks=registry, limits=tight) as engine:
        lambda_, sqs = [await registry.host.services.get(name) for name in ("lambda", "sqs")]
        if "f" not in lambda_.store.functions:
            code = {"ZipFile": archive(f__py="def handler(event, context): return None")}
            await lambda_.create_function(
                "f",
                "arn:aws:iam::123456789012:role/any",
                code,
                runtime="python3.12",
                handler="f.handler",
            )
            await sqs.create_queue("q", {"VisibilityTimeout": "0"})
            await lambda_.create_event_source_mapping("f", QUEUE)
        yield lambda_, sqs, engine


async def left(sqs: Any) -> int:
    found = (await sqs.get_queue_attributes(QUEUE_URL, ["All"]))["Attributes"]
    return sum(int(found[f"ApproximateNumberOfMessages{end}"]) for end in ("", "NotVisible"))


async def result(lambda_: Any) -> str:
    (mapping,) = (await lambda_.list_event_source_mappings())["EventSourceMappings"]
    assert mapping["State"] == "Enabled"
    return str(mapping["LastProcessingResult"])


async def eventually(condition: Callable[[], Awaitable[Any]]) -> None:
    end = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.01)


async def test_code_that_cannot_be_unpacked_now_is_reported_and_retried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file at the path of the code's folder causes a temporary OSError, as a full disk does."""
    folder = tmp_path / "m.db.functions"
    folder.write_text("in the way")
    async with created(tmp_path / "m.db") as (lambda_, sqs, engine):
        assert await result(lambda_) == "No records processed"
        await sqs.send_message(QUEUE_URL, "a")

        async def reported() -> bool:
            return (await result(lambda_)).startswith("PROBLEM: ")

        await eventually(reported)
        assert await left(sqs) == 1
        assert engine.supervisor.loops["event_source_mappings"].faults >= 1
        assert any(": a batch of " in record.getMessage() for record in caplog.records)
        with pytest.raises(
            ApiError, match="ServiceException: The code of the function cannot be unpacked: "
        ):
            await lambda_.invoke("f")
        folder.unlink()

        async def healed() -> bool:
            return await result(lambda_) == "OK" and not await left(sqs)

        await eventually(healed)


async def test_a_damaged_archive_is_reported_and_the_poller_continues(tmp_path: Path) -> None:
    async with created(tmp_path / "m.db") as (lambda_, sqs, engine):
        ((key, whole),) = [each async for each in engine.records.all("lambda/code/")]
        await engine.records.write({key: whole[: len(whole) // 2]})
        await sqs.send_message(QUEUE_URL, "a")

        async def reported() -> bool:
            return (await result(lambda_)).startswith("PROBLEM: ")

        await eventually(reported)
        with pytest.raises(
            ApiError, match="InvalidZipFileException: Lambda could not unzip the deployment package"
        ):
            await lambda_.invoke("f")
        await engine.records.write({key: whole})

        async def healed() -> bool:
            return await result(lambda_) == "OK" and not await left(sqs)

        await eventually(healed)


async def test_a_failed_poller_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with created(tmp_path / "m.db") as (lambda_, sqs, engine):
        real, broken = sqs.receive_message, True

        async def receive(*args: Any, **kwargs: Any) -> Any:
            if broken:
                raise MemoryError("no memory")
            return await real(*args, **kwargs)

        monkeypatch.setattr(sqs, "receive_message", receive)
        await sqs.send_message(QUEUE_URL, "a")  # ends the long poll
        state = engine.supervisor.loops["event_source_mappings"]

        async def reported() -> bool:
            return "no memory" in await result(lambda_) and state.restarts >= 2

        await sqs.send_message(QUEUE_URL, "b")
        await eventually(reported)
        assert state.running == 1
        broken = False

        async def healed() -> bool:
            return await result(lambda_) == "OK" and not await left(sqs)

        await eventually(healed)
        assert any(
            record.exc_info
            for record in caplog.records
            if "event_source_mappings" in record.getMessage()
        )


async def test_a_deleted_queue_is_reported_and_used_when_it_is_created_again(
    tmp_path: Path,
) -> None:
    async with created(tmp_path / "m.db") as (lambda_, sqs, _):
        await sqs.delete_queue(QUEUE_URL)

        async def reported() -> bool:
            return (await result(lambda_)).startswith("PROBLEM: QueueDoesNotExist")

        await eventually(reported)
        await sqs.create_queue("q", {})
        await sqs.send_message(QUEUE_URL, "a")

        async def healed() -> bool:
            return await result(lambda_) == "OK" and not await left(sqs)

        await eventually(healed)


async def test_a_deleted_function_is_not_called_at_full_speed(tmp_path: Path) -> None:
    async with created(tmp_path / "m.db") as (lambda_, sqs, engine):
        await lambda_.delete_function("f")
        await sqs.send_message(QUEUE_URL, "a")

        async def reported() -> bool:
            return (await result(lambda_)).startswith("PROBLEM: Function not found: ")

        await eventually(reported)
        state = engine.supervisor.loops["event_source_mappings"]
        before = state.faults
        await asyncio.sleep(0.5)
        assert state.faults - before <= 0.5 / 0.01 + 5, "one batch, then a pause"
        assert await left(sqs) == 1
