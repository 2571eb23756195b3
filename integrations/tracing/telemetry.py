"""The process's side of traces: a bounded queue of spans, and a thread that sends them.

put(spans) --queue--> batches of OTEL_BSP_MAX_EXPORT_BATCH_SIZE, or what there is every
OTEL_BSP_SCHEDULE_DELAY --> Sdk.export
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from stepwell.engine.observers.trace_context import TraceContext
from stepwell.integrations.tracing.spans import Span

log: Final = logging.getLogger("stepwell.traces")


class Sdk(Protocol):
    """What is needed of OpenTelemetry's: see sdk.py."""

    def sampled(self, trace: TraceContext, name: str) -> bool: ...

    def export(self, spans: Sequence[Span]) -> bool:
        """False: the receiver did not take them. Blocks."""

    def shutdown(self) -> None: ...


class Telemetry:
    """exported, failed  spans that the receiver took, and that it did not take
    spans_dropped     spans that found the queue full
    events_dropped    history events that found the queue of their engine full, see traces.py
    """

    def __init__(self, sdk: Sdk, environment: Mapping[str, str] = os.environ) -> None:
        def number(name: str, default: int) -> int:
            return int(environment.get(name) or default)

        self.sampled = sdk.sampled
        self.most = number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)
        self._sdk = sdk
        self._batch = number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
        self._delay = number("OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000
        self.exported = self.failed = self.spans_dropped = self.events_dropped = 0
        self._spans: deque[Span] = deque()
        self._changed = threading.Condition()
        self._closing = self._failing = False
        # a daemon: a receiver that hangs does not keep the process from ending
        self._thread = threading.Thread(target=self._run, name="stepwell-traces", daemon=True)
        self._thread.start()

    def put(self, spans: Sequence[Span]) -> None:
        """Does not wait."""
        with self._changed:
            room = self.most - len(self._spans)
            self._spans.extend(spans[:room])
            self.spans_dropped += max(0, len(spans) - room)
            if len(self._spans) >= self._batch:
                self._changed.notify()

    def close(self, seconds: float) -> None:
        """Send what is there, for at most so long. Blocks."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)
        self._sdk.shutdown()

    def _run(self) -> None:
        while batch := self._take():
            try:
                taken, fault = self._sdk.export(batch), "it did not take them"
            except Exception as error:  # of the SDK: traces must not end for it
                taken, fault = False, repr(error)
            self.exported += len(batch) if taken else 0
            self.failed += 0 if taken else len(batch)
            if not taken and not self._failing:
                log.warning("the receiver of traces fails, spans are lost: %s", fault)
            self._failing = not taken

    def _take(self) -> list[Span]:
        """A batch; empty when all are sent and no more come."""
        with self._changed:
            while True:
                self._changed.wait_for(
                    lambda: len(self._spans) >= self._batch or self._closing, self._delay
                )
                if self._spans or self._closing:
                    break
            return [self._spans.popleft() for _ in range(min(self._batch, len(self._spans)))]
