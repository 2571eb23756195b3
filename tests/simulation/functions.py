"""What the tasks of the simulated world do: functions, jobs, callbacks, publishing to a service,
and nested executions.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.simulation.streams import Numbers, Written

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine.engine import Engine
from stepwell.engine.map_runs.datasets import StreamRequest
from stepwell.engine.tasks import TaskRequest, Transaction
from stepwell.integrations.services.registry import TABLE, Services
from stepwell.integrations.tasks import states
from stepwell.integrations.tasks.registry import Registry

if TYPE_CHECKING:
    from tests.simulation.process import Process

HANG = object()
PUBLISHED, STATUS = "published/", "status/"


class Publish(NamedTuple):
    """The result of a function whose service stores a record with it."""

    result: Json


class Tasks:
    """What the engine's tasks do. `World.answers` maps a function's name to (payload) -> result,
    Publish, HANG, or raises TaskError.
    """

    def __init__(self, process: "Process") -> None:
        self._process, self._world = process, process.world
        self._nested: Any = None
        self.services = Services({name: TABLE[name] for name in process.world.settings.services})
        self._registry = Registry(services=self.services)

    def connect(self, engine: Engine) -> None:
        self._registry.connect(engine)
        self.services.connect(self._registry.host)
        engine.on_open.append(self.services.open)
        self._nested = states.actions(self._registry.host)["startExecution"]

    mocks = None

    @property
    def on_status(self) -> Callable[[list[dict[str, Any]]], Transaction[None] | None] | None:
        return self._status if self._world.settings.status else None

    def _status(self, events: list[dict[str, Any]]) -> Transaction[Any]:
        """A service that stores each change of a status."""
        records = {
            f"{STATUS}{event['detail']['executionArn']}/{event['id']}": event["detail"][
                "status"
            ].encode()
            for event in events
        }
        return self._done(None, records)

    def _done(self, result: Json, records: dict[str, bytes]) -> Transaction[Any]:
        def then() -> None:
            self._process.told.update(records)

        return Transaction(result, records, then)

    def known_text(self, text: str) -> str | None:
        return None

    def mock_fault(self, resource: Resource, result: Json, strict: bool) -> str | None:
        return None

    async def dataset(self, request: StreamRequest) -> Numbers:
        parameters: Any = request.payload
        return Numbers(self._world.rng, int(parameters["Key"]))

    async def results(self, request: StreamRequest) -> Written:
        return Written(self._world.rng)

    def resolve(self, resource: Resource) -> Callable[[TaskRequest], Awaitable[Json]]:
        if resource.service in self._world.settings.services and not resource.pattern:
            return self._serve
        return self._start if resource.service == "states" else self._run

    async def close(self) -> None:
        await self.services.close()
        await self._registry.close()

    async def _serve(self, request: TaskRequest) -> Json:
        """By the real service."""
        self._world.ledger.began(self._process, request, request.resource.action)
        handler = self._registry.resolve(request.resource)
        assert handler is not None
        result = await handler(request)
        await asyncio.sleep(self._world.rng.choice((0, 0.01, 2.0)))
        return result  # type: ignore[return-value]

    async def _start(self, request: TaskRequest) -> Json:
        self._world.ledger.began(self._process, request, "startExecution")
        await asyncio.sleep(self._world.rng.choice((0, 0.01, 2.0)))
        return await self._nested(request)

    async def _run(self, request: TaskRequest) -> Json:
        name = (
            request.resource.action
            if request.resource.kind == "lambda"
            else request.payload["FunctionName"]
        )
        attempt = self._world.ledger.began(self._process, request, name)
        self._process.running[attempt] = request.state_name
        try:
            return await self._answer(request, name)
        finally:
            self._process.running.pop(attempt, None)

    async def _answer(self, request: TaskRequest, name: str) -> Json:
        world = self._world
        await asyncio.sleep(world.rng.choice((0, 0.01, 0.3, 2.0, 7.0)))
        payload = request.payload
        if request.resource.pattern == ".sync":
            await request.submitted({"JobName": name})
            async with request.waiting():
                await asyncio.sleep(world.rng.choice((0, 1.0, 5.0)))
        if request.resource.callback:
            world.outside(world.answer_token(request.token, payload))
        if request.resource.kind == "service":
            payload = payload["Payload"]
        answer = world.answers[name](payload)
        if answer is HANG:
            await asyncio.Future()
        if request.execution_arn in world.ledger.closed and not self._process.dead.is_set():
            world.violated(
                f"the effect of {request.state_name} continues after its execution has closed"
            )
        if isinstance(answer, Publish):
            key = f"{PUBLISHED}{request.execution_arn}/{request.state_name}/{request.token}"
            world.ledger.handed.setdefault(request.execution_arn, set()).add(key)
            return self._done(answer.result, {key: request.state_name.encode()})
        return answer
