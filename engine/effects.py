"""One attempt of a Task, from the core's command to the event that reports it. The worker and TestState run tasks through here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Final

from stepwell.asl import jsontext, messages
from stepwell.asl.evaluation import Json
from stepwell.engine.core.environment import token
from stepwell.engine.core.model import Event, Execution, Payload, RunTask, TaskFailed, TaskSubmitted, TaskSucceeded
from stepwell.engine.store.blobs import scrub
from stepwell.engine.tasks import Done, TaskError, TaskRequest, Tasks, Trace

_SCALARS: Final = (str, int, float, bool, type(None))


def _text(error: BaseException) -> str:
    """What an error says, if it can say it."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__


def checked(result: Json) -> Payload:
    """What a handler gave, if it is JSON as it stands: a look-alike (bytes, a tuple, a number as a key) would be another after a crash.

    Raises TypeError, JsonFault.
    """
    if isinstance(result, Payload):  # made of a text by its handler, off the event loop
        return result
    data, level = jsontext.encode(result), [result]  # which ends, so that there is no cycle
    if jsontext.loads(data) == result:
        return Payload(result, data)
    while level:
        below: list[Json] = []
        for each in level:
            kind = type(each)
            if kind is dict:
                for key in each:
                    if type(key) is not str:
                        raise TypeError(messages.KEY_NOT_TEXT.format(key=key, kind=type(key).__name__))
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
    """Run the handler of a Task's resource. Raises nothing of the handler's own: that is the task's failure."""
    resource, frame, seq = command.resource, command.frame, command.seq
    try:
        handler = tasks.resolve(resource)
        if handler is None:
            raise TaskError(messages.RUNTIME, messages.NO_SERVICE.format(resource=resource.text), runtime=True)
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
        also = result if type(result) is Done else None
        return (TaskSubmitted if resource.callback else TaskSucceeded)(frame, seq, checked(also.result if also else result), also)
    except TaskError as error:
        return TaskFailed(frame, seq, scrub(error.error), scrub(error.cause), error.runtime)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):  # they end the process, or this task with its loop
        raise
    except BaseException as error:  # a handler's own fault is the task's failure: Retry and Catch see it
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise  # else something inside the handler was cancelled, not the attempt
        return TaskFailed(frame, seq, type(error).__name__, scrub(_text(error)))
