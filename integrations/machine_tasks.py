"""The engine's Tasks where each state machine has a functions folder of its own: for the command
and for the server.

A command drives only the executions that it was asked to: the effects of the others are held back
until they are resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine import messages
from stepwell.engine.arns import execution_arn, split_case
from stepwell.engine.core.environment import token
from stepwell.engine.core.model import Phase
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.map_runs.datasets import Dataset, Results, StreamRequest
from stepwell.engine.store.base import ExecutionRow
from stepwell.engine.tasks import (
    Handler,
    TaskError,
    TaskRequest,
    TaskResult,
    Transaction,
)
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.cluster.inbox import Inbox
from stepwell.integrations.cluster.shard_services import shard_services
from stepwell.integrations.definitions.template_functions import sources
from stepwell.integrations.host import Executions, Host, Peers
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.mocks.answers import Answers
from stepwell.integrations.mocks.checks import Validation
from stepwell.integrations.mocks.files import MockFile
from stepwell.integrations.requests import request_id
from stepwell.integrations.services.common.delivery_log import DeliveryLog
from stepwell.integrations.services.runtime.folder import Source
from stepwell.integrations.services.runtime.pool import Pool
from stepwell.integrations.tasks import sent_home
from stepwell.integrations.tasks.iam_policies import Policies
from stepwell.integrations.tasks.registry import Registry


class Code(NamedTuple):
    """The functions of a machine: their folder, and those of a template as JSON text."""

    folder: str | None = None
    sources: str = ""

    @classmethod
    def of(cls, functions: Path | None, limits: Limits, more: Iterable[Source] = ()) -> Code:
        """functions: a folder or a template; more: of another template. Raises UsageError."""
        folder = functions if functions is None or not functions.is_file() else None
        own = sources(functions, {}, limits) if functions is not None and folder is None else ()
        stored = [list(each) for each in (*more, *own)]
        return cls(str(folder) if folder else None, json_text.dumps(stored) if stored else "")


NO_CODE: Final = Code()


class MachineTasks:
    """Each machine has its own functions; executions that are held have no effect started.

    functions  the folder, or a template, for all machines; None: for each machine what `run` stored
               with it
    output     receives (function, text): what functions print

    executions, peers  of the hosts of all registries; set before the engine is connected
    elsewhere          of a shard that is not home: the embedded services there
    pool               of the processes of functions, which other shards share; None: its own
    mocks              test cases; use_mocks() sets those of a file
    """

    executions: Executions | None = None
    peers: Peers | None = None
    elsewhere: Mapping[str, Any] | None = None
    pool: Pool | None = None

    def __init__(
        self,
        functions: Path | None,
        output: Callable[[str, str], None] | None,
        outside: Outside | None = None,
        policies: Policies | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.engine: Engine
        self._output, self._limits = output, limits
        self._own = NO_CODE if functions is None else Code.of(functions, limits)
        self._outside, self._policies = outside or Outside(limits=limits), policies
        self._first: Registry | None = None  # owns the embedded services that all registries share
        self._registries: dict[Code, Registry] = {}
        self._started = asyncio.Event()
        # ARN of an execution -> ARN of the one whose Map Runs it belongs to
        self._roots: Mapping[str, str] = {}
        self._held: dict[str, asyncio.Event] = {}  # ARN of a root -> set when it is released
        self.use_mocks(MockFile({}))

    def use_mocks(self, mocks: MockFile, validation: Validation = Validation.WARN) -> None:
        self.mocks = Answers(mocks, validation, self._released)

    def begin(self, running: list[ExecutionRow], chosen: set[str] | None) -> None:
        """Start effects now: those of the chosen executions (None: of all) and of all executions
        that they start. The other running executions are held.

        Children of a Map Run are treated like the execution that started it.
        """
        rows = {row.id: row for row in running}

        def root(row: ExecutionRow) -> str:
            while row.parent is not None and row.parent[0] in rows:
                row = rows[row.parent[0]]
            return row.arn

        self._roots = {row.arn: root(row) for row in running}
        if chosen is not None:
            self._held = {arn: asyncio.Event() for arn in self._roots.values() if arn not in chosen}
        self._started.set()

    def connect(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def host(self) -> Host:
        """Of the embedded services. Only a server has it from the start."""
        assert self._first is not None
        return self._first.host

    @property
    def on_status(self) -> Callable[[list[dict[str, Any]]], Transaction[None] | None] | None:
        return self._first.on_status if self._first else None

    def known_text(self, resource: str) -> str | None:
        """For the engine: whether a Resource that is not one of AWS's can run. `run` has checked
        that, and stored definitions were valid.
        """
        return resource

    def resolve(self, resource: Resource) -> Handler | None:
        return self._handle

    def mock_fault(self, resource: Resource, result: Json, strict: bool) -> str | None:
        return self._registry(NO_CODE).mock_fault(resource, result, strict)

    async def dataset(self, request: StreamRequest) -> Dataset | None:
        await self._begun(request)
        return await (self._first or self._registry(NO_CODE)).dataset(request)

    async def results(self, request: StreamRequest) -> Results | None:
        await self._begun(request)
        return await (self._first or self._registry(NO_CODE)).results(request)

    async def _handle(self, request: TaskRequest) -> TaskResult:
        await self._released(request)
        if request.again and request.resource.service == "states":
            self._release_nested(request)
        code = self._own if self._own != NO_CODE else await self._code(request.machine_arn)
        if request.again and self.peers is None:  # it may have been a cluster's, and sent home
            text = await sent_home.marked(self.engine.records, request.token)
            if text is not None:
                return sent_home.result_of(request.token, text, True)
        handler = self._registry(code).resolve(request.resource)
        if handler is None:
            raise TaskError(
                asl_messages.RUNTIME,
                messages.NO_SERVICE.format(resource=request.resource.text),
                runtime=True,
            )
        return await handler(request)

    def _root(self, request: TaskRequest | StreamRequest) -> str:
        return self._roots.get(request.execution_arn, request.execution_arn)

    async def _released(self, request: TaskRequest) -> None:
        """Return when the execution may run. An execution that is held takes no slot."""
        if not self._started.is_set() or self._root(request) in self._held:
            async with request.waiting():
                await self._begun(request)

    async def _begun(self, request: TaskRequest | StreamRequest) -> None:
        await self._started.wait()
        held = self._held.get(self._root(request))
        if held is not None:
            await held.wait()

    def _release_nested(self, request: TaskRequest) -> None:
        """The nested execution that an earlier process started for this task resumes with the
        execution that waits for it.
        """
        held = self._held.pop(_nested(request.payload, request.token), None)
        if held is not None:
            held.set()

    async def _code(self, machine_arn: str) -> Code:
        try:  # children of a Map Run (MACHINE/LABEL) have the functions of its machine
            extras = await self.engine.machine_extras(machine_arn.partition("/")[0])
        except ApiError:  # deleted; its executions continue
            return NO_CODE
        return Code(extras.get("functions"), extras.get("sources", ""))

    def _registry(self, code: Code) -> Registry:
        if code not in self._registries:
            registry = Registry(
                functions_folder=code.folder,
                sources=map(Source._make, json_text.loads(code.sources or "[]")),
                home=self.engine.home,
                clock=self.engine.clock,
                limits=self._limits,
                output=self._output,
                services=self._first.services if self._first else None,
                outside=self._outside,
                policies=self._policies,
                pool=self.pool,
            )
            registry.host.executions, registry.host.peers = self.executions, self.peers
            if not registry.host.at_home:
                registry.services.elsewhere = self.elsewhere
            registry.connect(self.engine)
            self._prepare(registry)
            self._first = self._first or registry
            self._registries[code] = registry
        return self._registries[code]

    def _prepare(self, registry: Registry) -> None:
        """Called with each registry before its first use."""

    async def close(self) -> None:
        for registry in self._registries.values():
            await registry.close()


class ServerTasks(MachineTasks):
    """The same for a server: every running execution resumes at once, and a definition with a
    Resource that cannot run here is invalid.

    The embedded services are opened with the engine.

    url          address of the server
    environment  variables that functions have besides their own
    """

    url = ""
    environment: Mapping[str, str] = MappingProxyType({})
    _of_shard: Mapping[str, Any] = MappingProxyType({})

    def connect(self, engine: Engine) -> None:
        super().connect(engine)
        self._server = self._registry(self._own)
        if self.peers is not None:
            self._of_shard = shard_services(self._server.host, self)
        else:  # the database may have been a cluster's
            engine.on_open.append(Inbox(self._server.host).drain)

    def _prepare(self, registry: Registry) -> None:
        """Functions do not see the server's environment, and their clients call the same endpoints
        as its tasks.
        """
        sources = registry.functions.sources
        sources.isolated = True
        sources.environment |= self.environment
        if self.url:
            registry.host.url = self.url

    def known_text(self, resource: str) -> str | None:
        return self._server.known_text(resource)

    async def services(self) -> dict[str, Any]:
        """Name -> service: the embedded ones that are here, by botocore's names, and what a shard
        does for the others.
        """
        return {**await self._server.services.open(), **self._of_shard}

    @property
    def delivery_log(self) -> DeliveryLog:
        """The recent deliveries of the embedded services."""
        return self._server.services.delivery_log


async def running(engine: Engine) -> list[ExecutionRow]:
    """All running executions, newest first, with those of Map Runs."""
    rows: list[ExecutionRow] = []
    after = None
    while page := await engine.store.list_executions(
        status="RUNNING", limit=engine.limits.list_page, after=after
    ):
        rows += page
        after = (page[-1].started, page[-1].id)
    return rows


def awaited(engine: Engine) -> set[str]:
    """The ARNs of the nested executions that running ones wait for: they resume with those."""
    arns = set()
    for live in engine.worker.live.values():  # executions that wait for a task are loaded
        for frame in live.x.frames.values():
            data, resource = frame.data, frame.state.resource
            if frame.phase != Phase.TASK or data is None or resource is None:
                continue
            if resource.service == "states" and resource.pattern.startswith(".sync"):
                arns.add(_nested(data.value, token(live.x, frame.id, frame.seq)))
    return arns


def _nested(payload: Json, task_token: str) -> str:
    """The ARN of the execution that a startExecution task starts; "" if it starts none."""
    if not isinstance(payload, dict):
        return ""
    parts = str(payload.get("StateMachineArn")).split(":")
    machine = ":".join(parts[:7])  # without a version or an alias
    return execution_arn(split_case(machine)[0], str(payload.get("Name", request_id(task_token))))
