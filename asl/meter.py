"""The budget of JSONPath evaluations, counted in steps and not in seconds, so that a path in a
document has the same result on every machine. A step is a node of a document that is visited or
compared.

The nodes and operators of JSONPath call `spend` before they do the work; `measured` sets the Meter
that they use.
"""

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Final


class EvaluationCancelledError(Exception):
    """The result of this evaluation is no longer needed: see Patience."""


class OutOfStepsError(Exception):
    """The Meter has no steps left."""


class Patience:
    """Allows an evaluation in a thread to use the larger budgets, until any thread sets
    `given_up`.
    """

    __slots__ = ("given_up",)

    def __init__(self) -> None:
        self.given_up = False


class Meter:
    """The steps that are left to one evaluation, or to several that share it."""

    __slots__ = ("left", "patience")

    def __init__(self, steps: int, patience: Patience | None = None) -> None:
        self.left, self.patience = steps, patience

    def spend(self, steps: int) -> None:
        """Raises OutOfStepsError, and EvaluationCancelledError once the patience is given up."""
        self.left -= steps
        if self.left < 0:
            raise OutOfStepsError
        if self.patience is not None and self.patience.given_up:
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
