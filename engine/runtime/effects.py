"""Effects: attempts of Tasks, from the core's command to the event that reports it, and the slots
that bound how many run at a time. The worker and TestState run tasks through here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Final

from stepwell.asl import json_text
from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine import messages
from stepwell.engine.core import mocked_attempts
from stepwell.engine.core.environment import token
from stepwell.engine.core.events import (
    Event,
    ItemsRead,
    RunTask,
    TaskBegan,
    TaskFailed,
    TaskQueued,
    TaskSubmitted,
    TaskSucceeded,
)
from stepwell.engine.core.model import Execution, Payload
from stepwell.engine.errors import StoreError
from stepwell.engine.fair_queue import FairQueue
from stepwell.engine.observers.trace_context import TraceContext, current_trace
from stepwell.engine.runtime.live import Live
from stepwell.engine.store.blobs import scrub
from stepwell.engine.tasks import (
    Handler,
    MockedAttempt,
    Mocks,
    TaskError,
    TaskRequest,
    TaskResult,
    Tasks,
    Trace,
    Transaction,
    in_line,
    part_key,
)

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


class Pool:
    """The slots of one kind of effect, and the effects that wait for one.

    taken     held by an effect, or reserved for one whose intent is on its way to the disk
    resuming  effects that gave theirs back while they waited: they are served first
    waiting   attempts that have not begun: state machines take turns
    """

    __slots__ = ("most", "taken", "resuming", "waiting")

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0
        self.resuming: deque[asyncio.Future[None]] = deque()
        self.waiting = FairQueue[tuple[Live, RunTask]]()

    def take(self) -> bool:
        """Whether there was a slot."""
        free = self.taken < self.most
        self.taken += free
        return free


class Slot:
    """Held by an effect while it works. It is free while the effect waits, since the work that it
    waits for may need a slot itself.

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
        """Hold no slot inside. An error of the body is raised without one: only cleanup follows."""
        self.give_back()
        yield
        if not self.pool.take():
            turn = asyncio.get_running_loop().create_future()
            self.pool.resuming.append(turn)
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
        # also those of executions that have closed since
        self.running: set[asyncio.Task[None]] = set()
        self.pools: dict[str, Pool] = {}
        self._pool_of: dict[str, Pool] = {}  # service of a Resource -> its pool
        self._closed = False

    def __len__(self) -> int:
        return len(self.running) + sum(len(pool.waiting) for pool in self.pools.values())

    @property
    def working(self) -> bool:
        """Whether one runs that does not wait for other work, or is about to begin."""
        return any(pool.taken for pool in self.pools.values())

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
        """False: the attempt was over before it began."""
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
        """Hand a free slot to the next effect that resumes, or else begins."""
        pool.taken -= 1
        while not self._closed and (pool.resuming or pool.waiting.count) and pool.take():
            if pool.resuming:
                turn = pool.resuming.popleft()
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


_SCALARS: Final = (str, int, float, bool, type(None))


