"""The budget of JSONPath evaluations, counted in steps and not in seconds, so that a path in a
document has the same result on every machine. A step is a node of a document that is visited or
compared.

The nodes and operators of JSONPath call `spend` before they do the work; `measured` sets the Meter
that they use.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final


class EvaluationCancelledError(Exception):
    """The evaluation was cancelled: see Cancellation."""


class OutOfStepsError(Exception):
    """The Meter has no steps left."""


class Cancellation:
    """Cancels an evaluation in a thread: any thread may set `cancelled`.

    worked  how many seconds the processor has worked in the thread that calls it. Without it, an
            evaluation whose time is over while it waits for the processor is not repeated
    """

    __slots__ = ("cancelled", "worked")

    def __init__(self, worked: Callable[[], float] | None = None) -> None:
        self.cancelled, self.worked = False, worked


class Meter:
    """The steps that are left to one evaluation, or to several that share it."""

    __slots__ = ("left", "cancellation")

    def __init__(self, steps: int, cancellation: Cancellation | None = None) -> None:
        self.left, self.cancellation = steps, cancellation

    def spend(self, steps: int) -> None:
        """Raises OutOfStepsError, and EvaluationCancelledError."""
        self.left -= steps
        if self.left < 0:
            raise OutOfStepsError
        if self.cancellation is not None and self.cancellation.cancelled:
            raise EvaluationCancelledError


_METER: Final[ContextVar[Meter]] = ContextVar("_METER")
measured: Final = _METER.set


def meter() -> Meter:
    """The Meter of the current evaluation; outside an evaluation, one without a limit."""
    return _METER.get(None) or Meter(1 << 62)


def spend(steps: int) -> None:
    meter().spend(steps)


def weigh(value: Any) -> None:
    """Spend a step for each node of a value, before it is compared."""
    level: list[Any] = [value]
    while level:
        below: list[Any] = []
        for each in level:
            if isinstance(each, (list, dict)):
                items: Iterable[Any] = each.values() if isinstance(each, dict) else each
                spend(len(each))
                below += items
        level = below
