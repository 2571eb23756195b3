"""The processes of functions, whose number follows the load.

    call --> an idle process of the function, or its queue --> the first free process --> answer

While calls of a function wait, new processes are started for it, but only a few at the same time,
so that warm processes can handle short calls. A process handles one call at a time. If a call is
cancelled or times out, its process group is killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import JsonDepthError, JsonError, encode, loads
from stepwell.engine.supervisor import Supervisor
from stepwell.engine.tasks import in_line
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.runtime import bootstrap, messages
from stepwell.integrations.services.runtime.function import LATEST, Function
from stepwell.integrations.services.runtime.orphans import OrphanKiller
from stepwell.integrations.services.runtime.process import (
    LOG_TAIL_BYTES,
    LoadError,
    Process,
    ProcessEndedError,
    Reply,
)

log: Final = logging.getLogger("stepwell.functions")

_CLOSE_SECONDS: Final = 5.0


THROTTLED: Final = "TooManyRequestsException"
INVALID_ZIP: Final = "InvalidZipFileException"
BROKEN: Final = "ServiceException"


class UnavailableError(Exception):
    """A function cannot be called. code: an error name of Invoke."""

    def __init__(self, code: str = BROKEN, reason: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class Call:
    """The parameters of a call besides its event.

    seconds  the task's time limit; None: only that of the function
    token    the task token
    client   the client context
    tail     whether the answer has the end of the log
    trace    an X-Ray header; "": a new one
    """

    request_id: str
    arn: str
    version: str = LATEST
    seconds: float | None = None
    token: str = ""
    client: Json = None
    tail: bool = True
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a call.

    payload  as Invoke returns it
    value    the payload parsed; its text if it is not JSON
    failed   whether the payload is an error
    log      the last bytes of the log
    """

    payload: bytes
    value: Json
    failed: bool = False
    log: bytes = b""

    @property
    def text(self) -> str:
        return self.payload.decode(errors="replace")


def answer_of(payload: bytes, failed: bool = False, log: bytes = b"") -> Answer:
    """payload: need not be JSON, since a handler may return any bytes. Raises JsonDepthError."""
    try:
        return Answer(payload, loads(payload or b"null"), failed, log)
    except JsonDepthError:
        raise
    except JsonError:
        return Answer(payload, payload.decode(errors="replace"), failed, log)


class Target(NamedTuple):
    """An existing function. arn: with the qualifier of the reference; version: the one to call."""

    arn: str
    version: str
    invoke: Callable[[Json, Call], Awaitable[Answer]]


_Waiter = tuple[asyncio.Future["Process | Answer"], Call]


