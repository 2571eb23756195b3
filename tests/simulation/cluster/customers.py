"""Who uses the simulated cluster, and what must be true at the end."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.simulation import histories
from tests.simulation.cluster.world import Settings, World, drawn
from tests.simulation.virtual import Stuck

from stepwell.engine.core.environment import read_token
from stepwell.engine.errors import ApiError
from stepwell.integrations.stack import OPERATIONS
from stepwell.integrations.tasks.sent_home import marker_key

ROLE = "arn:aws:iam::123456789012:role/any"
MACHINES = "arn:aws:states:us-east-1:123456789012:stateMachine:"
QUEUE = "http://localhost:8083/123456789012/q"
TOKENS = "http://localhost:8083/123456789012/tokens"
RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2}]


def _send(part: int, **rest: Any) -> dict[str, Any]:
    body = {"execution.$": "$$.Execution.Id", "part": part}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": QUEUE, "MessageBody": body},
        "ResultPath": None,
        **rest,
    }


def _machine(*states: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """One after the other."""
    names = [name for name, _ in states]
    return {
        "StartAt": names[0],
        "States": {
            name: state | ({"Next": after} if after else {"End": True})
            for (name, state), after in zip(states, [*names[1:], None])
        },
    }


_INCREMENT = {
    "Type": "Task",
    "Resource": "arn:aws:lambda:us-east-1:123456789012:function:increment",
    "Retry": RETRY,
}


def _nested(machine: str) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {
            "StateMachineArn": MACHINES + machine,
            "Name.$": "States.Format('{}-nested', $$.Execution.Name)",
            "Input": {"n": 5},
        },
        "ResultSelector": {"output.$": "$.Output"},
    }


@dataclass(frozen=True)
class Workload:
    """parts   how many messages one of its executions sends         output  of it
    stop    it is stopped by hand
    """

    definition: dict[str, Any]
    parts: int = 0
    output: Any = None
    stop: bool = False


WORKLOADS = {
    "chain": Workload(
        _machine(
            ("First", _INCREMENT),
            ("Sleep", {"Type": "Wait", "Seconds": 7}),
            ("Second", _INCREMENT),
        ),
        output={"n": 3},
    ),
    "send": Workload(_machine(("Send", _send(0)), ("Again", _send(1))), 2, {"n": 1}),
    "fan": Workload(
        _machine(
            (
                "Fan",
                {
                    "Type": "Parallel",
                    "Branches": [
                        _machine((f"Send {part}", _send(part)), (f"Count {part}", _INCREMENT))
                        for part in range(3)
                    ],
                },
            )
        ),
        3,
        [{"n": 2}] * 3,
    ),
    "callback": Workload(
        _machine(
            (
                "Ask",
                {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                    "Parameters": {
                        "QueueUrl": TOKENS,
                        "MessageBody": {"token.$": "$$.Task.Token"},
                    },
                },
            ),
            ("Send", _send(0)),
        ),
        1,
        {"answered": True},
    ),
    "nested": Workload(
        _machine(("Start", _nested("send")), ("Send", _send(0))), 1, {"output": {"n": 5}}
    ),
    "twice nested": Workload(
        _machine(("Start", _nested("nested"))), 0, {"output": {"output": {"n": 5}}}
    ),
    "stopped": Workload(
        _machine(("Send", _send(0)), ("Sleep", {"Type": "Wait", "Seconds": 5000})), stop=True
    ),
}


def machine_name(workload: str) -> str:
    return workload.replace(" ", "-")


class Customer:
    """One execution, from its start to its history. name: None: it gets one."""

    def __init__(self, world: World, ready: asyncio.Event, workload: str, name: str | None) -> None:
        self.world, self.ready, self.workload, self.name = world, ready, workload, name
        self.events: list[dict[str, Any]] = []

    async def engine(self, operation: Callable[[Any], Any]) -> Any:
        return await self.world.call(OPERATIONS, operation)

    async def live(self) -> None:
        world, workload = self.world, WORKLOADS[self.workload]
        await self.ready.wait()
        await asyncio.sleep(world.rng.choice((0, 0.5, 5.0, 20.0, 60.0)))
        arn = await self._start()
        world.note("started", arn)
        if workload.stop:
            await asyncio.sleep(world.rng.choice((0.5, 10, 30)))
            await self.engine(lambda engine: engine.stop_execution(arn, error="E", cause="c"))
        ended = await self.engine(lambda engine: engine.wait(arn))
        world.note("ended", arn, ended["status"])
        self.events = await self._history(arn)
        wrong = histories.problems(self.events, ended)
        want = ("ABORTED", None) if workload.stop else ("SUCCEEDED", workload.output)
        got = (ended["status"], json.loads(ended["output"]) if "output" in ended else None)
        if got != want:
            wrong.append(f"it ended with {got}: {self.events[-1]}")
        again = await self.engine(lambda engine: engine.describe_execution(arn))
        if again["status"] != want[0]:
            wrong.append(f"{again['status']} after its end")
        for problem in wrong:
            world.violated(f"{self.workload} {arn}: {problem}")

    async def _start(self) -> str:
        tries, machine = 0, MACHINES + machine_name(self.workload)

        async def start(engine: Any) -> Any:
            nonlocal tries
            tries += 1
            return await engine.start_execution(machine, name=self.name, input='{"n": 1}')

        try:
            started = await self.engine(start)
        except ApiError as refused:  # its first start was not answered, and it has ended
            if refused.code != "ExecutionAlreadyExists" or tries < 2:
                raise
            return f"{machine.replace(':stateMachine:', ':execution:')}:{self.name}"
        arn: str = started["executionArn"]
        return arn

    async def _history(self, arn: str) -> list[dict[str, Any]]:
        found = await self.engine(
            lambda engine: engine.get_execution_history(arn, max_results=1000)
        )
        return list(found["events"])


class Postman:
    """Takes all messages out of the queues, and completes the tasks whose tokens are in them.

    bodies  message id -> body
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.bodies: dict[str, str] = {}

    async def _receive(self, url: str) -> list[dict[str, Any]]:
        """Messages, which are deleted: what is received twice has the same id."""
        found = await self.world.call(
            "sqs", lambda sqs: sqs.receive_message(queue_url=url, max_number_of_messages=10)
        )
        messages = found.get("Messages", [])
        for message in messages:
            self.bodies[message["MessageId"]] = message["Body"]
            receipt = message["ReceiptHandle"]
            await self.world.call(
                "sqs",
                partial(_delete, url=url, receipt=receipt),
            )
        return list(messages)

    async def serve(self, ready: asyncio.Event, done: asyncio.Event) -> None:
        """Until all are done and the queues are empty."""
        world = self.world
        await ready.wait()
        empty = 0
        while not (done.is_set() and empty > 3):
            answers = await self._receive(TOKENS)
            for message in answers:
                world.outside(self._answer(json.loads(message["Body"])["token"]))
            taken = answers or await self._receive(QUEUE)
            over = done.is_set() and not world.settings.troubles  # no answer is lost any more
            empty = 0 if taken or not over else empty + 1
            await asyncio.sleep(12)

    async def _answer(self, token: str) -> None:
        await asyncio.sleep(self.world.rng.choice((0, 3)))
        output = '{"answered": true}'
        try:
            await self.world.call(
                OPERATIONS, lambda engine: engine.send_task_success(token, output)
            )
        except ApiError as refused:  # an answer that was lost was accepted
            if refused.code != "TaskTimedOut":
                raise


