"""How often each state was entered and each transition was taken, in one execution or in several.
Pure.

A picture of an execution and the coverage of tests count with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from stepwell.asl.histories.reevaluation import Reevaluation
from stepwell.asl.histories.state_visits import CAUGHT, Event, Visit


@dataclass(frozen=True, slots=True)
class Passages:
    """entered      by state
    rules        by (Choice, rule); rule: index in Choices, reevaluation.DEFAULT
    transitions  by (from, to, whether an error was caught)
    first        by the first state of the machine, of a branch or of an iteration
    last         by the state after which one of them ended
    """

    entered: Counter[str] = field(default_factory=Counter)
    rules: Counter[tuple[str, int]] = field(default_factory=Counter)
    transitions: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    first: Counter[str] = field(default_factory=Counter)
    last: Counter[str] = field(default_factory=Counter)

    def see(self, event: Event, visit: Visit, definition: Reevaluation | None) -> None:
        """Take an event and its visit, once the visit has taken it. definition: None if unknown;
        then the rules of Choices are, too.
        """
        if event["id"] == visit.exited:
            self.last[visit.name] += 1  # until the next state follows
        elif event["id"] == visit.entered:
            self.entered[visit.name] += 1
            before = visit.before
            if before is None:
                self.first[visit.name] += 1
                return
            self.last[before.name] -= 1
            self.transitions[before.name, visit.name, before.status == CAUGHT] += 1
            if definition is not None and before.type == "Choice":
                self.rules.update(
                    (before.name, rule) for rule in definition.rules(before, visit.name)
                )
