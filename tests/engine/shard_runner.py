"""A node that test_shard_kills.py kills: it joins the members of a PostgreSQL schema, opens the
engines of its share of the shards, and starts executions on each of them.

    arguments  URL of the schema, number of shards, ARN of the state machine
    prints     owns SHARD       started ARN       ended ARN STATUS, once each is true
    input      its end: close everything and exit
"""

import asyncio
import sys

from stepwell.asl.evaluation import Json
from stepwell.engine.engine import Engine
from stepwell.engine.limits import Limits
from stepwell.engine.sharding import Shard, share
from stepwell.engine.store.base import StoreInUseError
from stepwell.engine.store.postgres.joint_commits import JointCommits
from stepwell.engine.store.postgres.members import Members
from stepwell.engine.store.postgres.readers import Readers
from stepwell.engine.store.postgres.store import PostgresStore
from stepwell.integrations.tasks.registry import Registry

LIMITS = Limits(owner_idle_seconds=2)
CLIENTS = 3  # of each shard


async def work(payload: Json) -> Json:
    await asyncio.sleep(0.002)
    return payload


def opened(
    url: str,
    shard: Shard,
    readers: Readers | None = None,
    joint: JointCommits | None = None,
    node: int | None = None,
) -> Engine:
    store = PostgresStore(url, limits=LIMITS, shard=shard, readers=readers, joint=joint, node=node)
    return Engine(store=store, tasks=Registry({"work": work}), limits=LIMITS)


def say(*words: object) -> None:
    print(*words, flush=True)


class Node:
    def __init__(self, url: str, count: int, machine: str) -> None:
        self.url, self.count, self.machine = url, count, machine
        self.members, self.readers = Members(url, "here", shards=count, limits=LIMITS), Readers(url)
        self.joint = JointCommits()
        self.engines: dict[int, Engine] = {}
        self.clients: dict[int, list[asyncio.Task[None]]] = {}

    async def run(self, closing: asyncio.Event) -> None:
        node = await self.members.join()
        await self.readers.open()
        while not closing.is_set():
            view = await self.members.look()
            own = share(view.nodes, self.count).get(node, set())
            for number in (own & view.free) - self.engines.keys():
                await self.take(number, node)
            for number in self.engines.keys() - own:
                await self.drop(number)
            for client in (client for clients in self.clients.values() for client in clients):
                if client.done():
                    client.result()  # a failed engine ends the process
            await asyncio.sleep(0.05)
        for number in list(self.engines):
            await self.drop(number)
        await self.members.leave()
        await self.readers.close()

    async def take(self, number: int, node: int) -> None:
        engine = opened(self.url, Shard(number, self.count), self.readers, self.joint, node)
        try:
            await engine.open()
        except StoreInUseError:
            return  # another node was faster
        self.engines[number] = engine
        say("owns", number)
        self.clients[number] = [
            asyncio.create_task(self.client(engine, number * CLIENTS + client))
            for client in range(CLIENTS)
        ]

    async def drop(self, number: int) -> None:
        clients = self.clients.pop(number)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await self.engines.pop(number).close()

    async def client(self, engine: Engine, number: int) -> None:
        while True:
            arn = (await engine.start_execution(self.machine, input=f"{number}"))["executionArn"]
            say("started", arn)
            if number % CLIENTS:
                say("ended", arn, (await engine.wait(arn))["status"])
            await asyncio.sleep(0.03)


async def main(url: str, count: str, machine: str) -> None:
    closing, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin, closing.set)
    await Node(url, int(count), machine).run(closing)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
