"""Who uses the simulated world: starts executions, watches them, works for activities, and compares
what came out with what had to.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.simulation import disk, histories
from tests.simulation.functions import HANG, PUBLISHED
from tests.simulation.workloads import ANSWERS, QUEUE, VICTIM, WORKLOADS, Workload, text
from tests.simulation.world import World

from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.store.base import StoreFormatError

KEPT = (
    "execution",
    "history",
    "continuation",
    "frame",
    "map_item",
    "map_result",
    "payload",
    "map_run",
    "machine",
    "definition",
)


class Customer:
    """One execution of a workload, from its start to the comparison of its history."""

    def __init__(self, world: World, workload: str, name: str) -> None:
        self.world, self.workload, self.name = world, workload, name
        self.events: list[dict[str, Any]] = []
        self.watched: dict[int, dict[str, Any]] = {}
        self.children: dict[str, list[str]] = {}
        self.arn = self.status = ""

    async def live(self) -> None:
        world, workload = self.world, WORKLOADS[self.workload]
        await asyncio.sleep(world.rng.choice((0, 0.5, 5.0, 20.0)))
        for activity in workload.activities:
            await world.call(lambda engine: engine.create_activity(activity))  # noqa: B023  # awaited within the loop
        self.machine = await create_machines(world, self._machine(), workload)
        self.arn = await self._start(workload)
        world.note("started", self.arn)
        watcher = world.outside(self._watch())
        if workload.stop is not None:
            await asyncio.sleep(workload.stop)
            await world.first(*[self._stop] * world.rng.choice((1, 2)))
            world.note("stopped", self.arn)
            if (await self._describe())["status"] == "RUNNING":
                world.violated(f"{self.name} runs on after its stop was acknowledged")
        if workload.delete is not None:
            await asyncio.sleep(workload.delete)
            await delete_machine(world, self.machine)
        ended = await world.call(lambda engine: engine.wait(self.arn))
        self.status = ended["status"]
        world.note("ended", self.arn, ended["status"])
        await watcher
        for number in range(workload.redrives):
            ended = await self._redrive(number)
        self.events = await self._history(self.arn)
        self._check(ended)
        await self._check_children()
        await self._check_nested()

    async def _stop(self) -> None:
        await self.world.call(
            lambda engine: engine.stop_execution(self.arn, error="Enough", cause="by hand")
        )

    async def _redrive(self, number: int) -> dict[str, Any]:
        """Repeat RedriveExecution until it is confirmed; the status at the end."""
        world, token = self.world, f"redrive-{number}"
        await asyncio.sleep(world.rng.choice((0, 0.1, 30.0)))
        await world.first(*[lambda: self._call_redrive(token)] * world.rng.choice((1, 2)))
        world.note("redriven", self.arn)
        if (await self._describe())["redriveCount"] != number + 1:
            world.violated(f"{self.name} was not redriven once when its redrive was acknowledged")
        watcher = world.outside(self._watch())
        ended = await world.call(lambda engine: engine.wait(self.arn))
        world.note("ended", self.arn, ended["status"])
        await watcher
        return ended

    async def _call_redrive(self, token: str) -> None:
        await self.world.call(lambda engine: engine.redrive_execution(self.arn, client_token=token))

    def _machine(self) -> str:
        return self.workload.replace(" ", "-")

    async def _start(self, workload: Workload) -> str:
        """Repeat until the start is confirmed. A second try may find it closed already."""
        tries = 0

        async def start(engine: Engine) -> Any:
            nonlocal tries
            tries += 1
            return await engine.start_execution(
                self.machine, name=self.name, input=json.dumps(workload.input)
            )

        both = [self.world.outside(self._once(start)) for _ in range(self.world.rng.choice((1, 2)))]
        answers = await asyncio.gather(*both)
        for answer in answers:
            if isinstance(answer, ApiError):
                known = await self._describe()
                if (
                    answer.code != "ExecutionAlreadyExists"
                    or known["status"] == "RUNNING"
                    or tries < 2
                ):
                    self.world.violated(f"{self.name} was refused: {answer}")
        arn: str = (await self._describe())["executionArn"]
        return arn

    async def _once(self, operation: Callable[[Engine], Any]) -> Any:
        try:
            return await self.world.call(operation)
        except ApiError as refused:
            return refused

    async def _describe(self) -> dict[str, Any]:
        arn = f"{self.machine.replace(':stateMachine:', ':execution:')}:{self.name}"
        return await self.world.call(lambda engine: engine.describe_execution(arn))

    async def _watch(self) -> None:
        """Every event once, as it is committed, in whichever life."""

        async def follow(engine: Engine) -> bool:
            async for event in engine.watch(self.arn, max(self.watched, default=0)):
                self.watched[event["id"]] = event
            return True

        await self.world.call(follow)

    async def _history(self, arn: str) -> list[dict[str, Any]]:
        """Page by page, both ways."""
        both = []
        for reverse in (False, True):
            token, events = None, []
            while True:
                options = {"reverse_order": reverse, "next_token": token, "max_results": 50}
                page = await self.world.call(
                    lambda engine: engine.get_execution_history(arn, **options)  # noqa: B023
                )
                events += page["events"]
                token = page.get("nextToken")
                if token is None:
                    break
            both.append(events)
        if both[0] != both[1][::-1]:
            self.world.violated(f"{arn}: the history differs when it is read backwards")
        return both[0]

    # --- checks -----------------------------------------------------------------------------------

    def _check(self, ended: dict[str, Any]) -> None:
        for problem in histories.problems(self.events, ended):
            self.world.violated(f"{self.name} ({self.workload}): {problem}")
        if [self.watched[number] for number in sorted(self.watched)] != self.events:
            self.world.violated(
                f"{self.name} ({self.workload}): what was shown at the time is not what is "
                "in the history now"
            )

    async def _check_children(self) -> None:
        """The children of a Map Run end with it, and nothing else is left open."""
        if not self.workload.startswith("map run"):
            return
        for _ in range(60):
            listed = await self.world.call(
                lambda engine: engine.list_all_executions(status_filter="RUNNING")
            )
            mine = [
                item
                for item in listed["executions"]
                if f":{self._machine()}/" in item["executionArn"]
            ]
            if not mine:
                break
            await asyncio.sleep(200)
        else:
            self.world.violated(
                f"{self.name}: children of its Map Run are still open: "
                f"{[item['name'] for item in mine]}"
            )
        listed = await self.world.call(lambda engine: engine.list_all_executions(max_results=1000))
        for item in listed["executions"]:
            if f":{self._machine()}/" in item["executionArn"]:
                index = item["name"].rpartition("-")[2]
                self.children[index] = histories.canonical(
                    await self._history(item["executionArn"])
                )

    async def _check_nested(self) -> None:
        """Each execution that it started, once, as it ended."""
        for machine in WORKLOADS[self.workload].inner:
            arn = self.machine.replace(self._machine(), machine)
            listed = await self.world.call(lambda engine: engine.list_executions(arn))  # noqa: B023
            for item in listed["executions"]:
                await self.world.call(lambda engine: engine.wait(item["executionArn"]))  # noqa: B023
                self.children[item["name"]] = histories.canonical(
                    await self._history(item["executionArn"])
                )

    def _records(self) -> list[str]:
        """The names of the states whose records a service holds: each exactly once for each time
        that it succeeded.
        """
        return sorted(
            state
            for machine in (self._machine(), *WORKLOADS[self.workload].inner)
            for _, state in published(self.world, machine)
        )

    def canonical(self) -> dict[str, list[str]]:
        if WORKLOADS[self.workload].delete is not None:
            return {"": [self.status]}  # how far it came depends on the moment
        whole = histories.canonical(self.events, lost_attempts=self.workload == "activity")
        # what a child was doing when its Map Run was stopped depends on the moment
        stopped = self.workload in ("map run stopped", "map run out of time")
        return {"": whole, "records": self._records(), **({} if stopped else self.children)}


class ExpressCustomer:
    """One Express execution, until its answer or its last record is there."""

    def __init__(self, world: World, workload: str, name: str) -> None:
        self.world, self.workload, self.name = world, workload, name
        self._seen: list[str] = []

    async def live(self) -> None:
        world, workload = self.world, WORKLOADS[self.workload]
        await asyncio.sleep(world.rng.choice((0, 0.5, 5.0, 20.0)))
        self.machine = await create_machines(world, self.workload.replace(" ", "-"), workload)
        for _ in range(3):
            await (self._answered() if workload.express == "sync" else self._accepted())

    async def _answered(self) -> None:
        """What is answered is not taken back: the records of its tasks are on the disk."""
        world, data = self.world, json.dumps(WORKLOADS[self.workload].input)
        answer = await world.call(
            lambda engine: engine.start_sync_execution(self.machine, name=self.name, input=data)
        )
        stored = {key for key, _ in published(world, self.workload.replace(" ", "-"))}
        if missing := world.ledger.handed.get(answer["executionArn"], set()) - stored:
            world.violated(
                f"{answer['executionArn']} was answered before its records were stored: "
                f"{sorted(missing)}"
            )
        shown = {name: answer.get(name) for name in ("status", "output", "error", "cause")}
        self._seen.append(json.dumps(shown, sort_keys=True))

    async def _accepted(self) -> None:
        """An accepted execution runs to its end, from the start if necessary."""
        world, data = self.world, json.dumps(WORKLOADS[self.workload].input)
        arn = (
            await world.call(
                lambda engine: engine.start_execution(self.machine, name=self.name, input=data)
            )
        )["executionArn"]
        world.note("started", arn)
        for _ in range(600):
            states = {
                state
                for key, state in published(world, self.workload.replace(" ", "-"))
                if key.startswith(f"{PUBLISHED}{arn}/")
            }
            if "Last" in states:
                break
            await asyncio.sleep(5)
        else:
            world.violated(f"{arn} was accepted, and does not end")
        self._seen.append(str(sorted(states)))

    def canonical(self) -> dict[str, list[str]]:
        return {"": self._seen}


def published(world: World, machine: str) -> list[tuple[str, str]]:
    """(key, state) of the records that tasks of a machine's executions have stored, those of its
    Map Runs' children, too.
    """
    found = []
    for key, state in disk.rows(
        world.path,
        "SELECT key, blob FROM record WHERE key >= ? AND key < ?",
        PUBLISHED,
        PUBLISHED + "~",
    ):
        if key.removeprefix(PUBLISHED).split(":")[6].split("/")[0] == machine:
            found.append((key, state.decode()))
    return found


async def create_machines(world: World, name: str, workload: Workload) -> str:
    """The ARN of the workload's machine, whose inner ones exist, too."""
    if "sqs" in workload.services:
        await with_queues(
            world, lambda sqs: sqs.create_queue("letters", {"VisibilityTimeout": "60"})
        )
    for inner, definition in workload.inner.items():
        await world.call(lambda engine: engine.create_state_machine(inner, json.dumps(definition)))  # noqa: B023
    type = "EXPRESS" if workload.express else "STANDARD"
    arn: str = (
        await world.call(
            lambda engine: engine.create_state_machine(name, text(workload), type=type)
        )
    )["stateMachineArn"]
    return arn


