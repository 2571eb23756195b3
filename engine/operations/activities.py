"""The operations of task workers: activities, and reports by task token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from stepwell.engine import arns, messages
from stepwell.engine.core import model
from stepwell.engine.core.environment import read_token, token
from stepwell.engine.core.events import (
    Event,
    Heartbeat,
    RunTask,
    TaskFailed,
    TaskStarted,
    TaskSucceeded,
)
from stepwell.engine.errors import ApiError
from stepwell.engine.inputs import JsonInput, json_text_of
from stepwell.engine.machines import configuration
from stepwell.engine.operations import paging, payloads
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.results import (
    CreateActivityOutput,
    DescribeActivityOutput,
    EmptyOutput,
    GetActivityTaskOutput,
    ListActivitiesOutput,
)
from stepwell.engine.runtime.activity_queues import ActivityQueue, ActivityQueues, TaskKey
from stepwell.engine.runtime.commands import no_activity
from stepwell.engine.store.base import ActivityRow
from stepwell.engine.store.blobs import scrub

ENCRYPTION: Final = "encryptionConfiguration"


class Activities:
    """Activities: tasks that workers poll for. queues: those of all activities."""

    def __init__(self, base: Base, queues: ActivityQueues) -> None:
        self._store, self._clock, self._limits = base.store, base.clock, base.limits
        self._home, self._pages, self._worker = base.home, base.pages, base.worker
        self.queues, self._changed = queues, base.machines.changed
        self._lock = asyncio.Lock()  # held while an activity is written

    async def reload(self) -> None:
        """Read all activities, at the opening or after home has written some. Queued tasks and
        pollers stay.
        """
        known, after, rows = self.queues.known, "", dict[str, ActivityRow]()
        while page := await self._store.activities(after, limit=self._limits.list_page):
            rows.update({row.arn: row for row in page})
            after = page[-1].arn
        for arn in known.keys() | rows.keys():
            self._update(arn, rows.get(arn))

    async def reread(self, arn: str) -> None:
        """The same for one activity."""
        self._update(arn, await self._store.activity(arn))

    def _update(self, arn: str, row: ActivityRow | None) -> None:
        known = self.queues.known
        if row is None:
            self._remove(arn)
        elif arn in known:
            known[arn].row = row
        else:
            known[arn] = ActivityQueue(row)

    def _remove(self, arn: str) -> None:
        """Its queued tasks fail."""
        for key, command in self.queues.remove(arn):
            self._worker.send(key[0], no_activity(command))

    async def create_activity(
        self,
        name: str,
        *,
        tags: Sequence[Mapping[str, str]] = (),
        encryption_configuration: Mapping[str, Any] | None = None,
    ) -> CreateActivityOutput:
        """{"activityArn", "creationDate"}. Idempotent; only the first call's tags count. Raises
        ApiError ActivityAlreadyExists if it exists with another encryption.
        """
        arns.check_name(name, self._limits.name_chars)
        arn = self._home.arn("activity", name)
        own = configuration.stored(
            {ENCRYPTION: configuration.checked_encryption(encryption_configuration)}
            if encryption_configuration
            else {}
        )
        labels = configuration.tagged({}, tags, self._limits, arn)
        async with self._lock:
            queue = self.queues.known.get(arn)
            if queue is None:
                if len(self.queues.known) >= self._limits.activities:
                    raise ApiError(
                        "ActivityLimitExceeded",
                        messages.ACTIVITY_LIMIT.format(limit=self._limits.activities),
                    )
                extras = {**own, **({"tags": labels} if labels else {})}
                row = ActivityRow(arn, name, self._clock.now(), extras)
                await self._store.put_activity(row)
                queue = self.queues.known[arn] = ActivityQueue(row)
                await self._changed(arn)
        if queue.row.extras.get(ENCRYPTION) != own.get(ENCRYPTION):
            raise ApiError("ActivityAlreadyExists", messages.ACTIVITY_EXISTS.format(arn=arn))
        return {"activityArn": arn, "creationDate": queue.row.created / 1000}

    async def delete_activity(self, activity_arn: str) -> EmptyOutput:
        """{}, also if there is no such activity. Its queued tasks fail: States.Runtime. Tasks that
        were taken can still be answered.
        """
        arns.kind(activity_arn, "activity")
        async with self._lock:
            await self._store.delete_activity(activity_arn)
            self._remove(activity_arn)
            await self._changed(activity_arn)
        return {}

    async def describe_activity(self, activity_arn: str) -> DescribeActivityOutput:
        """{"activityArn", "name", "creationDate", "encryptionConfiguration"}"""
        row = self._queue(activity_arn).row
        encryption: Any = row.extras.get(ENCRYPTION, configuration.OWN_KEY)
        return {
            "activityArn": activity_arn,
            "name": row.name,
            "creationDate": row.created / 1000,
            "encryptionConfiguration": encryption.copy(),
        }

    async def list_activities(
        self, *, max_results: int = 0, next_token: str | None = None
    ) -> ListActivitiesOutput:
        """{"activities": [...], "nextToken"?} in the order of their names."""
        question = ["ListActivities"]
        size = paging.size(max_results, self._limits.list_page, self._limits)
        (after,) = self._pages.read(question, next_token) or ("",)
        rows = await self._store.activities(after, size + 1)
        answer: ListActivitiesOutput = {
            "activities": [
                {"activityArn": row.arn, "name": row.name, "creationDate": row.created / 1000}
                for row in rows[:size]
            ]
        }
        if len(rows) > size:
            answer["nextToken"] = self._pages.token(question, rows[size - 1].arn)
        return answer

    async def get_activity_task(
        self, activity_arn: str, worker_name: str | None = None, timeout: float = 60
    ) -> GetActivityTaskOutput:
        """{"taskToken", "input"} of the oldest task, which this caller now owns: its
        ActivityStarted is durable. {} if none came within `timeout` seconds.
        """
        self._worker.check()
        queue = self._queue(activity_arn)
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while True:
            while queue.tasks:
                taken = await self._own(*self.queues.take(queue), worker_name)
                if taken:
                    return taken
            if len(queue.pollers) >= self._limits.pollers:
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
                    queue.wake_poller()  # the task that this caller was woken for is another's
                raise
            finally:
                if poller in queue.pollers:
                    queue.pollers.remove(poller)

    async def _own(
        self, key: TaskKey, command: RunTask, worker_name: str | None
    ) -> GetActivityTaskOutput:
        """Record that a worker has taken a task. {} if the task is not to be done any more."""
        worker = self._worker
        # waits for nothing if the task is still to be done: a caller that is cancelled cannot lose
        # it
        live = await worker.load(key[0])
        frame = live.x.frames.get(command.frame) if live else None
        if (
            live is None
            or frame is None
            or frame.seq != command.seq
            or frame.attempt is None
            or frame.attempt.handed_over
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

    def _queue(self, arn: str) -> ActivityQueue:
        arns.kind(arn, "activity")
        queue = self.queues.known.get(arn)
        if queue is None:
            raise ApiError("ActivityDoesNotExist", messages.ACTIVITY_UNKNOWN.format(arn=arn))
        return queue

    def tags(self, arn: str) -> dict[str, str]:
        """Raises ApiError ResourceNotFound."""
        if arn not in self.queues.known:
            raise ApiError("ResourceNotFound", messages.RESOURCE_UNKNOWN.format(arn=arn))
        tags: Any = self.queues.known[arn].row.extras.get("tags") or {}
        return dict(tags)

    async def retag(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Store other tags. Raises ApiError ResourceNotFound."""
        async with self._lock:
            tags: Any = change(self.tags(arn))
            queue = self.queues.known[arn]
            row = queue.row._replace(extras={**queue.row.extras, "tags": tags})
            await self._store.put_activity(row)
            queue.row = row
            await self._changed(arn)


