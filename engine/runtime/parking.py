"""Parked executions: their stored state cannot be read, compiled, decided upon or encoded.

Such an execution stays as it is on disk, with a mark in the database that says why; all others
continue. Each process tries it once more, so a version that can read it (without the bug, or after
the row was repaired) resumes it. It can also be stopped, whatever can be read of it: see
aborting.py. DescribeExecution says RUNNING, as AWS knows no such status; `executions show`, the
console, the log and a metric tell more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from stepwell.engine.clock import Clock
from stepwell.engine.errors import ExecutionParkedError
from stepwell.engine.store.base import Store
from stepwell.engine.store.blobs import scrub

log: Final = logging.getLogger("stepwell.worker")


class Parking:
    """parked    the parked executions that this process has met, by id
    spawn        runs a background task
    on_failure   is called with the error and the id of each execution that is parked
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, object]], None],
        on_failure: Callable[[ExecutionParkedError, int], None],
    ) -> None:
        self._store, self._clock, self._spawn, self._on_failure = store, clock, spawn, on_failure
        self.parked: dict[int, ExecutionParkedError] = {}
        self._marked: set[int] = set()  # in the database, by an earlier process too

    async def open(self) -> None:
        store = self._store
        self._marked = {each for each, _, _ in await store.parked() if store.shard.holds(each)}

    def __len__(self) -> int:
        """How many there are, as far as is known."""
        return len(self._marked | self.parked.keys())

    def park(self, execution_id: int, error: Exception, name: str = "") -> ExecutionParkedError:
        """Stop working on an execution because of an error. `name`: its ARN, if that is known."""
        name = name or f"number {execution_id}"
        log.error(
            "execution %s is parked: %r; everything else continues", name, error, exc_info=error
        )
        parked = self.parked[execution_id] = ExecutionParkedError(
            f"execution {name} is parked: {error!r}"
        )
        parked.__cause__ = error
        self._marked.add(execution_id)
        self._spawn(self._store.park(execution_id, self._clock.now(), scrub(repr(error)) or ""))
        self._on_failure(parked, execution_id)
        return parked

    def check(self, execution_id: int) -> None:
        """Raises ExecutionParkedError if this process has parked it."""
        parked = self.parked.get(execution_id)
        if parked is not None:
            raise parked.with_traceback(None)

    def resumed(self, execution_id: int) -> None:
        """It could be read, or has closed: remove its mark."""
        self.parked.pop(execution_id, None)
        if execution_id in self._marked:
            self._marked.discard(execution_id)
            self._spawn(self._store.unpark(execution_id))
