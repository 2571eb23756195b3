"""What the engine asks of a task integration. Services live in integrations/; the engine knows only these shapes."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource


class TaskError(Exception):
    """A task failed: `error` is what Retry and Catch compare, `cause` is shown. Both may be absent.

    runtime True: the task could not even be scheduled (States.Runtime, no TaskFailed event), such as a deleted activity.
    """

    def __init__(self, error: str | None, cause: str | None = None, runtime: bool = False) -> None:
        super().__init__(error, cause)
        self.error, self.cause, self.runtime = error, cause, runtime


class TaskRequest(NamedTuple):
    """One attempt of a Task.

    payload    the effective input (Parameters or Arguments), never to be changed
    token      the task token: names this attempt, and stays the same when it is sent again after a crash
    again      True: an earlier process may have sent this already
    timeout    seconds or None
    submitted  for `.sync`: await it with the answer of the starting call before waiting for the job
    """

    resource: Resource
    payload: Json
    token: str
    timeout: int | None
    heartbeat: int | None
    again: bool
    execution_arn: str
    machine_arn: str
    state_name: str
    role_arn: str
    submitted: Callable[[Json], Awaitable[None]]


Handler = Callable[[TaskRequest], Awaitable[Json]]
"""Does the work and returns its result; raises TaskError. Cancelled when the attempt is over (timeout, stop, a sibling failed)."""


class Tasks(Protocol):
    """The registry handed to the engine."""

    def connect(self, engine: Any) -> None:
        """Called once by the engine that the tasks run for: nested executions are started on it."""

    def resolve(self, resource: Resource) -> Handler | None:
        """The handler of a resource, or None if nothing here serves it."""

    def known_text(self, text: str) -> str | None:
        """Something for a Resource that is none of AWS's and can run here, None if it cannot."""

    async def close(self) -> None: ...
