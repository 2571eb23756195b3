"""One process of a function, driven by the event loop: no thread, and no polling on Linux.

Three channels lead to it: a socket for requests and answers, a pipe for what it prints, and a pipe that carries nothing: when our end of it
is gone, the kernel kills the process group (bootstrap.live_with), so nothing is left behind even if we are killed.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from stepwell.asl import messages
from stepwell.integrations.local import bootstrap

LATEST: Final = "$LATEST"
LOG_TAIL_BYTES: Final = 4096  # Lambda's
_REAP_SECONDS: Final = 2.0
_DRAIN_SECONDS: Final = 0.1  # for the last answer of a process that has ended
_ENVELOPE_BYTES: Final = 37  # request id and flag


@dataclass(frozen=True, slots=True)
class Function:
    """Where the code of a function is, and how it runs. Equal functions share processes; an edited file makes an unequal one.

    source    the folder that the function sees as its own; `shared`: with other functions beside it
    handler   "module.function"
    seconds   the longest that one call may take
    stamp     (mtime in ns, size) of the handler's file
    """

    name: str
    source: str
    handler: str
    shared: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    seconds: float = 900
    memory_mb: int = 128
    stamp: tuple[int, int] = (0, 0)


class Gone(Exception):
    """The process has ended or is about to; or (args: True) it does not keep to the protocol."""


class Process:
    """A process that serves one function. `ended` is done once it is reaped; `on_end` is called then."""

    def __init__(self, function: Function, output: Callable[[str, str], None], on_end: Callable[[Process], None], arn: str) -> None:
        self.function, self._output, self._on_end = function, output, on_end
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.dead = False
        self.idle_since = 0.0
        self._tail, self._budget, self._dropped = bytearray(), 0, 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pidfd: int | None = None
        self._socket, theirs = socket.socketpair()
        pipe, self._life = os.pipe()
        self._log, printed = os.pipe()
        try:
            channels = [str(theirs.fileno()), str(pipe)]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-X", "utf8", bootstrap.__file__, *channels, "shared" if function.shared else "own"],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=(theirs.fileno(), pipe),
                cwd=function.source,
                env=environment(function, arn),
                start_new_session=True,
            )
        except OSError:
            self._socket.close()
            os.close(self._life)
            os.close(self._log)
            raise
        finally:
            theirs.close()
            os.close(pipe)
            os.close(printed)
        self._socket.setblocking(False)
        os.set_blocking(self._log, False)
        self._loop.add_reader(self._log, self._read_log)
        if sys.platform == "linux":
            with suppress(OSError):  # an old kernel, or a sandbox: then as on other systems
                self._pidfd = os.pidfd_open(self._process.pid)
                self._loop.add_reader(self._pidfd, self._exited)

    def alive(self) -> bool:
        if self._pidfd is None:
            self._reap()
        return not (self.dead or self.ended.done())

    async def exchange(self, request_id: str, request: bytes, limit: int) -> tuple[str, bytes]:
        """Flag and payload of the answer. Raises Gone."""
        try:
            await self._loop.sock_sendall(self._socket, len(request).to_bytes(4, "big") + request)
            data = await self._receive(limit)
        except OSError as error:
            raise Gone from error
        if data[:36] != request_id.encode():  # the function wrote to our socket
            raise Gone(True)
        return chr(data[36]), data[_ENVELOPE_BYTES:]

    async def _receive(self, limit: int) -> bytes:
        data, size = bytearray(), 4
        while len(data) < size:
            chunk = await self._loop.sock_recv(self._socket, 1 << 18)
            if not chunk:
                raise Gone
            data += chunk
            if size == 4 and len(data) >= 4:
                size += int.from_bytes(data[:4], "big")
                if not 4 + _ENVELOPE_BYTES <= size <= 4 + _ENVELOPE_BYTES + limit:
                    raise Gone(True)
        if len(data) > size:
            raise Gone(True)
        return bytes(data[4:])

    async def obituary(self, request_id: str, at_once: bool) -> str:
        """How it ended, in Lambda's words. at_once: it would not, so it is killed."""
        if not at_once:
            if self._pidfd is None:
                self._poll()
            await asyncio.wait([self.ended], timeout=_REAP_SECONDS)
        self.kill()
        await asyncio.wait([self.ended], timeout=_REAP_SECONDS)
        code = self._process.returncode
        if code == 0:
            return messages.FUNCTION_EXIT_ZERO.format(request=request_id)
        how = f"exit status {code}" if code and code > 0 else f"signal: {(signal.strsignal(-(code or -9)) or 'unknown').lower()}"
        return messages.FUNCTION_EXIT.format(request=request_id, how=how)

    # --- what it prints ---

    def begin(self, budget: int) -> None:
        self._tail.clear()
        self._decoder.reset()
        self._budget, self._dropped = budget, 0

    def end(self) -> bytes:
        """The last bytes that it printed. It flushed them before it answered, so they are in the pipe by now."""
        if not self.dead:
            self._read_log(4)
        if self._dropped:
            self._output(self.function.name, f"\n[{self.function.name}: {self._dropped} more bytes of output left out]\n")
            self._dropped = 0
        self.idle_since = time.monotonic()
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
            passed = data[: self._budget]
            self._budget -= len(passed)
            self._dropped += len(data) - len(passed)
            if text := self._decoder.decode(passed):
                self._output(self.function.name, text)

    # --- its end ---

    def kill(self) -> None:
        """The whole process group, at once."""
        self._signal_group()
        self._release()
        if self._pidfd is None:
            self._poll()

    def _signal_group(self) -> None:
        if self._process.returncode is None:  # not reaped, so the number is still ours
            with suppress(ProcessLookupError, PermissionError):  # macOS refuses to signal what is dead but not reaped
                os.killpg(self._process.pid, signal.SIGKILL)

    def _exited(self) -> None:
        """It has ended. Children that it left behind hold our socket: they go too, as long as the number of the group is still ours."""
        self._signal_group()
        self._reap()

    def _poll(self, delay: float = 0.001) -> None:
        """Where the system does not tell that it has ended: ask."""
        if not self._reap():
            self._loop.call_later(delay, self._poll, min(2 * delay, 0.5))

    def _reap(self) -> bool:
        """Whether it has ended by now."""
        if not self.ended.done() and self._process.poll() is not None:
            if self._pidfd is not None:
                self._loop.remove_reader(self._pidfd)
                os.close(self._pidfd)
            self.ended.set_result(None)
            self._on_end(self)
            self._loop.call_later(_DRAIN_SECONDS, self._hang_up)
        return self.ended.done()

    def _hang_up(self) -> None:
        """A child that left the process group may hold the other end: whoever waits for an answer is to see that none will come."""
        if not self.dead:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _release(self) -> None:
        """Give back what leads to it. Nobody may be waiting for an answer any more."""
        if self.dead:
            return
        self._read_log(4)
        self.dead = True
        self._loop.remove_reader(self._log)
        self._socket.close()
        os.close(self._log)
        os.close(self._life)


def environment(function: Function, arn: str) -> dict[str, str]:
    """What Lambda sets, over what we were started with, under what the function's own configuration says. The region is that of the ARN."""
    region = (arn.split(":") + [""] * 4)[3] or "us-east-1"
    return {
        **os.environ,
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": function.source,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": LATEST,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "TZ": ":UTC",
        **dict(function.environment),
    }
