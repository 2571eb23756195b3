"""The queues of activities: tasks that wait until a worker polls for them.

They are in memory. What they hold is part of the state of the executions, and recovery fills them
again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from stepwell.engine.core.events import CancelTask, RunTask
from stepwell.engine.core.model import Execution
from stepwell.engine.store.base import ActivityRow

TaskKey: TypeAlias = tuple[int, int, int]
"""(execution id, frame id, seq) of an attempt."""


class ActivityQueue:
    """row   the activity as stored; its extras: {"tags": {key: value}, "encryptionConfiguration"}
    tasks    that no worker has taken, oldest first
    pollers  callers that wait for a task, in the order of their calls
    """

    __slots__ = ("row", "tasks", "pollers")

    def __init__(self, row: ActivityRow) -> None:
        self.row = row
        self.tasks: dict[TaskKey, RunTask] = {}
        self.pollers: deque[asyncio.Future[None]] = deque()

    def wake_poller(self) -> None:
        """Let the poller that has waited longest look at the queue."""
        while self.pollers:
            poller = self.pollers.popleft()
            if not poller.done():
                poller.set_result(None)
                return


class ActivityQueues:
    """The activities of an engine.

    known    ARN -> queue
    offered  called with the ARN when a task is queued
    """

    def __init__(self) -> None:
        self.known: dict[str, ActivityQueue] = {}
        self._queued_in: dict[TaskKey, ActivityQueue] = {}
        self.offered: Callable[[str], None] = lambda arn: None

    def offer(self, execution: Execution, command: RunTask) -> bool:
        """Queue a task whose intent is durable. False: there is no such activity."""
        queue = self.known.get(command.resource.text)
        if queue is None:
            return False
        key = (execution.id, command.frame, command.seq)
        queue.tasks[key], self._queued_in[key] = command, queue
        queue.wake_poller()
        self.offered(command.resource.text)
        return True

    def withdraw(self, execution_id: int, command: CancelTask) -> None:
        """The attempt is over: no worker needs to do it any more."""
        key = (execution_id, command.frame, command.seq)
        queue = self._queued_in.pop(key, None)
        if queue is not None:
            queue.tasks.pop(key, None)

    def take(self, queue: ActivityQueue) -> tuple[TaskKey, RunTask]:
        """Remove the oldest task of a queue that has one."""
        key, command = next(iter(queue.tasks.items()))
        del queue.tasks[key]
        self._queued_in.pop(key, None)
        return key, command

    def remove(self, arn: str) -> list[tuple[TaskKey, RunTask]]:
        """Forget an activity. Answers with the tasks of its queue."""
        queue = self.known.pop(arn, None)
        tasks = [] if queue is None else list(queue.tasks.items())
        for key, _ in tasks:
            self._queued_in.pop(key, None)
        return tasks

    def fail(self, error: BaseException) -> None:
        """No task will come any more: all pollers get the error."""
        for queue in self.known.values():
            while queue.pollers:
                poller = queue.pollers.popleft()
                if not poller.done():
                    poller.set_exception(error)
