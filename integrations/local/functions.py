"""Runs functions from source files as Lambda would: each call in a warm process of its own kind, one call at a time in each.

    call --> queue (bounded) --> idle process of that function, or a new one --> bootstrap.py in it --> answer

A call that is cancelled or overruns has its whole process group killed. process.py has what concerns one process.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stepwell.asl import messages
from stepwell.asl.evaluation import Json
from stepwell.asl.jsontext import JsonFault, dumps, encode, loads
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.local import bootstrap
from stepwell.integrations.local.process import LATEST, LOG_TAIL_BYTES, Function, Gone, Process

log: Final = logging.getLogger("stepwell.functions")

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,140}\Z")  # Lambda's; so no name can lead out of the folder
_CLOSE_SECONDS: Final = 5.0
# file below the folder, handler, whether other functions lie beside it; the first file that exists is the function
_LAYOUTS: Final = (
    ("{name}.py", "{name}.handler", True),
    ("{name}/handler.py", "handler.handler", False),
    ("{name}/lambda_function.py", "lambda_function.lambda_handler", False),
)


class Unavailable(Exception):
    """A call could not be made: `throttled` if too many wait already, else because no process could be started."""

    def __init__(self, throttled: bool, reason: str) -> None:
        super().__init__(reason)
        self.throttled, self.reason = throttled, reason


@dataclass(frozen=True, slots=True)
class Call:
    """What a call carries besides its event. seconds: the task's own time limit; token: of the attempt; client: the client context."""

    request_id: str
    arn: str
    version: str = LATEST
    seconds: float | None = None
    token: str = ""
    client: Json = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    text    the payload as Lambda would send it      value  the same, parsed
    failed  the payload describes an error           log    the last bytes of what was printed
    """

    text: str
    value: Json
    failed: bool = False
    log: bytes = b""


class Functions:
    """Functions by name: those of a folder (`NAME.py`, `NAME/handler.py` or `NAME/lambda_function.py`), and those that were added.

    output(name, text) receives what functions print; by default it goes to standard error.
    """

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        output: Callable[[str, str], None] | None = None,
    ) -> None:
        self.folder = None if folder is None else Path(folder).resolve()
        self.limits = limits
        self._added: dict[str, Function] = {}
        self._pool = _Pool(limits, output or _to_stderr)

    def add(
        self,
        name: str,
        source: Path | str,
        handler: str,
        environment: Mapping[str, str] | None = None,
        *,
        seconds: float | None = None,
        memory_mb: int = 128,
    ) -> None:
        """A function whose code lies anywhere: `source` is a folder with nothing but its files, `handler` is "module.function"."""
        if not NAME.match(name):
            raise ValueError(f"not a function name: {name!r}")
        path, own = str(Path(source).resolve()), tuple((environment or {}).items())
        self._added[name] = Function(name, path, handler, False, own, seconds or self.limits.function_seconds, memory_mb)

    def find(self, name: str) -> Function | None:
        """The function as its file is now."""
        if (added := self._added.get(name)) is not None:
            file = os.path.join(added.source, *added.handler.rpartition(".")[0].replace("/", ".").split(".")) + ".py"
            return _stamped(added, file) or added
        if self.folder is None or not NAME.match(name):
            return None
        for layout, handler, shared in _LAYOUTS:
            file = os.path.join(self.folder, layout.format(name=name))
            plain = Function(name, os.path.dirname(file), handler.format(name=name), shared, seconds=self.limits.function_seconds)
            if (found := _stamped(plain, file)) is not None:
                return found
        return None

    async def invoke(self, function: Function, event: Json, call: Call) -> Answer:
        """One call. What the function does wrong is an Answer that failed; raises Unavailable. Cancelling it kills the process."""
        return await self._pool.invoke(function, encode(event), call)

    async def close(self) -> None:
        """Kill all processes and wait until they are gone."""
        await self._pool.close()


def _stamped(function: Function, file: str) -> Function | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    parts = (function.name, function.source, function.handler, function.shared, function.environment, function.seconds, function.memory_mb)
    return Function(*parts, (found.st_mtime_ns, found.st_size))


def _to_stderr(name: str, text: str) -> None:
    with suppress(OSError, ValueError):  # closed, or nobody reads it: that is no fault of the function
        sys.stderr.write(text)
        sys.stderr.flush()


# --- the pool ---------------------------------------------------------------------------------------------------------------


class _Pool:
    """At most `function_workers` processes, busy and idle together; a busy one belongs to one call. Longest-idle ones make room."""

    def __init__(self, limits: Limits, output: Callable[[str, str], None]) -> None:
        self._limits, self._output = limits, output
        self._slots = asyncio.Semaphore(limits.function_workers)
        self._waiting = self._busy = 0
        self._idle: dict[Function, list[Process]] = {}  # the last one was used last
        self._all: set[Process] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def invoke(self, function: Function, event: bytes, call: Call) -> Answer:
        if self._waiting >= self._limits.function_queue:
            raise Unavailable(True, messages.FUNCTION_THROTTLED)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._call(self._take(function, call.arn), event, call)
        finally:
            self._slots.release()

    async def _call(self, process: Process, event: bytes, call: Call) -> Answer:
        """In the process; afterwards it is idle again, or killed unless all went well."""
        function, limit = process.function, self._limits.function_response_bytes
        seconds = function.seconds if call.seconds is None else min(function.seconds, call.seconds)
        header = {"id": call.request_id, "arn": call.arn, "seconds": seconds, "token": call.token, "client": call.client, "limit": limit}
        self._busy += 1
        reusable = False
        began = time.monotonic()
        process.begin(self._limits.function_log_bytes)
        try:
            async with asyncio.timeout(function.seconds):
                flag, payload = await process.exchange(call.request_id, encode(header) + b"\n" + event, limit)
            answer = self._answer(flag, payload, call.request_id)
            reusable = flag != "#"
        except TimeoutError:
            message = messages.FUNCTION_TIMEOUT.format(request=call.request_id, seconds=function.seconds)
            answer = _failed("Sandbox.Timedout", message)
        except Gone as gone:
            answer = _failed("Runtime.ExitError", await process.obituary(call.request_id, bool(gone.args)))
        finally:
            self._busy -= 1
            output = process.end()
            if reusable and process.alive():
                self._idle.setdefault(function, []).append(process)
                self._sweep_later()
            else:
                process.kill()
        return Answer(answer.text, answer.value, answer.failed, _report(function, call, output, time.monotonic() - began))

    def _answer(self, flag: str, payload: bytes, request_id: str) -> Answer:
        if flag == "^":
            limit = self._limits.function_response_bytes
            return _failed("Function.ResponseSizeTooLarge", messages.FUNCTION_RESPONSE_SIZE.format(limit=limit))
        text = payload.decode()
        try:
            return Answer(text, loads(text), flag != "=")
        except JsonFault as fault:  # deeper nested than a payload may be
            text = bootstrap.fault("Runtime.MarshalError", bootstrap.MARSHAL.format(error=fault.message), request_id)
            return Answer(text, loads(text), True)

    def _take(self, function: Function, arn: str) -> Process:
        """The warm process of this function that was used last, or a new one."""
        while warm := self._idle.get(function):
            process = self._forget(warm[-1])
            if process.alive():
                return process
            process.kill()
        idle = [process for processes in self._idle.values() for process in processes]
        if self._busy + len(idle) >= self._limits.function_workers:
            self._forget(min(idle, key=lambda process: process.idle_since)).kill()
        try:
            process = Process(function, self._output, self._ended, arn)
        except OSError as error:  # no memory, too many processes or files
            raise Unavailable(False, f"{type(error).__name__}: {error}") from error
        self._all.add(process)
        return process

    def _forget(self, process: Process) -> Process:
        """No longer one of the idle ones."""
        warm = self._idle[process.function]
        warm.remove(process)
        if not warm:
            del self._idle[process.function]
        return process

    def _ended(self, process: Process) -> None:
        self._all.discard(process)
        if process in self._idle.get(process.function, []):
            self._forget(process).kill()

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self._limits.function_idle_seconds, self._sweep)

    def _sweep(self) -> None:
        """End what has been idle for long."""
        self._sweeper = None
        oldest = time.monotonic() - self._limits.function_idle_seconds
        for process in [process for processes in self._idle.values() for process in processes if process.idle_since <= oldest]:
            self._forget(process).kill()
        if self._idle:
            self._sweep_later()

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        doomed = list(self._all)
        for process in doomed:
            process.kill()
        if doomed:
            _, left = await asyncio.wait([process.ended for process in doomed], timeout=_CLOSE_SECONDS)
            if left:
                log.warning("%s killed processes of functions do not end", len(left))


def _failed(error: str, message: str) -> Answer:
    """As Lambda itself words it, when there is no runtime left to do so."""
    value = {"errorType": error, "errorMessage": message}
    return Answer(dumps(value), value, True)


def _report(function: Function, call: Call, output: bytes, seconds: float) -> bytes:
    """The last bytes of the log, with the lines that Lambda puts around what a function prints."""
    ms = seconds * 1000
    head = f"START RequestId: {call.request_id} Version: {call.version}\n"
    tail = (
        f"END RequestId: {call.request_id}\nREPORT RequestId: {call.request_id}\tDuration: {ms:.2f} ms\t"
        f"Billed Duration: {math.ceil(ms)} ms\tMemory Size: {function.memory_mb} MB\n"
    )
    return (head.encode() + output + tail.encode())[-LOG_TAIL_BYTES:]
