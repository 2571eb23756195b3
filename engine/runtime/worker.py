"""The worker: inputs -> decide -> one commit for many -> only then effects and answers.

    submit(execution, event) --decide--> Unit --queue--> writer: store.commit(up to batch_units) -->
    publish: start effects, answer callers

Memory may be ahead of the disk between decide and commit, so nothing of a unit may be seen outside
before its commit, and after a failed commit everything in memory is dropped (crash-only): `failed`
is set, every waiter gets the error, and a new worker recovers from the disk.

An execution is in memory while it has work or effects in flight. One that waits for a deadline
beyond the timer window, or for a report by task token, is on disk only.

Parts: live.py (what is in memory), commit_queue.py (the writer), commands.py and effects.py (what
happens after a commit), timers.py, long_decisions.py (in threads), parking.py, lifecycle.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from stepwell.asl.evaluation import InlineBudgetError
from stepwell.asl.program import Program
from stepwell.asl.search_attributes import Attribute
from stepwell.engine.clock import Clock
from stepwell.engine.core import model
from stepwell.engine.core.decide import decide, hold, recover
from stepwell.engine.core.events import (
    Continue,
    Decision,
    Event,
    RunTask,
    Start,
    StartChild,
    Stop,
)
from stepwell.engine.core.model import Execution
from stepwell.engine.delegation import delegated
from stepwell.engine.errors import ExecutionParkedError, StoreError
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.map_runs.child_reports import ChildReports
from stepwell.engine.runtime.activity_queues import ActivityQueues
from stepwell.engine.runtime.commands import ChildStarter, Commands
from stepwell.engine.runtime.commit_queue import Entry, Following, Writer
from stepwell.engine.runtime.counters import Counts
from stepwell.engine.runtime.effects import Attempts, Effects, mocked
from stepwell.engine.runtime.lifecycle import Lifecycle
from stepwell.engine.runtime.live import Answer, Live, LiveExecutions, resolve
from stepwell.engine.runtime.long_decisions import Also, LongDecisions
from stepwell.engine.runtime.parking import Parking
from stepwell.engine.runtime.timers import Wakes
from stepwell.engine.search.attributes import attributes
from stepwell.engine.store.base import NO_WRITES, Store, Unit, Writes
from stepwell.engine.tasks import Tasks

log: Final = logging.getLogger("stepwell.worker")


def _express(x: Execution, created: bool) -> tuple[bool, bool]:
    """(dropped, passing) of a unit of an Express execution.

    The start of an asynchronous one is stored until it has ended, so it begins again after a crash.
    """
    if x.extras.get("sync"):
        return False, True
    dropped = not created and x.status != model.RUNNING
    return dropped, not (created or dropped)


class Worker:
    """Drives every execution of one store. One event loop, one writer, no polling.

    tasks       resolves a Task's resource to its handler
    programs    definition id -> Program (awaitable, cached)
    activities  the queues of the tasks of activities

    The engine sets the attributes:

    start_child  is called after the commit with every child of a Map Run that is to be started
    also_store   is called with each unit before its commit: what other parts store with it
    on_commit    is called with each unit once it is durable
    on_failure   is called with the error, and the id of the execution if it concerns only one
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        tasks: Tasks,
        programs: Callable[[int], Awaitable[Program]],
        activities: ActivityQueues,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.store, self.clock, self.limits, self.activities = store, clock, limits, activities
        self.counts, self.life = Counts(), Lifecycle(self.fail)
        self.renamed: dict[str, Sequence[Attribute]] = {}  # see search.attributes
        self.start_child: ChildStarter
        self.also_store: Callable[[Unit], Also] = lambda unit: None
        self.on_commit: Callable[[Live, Unit], None] = lambda live, unit: None
        self.on_failure: Callable[[BaseException, int | None], None] = lambda error, id: None
        self.child_reports = ChildReports(self.send)
        self.parking = Parking(store, clock, self.life.spawn, self._parked)
        self.executions = LiveExecutions(store, clock, limits, programs, self.parking, self)
        self.live = self.executions.by_id
        parts = (store, clock, limits, self.life, self.live, self, self._load_all_and_submit)
        self.wakes = Wakes(*parts, lambda: limits.queue_units - self.queued)
        self.timers = self.wakes.timers
        self.writer = Writer(
            store,
            clock,
            limits,
            self.life,
            self.counts,
            publish=self._publish,
            lose=self._lose,
            fail=self.fail,
            committed=self.timers.feed,
        )
        self.attempts = attempts = Attempts(tasks, self._report, self._store_failed)
        self.effects = Effects(
            limits.effects_in_flight, attempts.run, attempts.begun, self._effect_ended
        )
        self.commands = Commands(
            self.life,
            self.executions,
            activities,
            self.effects,
            self._start_child,
            self,
            partial(mocked, tasks),
        )
        self.long_decisions = LongDecisions(clock, limits, self.life, activities.known, self)

    check = delegated("life", Lifecycle.check)
    spawn = delegated("life", Lifecycle.spawn)
    adopt = delegated("executions", LiveExecutions.adopt)
    load = delegated("executions", LiveExecutions.load)
    room = delegated("writer", Writer.room)
    admit = delegated("writer", Writer.admit)
    write = delegated("writer", Writer.write)

    @property
    def failed(self) -> BaseException | None:
        """The error that the worker failed with."""
        return self.life.failed

    @property
    def queued(self) -> int:
        """Units that are decided and not yet on their way to the disk."""
        return self.writer.queue.count

    @property
    def in_flight(self) -> int:
        """Effects that run, and those that wait for their turn."""
        return len(self.effects)

    # --- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover, then serve. Nothing may be submitted before this returns: ids would be
        reused.
        """
        self._soon = asyncio.get_running_loop().call_soon  # looked up once: it is a system call
        self.clock.raise_to(await self.store.clock())
        self.writer.start()
        await self.parking.open()
        after = 0
        while page := await self.store.in_flight(after, limit=self.limits.recovery_page):
            await self.executions.load_all(page)
            after = page[-1]
        # those whose tasks had begun have slots first
        for live in sorted(self.live.values(), key=lambda live: live.x.queued):
            self._resume(live)
            await asyncio.sleep(0)
        await self.wakes.scan()

    def _resume(self, live: Live) -> None:
        """Repeat the commands that an earlier process may not have carried out."""
        try:
            commands = recover(live.x)
        except Exception as error:
            return self.park(live, error, None)
        for command in commands:
            if isinstance(command, RunTask):
                command = command._replace(queued=True)  # nothing was reserved for it
            elif isinstance(command, StartChild):
                command = command._replace(again=True)
            self.commands.carry_out(live, command)
        if any(frame.phase == model.Phase.RUN for frame in live.x.frames.values()):
            self.submit(live, Continue())
        else:
            self.settle(live)  # its time limits

    async def close(self) -> None:
        """Commit all decisions, cancel the effects (their intent is durable), and stop."""
        self.life.close()
        self.wakes.close()
        await asyncio.gather(*self.effects.stop(), *self.life.background, return_exceptions=True)
        await self.writer.close()
        self.live.clear()
        self.on_failure(self.life.error(), None)

    def fail(self, error: BaseException) -> None:
        """Crash-only: memory is ahead of the disk, so nothing here may be used any more."""
        if self.life.failed is not None:
            return
        self.life.failed, self.life.working = error, False
        log.critical("the store failed, the worker stops: %s", self.life.reason)
        self.writer.drop()
        self.effects.stop()
        self.on_failure(self.life.error(), None)

    # --- inputs -----------------------------------------------------------------------------------

    async def begin(
        self, execution: Execution, program: Program, adopted: Callable[[Live], None] | None = None
    ) -> None:
        """Start an execution. Returns once that is durable, which the start of a synchronous
        Express execution never is. adopted: called before it begins.
        """
        durable = asyncio.get_running_loop().create_future()
        live = self.adopt(execution, program)
        if adopted is not None:
            adopted(live)
        self.submit(live, Start(accept=execution.express), durable)
        await durable

    def submit(self, live: Live, event: Event, answer: Answer = None) -> None:
        """Decide upon an event now; `answer` is resolved once all that was decided so far is
        durable.
        """
        if not self.life.working or live.broken is not None:
            return resolve(answer, live.broken or self.life.error())
        if live.backlog is not None:
            if type(event) is Stop:
                return self.long_decisions.stop(live, live.backlog, event, answer)
            live.backlog.append((event, answer))
            return None
        now = self.clock.now()
        try:
            decision = decide(
                live.program,
                live.x,
                event,
                now,
                self.limits,
                False,
                self.activities.known,
                self.clock.elapsed,
            )
        except InlineBudgetError:
            if type(event) is Start and not event.accept:
                # its caller need not wait for the evaluation
                return self.submit(live, Start(accept=True), answer)
            self.long_decisions.begin(decide, live, event, now, answer)
        except Exception as error:
            # a bug: park this execution as it is on disk; the others continue
            self.park(live, error, answer)
        else:
            self.accept(live, decision, now, answer, getattr(event, "also", None))
        return None

    def send(self, execution_id: int, event: Event) -> None:
        """submit() for an execution that may have left memory."""
        if not self.life.working:
            return
        live = self.live.get(execution_id)
        if live is not None:
            self.submit(live, event)
        else:
            self.life.spawn(self._load_and_submit(execution_id, event))

    async def _load_and_submit(self, execution_id: int, event: Event) -> None:
        with suppress(ExecutionParkedError):
            live = await self.load(execution_id)
            if live is not None:
                self.submit(live, event)

    async def _load_all_and_submit(self, execution_ids: Sequence[int], event: Event) -> None:
        await self.executions.load_all(execution_ids)
        for each in execution_ids:
            live = self.live.get(each)
            if live is not None:
                self.submit(live, event)

    def park(self, live: Live, error: Exception, answer: Answer) -> None:
        live.broken = self.parking.park(live.x.id, error, live.x.arn)
        live.refuse(live.broken, answer)

    def close_parked(self, live: Live, decision: Decision, answer: asyncio.Future[None]) -> None:
        """The end of a parked execution, which nothing else can be submitted to."""
        self.check()
        self.accept(live, decision, self.clock.now(), answer)

    def _lose(self, refused: Mapping[int, StoreError], batch: deque[Entry]) -> None:
        """Park the executions whose units could not be encoded, as they are on disk: nothing that
        was decided after that is stored.
        """
        for execution_id, error in refused.items():
            lost = next(
                entry.live
                for entry in batch
                if entry.live is not None and entry.live.x.id == execution_id
            )
            lost.broken = self.parking.park(execution_id, error, lost.x.arn)
            for entry in (*batch, *self.writer.queue.remove(lost)):
                if entry.live is lost:
                    resolve(entry.answer, lost.broken)
            others = [entry for entry in batch if entry.live is not lost]
            batch.clear()
            batch.extend(others)
            self.timers.drop(execution_id)
            lost.pending, lost.backlog = 0, None
            self._close(lost)

    # --- decisions --------------------------------------------------------------------------------

    def accept(
        self,
        live: Live,
        decision: Decision,
        now: int,
        answer: Answer,
        also: Also = None,
    ) -> None:
        created = not live.x.events
        self.counts.transitions += decision.execution.transitions - live.x.transitions
        live.x = decision.execution
        if not (decision.history or decision.touched or decision.commands):
            if answer is not None and live.pending > live.passing:
                live.pending += 1
                # the event changed nothing, but the state that it found is not durable yet
                self.writer.append(Entry(live, None, [], answer))
            else:
                resolve(answer)
                self.settle(live)
            return
        if decision.commands:
            decision = self._reserve(decision)
            live.x = decision.execution
        x = decision.execution
        dropped, passing = _express(x, created) if live.ephemeral else (False, False)
        size = 0 if passing else decision.size
        # the end of a parked execution may be decided without its program
        searched = live.program is not None and (created or x.stopped is not None)
        unit = Unit(
            x,
            decision.first,
            decision.history,
            now,
            created,
            dropped,
            decision.map_runs,
            NO_WRITES,
            passing,
            size,
            decision.rows,
            attributes(x, live.program.search, created, self.renamed) if searched else (),
        )
        live.pending += 1
        live.more = live.more or decision.more
        commands: Sequence[Following] = decision.commands
        with_it = self.also_store(unit)
        if also is not None or with_it is not None:
            dones = [done for done in (also, with_it) if done is not None]
            unit = unit._replace(
                writes={key: data for done in dones for key, data in done.writes.items()}
            )
            commands = [*commands, *dones]
        if live.ephemeral:
            self._accept_express(live, unit, commands, answer)
        else:
            self.writer.append(Entry(live, unit, commands, answer))
            self._continue(live)

    def _reserve(self, decision: Decision) -> Decision:
        """Reserve slots for the tasks that it starts; the others wait, and their time limits do not
        begin.
        """
        late: set[tuple[int, int]] | None = None
        for command in decision.commands:
            if (
                type(command) is RunTask
                and command.resource.kind != "activity"
                and not self.effects.reserve(command)
            ):
                late = late or set()
                late.add((command.frame, command.seq))
        return hold(decision, late) if late else decision

    def _accept_express(
        self, live: Live, unit: Unit, commands: Sequence[Following], answer: Answer
    ) -> None:
        """Publish a unit without a commit if it stores nothing and none before it waits for one."""
        if unit.stored or live.pending > live.passing + 1:  # more than this unit is on its way
            self.writer.append(Entry(live, unit, commands, answer))
        else:
            live.passing += 1
            self._soon(self._pass, live, unit, commands, answer)
        if unit.passing or unit.dropped:  # else it continues once its start is durable
            self._continue(live)

    def _pass(self, live: Live, unit: Unit, commands: Sequence[Following], answer: Answer) -> None:
        live.passing -= 1
        self._publish(live, unit, commands, answer)

    def _continue(self, live: Live) -> None:
        """Begin the next unit of an execution that used up its budget: not far ahead of the disk,
        and after others have had their turn.
        """
        if live.more and live.pending < self.limits.units_ahead:
            live.more = False
            self._soon(self.submit, live, Continue())

    def _publish(
        self,
        live: Live | None,
        unit: Unit | Writes | None,
        commands: Sequence[Following],
        answer: Answer,
    ) -> None:
        """The unit is durable: start its effects, answer its caller, notify its watchers and its
        parent.
        """
        if live is None or isinstance(unit, Writes):
            for command in commands:
                self.commands.notify(command)
            return resolve(answer)
        live.pending -= 1
        self._continue(live)
        if unit is not None:
            for command in commands:
                self.commands.carry_out(live, command)
            if live.kept is not None:
                live.keep(unit, self.limits.express_events)
            self.on_commit(live, unit)
            x = unit.execution
            self.counts.started += unit.created
            if x.status != model.RUNNING:
                self.counts.ended[x.status] += 1
                if x.parent is not None:
                    self.child_reports.add(x)
        resolve(answer)
        self.settle(live)

    def settle(self, live: Live) -> None:
        """Set the alarm for its next deadline, or let the execution leave memory."""
        x = live.x
        if x.status != model.RUNNING:
            self.timers.drop(x.id)
            self._close(live)
            return
        at = x.wake_at()
        near = at is not None and at <= self.clock.now() + self.limits.timer_window_seconds * 1000
        busy = (
            live.pending
            or live.effects
            or live.ephemeral
            or live.backlog is not None
            or x.parent
            or live.broken
        )
        if not (near or busy or x.wake() == 0):
            self.executions.sleep(x)
        elif near and at is not None:
            self.timers.set(at, x.id)

    def _close(self, live: Live) -> None:
        """It has closed: cancel its effects, and let it leave memory once all of it is stored."""
        for effect in live.effects.values():
            effect.cancel()  # of a task that ended otherwise, by its token
        if not live.pending and live.backlog is None:
            self.executions.leave(live.x)

    # --- reports of the parts: looked up late, since submit and on_failure may be replaced --------

    def _report(self, live: Live, event: Event, answer: Answer) -> None:
        self.submit(live, event, answer)

    def _parked(self, error: ExecutionParkedError, execution_id: int) -> None:
        self.on_failure(error, execution_id)

    def _start_child(self, parent: Live, command: StartChild) -> None:
        self.start_child(parent, command)

    def _store_failed(self, error: StoreError) -> None:
        if not self.life.closing:  # else the error is that the engine is closed
            self.fail(error)

    def _effect_ended(self, live: Live) -> None:
        # while units are pending, the next commit settles it
        if self.life.working and not live.effects and not live.pending:
            self.settle(live)
