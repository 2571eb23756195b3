"""The base of the operations that change something: what those that read have, and the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine.machines.programs import Programs
from stepwell.engine.map_runs.datasets import StreamRequest
from stepwell.engine.operations.reading.base import ReadingBase
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.tasks import Tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Base(ReadingBase):
    tasks: Tasks
    new_uuid: Callable[[], str]
    programs: Programs
    worker: Worker


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
