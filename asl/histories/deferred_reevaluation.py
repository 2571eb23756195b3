"""A Reevaluation that is made for the first question: most histories answer all of them themselves,
and it imports pydantic and the parsers of both languages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepwell.asl import json_text
from stepwell.asl.histories.state_visits import Event, Visit

if TYPE_CHECKING:
    from stepwell.asl.histories.reevaluation import Reevaluation


class DeferredReevaluation:
    """definition: as parsed JSON, valid. What is seen before the first question is kept."""

    def __init__(self, definition: object) -> None:
        self._definition = definition
        self._seen: list[tuple[Event, Visit | None]] = []
        self._made: Reevaluation | None = None
        self._has_tokens = "Task.Token" in json_text.dumps(definition)

    def see(self, event: Event, visit: Visit | None) -> None:
        if self._made is not None:
            self._made.see(event, visit)
        elif visit is None or visit.assigned:  # others tell it nothing
            self._seen.append((event, visit))

    def failure(self, visit: Visit) -> tuple[str | None, str | None]:
        return self._reevaluation().failure(visit)

    def due(self, visit: Visit) -> float | None:
        return self._reevaluation().due(visit)

    def token(self, name: str, parameters: str | None) -> str | None:
        return self._reevaluation().token(name, parameters) if self._has_tokens else None

    def _reevaluation(self) -> Reevaluation:
        if self._made is None:
            from stepwell.asl.definition import StateMachine
            from stepwell.asl.histories.reevaluation import Reevaluation

            self._made = Reevaluation(StateMachine.model_validate(self._definition))
            for event, visit in self._seen:
                self._made.see(event, visit)
            self._seen.clear()
        return self._made
