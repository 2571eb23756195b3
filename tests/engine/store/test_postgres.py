"""What only a store in PostgreSQL has: sessions that end, freeze and are taken over, a server that
dies, other servers than the one that is needed.
"""

import asyncio
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.engine.store.conftest import own_schema
from tests.engine.store.machines import Run
from tests.engine.store.test_contract import machine_row
from tests.postgres import PostgresServer, postgres

from stepwell.engine.core.events import Stop
from stepwell.engine.errors import StoreError
from stepwell.engine.limits import Limits
from stepwell.engine.store.base import StoreFormatError, StoreInUseError, StoreLostError, Writes
from stepwell.engine.store.postgres.members import Members
from stepwell.engine.store.postgres.session import SILENT_SECONDS, Target, connect
from stepwell.engine.store.postgres.store import PostgresStore
from stepwell.engine.store.sql.queries import Query

WRITER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return own_schema(request, tmp_path)


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(url)
    await made.open()
    yield made
    await made.close()


async def sql(url: str, statement: str, *values: Any) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement, *values)
    finally:
        await connection.close()


async def put(store: PostgresStore, key: str) -> None:
    await store.commit([Writes({key: b"{}"})])


async def keys(store: PostgresStore) -> list[str]:
    return [key for key, _ in await store.records("", limit=1_000_000)]


# --- one owner ------------------------------------------------------------------------------------


async def test_a_schema_has_one_owner(store: PostgresStore, url: str) -> None:
    with pytest.raises(StoreInUseError, match="in use by another process"):
        await PostgresStore(url).open()
    other = PostgresStore(f"{url}_other")
    await other.open()
    await put(other, "theirs")
    await put(store, "ours")
    assert (await keys(store), await keys(other)) == (["ours"], ["theirs"])
    await other.close()
    await store.close()
    again = PostgresStore(url)
    await again.open()
    assert await keys(again) == ["ours"]
    await again.close()


async def test_an_owner_whose_session_ended_is_followed_by_another(
    store: PostgresStore, url: str
) -> None:
    await put(store, "before")
    await sql(url, f"SELECT pg_terminate_backend(pid) FROM ({WRITER}) AS owner (pid)")
    second = PostgresStore(url)
    await second.open()  # at once: the lock went with the session
    await put(second, "taken over")
    with pytest.raises(StoreError) as late:
        await put(store, "too late")
    with pytest.raises(StoreError, match="open the store again") as found:
        store.check()
    assert str(late.value) in str(found.value)  # no text of a library
    assert await keys(second) == ["before", "taken over"]
    await second.close()


