"""The nodes of a cluster see each other, and which shards are free."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from tests.engine.store.conftest import own_schema
from tests.postgres import PostgresServer

from stepwell.engine.errors import StoreError
from stepwell.engine.limits import Limits
from stepwell.engine.sharding import Shard, share
from stepwell.engine.store.postgres.members import Members, View
from stepwell.engine.store.postgres.store import PostgresStore

COUNT = 4


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return own_schema(request, tmp_path)


@pytest.fixture
async def members(url: str) -> AsyncIterator[list[Members]]:
    """Three nodes that joined at once, on a new schema."""
    nodes = [Members(url, f"http://node-{number}", shards=COUNT) for number in range(3)]
    await asyncio.gather(*(node.join() for node in nodes))
    yield nodes
    for node in nodes:
        await node.leave()


async def test_nodes_see_each_other_come_and_leave(members: list[Members]) -> None:
    one, two, three = members
    everyone = {node.id: node.address for node in members}
    assert len(everyone) == 3
    assert await one.look() == View(everyone, {}, set(range(COUNT)), set())
    await three.leave()
    del everyone[three.id]
    assert (await two.look()).nodes == everyone
    again = await three.join()
    assert (await two.look()).nodes == everyone | {again: three.address}


async def test_owners_of_shards_are_known(members: list[Members], url: str) -> None:
    one, two, _ = members
    async with AsyncExitStack() as stack:
        stores = {
            number: PostgresStore(url, shard=Shard(number, COUNT), node=node)
            for number, node in ((0, one.id), (1, two.id), (3, None))
        }
        for store in stores.values():
            await store.open()
            stack.push_async_callback(store.close)
        view = await two.look()
        assert view.owners == {0: one.id, 1: two.id, 3: None} and view.free == {2}
        assert view.shards == COUNT
        await stores[0].close()
        view = await two.look()
        assert view.owners == {1: two.id, 3: None} and view.free == {0, 2}
        follower = PostgresStore(url, shard=Shard(0, COUNT), node=two.id)
        await follower.open()
        stack.push_async_callback(follower.close)
        assert (await one.look()).owners[0] == two.id


async def test_a_process_that_is_frozen_amid_a_statement_loses_its_shard(
    members: list[Members], postgres_server: PostgresServer
) -> None:
    """The server waits for the rest of the statement, and calls the session active: no timeout of
    its own ends that.
    """
    one, limits = members[0], Limits(owner_idle_seconds=0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", postgres_server.port)
    names = (
        b"user\0stepwell\0database\0" + one.target.url.partition("?")[0].rpartition("/")[2].encode()
    )
    writer.write(_message(b"", (196_608).to_bytes(4, "big") + names + b"\0\0"))
    lock = f"SELECT pg_advisory_lock({one.target.lock_class('shard')}, 1)"
    writer.write(_message(b"Q", lock.encode() + b"\0"))
    writer.write(_message(b"P", b"\0SELECT 1\0\0\0") + _message(b"H", b""))
    assert await reader.read(9999)
    watching = Members(one.target.url, "watching", shards=COUNT, limits=limits)
    await watching.join()

    async def free(seconds: float) -> bool:
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            if 1 in (await watching.look()).free:
                return True
            await asyncio.sleep(0.02)
        return False

    await asyncio.sleep(0.1)
    assert 1 not in (await watching.look()).free
    assert await free(60)
    writer.close()
    await watching.leave()


def _message(kind: bytes, content: bytes) -> bytes:
    """Of PostgreSQL's protocol."""
    return kind + (len(content) + 4).to_bytes(4, "big") + content


async def test_a_node_that_was_taken_for_dead_comes_back(members: list[Members], url: str) -> None:
    """Another one saw that its session had ended, and removed its row after it had joined again."""
    one, two, _ = members
    connection = await asyncpg.connect(url)
    await connection.execute(f"DELETE FROM {one.target.schema}.node WHERE id = $1", one.id)
    await connection.close()
    assert one.id not in (await two.look()).nodes
    assert one.id in (await one.look()).nodes
    assert (await two.look()).nodes[one.id] == one.address


async def test_a_node_whose_session_ended_joins_again_as_itself(
    members: list[Members], url: str
) -> None:
    one, two, _ = members
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks"
        " WHERE locktype = 'advisory' AND objid = $1 AND classid = $2",
        one.id,
        one.target.lock_class("node") % (1 << 32),
    )
    while one.id in (await two.look()).nodes:  # noqa: ASYNC110  # the database tells
        await asyncio.sleep(0.01)
    assert await connection.fetchval("SELECT count(*) FROM node WHERE id = $1", one.id) == 0
    await connection.close()
    while True:  # the first attempts may meet the session that ended
        try:
            view = await one.look()
            break
        except StoreError:
            await asyncio.sleep(0.01)
    assert view.nodes[one.id] == one.address and len(view.nodes) == 3


NODE = """
import asyncio, sys
from stepwell.engine.limits import Limits
from stepwell.engine.store.postgres.members import Members

async def main():
    limits = Limits(owner_idle_seconds=float(sys.argv[2]))
    node = Members(sys.argv[1], "there", limits=limits)
    print(await node.join(), flush=True)
    while True:
        await node.look()
        await asyncio.sleep(0.25)

asyncio.run(main())
"""


async def looked(members: list[Members]) -> View:
    """What the last one sees; all look, or their sessions would end as idle ones."""
    for node in members:
        view = await node.look()
    return view


@pytest.mark.parametrize(
    ("sent", "idle_seconds"), [(signal.SIGKILL, 600), (signal.SIGSTOP, 2)], ids=["killed", "frozen"]
)
async def test_the_death_of_a_process_is_seen(
    members: list[Members], url: str, sent: signal.Signals, idle_seconds: int
) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220  # starts at once
        [sys.executable, "-c", NODE, url, str(idle_seconds)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        number = int(await asyncio.to_thread(process.stdout.readline))
        assert (await members[0].look()).nodes[number] == "there"
        process.send_signal(sent)
        end = time.monotonic() + 60
        while number in (view := await looked(members)).nodes:
            assert time.monotonic() < end  # frozen amid a statement: after their idle time
            await asyncio.sleep(0.02)
        assert set(share(view.nodes, COUNT)) == {node.id for node in members}
    finally:
        process.kill()
        process.wait()


async def test_a_database_that_cannot_be_reached() -> None:
    with pytest.raises(StoreError):
        await Members("postgresql://me@127.0.0.1:1/postgres", "here", limits=Limits()).join()
