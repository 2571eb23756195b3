"""Asynchronous invocations (events): each is a record until the function succeeds or it expires.

    accept --commit--> queue by due time --> function --> OnSuccess destination -> record deleted
                             ^-- 1 min, 2 min --'  '--> at last: OnFailure, dead-letter queue --^

After a crash, the call or the message to the destination is repeated: at least once, as on AWS. At
most `function_events` of them are in memory; the others are read from the store later.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.json_text import dumps, encode, loads
from stepwell.asl.timestamps import iso_milliseconds
from stepwell.engine.clock import Alarm
from stepwell.engine.errors import EngineError, StoreError
from stepwell.engine.tasks import TaskError, Transaction
from stepwell.integrations.aws.calls import ServiceError, call
from stepwell.integrations.services.common.queues import send_to_queue
from stepwell.integrations.services.common.tables import Document, pack, readable
from stepwell.integrations.services.lambda_ import messages
from stepwell.integrations.services.runtime.function import LATEST
from stepwell.integrations.services.runtime.pool import Answer, Call, UnavailableError

if TYPE_CHECKING:
    from stepwell.integrations.host import Host
    from stepwell.integrations.services.lambda_.store import FunctionStore

log: Final = logging.getLogger("stepwell.functions")

EVENTS: Final = "lambda/event/"
_RETRIES: Final = 2
_AGE_SECONDS: Final = 6 * 3600
_RETRY_SECONDS: Final = 60  # after the first failure; twice that after the second
_THROTTLE_SECONDS: Final = 300  # the longest pause before a throttled call is repeated
_CAUSE_CHARS: Final = 1024  # of an error message, as an attribute of a dead letter


@dataclass(slots=True)
class Event:
    """A record. arn: with the qualifier of the call; payload: JSON text; id: of the request; at,
    due: epoch ms; failures: calls that failed; refusals: attempts without a call.
    """

    key: str
    arn: str
    payload: str
    id: str
    at: int
    due: int
    failures: int = 0
    refusals: int = 0

    def __lt__(self, other: Event) -> bool:
        return (self.due, self.key) < (other.due, other.key)


def _event(document: Document) -> Event:
    """Raises TypeError."""
    return Event(**document)


class Events:
    def __init__(self, store: FunctionStore) -> None:
        self._store, self._limits, self._clock = store, store.limits, store.clock
        self._queue: list[Event] = []
        self._known: set[str] = set()  # keys of the events in memory
        self._busy: set[asyncio.Task[None]] = set()
        self._alarm: Alarm | None = None
        self._number = 0  # of the latest event: part of its key
        self._unread: str | None = ""  # records after this key may not be in memory; None: all are
        self._reading: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        await self._read()

    # --- accepting ---

    def prepare(self, arn: str, payload: Any, request_id: str) -> Transaction[None]:
        """The writes that accept an event."""
        now = self._clock.now()
        self._number = max(self._number + 1, now << 20)  # increases across restarts too
        event = Event(f"{EVENTS}{self._number:016x}", arn, dumps(payload), request_id, now, now)
        return Transaction(None, {event.key: pack(asdict(event))}, partial(self._enter, event))

    async def accept(self, arn: str, payload: Any, request_id: str) -> None:
        await self._store.records.commit(self.prepare(arn, payload, request_id))

    def _enter(self, event: Event) -> None:
        if self._unread is None and len(self._known) >= self._limits.function_events:
            self._unread = f"{EVENTS}{int(event.key.removeprefix(EVENTS), 16) - 1:016x}"
        if self._unread is None:
            self._push(event)
            self._pump()

    def _push(self, event: Event) -> None:
        self._known.add(event.key)
        heapq.heappush(self._queue, event)

    async def _read(self) -> None:
        """Read events from the store until memory has its maximum."""
        size = self._limits.recovery_page
        while self._unread is not None and len(self._known) < self._limits.function_events:
            page = await self._store.records.scan(EVENTS, self._unread, size)
            for key, data in page:
                event = None if key in self._known else readable(key, data, _event)
                if event is not None:
                    self._push(event)
            self._unread = page[-1][0] if len(page) == size else None
        self._reading = None
        self._pump()

    # --- delivering ---

    def _pump(self) -> None:
        """Start attempts of the events that are due, and set the alarm for the next one."""
        now = self._clock.now()
        while (
            self._queue
            and self._queue[0].due <= now
            and len(self._busy) < self._limits.function_workers
            and not self._closed
        ):
            task = self._store.host.supervisor.start(
                "function_events", partial(self._attempt, heapq.heappop(self._queue))
            )
            self._busy.add(task)
            task.add_done_callback(self._done)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._queue and self._queue[0].due > now and not self._closed:
            self._alarm = self._clock.call_at(
                self._queue[0].due,
                self._store.host.supervisor.guarded("function_events", self._pump),
            )

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        if (
            self._unread is not None
            and self._reading is None
            and 2 * len(self._known) < self._limits.function_events
            and not self._closed
        ):
            self._reading = self._store.host.supervisor.start("function_events", self._read)
        self._pump()

    async def _attempt(self, event: Event) -> None:
        """One attempt. An internal error is handled like a throttled call, so that it does not
        block other events.
        """
        try:
            await self._deliver(event)
        except StoreError:
            raise
        except Exception as error:
            self._store.host.supervisor.report(
                "function_events", error, f"the event {event.id} for {event.arn}"
            )
            await self._refused(event)

    async def _refused(self, event: Event) -> None:
        event.refusals += 1
        await self._retry(event, min(1 << min(event.refusals - 1, 9), _THROTTLE_SECONDS))

    async def _deliver(self, event: Event) -> None:
        host = self._store.host
        target, config = host.functions.find(event.arn), self._config(event.arn)
        if target is None:
            log.warning("%s: the function of an event does not exist", event.arn)
            await self._delete(event)
            return
        age_seconds: int = config.get("MaximumEventAgeInSeconds", _AGE_SECONDS)
        if self._clock.now() - event.at > age_seconds * 1000:
            await self._give_up(event, config, "EventAgeExceeded", None, target.version)
            return
        try:
            answer = await target.invoke(
                loads(event.payload), Call(event.id, target.arn, target.version, tail=False)
            )
        except UnavailableError:
            await self._refused(event)
            return
        except TaskError as error:  # a callable of this process may raise it
            value = {"errorType": error.error, "errorMessage": error.cause}
            answer = Answer(encode(value), value, True)
        if not answer.failed:
            destination = (
                config.get("DestinationConfig", {}).get("OnSuccess", {}).get("Destination")
            )
            if destination:
                record = self._invocation_record(event, "Success", answer, target.version)
                await self._send(destination, event, record, {})
            await self._delete(event)
            return
        event.failures += 1
        if event.failures > config.get("MaximumRetryAttempts", _RETRIES):
            await self._give_up(event, config, "RetriesExhausted", answer, target.version)
        else:
            await self._retry(event, _RETRY_SECONDS * event.failures)

    def _config(self, arn: str) -> dict[str, Any]:
        """The event configuration of a function and qualifier."""
        name, qualifier = (*arn.split(":")[6:], "")[:2] if arn.startswith("arn:") else (arn, "")
        function = self._store.functions.get(name)
        return function.event_configs.get(qualifier or LATEST, {}) if function else {}

    async def _retry(self, event: Event, seconds: int) -> None:
        event.due = self._clock.now() + seconds * 1000
        await self._store.records.write({event.key: pack(asdict(event))})
        heapq.heappush(self._queue, event)

    async def _delete(self, event: Event) -> None:
        await self._store.records.write({event.key: None})
        self._known.discard(event.key)

    async def _give_up(
        self,
        event: Event,
        config: dict[str, Any],
        condition: str,
        answer: Answer | None,
        version: str,
    ) -> None:
        destination = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if destination:
            record = self._invocation_record(event, condition, answer, version)
            await self._send(destination, event, record, {})
        name = event.arn.split(":")[6] if event.arn.startswith("arn:") else event.arn
        function = self._store.functions.get(name)
        dead_letters = (
            function.latest.get("DeadLetterConfig", {}).get("TargetArn") if function else None
        )
        if dead_letters:
            value = answer.value if answer is not None and isinstance(answer.value, dict) else {}
            attributes = {
                "RequestID": event.id,
                "ErrorCode": "200" if answer is not None else "429",
                "ErrorMessage": str(value.get("errorMessage") or condition)[:_CAUSE_CHARS],
            }
            await self._send(dead_letters, event, event.payload, attributes)
        log.warning(
            "%s: an event was discarded: %s: %s",
            event.arn,
            condition,
            answer.text if answer else "",
        )
        await self._delete(event)

    def _invocation_record(
        self, event: Event, condition: str, answer: Answer | None, version: str
    ) -> str:
        """The JSON text that a destination gets.
        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        attempts = event.failures + event.refusals + (condition == "Success")
        qualified = event.arn if event.arn.count(":") != 6 else f"{event.arn}:{LATEST}"
        context = {
            "requestId": event.id,
            "functionArn": qualified,
            "condition": condition,
            "approximateInvokeCount": attempts,
        }
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": iso_milliseconds(self._clock.now() / 1000),
            "requestContext": context,
            "requestPayload": loads(event.payload),
        }
        if answer is not None:
            failed = {"functionError": "Unhandled"} if answer.failed else {}
            record["responseContext"] = {"statusCode": 200, "executedVersion": version, **failed}
            record["responsePayload"] = answer.value
        return dumps(record)

    async def _send(self, arn: str, event: Event, body: str, attributes: dict[str, str]) -> None:
        """Send to a queue, topic, function or event bus. An error is logged, and the message is
        lost, as on AWS.
        """
        sender = _SENDERS.get(arn.split(":")[2] if arn.count(":") >= 5 else "")
        try:
            if sender is None:
                raise KeyError(arn)
            await sender(self._store.host, arn, event, body, attributes)
        except (EngineError, ServiceError, KeyError) as error:
            log.error(
                "%s",
                messages.DESTINATION_FAILED.format(
                    arn=arn, problem=f"{type(error).__name__}: {error}"
                ),
            )

    async def close(self) -> None:
        """Cancel running attempts: the next process repeats them."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        tasks = [*self._busy, *([self._reading] if self._reading else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- destinations and dead-letter queues ----------------------------------------------------------


async def _to_queue(
    host: Host, arn: str, event: Event, body: str, attributes: dict[str, str]
) -> None:
    part = "letter" if attributes else "result"  # both may be sent to the same queue
    await send_to_queue(host, arn, body, attributes, id=f"{event.id}/{part}")


async def _to_topic(
    host: Host, arn: str, event: Event, body: str, attributes: dict[str, str]
) -> None:
    message = {
        "TopicArn": arn,
        "Message": body,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    }
    await call(host, "sns", "Publish", message)


async def _to_function(
    host: Host, arn: str, event: Event, body: str, attributes: dict[str, str]
) -> None:
    await call(
        host,
        "lambda",
        "Invoke",
        {"FunctionName": arn, "InvocationType": "Event", "Payload": body.encode()},
    )


async def _to_bus(
    host: Host, arn: str, event: Event, body: str, attributes: dict[str, str]
) -> None:
    record: Any = loads(body)
    kind = "Success" if record["requestContext"]["condition"] == "Success" else "Failure"
    entry = {
        "Source": "lambda",
        "DetailType": f"Lambda Function Invocation Result - {kind}",
        "Detail": body,
        "Resources": [arn, event.arn],
        "EventBusName": arn,
    }
    await call(host, "events", "PutEvents", {"Entries": [entry]})


_SENDERS: Final = {"sqs": _to_queue, "sns": _to_topic, "lambda": _to_function, "events": _to_bus}
