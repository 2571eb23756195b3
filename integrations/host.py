"""What tasks and embedded services may use of the process that they run in.

Services import only this; what it describes as protocols is implemented above it, in services/ and
aws/, and put together by tasks/registry.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from stepwell.asl.evaluation import Json
from stepwell.engine.arns import Home
from stepwell.engine.clock import Clock
from stepwell.engine.errors import EngineError
from stepwell.engine.operations.paging import Pages
from stepwell.engine.supervisor import Supervisor
from stepwell.engine.tasks import TaskRequest, Transaction
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations.limits import Limits

if TYPE_CHECKING:
    from stepwell.engine.engine import Engine
    from stepwell.engine.runtime.records import Records


class FunctionTarget(Protocol):
    """A function that exists; see services.runtime.pool.Target."""

    @property
    def arn(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def invoke(self) -> Callable[[Json, Any], Awaitable[Any]]: ...


class FunctionResolver(Protocol):
    """The functions of this process; see services.runtime.resolver."""

    @property
    def sources(self) -> Any:
        """Those that run from their source, and their processes."""

    def find(self, reference: str, qualifier: str = "") -> FunctionTarget | None: ...
    def parse(self, reference: str, qualifier: str = "") -> tuple[str | None, str]: ...
    def names(self) -> list[str]: ...
    def report_missing(self, reference: str) -> None: ...
    def arn(self, reference: str, qualifier: str = "") -> str: ...
    def invoked_arn(self, reference: str, qualifier: str = "") -> str: ...


class DeliveryLog(Protocol):
    """See services.common.delivery_log."""

    def note(self, entry: Any) -> None: ...


class EmbeddedServices(Protocol):
    """The services that are served here, by botocore's names; see services.registry."""

    @property
    def delivery_log(self) -> DeliveryLog: ...
    def __contains__(self, name: str) -> bool: ...
    async def get(self, name: str) -> Any:
        """The service of that name, open. Raises KeyError, StoreError."""

    def opened(self, name: str) -> Any:
        """The service of that name if it is open, else None."""


class HttpAnswer(NamedTuple):
    """headers: (name as it was sent, value), in their order."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes


class HttpClient(Protocol):
    """See aws.http_client.Http."""

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        seconds: float | None = None,
    ) -> HttpAnswer: ...


class AwsClient(Protocol):
    """See aws.client.Aws."""

    async def call(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        region: str,
        most_bytes: int | None = None,
    ) -> tuple[dict[str, Any], Mapping[str, Any]]: ...


class OutsideServices(Protocol):
    """The services that are not served here, and what may be called; see aws.outside."""

    @property
    def endpoints(self) -> Mapping[str, str]: ...
    @property
    def allow_aws(self) -> bool: ...
    @property
    def smtp(self) -> tuple[str, int] | None: ...
    @property
    def http(self) -> HttpClient: ...
    @property
    def deliveries(self) -> HttpClient: ...
    @property
    def aws(self) -> AwsClient: ...


class UnreachableError(EngineError):
    """The owner of a shard could not be reached: the call was surely not run, and may be sent
    again.
    """


class LostAnswerError(EngineError):
    """The connection to the owner of a shard broke: the call may have been run."""


class Peers(Protocol):
    """The cluster, as the engine of one shard sees it."""

    @property
    def shard(self) -> int:
        """Of this engine. 0 is home, where the embedded services and all definitions are."""

    @property
    def opening(self) -> str:
        """Another one each time that a node opens the shard."""

    @property
    def count(self) -> int:
        """Of the shards."""

    async def call(
        self, shard: int, service: str, method: str, arguments: Mapping[str, Any]
    ) -> Any:
        """Run a method of a service on the owner of a shard, and return its answer. Values are
        JSON's, bytes, and what else msgpack has.

        Raises ApiError as the method raised it, UnreachableError, LostAnswerError.
        """


class Executions(Protocol):
    """Operations of the Step Functions API: an engine, or in a cluster what sends each to the
    engine that owns its execution. Answers have the API's members, times are in epoch seconds.
    """

    async def start_execution(
        self, state_machine_arn: str, /, *, name: str | None = None, input: Any = "{}"
    ) -> Mapping[str, Any]: ...

    async def start_nested_execution(
        self, state_machine_arn: str, /, *, name: str, input: str
    ) -> Mapping[str, Any]: ...

    async def describe_execution(self, execution_arn: str, /) -> Mapping[str, Any]: ...

    async def wait(self, execution_arn: str, /) -> Mapping[str, Any]:
        """The description of an execution, once it has ended."""

    async def stop_execution(self, execution_arn: str, /) -> Mapping[str, Any]: ...


@dataclass(slots=True)
class Host:
    """What a service may use.

    engine      None until one is connected
    executions  carries out operations of the Step Functions API: by default the engine
    peers       the other shards of a cluster; None: everything is here
    on_status   receives status events of executions (see Tasks)
    status_receiver   in its place: called for each commit
    before_listening  awaited by an operation because of which status events are wanted from now on,
                      before it answers
    url         of the server, for the URLs that services return
    supervisor  of the background loops: the engine's once there is one
    working     tasks of services that end soon: skipped time does not move before
    """

    functions: FunctionResolver
    home: Home
    clock: Clock
    limits: Limits
    services: EmbeddedServices
    outside: OutsideServices
    engine: Engine | None = None
    on_status: Callable[[list[dict[str, Any]]], Transaction[None] | None] | None = None
    status_receiver: (
        Callable[[], Callable[[list[dict[str, Any]]], Transaction[None]] | None] | None
    ) = None
    before_listening: Callable[[], Awaitable[None]] | None = None
    url: str = "http://localhost:8083"
    supervisor: Supervisor = field(default_factory=Supervisor)
    working: set[asyncio.Task[None]] = field(default_factory=set)
    executions: Executions | None = None
    peers: Peers | None = None

    def waiting(self, request: TaskRequest) -> AbstractAsyncContextManager[None]:
        """`async with` this around the wait of a task for what is outside, such as the end of a
        job: it holds no slot inside. Where time is skipped it does, because an attempt that works
        takes its real time.
        """
        return nullcontext() if isinstance(self.clock, VirtualClock) else request.waiting()

    def soon(self, name: str, work: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
        """Start a supervised task that ends soon: skipped time does not move before it has."""
        task = self.supervisor.start(name, work)
        self.working.add(task)
        task.add_done_callback(self.working.discard)
        return task

    @property
    def at_home(self) -> bool:
        """Whether the embedded services are here, and not on another shard."""
        return self.peers is None or self.peers.shard == 0

    @property
    def records(self) -> Records:
        """The records of the engine, in which services store their state."""
        assert self.engine is not None, "services are opened by an engine"
        return self.engine.records

    @property
    def pages(self) -> Pages:
        """The page tokens of the engine."""
        assert self.engine is not None, "services are opened by an engine"
        return self.engine.pages
