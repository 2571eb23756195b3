"""Counts work, not seconds: how many frames the engine looks at, and how many it has a reason to
look at.
"""

from collections.abc import ItemsView, Iterator, ValuesView
from typing import Any

from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import Decision
from stepwell.engine.core.model import RUNNING, Execution, Frame

TIMES = 2  # that a frame may be looked at for each reason


class Meter:
    """seen     frames that were looked at in a row, one after the other
    allowed     those that a decision touches, one for each decision, and all of an execution when
                it is read, or ends
    """

    def __init__(self) -> None:
        self.seen = self.allowed = 0
        self._on = False

    def adopted(self, execution: Execution) -> None:
        execution.frames = Counted(execution.frames)
        execution.frames.meter = self
        self.allowed += TIMES * len(execution.frames)

    def decide(self, program: Any, execution: Execution, *arguments: Any) -> Decision:
        """decide(), with its work counted."""
        self._on = True
        try:
            decision = decide(program, execution, *arguments)
        finally:
            self._on = False
        ended = len(execution.frames) if decision.execution.status != RUNNING else 0
        self.allowed += TIMES * (1 + len(decision.touched) + ended)
        return decision

    def look(self, frames: int) -> None:
        self.seen += frames if self._on else 0


class Counted(dict[int, Frame]):
    """The frames of an execution."""

    meter: Meter

    def copy(self) -> "Counted":
        copy = Counted(self)
        copy.meter = self.meter
        return copy

    def __iter__(self) -> Iterator[int]:
        self.meter.look(len(self))
        return super().__iter__()

    def values(self) -> ValuesView[Frame]:  # type: ignore[override]
        self.meter.look(len(self))
        return super().values()  # type: ignore[return-value]

    def items(self) -> ItemsView[int, Frame]:  # type: ignore[override]
        self.meter.look(len(self))
        return super().items()  # type: ignore[return-value]