async def test_the_next_host_is_called_while_one_is_silent(postgres_server: PostgresServer) -> None:
    """The first has lost its power, or its network: it refuses nothing. One that refuses costs no
    time, and in which order they are does not matter.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = [silent.getsockname()[1], closed.getsockname()[1], postgres_server.port]
        for order in itertools.permutations(ports):
            hosts = ",".join(f"127.0.0.1:{port}" for port in order)
            url = f"postgresql://stepwell@{hosts}/postgres"
            session = await asyncio.wait_for(connect(Target(url)), 8)  # CONNECT_SECONDS: 10
            assert await session.fetchval("SELECT 1") == 1
            await session.close()


async def test_a_session_ends_when_its_server_is_silent(postgres_server: PostgresServer) -> None:
    """The kernel ends it; tests/integrations/nodes/test_partitions.py shows that."""
    session = await connect(Target(postgres_server.url))
    sock = session._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        silent = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert silent == 1000 * SILENT_SECONDS
    await session.close()


async def test_a_session_that_ended_is_noticed_without_a_commit(url: str) -> None:
    store = PostgresStore(url, limits=Limits(owner_idle_seconds=1))
    await store.open()
    await sql(url, f"SELECT pg_terminate_backend(pid) FROM ({WRITER}) AS owner (pid)")
    with pytest.raises(StoreError):
        async with asyncio.timeout(60):
            while True:
                store.check()
                await asyncio.sleep(0.05)
    await store.close()


async def test_a_reading_that_is_cancelled_leaves_no_old_state_behind(
    store: PostgresStore,
) -> None:
    """A session that stays in its transaction would show later readers the rows of that time."""
    rng = random.Random(1)
    for _ in range(200):
        reading = asyncio.create_task(store.list_executions("arn:m"))
        await asyncio.sleep(rng.random() * 0.004)
        for _ in range(rng.choice((1, 2, 3))):
            reading.cancel()
            await asyncio.sleep(rng.random() * 0.0004)
        with suppress(asyncio.CancelledError):
            await reading
    row = await store.put_machine(machine_row("new"))
    found = await asyncio.gather(*(store.machine(row.arn) for _ in range(8)))
    assert all(found)


async def test_a_value_that_cannot_be_decoded_is_no_fault_of_the_session(
    store: PostgresStore,
) -> None:
    """Else one deep value would count as the loss of the whole store."""

    def deep() -> Query[None]:
        yield "count_machines", ()
        raise RecursionError("too deep")

    with pytest.raises(RecursionError):
        await store.database.query(deep())
    assert await store.count_machines() == 0
    store.check()


async def test_the_epoch_stops_an_owner_whatever_became_of_its_lock(
    store: PostgresStore, url: str
) -> None:
    """As behind a pooler that lent the session with the lock to another client."""
    run = Run(store, "tasks")
    await store.commit(run.taken())
    await sql(url, "UPDATE shard SET epoch = epoch + 1")
    with pytest.raises(StoreLostError, match="another owner"):
        await put(store, "too late")
    with pytest.raises(StoreError, match="another owner"):
        store.check()
    with pytest.raises(StoreError):
        await store.load(run.id)
    assert await sql(url, "SELECT key FROM record") == []


async def test_small_writes_carry_the_epoch_too(store: PostgresStore, url: str) -> None:
    await sql(url, "UPDATE shard SET epoch = epoch + 1")
    with pytest.raises(StoreLostError):
        await store.delete_machine("arn")


OWNER = """
import asyncio, sys
from stepwell.engine.limits import Limits
from stepwell.engine.store.base import Writes
from stepwell.engine.store.postgres.members import Members
from stepwell.engine.store.postgres.session import SILENT_SECONDS, Target, connect
from stepwell.engine.store.postgres.store import PostgresStore

async def main():
    store = PostgresStore(sys.argv[1], limits=Limits(owner_idle_seconds=2))
    await store.open()
    print("open", flush=True)
    sys.stdin.readline()
    try:
        await store.commit([Writes({"zombie": b""})])
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    else:
        print("committed", flush=True)

