"""One process of a function, driven by the event loop: no thread, and no polling on Linux.

It has three channels: a socket for the Runtime API, a pipe for its printed output, and a pipe
without data. When the engine's end of the last one is closed, even because the engine was killed,
the kernel kills the process group (`_kill_with_engine`).

Processes that leave the group, such as daemons, are recognised by a mark (orphans.py).
"""

from __future__ import annotations

import asyncio
import codecs
import fcntl
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from stepwell.integrations.limits import Limits
from stepwell.integrations.services.runtime import bootstrap, messages, orphans
from stepwell.integrations.services.runtime.environment import environment
from stepwell.integrations.services.runtime.function import NODE, PROVIDED, PYTHON, Function
from stepwell.integrations.services.runtime.peers import opened_by
from stepwell.integrations.services.runtime.runtime_api import (
    Access,
    Connection,
    GuardedConnection,
    SendEvent,
)

LOG_TAIL_BYTES: Final = 4096  # Lambda's
_REAP_SECONDS: Final = 2.0
_DRAIN_SECONDS: Final = 0.1  # for the last response of a process that has ended
_RUNTIME_MB: Final = {PYTHON: 32, NODE: 256, PROVIDED: 32}  # memory of the runtime itself
_NODE_BOOTSTRAP: Final = str(Path(__file__).with_name("bootstrap.mjs"))


class ProcessEndedError(Exception):
    """The process ends, or (violation) violates the protocol."""

    def __init__(self, violation: bool = False) -> None:
        super().__init__(violation)
        self.violation = violation


