"""The executions in memory: loading them, and letting them go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeAlias

from stepwell.asl.meter import Cancellation
from stepwell.asl.program import Program
from stepwell.engine.clock import Clock
from stepwell.engine.core import model
from stepwell.engine.core.events import Event, Stop
from stepwell.engine.core.model import Execution
from stepwell.engine.errors import ExecutionParkedError, StoreError
from stepwell.engine.limits import Limits
from stepwell.engine.runtime.parking import Parking
from stepwell.engine.single_flight import SingleFlight
from stepwell.engine.store.base import LOADS_AT_ONCE, Loaded, Store, StoreFormatError, Unit

Answer: TypeAlias = asyncio.Future[None] | None
"""Of a caller, if there is one: done when all that was decided until its event is durable."""

Backlog: TypeAlias = deque[tuple[Event, Answer]]


def resolve(answer: Answer, error: BaseException | None = None) -> None:
    """Answer a caller, if there is one and it still waits."""
    if answer is None or answer.done():
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)


class Live:
    """An execution in memory.

    pending   units decided and not yet published
    passing   those of them that are published without a commit: of an Express execution
    effects   (frame, seq) -> the running asyncio task of its effect
    backlog   events that wait for a decision in a thread, first that which is decided upon there
    cancellation  of that decision
    broken    the error that it is parked with
    ephemeral an Express execution: only the first unit of an asynchronous one is stored
    kept      the latest published units of an Express execution that is watched
    shown     that execution as it was published last
    more      frames are ready to run, and Continue has not been sent yet
    """

    __slots__ = (
        "x",
        "program",
        "pending",
        "effects",
        "backlog",
        "cancellation",
        "broken",
        "ephemeral",
        "kept",
        "more",
        "passing",
        "shown",
    )

    def __init__(self, execution: Execution, program: Program) -> None:
        self.x, self.program = execution, program
        self.pending = self.passing = 0
        self.effects: dict[tuple[int, int], asyncio.Task[None]] = {}
        self.backlog: Backlog | None = None
        self.cancellation: Cancellation | None = None
        self.broken: BaseException | None = None
        self.ephemeral = execution.express
        self.kept: deque[Unit] | None = None
        self.shown = execution
        self.more = False

    def refuse(self, error: BaseException, answer: Answer = None) -> None:
        """Answer this caller, and all callers that wait for a decision, with an error."""
        for each in (answer, *(waiting for _, waiting in self.backlog or ())):
            resolve(each, error)

    def keep(self, unit: Unit, most: int) -> None:
        """Remember a unit of an Express execution that is watched; in all, the latest `most` events
        of its history.
        """
        if self.kept is not None:
            self.shown = unit.execution
            self.kept.append(unit)
            while unit.first - self.kept[0].first > most:
                self.kept.popleft()


class Decider(Protocol):
    """Decides upon the events of executions: the worker."""

    def submit(self, live: Live, event: Event, answer: Answer = None) -> None: ...

    def send(self, execution_id: int, event: Event) -> None: ...

    def settle(self, live: Live) -> None: ...


class LiveExecutions:
    """The executions that a worker has in memory.

    by_id     by execution id
    children  (execution id, frame id, seq) of a Map Run -> its children in memory, by id
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: Limits,
        programs: Callable[[int], Awaitable[Program]],
        parking: Parking,
        decider: Decider,
    ) -> None:
        self.by_id: dict[int, Live] = {}
        self.children: dict[tuple[int, int, int], dict[int, Live]] = {}
        self.loading = SingleFlight(self._load)
        self._store, self._clock, self._limits, self._programs = store, clock, limits, programs
        self._parking, self._decider = parking, decider

    def adopt(self, execution: Execution, program: Program) -> Live:
        """A new execution, not yet decided upon."""
        live = self.by_id[execution.id] = Live(execution, program)
        if execution.parent is not None:
            self.children.setdefault(execution.parent[:3], {})[execution.id] = live
        return live

    def awaited(self, parent: tuple[int, int, int, int], round: object) -> bool:
        """Whether this round of the Map Run that a child belongs to still runs. (A parent with a
        Map Run never leaves memory.)
        """
        return (
            self.awaits(*parent[:3])
            and self.by_id[parent[0]].x.frames[parent[1]].running_children.map_run.round == round
        )

    def awaits(self, execution_id: int, frame_id: int, seq: int) -> bool:
        """Whether a Map Run still runs."""
        live = self.by_id.get(execution_id)
        frame = None if live is None else live.x.frames.get(frame_id)
        return frame is not None and frame.seq == seq and frame.children is not None

    async def load(self, execution_id: int) -> Live | None:
        """The execution in memory, read from the store if it is not there; None if it is closed for
        good or unknown. Raises ExecutionParkedError, WrongShardError.

        A closed one that may be redriven is loaded, too: submit() something to it or settle() it,
        so that it leaves memory again.
        """
        while (live := self.by_id.get(execution_id)) is None:
            self.check(execution_id)
            if await self.loading(execution_id) is None:
                return None
        # looked up again: another caller that waited for the load may have let it leave memory
        return live

    def check(self, execution_id: int) -> None:
        """Raises ExecutionParkedError if this process has parked it, WrongShardError."""
        self._parking.check(execution_id)
        self._store.shard.check_id(execution_id)

    async def load_all(self, execution_ids: Sequence[int]) -> None:
        """load() many, LOADS_AT_ONCE by one read. Parked ones are left out."""
        for start in range(0, len(execution_ids), LOADS_AT_ONCE):
            await self._load_few(execution_ids[start : start + LOADS_AT_ONCE])

    async def _load_few(self, execution_ids: Sequence[int]) -> None:
        late, free = list[int](), list[int]()
        for each in execution_ids:
            with suppress(ExecutionParkedError):
                self.check(each)
                if each not in self.by_id:
                    (late if each in self.loading else free).append(each)
        with self.loading.together(free) as runs:
            read = await self._store.load_all(free) if free else []
            for (each, run), found in zip(runs.items(), read):
                try:
                    run.set_result(await self._adopted(each, found))
                except ExecutionParkedError as error:
                    run.set_exception(error)
        for each in late:
            with suppress(ExecutionParkedError):
                await self.load(each)

    async def _load(self, execution_id: int) -> Live | None:
        try:
            found = await self._store.load(execution_id)
        except Exception as error:
            return await self._adopted(execution_id, error)
        return await self._adopted(execution_id, found)

    async def _adopted(
        self, execution_id: int, loaded: Loaded | BaseException | None
    ) -> Live | None:
        """In memory from now on. loaded: may be the error of reading it"""
        try:
            if loaded is None:
                return None
            if isinstance(loaded, BaseException):
                raise loaded
            program = await self._programs(loaded.definition)
            if loaded.frames > self._limits.decode_inline_frames:
                x = await asyncio.to_thread(loaded.decode, program)
            else:
                x = loaded.decode(program)
            if x.express and x.deadline is not None:
                x.deadline += self._clock.now() - x.started  # it begins again, with all of its time
            live = self.adopt(x, program)
        except Exception as error:
            if isinstance(error, StoreError) and not isinstance(error, StoreFormatError):
                raise
            raise self._parking.park(execution_id, error) from error
        self._parking.resumed(execution_id)
        if x.status == model.RUNNING and self._orphaned(x):
            self._decider.submit(live, Stop(None, None))
        return live

    def _orphaned(self, x: Execution) -> bool:
        """Whether its Map Run has ended: a crash came before the commits that end the children."""
        return (
            x.parent is not None
            and x.parent[0] not in self._parking.parked
            and not self.awaited(x.parent, x.extras.get("round", 0))
        )

    def leave(self, x: Execution) -> None:
        """It has closed, and all of it is stored: forget it."""
        if self.by_id.pop(x.id, None) is None:
            return
        self._store.forget(x.id)
        if x.parent is not None:
            children = self.children[x.parent[:3]]
            del children[x.id]
            if not children:
                del self.children[x.parent[:3]]

    def sleep(self, x: Execution) -> None:
        """Forget an execution that waits: a deadline, a report or a request loads it again."""
        if self.by_id.pop(x.id, None) is not None:
            self._store.forget(x.id)