async def delete_machine(world: World, arn: str) -> None:
    """Until it is deleted: after the next transition of its running executions."""
    await world.call(lambda engine: engine.delete_state_machine(arn))
    for _ in range(60):
        try:
            await world.call(lambda engine: engine.describe_state_machine(arn))
        except ApiError as refused:
            assert refused.code == "StateMachineDoesNotExist", refused
            return
        await asyncio.sleep(20)
    world.violated(f"{arn} was deleted, and is still there")


async def janitor(world: World, done: asyncio.Event) -> None:
    """Deletes all machines in the end, and waits until nothing is left of them and their
    executions.
    """
    await done.wait()
    for machine in (await world.call(lambda engine: engine.list_state_machines()))["stateMachines"]:
        await delete_machine(world, machine["stateMachineArn"])
    left = {"machine": 1}
    for _ in range(100):
        left = {
            table: number
            for table in KEPT
            if (number := disk.rows(world.path, f"SELECT count(*) FROM {table}")[0][0])
        }
        if not left:
            return
        await asyncio.sleep(100)
    world.violated(f"retention has left rows in {left}")


async def victim(world: World, name: str) -> None:
    """An execution of which stored bytes may be spoilt: then it is parked, and can be stopped.
    Nothing else is harmed.
    """
    arn = await create_machines(world, "victim", Workload(VICTIM))
    data = json.dumps({"items": list(range(12)), "text": "w" * 1500})

    async def start(engine: Engine) -> None:
        try:
            await engine.start_execution(arn, name=name, input=data)
        except (
            ApiError,
            StoreFormatError,
        ):  # it was started before, and its input cannot be read any more
            if not world.damaged:
                raise

    await world.call(start)
    mine = f"{arn.replace(':stateMachine:', ':execution:')}:{name}"

    async def look(engine: Engine) -> tuple[int, str, bool]:
        row = await engine.store.describe(mine)
        assert row is not None
        return row.id, row.status, mine in await engine.parked_executions()

    for _ in range(100):
        await asyncio.sleep(30)
        number, status, parked = await world.call(look)
        if status != "RUNNING":
            break
        if parked:
            world.note("parked", number)
            await world.call(lambda engine: engine.stop_execution(mine))
            number, status, _ = await world.call(look)
    if status != "SUCCEEDED" and not (number in world.damaged and status == "ABORTED"):
        world.violated(f"{name}, damaged: {number in world.damaged}, is {status}")


