"""Tasks that move what a dead-letter queue holds: back to where it came from, or to another queue.

A task is a record, which is changed in the transaction that moves messages. A process that finds one that runs goes on with it.
"""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from typing import Any, Final

from stepwell.asl.json_text import dumps
from stepwell.engine.clock import sleep_until
from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.tables import Document, Table, pack
from stepwell.integrations.services.sqs import messages
from stepwell.integrations.services.sqs.base import Answer, Queue, Writes, leaving
from stepwell.integrations.services.sqs.index import Entry
from stepwell.integrations.services.sqs.message import bad_value
from stepwell.integrations.services.sqs.receiving import Receiving
from stepwell.integrations.services.sqs.sending import Prepared

_HIDDEN_MS: Final = 3_600_000  # that messages are hidden while they are moved
_RUNNING: Final = "RUNNING"
_SHOWN: Final = (
    "Status", "SourceArn", "DestinationArn", "MaxNumberOfMessagesPerSecond", "ApproximateNumberOfMessagesMoved",
    "ApproximateNumberOfMessagesToMove", "FailureReason", "StartedTimestamp",
)  # fmt: skip


class Moves(Receiving):
    async def open(self) -> None:
        await super().open()
        self.moves = Table("sqs/move/")
        await self.moves.open(self.records)
        for name in self.moves:
            if self.moves[name]["Status"] == _RUNNING:
                self.job("message_moves", partial(self._move, name))

    async def start_message_move_task(
        self, source_arn: str, destination_arn: str | None = None, max_number_of_messages_per_second: int | None = None
    ) -> Answer:
        rate = max_number_of_messages_per_second
        if rate is not None and not 1 <= rate <= 500:
            raise bad_value(rate, "MaxNumberOfMessagesPerSecond", messages.MOVE_RATE)
        async with self.lock:
            source = self._resource(source_arn, "SourceArn")
            if destination_arn is not None and self._resource(destination_arn, "DestinationArn").fifo != source.fifo:
                raise bad_value(destination_arn, "DestinationArn", messages.MOVE_TYPES)
            if not any(self.dead_letters(queue)[0] == source_arn for queue in self.queues.values()):
                raise ApiError("InvalidParameterValue", messages.MOVE_NOT_DEAD_LETTERS)
            if any(each["Status"] == _RUNNING for each in self._of(source_arn)):
                raise ApiError("UnsupportedOperation", messages.MOVE_RUNNING)
            source.index.ripen(self.now)
            handle = base64.b64encode(dumps({"taskId": self.new_id(), "sourceArn": source_arn}).encode()).decode()
            task: Document = {"TaskHandle": handle, "Status": _RUNNING, "SourceArn": source_arn, "StartedTimestamp": self.now}
            task |= {"DestinationArn": destination_arn, "MaxNumberOfMessagesPerSecond": rate, "ApproximateNumberOfMessagesMoved": 0}
            task["ApproximateNumberOfMessagesToMove"] = source.index.visible
            old = self._of(source_arn)[self.limits.message_moves - 1 :]
            await self.moves.put(_name(handle), task, {f"sqs/move/{_name(each['TaskHandle'])}": None for each in old})
            for each in old:
                self.moves.hold(_name(each["TaskHandle"]), None)
        self.job("message_moves", partial(self._move, _name(handle)))
        return {"TaskHandle": handle}

    async def cancel_message_move_task(self, task_handle: str) -> Answer:
        async with self.lock:
            task = self.moves.get(_name(task_handle))
            if task is None:
                raise ApiError("ResourceNotFoundException", messages.MOVE_UNKNOWN)
            if task["Status"] != _RUNNING:
                raise ApiError("UnsupportedOperation", messages.MOVE_ENDED)
            await self.moves.put(_name(task_handle), {**task, "Status": "CANCELLED"})
        return {"ApproximateNumberOfMessagesMoved": task["ApproximateNumberOfMessagesMoved"]}

    async def list_message_move_tasks(self, source_arn: str, max_results: int = 1) -> Answer:
        if not 1 <= max_results <= 10:
            raise bad_value(max_results, "MaxResults", messages.MOVE_RESULTS)
        self._resource(source_arn, "SourceArn")
        return {"Results": [_shown(task) for task in self._of(source_arn)[:max_results]]}

    def _of(self, arn: str) -> list[Document]:
        """The tasks of a source, the latest first."""
        found = [task for task in self.moves.sorted() if task["SourceArn"] == arn]
        return sorted(found, key=lambda task: -int(task["StartedTimestamp"]))

    def _resource(self, arn: str, name: str) -> Queue:
        queue = self.by_arn(arn)
        if queue is None:
            raise ApiError("ResourceNotFoundException", messages.MOVE_RESOURCE.format(name=name))
        return queue

    # --- moving -------------------------------------------------------------------------------------------------------------------

    async def _move(self, name: str) -> None:
        """Until nothing visible is left, or the task is cancelled."""
        while (task := self.moves[name])["Status"] == _RUNNING:
            source, now, rate = self.by_arn(task["SourceArn"]), self.now, task["MaxNumberOfMessagesPerSecond"]
            if source is None:
                return await self._finish(name, "FAILED", FailureReason=messages.QUEUE_UNKNOWN)
            store, most = source.store, min(rate or self.limits.queue_sweep_page, self.limits.queue_sweep_page)
            _, taken = source.index.take(now, most, now + _HIDDEN_MS, lambda entry: True)
            if not taken:
                return await self._finish(name, "COMPLETED")
            if not await self._move_some(name, task, source, store, taken):
                return await self._finish(name, "FAILED", FailureReason=messages.QUEUE_UNKNOWN)
            if rate:
                await sleep_until(self.host.clock, self.now + 1000)

    async def _finish(self, name: str, status: str, **about: Any) -> None:
        async with self.lock:
            if self.moves[name]["Status"] == _RUNNING:
                await self.moves.put(name, {**self.moves[name], "Status": status, **about})

    async def _move_some(self, name: str, task: Document, source: Queue, store: int, taken: list[Entry]) -> bool:
        """False: there is no such queue to move them to."""
        writes, moved = Writes(), list[tuple[Entry, Prepared]]()
        for entry, content in zip(taken, await self.contents(store, taken)):
            target = self.by_arn(task["DestinationArn"] or (content or {}).get("source", ""))
            if content is None or target is None or target.fifo != source.fifo:
                source.index.hide(entry, 0, self.now)
                continue
            fresh = {key: value for key, value in content.items() if key != "source"} | {"id": self.new_id()}
            moved.append((entry, self.place(target, self.next_number(), fresh, self.now, 0, 0, writes)))
            writes |= leaving(store, entry)
        if not moved:
            return False
        then = partial(self.have_moved, source, store, moved)
        async with self.lock:
            changed = {**self.moves[name], "ApproximateNumberOfMessagesMoved": task["ApproximateNumberOfMessagesMoved"] + len(moved)}
            await self.records.write({**writes, f"sqs/move/{name}": pack(changed)}, then)
            self.moves.hold(name, changed)
        return True


def _shown(task: Document) -> Answer:
    names = ("TaskHandle", *_SHOWN) if task["Status"] == _RUNNING else _SHOWN
    return {name: task[name] for name in names if task.get(name) is not None}


def _name(handle: str) -> str:
    return hashlib.blake2b(handle.encode(), digest_size=16).hexdigest()
