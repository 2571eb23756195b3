"""The interface between the engine and the integrations of tasks. Services are in integrations/;
the engine knows only these shapes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine.map_runs.datasets import Dataset, Results, StreamRequest


class TaskError(Exception):
    """A task failed: `error` is what Retry and Catch compare, `cause` is shown. Both may be absent.

    runtime True: the task could not even be scheduled (States.Runtime, no TaskFailed event), such
    as a deleted activity.
    """

    def __init__(self, error: str | None, cause: str | None = None, runtime: bool = False) -> None:
        super().__init__(error, cause)
        self.error, self.cause, self.runtime = error, cause, runtime


class Trace:
    """TestState at level TRACE: the request and response of an HTTP task, recorded by its handler.

    request   {protocol, method, url, headers, body}, each a string
    response  {protocol, statusCode, statusMessage, headers, body}, each a string
    reveal    whether the secrets of the connection are shown
    """

    __slots__ = ("reveal", "request", "response")

    def __init__(self, reveal: bool = False) -> None:
        self.reveal = reveal
        self.request: dict[str, str] = {}
        self.response: dict[str, str] = {}


@dataclass(slots=True, eq=False)
class TaskRequest:
    """One attempt of a Task. A handler must not change it.

    payload    the effective input (Parameters or Arguments)
    timeout    seconds or None; heartbeat as well
    again      an earlier process may have sent this already
    submitted  for `.sync`: await it with the answer of the starting call before waiting for the job
    waiting    `async with request.waiting():` around every wait for other work (a nested execution,
               the end of a job): the attempt holds no slot inside, so the other work can get one
    trace      for an HTTP task to fill in; None: no trace is wanted
    """

    resource: Resource
    payload: Json
    new_token: Callable[[], str]
    timeout: int | None
    heartbeat: int | None
    again: bool
    execution_arn: str
    machine_arn: str
    state_name: str
    role_arn: str
    submitted: Callable[[Json], Awaitable[None]]
    trace: Trace | None = None
    waiting: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    _token: str | None = field(default=None, init=False, repr=False)

    @property
    def token(self) -> str:
        """The task token: it names this attempt, and is the same if that is repeated after a
        crash.
        """
        if self._token is None:
            self._token = self.new_token()  # a hash: most attempts never need it
        return self._token


def _nothing() -> None:
    """The default of Transaction.then."""


A_co = TypeVar("A_co", covariant=True)
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Transaction(Generic[A_co]):
    """The answer of an operation, prepared but not committed: it becomes true with its writes.

    answer  of the operation: the result of a task, for example
    writes  key of a record -> its bytes, or None to delete it (see records.py); all are committed
            in one transaction, or none
    then    called after that commit
    """

    answer: A_co
    writes: Mapping[str, bytes | None]
    then: Callable[[], None] = _nothing

    def replying(self, answer: B) -> Transaction[B]:
        """The same writes under another answer."""
        return Transaction(answer, self.writes, self.then)


def together(transactions: Iterable[Transaction[B]]) -> Transaction[list[B]]:
    """One transaction of several; its answer lists theirs."""
    parts = list(transactions)
    writes = {key: data for part in parts for key, data in part.writes.items()}

    def then() -> None:
        for part in parts:
            part.then()

    return Transaction([part.answer for part in parts], writes, then)


in_line: Final[ContextVar[Callable[[], AbstractAsyncContextManager[None]]]] = ContextVar(
    "in_line", default=nullcontext
)
"""`async with in_line.get()():` around a wait for a scarce resource: a process, a connection.

