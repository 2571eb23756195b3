"""Polls the queue of one event source mapping: receives batches, and invokes the function.

    supervised loop: receive --batch--> a task: invoke, delete the processed messages

A batch that the function processes is deleted from the queue. The messages of one that fails become
visible again at their visibility timeout, until the queue's redrive policy moves them. With
ReportBatchItemFailures, the function reports which messages failed. After an error, the loop
pauses: otherwise the messages of a function that cannot be invoked would soon be dead-lettered.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.json_text import loads
from stepwell.engine.errors import EngineError
from stepwell.engine.supervisor import SetbackError
from stepwell.engine.tasks import TaskError
from stepwell.integrations.aws.calls import ServiceError, call
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.common.event_patterns import Match, compile_pattern
from stepwell.integrations.services.common.queues import queue_url
from stepwell.integrations.services.lambda_ import messages
from stepwell.integrations.services.runtime.pool import Answer, Call, UnavailableError

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

log: Final = logging.getLogger("stepwell.functions")

Json = dict[str, Any]

LOOP: Final = "event_source_mappings"
RECEIVE: Final = 10  # messages of one ReceiveMessage
_WAIT_SECONDS: Final = 20  # of one ReceiveMessage
_CONCURRENCY: Final = 5  # batches at a time, without a MaximumConcurrency


class Poller:
    """mapping: a changed one needs another poller; result: its LastProcessingResult."""

    def __init__(self, host: Host, mapping: Json, new_uuid: Callable[[], str]) -> None:
        self._host, self._mapping, self._new_uuid = host, mapping, new_uuid
        self.result = messages.MAPPING_IDLE
        self._slots = asyncio.Semaphore(
            mapping.get("ScalingConfig", {}).get("MaximumConcurrency", _CONCURRENCY)
        )
        self._failures = 0  # consecutive batches that failed without an answer of the function
        self._batches: set[asyncio.Task[None]] = set()
        self._loop = host.supervisor.start(LOOP, self._poll)

    async def stop(self) -> None:
        """Messages of cancelled batches become visible again at their visibility timeout."""
        tasks = [self._loop, *self._batches]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self) -> None:
        matches = filters(self._mapping, self._host.limits)
        while True:
            if self._failures:
                await self._host.supervisor.pause(LOOP, self._failures)
            await self._slots.acquire()
            batch: list[Json] = []
            try:
                batch = await self._receive(matches)
            except (EngineError, ServiceError) as error:
                self.result = messages.MAPPING_PROBLEM.format(problem=error)
                raise SetbackError(
                    f"{self._mapping['EventSourceArn']} cannot be received from: {error}"
                ) from error
            except Exception as error:
                self.result = messages.MAPPING_PROBLEM.format(
                    problem=f"{type(error).__name__}: {error}"
                )
                raise
            finally:
                if not batch:
                    self._slots.release()
            if batch:
                task = asyncio.create_task(self._process(batch))
                self._batches.add(task)
                task.add_done_callback(self._processed)

    def _processed(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        self._slots.release()

    # --- receiving ---

    async def _receive(self, matches: list[Match]) -> list[Json]:
        """The next batch; [] if no message came. Messages that match no filter are deleted."""
        clock, url = self._host.clock, await queue_url(self._host, self._mapping["EventSourceArn"])
        batch, size, ends = list[Json](), self._mapping["BatchSize"], 0
        while len(batch) < size:
            now = clock.now()
            wait = (
                _WAIT_SECONDS if not ends else max(0, min(_WAIT_SECONDS, -(-(ends - now) // 1000)))
            )
            request = {
                "QueueUrl": url,
                "MaxNumberOfMessages": min(RECEIVE, size - len(batch)),
                "WaitTimeSeconds": wait,
                "MessageSystemAttributeNames": ["All"],
                "MessageAttributeNames": ["All"],
            }
            answer = await call(self._host, "sqs", "ReceiveMessage", request)
            received = answer.get("Messages", [])
            matching = [
                message
                for message in received
                if not matches or any(_is_match(each, message) for each in matches)
            ]
            await self._delete(url, [each for each in received if each not in matching])
            batch += matching
            ends = ends or clock.now() + self._mapping["MaximumBatchingWindowInSeconds"] * 1000
            if not received or clock.now() >= ends:
                break
        return batch

    async def _delete(self, url: str, received: list[Json]) -> None:
        for at in range(0, len(received), RECEIVE):
            entries = [
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]}
                for n, each in enumerate(received[at : at + RECEIVE])
            ]
            await call(
                self._host, "sqs", "DeleteMessageBatch", {"QueueUrl": url, "Entries": entries}
            )

    # --- processing ---

    async def _process(self, batch: list[Json]) -> None:
        mapping = self._mapping
        try:
            answer = await self._call(batch)
        except Exception as error:
            self._failures += 1
            self.result = messages.MAPPING_PROBLEM.format(
                problem=error
                if isinstance(error, SetbackError)
                else f"{type(error).__name__}: {error}"
            )
            context = f"{mapping['FunctionArn']}: a batch of {mapping['EventSourceArn']} failed"
            self._host.supervisor.report(LOOP, error, context)
            return
        self._failures, self.result = 0, messages.MAPPING_OK
        if answer.failed:
            self.result = messages.MAPPING_PROBLEM.format(problem=messages.MAPPING_FUNCTION_FAILED)
            log.warning(
                "%s: a batch of %s failed: %s",
                mapping["FunctionArn"],
                mapping["EventSourceArn"],
                answer.text,
            )

    async def _call(self, batch: list[Json]) -> Answer:
        """Invoke the function, and delete the messages that it processed. Raises SetbackError if
        that is not possible now.
        """
        mapping = self._mapping
        target = self._host.functions.find(mapping["FunctionArn"])
        if target is None:
            raise SetbackError(messages.FUNCTION_UNKNOWN.format(arn=mapping["FunctionArn"]))
        records = [_record(message, mapping["EventSourceArn"]) for message in batch]
        try:
            answer: Answer = await target.invoke(
                {"Records": records}, Call(self._new_uuid(), target.arn, target.version, tail=False)
            )
            failed = _failures(
                answer, "ReportBatchItemFailures" in mapping["FunctionResponseTypes"]
            )
            processed = [
                message
                for message in batch
                if failed is not None and message["MessageId"] not in failed
            ]
            await self._delete(
                await queue_url(self._host, self._mapping["EventSourceArn"]), processed
            )
        except UnavailableError as error:
            raise SetbackError(error.reason) from None
        except (EngineError, ServiceError, TaskError) as error:
            raise SetbackError(f"{type(error).__name__}: {error}") from error
        return answer


def filters(mapping: Json, limits: Limits) -> list[Match]:
    """The compiled filters of a mapping. Raises PatternError, JsonError."""
    return [
        compile_pattern(loads(each["Pattern"]), limits)
        for each in mapping.get("FilterCriteria", {}).get("Filters", [])
        if "Pattern" in each
    ]


def _is_match(match: Match, message: Json) -> bool:
    """Filters apply to the body as a JSON value, if it is JSON."""
    body = message["Body"]
    with suppress(ValueError):
        body = loads(body)
    return match({**_record(message, ""), "body": body})


def _failures(answer: Answer, partial: bool) -> set[str] | None:
    """The ids of the messages that failed; None: all. partial: with ReportBatchItemFailures."""
    if answer.failed:
        return None
    if (
        not partial
        or not isinstance(answer.value, dict)
        or not answer.value.get("batchItemFailures")
    ):
        return set()
    listed = answer.value["batchItemFailures"]
    ids = (
        [each.get("itemIdentifier") if isinstance(each, dict) else None for each in listed]
        if isinstance(listed, list)
        else [None]
    )
    return None if not all(isinstance(each, str) and each for each in ids) else set(map(str, ids))


def _record(message: Json, source: str) -> Json:
    """A message as the function's event has it."""
    attributes = {
        name: {
            "dataType": value["DataType"],
            "stringListValues": [],
            "binaryListValues": [],
            **({"stringValue": value["StringValue"]} if "StringValue" in value else {}),
            **({"binaryValue": _base64(value["BinaryValue"])} if "BinaryValue" in value else {}),
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": attributes,
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": source,
        "awsRegion": source.split(":")[3] if source else "",
    }


def _base64(value: bytes | str) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
