"""Tasks that move the messages of a dead-letter queue to their source or to another queue.

A task is a record, which is changed in the transactions that move messages. Startup resumes the
running tasks.
"""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from typing import Any, Final

from stepwell.asl.json_text import dumps
from stepwell.engine.clock import sleep_until
from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document, Table, Writes, pack
from stepwell.integrations.services.sqs import messages
from stepwell.integrations.services.sqs.index import Entry
from stepwell.integrations.services.sqs.message import bad_value
from stepwell.integrations.services.sqs.sending import Prepared, Sender
from stepwell.integrations.services.sqs.store import Queue, QueueStore, deletion_of

_HIDDEN_MS: Final = 3_600_000  # for which messages are hidden while they are moved
_RUNNING: Final = "RUNNING"
_SHOWN: Final = (
    "Status", "SourceArn", "DestinationArn", "MaxNumberOfMessagesPerSecond",
    "ApproximateNumberOfMessagesMoved",
    "ApproximateNumberOfMessagesToMove", "FailureReason", "StartedTimestamp",
)  # fmt: skip


class Redrive:
    def __init__(self, store: QueueStore, sender: Sender) -> None:
        self._store, self._sender, self.moves = store, sender, Table("sqs/move/")

    async def open(self) -> None:
        await self.moves.open(self._store.records)
        for name in self.moves:
            if self.moves[name]["Status"] == _RUNNING:
                self._store.start("message_moves", partial(self._move, name))

    async def start_message_move_task(
        self,
        source_arn: str,
        destination_arn: str | None = None,
        max_number_of_messages_per_second: int | None = None,
    ) -> Answer:
        rate = max_number_of_messages_per_second
        if rate is not None and not 1 <= rate <= 500:
            raise bad_value(rate, "MaxNumberOfMessagesPerSecond", messages.MOVE_RATE)
        async with self._store.lock:
            source = self._resource(source_arn, "SourceArn")
            if (
                destination_arn is not None
                and self._resource(destination_arn, "DestinationArn").fifo != source.fifo
            ):
                raise bad_value(destination_arn, "DestinationArn", messages.MOVE_TYPES)
            if not any(
                queue.dead_letters()[0] == source_arn for queue in self._store.queues.values()
            ):
                raise ApiError("InvalidParameterValue", messages.MOVE_NOT_DEAD_LETTERS)
            if any(each["Status"] == _RUNNING for each in self._of(source_arn)):
                raise ApiError("UnsupportedOperation", messages.MOVE_RUNNING)
            source.index.show_due(self._store.now)
            handle = base64.b64encode(
                dumps({"taskId": self._store.new_id(), "sourceArn": source_arn}).encode()
            ).decode()
            task: Document = {
                "TaskHandle": handle,
                "Status": _RUNNING,
                "SourceArn": source_arn,
                "StartedTimestamp": self._store.now,
            }
            task |= {
                "DestinationArn": destination_arn,
                "MaxNumberOfMessagesPerSecond": rate,
                "ApproximateNumberOfMessagesMoved": 0,
            }
            task["ApproximateNumberOfMessagesToMove"] = source.index.visible
            old = self._of(source_arn)[self._store.limits.message_moves - 1 :]
            await self.moves.put(
                _name(handle), task, {f"sqs/move/{_name(each['TaskHandle'])}": None for each in old}
            )
            for each in old:
                self.moves.set_in_memory(_name(each["TaskHandle"]), None)
        self._store.start("message_moves", partial(self._move, _name(handle)))
        return {"TaskHandle": handle}

    async def cancel_message_move_task(self, task_handle: str) -> Answer:
        async with self._store.lock:
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
        """The tasks of a source queue, the latest first."""
        tasks = [task for task in self.moves.sorted() if task["SourceArn"] == arn]
        return sorted(tasks, key=lambda task: -int(task["StartedTimestamp"]))

    def _resource(self, arn: str, name: str) -> Queue:
        queue = self._store.by_arn(arn)
        if queue is None:
            raise ApiError("ResourceNotFoundException", messages.MOVE_RESOURCE.format(name=name))
        return queue

    # --- moving -----------------------------------------------------------------------------------

    async def _move(self, name: str) -> None:
        """Move messages until none is visible, or the task is cancelled."""
        while (task := self.moves[name])["Status"] == _RUNNING:
            source, now, rate = (
                self._store.by_arn(task["SourceArn"]),
                self._store.now,
                task["MaxNumberOfMessagesPerSecond"],
            )
            if source is None:
                return await self._finish(name, "FAILED", FailureReason=messages.QUEUE_UNKNOWN)
            store, most = (
                source.store,
                min(
                    rate or self._store.limits.queue_sweep_page, self._store.limits.queue_sweep_page
                ),
            )
            _, taken = source.index.take(now, most, now + _HIDDEN_MS, lambda entry: True)
            if not taken:
                return await self._finish(name, "COMPLETED")
            if not await self._move_some(name, task, source, store, taken):
                return await self._finish(name, "FAILED", FailureReason=messages.QUEUE_UNKNOWN)
            if rate:
                await sleep_until(self._store.host.clock, self._store.now + 1000)

    async def _finish(self, name: str, status: str, **about: Any) -> None:
        async with self._store.lock:
            if self.moves[name]["Status"] == _RUNNING:
                await self.moves.put(name, {**self.moves[name], "Status": status, **about})

    async def _move_some(
        self, name: str, task: Document, source: Queue, store: int, taken: list[Entry]
    ) -> bool:
        """False: no target queue exists."""
        writes, moved = Writes(), list[tuple[Entry, Prepared]]()
        for entry, content in zip(taken, await self._store.contents(store, taken)):
            target = self._store.by_arn(task["DestinationArn"] or (content or {}).get("source", ""))
            if content is None or target is None or target.fifo != source.fifo:
                source.index.hide(entry, 0, self._store.now)
                continue
            copy = {key: value for key, value in content.items() if key != "source"} | {
                "id": self._store.new_id()
            }
            moved.append(
                (
                    entry,
                    self._sender.new_entry(
                        target, self._store.next_number(), copy, self._store.now, 0, 0, writes
                    ),
                )
            )
            writes |= deletion_of(store, entry)
        if not moved:
            return False
        then = partial(self._sender.finish_move, source, store, moved)
        async with self._store.lock:
            changed = {
                **self.moves[name],
                "ApproximateNumberOfMessagesMoved": task["ApproximateNumberOfMessagesMoved"]
                + len(moved),
            }
            await self._store.records.write({**writes, f"sqs/move/{name}": pack(changed)}, then)
            self.moves.set_in_memory(name, changed)
        return True


def _shown(task: Document) -> Answer:
    names = ("TaskHandle", *_SHOWN) if task["Status"] == _RUNNING else _SHOWN
    return {name: task[name] for name in names if task.get(name) is not None}


def _name(handle: str) -> str:
    return hashlib.blake2b(handle.encode(), digest_size=16).hexdigest()
