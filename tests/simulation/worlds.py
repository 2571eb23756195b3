"""Worlds of a seed: what may happen in them, their clients, and the violations at their end."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.simulation import histories
from tests.simulation.clients import (
    Customer,
    ExpressCustomer,
    activity_worker,
    clerk,
    janitor,
    postman,
    victim,
)
from tests.simulation.virtual import Stuck
from tests.simulation.workloads import ANSWERS, WORKLOADS
from tests.simulation.world import CALM, LIMITS, Settings, World

Client = Callable[[], Coroutine[Any, Any, None]]
SMALL_LOGS = (30, 8, 4)  # pages


class Outcome:
    """A finished run of the world."""

    def __init__(self, world: World, customers: Sequence[Customer | ExpressCustomer]) -> None:
        self.violations, self.trace, self.lives = (
            world.violations,
            world.trace,
            len(world.processes),
        )
        self.histories = {
            customer.workload: customer.canonical()
            for customer in customers
            if not world.violations
        }


def drawn(rng: random.Random, chosen: Sequence[str]) -> Settings:
    """What may happen in a world with these workloads."""
    steps, limits = (
        (-900.0, -30.0, -3.0, 5.0, 30.0),
        replace(LIMITS, timer_window_seconds=rng.choice((10, 10, 600))),
    )
    retention = rng.random() < 0.2
    if retention:
        limits = replace(
            limits,
            timer_window_seconds=600,
            retention_seconds=1500,
            retention_page=2,
            sweep_seconds=300,
        )
    elif all(WORKLOADS[workload].patient for workload in chosen):
        steps += (55.0, 3600.0)
    return Settings(
        pages=rng.choice((CALM.pages, *SMALL_LOGS)),
        status=rng.random() < 0.5,
        steps=steps if rng.random() < 0.4 else (),
        retention=retention,
        damage=not retention and rng.random() < 0.2,
        limits=limits,
    )


def play(seed: int, workloads: Sequence[str], settings: Settings = CALM) -> Outcome:
    """One world in which these workloads run at the same time. Raises Stuck."""
    with TemporaryDirectory(
        prefix="stepwell-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as folder:
        services = tuple(
            sorted({name for workload in workloads for name in WORKLOADS[workload].services})
        )
        world = World(seed, Path(folder), ANSWERS, replace(settings, services=services))
        kinds = {
            workload: ExpressCustomer if WORKLOADS[workload].express else Customer
            for workload in workloads
        }
        customers = [
            kind(world, workload, f"{workload.replace(' ', '-')}-0")
            for workload, kind in kinds.items()
        ]
        activities = sorted(
            {activity for workload in workloads for activity in WORKLOADS[workload].activities}
        )
        left, done = len(customers), asyncio.Event()

        async def customer(each: Customer | ExpressCustomer) -> None:
            nonlocal left
            try:
                await each.live()
            finally:
                left -= 1
                if not left:
                    done.set()

        clients: list[Client] = [lambda each=each: customer(each) for each in customers]  # type: ignore[misc]
        for activity in activities * 2:
            clients.append(lambda activity=activity: activity_worker(world, activity, done))  # type: ignore[misc]
        if "records" in workloads:
            clients.append(lambda: clerk(world))
        if "queue" in workloads:
            clients.append(lambda: postman(world, done))
        if settings.damage:
            clients += [lambda name=name: victim(world, name) for name in ("victim-0", "victim-1")]  # type: ignore[misc]
        if settings.retention:
            clients.append(lambda: janitor(world, done))
        try:
            world.run(clients)
        except Stuck as stuck:
            stuck.before = world.violations
            raise
        return Outcome(world, customers)


@cache
def expected(workload: str) -> dict[str, list[str]]:
    """The history of a run in which nothing goes wrong."""
    outcome = play(0, [workload])
    assert outcome.violations == [], outcome.violations
    return outcome.histories[workload]


def faults(seed: int, among: Sequence[str] = ()) -> list[str]:
    """What goes wrong in the world of this seed: some of the workloads, drawn from it, among
    crashes. Empty: nothing does.
    """
    rng, among = random.Random(f"workloads {seed}"), among or list(WORKLOADS)
    chosen = rng.sample(among, rng.randrange(1, min(5, len(among) + 1)))
    settings = drawn(rng, chosen)
    try:
        outcome = play(seed, chosen, settings)
    except Stuck as stuck:
        return [*stuck.before, f"stuck: {stuck}"]
    found = list(outcome.violations)
    for workload, got in outcome.histories.items():
        want = expected(workload)
        for part in sorted(want.keys() | got.keys()):
            if want.get(part) != got.get(part):
                found.append(
                    f"{workload} {part} ended "
                    f"otherwise:\n{histories.difference(want.get(part, []), got.get(part, []))}"
                )
    return found
