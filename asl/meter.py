"""How much work an evaluation may be. It is counted, so that the same path in the same document
ends alike on every machine.

Meter   what is left: steps, each one node of a document that is visited or compared
spend   the nodes and operators of JSONPath call it before they do the work; `measured` says with
        which Meter
"""

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Final


class Abandoned(Exception):
    """Nobody wants the result of this evaluation any more: see Patience."""


class Exhausted(Exception):
    """The Meter has run out."""


class Patience:
    """Of an evaluation off the event loop: whether its result is still wanted. Any thread may set
    `given_up`.
    """

    __slots__ = ("given_up",)

    def __init__(self) -> None:
        self.given_up = False


class Meter:
    """Steps that are left, for one evaluation or for several that share it."""

    __slots__ = ("left", "patience")

    def __init__(self, steps: int, patience: Patience | None = None) -> None:
        self.left, self.patience = steps, patience

    def spend(self, steps: int) -> None:
        """Raises Exhausted, and Abandoned if nobody wants the result any more."""
        self.left -= steps
        if self.left < 0:
            raise Exhausted
        if self.patience is not None and self.patience.given_up:
            raise Abandoned


_METER: Final[ContextVar[Meter]] = ContextVar("_METER")
measured: Final = _METER.set


def meter() -> Meter:
    """That of the evaluation which goes on; without one, nothing is counted against anybody."""
    return _METER.get(None) or Meter(1 << 62)


def spend(steps: int) -> None:
    meter().spend(steps)


def weigh(value: Any) -> None:
    """Spend a step for each node of a value that is about to be compared as a whole."""
    level: list[Any] = [value]
    while level:
        below: list[Any] = []
        for each in level:
            if isinstance(each, (list, dict)):
                items: Iterable[Any] = each.values() if isinstance(each, dict) else each
                spend(len(each))
                below += items
        level = below