async def _delete(sqs: Any, url: str, receipt: str) -> Any:
    return await sqs.delete_message(queue_url=url, receipt_handle=receipt)


async def _create(name: str, definition: str, engine: Any) -> Any:
    return await engine.create_state_machine(name, definition, role_arn=ROLE)


async def _prepare(world: World, ready: asyncio.Event) -> None:
    for url in (QUEUE, TOKENS):
        name = url.rpartition("/")[2]
        await world.call("sqs", lambda sqs: sqs.create_queue(queue_name=name))  # noqa: B023
    for workload, each in WORKLOADS.items():
        create = partial(_create, machine_name(workload), json.dumps(each.definition))
        await world.call(OPERATIONS, create)
    ready.set()


def at_rest(world: World, postman: Postman) -> list[str]:
    """What is wrong with the database of a world in which all is done."""
    found, rows = [], world.server.connection.execute
    executions = {
        f"{prefix}:{tail}": (status, prefix.rpartition(":")[2])
        for prefix, tail, status in rows(
            "SELECT s.prefix, e.tail, e.status FROM execution e JOIN series s ON s.id = e.series"
        ).fetchall()
    }
    sent: dict[tuple[str, int], int] = {}
    for body in postman.bodies.values():
        message = json.loads(body)
        if "token" not in message:
            key = (message["execution"], message["part"])
            sent[key] = sent.get(key, 0) + 1
    parts = {machine_name(name): each.parts for name, each in WORKLOADS.items()}
    stoppable = {machine_name(name) for name, each in WORKLOADS.items() if each.stop}
    for arn, (status, machine) in executions.items():
        if machine in stoppable:
            continue
        if status != 1:
            found.append(f"{arn} has the status {status}")
        for part in range(parts[machine]):
            if (times := sent.pop((arn, part), 0)) != 1:
                found.append(f"{arn} sent its message {part} {times} times")
    for (arn, part), times in sent.items():
        if arn not in executions or times > 1:
            found.append(f"message {part} of {arn} was sent {times} times")
    for what, statement in {
        "continuations": "SELECT id FROM continuation c WHERE id NOT IN "
        "(SELECT id FROM execution WHERE status IN (0, 4))",
        "records of the inbox": "SELECT key FROM record WHERE key LIKE 'inbox/%'",
    }.items():
        if left := rows(statement).fetchall():
            found.append(f"{what} are left: {left[:3]}")
    # a stop, and an answer to the token that comes before that of the attempt, end a task without
    # its success: its marker stays until the sweep
    may_stay = stoppable | {machine_name("callback")}
    for (key,) in rows("SELECT key FROM record WHERE key LIKE ?", (marker_key("%"),)).fetchall():
        named = read_token(key.removeprefix(marker_key("")))
        statement = (
            "SELECT s.prefix FROM execution e JOIN series s ON s.id = e.series WHERE e.id = ?"
        )
        owners = rows(statement, (named[0],)).fetchall() if named else []
        if not owners or owners[0][0].rpartition(":")[2] not in may_stay:
            found.append(f"a marker is left: {key}")
    return found