asyncio.run(main())
"""


async def test_a_frozen_owner_loses_its_lock_and_writes_nothing_when_it_wakes(url: str) -> None:
    begun, refused = time.monotonic(), False
    owner = subprocess.Popen(  # noqa: ASYNC220  # starts at once
        [sys.executable, "-c", OWNER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert owner.stdin is not None and owner.stdout is not None
    try:
        assert owner.stdout.readline() == "open\n"
        owner.send_signal(signal.SIGSTOP)
        store = PostgresStore(url)
        while True:
            try:
                await store.open()
                break
            except StoreInUseError:
                refused = True
                assert time.monotonic() < begun + 60
                await asyncio.sleep(0.1)
        assert refused or time.monotonic() > begun + 2  # not before its session was idle for long
        await put(store, "ours")
        owner.send_signal(signal.SIGCONT)
        owner.stdin.write("\n")
        owner.stdin.flush()
        answer = await asyncio.to_thread(owner.stdout.readline)
        assert answer.startswith("StoreError"), answer
        assert await keys(store) == ["ours"]
        await store.close()
    finally:
        owner.kill()
        owner.wait()


# --- a server that dies ---------------------------------------------------------------------------


async def test_nothing_acknowledged_is_lost_when_the_server_dies(tmp_path: Path) -> None:
    """Its processes are killed amid commits, and recover from the log; the store is finished, as
    after any failed commit.
    """
    with postgres() as server:
        acknowledged: list[str] = []
        for life in range(4):
            store = PostgresStore(server.url)
            await store.open()
            assert set(acknowledged) <= set(await keys(store))

            async def write(store: PostgresStore, life: int, writer: int) -> None:
                for number in range(10_000):
                    key = f"{life}/{writer}/{number:05}"
                    await put(store, key)
                    acknowledged.append(key)

            writers = [asyncio.create_task(write(store, life, writer)) for writer in range(8)]
            enough = len(acknowledged) + 30
            async with asyncio.timeout(60):
                while len(acknowledged) < enough:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(server.kill)
            ends = await asyncio.gather(*writers, return_exceptions=True)
            assert all(isinstance(end, StoreError) for end in ends), ends
            with pytest.raises(StoreError, match="open the store again"):
                await put(store, "later")
            await store.close()
            server.start()
        assert len(acknowledged) > 100


async def test_a_server_that_cannot_be_reached(server_down: str) -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1") as refused:
        await PostgresStore(server_down).open()
    assert "secret" not in str(refused.value)


@pytest.fixture
def server_down() -> Iterator[str]:
    with socket.socket() as closed:  # bound, so that nothing else listens there
        closed.bind(("127.0.0.1", 0))
        yield f"postgresql://me:secret@127.0.0.1:{closed.getsockname()[1]}/postgres"


# --- what is stored -------------------------------------------------------------------------------


async def test_an_error_of_a_connection_says_what_to_change(url: str) -> None:
    for other, text in (
        (url.replace("stepwell@", "none@"), 'PostgreSQL reports: role "none" does not exist'),
        (f"{url}&sslmode=verify-full&sslrootcert=/none.crt", "a file does not exist: of a cert"),
        (f"{url}&sslmode=verify-full", "root certificate file .* cannot be accessed"),
        (f"{url}&sslmode=of-course", "`sslmode` parameter must be one of"),
    ):
        with pytest.raises(StoreError, match=text) as found:
            await PostgresStore(other).open()
        assert "\n" not in str(found.value) and "127.0.0.1" in str(found.value)


async def test_texts_may_hold_nul(store: PostgresStore) -> None:
    run = Run(store, "tasks")
    run.send(Stop("a\0b", "\0"))
    await store.commit(run.taken())
    await store.commit([Writes({"a\0key": b"\0"})])
    row = await store.describe(run.execution.arn)
    assert row is not None and (row.error, row.cause) == ("a\0b", "\0")
    assert await store.records("a") == [("a\0key", b"\0")]


async def test_a_newer_format_is_refused_with_the_mend(store: PostgresStore, url: str) -> None:
    await store.close()
    await sql(url, "INSERT INTO format (number) VALUES (999)")
    with pytest.raises(StoreFormatError, match=r"format 999, .*newer version.*upgrade stepwell"):
        await PostgresStore(url).open()
    with pytest.raises(StoreFormatError, match="newer version"):
        await PostgresStore(url, read_only=True).open()


async def test_an_older_format_is_not_changed_under_those_who_use_it(
    store: PostgresStore, url: str
) -> None:
    """As in a rolling upgrade: nodes of both versions."""
    await put(store, "a")
    await sql(url, "DROP TABLE attribute")
    await sql(url, "DELETE FROM format WHERE number = 4")
    for _ in range(2):
        with pytest.raises(StoreFormatError, match=r"format 3, .* stop them first"):
            await Members(url, "new", shards=8).join()
    await put(store, "b")  # it goes on
    reader = PostgresStore(url, read_only=True)
    await reader.open()
    with pytest.raises(StoreError, match="`stepwell db migrate`"):
        await reader.database.rows("attributes_of", [1])
    await reader.close()
    await store.close()
    newer = Members(url, "new", shards=8)
    await newer.join()
    await newer.leave()
    assert await sql(url, "SELECT max(number) FROM format") == [(4,)]


async def test_it_may_be_read_beside_its_owner(store: PostgresStore, url: str) -> None:
    await put(store, "a")
    reader = PostgresStore(url, read_only=True)
    await reader.open()
    assert await keys(reader) == ["a"]
    with pytest.raises(StoreError, match="reading only"):
        await put(reader, "b")
    await reader.close()
    with pytest.raises(StoreError, match="not open"):
        await keys(reader)
    await put(store, "b")


async def test_a_database_without_stepwell_has_nothing_to_read(url: str) -> None:
    with pytest.raises(StoreFormatError, match="no schema"):
        await PostgresStore(url, read_only=True).open()


@pytest.mark.parametrize("schema", ["", "a,b", "a b", '"x"', "1x", "Orders"])
def test_one_plain_schema_is_named(schema: str) -> None:
    with pytest.raises(StoreError, match="search_path"):
        PostgresStore(f"postgresql://h/d?search_path={schema}&x=y")
