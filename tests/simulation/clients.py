"""Who uses the simulated world: starts executions, watches them, works for activities, and compares what came out with what had to."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.simulation import histories
from tests.simulation.functions import HANG
from tests.simulation.virtual import Stuck
from tests.simulation.workloads import ANSWERS, WORKLOADS, Workload, text
from tests.simulation.world import CALM, Settings, World

from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError

Client = Callable[[], Coroutine[Any, Any, None]]


class Customer:
    """One execution of a workload, from its start to the comparison of its history."""

    def __init__(self, world: World, workload: str, name: str) -> None:
        self.world, self.workload, self.name = world, workload, name
        self.events: list[dict[str, Any]] = []
        self.watched: dict[int, dict[str, Any]] = {}
        self.children: dict[str, list[str]] = {}

    async def live(self) -> None:
        world, workload = self.world, WORKLOADS[self.workload]
        await asyncio.sleep(world.rng.choice((0, 0.5, 5.0, 20.0)))
        for activity in workload.activities:
            await world.call(lambda engine: engine.create_activity(activity))  # noqa: B023  # awaited within the loop
        self.machine = (await world.call(lambda engine: engine.create_state_machine(self._machine(), text(workload))))["stateMachineArn"]
        self.arn = await self._start(workload)
        world.note("started", self.arn)
        watcher = world.outside(self._watch())
        if workload.stop is not None:
            await asyncio.sleep(workload.stop)
            await world.first(*[self._stop] * world.rng.choice((1, 2)))
            world.note("stopped", self.arn)
            if (await self._describe())["status"] == "RUNNING":
                world.violated(f"{self.name} runs on after its stop was acknowledged")
        ended = await world.call(lambda engine: engine.wait(self.arn))
        world.note("ended", self.arn, ended["status"])
        await watcher
        for number in range(workload.redrives):
            ended = await self._redrive(number)
        self.events = await self._history(self.arn)
        self._check(ended)
        await self._check_children()

    async def _stop(self) -> None:
        await self.world.call(lambda engine: engine.stop_execution(self.arn, error="Enough", cause="by hand"))

    async def _redrive(self, number: int) -> dict[str, Any]:
        """Redrive it, until somebody says that it was; how it ended then."""
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
        """Until somebody says that it was started. A second try may find it closed already."""
        tries = 0

        async def start(engine: Engine) -> Any:
            nonlocal tries
            tries += 1
            return await engine.start_execution(self.machine, name=self.name, input=json.dumps(workload.input))

        both = [self.world.outside(self._once(start)) for _ in range(self.world.rng.choice((1, 2)))]
        answers = await asyncio.gather(*both)
        for answer in answers:
            if isinstance(answer, ApiError):
                known = await self._describe()
                if answer.code != "ExecutionAlreadyExists" or known["status"] == "RUNNING" or tries < 2:
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
                page = await self.world.call(lambda engine: engine.get_execution_history(arn, **options))  # noqa: B023
                events += page["events"]
                token = page.get("nextToken")
                if token is None:
                    break
            both.append(events)
        if both[0] != both[1][::-1]:
            self.world.violated(f"{arn}: the history differs when it is read backwards")
        return both[0]

    # --- checks ------------------------------------------------------------------------------------------------------------

    def _check(self, ended: dict[str, Any]) -> None:
        for problem in histories.problems(self.events, ended):
            self.world.violated(f"{self.name} ({self.workload}): {problem}")
        if [self.watched[number] for number in sorted(self.watched)] != self.events:
            self.world.violated(f"{self.name} ({self.workload}): what was shown at the time is not what is in the history now")

    async def _check_children(self) -> None:
        """The children of a Map Run end with it, and nothing else is left open."""
        if not self.workload.startswith("map run"):
            return
        for _ in range(60):
            listed = await self.world.call(lambda engine: engine.list_all_executions(status_filter="RUNNING"))
            mine = [item for item in listed["executions"] if f":{self._machine()}/" in item["executionArn"]]
            if not mine:
                break
            await asyncio.sleep(200)
        else:
            self.world.violated(f"{self.name}: children of its Map Run are still open: {[item['name'] for item in mine]}")
        listed = await self.world.call(lambda engine: engine.list_all_executions(max_results=1000))
        for item in listed["executions"]:
            if f":{self._machine()}/" in item["executionArn"]:
                index = item["name"].rpartition("-")[2]
                self.children[index] = histories.canonical(await self._history(item["executionArn"]))

    def canonical(self) -> dict[str, list[str]]:
        whole = histories.canonical(self.events, lost_attempts=self.workload == "activity")
        # what a child was doing when its Map Run was stopped depends on the moment
        stopped = self.workload in ("map run stopped", "map run out of time")
        return {"": whole, **({} if stopped else self.children)}


async def activity_worker(world: World, activity: str, stop: Callable[[], bool]) -> None:
    """Polls, works with heartbeats, reports until it is told that somebody knows."""
    arn = f"arn:aws:states:us-east-1:123456789012:activity:{activity}"
    while not stop():
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


class Outcome:
    """A finished run of the world."""

    def __init__(self, world: World, customers: list[Customer]) -> None:
        self.violations, self.trace, self.lives = world.violations, world.trace, len(world.processes)
        self.histories = {customer.workload: customer.canonical() for customer in customers if not world.violations}


def play(seed: int, workloads: list[str], settings: Settings = CALM, copies: int = 1) -> Outcome:
    """One world in which these workloads run at the same time. Raises Stuck."""
    with TemporaryDirectory(prefix="stepwell-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        world = World(seed, Path(folder), ANSWERS, settings)
        customers = [Customer(world, workload, f"{workload.replace(' ', '-')}-{copy}") for workload in workloads for copy in range(copies)]
        activities = sorted({activity for workload in workloads for activity in WORKLOADS[workload].activities})
        done = 0

        async def customer(each: Customer) -> None:
            nonlocal done
            try:
                await each.live()
            finally:
                done += 1

        clients: list[Client] = [lambda each=each: customer(each) for each in customers]  # type: ignore[misc]
        for activity in activities * 2:
            clients.append(lambda activity=activity: activity_worker(world, activity, lambda: done == len(customers)))  # type: ignore[misc]
        world.run(clients)
        return Outcome(world, customers)


@cache
def expected(workload: str) -> dict[str, list[str]]:
    """The history of a run in which nothing goes wrong."""
    outcome = play(0, [workload])
    assert outcome.violations == [], outcome.violations
    return outcome.histories[workload]


def faults(seed: int, among: Sequence[str] = ()) -> list[str]:
    """What goes wrong in the world of this seed: some of the workloads, drawn from it, among crashes. Empty: nothing does."""
    rng, among = random.Random(f"workloads {seed}"), among or list(WORKLOADS)
    chosen = rng.sample(among, rng.randrange(1, min(5, len(among) + 1)))
    try:
        outcome = play(seed, chosen, Settings())
    except Stuck as stuck:
        return [f"stuck: {stuck}"]
    found = list(outcome.violations)
    for workload, got in outcome.histories.items():
        want = expected(workload)
        for part in sorted(want.keys() | got.keys()):
            if want.get(part) != got.get(part):
                found.append(f"{workload} {part} ended otherwise:\n{histories.difference(want.get(part, []), got.get(part, []))}")
    return found
