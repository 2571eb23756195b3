"""A real PgBouncer between the store and its server: session mode works, the others are refused
before any session is set up or anything is created.
"""

from collections.abc import Iterator

import asyncpg
import pytest
from tests.conftest import Command
from tests.integrations.nodes.cluster import cluster
from tests.integrations.server.live import ROLE, WAIT
from tests.poolers import pooler
from tests.postgres import PostgresServer

from stepwell.engine.errors import StoreError
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.store.base import StoreInUseError, Writes
from stepwell.engine.store.opening import share_database
from stepwell.engine.store.postgres.session import failure
from stepwell.engine.store.postgres.store import PostgresStore

SHARED = "lends its sessions for one transaction or statement.*pool_mode=session"
SETTINGS = (
    "search_path, statement_timeout, idle_session_timeout, jit, default_transaction_read_only"
)
"""Names that operators let PgBouncer drop, if it refuses clients that send them."""


@pytest.fixture(params=["transaction", "statement"])
def shared(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[str]:
    with pooler(postgres_server, request.param, ignore_startup_parameters=SETTINGS) as url:
        yield f"{url}?search_path=pooled"


async def test_a_pooler_that_shares_sessions_is_refused(
    shared: str, postgres_server: PostgresServer
) -> None:
    for read_only in (False, True):
        with pytest.raises(StoreError, match=SHARED):
            await PostgresStore(shared, read_only=read_only).open()
    with pytest.raises(StoreError, match=SHARED):
        await share_database(shared, "here", "", DEFAULT_LIMITS).open()
    direct = await asyncpg.connect(postgres_server.url)
    assert await direct.fetchval("SELECT to_regnamespace('pooled')") is None
    lent = await asyncpg.connect(shared.partition("?")[0], statement_cache_size=0)
    for name in ("search_path", "enable_seqscan", "statement_timeout"):  # none is left in it
        assert await lent.fetchval(f"SHOW {name}") == await direct.fetchval(f"SHOW {name}")
    await lent.close()
    await direct.close()


async def test_a_pooler_whose_sessions_are_lent_in_turn_is_refused(
    postgres_server: PostgresServer,
) -> None:
    with pooler(postgres_server, "transaction", server_round_robin=1) as url:
        others = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(3)]
        opened = [each.transaction() for each in others]
        for each in opened:
            await each.start()
        for each in opened:
            await each.rollback()  # now there are sessions to take in turn
        for _ in range(5):
            with pytest.raises(StoreError, match=SHARED):
                await PostgresStore(url).open()
        for client in others:
            client.terminate()


def test_commands_name_the_mend(shared: str, command_here: Command) -> None:
    for words in (["list"], ["db", "check"], ["serve", "--port", "0"]):
        done = command_here(*words, "--db", shared)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
        assert "pool_mode=session" in done.stderr


async def test_a_pooler_in_session_mode_keeps_locks_and_settings(
    postgres_server: PostgresServer,
) -> None:
    with pooler(postgres_server, "session") as url:
        url = f"{url}?search_path=kept"
        store = PostgresStore(url)
        await store.open()
        await store.commit([Writes({"key": b"{}"})])
        with pytest.raises(StoreInUseError):
            await PostgresStore(url).open()
        await store.close()
        direct = PostgresStore(f"{postgres_server.url}?search_path=kept")
        await direct.open()
        assert await direct.records("", limit=10) == [("key", b"{}")]
        await direct.close()


async def test_a_pool_that_is_too_small_is_named(postgres_server: PostgresServer) -> None:
    for mode in ("session", "transaction"):
        with (
            pooler(postgres_server, mode, default_pool_size=1, query_wait_timeout=1) as url,
            pytest.raises(StoreError, match="pooler has no free session"),
        ):
            await PostgresStore(url).open()


def test_a_server_that_the_pooler_does_not_reach_is_named() -> None:
    """Its error comes after 15 seconds; the text is that of PgBouncer 1.18."""
    text = "server login has been failing, try again later (server_login_retry)"
    assert str(failure(asyncpg.ConnectionDoesNotExistError(text))) == (
        "the pooler does not reach the server"
    )


def test_a_node_behind_a_pooler_dies(home: dict[str, str], postgres_server: PostgresServer) -> None:
    with (
        pooler(postgres_server, "session", default_pool_size=60) as url,
        cluster(home, f"{url}?search_path=nodes") as nodes,
    ):
        states = nodes.client(retries={"total_max_attempts": 10})
        machine = states.create_state_machine(name="m", definition=WAIT, roleArn=ROLE)
        started = [
            states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
            for _ in range(16)
        ]
        nodes.end(nodes.nodes[0], 9)
        nodes.settled()
        for each in started:
            states.stop_execution(executionArn=each)
            assert states.describe_execution(executionArn=each)["status"] == "ABORTED"