class Pool:
    """At most `function_workers` processes. If more are needed, the one that was idle longest is
    ended.

    output  (function's name, text): receives printed output
    """

    def __init__(self, limits: Limits, output: Callable[[str, str], None]) -> None:
        self._limits, self._output = limits, output
        self._idle: dict[Function, list[Process]] = {}  # the most recently used one is last
        self._queues: dict[Function, deque[_Waiter]] = {}
        self._waiting = 0  # calls in the queues
        self._starting: dict[Process, asyncio.Task[None]] = {}
        self._all: set[Process] = set()
        self._busy: set[Process] = set()
        self._finishing: set[Process] = set()  # have responded, and will request the next event
        self._sweeper: asyncio.TimerHandle | None = None
        self._orphans = OrphanKiller()
        self._closed = False

    @property
    def supervisor(self) -> Supervisor:
        return self._orphans.supervisor

    @supervisor.setter
    def supervisor(self, supervisor: Supervisor) -> None:
        self._orphans.supervisor = supervisor

    def print(self, function: str, text: str) -> None:
        """Print for a function, among what it prints itself."""
        self._output(function, text)

    @property
    def busy(self) -> bool:
        """Whether a call runs, or a process for one starts."""
        return bool(self._busy or self._starting)

    async def invoke(self, function: Function, event: bytes, call: Call) -> Answer:
        """One call. An error of the function is an Answer that failed. Raises UnavailableError.
        Cancelling it kills the process.
        """
        process = self._take_idle(function) or await self._wait(function, call)
        if isinstance(process, Answer):
            return process
        began, init_ms = time.monotonic(), process.init_ms
        seconds = function.seconds if call.seconds is None else min(function.seconds, call.seconds)
        self._busy.add(process)
        process.begin_log()
        process.init_ms = None
        reusable = False
        try:
            reply = await process.exchange(
                call.request_id, _headers(call, seconds), event, function.seconds
            )
            answer = self._answer(reply, call.request_id)
            reusable = True
        except TimeoutError:
            answer = _timed_out(function, call)
        except ProcessEndedError as error:
            answer = _failed(
                "Runtime.ExitError", await process.exit_message(call.request_id, error)
            )
        finally:
            self._busy.discard(process)
            output = process.end_log()
            process.idle_since = time.monotonic()
            if reusable:
                self._finishing.add(process)
            else:
                process.kill()
        if not call.tail:
            return answer
        ms = (time.monotonic() - began) * 1000
        return Answer(
            answer.payload, answer.value, answer.failed, _report(process, call, output, ms, init_ms)
        )

    def _answer(self, reply: Reply, request_id: str) -> Answer:
        if reply.body is None:
            limit = self._limits.function_response_bytes
            return _failed(
                "Function.ResponseSizeTooLarge", messages.FUNCTION_RESPONSE_SIZE.format(limit=limit)
            )
        try:
            return answer_of(reply.body, not reply.succeeded)
        except JsonDepthError as error:
            text = bootstrap.error_payload(
                "Runtime.MarshalError", bootstrap.MARSHAL.format(error=error.message), request_id
            )
            return answer_of(text.encode(), True)

    # --- assigning processes to calls ---

    def _take_idle(self, function: Function) -> Process | None:
        """The most recently used idle process of a function."""
        while idle := self._idle.get(function):
            process = self._remove_idle(idle[-1])
            if process.alive():
                return process
            process.kill()
        return None

    async def _wait(self, function: Function, call: Call) -> Process | Answer:
        """A process, or the answer of a function that cannot be loaded. Raises UnavailableError."""
        if (
            self._waiting + len(self._busy)
            >= self._limits.function_queue + self._limits.function_workers
        ):
            raise UnavailableError(THROTTLED, messages.FUNCTION_THROTTLED)
        future: asyncio.Future[Process | Answer] = asyncio.get_running_loop().create_future()
        waiter = future, call
        queue = self._queues.setdefault(function, deque())
        queue.append(waiter)
        self._waiting += 1
        self._grow()
        try:
            if waiter in queue and len(queue) > self._expected(function):
                async with in_line.get()():
                    return await future
            return await future
        except asyncio.CancelledError:
            if waiter in queue:
                self._dequeue(function, waiter)
                self._shrink(function)
            elif (
                future.done()
                and not future.cancelled()
                and isinstance(process := future.result(), Process)
            ):
                self._busy.discard(process)
                self._assign(process)
            raise

    def _dequeue(self, function: Function, waiter: _Waiter) -> None:
        queue = self._queues[function]
        queue.remove(waiter)
        self._waiting -= 1
        if not queue:
            del self._queues[function]

    def _next(self, function: Function) -> _Waiter | None:
        """The call that has waited longest, removed from its queue."""
        while queue := self._queues.get(function):
            waiter = queue[0]
            self._dequeue(function, waiter)
            if not waiter[0].done():
                return waiter
        return None

    def _expected(self, function: Function) -> int:
        """How many processes will soon be free for its next calls."""
        return sum(process.function == function for process in (*self._starting, *self._finishing))

    def _grow(self) -> None:
        """Start processes for waiting calls, up to the limits."""
        for function, queue in list(self._queues.items()):
            for _ in range(len(queue) - self._expected(function)):
                if (
                    self._closed
                    or len(self._starting) >= self._limits.function_starts
                    or not self._make_room()
                ):
                    return
                process = Process(
                    function, self._output, self._assign, self._ended, queue[0][1].arn, self._limits
                )
                self._all.add(process)
                self._starting[process] = asyncio.create_task(self._start(process))

    def _make_room(self) -> bool:
        """Returns whether one more process is allowed; ends an idle one for it."""
        if len(self._all) < self._limits.function_workers:
            return True
        idle = [process for processes in self._idle.values() for process in processes]
        if not idle:
            return False
        process = self._remove_idle(min(idle, key=lambda process: process.idle_since))
        process.kill()
        self._all.discard(process)
        return True

    def _shrink(self, function: Function) -> None:
        """Stop the process of a function that was started last if no call waits for it."""
        started = [task for process, task in self._starting.items() if process.function == function]
        if len(started) > len(self._queues.get(function, ())):
            started[-1].cancel()

    async def _start(self, process: Process) -> None:
        """Start a process and assign it; an error is the result of the call that waited longest."""
        function = process.function
        problem: Callable[[Call], Answer] | UnavailableError
        try:
            await process.start(self._limits.function_response_bytes)
            async with asyncio.timeout(max(function.seconds, self._limits.function_init_seconds)):
                await process.ready
        except TimeoutError:
            problem = partial(_timed_out, function)
        except OSError as error:  # no memory, too many processes or files
            problem = UnavailableError(reason=f"{type(error).__name__}: {error}")
        except LoadError as error:
            reply = Reply(False, error.payload)
            problem = lambda call: self._answer(reply, call.request_id)
        except ProcessEndedError as error:
            text = await process.exit_message("{request}", error)
            problem = lambda call: _failed(
                "Runtime.ExitError", text.format(request=call.request_id)
            )
        except asyncio.CancelledError:
            self._starting.pop(process)
            process.kill()
            raise
        except Exception as error:  # such as an invalid environment variable
            self.supervisor.report(
                "function_processes", error, f"{function.name} cannot be started"
            )
            problem = UnavailableError(reason=f"{type(error).__name__}: {error}")
        else:
            self._starting.pop(process)
            self._assign(process)
            return
        self._starting.pop(process)
        self._fail_next(process, problem)
        self._grow()

    def _fail_next(
        self, process: Process, problem: Callable[[Call], Answer] | UnavailableError
    ) -> None:
        """The process cannot be started: that is the result of the call that waited longest."""
        output = process.end_log()
        process.kill()
        if not process.spawned:
            self._all.discard(process)
        waiter = self._next(process.function)
        if waiter is None:
            return
        future, call = waiter
        if isinstance(problem, UnavailableError):
            future.set_exception(problem)
        else:
            answer = problem(call)
            ms = (time.monotonic() - process.began) * 1000
            report = _report(process, call, output, ms, None)
            future.set_result(Answer(answer.payload, answer.value, True, report))

    def _assign(self, process: Process) -> None:
        """The process is free: it gets the call that waited longest, or is idle."""
        self._finishing.discard(process)
        if not process.alive():
            process.kill()
        elif (waiter := self._next(process.function)) is not None:
            self._busy.add(process)  # before its call resumes, a sweep must not take it for idle
            waiter[0].set_result(process)
        else:
            process.idle_since = time.monotonic()
            self._idle.setdefault(process.function, []).append(process)
            self._sweep_later()
            if self._queues:
                self._grow()

    # --- ending processes ---

    def _remove_idle(self, process: Process) -> Process:
        idle = self._idle[process.function]
        idle.remove(process)
        if not idle:
            del self._idle[process.function]
        return process

    def _withdraw(self, process: Process) -> Process:
        """The process gets no more calls."""
        self._finishing.discard(process)
        if process in self._idle.get(process.function, []):
            self._remove_idle(process)
        return process

    def _ended(self, process: Process) -> None:
        self._all.discard(process)
        self._finishing.discard(process)
        self._orphans.kill_soon(process.mark)
        # the response of a busy one may not be read yet
        if process not in self._busy and process not in self._starting:
            self._withdraw(process).kill()
        self._grow()

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(
                self._limits.function_idle_seconds, self._sweep
            )

    def _sweep(self) -> None:
        """End processes that were idle for too long, or do not request events any more."""
        self._sweeper = None
        oldest = time.monotonic() - self._limits.function_idle_seconds
        for process in [
            process
            for process in self._all - self._busy - self._starting.keys()
            if process.idle_since <= oldest
        ]:
            self._withdraw(process).kill()
        if self._all:
            self._sweep_later()

    def retire(self, name: str) -> None:
        """End the processes of a function that are not busy: it was deleted or changed."""
        for process in [
            process
            for process in self._all - self._busy - self._starting.keys()
            if process.function.name == name
        ]:
            self._withdraw(process).kill()

    async def close(self) -> None:
        """Kill all processes, and wait for their end."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._closed = True
        starting = list(self._starting.values())
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        killed = [process for process in self._all if process.spawned]
        for process in killed:
            process.kill()
        if killed:
            _, left = await asyncio.wait(
                [process.ended for process in killed], timeout=_CLOSE_SECONDS
            )
            if left:
                log.warning("%s killed processes of functions do not end", len(left))
        await self._orphans.close()


def trace_id(request_id: str, now: int) -> str:
    """The X-Ray header of a call without a trace. now: epoch ms."""
    digits = request_id.replace("-", "")
    return f"Root=1-{now // 1000:08x}-{digits[:24]};Parent={digits[16:]};Sampled=0"


def _headers(call: Call, seconds: float) -> dict[str, str]:
    headers = {
        "Lambda-Runtime-Aws-Request-Id": call.request_id,
        "Lambda-Runtime-Deadline-Ms": str(bootstrap.deadline(seconds)),
        "Lambda-Runtime-Invoked-Function-Arn": call.arn,
        "Lambda-Runtime-Trace-Id": call.trace or trace_id(call.request_id, bootstrap.deadline(0)),
    }
    if call.token:
        headers["Stepwell-Task-Token"] = call.token
    if call.client is not None:
        headers["Lambda-Runtime-Client-Context"] = json.dumps(call.client)
    return headers


def _timed_out(function: Function, call: Call) -> Answer:
    return _failed(
        "Sandbox.Timedout",
        messages.FUNCTION_TIMEOUT.format(request=call.request_id, seconds=function.seconds),
    )


def _failed(error: str, message: str) -> Answer:
    """An error that Lambda reports instead of the runtime."""
    value = {"errorType": error, "errorMessage": message}
    return Answer(encode(value), value, True)


def _report(process: Process, call: Call, output: bytes, ms: float, init_ms: float | None) -> bytes:
    """The last bytes of the log: the printed output between Lambda's START and END lines."""
    head = f"START RequestId: {call.request_id} Version: {call.version}\n"
    init = "" if init_ms is None else f"Init Duration: {init_ms:.2f} ms\t"
    tail = (
        f"END RequestId: {call.request_id}\nREPORT RequestId: {call.request_id}\tDuration: "
        f"{ms:.2f} ms\t"
        f"Billed Duration: {math.ceil(ms)} ms\tMemory Size: {process.function.memory_mb} MB\t"
        f"Max Memory Used: {process.memory_mb()} MB\t{init}\n"
    )
    return (head.encode() + output + tail.encode())[-LOG_TAIL_BYTES:]
