"""Event source mappings: queues of ours whose messages are handed to a function in batches.

A mapping is a record, `lambda/mapping/UUID`, and while it is enabled a task that waits at the queue. A batch that the function takes is
deleted from the queue; of one that fails nothing is, so the messages come again when their visibility ends, until the queue's redrive
policy takes them away. With ReportBatchItemFailures the function says which have failed.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl import messages
from stepwell.asl.jsontext import loads
from stepwell.engine.errors import ApiError, EngineError
from stepwell.engine.tasks import TaskError
from stepwell.integrations.calls import Fault, call
from stepwell.integrations.local.lambda_ import base
from stepwell.integrations.local.lambda_.base import Base, Json, page, with_marker
from stepwell.integrations.local.patterns import Match, PatternFault, compile_pattern
from stepwell.integrations.local.pool import Answer, Call, Unavailable

if TYPE_CHECKING:
    from stepwell.integrations.service import Host

log: Final = logging.getLogger("stepwell.functions")

MAPPINGS: Final = "lambda/mapping/"
_ARN: Final = ":event-source-mapping:"  # before the UUID
_AT_ONCE: Final = 10  # messages of one ReceiveMessage
_WAIT_SECONDS: Final = 20  # of one ReceiveMessage
_PAUSE_SECONDS: Final = 5  # after a queue or a function could not be reached
_CONCURRENCY: Final = 5  # batches at a time, if the mapping does not say
# keyword -> member: what a mapping takes over as it is given
_PLAIN: Final = {
    "batch_size": "BatchSize",
    "maximum_batching_window_in_seconds": "MaximumBatchingWindowInSeconds",
    "filter_criteria": "FilterCriteria",
    "scaling_config": "ScalingConfig",
    "function_response_types": "FunctionResponseTypes",
}


class Mappings(Base):
    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.mappings: dict[str, Json] = {}
        self._pollers: dict[str, asyncio.Task[None]] = {}

    async def _load_mappings(self) -> None:
        async for _, blob in self.records.all(MAPPINGS):
            mapping = base.decode(blob)
            self.mappings[mapping["UUID"]] = mapping

    def start_polling(self) -> None:
        for uuid in self.mappings:
            self._poll_if_enabled(uuid)

    # --- operations ---

    async def create_event_source_mapping(
        self, function_name: str, event_source_arn: str = "", enabled: bool = True, tags: Mapping[str, str] | None = None, **given: Any
    ) -> Json:
        self.check_tags(tags or {})
        parts = event_source_arn.split(":")
        if len(parts) != 6 or parts[2] != "sqs":
            raise ApiError("InvalidParameterValueException", messages.MAPPING_SOURCE.format(arn=event_source_arn))
        async with self.lock:
            arn = self._function_arn(function_name)
            for other in self.mappings.values():
                if (other["EventSourceArn"], other["FunctionArn"]) == (event_source_arn, arn):
                    text = messages.MAPPING_EXISTS.format(source=event_source_arn, function=arn, uuid=other["UUID"])
                    raise ApiError("ResourceConflictException", text)
            if len(self.mappings) >= self.limits.functions:
                raise ApiError("ServiceQuotaExceededException", messages.MAPPING_QUOTA.format(limit=self.limits.functions))
            uuid = self.new_uuid()
            mapping = {
                "UUID": uuid,
                "EventSourceArn": event_source_arn,
                "BatchSize": 10,
                "MaximumBatchingWindowInSeconds": 0,
                "FunctionResponseTypes": [],
                "FunctionArn": arn,
                "EventSourceMappingArn": self.arn("x").partition(":function:")[0] + f"{_ARN}{uuid}",
                "Tags": dict(tags or {}),  # not a member of the API's answers: ListTags shows them
            }
            await self._set(mapping, {"enabled": enabled, **given})
        return {**self.mappings[uuid], "State": "Creating"}

    async def update_event_source_mapping(self, uuid: str, function_name: str | None = None, **given: Any) -> Json:
        async with self.lock:
            mapping = self._mapping(uuid)
            if function_name is not None:
                mapping = {**mapping, "FunctionArn": self._function_arn(function_name)}
            await self._set(mapping, given)
        return {**self.mappings[uuid], "State": "Updating"}

    async def _set(self, mapping: Json, given: Json) -> None:
        """Store it, changed and checked, and let it be polled anew. Raises ApiError."""
        changed = {**mapping, **{_PLAIN[name]: value for name, value in given.items() if name in _PLAIN}}
        if changed["BatchSize"] > _AT_ONCE and (
            changed["EventSourceArn"].endswith(".fifo") or not changed["MaximumBatchingWindowInSeconds"]
        ):
            raise ApiError("InvalidParameterValueException", messages.MAPPING_BATCH)
        try:
            _filters(changed)
        except (PatternFault, ValueError) as fault:
            raise ApiError("InvalidParameterValueException", messages.MAPPING_FILTER.format(problem=fault)) from None
        enabled = given.get("enabled", mapping.get("State") == "Enabled")
        changed |= {
            "State": "Enabled" if enabled else "Disabled",
            "StateTransitionReason": "USER_INITIATED",
            "LastModified": self.seconds(),
        }
        await self.records.write({MAPPINGS + changed["UUID"]: base.encode(changed)})
        self.mappings[changed["UUID"]] = changed
        await self._stop(changed["UUID"])
        self._poll_if_enabled(changed["UUID"])

    async def get_event_source_mapping(self, uuid: str) -> Json:
        return self._mapping(uuid)

    async def delete_event_source_mapping(self, uuid: str) -> Json:
        async with self.lock:
            mapping = self._mapping(uuid)
            await self.records.write({MAPPINGS + uuid: None})
            del self.mappings[uuid]
            await self._stop(uuid)
        return {**mapping, "State": "Deleting"}

    async def list_event_source_mappings(
        self, event_source_arn: str | None = None, function_name: str | None = None, marker: str | None = None, max_items: int | None = None
    ) -> Json:
        arn = None if function_name is None else self._function_arn(function_name)
        found = [
            mapping
            for _, mapping in sorted(self.mappings.items())
            if event_source_arn in (None, mapping["EventSourceArn"]) and arn in (None, mapping["FunctionArn"])
        ]
        shown, following = page(found, marker, max_items, self.limits.function_page, lambda mapping: mapping["UUID"])
        without_tags = [{name: value for name, value in mapping.items() if name != "Tags"} for mapping in shown]
        return with_marker({"EventSourceMappings": without_tags}, following)

    # --- tags ---

    def mapping_tags(self, arn: str) -> dict[str, str] | None:
        """Those of an event source mapping; None if the ARN is that of something else. Raises ApiError."""
        _, separator, uuid = arn.partition(_ARN)
        return self._mapping(uuid).get("Tags", {}) if separator else None

    async def put_mapping_tags(self, arn: str, tags: dict[str, str]) -> None:
        self.check_tags(tags)
        async with self.lock:
            mapping = {**self._mapping(arn.partition(_ARN)[2]), "Tags": tags}
            await self.records.write({MAPPINGS + mapping["UUID"]: base.encode(mapping)})
            self.mappings[mapping["UUID"]] = mapping

    def _mapping(self, uuid: str) -> Json:
        if uuid not in self.mappings:
            raise ApiError("ResourceNotFoundException", messages.MAPPING_UNKNOWN)
        return self.mappings[uuid]

    def _function_arn(self, reference: str) -> str:
        """Of a function that is here. Raises ApiError."""
        target = self.host.functions.find(reference)
        if target is None:
            raise self.unknown(*self.split(reference))
        return target.arn

    # --- polling ---

    def _poll_if_enabled(self, uuid: str) -> None:
        if self.mappings[uuid]["State"] == "Enabled":
            self._pollers[uuid] = asyncio.create_task(self._poll(self.mappings[uuid]))

    async def _stop(self, uuid: str) -> None:
        poller = self._pollers.pop(uuid, None)
        if poller is not None:
            poller.cancel()
            await asyncio.gather(poller, return_exceptions=True)

    async def stop_polling(self) -> None:
        for uuid in list(self._pollers):
            await self._stop(uuid)

    async def _poll(self, mapping: Json) -> None:
        """Receive and hand over, as many batches at a time as may be. What is cancelled comes again when its visibility ends."""
        room = asyncio.Semaphore(mapping.get("ScalingConfig", {}).get("MaximumConcurrency", _CONCURRENCY))
        filters = _filters(mapping)
        async with asyncio.TaskGroup() as batches:
            while True:
                await room.acquire()
                batch: list[Json] = []
                try:
                    batch = await self._receive(mapping, filters)
                except (EngineError, Fault) as error:
                    log.warning("%s cannot be received from: %s", mapping["EventSourceArn"], error)
                    await self._pause(_PAUSE_SECONDS)
                if batch:
                    batches.create_task(self._hand_over(mapping, batch)).add_done_callback(lambda _: room.release())
                else:
                    room.release()

    async def _url(self, mapping: Json) -> str:
        """Of the queue. Raises ApiError, Fault."""
        account, name = mapping["EventSourceArn"].split(":")[4:6]
        found = await call(self.host, "sqs", "GetQueueUrl", {"QueueName": name, "QueueOwnerAWSAccountId": account})
        url: str = found["QueueUrl"]
        return url

    async def _receive(self, mapping: Json, filters: list[Match]) -> list[Json]:
        """One batch, without what the filters leave out; that is deleted."""
        url = await self._url(mapping)
        batch, size, ends = list[Json](), mapping["BatchSize"], 0
        while len(batch) < size:
            now = self.clock.now()
            wait = _WAIT_SECONDS if not ends else max(0, min(_WAIT_SECONDS, -(-(ends - now) // 1000)))
            asked = {
                "QueueUrl": url,
                "MaxNumberOfMessages": min(_AT_ONCE, size - len(batch)),
                "WaitTimeSeconds": wait,
                "MessageSystemAttributeNames": ["All"],
                "MessageAttributeNames": ["All"],
            }
            received = await call(self.host, "sqs", "ReceiveMessage", asked)
            found = received.get("Messages", [])
            fitting = [message for message in found if not filters or any(_fits(each, message) for each in filters)]
            await self._delete(url, [message for message in found if message not in fitting])
            batch += fitting
            ends = ends or self.clock.now() + mapping["MaximumBatchingWindowInSeconds"] * 1000
            if not found or self.clock.now() >= ends:
                break
        return batch

    async def _hand_over(self, mapping: Json, batch: list[Json]) -> None:
        records = [_record(message, mapping["EventSourceArn"]) for message in batch]
        target = self.host.functions.find(mapping["FunctionArn"])
        problem = "the function is no more"
        try:
            if target is not None:
                answer = await target.invoke({"Records": records}, Call(self.new_uuid(), target.arn, target.version, tail=False))
                failed = _failures(answer, "ReportBatchItemFailures" in mapping["FunctionResponseTypes"])
                taken = [message for message in batch if failed is not None and message["MessageId"] not in failed]
                await self._delete(await self._url(mapping), taken)
                problem = "" if not answer.failed else answer.text
        except Unavailable as unavailable:
            problem = unavailable.reason
            await self._pause(1)
        except (EngineError, Fault, TaskError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            log.warning("%s did not take a batch of %s: %s", mapping["FunctionArn"], mapping["EventSourceArn"], problem)

    async def _delete(self, url: str, done: list[Json]) -> None:
        for at in range(0, len(done), _AT_ONCE):
            entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(done[at : at + _AT_ONCE])]
            await call(self.host, "sqs", "DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})

    async def _pause(self, seconds: int) -> None:
        over = asyncio.Event()
        alarm = self.clock.call_at(self.clock.now() + seconds * 1000, over.set)
        try:
            await over.wait()
        finally:
            alarm.cancel()


def _filters(mapping: Json) -> list[Match]:
    """Raises PatternFault, and JsonFault."""
    return [compile_pattern(loads(each["Pattern"])) for each in mapping.get("FilterCriteria", {}).get("Filters", []) if "Pattern" in each]


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
    if not partial or not isinstance(answer.value, dict) or not answer.value.get("batchItemFailures"):
        return set()
    listed = answer.value["batchItemFailures"]
    ids = [each.get("itemIdentifier") if isinstance(each, dict) else None for each in listed] if isinstance(listed, list) else [None]
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
