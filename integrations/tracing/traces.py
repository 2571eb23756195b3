"""Traces for OpenTelemetry (the extra stepwell[opentelemetry]): units after their commit -> spans
-> an OTLP receiver. The environment variables OTEL_* of its specification configure it.

    write(unit) --bounded queue--> ExecutionTrace --> batches --thread--> OTLP over HTTP

Nothing waits for the receiver: what does not fit into the queue is dropped and counted. The open
spans of an execution are made from its history again when this process does not have them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import Final, Protocol

from stepwell.engine.arns import Home
from stepwell.engine.core import model
from stepwell.engine.core.events import HistoryEvent, RunTask
from stepwell.engine.core.model import Execution
from stepwell.engine.observers.trace_context import TraceContext
from stepwell.engine.store.base import Unit
from stepwell.engine.supervisor import SetbackError, Supervisor
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.tracing.ids import span_id, trace_of
from stepwell.integrations.tracing.spans import ExecutionTrace, Span

log: Final = logging.getLogger("stepwell.traces")

LOOP: Final = "traces"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SLICE: Final = 200  # units between two turns of other tasks

History = Callable[[int, int], Awaitable[Sequence[tuple[int, int, HistoryEvent]]]]


class Telemetry(Protocol):
    """The process's side of OpenTelemetry: see sdk.py.

    exported, failed  spans that the receiver took, and that it did not take
    dropped           history events that found the queue full
    """

    exported: int
    failed: int
    dropped: int

    def sampled(self, trace: TraceContext, name: str) -> bool: ...

    def export(self, spans: Sequence[Span]) -> bool:
        """False: they were refused. Blocks; called in a thread."""

    def shutdown(self) -> None: ...


def from_environment(home: Home, environment: Mapping[str, str] = os.environ) -> Telemetry | None:
    """None where the environment names no receiver, or says that traces are off."""
    off = (
        not any(environment.get(name) for name in _ENDPOINTS)
        or environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp"
    )
    if off:
        return None
    protocol = next((found for name in _PROTOCOLS if (found := environment.get(name))), "")
    if protocol not in ("", "http/protobuf"):
        log.warning("%s=%s is not supported: http/protobuf is used", _PROTOCOLS[1], protocol)
    try:
        from stepwell.integrations.tracing.sdk import Sdk
    except ImportError as error:
        log.warning("no traces: pip install 'stepwell[opentelemetry]' (%s)", error)
        return None
    return Sdk(home, version("stepwell"))


class Traces:
    """The sink of one engine: see trace_context.TraceSink."""

    def __init__(
        self,
        telemetry: Telemetry,
        limits: Limits = DEFAULT_LIMITS,
        environment: Mapping[str, str] = os.environ,
    ) -> None:

        def number(name: str, default: int) -> int:
            return int(environment.get(name) or default)

        self._telemetry, self._limits = telemetry, limits
        self._most = number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)
        self._batch = number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
        self._delay = number("OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000
        self._units: deque[Unit] = deque()
        self._waiting = 0  # events in _units
        self._open: OrderedDict[int, ExecutionTrace] = OrderedDict()  # by execution
        self._wake, self._enough = asyncio.Event(), asyncio.Event()
        self._history: History
        self._supervisor: Supervisor
        self._loop: asyncio.Task[None] | None = None
        self._closing = False

    def connect(self, history: History, supervisor: Supervisor) -> None:
        """Called once, before the first write. history(execution id, event id): a page of its
        history after that event.
        """
        self._history, self._supervisor = history, supervisor

    # --- the engine's side ------------------------------------------------------------------------

    def context(self, x: Execution, command: RunTask) -> TraceContext:
        trace, frame = trace_of(x), x.frames.get(command.frame)
        event = 0
        if frame is not None:
            submitted = frame.attempt is None or frame.attempt.submitted
            # ...Scheduled is the event before ...Started, in the same step
            event = frame.entered if submitted else frame.prev - 1
        sampled = self._telemetry.sampled(trace, x.machine_name)
        return TraceContext(trace.trace_id, span_id(x, event), sampled)

    def write(self, unit: Unit) -> None:
        if self._waiting + len(unit.history) > self._most:
            self._telemetry.dropped += len(unit.history)
            return
        self._units.append(unit)
        self._waiting += len(unit.history)
        self._wake.set()
        if self._waiting >= self._batch:
            self._enough.set()
        if self._loop is None:
            self._loop = self._supervisor.start(LOOP, self._work)

    async def close(self) -> None:
        self._closing = True
        self._wake.set()
        self._enough.set()
        if self._loop is not None:
            await asyncio.wait((self._loop,), timeout=self._limits.traces_close_seconds)

    # --- the loop ---------------------------------------------------------------------------------

    async def _work(self) -> None:
        while self._units or not self._closing:
            self._wake.clear()
            self._enough.clear()
            if not self._units and not self._closing:
                await self._wake.wait()
            if self._waiting < self._batch and not self._closing:
                with suppress(TimeoutError):  # what is there is sent now
                    await asyncio.wait_for(self._enough.wait(), self._delay)
            await self._send(await self._ended())

    async def _ended(self) -> list[Span]:
        """The spans that the waiting units end, a batch of them or somewhat more."""
        spans: list[Span] = []
        for _ in range(_SLICE):
            if not self._units or len(spans) >= self._batch:
                break
            unit = self._units.popleft()
            self._waiting -= len(unit.history)
            spans += await self._apply(unit)
        return spans

    async def _apply(self, unit: Unit) -> list[Span]:
        x = unit.execution
        trace = self._open.pop(x.id, None)
        if trace is None or trace.next != unit.first:
            trace = ExecutionTrace(x)
            if not self._telemetry.sampled(trace.trace, x.machine_name):
                return []
            while trace.next < unit.first:  # not seen by this process, or forgotten
                page = await self._history(x.id, trace.next - 1)
                page = [row for row in page if row[0] < unit.first]
                if not page:  # Express executions store none
                    break
                trace.apply(x, page)
        spans = trace.apply(
            x, [(number, unit.at, event) for number, event in enumerate(unit.history, unit.first)]
        )
        if x.status == model.RUNNING:
            self._open[x.id] = trace
            if len(self._open) > self._limits.traced_executions:
                self._open.popitem(last=False)
        return spans

    async def _send(self, spans: Sequence[Span]) -> None:
        for at in range(0, len(spans), self._batch):
            batch = spans[at : at + self._batch]
            if await _in_thread(partial(self._telemetry.export, batch)):
                self._telemetry.exported += len(batch)
            else:
                self._telemetry.failed += len(batch)
                error = SetbackError("the receiver did not take them")
                self._supervisor.report(LOOP, error, f"{len(batch)} spans are lost")
        await asyncio.sleep(0)


async def _in_thread(call: Callable[[], bool]) -> bool:
    """In a daemon: asyncio's own threads would keep the process from ending while one waits."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bool] = loop.create_future()

    def settle(result: bool | Exception) -> None:
        if done.done():
            return
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)

    def run() -> None:
        try:
            result: bool | Exception = call()
        except Exception as error:
            result = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name="stepwell-traces", daemon=True).start()
    return await done
