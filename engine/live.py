"""An execution in memory, and the effects that run for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine

from stepwell.asl.program import Program
from stepwell.engine.core.model import Event, Execution, RunTask
from stepwell.engine.store.base import Unit


class Live:
    """An execution in memory.

    pending   units decided and not yet published
    passing   those of them that are published without a commit: of an Express execution
    effects   (frame, seq) -> the running asyncio task of its effect
    backlog   events that wait for a decision in a thread
    ephemeral an Express execution: of its units none is stored but the first of an asynchronous one
    kept      the latest published units of an Express execution that somebody watches
    shown     that execution as it was published last
    more      frames are ready to run, and Continue has not been sent yet
    """

    __slots__ = ("x", "program", "pending", "effects", "backlog", "broken", "ephemeral", "kept", "more", "passing", "shown")

    def __init__(self, execution: Execution, program: Program) -> None:
        self.x, self.program = execution, program
        self.pending = self.passing = 0
        self.effects: dict[tuple[int, int], asyncio.Task[None]] = {}
        self.backlog: deque[tuple[Event, asyncio.Future[None] | None]] | None = None
        self.broken: BaseException | None = None
        self.ephemeral = execution.express
        self.kept: deque[Unit] | None = None
        self.shown = execution
        self.more = False

    def keep(self, unit: Unit, most: int) -> None:
        """Remember the history of an Express execution that is watched, the latest `most` events of it."""
        if self.kept is not None:
            self.shown = unit.execution
            self.kept.append(unit)
            while unit.first - self.kept[0].first > most:
                self.kept.popleft()


class Effects:
    """The effects that run, at most so many at a time, and those that wait for their turn.

    perform  one attempt, from its intent to the event that reports it       ended  called when one is over
    """

    def __init__(self, most: int, perform: Callable[[Live, RunTask], Coroutine[None, None, None]], ended: Callable[[Live], None]) -> None:
        self._most, self._perform, self._ended = most, perform, ended
        self.running: set[asyncio.Task[None]] = set()  # those of executions that have closed meanwhile, too
        self.waiting: deque[tuple[Live, RunTask]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self.running) + len(self.waiting)

    def start(self, live: Live, command: RunTask) -> None:
        """Now, or when there is room."""
        if len(self.running) < self._most:
            self._start(live, command)
        else:
            self.waiting.append((live, command))

    def _start(self, live: Live, command: RunTask) -> None:
        frame = live.x.frames.get(command.frame)
        if frame is None or frame.seq != command.seq:
            return  # given up before it began
        key = (command.frame, command.seq)
        effect = live.effects[key] = asyncio.create_task(self._perform(live, command))
        self.running.add(effect)
        effect.add_done_callback(lambda _: self._over(live, key, effect))

    def _over(self, live: Live, key: tuple[int, int], effect: asyncio.Task[None]) -> None:
        live.effects.pop(key, None)
        self.running.discard(effect)
        if self._closed:
            return
        while self.waiting and len(self.running) < self._most:
            self._start(*self.waiting.popleft())
        self._ended(live)

    def stop(self) -> list[asyncio.Task[None]]:
        """Cancel all that run: their intent is durable. Nothing starts any more."""
        self._closed = True
        for effect in self.running:
            effect.cancel()
        return list(self.running)
