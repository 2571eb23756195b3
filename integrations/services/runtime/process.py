"""One process of a function, driven by the event loop: no thread, and no polling on Linux.

Three channels lead to it: a socket for the Runtime API, a pipe for what it prints, and a pipe that
carries nothing: when our end of it is gone, the kernel kills the process group (`_live_with_us`),
so nothing is left behind even if we are killed.

What leaves the process group, such as a daemon, is found by a mark in its environment (strays.py).
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
from stepwell.integrations.services.runtime.runtime_api import Connection, Door, GuardedConnection

LOG_TAIL_BYTES: Final = 4096  # Lambda's
_REAP_SECONDS: Final = 2.0
_DRAIN_SECONDS: Final = 0.1  # for the last answer of a process that has ended
_SPARE_MB: Final = {
    PYTHON: 32,
    NODE: 256,
    PROVIDED: 32,
}  # what a runtime maps for itself, beside the memory of the function
_NODE_BOOTSTRAP: Final = str(Path(__file__).with_name("bootstrap.mjs"))


class Gone(Exception):
    """The process has ended or is about to; or (args: True) it does not keep to the protocol."""


class Unloadable(Exception):
    """The function cannot be loaded; args[0] is the payload that says why."""


class Reply(NamedTuple):
    """body: None if it was longer than allowed."""

    well: bool
    body: bytes | None


class Process:
    """A process that serves one function: a Worker of the Runtime API.

    ended    done once it is reaped; on_end is called then          on_ready   called each time that
             it can take an event
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
        self.function, self._output, self._on_ready, self._on_end = (
            function,
            output,
            on_ready,
            on_end,
        )
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = (
            self._loop.create_future()
        )  # once it is loaded; raises Gone, Unloadable
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.dead = False
        self.idle_since = 0.0
        self.began = time.monotonic()
        self.init_ms: float | None = None  # until it was reported
        self.mark = orphans.new_mark()
        self._give: Callable[[Mapping[str, str], bytes], None] | None = None
        self._request, self._reply = "", self._loop.create_future()
        self._limits, self._tail = limits, bytearray()
        self._bytes_left, self._lines_left, self._dropped = (
            limits.function_log_bytes,
            limits.function_log_lines,
            0,
        )
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pidfd: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.BaseTransport | asyncio.AbstractServer | None = None
        self._arn = arn
        self._scratch = ""

    async def start(self, body_limit: int) -> None:
        """Raises OSError. `ready` tells how it went on."""
        self._scratch = tempfile.mkdtemp(prefix=f"{orphans.FOLDER}{self.mark}-")
        try:
            await self._start(body_limit)
        except BaseException:
            self.kill()
            raise

    async def _start(self, body_limit: int) -> None:
        function = self.function
        own = {orphans.NAME: self.mark}
        if function.runtime == PROVIDED:
            listening = socket.create_server(("127.0.0.1", 0))
            host, secret = "{}:{}".format(*listening.getsockname()), secrets.token_urlsafe(24)
            door = Door(host.encode(), f"/{secret}".encode(), self._is_ours)
            self._transport = await self._loop.create_server(
                lambda: GuardedConnection(self, body_limit, door), sock=listening
            )
            self._spawn(
                [os.path.join(function.source, "bootstrap")],
                {**own, "AWS_LAMBDA_RUNTIME_API": f"{host}/{secret}"},
                (),
            )
            return
        ours, theirs = socket.socketpair()
        with theirs:
            number, shared = str(theirs.fileno()), "shared" if function.shared else "own"
            if function.runtime == NODE:
                heap = [f"--max-old-space-size={function.memory_mb}"] if function.confined else []
                command = ["node", *heap, _NODE_BOOTSTRAP, number]
            else:
                command = [sys.executable, "-P", "-X", "utf8", bootstrap.__file__, number, shared]
            try:
                self._spawn(command, own, (theirs.fileno(),))
            except OSError:
                ours.close()
                raise
        self._transport, _ = await self._loop.create_unix_connection(
            lambda: Connection(self, body_limit), sock=ours
        )

    def _spawn(self, command: list[str], own: Mapping[str, str], channels: tuple[int, ...]) -> None:
        function = self.function
        pipe, life = os.pipe()
        log, printed = os.pipe()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=(*channels, pipe),
                cwd=function.source,
                env={**environment(function, self._arn, self._scratch), **own},
                start_new_session=True,
            )
            _live_with_us(pipe, process.pid)
        except OSError:
            os.close(life)
            os.close(log)
            raise
        finally:
            os.close(pipe)
            os.close(printed)
        self._process, self._life, self._log = process, life, log
        if function.confined:
            _confine(process.pid, function)
        os.set_blocking(log, False)
        self._loop.add_reader(self._log, self._read_log)
        if sys.platform == "linux":
            with suppress(OSError):  # an old kernel, or a sandbox: then as on other systems
                self._pidfd = os.pidfd_open(process.pid)
                self._loop.add_reader(self._pidfd, self._exited)

    def _is_ours(self, connection: asyncio.BaseTransport) -> bool:
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
        """The answer to an event. Raises Gone, and TimeoutError after so many seconds."""
        if self._give is None or self.dead:
            raise Gone
        self._request, self._reply = request_id, self._loop.create_future()
        limit = self._loop.call_later(seconds, _overrun, self._reply)
        give, self._give = self._give, None
        give(headers, event)
        try:
            reply: Reply = await self._reply
            return reply
        finally:
            limit.cancel()

    def asks(self, give: Callable[[Mapping[str, str], bytes], None]) -> None:
        self._give = give
        if not self.ready.done():
            self.init_ms = (time.monotonic() - self.began) * 1000
            self.ready.set_result(None)
        else:
            self._loop.call_soon(self._on_ready, self)  # after whoever waits for the answer

    def answers(self, request_id: str, body: bytes | None, well: bool) -> bool:
        if request_id != self._request or self._reply.done():
            return False
        self._reply.set_result(Reply(well, body))
        return True

    def unloadable(self, body: bytes | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(Unloadable(body or b""))

    def babbles(self) -> None:
        self._lose(True)

    def hangs_up(self) -> None:
        if self.function.runtime != PROVIDED:  # others may open and close connections as they like
            self._lose(False)

    def _lose(self, babbled: bool) -> None:
        """No answer will come any more."""
        for future in (self.ready, self._reply):
            if not future.done():
                future.set_exception(Gone(True) if babbled else Gone())
                future.exception()  # perhaps nobody waits

    async def obituary(self, request_id: str, at_once: bool) -> str:
        """How it ended, in Lambda's words. at_once: it would not, so it is killed."""
        if not at_once:
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
        """The most that it has used."""
        with suppress(OSError, ValueError, IndexError):
            pid = 0 if self._process is None else self._process.pid
            return (
                int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0])
                // 1024
            )
        return self.function.memory_mb

    # --- what it prints ---

    def begin(self) -> None:
        """The next call. What it printed while it was loaded belongs to the first one."""
        if self.init_ms is None:
            self._tail.clear()
            self._decoder.reset()
            self._bytes_left, self._lines_left, self._dropped = (
                self._limits.function_log_bytes,
                self._limits.function_log_lines,
                0,
            )

    def end(self) -> bytes:
        """The last bytes that it printed. It flushed them before it answered, so they are in the
        pipe by now.
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

    def _read_log(self, most: int = 1) -> None:
        for _ in range(most):
            try:
                data = os.read(self._log, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self._loop.remove_reader(self._log)
                return
            self._tail += data
            del self._tail[:-LOG_TAIL_BYTES]
            passed = self._passed(data)
            self._bytes_left -= len(passed)
            self._lines_left -= passed.count(b"\n")
            self._dropped += len(data) - len(passed)
            if text := self._decoder.decode(passed):
                self._output(self.function.name, text)

    def _passed(self, data: bytes) -> bytes:
        """As much as may still be passed on: of bytes, and of lines."""
        if self._dropped:
            return b""
        data = data[: self._bytes_left]
        if data.count(b"\n") > self._lines_left:
            data = data[: len(data) - len(data.split(b"\n", self._lines_left)[-1])]
        return data

    # --- its end ---

    def kill(self) -> None:
        """The whole process group, at once."""
        if self._process is None:
            self.dead = True
            self._drop_scratch()
            return
        self._signal_group()
        self._release()
        if self._pidfd is None:
            self._poll()

    def _signal_group(self) -> None:
        if (
            self._process is not None and self._process.returncode is None
        ):  # not reaped, so the number is still ours
            with suppress(
                ProcessLookupError, PermissionError
            ):  # macOS refuses to signal what is dead but not reaped
                os.killpg(self._process.pid, signal.SIGKILL)

    def _exited(self) -> None:
        """It has ended. Children that it left behind hold our socket: they go too, as long as the
        number of the group is still ours.
        """
        self._signal_group()
        self._reap()

    def _poll(self, delay: float = 0.001) -> None:
        """Where the system does not tell that it has ended: ask."""
        if not self._reap():
            self._loop.call_later(delay, self._poll, min(2 * delay, 0.5))

    def _reap(self) -> bool:
        """Whether it has ended by now."""
        if not self.ended.done() and self._process is not None and self._process.poll() is not None:
            if self._pidfd is not None:
                self._loop.remove_reader(self._pidfd)
                os.close(self._pidfd)
            self.ended.set_result(None)
            self._on_end(self)
            self._loop.call_later(
                _DRAIN_SECONDS, self._lose, False
            )  # a child that left the group may hold the other end
        return self.ended.done()

    def _release(self) -> None:
        """Give back what leads to it."""
        if self.dead:
            return
        self._read_log(4)
        self.dead = True
        self._lose(False)
        self._loop.remove_reader(self._log)
        if self._transport is not None:
            self._transport.close()
        os.close(self._log)
        os.close(self._life)
        self._drop_scratch()

    def _drop_scratch(self) -> None:
        try:
            os.rmdir(self._scratch)
        except OSError:  # the function left files
            self._loop.run_in_executor(None, shutil.rmtree, self._scratch, True)


def _overrun(reply: asyncio.Future[Reply]) -> None:
    if not reply.done():
        reply.set_exception(TimeoutError())


def _confine(pid: int, function: Function) -> None:
    """Its data, not its address space: runtimes map much that they never touch. Linux only; it may
    have ended already.
    """
    if sys.platform == "linux":
        most = (function.memory_mb + _SPARE_MB[function.runtime]) << 20
        for limit, size in (
            (resource.RLIMIT_DATA, most),
            (resource.RLIMIT_FSIZE, function.storage_mb << 20),
        ):
            with suppress(ProcessLookupError):
                resource.prlimit(pid, limit, (size, size))


def _live_with_us(pipe: int, group: int) -> None:
    """When the other end of the pipe is closed, the kernel signals the process group: in the middle
    of a sleep, a loop or a C extension.

    The setting belongs to the pipe, which the child inherits: it holds as long as something in the
    child keeps it open.
    """
    # Linux: a signal that cannot be ignored; elsewhere SIGIO, which ends a process that does not
    # expect it
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    with suppress(
        OSError
    ):  # a system that does not do this for pipes: then it ends when it next asks for an event
        fcntl.fcntl(pipe, fcntl.F_SETOWN, -group)
        fcntl.fcntl(
            pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK
        )