async def with_queues(world: World, operation: Callable[[Any], Any]) -> Any:
    """Call the queue service of the process that serves."""

    async def ask(engine: Engine) -> Any:
        tasks: Any = engine.tasks
        return await operation(await tasks.services.get("sqs"))

    return await world.call(ask)


async def postman(world: World, done: asyncio.Event) -> None:
    """Takes every message out of the queue: each that was sent once is there once, under one id."""
    ids: dict[str, str] = {}
    empty = 0
    while empty < 3:
        await asyncio.sleep(world.rng.choice((0, 1.0, 15.0)))
        try:
            found = await with_queues(
                world, lambda sqs: sqs.receive_message(QUEUE, max_number_of_messages=3)
            )
        except ApiError as refused:
            assert "NonExistentQueue" in refused.code or "QueueDoesNotExist" in refused.code, (
                refused
            )
            continue
        for message in found.get("Messages", ()):
            ids[message["MessageId"]] = message["Body"]
            await with_queues(
                world,
                lambda sqs: sqs.delete_message(QUEUE, message["ReceiptHandle"]),  # noqa: B023
            )
        empty = empty + 1 if done.is_set() and not found.get("Messages") else 0
        if empty:
            await asyncio.sleep(100)  # what was received and lost is visible again
    if sorted(ids.values()) != sorted(["first", *["each"] * 5, "last"]):
        world.violated(f"the queue had these messages: {sorted(ids.values())}")


