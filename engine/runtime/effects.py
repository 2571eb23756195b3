"""One attempt of a Task, from the core's command to the event that reports it. The worker and
TestState run tasks through here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Final

from stepwell.asl import json_text
from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.engine import messages
from stepwell.engine.core.environment import token
from stepwell.engine.core.events import (
    Event,
    RunTask,
    TaskBegan,
    TaskFailed,
    TaskQueued,
    TaskSubmitted,
    TaskSucceeded,
)
from stepwell.engine.core.model import Execution, Payload
from stepwell.engine.errors import StoreError
from stepwell.engine.runtime.live import Live, Slot
from stepwell.engine.store.blobs import scrub
from stepwell.engine.tasks import TaskError, TaskRequest, Tasks, Trace, Transaction, in_line

_SCALARS: Final = (str, int, float, bool, type(None))


def _text(error: BaseException) -> str:
    """What an error says, if it can say it."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__


def checked(result: Json) -> Payload:
    """What a handler gave, if it is JSON as it stands: a look-alike (bytes, a tuple, a number as a
    key) would be another after a crash.

    Raises TypeError, JsonError.
    """
    if isinstance(result, Payload):  # made of a text by its handler, off the event loop
        return result
    data, level = json_text.encode(result), [result]  # which ends, so that there is no cycle
    if json_text.loads(data) == result:
        return Payload(result, data)
    while level:
        below: list[Json] = []
        for each in level:
            kind = type(each)
            if kind is dict:
                for key in each:
                    if type(key) is not str:
                        raise TypeError(
                            messages.KEY_NOT_TEXT.format(key=key, kind=type(key).__name__)
                        )
                below += each.values()
            elif kind is list:
                below += each
            elif kind not in _SCALARS:
                raise TypeError(messages.NOT_JSON.format(kind=kind.__name__))
        level = below
    return Payload(result, data)


async def perform(
    tasks: Tasks,
    x: Execution,
    command: RunTask,
    submitted: Callable[[Json], Awaitable[None]],
    trace: Trace | None = None,
    waiting: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> Event:
    """Run the handler of a Task's resource. Raises nothing of the handler's own: that is the task's
    failure. Raises StoreError.
    """
    resource, frame, seq = command.resource, command.frame, command.seq
    try:
        handler = tasks.resolve(resource)
        if handler is None:
            raise TaskError(
                asl_messages.RUNTIME,
                messages.NO_SERVICE.format(resource=resource.text),
                runtime=True,
            )
        result = await handler(
            TaskRequest(
                resource,
                command.payload.value,
                partial(token, x, frame, seq),
                command.timeout,
                command.heartbeat,
                command.again,
                x.arn,
                x.machine_arn,
                command.state.name,
                command.role or x.role_arn,
                submitted,
                trace,
                waiting,
            )
        )
        also = result if type(result) is Transaction else None
        return (TaskSubmitted if resource.callback else TaskSucceeded)(
            frame, seq, checked(also.answer if also else result), also
        )
    except TaskError as error:
        return TaskFailed(frame, seq, scrub(error.error), scrub(error.cause), error.runtime)
    except (
        KeyboardInterrupt,
        SystemExit,
        GeneratorExit,
    ):  # they end the process, or this task with its loop
        raise
    except StoreError:
        # what a service of ours could not read or write says nothing of the task: another life
        # carries it out
        raise
    except (
        BaseException
    ) as error:  # a handler's own fault is the task's failure: Retry and Catch see it
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise  # else something inside the handler was cancelled, not the attempt
        return TaskFailed(frame, seq, type(error).__name__, scrub(_text(error)))


class Attempts:
    """The attempts of a worker's executions.

    submit  hands an event on to the core; the future, if there is one, is done when all that was
            decided so far is durable
    fail    is told that the store failed
    """

    def __init__(
        self,
        tasks: Tasks,
        submit: Callable[[Live, Event, asyncio.Future[None] | None], None],
        fail: Callable[[StoreError], None],
    ) -> None:
        self._tasks, self._submit, self._fail = tasks, submit, fail

    def begun(self, live: Live, command: RunTask) -> None:
        """It had to wait for a slot."""
        self._submit(live, TaskBegan(command.frame, command.seq), None)

    async def run(self, live: Live, command: RunTask, slot: Slot) -> None:
        """One attempt of a task, from its intent to the event that reports it."""
        if slot.fresh:
            in_line.set(partial(self._in_line, live, command))
        submitted = partial(self._submitted, live, command)
        try:
            event = await perform(self._tasks, live.x, command, submitted, waiting=slot.waiting)
        except StoreError as error:
            self._fail(error)
        else:
            self._submit(live, event, None)

    @asynccontextmanager
    async def _in_line(self, live: Live, command: RunTask) -> AsyncIterator[None]:
        """An attempt waits for what it works with: its time limits stand still, durably, and are
        whole when it begins.

        Not where a task that the handler has started waits. (The attempt is looked up: in its own
        context it would be a cycle of references, and each one that has ended would be left to the
        garbage collector.)
        """
        frame, attempt = (
            live.x.frames.get(command.frame),
            live.effects.get((command.frame, command.seq)),
        )
        timed = (
            frame is not None
            and frame.seq == command.seq
            and frame.timed
            and asyncio.current_task() is attempt
        )
        if timed:
            self._submit(live, TaskQueued(command.frame, command.seq), None)
        try:
            yield
        finally:
            if timed:
                self._submit(live, TaskBegan(command.frame, command.seq), None)

    async def _submitted(self, live: Live, command: RunTask, answer: Json) -> None:
        """What a `.sync` task was started with is durable when this returns."""
        done = asyncio.get_running_loop().create_future()
        self._submit(live, TaskSubmitted(command.frame, command.seq, checked(answer)), done)
        await done
