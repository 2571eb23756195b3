"""An execution in memory, and the effects that run for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from stepwell.asl.meter import Patience
from stepwell.asl.program import Program
from stepwell.asl.resources import Resource
from stepwell.engine.core.events import Event, RunTask
from stepwell.engine.core.model import Execution
from stepwell.engine.store.base import Unit
from stepwell.engine.turns import Turns

# service of a Resource, without "aws-sdk:" -> the kind of its effects: a flood of one kind leaves
# the slots of the others alone
_KINDS: Final = {
    "lambda": "functions",
    "states": "executions",
    "sfn": "executions",
    "http": "http",
    "apigateway": "http",
    "sqs": "messages",
    "sns": "messages",
    "events": "messages",
    "eventbridge": "messages",
}


def effect_kind(resource: Resource) -> str:
    """ "functions", "executions", "http", "messages", or "calls" of all other services."""
    return _KINDS.get(resource.service.removeprefix("aws-sdk:"), "calls")


Backlog: TypeAlias = deque[tuple[Event, asyncio.Future[None] | None]]


class Live:
    """An execution in memory.

    pending   units decided and not yet published
    passing   those of them that are published without a commit: of an Express execution
    effects   (frame, seq) -> the running asyncio task of its effect
    backlog   events that wait for a decision in a thread, first that which is decided upon there
    patience  of that decision
    ephemeral an Express execution: of its units none is stored but the first of an asynchronous one
    kept      the latest published units of an Express execution that somebody watches
    shown     that execution as it was published last
    more      frames are ready to run, and Continue has not been sent yet
    """

    __slots__ = (
        "x",
        "program",
        "pending",
        "effects",
        "backlog",
        "patience",
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
        self.patience: Patience | None = None
        self.broken: BaseException | None = None
        self.ephemeral = execution.express
        self.kept: deque[Unit] | None = None
        self.shown = execution
        self.more = False

    def keep(self, unit: Unit, most: int) -> None:
        """Remember the history of an Express execution that is watched, the latest `most` events of
        it.
        """
        if self.kept is not None:
            self.shown = unit.execution
            self.kept.append(unit)
            while unit.first - self.kept[0].first > most:
                self.kept.popleft()


class Pool:
    """The slots of one kind of effect, and who waits for one.

    taken    held by an effect, or reserved for one whose intent is on its way to the disk
    back     effects that have waited for something and go on: before those that have not begun
    waiting  attempts that have not begun: state machines take turns
    """

    __slots__ = ("most", "taken", "back", "waiting")

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0
        self.back: deque[asyncio.Future[None]] = deque()
        self.waiting = Turns[tuple[Live, RunTask]]()

    def take(self) -> bool:
        """Whether there was a slot."""
        free = self.taken < self.most
        self.taken += free
        return free


class Slot:
    """What an effect holds while it works, and gives back while it waits: what it waits for may
    need a slot itself.

    fresh  the attempt has not begun in an earlier process
    """

    __slots__ = ("pool", "held", "fresh", "_free")

    def __init__(self, pool: Pool, free: Callable[[Pool], None], fresh: bool) -> None:
        self.pool, self.held, self.fresh, self._free = pool, True, fresh, free

    def give_back(self) -> None:
        if self.held:
            self.held = False
            self._free(self.pool)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Hold no slot inside. What the body raises goes on without one: there is only cleaning up
        to do.
        """
        self.give_back()
        yield
        if not self.pool.take():
            turn = asyncio.get_running_loop().create_future()
            self.pool.back.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._free(self.pool)
                raise
        self.held = True


class Effects:
    """The effects that run, `most` of each kind at a time, and those that wait for their turn.

    perform  one attempt, from its intent to the event that reports it
    begun    called when one begins whose time limits have not
    ended    called when one is over
    """

    def __init__(
        self,
        most: int,
        perform: Callable[[Live, RunTask, Slot], Coroutine[None, None, None]],
        begun: Callable[[Live, RunTask], None],
        ended: Callable[[Live], None],
    ) -> None:
        self._most, self._perform, self._begun, self._ended = most, perform, begun, ended
        self.running: set[asyncio.Task[None]] = (
            set()
        )  # those of executions that have closed meanwhile, too
        self.pools: dict[str, Pool] = {}
        self._pool_of: dict[str, Pool] = {}  # service of a Resource -> its pool
        self._closed = False

    def __len__(self) -> int:
        return len(self.running) + sum(len(pool.waiting) for pool in self.pools.values())

    @property
    def waiting(self) -> list[tuple[Live, RunTask]]:
        """Attempts that have not begun."""
        return [each for pool in self.pools.values() for each in pool.waiting]

    def _pool(self, command: RunTask) -> Pool:
        resource = command.resource
        pool = self._pool_of.get(resource.service)
        if pool is None:
            kind = effect_kind(resource)
            pool = self._pool_of[resource.service] = self.pools.setdefault(kind, Pool(self._most))
        return pool

    def reserve(self, command: RunTask) -> bool:
        """A slot for an attempt that is decided and not yet durable. If there is none, its time
        limits do not begin (see decide.hold).
        """
        pool = self._pool(command)
        return not pool.waiting.count and pool.take()

    def start(self, live: Live, command: RunTask) -> None:
        """Now, or when there is room."""
        pool = self._pool(command)
        if command.queued and (pool.waiting or not pool.take()):
            pool.waiting.put(live.x.machine_arn, (live, command))
        elif not self._start(pool, live, command):
            self._free(pool)

    def _start(self, pool: Pool, live: Live, command: RunTask) -> bool:
        """False: it was given up before it began."""
        frame = live.x.frames.get(command.frame)
        if frame is None or frame.seq != command.seq:
            return False
        queued, key = frame.queued, (command.frame, command.seq)
        slot = Slot(pool, self._free, queued or not command.again)
        effect = live.effects[key] = asyncio.create_task(self._perform(live, command, slot))
        self.running.add(effect)
        effect.add_done_callback(lambda _: self._over(live, key, effect, slot))
        if queued:
            self._begun(live, command)
        return True

    def _free(self, pool: Pool) -> None:
        """A slot is free: for the next that goes on, or else begins."""
        pool.taken -= 1
        while not self._closed and (pool.back or pool.waiting.count) and pool.take():
            if pool.back:
                turn = pool.back.popleft()
                used = not turn.done()
                if used:
                    turn.set_result(None)
            else:
                used = self._start(pool, *pool.waiting.take())
            pool.taken -= not used

    def _over(
        self, live: Live, key: tuple[int, int], effect: asyncio.Task[None], slot: Slot
    ) -> None:
        live.effects.pop(key, None)
        self.running.discard(effect)
        slot.give_back()
        if not self._closed:
            self._ended(live)

    def stop(self) -> list[asyncio.Task[None]]:
        """Cancel all that run: their intent is durable. Nothing starts any more."""
        self._closed = True
        for effect in self.running:
            effect.cancel()
        return list(self.running)
