"""The base of all operations: the settings and parts of an engine that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine.arns import Home
from stepwell.engine.clock import Clock
from stepwell.engine.core.model import Execution
from stepwell.engine.limits import Limits
from stepwell.engine.machines.programs import Programs
from stepwell.engine.machines.rows import MachineRows
from stepwell.engine.map_runs.datasets import StreamRequest
from stepwell.engine.observers.tracker import Tracker
from stepwell.engine.operations.paging import Pages
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store.base import DefinitionRow, ExecutionRow, Store
from stepwell.engine.tasks import Tasks

STANDARD: Final = "STANDARD"
EXPRESS: Final = "EXPRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The settings of an engine, and the parts that its operations work with."""

    store: Store
    clock: Clock
    limits: Limits
    home: Home
    tasks: Tasks
    new_uuid: Callable[[], str]
    pages: Pages
    programs: Programs
    machines: MachineRows
    worker: Worker
    tracker: Tracker


async def pinned(store: Store, row: ExecutionRow | Execution) -> DefinitionRow:
    """The revision that an execution runs."""
    found = await store.definition(row.definition)
    assert found is not None, "a definition is kept as long as an execution is pinned to it"
    return found


class NoTasks:
    """A registry without any task."""

    on_status = mocks = None

    def connect(self, engine: Any) -> None: ...

    def resolve(self, resource: Resource) -> None:
        return None

    def known_text(self, text: str) -> None:
        return None

    def mock_fault(self, resource: Resource, result: Json, strict: bool) -> None:
        return None

    async def dataset(self, request: StreamRequest) -> None:
        return None

    async def results(self, request: StreamRequest) -> None:
        return None

    async def close(self) -> None:
        return None