def _text(error: BaseException) -> str:
    """The text of an error; its type if str() fails."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__


def failure(error: BaseException) -> TaskError:
    """The failure of a task whose handler has a fault of its own: Retry and Catch see it."""
    return TaskError(type(error).__name__, _text(error))


def checked(result: Json) -> Payload:
    """The result of a handler, if it is JSON: a value that only becomes JSON when it is encoded (a
    tuple, a number as a key) would be another one after a crash.

    Raises TypeError, JsonError.
    """
    if isinstance(result, Payload):  # made of a text by its handler, off the event loop
        return result
    data, level = json_text.encode(result), [result]  # which ends, so that there is no cycle
    if json_text.loads(data) == result:
        return Payload(result, data)
    while level:
        below: list[Json] = []
        for each in level:
            kind = type(each)
            if kind is dict:
                for key in each:
                    if type(key) is not str:
                        raise TypeError(
                            messages.KEY_NOT_TEXT.format(key=key, kind=type(key).__name__)
                        )
                below += each.values()
            elif kind is list:
                below += each
            elif kind not in _SCALARS:
                raise TypeError(messages.NOT_JSON.format(kind=kind.__name__))
        level = below
    return Payload(result, data)


# --- test cases -----------------------------------------------------------------------------------


def mocked(tasks: Tasks, x: Execution, command: RunTask) -> bool:
    """Whether the test case of an execution answers a task."""
    case = x.extras.get("case")
    if case is None:
        return False
    return tasks.mocks is None or tasks.mocks.covers(_machine(x), case, command.state.name)


def _machine(x: Execution) -> str:
    """The name of the state machine, also of a child of a Map Run: MACHINE/LABEL."""
    return x.machine_name.partition("/")[0]


def _with_case(tasks: Tasks, x: Execution, command: RunTask) -> Handler | None:
    """The handler of a task of an execution with a test case. Raises TaskError."""
    mocks, case, frame = tasks.mocks, x.extras["case"], x.frames[command.frame]
    if mocks is None:
        raise TaskError(asl_messages.RUNTIME, messages.NO_MOCKS.format(case=case), runtime=True)
    numbers = frame.running_attempt
    attempt = MockedAttempt(
        *(_machine(x), case, command.state.name, numbers.number),
        *(mocked_attempts.path(x, frame), numbers.iteration_number, sum(frame.retries)),
    )
    if mocks.covers(attempt.machine, case, attempt.state):
        return partial(mocks.answer, attempt)
    handler = tasks.resolve(command.resource)
    return handler and partial(_pass_on, mocks, attempt, handler)


def part_handler(tasks: Tasks, x: Execution, command: RunTask, part: str) -> Handler | None:
    """The handler of an ItemReader or ResultWriter that a test case answers; None: it does not."""
    case, state = x.extras.get("case"), command.state.name
    if case is None or tasks.mocks is None:
        return None
    if not tasks.mocks.covers(_machine(x), case, part_key(state, part)):
        return None
    frame = x.frames[command.frame]
    runs, path = mocked_attempts.map_runs(x, frame), mocked_attempts.path(x, frame)
    attempt = MockedAttempt(*(_machine(x), case, state, runs, path, runs, sum(frame.retries), part))
    return partial(tasks.mocks.answer, attempt)


async def _pass_on(
    mocks: Mocks, attempt: MockedAttempt, handler: Handler, request: TaskRequest
) -> TaskResult:
    return await handler(mocks.passed_on(attempt, request))


# --- attempts -------------------------------------------------------------------------------------


def _handler(tasks: Tasks, x: Execution, command: RunTask) -> Handler:
    """Raises TaskError."""
    with_case = "case" in x.extras
    handler = _with_case(tasks, x, command) if with_case else tasks.resolve(command.resource)
    if handler is None:
        text = messages.NO_SERVICE.format(resource=command.resource.text)
        raise TaskError(asl_messages.RUNTIME, text, runtime=True)
    return handler


async def perform(
    tasks: Tasks,
    x: Execution,
    command: RunTask,
    submitted: Callable[[Json], Awaitable[None]],
    trace: Trace | None = None,
    waiting: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    handler: Handler | None = None,
) -> Event:
    """Run the handler of a Task's resource, or the given one. An error of the handler is the task's
    failure; only StoreError is raised.
    """
    resource, frame, seq = command.resource, command.frame, command.seq
    answered = "case" in x.extras and handler is None and mocked(tasks, x, command)
    try:
        result = await (handler or _handler(tasks, x, command))(
            TaskRequest(  # by position: this takes half as long, once for each attempt
                resource,
                command.payload.value,
                partial(token, x, frame, seq),
                command.timeout,
                command.heartbeat,
                command.again,
                x.arn,
                x.machine_arn,
                command.state.name,
                command.role or x.role_arn,
                submitted,
                trace,
                waiting,
            )
        )
        also = result if type(result) is Transaction else None
        output = checked(also.answer if also else result)
        if answered:
            return TaskSucceeded(frame, seq, output, mocked=True)
        return (TaskSubmitted if resource.callback else TaskSucceeded)(frame, seq, output, also)
    except TaskError as error:
        name, cause = scrub(error.error), scrub(error.cause)
        return TaskFailed(frame, seq, name, cause, error.runtime, answered)
    except (
        KeyboardInterrupt,
        SystemExit,
        GeneratorExit,
    ):  # they end the process, or this task with its loop
        raise
    except StoreError:
        # a service could not read or write: this says nothing of the task, which the next process
        # carries out
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise  # else something inside the handler was cancelled, not the attempt
        fault = failure(error)
        return TaskFailed(frame, seq, fault.error, scrub(fault.cause), mocked=answered)


class Attempts:
    """The attempts of a worker's executions.

    submit   hands an event to the worker (see Worker.submit)
    fail     is called when the store failed
    context  the place of an attempt in its trace; None: nothing is traced
    map_run  makes the handler of a Map Run that reads or writes; the engine sets it
    """

    def __init__(
        self,
        tasks: Tasks,
        submit: Callable[[Live, Event, asyncio.Future[None] | None], None],
        fail: Callable[[StoreError], None],
    ) -> None:
        self._tasks, self._submit, self._fail = tasks, submit, fail
        self.context: Callable[[Execution, RunTask], TraceContext] | None = None
        self.map_run: Callable[[Live, RunTask], Handler]

    def begun(self, live: Live, command: RunTask) -> None:
        """An attempt that had to wait for a slot begins."""
        self._submit(live, TaskBegan(command.frame, command.seq), None)

    async def run(self, live: Live, command: RunTask, slot: Slot) -> None:
        """One attempt of a task, from its intent to the event that reports it."""
        if self.context is not None:
            current_trace.set(self.context(live.x, command))
        if slot.fresh:
            in_line.set(partial(self._in_line, live, command))
        submitted = partial(self._submitted, live, command)
        handler = None if command.state.map is None else self.map_run(live, command)
        try:
            event = await perform(
                self._tasks, live.x, command, submitted, waiting=slot.waiting, handler=handler
            )
        except StoreError as error:
            self._fail(error)
        else:
            if handler is not None and isinstance(event, TaskSucceeded):
                chunk = event.output.value
                event = chunk if isinstance(chunk, ItemsRead) else event
            self._submit(live, event, None)

    @asynccontextmanager
    async def _in_line(self, live: Live, command: RunTask) -> AsyncIterator[None]:
        """While an attempt waits for a scarce resource its time limits stand still, durably; they
        are whole when it begins.

        Only the attempt itself, not an asyncio task that its handler has started. (The attempt is
        looked up: a reference from its own context would be a cycle, which only the garbage
        collector ends.)
        """
        frame, attempt = (
            live.x.frames.get(command.frame),
            live.effects.get((command.frame, command.seq)),
        )
        timed = (
            frame is not None
            and frame.seq == command.seq
            and frame.timed
            and asyncio.current_task() is attempt
        )
        if timed:
            self._submit(live, TaskQueued(command.frame, command.seq), None)
        try:
            yield
        finally:
            if timed:
                self._submit(live, TaskBegan(command.frame, command.seq), None)

    async def _submitted(self, live: Live, command: RunTask, answer: Json) -> None:
        """Record the answer of the call that started a `.sync` job: durable when this returns."""
        done = asyncio.get_running_loop().create_future()
        self._submit(live, TaskSubmitted(command.frame, command.seq, checked(answer)), done)
        await done
