"""The compiled definitions of an engine."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from stepwell.asl.compiler import compile_machine
from stepwell.asl.program import Program
from stepwell.asl.validate import validate
from stepwell.engine.core.model import Payload
from stepwell.engine.limits import Limits
from stepwell.engine.single_flight import SingleFlight
from stepwell.engine.store.base import Store, StoreFormatError

T = TypeVar("T")


class Programs:
    """Those used last are kept in memory; others are compiled again from the store.

    kept  the program of a definition if it is in memory
    """

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._kept: OrderedDict[int, Program] = OrderedDict()
        self.kept: Callable[[int], Program | None] = self._kept.get
        self._stored = SingleFlight(self._compile_stored)
        self._compilers = asyncio.Semaphore(limits.compilers)

    def keep(self, definition_id: int, program: Program) -> None:
        self._kept[definition_id] = program
        while len(self._kept) > self._limits.programs:
            self._kept.popitem(last=False)

    async def program(self, definition_id: int) -> Program:
        """The compiled definition that executions are pinned to."""
        program = self._kept.get(definition_id)
        if program is not None:
            return program
        return await self._stored(definition_id)

    async def _compile_stored(self, definition_id: int) -> Program:
        row = await self._store.definition(definition_id)
        assert row is not None, "a definition is kept as long as an execution is pinned to it"

        program = await self.offload(
            row.definition,
            lambda: compiled(row.definition, row.type, self._limits, row.machine_arn),
        )
        self.keep(definition_id, program)
        return program

    async def offload(self, definition: str, work: Callable[[], T]) -> T:
        """Validate or compile a definition: in a thread if it is long, so that the event loop is
        not held.
        """
        if len(definition) <= self._limits.definition_inline_chars:
            return work()
        async with self._compilers:
            return await asyncio.to_thread(work)


def compiled(definition: str, type: str, limits: Limits, owner: str) -> Program:
    """A definition that was valid where it is stored. Raises StoreFormatError.

    owner  what the error's text says that it is of
    """
    validation = validate(definition, type, limits, lambda resource: resource)
    if validation.definition is None:
        faults = "; ".join(each.message for each in validation.errors)
        raise StoreFormatError(f"a definition of {owner} is refused by this version: {faults}")
    return compile_machine(validation.definition, limits, Payload)
