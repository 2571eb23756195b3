"""The processes of functions: as many as the load needs, none when there is none.

    call --> an idle process of that function, or a place in its queue --> the process that is free
    first, warm or new --> answer

A function gets new processes while calls of it wait; few are started at a time, so that short calls
are done by those that are warm. A process does one call at a time. A call that is cancelled or
overruns has its whole process group killed.
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
from stepwell.integrations.services.runtime.orphans import Hunter
from stepwell.integrations.services.runtime.process import (
    LOG_TAIL_BYTES,
    Gone,
    Process,
    Reply,
    Unloadable,
)

log: Final = logging.getLogger("stepwell.functions")

_CLOSE_SECONDS: Final = 5.0


THROTTLED: Final = "TooManyRequestsException"
INVALID_ZIP: Final = "InvalidZipFileException"
BROKEN: Final = "ServiceException"


class Unavailable(Exception):
    """A call could not be made. code: as Invoke names it, such as THROTTLED if too many wait
    already.
    """

    def __init__(self, code: str = BROKEN, reason: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class Call:
    """What a call carries besides its event. seconds: the task's own time limit; token: of the
    attempt; client: the client context.

    tail   whether the end of the log is wanted
    trace  an X-Ray header; "": one is made
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
    """What came back.

    payload  as Lambda would send it             value  the same, parsed; its text, if it is no JSON
    failed   the payload describes an error      log    the last bytes of what was printed
    """

    payload: bytes
    value: Json
    failed: bool = False
    log: bytes = b""

    @property
    def text(self) -> str:
        return self.payload.decode(errors="replace")


def answer_of(payload: bytes, failed: bool = False, log: bytes = b"") -> Answer:
    """What a function answered, byte by byte: a handler may return bytes that are no JSON. Raises
    JsonDepthError.
    """
    try:
        return Answer(payload, loads(payload or b"null"), failed, log)
    except JsonDepthError:
        raise
    except JsonError:
        return Answer(payload, payload.decode(errors="replace"), failed, log)


class Target(NamedTuple):
    """A function that exists here. arn: with the qualifier, if one was given; version: the one that
    this call is for.
    """

    arn: str
    version: str
    invoke: Callable[[Json, Call], Awaitable[Answer]]


_Place = tuple[asyncio.Future["Process | Answer"], Call]


