"""The reports of children that have ended: one event for all of a Map Run that end in the same
commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stepwell.engine.core.events import ChildClosed, ChildrenClosed, Event
from stepwell.engine.core.model import Execution
from stepwell.engine.operations.executions import shapes


def report_of(x: Execution) -> ChildClosed:
    """Of a child that has ended."""
    assert x.parent is not None
    _, frame, seq, slot = x.parent
    output = shapes.result_of_child(x)
    return ChildClosed(frame, seq, slot, x.status, output, x.extras.get("round", 0))


class ChildReports:
    """send  hands an event to an execution, which may have left memory (see Worker.send)"""

    def __init__(self, send: Callable[[int, Event], None]) -> None:
        self._send = send
        self._ended: dict[tuple[int, int, int], list[ChildClosed]] = {}  # by Map Run

    def add(self, x: Execution) -> None:
        """A child has ended, durably."""
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._report)
        assert x.parent is not None
        self._ended.setdefault(x.parent[:3], []).append(report_of(x))

    def _report(self) -> None:
        ended, self._ended = self._ended, {}
        for (execution_id, frame, seq), reports in ended.items():
            self._send(execution_id, ChildrenClosed(frame, seq, reports))
