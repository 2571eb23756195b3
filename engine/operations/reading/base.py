"""What all operations need, those that only read too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stepwell.engine.arns import Home
from stepwell.engine.clock import Clock
from stepwell.engine.core.model import Execution
from stepwell.engine.limits import Limits
from stepwell.engine.machines.rows import MachineRows
from stepwell.engine.observers.tracker import Tracker
from stepwell.engine.operations.paging import Pages
from stepwell.engine.store.base import DefinitionRow, ExecutionRow, Store

STANDARD: Final = "STANDARD"
EXPRESS: Final = "EXPRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingBase:
    """The settings of an engine or a reader, and the parts that its operations work with."""

    store: Store
    clock: Clock
    limits: Limits
    home: Home
    pages: Pages
    machines: MachineRows
    tracker: Tracker


async def pinned(store: Store, row: ExecutionRow | Execution) -> DefinitionRow:
    """The revision that an execution runs."""
    found = await store.definition(row.definition)
    assert found is not None, "a definition is kept as long as an execution is pinned to it"
    return found
