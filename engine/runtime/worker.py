"""The worker: inputs -> decide -> one commit for many -> only then effects and answers.

    submit(execution, event) --decide--> Unit --queue--> writer: store.commit(up to batch_units) -->
    publish: start effects, answer callers

Memory may be ahead of the disk between decide and commit, so nothing of a unit may be seen outside
before its commit, and after a failed commit everything in memory is dropped (crash-only): `failed`
is set, every waiter gets the error, and a new worker recovers from the disk.

An execution is in memory while it has work or effects in flight; sleepers beyond the timer window
and callbacks are on disk only.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

from stepwell.asl.evaluation import InlineBudgetError
from stepwell.asl.meter import EvaluationCancelledError, Patience
from stepwell.asl.program import Program
from stepwell.engine import messages
from stepwell.engine.clock import Alarm, Clock
from stepwell.engine.core import model
from stepwell.engine.core.decide import decide, hold, recover
from stepwell.engine.core.events import (
    CancelTask,
    ChildClosed,
    Command,
    Continue,
    Decision,
    Event,
    RunTask,
    Start,
    StartChild,
    Stop,
    Tick,
)
from stepwell.engine.core.model import Execution, copy_execution
from stepwell.engine.errors import ApiError, EngineError, ExecutionParked, StoreError
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.once import Once
from stepwell.engine.operations import shapes
from stepwell.engine.runtime.activity_queues import Activities
from stepwell.engine.runtime.commit_queue import CommitQueue, Entry
from stepwell.engine.runtime.counters import Counts
from stepwell.engine.runtime.effects import Attempts
from stepwell.engine.runtime.live import Backlog, Effects, Live
from stepwell.engine.runtime.orphans import end_orphans
from stepwell.engine.runtime.parking import Parking
from stepwell.engine.runtime.timers import Timers
from stepwell.engine.store.base import NO_WRITES, Store, StoreFormat, Unit, Writes
from stepwell.engine.tasks import Tasks, Transaction
from stepwell.engine.turns import Room

log: Final = logging.getLogger("stepwell.worker")


def _resolve(answer: asyncio.Future[None] | None, error: BaseException | None = None) -> None:
    """Let the caller go on, if there is one and he still waits."""
    if answer is None or answer.done():
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)


def _express(x: Execution, created: bool) -> tuple[bool, bool]:
    """(dropped, passing) of a unit of an Express execution.

    Of an asynchronous one the start is stored, until it has ended: what was accepted begins again
    after a crash.
    """
    if x.extras.get("sync"):
        return False, True
    dropped = not created and x.status != model.RUNNING
    return dropped, not (created or dropped)


class Worker:
    """Drives every execution of one store. One event loop, one writer, no polling.

    tasks       resolves a Task's resource to its handler
    programs    definition id -> Program (awaitable, cached)
    activities  what exists of them, and the queues of their tasks
    start_child awaited after the commit with every child of a Map Run that is to be started
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        tasks: Tasks,
        programs: Callable[[int], Any],
        activities: Activities,
        start_child: Callable[[Execution, StartChild, Program], Any],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.store, self.clock, self.tasks, self.programs, self.limits = (
            store,
            clock,
            tasks,
            programs,
            limits,
        )
        self.activities, self.start_child = activities, start_child
        self.live: dict[int, Live] = {}
        self.failed: BaseException | None = None
        self.counts = Counts()
        self._closing = False
        self._callers = 0  # that wait for room
        self._patience = asyncio.Semaphore(limits.patient_decisions)
        self.tells: Callable[[Unit], Transaction[None] | None] = lambda unit: (
            None
        )  # what is to be stored with a unit for others
        self.parking = Parking(self)
        self.on_commit: Callable[[Live, Unit], None] = lambda live, unit: None
        self.on_failure: Callable[[BaseException, int | None], None] = lambda error, execution_id: (
            None
        )
        self._queue = CommitQueue()
        self._wake_writer = asyncio.Event()
        self._room = Room(lambda: limits.queue_units - self._queue.count)
        self._writer: asyncio.Task[None] | None = None
        self._stored = Once(self._load)
        self._background: set[asyncio.Task[Any]] = set()
        self.timers = Timers(
            clock, limits, self._due, lambda: limits.queue_units - len(self._queue) - self._feeding
        )
        self._to_start: deque[tuple[Live, StartChild]] = deque()
        self._starting = 0
        self._feeding = 0  # sleepers that are due and being loaded
        self._window_alarm: Alarm | None = None
        attempts = Attempts(tasks, self._report, self._store_failed)
        self.effects = Effects(
            limits.effects_in_flight, attempts.run, attempts.begun, self._effect_ended
        )
        self._children: dict[
            tuple[int, int, int], dict[int, Live]
        ] = {}  # (parent, frame, seq) of a Map Run -> its children in memory

    # --- life -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover, then serve. Nothing may be submitted before this returns: ids would be
        reused.
        """
        self.clock.raise_to(await self.store.clock())
        self._writer = asyncio.create_task(self._write(), name="stepwell-writer")
        self._writer.add_done_callback(self._writer_died)
        await self.parking.open()
        after = 0
        while page := await self.store.in_flight(after, limit=self.limits.recovery_page):
            for execution_id in page:
                with suppress(ExecutionParked):
                    await self.load(execution_id)
            after = page[-1]
        for live in sorted(
            self.live.values(), key=lambda live: live.x.queued
        ):  # whose tasks had begun has slots first
            self._resume(live)
            await asyncio.sleep(0)
        await self._scan_window()
        self._spawn(end_orphans(self))

    def _resume(self, live: Live) -> None:
        """Carry out again what an earlier process may not have carried out."""
        try:
            commands = recover(live.program, live.x)
        except Exception as error:
            return self._park(live, error, None)
        for command in commands:
            if isinstance(command, RunTask):
                command = command._replace(queued=True)  # nothing was reserved for it
            elif isinstance(command, StartChild):
                command = command._replace(again=True)
            self._carry_out(live, command)
        if any(frame.phase == model.Phase.RUN for frame in live.x.frames.values()):
            self.submit(live, Continue())
        else:
            self.settle(live)  # its time limits

    async def close(self) -> None:
        """Commit what is decided, cancel the effects (their intent is durable), and stop."""
        self._closing = True  # from here on nothing starts: no effect, no child, no alarm
        self.timers.close()
        if self._window_alarm is not None:
            self._window_alarm.cancel()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self.effects.stop(), *self._background, return_exceptions=True)
        if self._writer is not None:
            self._wake_writer.set()
            if not (await asyncio.wait((self._writer,), timeout=self.limits.closing_seconds))[0]:
                self.store.give_up()
            await asyncio.gather(self._writer, return_exceptions=True)
        self.live.clear()
        self.on_failure(self._failure(), None)

    def _writer_died(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None or not self._closing:
            self.fail(
                (None if task.cancelled() else task.exception()) or EngineError("the writer ended")
            )

    def fail(self, error: BaseException) -> None:
        """Crash-only: memory is ahead of the disk, so nothing here may be used any more."""
        if self.failed is not None:
            return
        self.failed = error
        log.critical("the store failed, the worker stops: %s", error)
        for entry in self._queue:
            _resolve(entry.answer, self._failure())
        self._queue.clear()
        self.effects.stop()
        self._room.open()
        self.on_failure(self._failure(), None)

    def _failure(self) -> StoreError:
        if self.failed is None:
            return StoreError("the engine is closed")
        return StoreError(f"the store failed: {self.failed}; open it again to recover")

    def check(self) -> None:
        if self.failed is not None or self._closing:
            raise self._failure()

    # --- inputs -----------------------------------------------------------------------------------

    def adopt(self, execution: Execution, program: Program) -> Live:
        """A new execution, not yet decided upon."""
        live = self.live[execution.id] = Live(execution, program)
        if execution.parent is not None:
            self._children.setdefault(execution.parent[:3], {})[execution.id] = live
        return live

    def awaited(self, parent: tuple[int, int, int, int], round: object) -> bool:
        """Whether this round of the Map Run that a child belongs to still goes on. (A parent with a
        Map Run never leaves memory.)
        """
        return (
            self.awaits(*parent[:3])
            and self.live[parent[0]].x.frames[parent[1]].extra.round == round
        )

    def awaits(self, execution_id: int, frame_id: int, seq: int) -> bool:
        """Whether a Map Run goes on."""
        live = self.live.get(execution_id)
        frame = None if live is None else live.x.frames.get(frame_id)
        return frame is not None and frame.seq == seq and frame.extra is not None

    async def load(self, execution_id: int) -> Live | None:
        """The execution in memory, from the disk if need be; None if it is closed for good or
        unknown. Raises ExecutionParked.

        One that may be redriven comes as it is closed: submit() something or settle() it, so that
        it leaves memory again.
        """
        while (live := self.live.get(execution_id)) is None:
            self.parking.check(execution_id)
            if await self._stored(execution_id) is None:
                return None
        # looked up again: others who waited for the load may have seen it leave memory already
        return live

    async def _load(self, execution_id: int) -> Live | None:
        try:
            loaded = await self.store.load(execution_id)
            if loaded is None:
                return None
            program = await self.programs(loaded.definition)
            apart = loaded.frames > self.limits.decode_inline_frames
            x = await asyncio.to_thread(loaded.decode, program) if apart else loaded.decode(program)
            if x.express and x.deadline is not None:
                x.deadline += self.clock.now() - x.started  # it begins again, with all of its time
            live = self.adopt(x, program)
        except Exception as error:
            if isinstance(error, StoreError) and not isinstance(error, StoreFormat):
                raise
            raise self.parking.park(execution_id, error) from error
        self.parking.goes_on(execution_id)
        x = live.x
        orphan = (
            x.parent is not None
            and x.parent[0] not in self.parking.found
            and not self.awaited(x.parent, x.extras.get("round", 0))
        )
        if x.status == model.RUNNING and orphan:
            self.submit(
                live, Stop(None, None)
            )  # a crash came between the end of the Map Run and that of its children
        return live

    async def room(self, owner: str = "") -> None:
        """Back-pressure: wait until the writer has caught up. Owners, which are state machines,
        take turns.
        """
        self.check()
        if self._room.full():
            await self._room.enter(owner)
            self.check()

    async def admit(self, owner: str) -> None:
        """room() for a caller from outside. When many wait already, he is told to come back later:
        ThrottlingException.
        """
        self.check()
        if not self._room.full():
            return
        if self._callers >= self.limits.queue_callers:
            raise ApiError("ThrottlingException", messages.THROTTLED)
        self._callers += 1
        try:
            await self.room(owner)
        finally:
            self._callers -= 1

    @property
    def queued(self) -> int:
        """Units that are decided and not yet on their way to the disk."""
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """Effects that run, and those that wait for their turn."""
        return len(self.effects)

    async def write(
        self, writes: Mapping[str, bytes | None], then: Callable[[], None] | None = None
    ) -> None:
        """Store records, in one transaction; durable when it returns, and in order with all that
        was decided before. See Records.
        """
        await self.room()
        durable = asyncio.get_running_loop().create_future()
        self._queue.append(
            Entry(
                None,
                Writes(writes, self.clock.now()),
                [] if then is None else [Transaction(None, writes, then)],
                durable,
            )
        )
        self._wake_writer.set()
        await durable

    def submit(self, live: Live, event: Event, answer: asyncio.Future[None] | None = None) -> None:
        """Decide upon an event now; `answer` is resolved once all that was decided so far is
        durable.
        """
        if self.failed is not None or self._closing or live.broken is not None:
            return _resolve(answer, live.broken or self._failure())
        if live.backlog is not None:
            if type(event) is Stop:
                return self._stop(live, live.backlog, event, answer)
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
            if (
                type(event) is Start and not event.accept
            ):  # who starts it need not wait for the evaluation
                return self.submit(live, Start(accept=True), answer)
            live.backlog, live.patience = deque([(event, answer)]), Patience()
            self._spawn(self._decide_patiently(live, live.patience, event, now))
        except Exception as error:
            # a bug of ours: park this execution as it is on disk, and go on with the others
            self._park(live, error, answer)
        else:
            self._accept(live, decision, now, answer, getattr(event, "also", None))
        return None

    def _stop(
        self, live: Live, waiting: Backlog, event: Stop, answer: asyncio.Future[None] | None
    ) -> None:
        """Stop an execution whose evaluation goes on in a thread: the stop waits for nothing, and
        the rest finds the execution closed.
        """
        assert live.patience is not None
        live.patience.given_up = True
        live.backlog = live.patience = None
        self.submit(live, event, answer)
        for each in waiting:
            self.submit(live, *each)

    def send(self, execution_id: int, event: Event) -> None:
        """submit() for an execution that may have left memory."""
        if self.failed is not None or self._closing:
            return
        live = self.live.get(execution_id)
        if live is not None:
            self.submit(live, event)
        else:
            self._spawn(self._load_and_submit(execution_id, event))

    async def _load_and_submit(self, execution_id: int, event: Event) -> None:
        with suppress(ExecutionParked):
            live = await self.load(execution_id)
            if live is not None:
                self.submit(live, event)

    async def _decide_patiently(
        self, live: Live, patience: Patience, event: Event, now: int
    ) -> None:
        """A long evaluation: the same pure decision in a thread, with the larger budgets. Its event
        is the first of the backlog.
        """
        x = copy_execution(live.x)
        x.index = None  # the thread builds its own: that of the value in memory is the event loop's
        known = frozenset(self.activities.known)
        try:
            async with self._patience:
                if patience.given_up:
                    return
                decision = await asyncio.to_thread(
                    decide,
                    live.program,
                    x,
                    event,
                    now,
                    self.limits,
                    patience,
                    known,
                    self.clock.elapsed,
                )
            if patience.given_up:
                return  # it was stopped meanwhile
            self.check()
        except asyncio.CancelledError:  # the worker is closing
            patience.given_up = True
            self._refuse(live, self._failure(), None)
            raise
        except EvaluationCancelledError:
            return
        except StoreError as error:
            self._refuse(live, error, None)
            return
        except Exception as error:
            if not patience.given_up:
                self._park(live, error, None)
            return
        backlog, live.backlog, live.patience = live.backlog or deque(), None, None
        _, answer = backlog.popleft()
        self._accept(live, decision, now, answer, getattr(event, "also", None))
        for waiting in backlog:
            self.submit(live, *waiting)

    def _park(self, live: Live, error: Exception, answer: asyncio.Future[None] | None) -> None:
        live.broken = self.parking.park(live.x.id, error, live.x.arn)
        self._refuse(live, live.broken, answer)

    def close_parked(self, live: Live, decision: Decision, answer: asyncio.Future[None]) -> None:
        """The end of a parked execution, which nothing else can be submitted to."""
        self.check()
        self._accept(live, decision, self.clock.now(), answer)

    def _lose(self, refused: Mapping[int, StoreError], batch: deque[Entry]) -> None:
        """What could not be encoded, and all that was decided after it, is not stored: parked as
        they are on the disk.
        """
        for execution_id, error in refused.items():
            lost = next(
                entry.live
                for entry in batch
                if entry.live is not None and entry.live.x.id == execution_id
            )
            lost.broken = self.parking.park(execution_id, error, lost.x.arn)
            for entry in (*batch, *self._queue.remove(lost)):
                if entry.live is lost:
                    _resolve(entry.answer, lost.broken)
            others = [entry for entry in batch if entry.live is not lost]
            batch.clear()
            batch.extend(others)
            self.timers.drop(execution_id)
            lost.pending, lost.backlog = 0, None
            self._let_go(lost)

    def _refuse(
        self, live: Live, error: BaseException, answer: asyncio.Future[None] | None
    ) -> None:
        """Tell all who wait for a decision that it will not come."""
        for each in (answer, *(waiting for _, waiting in live.backlog or ())):
            _resolve(each, error)

    def _accept(
        self,
        live: Live,
        decision: Decision,
        now: int,
        answer: asyncio.Future[None] | None,
        also: Transaction[Any] | None = None,
    ) -> None:
        created = not live.x.events
        self.counts.transitions += decision.execution.transitions - live.x.transitions
        live.x = decision.execution
        if not (decision.history or decision.touched or decision.commands):
            if answer is not None and live.pending > live.passing:
                live.pending += 1
                self._queue.append(
                    Entry(live, None, [], answer)
                )  # what the event found already done is not durable yet
                self._wake_writer.set()
            else:
                _resolve(answer)
                self.settle(live)
            return
        if decision.commands:
            decision = self._reserve(decision)
            live.x = decision.execution
        x = decision.execution
        dropped, passing = _express(x, created) if live.ephemeral else (False, False)
        size = 0 if passing else decision.size
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
        )
        live.pending += 1
        live.more = live.more or decision.more
        commands: Sequence[Command | Transaction[Any]] = decision.commands
        told = self.tells(unit)
        if also is not None or told is not None:
            dones = [done for done in (also, told) if done is not None]
            unit = unit._replace(
                writes={key: data for done in dones for key, data in done.writes.items()}
            )
            commands = [*commands, *dones]
        if live.ephemeral:
            self._accept_express(live, unit, commands, answer)
        else:
            self._queue.append(Entry(live, unit, commands, answer))
            self._wake_writer.set()
            self._go_on(live)

    def _reserve(self, decision: Decision) -> Decision:
        """Slots for the tasks that it starts; those that get none wait, and their time limits with
        them.
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
        self,
        live: Live,
        unit: Unit,
        commands: Sequence[Command | Transaction[Any]],
        answer: asyncio.Future[None] | None,
    ) -> None:
        """What has nothing to be stored, and follows nothing that waits for a commit, is published
        without one.
        """
        if unit.stored or live.pending > live.passing + 1:  # more than this unit is on its way
            self._queue.append(Entry(live, unit, commands, answer))
            self._wake_writer.set()
        else:
            live.passing += 1
            asyncio.get_running_loop().call_soon(self._pass, live, unit, commands, answer)
        if unit.passing or unit.dropped:  # else it goes on once its start is durable
            self._go_on(live)

    def _pass(
        self,
        live: Live,
        unit: Unit,
        commands: Sequence[Command | Transaction[Any]],
        answer: asyncio.Future[None] | None,
    ) -> None:
        live.passing -= 1
        self._publish(live, unit, commands, answer)

    def _go_on(self, live: Live) -> None:
        """The next unit of an execution that used up its budget: not far ahead of the disk, and
        after others have had their turn.
        """
        if live.more and live.pending < self.limits.units_ahead:
            live.more = False
            asyncio.get_running_loop().call_soon(self.submit, live, Continue())

    # --- the writer -------------------------------------------------------------------------------

    async def _write(self) -> None:
        queue, most, size, clock = (
            self._queue,
            self.limits.batch_units,
            self.limits.batch_bytes,
            asyncio.get_running_loop().time,
        )
        while True:
            if not queue.count:
                if self._closing:
                    return
                self._wake_writer.clear()
                await self._wake_writer.wait()
            batch = deque(queue.take(most, size))
            try:
                units = [unit for _, unit, _, _ in batch if unit is not None and unit.stored]
                if units:
                    began = clock()
                    refused = await self.store.commit(units)
                    if refused:
                        self._lose(refused, batch)
                    self.counts.committed(len(units), clock() - began)
                while batch:
                    self._publish(*batch.popleft())
            except BaseException as error:
                self.fail(error)
                for entry in batch:
                    _resolve(entry.answer, self._failure())
                raise
            self._room.set()
            self.timers.feed()

    def _publish(
        self,
        live: Live | None,
        unit: Unit | Writes | None,
        commands: Sequence[Command | Transaction[Any]],
        answer: asyncio.Future[None] | None,
    ) -> None:
        """The unit is durable: start its effects, answer its caller, tell its watchers and its
        parent.
        """
        if live is None or isinstance(unit, Writes):
            for command in commands:
                self._then(command)
            return _resolve(answer)
        live.pending -= 1
        self._go_on(live)
        if unit is not None:
            for command in commands:
                self._carry_out(live, command)
            if live.kept is not None:
                live.keep(unit, self.limits.express_events)
            self.on_commit(live, unit)
            x = unit.execution
            self.counts.started += unit.created
            if x.status != model.RUNNING:
                self.counts.ended[x.status] += 1
                if x.parent is not None:
                    parent, frame, seq, index = x.parent
                    round = cast(int, x.extras.get("round", 0))
                    self.send(
                        parent,
                        ChildClosed(frame, seq, index, x.status, shapes.result_of_child(x), round),
                    )
        _resolve(answer)
        self.settle(live)

    def settle(self, live: Live) -> None:
        """Set the alarm for what comes next, or let the execution leave memory."""
        x = live.x
        if x.status != model.RUNNING:
            self.timers.drop(x.id)
            self._let_go(live)
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
            if self.live.pop(x.id, None) is not None:
                self.store.forget(x.id)  # the window scan, a callback or a call brings it back
        elif near and at is not None:
            self.timers.set(at, x.id)

    def _let_go(self, live: Live) -> None:
        """It has closed: nothing works for it any more, and it leaves memory once all of it is
        stored.
        """
        for effect in live.effects.values():
            effect.cancel()  # of a task that ended otherwise, by its token
        if not live.pending and live.backlog is None:
            self._leave(live)

    def _leave(self, live: Live) -> None:
        x = live.x
        if self.live.pop(x.id, None) is None:
            return
        self.store.forget(x.id)
        if x.parent is not None:
            children = self._children[x.parent[:3]]
            del children[x.id]
            if not children:
                del self._children[x.parent[:3]]

    # --- effects ----------------------------------------------------------------------------------

    def _carry_out(self, live: Live, command: Command | Transaction[Any]) -> None:
        if self.failed is not None or self._closing:
            return  # its intent is durable: the next process carries it out
        if isinstance(command, RunTask):
            if command.resource.kind == "activity":
                self.activities.offer(live.x, command)
            else:
                self.effects.start(live, command)
        elif isinstance(command, StartChild):
            self._to_start.append((live, command))
            self._start_children()
        elif isinstance(command, CancelTask):
            self._cancel(live, command)
        else:
            self._then(command)

    def _start_children(self) -> None:
        """Some at a time: a Map Run may start 10,000 at once."""
        while (
            self._to_start
            and self._starting < self.limits.child_starts
            and not self._closing
            and self.failed is None
        ):
            self._starting += 1
            self._spawn(self._start_one(*self._to_start.popleft()))

    async def _start_one(self, live: Live, command: StartChild) -> None:
        try:
            await self.start_child(live.x, command, live.program)
        finally:
            self._starting -= 1
            self._start_children()

    def _then(self, command: Command | Transaction[Any]) -> None:
        """Tell a service that its records are durable; a fault of its own is the loop's to
        report.
        """
        if isinstance(command, Transaction):
            asyncio.get_running_loop().call_soon(command.then)

    def _cancel(self, live: Live, command: CancelTask) -> None:
        effect = live.effects.get((command.frame, command.seq))
        if effect is not None:
            effect.cancel()
        self.activities.withdraw(live.x.id, command)
        for child in list(self._children.get((live.x.id, command.frame, command.seq), {}).values()):
            self.submit(child, Stop(None, None))

    def _report(self, live: Live, event: Event, answer: asyncio.Future[None] | None) -> None:
        self.submit(
            live, event, answer
        )  # looked up late: the simulation puts a worse one in its place

    def _store_failed(self, error: StoreError) -> None:
        if not self._closing:  # else it is told that the engine is closed
            self.fail(error)

    def _effect_ended(self, live: Live) -> None:
        if (
            self.failed is None and not self._closing and not live.effects and not live.pending
        ):  # else the next commit settles it
            self.settle(live)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if task.cancelled() or self._closing or (error := task.exception()) is None:
            return
        if not isinstance(error, ExecutionParked):  # which has been told
            self.fail(error)

    # --- timers -----------------------------------------------------------------------------------

    def _due(self, execution_id: int) -> None:
        live = self.live.get(execution_id)
        if live is None:
            self._feeding += 1
            self._spawn(self._wake_up(execution_id))
            return
        wake = live.x.wake_at()
        if wake is not None and wake <= self.clock.now():
            self.submit(live, Tick())
        else:
            self.settle(live)

    async def _wake_up(self, execution_id: int) -> None:
        try:
            await self._load_and_submit(execution_id, Tick())
        finally:
            self._feeding -= 1
            self.timers.feed()

    async def _scan_window(self) -> None:
        """Bring the deadlines of the next window into the heap, page by page; then again half a
        window later.
        """
        horizon = self.clock.now() + int(self.limits.timer_window_seconds * 1000)
        for count, known in enumerate(list(self.live.values()), 1):
            if self.live.get(known.x.id) is known:
                self.settle(known)
            if not count % self.limits.timer_page:
                await asyncio.sleep(0)
        after: tuple[int, int] = (0, 0)
        while page := await self.store.waking(horizon, after=after, limit=self.limits.timer_page):
            for wake, execution_id in page:
                self.timers.set(wake, execution_id)
            after = page[-1]
        half = int(self.limits.timer_window_seconds * 500)
        self._window_alarm = self.clock.call_at(
            self.clock.now() + half, lambda: self._spawn(self._scan_window())
        )