async def clerk(world: World) -> None:
    """Writes records, one transaction after the other, and reads what was acknowledged."""
    for number in range(12):
        writes: dict[str, bytes | None] = {
            f"clerk/{number:02}": b"here",
            f"clerk/{number - 2:02}": None,
        }
        await world.call(lambda engine: engine.records.write(writes))  # noqa: B023
        found = [key for key, _ in await world.call(lambda engine: engine.records.scan("clerk/"))]
        if found != [f"clerk/{each:02}" for each in (number - 1, number) if each >= 0]:
            world.violated(f"record {number} was written, and these are there: {found}")
        await asyncio.sleep(world.rng.choice((0, 0, 3.0)))


async def activity_worker(world: World, activity: str, done: asyncio.Event) -> None:
    """Polls, works with heartbeats, and reports until the report is confirmed."""
    arn = f"arn:aws:states:us-east-1:123456789012:activity:{activity}"
    while not done.is_set():
        try:
            taken = await world.call(lambda engine: engine.get_activity_task(arn, timeout=60))
        except ApiError as refused:
            assert refused.code == "ActivityDoesNotExist", refused
            await asyncio.sleep(5)
            continue
        if not taken:
            continue
        token, payload = taken["taskToken"], json.loads(taken["input"])
        world.note("taken", token)
        try:
            for _ in range(world.rng.randrange(4)):
                await asyncio.sleep(40)
                await world.call(lambda engine: engine.send_task_heartbeat(token))  # noqa: B023
            result = ANSWERS["#" + activity](payload)
            if result is not HANG:
                await world.call(lambda engine: engine.send_task_success(token, json.dumps(result)))  # noqa: B023
                world.note("answered", token)
        except ApiError as refused:
            assert refused.code == "TaskTimedOut", refused