class TaskTokens:
    """Reports of task workers by task token."""

    def __init__(self, base: Base) -> None:
        self._store, self._limits, self._worker = base.store, base.limits, base.worker

    async def send_task_success(self, task_token: str, output: JsonInput) -> EmptyOutput:
        """{}: the task has this result, JSON text (kept as it was sent) or a value. The token is
        checked before it.
        """
        text = json_text_of(output, "output")
        return await self._report(
            task_token,
            lambda frame, seq: TaskSucceeded(frame, seq, payloads.task_output(text, self._limits)),
        )

    async def send_task_failure(
        self, task_token: str, error: str | None = None, cause: str | None = None
    ) -> EmptyOutput:
        """{}: the task fails with the error, which Retry and Catch compare. The token is checked
        last.
        """
        payloads.check_failure(error, cause, self._limits)
        return await self._report(
            task_token, lambda frame, seq: TaskFailed(frame, seq, scrub(error), scrub(cause))
        )

    async def send_task_heartbeat(self, task_token: str) -> EmptyOutput:
        """{}: the worker still works on the task; its HeartbeatSeconds begin again."""
        return await self._report(task_token, Heartbeat)

    async def _report(self, task_token: str, event: Callable[[int, int], Event]) -> EmptyOutput:
        """Hand a worker's report to its attempt, and answer once it is durable. `event` may raise
        ApiError.
        """
        worker = self._worker
        worker.check()
        parts = read_token(task_token)
        if parts is None:
            raise ApiError("InvalidToken", messages.INVALID_TOKEN)
        execution_id, frame_id, seq = parts
        live = await worker.load(execution_id)
        if live is None:
            raise await self._too_late(task_token, *parts)
        if token(live.x, frame_id, seq) != task_token:
            worker.settle(live)
            raise ApiError("InvalidToken", messages.INVALID_TOKEN)
        try:
            report = event(frame_id, seq)
        except ApiError:
            worker.settle(live)
            raise
        frame = live.x.frames.get(frame_id)
        current = frame is not None and frame.seq == seq and frame.phase == model.Phase.TASK
        done = asyncio.get_running_loop().create_future()
        worker.submit(live, report, done)
        await done
        if not current:
            # answered once the end of the task is durable: its worker will not report again
            raise ApiError("TaskTimedOut", messages.TASK_TIMED_OUT)
        return {}

    async def _too_late(
        self, task_token: str, execution_id: int, frame_id: int, seq: int
    ) -> ApiError:
        """The error for the token of an execution that does not run."""
        row = await self._store.row(execution_id)
        if row is None:
            return ApiError("TaskDoesNotExist", messages.TASK_UNKNOWN)
        if token(row, frame_id, seq) != task_token:
            return ApiError("InvalidToken", messages.INVALID_TOKEN)
        return ApiError("TaskTimedOut", messages.TASK_TIMED_OUT)