Inside, the time limits of the attempt of a task stand still, as if it had not begun. Outside of an
attempt it does nothing.
"""


async def acquire(free: asyncio.Semaphore) -> None:
    """Acquire a semaphore, in line if it is taken."""
    if free.locked():
        async with in_line.get()():
            await free.acquire()
    else:
        await free.acquire()


TaskResult: TypeAlias = Json | Transaction[Json]
Handler: TypeAlias = Callable[[TaskRequest], Awaitable[TaskResult]]
"""Does the work and returns its result; raises TaskError. Cancelled when the attempt is over: by a
timeout, a stop, or the failure of a sibling.
"""


ITEM_READER: Final = "ItemReader"
RESULT_WRITER: Final = "ResultWriter"


def part_key(state: str, part: str) -> str:
    """The key in a test case of the ItemReader or ResultWriter of a Map: "Import.ItemReader"."""
    return f"{state}.{part}"


class MockedAttempt(NamedTuple):
    """What chooses the mocked answer of an attempt.

    machine    name of the state machine
    case       of the execution
    number     attempts of the state before this one, in the execution
    iteration  (index, run) of each Map iteration, or child of a Map Run, around the state, the
               outermost first: see core/mocked_attempts.py
    iteration_number  attempts of the state before this one, in the innermost iteration
    retries    before it in this visit of the state
    part       ITEM_READER or RESULT_WRITER of the state; "": its task
    """

    machine: str
    case: str
    state: str
    number: int
    iteration: tuple[tuple[int, int], ...]
    iteration_number: int
    retries: int
    part: str = ""

    @property
    def key(self) -> str:
        """What a test case calls the state, or the part of it."""
        return part_key(self.state, self.part) if self.part else self.state


class Mocks(Protocol):
    """Test cases that answer tasks in place of their services."""

    def choose(self, machine: str, case: str | None) -> str | None:
        """The test case of a new execution, if the caller names `case`; None: it has none. Raises
        ApiError.
        """

    def covers(self, machine: str, case: str, state: str) -> bool:
        """Whether the test case answers for a state, or the part of one. Raises TaskError if there
        is no such case.
        """

    def whole(self, machine: str, case: str, state: str) -> list[dict[str, Json]] | None:
        """The results of a Parallel or Map whose children are not to run; None: they run. Each is
        {"last": number, "output": JSON} or {"last": number, "error": text, "cause": text}, for
        attempts up to that number; None: for all further ones.
        """

    async def answer(self, attempt: MockedAttempt, request: TaskRequest) -> Json:
        """The result of a task; of an ItemReader {"Items": array or object, "Source": text}. Raises
        TaskError.
        """

    def passed_on(self, attempt: MockedAttempt, request: TaskRequest) -> TaskRequest:
        """The request of a task that is not mocked: a nested execution has the test case, too."""


class Tasks(Protocol):
    """The registry handed to the engine."""

    @property
    def mocks(self) -> Mocks | None:
        """None: there are no test cases."""

    def connect(self, engine: Any) -> None:
        """Called once by the engine that the tasks run for. Nested executions are started on it."""

    def resolve(self, resource: Resource) -> Handler | None:
        """The handler of a resource, or None if nothing here serves it."""

    def known_text(self, text: str) -> str | None:
        """Something for a Resource that is none of AWS's and can run here, None if it cannot."""

    def mock_fault(self, resource: Resource, result: Json, strict: bool) -> str | None:
        """The error text of TestState for a mocked result that does not fit the service's model;
        None: it fits.

        strict  False: members that the API always returns may be missing
        """

    async def dataset(self, request: StreamRequest) -> Dataset | None:
        """The dataset of an ItemReader; None: the handler of its resource reads all of it."""

    async def results(self, request: StreamRequest) -> Results | None:
        """The files of a ResultWriter; None: the handler of its resource writes all of it."""

    async def close(self) -> None: ...

    @property
    def on_status(self) -> Callable[[list[dict[str, Any]]], Transaction[None] | None] | None:
        """Receives the "Step Functions Execution Status Change" events (see status_events.py) of a
        decision before it is committed. None: there is no receiver.

        What it returns is stored in the same transaction. Called on the event loop: it must not
        block.
        """