class Outcome:
    def __init__(self, world: World, customers: list[Customer]) -> None:
        self.violations, self.trace = world.violations, world.trace
        self.histories = {
            each.workload: histories.canonical(each.events) for each in customers if each.events
        }


def play(seed: int, chosen: Sequence[str], settings: Settings) -> Outcome:
    """One world in which these workloads run at the same time, with a name and perhaps without.
    Raises Stuck.
    """
    world = World(seed, settings)
    ready, done = asyncio.Event(), asyncio.Event()
    customers = [
        Customer(
            world, ready, workload, f"{machine_name(workload)}-{seed}-{number}" if named else None
        )
        for number, workload in enumerate(chosen)
        for named in (True, False)
        if named or world.rng.random() < 0.5
    ]
    postman, left = Postman(world), len(customers)

    async def live(customer: Customer) -> None:
        nonlocal left
        try:
            await customer.live()
        finally:
            left -= 1
            if not left:
                done.set()

    async def serve() -> None:
        await postman.serve(ready, done)
        world.violations += at_rest(world, postman)

    clients: list[Callable[[], Coroutine[Any, Any, None]]] = [
        partial(_prepare, world, ready),
        serve,
        *(partial(live, each) for each in customers),
    ]
    world.run(clients)
    return Outcome(world, customers)


def faults(seed: int) -> list[str]:
    """What goes wrong in the world of this seed: some of the workloads, drawn from it, among
    troubles. Empty: nothing does.
    """
    rng = random.Random(f"cluster {seed}")
    return violations(seed, rng.sample(list(WORKLOADS), rng.randrange(1, 5)), drawn(rng))


def violations(seed: int, chosen: Sequence[str], settings: Settings) -> list[str]:
    """The same with these workloads and settings."""
    try:
        outcome = play(seed, chosen, settings)
    except Stuck as stuck:
        return [*stuck.before, f"stuck: {stuck}"]
    return outcome.violations
