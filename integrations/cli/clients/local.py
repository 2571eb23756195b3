"""Clients of a database: of the engine that this process has opened on it, and beside, or without,
the process that works on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.program import Program
from stepwell.engine.errors import WrongShardError
from stepwell.engine.store.base import StoreInUseError
from stepwell.integrations.cli.clients import polling
from stepwell.integrations.cli.clients.base import machine_of
from stepwell.integrations.database import requests
from stepwell.integrations.limits import Limits

if TYPE_CHECKING:  # readers do without
    from stepwell.engine.engine import Engine
    from stepwell.engine.operations.reading.reader import Reader
    from stepwell.integrations.database.naming import Database

READING: Final = ("describe_", "list_", "search_", "get_execution_", "validate_")


class _ReadingClient:
    """What both have, of committed rows."""

    patient = False  # a database is always there

    def __init__(
        self, reader: Reader | Engine, where: str, words: Sequence[str], limits: Limits
    ) -> None:
        self._reader, self.where, self.words, self.limits = reader, where, words, limits

    async def call(self, operation: str, **arguments: Any) -> Any:
        return await getattr(self._reader, operation)(**arguments)

    async def describe(self, execution_arn: str) -> Mapping[str, Any]:
        return await self._reader.inspect_execution(execution_arn)

    async def definition(self, execution: Mapping[str, Any]) -> tuple[str, str]:
        arn = execution["executionArn"]
        text = (await self._reader.inspect_machine(arn))[0]["definition"]
        return machine_of(text), "EXPRESS" if ":express:" in arn else "STANDARD"

    async def program(self, execution: Mapping[str, Any]) -> Program:
        _, definition_id = await self._reader.inspect_machine(execution["executionArn"])
        return await self._reader.program(definition_id)

    async def seed(self, execution_arn: str) -> tuple[int, str]:
        row = await self._reader.store.describe(execution_arn)
        return (0, "") if row is None else (row.id, row.uuid)

    def history(
        self, execution_arn: str, reverse: bool = False
    ) -> AsyncIterator[Mapping[str, Any]]:
        if ":express:" in execution_arn:
            return self._reader.inspect_history(execution_arn)
        return polling.events(self, execution_arn, reverse)

    async def executions(
        self, machine_arn: str | None, status: str | None
    ) -> AsyncIterator[Mapping[str, Any]]:
        pages: Callable[..., Any] = self._reader.list_all_executions
        if machine_arn is not None:
            pages = partial(self._reader.list_executions, machine_arn)
        async for page in polling.pages(pages, status_filter=status):
            for each in page["executions"]:
                if machine_arn is not None or "/" not in each["stateMachineArn"]:
                    yield each

    async def parked(self) -> Mapping[str, str]:
        return await self._reader.parked_executions()

    def now(self) -> float:
        return self._reader.clock.now() / 1000


class EngineClient(_ReadingClient):
    """Of an engine that this process has opened as the owner of its database."""

    def __init__(self, engine: Engine, where: str, words: Sequence[str], limits: Limits) -> None:
        super().__init__(engine, where, words, limits)
        self._engine = engine

    def watch(self, execution_arn: str, after: int = 0) -> AsyncIterator[Mapping[str, Any]]:
        return self._engine.watch(execution_arn, after)

    async def runs(self) -> bool:
        return True


class DatabaseClient(_ReadingClient):
    """Reads what is committed; what changes something is carried out by the process that works on
    the database. Without one, this process works on it until the client is closed, and runs
    nothing.
    """

    def __init__(
        self, reader: Reader, named: Database, words: Sequence[str], limits: Limits
    ) -> None:
        super().__init__(reader, f"the database {named}", words, limits)
        self._database, self._opening = named, asyncio.Lock()
        self._own: Engine | None = None
        self._elsewhere: bool | None = None  # another process works on it; None: not known yet
        self._exits = AsyncExitStack()

    async def close(self) -> None:
        await self._exits.aclose()

    async def call(self, operation: str, **arguments: Any) -> Any:
        if hasattr(self._reader, operation):
            return await super().call(operation, **arguments)
        if operation.startswith(READING):
            return await getattr(self._whole(), operation)(**arguments)
        if (own := await self._owned()) is not None:
            with suppress(WrongShardError):
                return await getattr(own, operation)(**arguments)
            self._own = None
            await self._exits.aclose()
        with suppress(OSError):  # the owner has ended meanwhile
            return await requests.ask(self._database, operation, arguments, self.limits)
        from stepwell.integrations.database import owning

        return await owning.request(self._database, operation, arguments, self.limits)

    def _whole(self) -> Engine:
        """An engine that is not opened: it has the operations that readers lack."""
        from stepwell.engine.engine import Engine

        home, reader = self._reader.home, self._reader
        return Engine(
            store=reader.store, region=home.region, account=home.account, limits=self.limits
        )

    async def _owned(self) -> Engine | None:
        """An engine of this process that owns the database; None if another process does."""
        async with self._opening:
            if self._elsewhere is None:
                self._elsewhere = await requests.owner(self._database) is not None
            if self._own is None and not self._elsewhere:
                from stepwell.integrations.database import owning  # imported late: it runs all

                opened = owning.owned(self._database, limits=self.limits)
                with suppress(StoreInUseError):
                    self._own, _ = await self._exits.enter_async_context(opened)
            return self._own

    def watch(self, execution_arn: str, after: int = 0) -> AsyncIterator[Mapping[str, Any]]:
        return polling.watch(self, execution_arn, after)

    async def runs(self) -> bool:
        return self._own is None and await requests.owner(self._database) is not None