class Pool:
    """At most `function_workers` processes, busy and idle together. Longest-idle ones make room.

    output(name, text) receives what functions print
    """

    def __init__(self, limits: Limits, output: Callable[[str, str], None]) -> None:
        self._limits, self._output = limits, output
        self._idle: dict[Function, list[Process]] = {}  # the last one was used last
        self._queues: dict[Function, deque[_Place]] = {}
        self._waiting = 0
        self._starting: dict[Process, asyncio.Task[None]] = {}
        self._all: set[Process] = set()  # those that are being started as well
        self._busy: set[Process] = set()
        self._done: set[Process] = (
            set()
        )  # those that have answered and are about to ask for the next event
        self._sweeper: asyncio.TimerHandle | None = None
        self._hunter = Hunter()
        self._closed = False

    @property
    def supervisor(self) -> Supervisor:
        return self._hunter.supervisor

    @supervisor.setter
    def supervisor(self, supervisor: Supervisor) -> None:
        self._hunter.supervisor = supervisor

    async def invoke(self, function: Function, event: bytes, call: Call) -> Answer:
        """One call. What the function does wrong is an Answer that failed; raises Unavailable.
        Cancelling it kills the process.
        """
        process = self._warm(function) or await self._wait(function, call)
        if isinstance(process, Answer):
            return process
        began, loaded = time.monotonic(), process.init_ms
        seconds = function.seconds if call.seconds is None else min(function.seconds, call.seconds)
        self._busy.add(process)
        process.begin()
        process.init_ms = None
        unspent = False
        try:
            reply = await process.exchange(
                call.request_id, _headers(call, seconds), event, function.seconds
            )
            answer = self._answer(reply, call.request_id)
            unspent = True
        except TimeoutError:
            answer = _overran(function, call)
        except Gone as gone:
            answer = _failed(
                "Runtime.ExitError", await process.obituary(call.request_id, bool(gone.args))
            )
        finally:
            self._busy.discard(process)
            output = process.end()
            process.idle_since = time.monotonic()
            if unspent:
                self._done.add(process)
            else:
                process.kill()
        if not call.tail:
            return answer
        ms = (time.monotonic() - began) * 1000
        return Answer(
            answer.payload, answer.value, answer.failed, _report(process, call, output, ms, loaded)
        )

    def _answer(self, reply: Reply, request_id: str) -> Answer:
        if reply.body is None:
            limit = self._limits.function_response_bytes
            return _failed(
                "Function.ResponseSizeTooLarge", messages.FUNCTION_RESPONSE_SIZE.format(limit=limit)
            )
        try:
            return answer_of(reply.body, not reply.well)
        except JsonDepthError as fault:  # deeper nested than a payload may be
            text = bootstrap.fault(
                "Runtime.MarshalError", bootstrap.MARSHAL.format(error=fault.message), request_id
            )
            return answer_of(text.encode(), True)

    # --- who gets which process ---

    def _warm(self, function: Function) -> Process | None:
        """The idle process of this function that was used last."""
        while warm := self._idle.get(function):
            process = self._forget(warm[-1])
            if process.alive():
                return process
            process.kill()
        return None

    async def _wait(self, function: Function, call: Call) -> Process | Answer:
        """A process that is free, or why there can be none."""
        if (
            self._waiting + len(self._busy)
            >= self._limits.function_queue + self._limits.function_workers
        ):
            raise Unavailable(THROTTLED, messages.FUNCTION_THROTTLED)
        place: _Place = (asyncio.get_running_loop().create_future(), call)
        queue = self._queues.setdefault(function, deque())
        queue.append(place)
        self._waiting += 1
        self._grow()
        try:
            if place in queue and len(queue) > self._coming(function):
                async with in_line.get()():
                    return await place[0]
            return await place[0]
        except asyncio.CancelledError:
            if place in queue:
                self._leave(function, place)
                self._shrink(function)
            elif (
                place[0].done()
                and not place[0].cancelled()
                and isinstance(process := place[0].result(), Process)
            ):
                self._free(process)
            raise

    def _leave(self, function: Function, place: _Place) -> None:
        queue = self._queues[function]
        queue.remove(place)
        self._waiting -= 1
        if not queue:
            del self._queues[function]

    def _next(self, function: Function) -> _Place | None:
        """Who has waited longest for this function, and now does so no more."""
        while queue := self._queues.get(function):
            place = queue[0]
            self._leave(function, place)
            if not place[0].done():
                return place
        return None

    def _coming(self, function: Function) -> int:
        """How many processes are about to take its next calls."""
        return sum(process.function == function for process in (*self._starting, *self._done))

    def _grow(self) -> None:
        """Start processes for those that wait, as far as there is room for them."""
        for function, queue in list(self._queues.items()):
            for _ in range(len(queue) - self._coming(function)):
                if (
                    self._closed
                    or len(self._starting) >= self._limits.function_starts
                    or not self._make_room()
                ):
                    return
                process = Process(
                    function, self._output, self._free, self._ended, queue[0][1].arn, self._limits
                )
                self._all.add(process)
                self._starting[process] = asyncio.create_task(self._start(process))

    def _make_room(self) -> bool:
        """Whether there may be one more process."""
        if len(self._all) < self._limits.function_workers:
            return True
        idle = [process for processes in self._idle.values() for process in processes]
        if not idle:
            return False
        process = self._forget(min(idle, key=lambda process: process.idle_since))
        process.kill()
        self._all.discard(process)
        return True

    def _shrink(self, function: Function) -> None:
        """Perhaps nobody waits any more for the process of this function that was started last."""
        started = [task for process, task in self._starting.items() if process.function == function]
        if len(started) > len(self._queues.get(function, ())):
            started[-1].cancel()

    async def _start(self, process: Process) -> None:
        """Make it ready for who waits longest; what goes wrong is the answer to that one."""
        function = process.function
        problem: Callable[[Call], Answer] | Unavailable
        try:
            await process.start(self._limits.function_response_bytes)
            async with asyncio.timeout(max(function.seconds, self._limits.function_init_seconds)):
                await process.ready
        except TimeoutError:
            problem = partial(_overran, function)
        except OSError as error:  # no memory, too many processes or files
            problem = Unavailable(reason=f"{type(error).__name__}: {error}")
        except Unloadable as why:
            reply = Reply(False, why.args[0])
            problem = lambda call: self._answer(reply, call.request_id)
        except Gone as gone:
            text = await process.obituary("{request}", bool(gone.args))
            problem = lambda call: _failed(
                "Runtime.ExitError", text.format(request=call.request_id)
            )
        except asyncio.CancelledError:
            self._starting.pop(process)
            process.kill()
            raise
        except Exception as error:  # such as a variable that no environment can hold
            self.supervisor.report(
                "function_processes", error, f"{function.name} cannot be started"
            )
            problem = Unavailable(reason=f"{type(error).__name__}: {error}")
        else:
            self._starting.pop(process)
            self._free(process)
            return
        self._starting.pop(process)
        self._disappoint(process, problem)
        self._grow()

    def _disappoint(
        self, process: Process, problem: Callable[[Call], Answer] | Unavailable
    ) -> None:
        """Tell who waits longest why this process will do nothing for him."""
        output = process.end()
        process.kill()
        if not process.spawned:
            self._all.discard(process)
        place = self._next(process.function)
        if place is None:
            return
        future, call = place
        if isinstance(problem, Unavailable):
            future.set_exception(problem)
        else:
            told = problem(call)
            ms = (time.monotonic() - process.began) * 1000
            future.set_result(
                Answer(told.payload, told.value, True, _report(process, call, output, ms, None))
            )

    def _free(self, process: Process) -> None:
        """It can take a call: that of who waits longest, or it is idle."""
        self._done.discard(process)
        if not process.alive():
            process.kill()
        elif (place := self._next(process.function)) is not None:
            place[0].set_result(process)
        else:
            process.idle_since = time.monotonic()
            self._idle.setdefault(process.function, []).append(process)
            self._sweep_later()
            if self._queues:
                self._grow()

    # --- ends ---

    def _forget(self, process: Process) -> Process:
        """No longer one of the idle ones."""
        warm = self._idle[process.function]
        warm.remove(process)
        if not warm:
            del self._idle[process.function]
        return process

    def _put_aside(self, process: Process) -> Process:
        """It gets no more calls."""
        self._done.discard(process)
        return self._forget(process) if process in self._idle.get(process.function, []) else process

    def _ended(self, process: Process) -> None:
        self._all.discard(process)
        self._done.discard(process)
        self._hunter.hunt(process.mark)
        if (
            process not in self._busy and process not in self._starting
        ):  # of those the last answer may still be on its way
            self._put_aside(process).kill()
        self._grow()

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(
                self._limits.function_idle_seconds, self._sweep
            )

    def _sweep(self) -> None:
        """End what has been idle for long, or does not ask for events any more."""
        self._sweeper = None
        oldest = time.monotonic() - self._limits.function_idle_seconds
        for process in [
            process
            for process in self._all - self._busy - self._starting.keys()
            if process.idle_since <= oldest
        ]:
            self._put_aside(process).kill()
        if self._all:
            self._sweep_later()

    def retire(self, name: str) -> None:
        """End the processes of a function that are not busy: it is deleted, or changed."""
        for process in [
            process
            for process in self._all - self._busy - self._starting.keys()
            if process.function.name == name
        ]:
            self._put_aside(process).kill()

    async def close(self) -> None:
        """Kill all processes and wait until they are gone."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._closed = True
        starting = list(self._starting.values())
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        doomed = [process for process in self._all if process.spawned]
        for process in doomed:
            process.kill()
        if doomed:
            _, left = await asyncio.wait(
                [process.ended for process in doomed], timeout=_CLOSE_SECONDS
            )
            if left:
                log.warning("%s killed processes of functions do not end", len(left))
        await self._hunter.close()


def trace_id(request_id: str, now: int) -> str:
    """An X-Ray header as AWS makes one for a call that nobody traces. now: ms"""
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


def _overran(function: Function, call: Call) -> Answer:
    return _failed(
        "Sandbox.Timedout",
        messages.FUNCTION_TIMEOUT.format(request=call.request_id, seconds=function.seconds),
    )


def _failed(error: str, message: str) -> Answer:
    """As Lambda itself words it, when there is no runtime left to do so."""
    value = {"errorType": error, "errorMessage": message}
    return Answer(encode(value), value, True)


def _report(process: Process, call: Call, output: bytes, ms: float, loaded: float | None) -> bytes:
    """The last bytes of the log, with the lines that Lambda puts around what a function prints."""
    head = f"START RequestId: {call.request_id} Version: {call.version}\n"
    init = "" if loaded is None else f"Init Duration: {loaded:.2f} ms\t"
    tail = (
        f"END RequestId: {call.request_id}\nREPORT RequestId: {call.request_id}\tDuration: "
        f"{ms:.2f} ms\t"
        f"Billed Duration: {math.ceil(ms)} ms\tMemory Size: {process.function.memory_mb} MB\t"
        f"Max Memory Used: {process.memory_mb()} MB\t{init}\n"
    )
    return (head.encode() + output + tail.encode())[-LOG_TAIL_BYTES:]
