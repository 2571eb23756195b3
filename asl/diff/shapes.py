"""The shapes of a difference between two definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from stepwell.asl.evaluation import MISSING, Json

ADDED, REMOVED, CHANGED, MOVED, RENAMED = "added", "removed", "changed", "moved", "renamed"
KINDS: Final = (ADDED, REMOVED, CHANGED, MOVED, RENAMED)


class Change(NamedTuple):
    """One change of a state or of the machine.

    kind      ADDED, REMOVED, CHANGED or MOVED
    what      where, for people: "Retry States.Timeout · MaxAttempts", "Parameters.Payload.id.$"
    old, new  JSON values; MISSING: there is none. A default that is not written is the old or new
              value too
    """

    kind: str
    what: str
    old: Json = MISSING
    new: Json = MISSING


class StateChange(NamedTuple):
    """A state that differs.

    name, old_name      in the new and in the old definition; None: it is not there
    path, old_path      its location: /States/Ship/Branches[0]/States/Pack
    kind                one of KINDS: the first that fits of ADDED, REMOVED, RENAMED, MOVED, CHANGED
    type                its Type, the new one if it changed
    changes             of its fields and of its place; empty if it was only added or removed
    """

    name: str | None
    old_name: str | None
    path: str | None
    old_path: str | None
    kind: str
    type: str
    changes: tuple[Change, ...] = ()

    @property
    def shown(self) -> str:
        """The new name; the old one of a removed state."""
        return self.name if self.name is not None else str(self.old_name)


class Difference(NamedTuple):
    """What differs between two definitions; empty if both do the same.

    machine  changes of fields of the machine itself
    states   in the order of the new definition, removed ones where they were
    renamed  old name -> new name
    dropped  resources that only the old definition uses -> the states that use them: executions of
             the old definition still need them
    """

    machine: tuple[Change, ...]
    states: tuple[StateChange, ...]
    renamed: Mapping[str, str]
    dropped: Mapping[str, tuple[str, ...]]

    def __bool__(self) -> bool:
        return bool(self.machine or self.states)
