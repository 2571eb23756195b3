"""Polls the queue of one event source mapping: receives batches, and hands them to the function.

    supervised loop: receive --batch--> a task: call, delete what was taken      faults: logged, a
    pause, again; the result tells of them

After a batch that could not be handed over, a pause comes before the next is received, so a
function that cannot be called is not called at full speed, and messages are not received in vain
until they are dead letters. They come again when their visibility ends.
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
from stepwell.integrations.aws.calls import Fault, call
from stepwell.integrations.services.common.event_patterns import Match, compile_pattern
from stepwell.integrations.services.common.queues import queue_url
from stepwell.integrations.services.lambda_ import messages
from stepwell.integrations.services.runtime.pool import Answer, Call, Unavailable

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

log: Final = logging.getLogger("stepwell.functions")

Json = dict[str, Any]

LOOP: Final = "event_source_mappings"
RECEIVE: Final = 10  # messages of one ReceiveMessage
_WAIT_SECONDS: Final = 20  # of one ReceiveMessage
_CONCURRENCY: Final = 5  # batches at a time, if the mapping does not say


class Poller:
    """Of a mapping as it is now: a changed one gets another. result: its LastProcessingResult."""

    def __init__(self, host: Host, mapping: Json, new_uuid: Callable[[], str]) -> None:
        self._host, self._mapping, self._new_uuid = host, mapping, new_uuid
        self.result = messages.MAPPING_IDLE
        self._room = asyncio.Semaphore(
            mapping.get("ScalingConfig", {}).get("MaximumConcurrency", _CONCURRENCY)
        )
        self._failures = 0  # batches in a row that could not be handed over
        self._batches: set[asyncio.Task[None]] = set()
        self._loop = host.supervisor.start(LOOP, self._poll)

    async def stop(self) -> None:
        """What is cancelled comes again when its visibility ends."""
        tasks = [self._loop, *self._batches]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self) -> None:
        wanted = filters(self._mapping)
        while True:
            if self._failures:
                await self._host.supervisor.pause(LOOP, self._failures)
            await self._room.acquire()
            batch: list[Json] = []
            try:
                batch = await self._receive(wanted)
            except (EngineError, Fault) as error:
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
                    self._room.release()
            if batch:
                task = asyncio.create_task(self._hand_over(batch))
                self._batches.add(task)
                task.add_done_callback(self._handed_over)

    def _handed_over(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        self._room.release()

    # --- receiving ---

    async def _receive(self, wanted: list[Match]) -> list[Json]:
        """One batch, without what the filters leave out; that is deleted."""
        clock, url = self._host.clock, await queue_url(self._host, self._mapping["EventSourceArn"])
        batch, size, ends = list[Json](), self._mapping["BatchSize"], 0
        while len(batch) < size:
            now = clock.now()
            wait = (
                _WAIT_SECONDS if not ends else max(0, min(_WAIT_SECONDS, -(-(ends - now) // 1000)))
            )
            asked = {
                "QueueUrl": url,
                "MaxNumberOfMessages": min(RECEIVE, size - len(batch)),
                "WaitTimeSeconds": wait,
                "MessageSystemAttributeNames": ["All"],
                "MessageAttributeNames": ["All"],
            }
            received = await call(self._host, "sqs", "ReceiveMessage", asked)
            found = received.get("Messages", [])
            fitting = [
                message
                for message in found
                if not wanted or any(_fits(each, message) for each in wanted)
            ]
            await self._delete(url, [message for message in found if message not in fitting])
            batch += fitting
            ends = ends or clock.now() + self._mapping["MaximumBatchingWindowInSeconds"] * 1000
            if not found or clock.now() >= ends:
                break
        return batch

    async def _delete(self, url: str, done: list[Json]) -> None:
        for at in range(0, len(done), RECEIVE):
            entries = [
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]}
                for n, each in enumerate(done[at : at + RECEIVE])
            ]
            await call(
                self._host, "sqs", "DeleteMessageBatch", {"QueueUrl": url, "Entries": entries}
            )

    # --- handing over ---

    async def _hand_over(self, batch: list[Json]) -> None:
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
            what = f"{mapping['FunctionArn']} did not take a batch of {mapping['EventSourceArn']}"
            self._host.supervisor.report(LOOP, error, what)
            return
        self._failures, self.result = 0, messages.MAPPING_OK
        if answer.failed:
            self.result = messages.MAPPING_PROBLEM.format(problem=messages.MAPPING_FUNCTION_FAILED)
            log.warning(
                "%s did not take a batch of %s: %s",
                mapping["FunctionArn"],
                mapping["EventSourceArn"],
                answer.text,
            )

    async def _call(self, batch: list[Json]) -> Answer:
        """Call the function, and delete what it has taken. Raises SetbackError, and whatever goes
        wrong here.
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
            taken = [
                message
                for message in batch
                if failed is not None and message["MessageId"] not in failed
            ]
            await self._delete(await queue_url(self._host, self._mapping["EventSourceArn"]), taken)
        except Unavailable as unavailable:
            raise SetbackError(unavailable.reason) from None
        except (EngineError, Fault, TaskError) as error:
            raise SetbackError(f"{type(error).__name__}: {error}") from error
        return answer


def filters(mapping: Json) -> list[Match]:
    """Raises PatternFault, and JsonError."""
    return [
        compile_pattern(loads(each["Pattern"]))
        for each in mapping.get("FilterCriteria", {}).get("Filters", [])
        if "Pattern" in each
    ]


def _fits(match: Match, message: Json) -> bool:
    """Filters see the body as JSON, if it is one."""
    body = message["Body"]
    with suppress(ValueError):
        body = loads(body)
    return match({**_record(message, ""), "body": body})


def _failures(answer: Answer, partial: bool) -> set[str] | None:
    """The ids of the messages that have failed; None: all of them."""
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
    """A message as a function sees it."""
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
