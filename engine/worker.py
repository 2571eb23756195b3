"""The worker: inputs -> decide -> one commit for many -> only then effects and answers.

    submit(execution, event) --decide--> Unit --queue--> writer: store.commit(up to batch_units) --> publish: start effects, answer callers

Memory may be ahead of the disk between decide and commit, so nothing of a unit may be seen outside before its commit, and after a
failed commit everything in memory is dropped (crash-only): `failed` is set, every waiter gets the error, and a new worker recovers
from the disk.

An execution is in memory while it has work or effects in flight; sleepers beyond the timer window and callbacks are on disk only.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from stepwell.asl import jsontext
from stepwell.asl.evaluation import Impatient, Json
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.program import Program
from stepwell.engine.activities import Activities
from stepwell.engine.clock import Alarm, Clock
from stepwell.engine.core import model
from stepwell.engine.core.decide import decide, recover
from stepwell.engine.core.model import (
    CancelTask,
    ChildClosed,
    Command,
    Continue,
    Decision,
    Event,
    Execution,
    Payload,
    RunTask,
    StartChild,
    TaskFailed,
    TaskSubmitted,
    TaskSucceeded,
    Tick,
)
from stepwell.engine.core.states import token
from stepwell.engine.errors import EngineError, StoreError
from stepwell.engine.store.base import Store, Unit
from stepwell.engine.store.codec import scrub
from stepwell.engine.tasks import TaskError, TaskRequest, Tasks
from stepwell.engine.timers import Timers

log: Final = logging.getLogger("stepwell.worker")


def _resolve(answer: asyncio.Future[None] | None, error: BaseException | None = None) -> None:
    """Let the caller go on, if there is one and he still waits."""
    if answer is None or answer.done():
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)


def _text(error: BaseException) -> str:
    """What an error says, if it can say it."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__


