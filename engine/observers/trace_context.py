"""The place of an execution, a state or a task in a distributed trace, as W3C Trace Context and
AWS X-Ray write it in headers; and the sink that receives what is committed.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Final, NamedTuple, Protocol

from stepwell.engine.core.events import RunTask
from stepwell.engine.core.model import Execution
from stepwell.engine.store.base import Unit

# https://www.w3.org/TR/trace-context/#traceparent-header
_W3C: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
# Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1
_ROOT: Final = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT: Final = re.compile(r"[0-9a-f]{16}")


class TraceContext(NamedTuple):
    """trace_id  32 hex digits
    span_id   16 hex digits; empty: the trace is known, no span of it
    sampled   None: not decided yet
    """

    trace_id: str
    span_id: str
    sampled: bool | None

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    @property
    def xray(self) -> str:
        """The value of X-Amzn-Trace-Id."""
        root = f"Root=1-{self.trace_id[:8]}-{self.trace_id[8:]}"
        return f"{root};Parent={self.span_id};Sampled={'1' if self.sampled else '0'}"


def from_traceparent(text: str) -> TraceContext | None:
    """None: it is not valid."""
    match = _W3C.fullmatch(text.strip())
    if match is None or not (match[1].strip("0") and match[2].strip("0")):
        return None
    return TraceContext(match[1], match[2], bool(int(match[3], 16) & 1))


def from_xray(text: str) -> TraceContext | None:
    """Of X-Amzn-Trace-Id, or the traceHeader of StartExecution. None: it is not valid."""
    parts = (part.partition("=") for part in text.lower().split(";"))
    fields = {name.strip(): value.strip() for name, _, value in parts}
    root, parent = _ROOT.fullmatch(fields.get("root", "")), fields.get("parent", "")
    if root is None:
        return None
    sampled = {"1": True, "0": False}.get(fields.get("sampled", ""))
    span = parent if _PARENT.fullmatch(parent) and parent.strip("0") else ""
    return TraceContext(root[1] + root[2], span, sampled)


current_trace: Final[ContextVar[TraceContext | None]] = ContextVar("current_trace", default=None)
"""Of the attempt of a task that runs now, for its handler to pass on; None: nothing is traced."""


class TraceSink(Protocol):
    """Where traces go. Handed to Engine(trace_sink=...)."""

    def write(self, unit: Unit) -> None:
        """Take a unit after its commit, without blocking and without raising: called on the event
        loop. May drop, and must then count.
        """

    def context(self, x: Execution, command: RunTask) -> TraceContext:
        """Of the attempt of a task that is about to run."""

    async def close(self) -> None:
        """Send what was accepted."""
