"""Traces for OpenTelemetry (the extra stepwell[opentelemetry]): units after their commit -> spans.
The environment variables OTEL_* of its specification configure it.

    write(unit) --bounded queue--> ExecutionTrace --> Telemetry.put

Nothing waits: what does not fit into a queue is dropped and counted. The open spans of an execution
are made from its history again when this process does not have them.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Final

from stepwell.engine.arns import Home
from stepwell.engine.core import model
from stepwell.engine.core.events import HistoryEvent, RunTask
from stepwell.engine.core.model import Execution
from stepwell.engine.observers.trace_context import TraceContext
from stepwell.engine.store.base import Unit
from stepwell.engine.supervisor import Supervisor
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.tracing.ids import span_id, trace_of
from stepwell.integrations.tracing.spans import ExecutionTrace, Span
from stepwell.integrations.tracing.telemetry import Telemetry

log: Final = logging.getLogger("stepwell.traces")

LOOP: Final = "traces"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SLICE: Final = 50  # units between two turns of other tasks
_PAUSE_SECONDS: Final = 0.05  # in which units gather, unless there are many

History = Callable[[int, int], Awaitable[Sequence[tuple[int, int, HistoryEvent]]]]


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
    return Telemetry(Sdk(home, version("stepwell")), environment)


class Traces:
    """The sink of one engine: see trace_context.TraceSink."""

    def __init__(self, telemetry: Telemetry, limits: Limits = DEFAULT_LIMITS) -> None:
        self._telemetry, self._limits = telemetry, limits
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
        if self._waiting + len(unit.history) > self._telemetry.most:
            self._telemetry.events_dropped += len(unit.history)
            return
        self._units.append(unit)
        self._waiting += len(unit.history)
        self._wake.set()
        if len(self._units) >= _SLICE:
            self._enough.set()
        if self._loop is None:
            self._loop = self._supervisor.start(LOOP, self._work)

    async def close(self) -> None:
        """The spans of what was written are in the hands of Telemetry."""
        self._closing = True
        self._wake.set()
        self._enough.set()
        if self._loop is not None:
            await self._loop

    # --- the loop ---------------------------------------------------------------------------------

    async def _work(self) -> None:
        while self._units or not self._closing:
            self._wake.clear()
            self._enough.clear()
            if not self._units and not self._closing:
                await self._wake.wait()
            if len(self._units) < _SLICE and not self._closing:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._enough.wait(), _PAUSE_SECONDS)
            for _ in range(min(_SLICE, len(self._units))):
                unit = self._units.popleft()
                self._waiting -= len(unit.history)
                if spans := await self._apply(unit):
                    self._telemetry.put(spans)
            await asyncio.sleep(0)

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
