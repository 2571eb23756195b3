"""What a search asks of executions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from stepwell.engine.search.values import Range

STATUSES: Final = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
"""Of executions. The index of a status is its stored code: append only."""


class Condition(NamedTuple):
    """A search attribute with a value in any of the ranges. compared: it is one range, by < or >,
    which further comparisons make narrower.
    """

    name: str
    ranges: Sequence[Range]
    compared: bool = False


class Span(NamedTuple):
    """Times from `start` to before `stop`, epoch ms; None: without that bound."""

    start: int | None = None
    stop: int | None = None

    def has(self, at: int | None) -> bool:
        if self.start is None and self.stop is None:
            return True
        return (
            at is not None
            and (self.start is None or at >= self.start)
            and (self.stop is None or at < self.stop)
        )


class Search(NamedTuple):
    """What executions must have to be found.

    machine_arn  of a state machine, a version or an alias
    statuses     any of them; all if empty
    """

    machine_arn: str | None = None
    statuses: Sequence[str] = ()
    started: Span = Span()
    stopped: Span = Span()
    conditions: Sequence[Condition] = ()
