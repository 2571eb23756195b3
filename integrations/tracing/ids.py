"""The ids of traces and spans: derived from the execution and its events, so that every process
gives the same ones, before and after a crash, and on every node.
"""

from __future__ import annotations

import hashlib

from stepwell.engine.core.model import Execution
from stepwell.engine.observers.trace_context import TraceContext, from_xray

STARTED = 1  # id of the event of every execution's first span


def trace_of(x: Execution) -> TraceContext:
    """The trace of an execution: the one of its start's request, with the span that made it; else
    a new one without a span. It begins with the time, as X-Ray requires.
    """
    header = x.extras.get("trace")
    found = from_xray(header) if header else None
    return found or TraceContext(f"{x.started // 1000:08x}{x.uuid[8:]}", "", None)


def span_id(x: Execution, event: int) -> str:
    """Of the span that begins with this event."""
    return hashlib.blake2b(f"{x.uuid}:{event}:span".encode(), digest_size=8).hexdigest()