class Live:
    """An execution in memory.

    pending   units decided and not yet committed
    effects   (frame, seq) -> the running asyncio task of its effect
    backlog   events that wait for a decision in a thread
    ephemeral the units of an Express execution, which are not stored
    more      frames are ready to run, and Continue has not been sent yet
    """

    __slots__ = ("x", "program", "pending", "effects", "backlog", "broken", "ephemeral", "more")

    def __init__(self, execution: Execution, program: Program) -> None:
        self.x, self.program = execution, program
        self.pending = 0
        self.effects: dict[tuple[int, int], asyncio.Task[None]] = {}
        self.backlog: deque[tuple[Event, asyncio.Future[None] | None]] | None = None
        self.broken: BaseException | None = None
        self.ephemeral: deque[Unit] | None = deque() if execution.express else None
        self.more = False

    def keep(self, unit: Unit, most: int) -> None:
        """Remember the history of an Express execution, the latest `most` events of it."""
        assert self.ephemeral is not None
        self.ephemeral.append(unit)
        while unit.first - self.ephemeral[0].first > most:
            self.ephemeral.popleft()


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
        self.store, self.clock, self.tasks, self.programs, self.limits = store, clock, tasks, programs, limits
        self.activities, self.start_child = activities, start_child
        self.live: dict[int, Live] = {}
        self.failed: BaseException | None = None
        self._closing = False
        self.on_commit: Callable[[Live, Unit], None] = lambda live, unit: None
        self.on_failure: Callable[[BaseException, int | None], None] = lambda error, execution_id: None
        self._queue: deque[tuple[Live, Unit | None, list[Command], asyncio.Future[None] | None]] = deque()
        self._wake_writer = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._writer: asyncio.Task[None] | None = None
        self._loads: dict[int, asyncio.Task[Live | None]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self.timers = Timers(clock, limits, self._due)
        self._window_alarm: Alarm | None = None
        self._effects_waiting: deque[tuple[Live, RunTask]] = deque()
        self._effects: set[asyncio.Task[None]] = set()  # all that run, those of executions that have closed meanwhile, too
        self._children: dict[tuple[int, int, int], dict[int, Live]] = {}  # (parent, frame, seq) of a Map Run -> its children in memory

    # --- life ------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover, then serve. Nothing may be submitted before this returns: ids would be reused."""
        self.clock.raise_to(await self.store.clock())
        self._writer = asyncio.create_task(self._write(), name="stepwell-writer")
        self._writer.add_done_callback(self._writer_died)
        after = 0
        while page := await self.store.in_flight(after, limit=self.limits.recovery_page):
            for execution_id in page:
                await self.load(execution_id)
            after = page[-1]
        for live in list(self.live.values()):
            self._resume(live)
        await self._scan_window()

    def _resume(self, live: Live) -> None:
        """Carry out again what an earlier process may not have carried out."""
        for command in recover(live.program, live.x):
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
        doomed = [*self._effects, *self._background]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
        if self._writer is not None:
            self._wake_writer.set()
            await asyncio.gather(self._writer, return_exceptions=True)
        self.live.clear()
        self.on_failure(self._failure(), None)

    def _writer_died(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None or not self._closing:
            self.fail((None if task.cancelled() else task.exception()) or EngineError("the writer ended"))

    def fail(self, error: BaseException) -> None:
        """Crash-only: memory is ahead of the disk, so nothing here may be used any more."""
        if self.failed is not None:
            return
        self.failed = error
        log.critical("the store failed, the worker stops: %s", error)
        for _, _, _, answer in self._queue:
            _resolve(answer, self._failure())
        self._queue.clear()
        for effect in self._effects:
            effect.cancel()
        self._room.set()
        self.on_failure(self._failure(), None)

    def _failure(self) -> StoreError:
        if self.failed is None:
            return StoreError("the engine is closed")
        return StoreError(f"the store failed: {self.failed}; open it again to recover")

    def check(self) -> None:
        if self.failed is not None or self._closing:
            raise self._failure()

    # --- inputs ------------------------------------------------------------------------------------------------------------

    def adopt(self, execution: Execution, program: Program) -> Live:
        """A new execution, not yet decided upon."""
        live = self.live[execution.id] = Live(execution, program)
        if execution.parent is not None:
            self._children.setdefault(execution.parent[:3], {})[execution.id] = live
        return live

    def awaited(self, parent: tuple[int, int, int, int]) -> bool:
        """Whether the Map Run that a child belongs to still goes on. (A parent with a Map Run never leaves memory.)"""
        live = self.live.get(parent[0])
        frame = None if live is None else live.x.frames.get(parent[1])
        return frame is not None and frame.seq == parent[2]

    async def load(self, execution_id: int) -> Live | None:
        """The execution in memory, from the disk if need be; None if it is closed or unknown."""
        while (live := self.live.get(execution_id)) is None:
            task = self._loads.get(execution_id)
            if task is None:
                task = self._loads[execution_id] = asyncio.create_task(self._load(execution_id))
            if await asyncio.shield(task) is None:
                return None
        return live  # looked up again: others who waited for the load may have seen it leave memory already

    async def _load(self, execution_id: int) -> Live | None:
        try:
            loaded = await self.store.load(execution_id)
            if loaded is None:
                return None
            program = await self.programs(loaded.definition)
            live = self.adopt(loaded.decode(program), program)
        finally:
            del self._loads[execution_id]
        if live.x.parent is not None and not self.awaited(live.x.parent):
            self.submit(live, model.Stop(None, None))  # a crash came between the end of the Map Run and that of its children
        return live

    async def room(self) -> None:
        """Back-pressure: wait until the writer has caught up."""
        self.check()
        while len(self._queue) >= self.limits.queue_units:
            self._room.clear()
            await self._room.wait()
            self.check()

    def submit(self, live: Live, event: Event, answer: asyncio.Future[None] | None = None) -> None:
        """Decide upon an event now; `answer` is resolved once all that was decided so far is durable."""
        if self.failed is not None or self._closing or live.broken is not None:
            _resolve(answer, live.broken or self._failure())
            return
        if live.backlog is not None:
            live.backlog.append((event, answer))
            return
        now = self.clock.now()
        try:
            decision = decide(live.program, live.x, event, now, self.limits, False, self.activities.known)
        except Impatient:
            live.backlog = deque()
            self._spawn(self._decide_patiently(live, event, now, answer))
        except Exception as error:  # a bug of ours: park this execution as it is on disk, and go on with the others
            self._park(live, error, answer)
        else:
            self._accept(live, decision, now, answer)

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
        live = await self.load(execution_id)
        if live is not None:
            self.submit(live, event)

    async def _decide_patiently(self, live: Live, event: Event, now: int, answer: asyncio.Future[None] | None) -> None:
        """A long evaluation: the same pure decision in a thread, with the larger budget."""
        arguments = (live.program, live.x, event, now, self.limits, True, frozenset(self.activities.known))
        try:
            decision = await asyncio.to_thread(decide, *arguments)
            self.check()
        except asyncio.CancelledError:  # the worker is closing
            self._refuse(live, self._failure(), answer)
            raise
        except StoreError as error:
            self._refuse(live, error, answer)
            return
        except Exception as error:
            self._park(live, error, answer)
            return
        backlog, live.backlog = live.backlog or (), None
        self._accept(live, decision, now, answer)
        for waiting in backlog:
            self.submit(live, *waiting)

    def _park(self, live: Live, error: Exception, answer: asyncio.Future[None] | None) -> None:
        log.error("execution %s is parked: deciding failed", live.x.arn, exc_info=error)
        live.broken = EngineError(f"internal error, execution {live.x.arn} is parked: {error!r}")
        live.broken.__cause__ = error
        self._refuse(live, live.broken, answer)
        self.on_failure(live.broken, live.x.id)

    def _refuse(self, live: Live, error: BaseException, answer: asyncio.Future[None] | None) -> None:
        """Tell all who wait for a decision that it will not come."""
        for each in (answer, *(waiting for _, waiting in live.backlog or ())):
            _resolve(each, error)

    def _accept(self, live: Live, decision: Decision, now: int, answer: asyncio.Future[None] | None) -> None:
        created = not live.x.events
        changed = live.x != decision.execution if not decision.history else True
        live.x = decision.execution
        if not changed and not decision.commands:
            if answer is not None and live.pending and live.ephemeral is None:
                live.pending += 1
                self._queue.append((live, None, [], answer))  # what the event found already done is not durable yet
                self._wake_writer.set()
            else:
                _resolve(answer)
                self.settle(live)
            return
        unit = Unit(decision.execution, decision.first, decision.history, now, created)
        live.pending += 1
        if live.ephemeral is not None:  # Express: nothing is stored
            live.keep(unit, self.limits.express_events)
            asyncio.get_running_loop().call_soon(self._publish, live, unit, decision.commands, answer)
        else:
            self._queue.append((live, unit, decision.commands, answer))
            self._wake_writer.set()
        live.more = live.more or decision.more
        self._go_on(live)

    def _go_on(self, live: Live) -> None:
        """The next unit of an execution that used up its budget: not far ahead of the disk, and after others have had their turn."""
        if live.more and live.pending < self.limits.units_ahead:
            live.more = False
            asyncio.get_running_loop().call_soon(self.submit, live, Continue())

    # --- the writer ----------------------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        queue, most = self._queue, self.limits.batch_units
        while True:
            if not queue:
                if self._closing:
                    return
                self._wake_writer.clear()
                await self._wake_writer.wait()
            batch = deque(queue.popleft() for _ in range(min(len(queue), most)))
            try:
                units = [unit for _, unit, _, _ in batch if unit is not None]
                if units:
                    await self.store.commit(units)
                while batch:
                    self._publish(*batch.popleft())
            except BaseException as error:
                queue.extendleft(reversed(batch))
                self.fail(error)
                raise
            if len(queue) < self.limits.queue_units:
                self._room.set()

    def _publish(self, live: Live, unit: Unit | None, commands: list[Command], answer: asyncio.Future[None] | None) -> None:
        """The unit is durable: start its effects, answer its caller, tell its watchers and its parent."""
        live.pending -= 1
        self._go_on(live)
        if unit is not None:
            for command in commands:
                self._carry_out(live, command)
            self.on_commit(live, unit)
            x = unit.execution
            if x.status != model.RUNNING and x.parent is not None:
                parent, frame, seq, index = x.parent
                self.send(parent, ChildClosed(frame, seq, index, x.status, x.output))
        _resolve(answer)
        self.settle(live)

    def settle(self, live: Live) -> None:
        """Set the alarm for what comes next, or let the execution leave memory."""
        x = live.x
        if x.status != model.RUNNING:
            self.timers.drop(x.id)
            for effect in live.effects.values():
                effect.cancel()  # of a task that ended otherwise, by its token
            if not live.pending and self.live.pop(x.id, None) is not None and x.parent is not None:
                children = self._children[x.parent[:3]]
                del children[x.id]
                if not children:
                    del self._children[x.parent[:3]]
            return
        at = x.wake_at()
        near = at is not None and at <= self.clock.now() + self.limits.timer_window_seconds * 1000
        busy = live.pending or live.effects or live.ephemeral is not None or live.backlog is not None or x.parent or live.broken
        if not (near or busy or x.wake() == 0):
            if self.live.pop(x.id, None) is not None:
                self.store.forget(x.id)  # the window scan, a callback or a call brings it back
        elif near and at is not None:
            self.timers.set(at, x.id)

    # --- effects ---------------------------------------------------------------------------------------------------------------

    def _carry_out(self, live: Live, command: Command) -> None:
        if self.failed is not None or self._closing:
            return  # its intent is durable: the next process carries it out
        if isinstance(command, RunTask):
            assert command.state.resource is not None
            if command.state.resource.kind == "activity":
                self.activities.offer(live.x, command)
            elif len(self._effects) < self.limits.effects_in_flight:
                self._start_effect(live, command)
            else:
                self._effects_waiting.append((live, command))
        elif isinstance(command, StartChild):
            self._spawn(self.start_child(live.x, command, live.program))
        else:
            self._cancel(live, command)

    def _cancel(self, live: Live, command: CancelTask) -> None:
        effect = live.effects.get((command.frame, command.seq))
        if effect is not None:
            effect.cancel()
        self.activities.withdraw(live.x.id, command)
        for child in list(self._children.get((live.x.id, command.frame, command.seq), {}).values()):
            self.submit(child, model.Stop(None, None))

    def _start_effect(self, live: Live, command: RunTask) -> None:
        frame = live.x.frames.get(command.frame)
        if frame is None or frame.seq != command.seq:
            return  # given up before it began
        key = (command.frame, command.seq)
        effect = live.effects[key] = asyncio.create_task(self._effect(live, command))
        self._effects.add(effect)
        effect.add_done_callback(lambda _: self._effect_ended(live, key, effect))

    def _effect_ended(self, live: Live, key: tuple[int, int], effect: asyncio.Task[None]) -> None:
        live.effects.pop(key, None)
        self._effects.discard(effect)
        if self.failed is not None or self._closing:
            return
        while self._effects_waiting and len(self._effects) < self.limits.effects_in_flight:
            self._start_effect(*self._effects_waiting.popleft())
        if not live.effects and not live.pending:  # else the next commit settles it
            self.settle(live)

    async def _effect(self, live: Live, command: RunTask) -> None:
        """One attempt of a task, from its intent to the event that reports it."""
        resource = command.state.resource
        assert resource is not None
        frame, seq = command.frame, command.seq

        async def submitted(answer: Json) -> None:
            done = asyncio.get_running_loop().create_future()
            self.submit(live, TaskSubmitted(frame, seq, Payload(answer)), done)
            await done

        event: Event
        try:
            handler = self.tasks.resolve(resource)
            if handler is None:
                raise TaskError("States.Runtime", f"No service here handles the resource {resource.text}.", runtime=True)
            result = await handler(
                TaskRequest(
                    resource,
                    command.payload.value,
                    token(live.x, frame, seq),
                    command.timeout,
                    command.heartbeat,
                    command.again,
                    live.x.arn,
                    live.x.machine_arn,
                    command.state.name,
                    command.role or live.x.role_arn,
                    submitted,
                )
            )
            event = (TaskSubmitted if resource.callback else TaskSucceeded)(frame, seq, Payload(result, jsontext.encode(result)))
        except TaskError as error:
            event = TaskFailed(frame, seq, scrub(error.error), scrub(error.cause), error.runtime)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):  # they end the process, or this task with its loop
            raise
        except BaseException as error:  # a handler's own fault is the task's failure: Retry and Catch see it
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise  # else something inside the handler was cancelled, not the attempt
            event = TaskFailed(frame, seq, type(error).__name__, scrub(_text(error)))
        self.submit(live, event)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._closing:
            self.fail(error)

    # --- timers ------------------------------------------------------------------------------------------------------------------

    def _due(self, execution_id: int) -> None:
        live = self.live.get(execution_id)
        if live is None:
            self.send(execution_id, Tick())
            return
        wake = live.x.wake_at()
        if wake is not None and wake <= self.clock.now():
            self.submit(live, Tick())
        else:
            self.settle(live)

    async def _scan_window(self) -> None:
        """Bring the deadlines of the next window into the heap, page by page; then again half a window later."""
        horizon = self.clock.now() + int(self.limits.timer_window_seconds * 1000)
        for known in list(self.live.values()):
            self.settle(known)
        after: tuple[int, int] = (0, 0)
        while page := await self.store.waking(horizon, after=after, limit=self.limits.timer_page):
            for wake, execution_id in page:
                self.timers.set(wake, execution_id)
            after = page[-1]
        half = int(self.limits.timer_window_seconds * 500)
        self._window_alarm = self.clock.call_at(self.clock.now() + half, lambda: self._spawn(self._scan_window()))
