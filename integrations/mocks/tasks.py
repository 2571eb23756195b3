"""Tasks that test cases answer.

Engine(tasks=MockedTasks(Registry(...), TestCase({...})))   # for every execution
Engine(tasks=MockedTasks(Registry(...), read_mocks(PATH)))  # for those of MACHINE_ARN#CASE
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine.map_runs.datasets import Dataset, Results, StreamRequest
from stepwell.engine.tasks import Handler, Tasks, Transaction
from stepwell.integrations.mocks.answers import Answers
from stepwell.integrations.mocks.cases import TestCase
from stepwell.integrations.mocks.checks import Validation
from stepwell.integrations.mocks.files import MockFile


class MockedTasks:
    """Tasks that are answered by a test case, else by `inner`."""

    def __init__(
        self,
        inner: Tasks,
        mocks: MockFile | TestCase,
        validation: Validation = Validation.WARN,
    ) -> None:
        self.inner = inner
        self.mocks: Answers = Answers(mocks, validation)

    def unused(self) -> list[str]:
        """A line for each mocked state that did not run, and for each response that was not used,
        of the test cases that executions had.
        """
        return [each.text for each in self.mocks.unused()]

    def connect(self, engine: Any) -> None:
        self.inner.connect(engine)
        self.mocks.clock = engine.clock

    def resolve(self, resource: Resource) -> Handler | None:
        return self.inner.resolve(resource)

    def known_text(self, text: str) -> str | None:
        return self.inner.known_text(text)

    def mock_fault(self, resource: Resource, result: Json, strict: bool) -> str | None:
        return self.inner.mock_fault(resource, result, strict)

    async def dataset(self, request: StreamRequest) -> Dataset | None:
        return await self.inner.dataset(request)

    async def results(self, request: StreamRequest) -> Results | None:
        return await self.inner.results(request)

    async def close(self) -> None:
        await self.inner.close()

    @property
    def on_status(self) -> Callable[[list[dict[str, Any]]], Transaction[None] | None] | None:
        return self.inner.on_status
