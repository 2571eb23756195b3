"""Runs Python callables of the engine's own process as functions, with the interface of Lambda.

A coroutine function runs on the event loop. Any other callable runs in one of a few threads, so it
may block. A thread cannot be stopped: if the attempt ends early (time limit, stop), the result is
dropped, and the thread is in use until the callable returns.
"""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import JsonError, encode, loads
from stepwell.engine.tasks import TaskError, acquire
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.services.runtime import bootstrap
from stepwell.integrations.services.runtime.folder import Answer, Call, answer_of

_MEMORY_MB: Final = 128  # in the context; Lambda's default
_CONTEXT: Final = "context"
_OWN_FILES: Final = (__file__, bootstrap.__file__)  # not part of a function's stack trace


class PythonCallable(NamedTuple):
    """takes_context: whether it is called with (payload, context) or with (payload); is_coroutine:
    whether it is a coroutine function.
    """

    name: str
    call: Callable[..., Any]
    takes_context: bool
    is_coroutine: bool


def inspect_callable(name: str, function: Callable[..., Any]) -> PythonCallable:
    """Raises TypeError if it accepts neither (payload) nor (payload, context)."""
    if not callable(function):
        raise TypeError(f"function {name!r} is not callable: {function!r}")
    is_coroutine = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )
    try:
        signature = inspect.signature(function)
    except ValueError:  # some builtins have no signature
        return PythonCallable(name, function, False, is_coroutine)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [
        parameter for parameter in signature.parameters.values() if parameter.kind in kinds
    ]
    second = parameters[1] if len(parameters) > 1 else None
    takes_context = second is not None and (
        second.name == _CONTEXT or second.default is inspect.Parameter.empty
    )
    try:
        signature.bind(*[None] * (1 + takes_context))
    except TypeError as error:
        raise TypeError(
            f"function {name!r} takes neither (payload) nor (payload, context): {error}"
        ) from None
    return PythonCallable(name, function, takes_context, is_coroutine)


class Callables:
    """Calls them. All share the threads."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._threads: ThreadPoolExecutor | None = None
        self._free = asyncio.Semaphore(limits.function_threads)

    async def invoke(self, function: PythonCallable, event: Json, call: Call) -> Answer:
        """One call with a copy of the event; the result is a copy too. An exception of the callable
        gives a failed Answer. Raises its TaskError.
        """
        seconds = self._limits.function_seconds if call.seconds is None else call.seconds
        deadline = bootstrap.deadline(seconds)
        context = bootstrap.Context(
            call.request_id,
            function.name,
            call.version,
            call.arn,
            _MEMORY_MB,
            deadline,
            call.token,
            call.client,
        )
        payload = loads(encode(event)) if isinstance(event, dict | list) else event
        arguments = (payload, context) if function.takes_context else (payload,)
        error: BaseException | None = None
        try:
            if function.is_coroutine:
                result = await function.call(*arguments)
            else:
                result, error = await self._in_thread(function.call, arguments)
                # a plain function that returns one, such as a lambda around a coroutine function
                if inspect.isawaitable(result):
                    result = await result
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            error = cancelled  # raised by the callable: this task was not cancelled
        except (Exception, SystemExit) as raised:
            error = raised
        if isinstance(error, TaskError):
            raise error
        if error is not None:
            return _failed(bootstrap.exception_payload(error, call.request_id, "", _OWN_FILES))
        return _answer(result, call.request_id)

    async def _in_thread(
        self, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> tuple[Any, BaseException | None]:
        await acquire(self._free)
        loop = asyncio.get_running_loop()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._limits.function_threads, "stepwell-function")
        work = self._threads.submit(_guarded, function, arguments)
        # the thread is free when the callable returns, even if the attempt ended before
        work.add_done_callback(partial(self._ended, loop))
        return await asyncio.wrap_future(work)

    def _ended(self, loop: asyncio.AbstractEventLoop, _: object) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._free.release)

    def close(self) -> None:
        """Starts no more calls; does not wait for those in threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


def _guarded(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[Any, BaseException | None]:
    """(result, exception): a future does not accept StopIteration, and SystemExit must not end a
    thread of the pool.
    """
    try:
        return function(*arguments), None
    except BaseException as error:
        return None, error


def _answer(result: Any, request_id: str) -> Answer:
    try:
        return answer_of(
            result if isinstance(result, bytes) else bootstrap.to_json(result).encode()
        )
    except (TypeError, ValueError, RecursionError) as error:  # JsonError is a ValueError
        shown = error.message if isinstance(error, JsonError) else error
        return _failed(
            bootstrap.error_payload(
                "Runtime.MarshalError", bootstrap.MARSHAL.format(error=shown), request_id
            )
        )


def _failed(text: str) -> Answer:
    # a message can contain half of a surrogate pair
    return answer_of(text.encode(errors="replace"), True)
