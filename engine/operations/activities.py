"""The operations of those who do work outside: activities, and answers by task token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stepwell.asl import json_text
from stepwell.engine import messages
from stepwell.engine.core import model
from stepwell.engine.core.environment import read_token, token
from stepwell.engine.core.events import Event, Heartbeat, TaskFailed, TaskSucceeded
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import ApiError
from stepwell.engine.inputs import JsonInput, json_text_of
from stepwell.engine.operations import paging
from stepwell.engine.operations.base import Runtime
from stepwell.engine.store.blobs import scrub


class TaskWorkers(Runtime):
    """Activities and task tokens."""

    async def create_activity(
        self,
        name: str,
        *,
        tags: Sequence[Mapping[str, str]] = (),
        encryption_configuration: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """{"activityArn", "creationDate"}. Idempotent; only the first call's tags count."""
        return await self.activities.create(name, tags, encryption_configuration)

    async def delete_activity(self, activity_arn: str) -> dict[str, Any]:
        """{}, also if there is no such activity. Tasks that were taken can still be answered."""
        return await self.activities.delete(activity_arn)

    async def describe_activity(self, activity_arn: str) -> dict[str, Any]:
        """{"activityArn", "name", "creationDate", "encryptionConfiguration"?}"""
        return self.activities.describe(activity_arn)

    async def list_activities(
        self, *, max_results: int = 0, next_token: str | None = None
    ) -> dict[str, Any]:
        """{"activities": [...], "nextToken"?} in the order of their names."""
        question, size = (
            ["ListActivities"],
            paging.size(max_results, self.limits.list_page, self.limits),
        )
        (after,) = self.pages.read(question, next_token) or ("",)
        rows = await self.store.activities(after, size + 1)
        answer: dict[str, Any] = {
            "activities": [
                {"activityArn": row.arn, "name": row.name, "creationDate": row.created / 1000}
                for row in rows[:size]
            ]
        }
        if len(rows) > size:
            answer["nextToken"] = self.pages.token(question, rows[size - 1].arn)
        return answer

    async def get_activity_task(
        self, activity_arn: str, worker_name: str | None = None, timeout: float = 60
    ) -> dict[str, Any]:
        """{"taskToken", "input"} of a task that this caller now owns; {} if none came within
        `timeout` seconds.
        """
        self.worker.check()
        return await self.activities.take(activity_arn, worker_name, timeout)

    # --- task tokens ------------------------------------------------------------------------------

    async def send_task_success(self, task_token: str, output: JsonInput) -> dict[str, Any]:
        """The result of a task: JSON text, which is kept as it was sent, or a value. The token is
        checked before it.
        """
        text = json_text_of(output, "output")
        return await self._answer(
            task_token, lambda frame, seq: TaskSucceeded(frame, seq, self._output(text))
        )

    def _output(self, text: str) -> Payload:
        try:
            payload = Payload(json_text.loads(text), text.encode())
        except json_text.JsonError as fault:
            raise ApiError(
                "InvalidOutput", messages.INVALID_OUTPUT.format(text=fault.message)
            ) from None
        if len(payload.data) > self.limits.payload_bytes:
            too_long = messages.OUTPUT_TOO_LONG.format(limit=self.limits.payload_bytes)
            raise ApiError("InvalidOutput", messages.INVALID_OUTPUT.format(text=too_long))
        return payload

    async def send_task_failure(
        self, task_token: str, error: str | None = None, cause: str | None = None
    ) -> dict[str, Any]:
        """{}: the task fails with the error, which Retry and Catch compare. The token is checked
        last.
        """
        self._check_failure(error, cause)
        return await self._answer(
            task_token, lambda frame, seq: TaskFailed(frame, seq, scrub(error), scrub(cause))
        )

    async def send_task_heartbeat(self, task_token: str) -> dict[str, Any]:
        """{}: the task is still being worked on; its HeartbeatSeconds begin again."""
        return await self._answer(task_token, Heartbeat)

    async def _answer(self, task_token: str, event: Callable[[int, int], Event]) -> dict[str, Any]:
        """Hand a worker's report to its attempt, and answer once it is durable. `event` may raise
        ApiError.
        """
        self.worker.check()
        parts = read_token(task_token)
        if parts is None:
            raise ApiError("InvalidToken", messages.INVALID_TOKEN)
        execution_id, frame_id, seq = parts
        live = await self.worker.load(execution_id)
        if live is None:
            raise await self._too_late(task_token, *parts)
        if token(live.x, frame_id, seq) != task_token:
            self.worker.settle(live)
            raise ApiError("InvalidToken", messages.INVALID_TOKEN)
        try:
            report = event(frame_id, seq)
        except ApiError:
            self.worker.settle(live)
            raise
        frame = live.x.frames.get(frame_id)
        current = frame is not None and frame.seq == seq and frame.phase == model.Phase.TASK
        done = asyncio.get_running_loop().create_future()
        self.worker.submit(live, report, done)
        await done
        if (
            not current
        ):  # said only once what ended the task is durable: its worker will not report again
            raise ApiError("TaskTimedOut", messages.TASK_TIMED_OUT)
        return {}

    async def _too_late(
        self, task_token: str, execution_id: int, frame_id: int, seq: int
    ) -> ApiError:
        """What the bearer of a token is told whose execution does not run."""
        row = await self.store.row(execution_id)
        if row is None:
            return ApiError("TaskDoesNotExist", messages.TASK_UNKNOWN)
        if token(row, frame_id, seq) != task_token:
            return ApiError("InvalidToken", messages.INVALID_TOKEN)
        return ApiError("TaskTimedOut", messages.TASK_TIMED_OUT)
