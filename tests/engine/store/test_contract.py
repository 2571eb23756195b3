"""What every store does. The same tests run on all of them: a new store is one line in STORES."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.store.conftest import own_schema
from tests.engine.store.machines import DEFINITIONS, HOME, PROGRAMS, START, Run, flat

from stepwell.engine.core.events import Heartbeat, Stop, TaskFailed, TaskSucceeded, Tick
from stepwell.engine.core.model import Payload, Phase
from stepwell.engine.errors import StoreError
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.sharding import Shard
from stepwell.engine.store.base import ActivityRow, MachineRow, Store, Writes
from stepwell.engine.store.keys import EVENTS, ROWS
from stepwell.engine.store.postgres.store import PostgresStore
from stepwell.engine.store.sql.queries import Reader
from stepwell.engine.store.sqlite.store import SqliteStore

STORES: dict[str, Callable[[pytest.FixtureRequest, Path], Store]] = {
    "sqlite": lambda request, folder: SqliteStore(folder / "stepwell.db"),
    "sqlite-memory": lambda request, folder: SqliteStore(),
    "postgresql": lambda request, folder: PostgresStore(
        own_schema(request, folder), shard=Shard(3, 8)
    ),
}
ITEMS = {"items": list(range(6)), "why": "because"}


@pytest.fixture(params=STORES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    return lambda: STORES[request.param](request, tmp_path)


@pytest.fixture
async def store(make: Callable[[], Store]) -> AsyncIterator[Store]:
    made = make()
    await made.open()
    yield made
    await made.close()


async def loaded(store: Store, run: Run) -> Any:
    found = await store.load(run.id)
    assert found is not None and found.id == run.id and found.definition == 7
    return found.decode(run.program)


async def committed(store: Store, *runs: Run) -> None:
    await store.commit([unit for run in runs for unit in run.taken()])


# --- records --------------------------------------------------------------------------------------


async def test_records_are_put_deleted_and_scanned_in_the_order_of_their_keys(store: Store) -> None:
    await store.commit(
        [
            Writes(
                {f"sqs/q/{number:03}": bytes([number]) for number in range(9)}
                | {"sqs/r/0": b"r", "sns/t": b""}
            )
        ]
    )
    await store.commit([Writes({"sqs/q/003": None, "sqs/q/004": b"new", "never": None})])
    keys = [f"sqs/q/{number:03}" for number in (0, 1, 2, 4, 5, 6, 7, 8)]
    assert [key for key, _ in await store.records("sqs/q/")] == keys
    assert await store.records("sqs/q/", limit=2) == [(keys[0], b"\0"), (keys[1], b"\1")]
    assert await store.records("sqs/q/", after=keys[2], limit=2) == [
        (keys[3], b"new"),
        (keys[4], b"\5"),
    ]
    assert await store.records("sns/") == [("sns/t", b"")] and await store.records(
        "sq"
    ) == await store.records("sqs/")
    assert await store.records("never") == await store.records("sqs/q/", after="sqs/q/9") == []


async def test_the_last_write_of_a_commit_counts(store: Store) -> None:
    run = Run(store, "tasks")
    first, *_ = run.taken()
    await store.commit(
        [
            Writes({"a": b"1", "b": b"1"}),
            first._replace(writes={"a": b"2", "b": None, "c": b"2"}),
            Writes({"c": None, "b": b"3"}),
        ]
    )
    assert await store.records("") == [("a", b"2"), ("b", b"3")]
    assert await store.describe(run.execution.arn) is not None


# --- executions: one after another ----------------------------------------------------------------


async def test_an_execution_is_described_as_of_its_last_commit(store: Store) -> None:
    run = Run(
        store,
        "tasks",
        Payload({"a": 1}, b'{ "a": 1 }'),
        extras={"version": "v1"},
        parent=(3, 1, 2, 9),
    )
    assert await store.describe(run.execution.arn) is None
    await committed(store, run)
    row = await store.describe(run.execution.arn)
    x = run.execution
    assert row is not None
    assert row._asdict() == {
        **{name: getattr(x, name) for name in row._fields if name not in ("input", "output")},
        "input": b'{ "a": 1 }',
        "output": None,
    }
    run.finish()
    assert await store.describe(x.arn) == row
    await committed(store, run)
    row = await store.describe(x.arn)
    x = run.execution
    assert row is not None and x.output is not None
    assert (row.status, row.stopped, row.events, row.output) == (
        "SUCCEEDED",
        x.stopped,
        x.events,
        x.output.data,
    )
    assert await store.find(x.machine_arn, x.name) == row
    assert await store.find(x.machine_arn, "other") is None
    assert await store.find(f"{HOME}:stateMachine:other", x.name) is None


async def test_names_that_are_taken(store: Store) -> None:
    closed, running = Run(store, "passes"), Run(store, "tasks")
    closed.finish()
    await committed(store, closed, running)
    arns = [closed.execution.arn, running.execution.arn]
    free = [arn + "x" for arn in arns]
    other = arns[0].replace(":execution:", ":execution:other-")
    asked = [*free, *arns, other, arns[0]]
    taken = await asyncio.gather(*map(store.taken, asked))
    assert dict(zip(asked, taken)) == {arn: arn in arns for arn in asked}


async def test_several_are_loaded_by_one_read(store: Store) -> None:
    runs = [Run(store, "tasks") for _ in range(3)]
    await committed(store, *runs)
    unknown = runs[1].id + 1000
    found = await store.load_all([runs[2].id, unknown, runs[0].id])
    assert [each and each.id for each in found] == [runs[2].id, None, runs[0].id]
    assert await store.load_all([]) == []


async def test_what_no_database_stores_is_not_found_and_hinders_no_other(store: Store) -> None:
    run = Run(store, "passes")
    run.finish()
    await committed(store, run)
    arn = run.execution.arn
    asked = [arn, arn + "\0", arn, arn + "\ud800", arn + "x"]
    found = await asyncio.gather(*map(store.describe, asked))
    assert [row and row.id for row in found] == [run.id, None, run.id, None, None]


@pytest.mark.parametrize("machine", DEFINITIONS)
async def test_what_is_loaded_is_what_was_committed_and_goes_on_alike(
    store: Store, machine: str
) -> None:
    run = Run(store, machine, ITEMS, seed=5)
    while run.running:
        await committed(store, run)
        store.forget(run.id)
        found = await loaded(store, run)
        assert flat(found) == flat(run.execution)
        run.execution = found
        run.step()
    await committed(store, run)
    assert (await store.load(run.id) is None) == (run.execution.snapshot is None)
    assert flat(await store.history(run.id)) == flat(run.history)
    twin = Run(store, machine, ITEMS, seed=5)
    twin.finish()
    assert flat(twin.history) == flat(run.history)


@pytest.mark.parametrize("machine", DEFINITIONS)
@pytest.mark.parametrize("restart", [False, True])
async def test_what_failed_or_was_stopped_is_redriven_from_what_is_stored(
    store: Store, machine: str, restart: bool
) -> None:
    """However often, and whether or not the worker still has it in memory; with the row and the
    history as for any other execution.
    """
    for seed in range(6):
        run = Run(store, machine, {"items": list(range(30)), "why": "w"}, seed=seed)
        for _ in range(4):
            for _ in range(run.random.choice((0, 3, 9, 40))):
                if run.running:
                    run.step()
                    await committed(store, *[run] * run.random.randrange(2))
            if run.running:
                run.stop()
                await committed(store, *[run] * run.random.randrange(2))
            if run.execution.snapshot is None:
                break
            if restart:
                await committed(store, run)
                store.forget(run.id)
                found = await loaded(store, run)
                assert flat(found) == flat(run.execution) and found.snapshot
                run.execution = found
            run.redrive()
            await committed(store, *[run] * run.random.randrange(2))
        run.calm = True
        if machine != "failing":
            run.finish()
        await committed(store, run)
        row, x = await store.describe(run.execution.arn), run.execution
        assert row is not None
        assert (row.status, row.stopped, row.events, row.extras) == (
            x.status,
            x.stopped,
            x.events,
            x.extras,
        )
        assert flat(await store.history(run.id, limit=100_000)) == flat(run.history)
        assert (await store.load(run.id) is None) == (x.snapshot is None)


async def test_an_execution_that_starts_and_ends_in_one_unit(store: Store) -> None:
    run = Run(store, "passes", {"a": 1})
    assert len(run.units) == 1 and not run.running
    await committed(store, run)
    row = await store.describe(run.execution.arn)
    assert (
        row is not None
        and row.status == "SUCCEEDED"
        and row.input == b'{"a":1}'
        and row.output == b'{"a":1,"r":{"n":9}}'
    )
    assert await store.load(run.id) is None and await store.in_flight() == []
    assert flat(await store.history(run.id)) == flat(run.history)


@pytest.mark.parametrize("end", ["fail", "stop", "expire"])
async def test_other_ends(store: Store, end: str) -> None:
    run = Run(
        store,
        "failing" if end == "fail" else "callback",
        {"why": "cause: \u00fc"},
        deadline=START + 1000,
    )
    if end == "stop":
        run.stop()
    elif end == "expire":
        run.now += 1000
        run.send(Tick())
    await committed(store, run)
    row, x = await store.describe(run.execution.arn), run.execution
    assert row is not None and row.output is None
    assert (row.status, row.error, row.cause, row.stopped) == (
        x.status,
        x.error,
        x.cause,
        x.stopped,
    )
    assert row.status == {"fail": "FAILED", "stop": "ABORTED", "expire": "TIMED_OUT"}[end]


async def test_units_of_one_execution_may_share_a_commit(store: Store) -> None:
    whole, split = Run(store, "map", ITEMS, seed=1), Run(store, "map", ITEMS, seed=1)
    while whole.running and len(whole.units) < 9:
        whole.step()
    while split.running and len(split.history) < len(whole.history):
        await committed(store, split)
        split.step()
    await committed(store, whole, split)
    assert flat(await store.history(whole.id)) == flat(whole.history) == flat(split.history)
    assert flat((await loaded(store, whole)).frames) == flat((await loaded(store, split)).frames)


@pytest.mark.parametrize("machine", DEFINITIONS)
async def test_memory_may_be_ahead_of_the_disk(store: Store, machine: str) -> None:
    """What is loaded is what was committed, not what was decided since: later values of a frame
    share lists with earlier ones.
    """
    run = Run(store, machine, {"items": list(range(40)), "why": "w"}, seed=4, calm=True)
    run.finish()
    for number, unit in enumerate(run.units):
        await store.commit([unit])
        if number % 7 == 0 and unit.execution.status == "RUNNING":
            found = await loaded(store, run)
            assert flat(found) == flat(unit.execution)
            assert all(
                len(frame.children.results) == frame.children.ended
                for frame in found.frames.values()
                if frame.children is not None
            )
    assert flat(await store.history(run.id)) == flat(run.history)


async def test_a_visit_after_another_starts_from_nothing(store: Store) -> None:
    """A Parallel of 30 branches fails with 25 results and is tried again: nothing of the first
    attempt is left.
    """
    run = Run(store, "wide", seed=1)

    def answer(times: int, event: type[TaskSucceeded] | type[TaskFailed] = TaskSucceeded) -> None:
        for _ in range(times):
            frame = next(
                frame for frame in run.execution.frames.values() if frame.phase == Phase.TASK
            )
            run.send(
                TaskFailed(frame.id, frame.seq, "E", "c")
                if event is TaskFailed
                else TaskSucceeded(frame.id, frame.seq, Payload(run.now))
            )

    answer(25)
    await committed(store, run)
    answer(1, TaskFailed)
    run.step()  # the retrier's delay
    answer(26)
    await committed(store, run)
    assert flat(await loaded(store, run)) == flat(run.execution)
    answer(4)
    await committed(store, run)
    row = await store.describe(run.execution.arn)
    assert row is not None and row.status == "SUCCEEDED"
    assert flat(await store.history(run.id)) == flat(run.history)


async def test_a_unit_without_events_changes_only_the_continuation(store: Store) -> None:
    run = Run(store, "callback")
    run.step()
    await committed(store, run)
    frame = run.execution.frames[1]
    run.now += 7_000
    run.send(Heartbeat(frame.id, frame.seq))
    assert run.units[0].history == []
    await committed(store, run)
    assert flat(await loaded(store, run)) == flat(run.execution)
    assert await store.clock() == run.now
    assert flat(await store.history(run.id)) == flat(run.history)


async def test_integers_of_any_size_and_any_text_survive(store: Store) -> None:
    value = {
        "int": 2**200,
        "neg": -(2**70),
        "float": 0.1,
        "text": "\u0000\u2028\U0001f600",
        "": [None, True, [], {}],
        "deep": [[[[1]]]],
    }
    run = Run(store, "tasks", value)
    await committed(store, run)
    assert (await loaded(store, run)).input.value == value
    found = await loaded(store, run)
    assert found.frames[1].raw.value == value and found.frames[1].raw is found.input


async def test_half_surrogates_in_an_error_do_not_stop_the_store(store: Store) -> None:
    run = Run(store, "callback")
    run.send(Stop("Odd\udc00", "half \ud83d of a pair, a whole one: \U0001f600"))
    await committed(store, run)
    row = await store.describe(run.execution.arn)
    assert row is not None and (row.error, row.cause) == (
        "Odd\ufffd",
        "half \ufffd of a pair, a whole one: \U0001f600",
    )
    assert (await store.history(run.id))[-1][2][2:] == (row.error, row.cause)


# --- histories ------------------------------------------------------------------------------------


async def test_histories_are_read_in_pages_both_ways(store: Store) -> None:
    run, other = Run(store, "map", ITEMS, seed=3), Run(store, "tasks", ITEMS)
    while run.running:
        await committed(store, run, other)
        run.step()
        if other.running:
            other.step()
    await committed(store, run, other)
    want = flat(run.history)
    for limit in (1, 2, 3, 7, 50, 10_000):
        forward: list[Any] = []
        while page := await store.history(run.id, forward[-1][0] if forward else 0, limit):
            assert len(page) <= limit
            forward += flat(page)
        backward: list[Any] = []
        while page := await store.history(
            run.id, backward[-1][0] if backward else 0, limit, reverse=True
        ):
            assert len(page) <= limit
            backward += flat(page)
            if backward[-1][0] == 1:
                break
        assert forward == want
        assert backward == want[::-1]
    assert await store.history(run.id, 10_000) == []
    assert await store.history(99_999) == []


async def long_run(store: Store, events: int) -> Run:
    """A stored execution that is about to close, after so many events."""
    run, source = Run(store, "tasks", ITEMS), Run(store, "map", ITEMS, seed=3)
    while source.running:
        source.step()
    entries = [entry for _, _, entry in source.history[1:-1]]
    (first,), first_id = run.taken(), run.id
    units, before = [first], len(run.history)
    while (left := events - before) > 0:
        part = (entries * 20)[: 300 if left > 2_000 else 1 + left % 3][:left]
        execution = replace(first.execution, events=before + len(part))
        units.append(
            first._replace(execution=execution, first=before + 1, history=part, created=False)
        )
        run.history += [(number, first.at, each) for number, each in enumerate(part, before + 1)]
        before += len(part)
        if len(units) > 50:
            await store.commit(units)
            units = []
    await store.commit(units)
    run.execution = replace(run.execution, events=before)
    assert run.id == first_id and run.running
    return run


async def test_a_history_that_is_longer_than_keys_can_number(store: Store) -> None:
    run, neighbour = await long_run(store, EVENTS + 3_000), Run(store, "tasks", ITEMS)
    await committed(store, neighbour)
    while run.running:
        run.step()
        await committed(store, run)
    want, last = flat(run.history), run.execution.events
    assert last == len(want)
    for reverse in (False, True):
        read: list[Any] = []
        while page := await store.history(run.id, read[-1][0] if read else 0, last, reverse):
            read += flat(page)
            if reverse and read[-1][0] == 1:
                break
        assert read == (want[::-1] if reverse else want)
    for after in (1, EVENTS - 700, EVENTS - 1, EVENTS, EVENTS + 1, EVENTS + 600, last - 1, last):
        for limit in (1, 1_000):
            assert flat(await store.history(run.id, after, limit)) == want[after : after + limit]
            before = want[max(after - 1 - limit, 0) : after - 1][::-1]
            assert flat(await store.history(run.id, after, limit, True)) == before
    row = await store.describe(run.execution.arn)
    assert row is not None and row.events == last
    assert row.output == (run.execution.output.data if run.execution.output else None)
    assert await store.delete_closed(run.now + 1, 9) == 1
    assert await store.history(run.id) == []
    assert flat(await store.history(neighbour.id)) == flat(neighbour.history)


async def test_a_page_of_history_has_a_bounded_size(store: Store) -> None:
    large = Payload("x" * (DEFAULT_LIMITS.history_page_bytes // 3 - 2))
    run, source = Run(store, "tasks", large), Run(store, "tasks", large)
    while source.running:
        source.step()
    (first,), event = run.taken(), source.history[1][2]
    entry = (event[0], 1, *(large if type(each) is Payload else each for each in event[2:]))
    assert sum(type(each) is Payload for each in entry) == 1
    start = len(first.history) + 1
    unit = first._replace(first=start, history=[entry] * 8, created=False)
    await store.commit([first, unit])
    assert [len(await store.history(run.id, start - 1 + n)) for n in range(8)] == [
        *(3, 3, 3, 3, 3, 3, 2, 1)
    ]
    assert [number for number, _, _ in await store.history(run.id, start + 5, 9, True)] == [
        *(start + 4, start + 3, start + 2)
    ]


async def test_what_was_read_is_freed_at_once(store: Store) -> None:
    run = Run(store, "map", ITEMS, seed=3, calm=True)
    while run.running:
        run.step()
        await committed(store, run)
    gc.collect()
    gc.disable()  # large payloads are few objects, which the collector comes to late
    try:
        assert await store.history(run.id) and await store.describe(run.execution.arn)
        assert [each for each in gc.get_objects() if isinstance(each, Reader)] == []
    finally:
        gc.enable()


async def test_frames_that_keys_cannot_number_are_stored_all_the_same(store: Store) -> None:
    run = Run(store, "maps", {"items": list(range(40))}, seed=3, calm=True)
    run.execution.next_frame = ROWS - 12  # as after many iterations
    while run.running:
        await committed(store, run)
        if len(run.history) % 5 == 0:
            assert flat(await loaded(store, run)) == flat(run.execution)
        run.step()
    await committed(store, run)
    assert run.execution.next_frame > ROWS
    assert flat(await store.history(run.id, 0, 9_999)) == flat(run.history)


async def test_a_large_input_is_stored_once_and_shared(store: Store) -> None:
    run = Run(store, "callback", {"text": "x" * 200_000})
    await committed(store, run)
    while run.running:
        run.step()
        await committed(store, run)
    events = [event for _, _, event in await store.history(run.id)]
    inputs = [
        field
        for event in events
        for field in event[2:]
        if isinstance(field, Payload) and len(field.data) > 200_000
    ]
    assert len(inputs) > 1 and all(each is inputs[0] for each in inputs)


# --- finding and listing --------------------------------------------------------------------------


async def test_executions_are_listed_newest_first_in_pages(store: Store) -> None:
    runs = [
        Run(
            store,
            ("passes", "callback", "failing")[number % 3],
            ITEMS,
            f"r{number}",
            started=START + number,
        )
        for number in range(30)
    ]
    await committed(store, *runs)

    async def listed(limit: int, **filters: Any) -> list[str]:
        found: list[Any] = []
        while page := await store.list_executions(
            limit=limit, after=(found[-1].started, found[-1].id) if found else None, **filters
        ):
            assert len(page) <= limit
            found += page
        assert all(row.input is None and row.output is None for row in found)
        return [row.name for row in found]

    def want(*left: int) -> list[str]:
        return [f"r{number}" for number in reversed(range(30)) if number % 3 in left]

    for limit in (1, 4, 100):
        assert await listed(limit) == want(0, 1, 2)
        assert await listed(limit, status="RUNNING") == want(1)
        assert await listed(limit, machine_arn=f"{HOME}:stateMachine:passes") == want(0)
        assert await listed(
            limit, machine_arn=f"{HOME}:stateMachine:passes", status="SUCCEEDED"
        ) == want(0)
        assert await listed(
            limit, machine_arn=f"{HOME}:stateMachine:failing", status="FAILED"
        ) == want(2)
    assert await listed(9, machine_arn=f"{HOME}:stateMachine:passes", status="RUNNING") == []
    assert await listed(9, machine_arn=f"{HOME}:stateMachine:unknown") == []
    assert await listed(9, status="PENDING_REDRIVE") == []
    runs[1].stop()
    await committed(store, runs[1])
    assert await listed(4, machine_arn=f"{HOME}:stateMachine:callback", status="ABORTED") == ["r1"]
    assert await listed(4, machine_arn=f"{HOME}:stateMachine:callback") == want(1)


async def test_children_of_a_map_run_are_found_by_their_parent(store: Store) -> None:
    parent = Run(store, "callback")
    children = [
        Run(store, "passes", parent=(parent.id, 1, seq, index), block=0)
        for seq in (1, 2)
        for index in range(4)
    ]
    await committed(store, parent, *children)
    found = await store.list_executions(parent=(parent.id, 1, 2), limit=3)
    assert [row.parent for row in found] == [(parent.id, 1, 2, index) for index in (3, 2, 1)]
    found = await store.list_executions(
        parent=(parent.id, 1, 2), limit=3, after=(found[-1].started, found[-1].id)
    )
    assert [row.parent for row in found] == [(parent.id, 1, 2, 0)]
    assert await store.list_executions(parent=(parent.id, 1, 2), status="RUNNING") == []


async def test_express_executions_share_names(store: Store) -> None:
    arns = [f"{HOME}:express:passes:same:{number}" for number in range(2)]
    runs = [Run(store, "callback", name="same", express=True, arn=arn) for arn in arns]
    await committed(store, *runs)
    for run, arn in zip(runs, arns, strict=True):
        row = await store.describe(arn)
        assert row is not None and (row.id, row.name, row.express, row.arn) == (
            run.id,
            "same",
            True,
            arn,
        )


@pytest.mark.parametrize("together", [False, True])
async def test_nothing_is_left_of_what_is_dropped(store: Store, together: bool) -> None:
    """An asynchronous Express execution: stored as it began, dropped when it has ended."""
    arns = [f"{HOME}:express:passes:same:{number}" for number in range(2)]
    runs = [
        Run(store, "variables", {"long": "x" * 3000}, name="same", express=True, arn=arn)
        for arn in arns
    ]
    taken = [unit for run in runs for unit in run.taken()]
    dropped = taken[0]._replace(history=[], created=False, dropped=True)
    for units in [[*taken, dropped]] if together else [taken, [dropped]]:
        await store.commit(units)
    assert (
        await store.describe(arns[0]) is None
        and await store.load(runs[0].id) is None
        and await store.history(runs[0].id) == []
    )
    assert await store.in_flight() == [runs[1].id]
    assert flat(await loaded(store, runs[1])) == flat(runs[1].execution)


async def test_sleepers_and_work_are_found_in_order_and_in_pages(store: Store) -> None:
    sleepers = [Run(store, "callback", deadline=START + 5_000 - number % 7) for number in range(20)]
    for run in sleepers:
        run.step()
    busy = [Run(store, "tasks") for _ in range(5)]
    await committed(store, *sleepers, *busy)
    want = sorted((run.execution.wake() or 0, run.id) for run in sleepers)
    assert want[0][0] > START
    found: list[tuple[int, int]] = []
    while page := await store.waking(START + 5_000, found[-1] if found else (0, 0), 6):
        found += page
    assert found == want
    assert await store.waking(START + 4_996) == [each for each in want if each[0] <= START + 4_996]
    assert await store.in_flight() == [run.id for run in busy]
    assert await store.in_flight(busy[1].id, 2) == [run.id for run in busy[2:4]]
    for run in sleepers:
        run.stop()
    await committed(store, *sleepers)
    assert await store.waking(2**60) == []


# --- time, ids, names -----------------------------------------------------------------------------


async def test_time_and_ids_never_go_back(make: Callable[[], Store], tmp_path: Path) -> None:
    store = make()
    await store.open()
    assert await store.clock() == 0
    runs = [Run(store, "passes") for _ in range(5)]
    runs[-1].now += 99
    runs[-1].units[-1] = runs[-1].units[-1]._replace(at=runs[-1].now)
    await committed(store, *runs)
    assert await store.clock() == START + 99
    await committed(store, Run(store, "passes"))
    assert await store.clock() == START + 99
    assert await store.delete_closed(2**60) == 6
    newest = store.next_id()
    assert newest > max(run.id for run in runs)
    await store.close()
    if "memory" not in str(getattr(store, "path", "")):
        await store.open()
        assert await store.clock() == START + 99
        assert store.next_id() == newest  # it was not used
        await store.close()


async def test_a_database_has_a_secret_of_its_own(make: Callable[[], Store]) -> None:
    store, other = make(), make()
    await store.open()
    secret = store.secret()
    assert len(secret) == 32 and secret != bytes(32)
    await store.close()
    if "memory" not in str(getattr(store, "path", "")):
        await store.open()
        assert store.secret() == secret
        await store.close()
    else:
        await other.open()
        assert other.secret() != secret
        await other.close()


async def test_a_name_is_given_once_and_a_failed_commit_leaves_nothing(store: Store) -> None:
    await committed(store, Run(store, "callback", name="one"))
    innocent = Run(store, "passes", name="innocent")
    store.check()
    with pytest.raises(StoreError):
        await committed(store, innocent, Run(store, "callback", name="one"))
    assert await store.describe(innocent.execution.arn) is None
    assert await store.history(innocent.id) == []
    with pytest.raises(StoreError, match="open the store again"):  # memory is ahead of the disk
        await committed(store, Run(store, "passes", name="later"))
    with pytest.raises(StoreError, match="open the store again"):
        store.check()


async def test_a_unit_that_is_committed_twice_is_refused(store: Store) -> None:
    run = Run(store, "tasks")
    units = list(run.units)
    await committed(store, run)
    with pytest.raises(StoreError):
        await store.commit([units[0]._replace(created=False)])


async def test_overlapping_commits_are_applied_in_order(store: Store) -> None:
    run = Run(store, "map", ITEMS, seed=2)
    pending: list[Awaitable[None]] = []
    while run.running:
        pending.append(asyncio.create_task(store.commit(run.taken())))
        await asyncio.sleep(0)
        run.step()
    pending.append(store.commit(run.taken()))
    await asyncio.gather(*pending)
    assert flat(await store.history(run.id)) == flat(run.history)


async def test_closed_executions_are_deleted_in_batches(store: Store) -> None:
    closed = [Run(store, "tasks", {"text": "x" * 5_000}, seed=number) for number in range(7)]
    for number, run in enumerate(closed):
        run.now += number * 1_000_000
        await committed(store, run)
        while run.running:
            run.step()
            await committed(store, run)
    running, kept = Run(store, "callback"), closed[5:]
    await committed(store, running)
    before = kept[0].execution.stopped or 0
    assert [await store.delete_closed(before, 3) for _ in range(3)] == [3, 2, 0]
    for run in closed:
        found = await store.describe(run.execution.arn)
        assert (found is not None) == (run in kept) == bool(await store.history(run.id))
    assert flat(await store.history(kept[0].id)) == flat(kept[0].history)
    assert await store.load(running.id) is not None
    await committed(
        store, Run(store, "tasks", name=closed[0].execution.name)
    )  # the name is free again


async def test_large_closed_executions_are_deleted_in_small_numbers(store: Store) -> None:
    runs = [Run(store, "tasks", seed=number) for number in range(5)]
    for run in runs:
        run.send(Stop(None, None))
        run.units[-1] = run.units[-1]._replace(first=9_000)
        run.execution.events = 9_000
        await committed(store, run)
    assert [await store.delete_closed(2**60, 9) for _ in range(3)] == [3, 2, 0]


async def test_many_loads_at_once(store: Store) -> None:
    kinds = list(DEFINITIONS)
    runs = [Run(store, kinds[n % len(kinds)], ITEMS, seed=n) for n in range(150)]
    for run in runs:
        for _ in range(run.id % 7):
            if run.running:
                run.step()
        await committed(store, run)
    waiting = [run for run in runs if run.running or run.execution.snapshot]
    assert len(waiting) > 70
    unknown = max(run.id for run in runs) + 1
    found = await asyncio.gather(*(store.load(run.id) for run in waiting), store.load(unknown))
    assert found.pop() is None
    for run, loaded in zip(waiting, found):
        assert loaded is not None and loaded.id == run.id
        assert flat(loaded.decode(run.program)) == flat(run.execution)
    given_up = [asyncio.create_task(store.load(run.id)) for run in waiting]
    await asyncio.sleep(0)
    given_up[1].cancel()
    ends = await asyncio.gather(*given_up, return_exceptions=True)
    assert isinstance(ends.pop(1), asyncio.CancelledError) and None not in ends


async def test_health(store: Store) -> None:
    run = Run(store, "tasks", {"text": "x" * 50_000})
    before = await store.health()
    await committed(store, run)
    after = await store.health()
    assert after.bytes >= before.bytes > 0
    assert 0 <= after.free_bytes <= after.bytes and after.standbys == 0
    assert after.dead_rows >= 0 and 0 <= after.snapshot_seconds < 60


# --- machines and activities ----------------------------------------------------------------------


def machine_row(name: str, definition: str = "{}", **changes: Any) -> MachineRow:
    row = MachineRow(
        f"{HOME}:stateMachine:{name}",
        name,
        "STANDARD",
        "role",
        definition,
        0,
        "r1",
        START,
        START,
        "ACTIVE",
        {},
    )
    return row._replace(**changes)


async def test_an_update_makes_a_new_definition_and_keeps_the_old_one(store: Store) -> None:
    first = await store.put_machine(
        machine_row("m", '{"a": "\u00fc"}', extras={"tags": {"k": 2**70}})
    )
    assert await store.machine(first.arn) == first and first.definition_id > 0
    tagged = await store.put_machine(first._replace(extras={}, updated=START + 1))
    assert (
        tagged == first._replace(extras={}, updated=START + 1)
        and tagged.definition_id == first.definition_id
    )  # same revision
    second = await store.put_machine(
        tagged._replace(definition='{"b": 1}', revision="r3", updated=START + 2)
    )
    assert second.definition_id != first.definition_id and second.revision == "r3"
    third = await store.put_machine(
        second._replace(
            role_arn="other", revision="r4", configuration={"logging": {"level": "ALL"}}
        )
    )
    assert third.definition_id not in (first.definition_id, second.definition_id)
    assert await store.machine(first.arn) == third
    assert await store.delete_machine(first.arn) is True
    assert await store.delete_machine(first.arn) is False
    assert await store.machine(first.arn) is None
    kept = await store.definition(first.definition_id)
    assert kept is not None
    assert kept == (
        first.definition_id,
        first.arn,
        "STANDARD",
        "role",
        "r1",
        START,
        '{"a": "\u00fc"}',
        {},
    )
    configured = await store.definition(third.definition_id)
    assert configured is not None and configured.configuration == {"logging": {"level": "ALL"}}
    assert await store.definition(999) is None


async def test_a_machine_is_completed_in_its_own_transaction(store: Store) -> None:
    """With the definition_id that is known only there."""

    def complete(row: MachineRow) -> MachineRow:
        return row._replace(extras={"versions": [row.definition_id]})

    first = await store.put_machine(machine_row("m"), complete)
    assert (
        first.extras == {"versions": [first.definition_id]}
        and await store.machine(first.arn) == first
    )
    await store.put_machine(machine_row("n", status="DELETING"))
    assert [row.name for row in await store.machines(status="DELETING")] == ["n"]
    assert [row.name for row in await store.machines()] == [
        "m",
        "n",
    ] and await store.count_machines() == 2
    assert await store.machines(f"{HOME}:stateMachine:n", status="DELETING") == []


async def test_machines_and_activities_are_listed_by_name(store: Store) -> None:
    for name in ("x_1", "x_10", "a", "x_2"):
        await store.put_machine(machine_row(name))
        await store.put_activity(
            ActivityRow(f"{HOME}:activity:{name}", name, START, {"tags": {"n": name}})
        )
    names: list[str] = []
    while page := await store.machines(f"{HOME}:stateMachine:{names[-1]}" if names else "", 3):
        names += [row.name for row in page]
    assert names == ["a", "x_1", "x_10", "x_2"]
    assert [row.name for row in await store.activities(f"{HOME}:activity:x_1", 2)] == [
        "x_10",
        "x_2",
    ]
    assert await store.activity(f"{HOME}:activity:a") == ActivityRow(
        f"{HOME}:activity:a", "a", START, {"tags": {"n": "a"}}
    )
    assert await store.delete_activity(f"{HOME}:activity:a") is True
    assert await store.delete_activity(f"{HOME}:activity:a") is False
    assert await store.activity(f"{HOME}:activity:a") is None


# --- everything at once ---------------------------------------------------------------------------


def planned(store: Store, machine: str, seed: int) -> Run:
    items = list(range((3, 40, 70)[seed % 3]))
    return Run(store, machine, {"items": items, "why": "w"}, seed=seed, calm=seed % 2 == 0)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_many_executions_in_any_batches_with_reloads_in_between(seed: int) -> None:
    """Interleaved executions, committed in random batches and dropped from memory at random, end as
    if nothing had happened.
    """
    random, store = Random(seed), SqliteStore()
    async with AsyncExitStack() as stack:
        await store.open()
        stack.push_async_callback(store.close)
        runs = [
            planned(store, random.choice(list(DEFINITIONS)), random.randrange(2**32))
            for _ in range(4)
        ]
        while True:
            for run in random.sample(runs, 2):
                for _ in range(random.randrange(4)):
                    if run.running:
                        run.step()
            await committed(store, *random.sample(runs, random.randrange(5)))
            for run in runs:
                if not run.units and run.running and random.random() < 0.3:
                    store.forget(run.id)
                    found = await loaded(store, run)
                    assert flat(found) == flat(run.execution)
                    run.execution = found
            if not any(run.running or run.units for run in runs):
                break
        for run in runs:
            twin = planned(store, run.machine, run.seed)
            twin.finish()
            assert flat(await store.history(run.id, limit=30_000)) == flat(twin.history)
            row = await store.describe(run.execution.arn)
            assert row is not None and row.status == twin.execution.status
            assert row.output == (twin.execution.output and twin.execution.output.data)
        assert await store.in_flight() == [] and await store.waking(2**60) == []


assert set(PROGRAMS) == set(DEFINITIONS)


# --- what cannot be committed, and cancelled commits --------------------------------------------


async def test_what_cannot_be_stored_is_named_and_left_out(store: Store) -> None:
    """Of one batch: all the others are stored, and what the batch learned of the one that is left
    out is forgotten.
    """
    bad, good, late = Run(store, "tasks"), Run(store, "tasks"), Run(store, "wide")
    assert await store.commit(late.taken()) == {}
    late.step()
    bad.execution.uuid = "no hex"
    bad.execution.machine_arn, bad.execution.arn = (
        "arn:m",
        f"arn:x:{bad.execution.name}",
    )  # would have a series of its own
    refused = await store.commit([*bad.units, *good.taken(), *late.taken()])
    assert list(refused) == [bad.id] and f"{bad.execution.arn} cannot be stored" in str(
        refused[bad.id]
    )
    assert await store.load(bad.id) is None and await store.row(bad.id) is None
    for run in (good, late):
        found = await store.load(run.id)
        assert found is not None and flat(found.decode(run.program)) == flat(run.execution)
        run.step()
        assert await store.commit(run.taken()) == {}
    again = Run(store, "tasks")
    assert await store.commit(again.taken()) == {}


@pytest.mark.parametrize("field", ["machine_name", "role_arn", "machine_arn"])
async def test_text_that_is_no_utf_8_harms_one_execution(store: Store, field: str) -> None:
    bad, good = Run(store, "tasks"), Run(store, "tasks")
    setattr(bad.execution, field, "\ud800")
    assert list(await store.commit([*bad.units, *good.taken()])) == [bad.id]
    assert await store.load(good.id) is not None


async def test_a_cancelled_commit_is_whole(store: Store) -> None:
    run = Run(store, "map", {"items": [1, 2, 3]})
    commit = asyncio.create_task(store.commit(run.taken()))
    await asyncio.sleep(0)
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit
    while run.running:
        run.step()
        await store.commit(run.taken())
    assert flat(await store.history(run.id)) == flat(run.history)


async def test_a_commit_that_is_cancelled_in_its_turn_is_whole(store: Store) -> None:
    run = Run(store, "map", {"items": [1, 2, 3]})
    first = asyncio.create_task(store.commit(run.taken()))
    run.step()
    second = asyncio.create_task(store.commit(run.taken()))
    machine = asyncio.create_task(store.delete_machine("arn"))
    await asyncio.sleep(0)
    for task in (second, machine):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await first
    while run.running:
        run.step()
        await store.commit(run.taken())
    assert flat(await store.history(run.id)) == flat(run.history)
