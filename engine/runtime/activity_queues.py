"""Activities: tasks that wait for a worker to ask.

The queue is in memory; what is in it is part of the executions' own state, and recovery refills it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from stepwell.engine import arns, messages
from stepwell.engine.core.environment import token
from stepwell.engine.core.events import CancelTask, RunTask, TaskFailed, TaskStarted
from stepwell.engine.core.model import Execution, Phase
from stepwell.engine.errors import ApiError
from stepwell.engine.operations import configuration
from stepwell.engine.store.base import ActivityRow

if TYPE_CHECKING:
    from stepwell.engine.operations.base import Runtime


ENCRYPTION: Final = "encryptionConfiguration"


class _Queue:
    __slots__ = ("row", "tasks", "pollers")

    def __init__(self, row: ActivityRow) -> None:
        self.row = row  # as stored; its extras: {"tags": {key: value}, "encryptionConfiguration"}
        self.tasks: dict[
            tuple[int, int, int], RunTask
        ] = {}  # (execution, frame, seq), oldest first
        self.pollers: deque[asyncio.Future[None]] = deque()


class Activities:
    """The activities of an engine. `known` maps each ARN to its queue; the worker asks it what
    exists.
    """

    def __init__(self, engine: Runtime) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()  # held while one is written
        self.known: dict[str, _Queue] = {}
        self._waiting: dict[tuple[int, int, int], _Queue] = {}  # where each task is queued

    async def open(self) -> None:
        after = ""
        while page := await self._engine.store.activities(
            after, limit=self._engine.limits.list_page
        ):
            self.known.update({row.arn: _Queue(row) for row in page})
            after = page[-1].arn

    async def create(
        self,
        name: str,
        tags: Sequence[Mapping[str, str]] = (),
        encryption: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The same again, but for the tags, is no error."""
        engine = self._engine
        arns.check_name(name, engine.limits.name_chars)
        arn = engine.home.arn("activity", name)
        own = configuration.stored(
            {ENCRYPTION: configuration.checked_encryption(encryption)} if encryption else {}
        )
        labels = configuration.tagged({}, tags, engine.limits, arn)
        async with self._lock:
            found = self.known.get(arn)
            if found is None:
                if len(self.known) >= engine.limits.activities:
                    raise ApiError(
                        "ActivityLimitExceeded",
                        messages.ACTIVITY_LIMIT.format(limit=engine.limits.activities),
                    )
                row = ActivityRow(
                    arn, name, engine.clock.now(), {**own, **({"tags": labels} if labels else {})}
                )
                await engine.store.put_activity(row)
                found = self.known[arn] = _Queue(row)
        if found.row.extras.get(ENCRYPTION) != own.get(ENCRYPTION):
            raise ApiError("ActivityAlreadyExists", messages.ACTIVITY_EXISTS.format(arn=arn))
        return {"activityArn": arn, "creationDate": found.row.created / 1000}

    def tags(self, arn: str) -> dict[str, str]:
        if arn not in self.known:
            raise ApiError("ResourceNotFound", messages.RESOURCE_UNKNOWN.format(arn=arn))
        tags: Any = self.known[arn].row.extras.get("tags") or {}
        return dict(tags)

    async def retag(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        async with self._lock:
            tags: Any = change(self.tags(arn))
            queue = self.known[arn]
            row = queue.row._replace(extras={**queue.row.extras, "tags": tags})
            await self._engine.store.put_activity(row)
            queue.row = row

    async def delete(self, arn: str) -> dict[str, Any]:
        """Tasks that nobody took fail: States.Runtime."""
        arns.kind(arn, "activity")
        async with self._lock:
            await self._engine.store.delete_activity(arn)
            queue = self.known.pop(arn, None)
        for key, command in queue.tasks.items() if queue else ():
            self._waiting.pop(key, None)
            gone = TaskFailed(
                command.frame,
                command.seq,
                None,
                messages.ACTIVITY_GONE.format(arn=arn),
                runtime=True,
            )
            self._engine.worker.send(key[0], gone)
        return {}

    def describe(self, arn: str) -> dict[str, Any]:
        row = self._queue(arn).row
        encryption: Any = row.extras.get(ENCRYPTION, configuration.OWN_KEY)
        return {
            "activityArn": arn,
            "name": row.name,
            "creationDate": row.created / 1000,
            ENCRYPTION: dict(encryption),
        }

    def _queue(self, arn: str) -> _Queue:
        arns.kind(arn, "activity")
        queue = self.known.get(arn)
        if queue is None:
            raise ApiError("ActivityDoesNotExist", messages.ACTIVITY_UNKNOWN.format(arn=arn))
        return queue

    def offer(self, execution: Execution, command: RunTask) -> None:
        """Called by the worker once the task's intent is durable."""
        queue = self.known.get(command.resource.text)
        if queue is None:
            gone = messages.ACTIVITY_GONE.format(arn=command.resource.text)
            self._engine.worker.send(
                execution.id, TaskFailed(command.frame, command.seq, None, gone, runtime=True)
            )
            return
        key = (execution.id, command.frame, command.seq)
        queue.tasks[key], self._waiting[key] = command, queue
        _wake(queue)

    def fail(self, error: BaseException) -> None:
        """No task will come any more."""
        for queue in self.known.values():
            while queue.pollers:
                poller = queue.pollers.popleft()
                if not poller.done():
                    poller.set_exception(error)

    def withdraw(self, execution_id: int, command: CancelTask) -> None:
        """The attempt is over: nobody needs to do it any more."""
        key = (execution_id, command.frame, command.seq)
        queue = self._waiting.pop(key, None)
        if queue is not None:
            queue.tasks.pop(key, None)

    async def take(self, arn: str, worker_name: str | None, seconds: float) -> dict[str, Any]:
        """{"taskToken", "input"} of the oldest task that still waits, after its ActivityStarted is
        durable; {} if none comes in time.
        """
        queue = self._queue(arn)
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            while queue.tasks:
                key, command = next(iter(queue.tasks.items()))
                del queue.tasks[key]
                taken = await self._try(key, command, worker_name)
                if taken:
                    return taken
            if len(queue.pollers) >= self._engine.limits.pollers:
                raise ApiError("ActivityWorkerLimitExceeded", messages.POLLER_LIMIT)
            poller = loop.create_future()
            queue.pollers.append(poller)
            try:
                async with asyncio.timeout_at(end):
                    await poller
            except TimeoutError:
                if not queue.tasks:
                    return {}
            except asyncio.CancelledError:
                if queue.tasks:
                    _wake(queue)  # the task that this caller was woken for is another's
                raise
            finally:
                if poller in queue.pollers:
                    queue.pollers.remove(poller)

    async def _try(
        self, key: tuple[int, int, int], command: RunTask, worker_name: str | None
    ) -> dict[str, Any]:
        self._waiting.pop(key, None)
        worker = self._engine.worker
        # waits for nothing if the task is still to be done: so a caller who goes away cannot lose
        # it
        live = await worker.load(key[0])
        frame = live.x.frames.get(command.frame) if live else None
        if (
            live is None
            or frame is None
            or frame.seq != command.seq
            or frame.phase != Phase.TASK
            or frame.parked
        ):
            if live is not None:
                worker.settle(live)
            return {}
        durable = asyncio.get_running_loop().create_future()
        worker.submit(live, TaskStarted(command.frame, command.seq, worker_name), durable)
        await durable
        return {
            "taskToken": token(live.x, command.frame, command.seq),
            "input": command.payload.data.decode(),
        }


def _wake(queue: _Queue) -> None:
    """Let the caller who has waited longest look at the queue."""
    while queue.pollers:
        poller = queue.pollers.popleft()
        if not poller.done():
            poller.set_result(None)
            return