class LoadError(Exception):
    """The function cannot be loaded. payload: its error."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload)
        self.payload = payload


class Reply(NamedTuple):
    """body: None if it exceeds the limit."""

    succeeded: bool
    body: bytes | None


class Process:
    """A process of one function; the Worker of its connection.

    output    (function's name, text): receives printed output
    on_ready  called when it can process another event
    on_end    called when it has ended
    arn       the ARN of the call that it is started for
    ready     done when the function is loaded; raises ProcessEndedError, LoadError
    ended     done when it has ended
    init_ms   how long loading took, until a call has reported it
    dead      whether it was killed, and its resources are released
    """

    def __init__(
        self,
        function: Function,
        output: Callable[[str, str], None],
        on_ready: Callable[[Process], None],
        on_end: Callable[[Process], None],
        arn: str,
        limits: Limits,
    ) -> None:
        self.function, self._output = function, output
        self._on_ready, self._on_end = on_ready, on_end
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.dead = False
        self.idle_since = 0.0
        self.began = time.monotonic()
        self.init_ms: float | None = None
        self.mark = orphans.new_mark()
        self._send_event: SendEvent | None = None  # if it waits for an event
        self._request, self._reply = "", self._loop.create_future()
        self._limits = limits
        self._reset_log()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pidfd: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.BaseTransport | asyncio.AbstractServer | None = None
        self._arn = arn
        self._scratch = ""

    async def start(self, body_limit: int) -> None:
        """Returns before the function is loaded: see `ready`. Raises OSError."""
        self._scratch = tempfile.mkdtemp(prefix=f"{orphans.FOLDER}{self.mark}-")
        try:
            await self._start(body_limit)
        except BaseException:
            self.kill()
            raise

    async def _start(self, body_limit: int) -> None:
        function = self.function
        mark = {orphans.NAME: self.mark}
        if function.runtime == PROVIDED:
            listening = socket.create_server(("127.0.0.1", 0))
            host, secret = "{}:{}".format(*listening.getsockname()), secrets.token_urlsafe(24)
            access = Access(host.encode(), f"/{secret}".encode(), self._has_opened)
            self._transport = await self._loop.create_server(
                lambda: GuardedConnection(self, body_limit, access), sock=listening
            )
            self._spawn(
                [os.path.join(function.source, "bootstrap")],
                {**mark, "AWS_LAMBDA_RUNTIME_API": f"{host}/{secret}"},
                (),
            )
            return
        parent, child = socket.socketpair()
        with child:
            number, shared = str(child.fileno()), "shared" if function.shared else "own"
            if function.runtime == NODE:
                heap = [f"--max-old-space-size={function.memory_mb}"] if function.confined else []
                command = ["node", *heap, _NODE_BOOTSTRAP, number]
            else:
                command = [sys.executable, "-P", "-X", "utf8", bootstrap.__file__, number, shared]
            try:
                self._spawn(command, mark, (child.fileno(),))
            except OSError:
                parent.close()
                raise
        self._transport, _ = await self._loop.create_unix_connection(
            lambda: Connection(self, body_limit), sock=parent
        )

    def _spawn(
        self, command: list[str], variables: Mapping[str, str], channels: tuple[int, ...]
    ) -> None:
        """channels: file descriptors that it inherits."""
        function = self.function
        child_end, lifeline = os.pipe()
        log, printed = os.pipe()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=(*channels, child_end),
                cwd=function.source,
                env={**environment(function, self._arn, self._scratch), **variables},
                start_new_session=True,
            )
            _kill_with_engine(child_end, process.pid)
        except OSError:
            os.close(lifeline)
            os.close(log)
            raise
        finally:
            os.close(child_end)
            os.close(printed)
        self._process, self._lifeline, self._log = process, lifeline, log
        if function.confined:
            _confine(process.pid, function)
        os.set_blocking(log, False)
        self._loop.add_reader(self._log, self._read_log)
        if sys.platform == "linux":
            with suppress(OSError):  # an old kernel, or a sandbox: then it is polled
                self._pidfd = os.pidfd_open(process.pid)
                self._loop.add_reader(self._pidfd, self._exited)

    def _has_opened(self, connection: asyncio.BaseTransport) -> bool:
        client, server = (connection.get_extra_info(name) for name in ("peername", "sockname"))
        return self._process is not None and opened_by(self._process.pid, client, server)

    @property
    def spawned(self) -> bool:
        return self._process is not None

    def alive(self) -> bool:
        if self._pidfd is None:
            self._reap()
        return not (self.dead or self.ended.done())

    # --- a call ---

    async def exchange(
        self, request_id: str, headers: Mapping[str, str], event: bytes, seconds: float
    ) -> Reply:
        """The response to an event. Raises ProcessEndedError, and TimeoutError after so many
        seconds.
        """
        if self._send_event is None or not self.alive():
            raise ProcessEndedError
        self._request, self._reply = request_id, self._loop.create_future()
        limit = self._loop.call_later(seconds, _time_out, self._reply)
        send, self._send_event = self._send_event, None
        send(headers, event)
        try:
            reply: Reply = await self._reply
            return reply
        finally:
            limit.cancel()

    def event_requested(self, send: SendEvent) -> None:
        self._send_event = send
        if not self.ready.done():
            self.init_ms = (time.monotonic() - self.began) * 1000
            self.ready.set_result(None)
        else:
            self._loop.call_soon(self._on_ready, self)  # after the caller of exchange() has resumed

    def responded(self, request_id: str, body: bytes | None, succeeded: bool) -> bool:
        if request_id != self._request or self._reply.done():
            return False
        self._reply.set_result(Reply(succeeded, body))
        return True

    def load_failed(self, body: bytes | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(LoadError(body or b""))

    def protocol_violated(self) -> None:
        self._fail(ProcessEndedError(violation=True))

    def disconnected(self) -> None:
        if self.function.runtime != PROVIDED:  # which may use several connections
            self._fail(ProcessEndedError())

    def _fail(self, error: ProcessEndedError) -> None:
        """There will be no more response."""
        for future in (self.ready, self._reply):
            if not future.done():
                future.set_exception(error)
                future.exception()  # it may never be awaited

    async def exit_message(self, request_id: str, error: ProcessEndedError) -> str:
        """How it ended, in Lambda's words. Kills it if it has not ended soon."""
        if not error.violation:
            if self._pidfd is None:
                self._poll()
            await asyncio.wait([self.ended], timeout=_REAP_SECONDS)
        self.kill()
        await asyncio.wait([self.ended], timeout=_REAP_SECONDS)
        code = None if self._process is None else self._process.returncode
        if code == 0:
            return messages.FUNCTION_EXIT_ZERO.format(request=request_id)
        how = (
            f"exit status {code}"
            if code and code > 0
            else f"signal: {(signal.strsignal(-(code or -9)) or 'unknown').lower()}"
        )
        return messages.FUNCTION_EXIT.format(request=request_id, how=how)

    def memory_mb(self) -> int:
        """Its maximum so far; without /proc, its limit."""
        with suppress(OSError, ValueError, IndexError):
            pid = 0 if self._process is None else self._process.pid
            return (
                int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0])
                // 1024
            )
        return self.function.memory_mb

    # --- printed output ---

    def _reset_log(self) -> None:
        self._tail, self._dropped = bytearray(), 0
        self._bytes_left = self._limits.function_log_bytes
        self._lines_left = self._limits.function_log_lines

    def begin_log(self) -> None:
        """A call begins. The output of loading the function belongs to the first call."""
        if self.init_ms is None:
            self._reset_log()
            self._decoder.reset()

    def end_log(self) -> bytes:
        """The last bytes that the call printed. It flushed them before its response, so they are in
        the pipe.
        """
        if not self.dead and self.spawned:
            self._read_log(4)
        if self._dropped:
            self._output(
                self.function.name,
                f"\n[{self.function.name}: {self._dropped} more bytes of output left out]\n",
            )
            self._dropped = 0
        return bytes(self._tail)

    def _read_log(self, times: int = 1) -> None:
        for _ in range(times):
            try:
                data = os.read(self._log, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self._loop.remove_reader(self._log)
                return
            self._tail += data
            del self._tail[:-LOG_TAIL_BYTES]
            shown = self._within_limits(data)
            self._bytes_left -= len(shown)
            self._lines_left -= shown.count(b"\n")
            self._dropped += len(data) - len(shown)
            if text := self._decoder.decode(shown):
                self._output(self.function.name, text)

    def _within_limits(self, data: bytes) -> bytes:
        """The part that the call's limits of bytes and lines allow."""
        if self._dropped:
            return b""
        data = data[: self._bytes_left]
        if data.count(b"\n") > self._lines_left:
            data = data[: len(data) - len(data.split(b"\n", self._lines_left)[-1])]
        return data

    # --- the end ---

    def kill(self) -> None:
        """Kill the process group, and release all resources."""
        if self._process is None:
            self.dead = True
            self._drop_scratch()
            return
        self._signal_group()
        self._release()
        if self._pidfd is None:
            self._poll()

    def _signal_group(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return  # after it is reaped, the PID may be that of another process
        # macOS does not permit to signal a process that has ended and is not reaped
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _exited(self) -> None:
        """It has ended. Kill its children before it is reaped: they hold the socket open."""
        self._signal_group()
        self._reap()

    def _poll(self, delay: float = 0.001) -> None:
        """Without a pidfd."""
        if not self._reap():
            self._loop.call_later(delay, self._poll, min(2 * delay, 0.5))

    def _reap(self) -> bool:
        """Returns whether it has ended."""
        if not self.ended.done() and self._process is not None and self._process.poll() is not None:
            if self._pidfd is not None:
                self._loop.remove_reader(self._pidfd)
                os.close(self._pidfd)
            self.ended.set_result(None)
            self._on_end(self)
            # a child that left the group may hold the socket open
            self._loop.call_later(_DRAIN_SECONDS, self._fail, ProcessEndedError())
        return self.ended.done()

    def _release(self) -> None:
        if self.dead:
            return
        self._read_log(4)
        self.dead = True
        self._fail(ProcessEndedError())
        self._loop.remove_reader(self._log)
        if self._transport is not None:
            self._transport.close()
        os.close(self._log)
        os.close(self._lifeline)
        self._drop_scratch()

    def _drop_scratch(self) -> None:
        try:
            os.rmdir(self._scratch)
        except OSError:  # the function left files
            self._loop.run_in_executor(None, shutil.rmtree, self._scratch, True)


def _time_out(reply: asyncio.Future[Reply]) -> None:
    if not reply.done():
        reply.set_exception(TimeoutError())


def _confine(pid: int, function: Function) -> None:
    """On Linux, limit its memory and the size of its files. The limit is of its data, not of its
    address space: runtimes map much memory that they do not use.
    """
    if sys.platform == "linux":
        data = (function.memory_mb + _RUNTIME_MB[function.runtime]) << 20
        for limit, size in (
            (resource.RLIMIT_DATA, data),
            (resource.RLIMIT_FSIZE, function.storage_mb << 20),
        ):
            with suppress(ProcessLookupError):  # it has ended already
                resource.prlimit(pid, limit, (size, size))


def _kill_with_engine(pipe: int, group: int) -> None:
    """Let the kernel signal the process group when the other end of the pipe is closed, whatever
    the processes do at that time.

    The setting belongs to the pipe, which the child inherits: it applies while the child keeps it
    open.
    """
    # Linux: SIGKILL. Elsewhere: SIGIO, which ends a process without a handler of it
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    # a system may not support this for pipes: then a process ends when it requests an event
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETOWN, -group)
        fcntl.fcntl(
            pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK
        )
