"""One bad thing harms one execution: what cannot be read, compiled or encoded stands still, is
shown, and can be stopped.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from tests.engine.engine_fixture import EngineFixture, Shape, Small, task, wait

from stepwell.engine import Engine
from stepwell.engine.errors import ApiError, ExecutionParkedError
from stepwell.engine.store.batcher import Batcher
from stepwell.engine.store.sqlite.store import SqliteStore

EACH: Shape = {
    "M": {"Type": "Map", "ItemProcessor": {"StartAt": "W", "States": {"W": wait(60)}}, "End": True}
}
RUN: Shape = {
    "M": {
        **EACH["M"],
        "ItemProcessor": {**EACH["M"]["ItemProcessor"], "ProcessorConfig": {"Mode": "DISTRIBUTED"}},
    }
}
RUN["M"]["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = "STANDARD"
MANY = json.dumps(list(range(30)))
DEFINITION = "(SELECT p.definition FROM execution e JOIN pin p ON p.id = e.pin WHERE e.id = ?)"


def flip(blob: bytes) -> bytes:
    return blob[:-1] + bytes([blob[-1] ^ 8])


def cut(blob: bytes) -> bytes:
    return blob[: len(blob) // 2]


async def change(
    life: EngineFixture, arn: str, statement: str, harm: Callable[[bytes], bytes]
) -> None:
    """Close the engine, change the bytes of an execution in the file, and open it again."""
    row = await life.engine.store.describe(arn)
    assert row is not None
    await life.engine.close()
    with closing(sqlite3.connect(life.path)) as db:
        db.create_function("harm", 1, harm)
        assert db.execute(statement, (row.id,)).rowcount > 0
        db.commit()
    await life.open()


DAMAGES = {
    "continuation": (task("hang"), "{}", "UPDATE continuation SET blob = harm(blob) WHERE id = ?"),
    "sleeper": (wait(60), "{}", "UPDATE continuation SET blob = harm(blob) WHERE id = ?"),
    "input": (
        task("hang"),
        '{"a": 1}',
        "UPDATE history SET blob = harm(blob) WHERE key = ? << 15 | 1",
    ),
    "definition": (
        task("hang"),
        "{}",
        f"UPDATE definition SET text = harm(text) WHERE id = {DEFINITION}",
    ),
    "refused": (
        task("hang"),
        "{}",
        f"UPDATE definition SET text = harm(text) WHERE id = {DEFINITION}",
    ),
    "frames": (EACH["M"], MANY, "UPDATE frame SET blob = harm(blob) WHERE key >> 17 = ?"),
    "items": (EACH["M"], MANY, "UPDATE map_item SET blob = harm(blob) WHERE execution = ?"),
    "payload": (
        task("hang"),
        '"' + "x" * 5000 + '"',
        "UPDATE history SET blob = harm(blob) WHERE key = ? << 15 | 1",
    ),
}


def refuse(blob: bytes) -> bytes:
    """A definition that this version does not take."""
    from stepwell.engine.store.blobs import pack

    return pack(b'{"StartAt": "S", "States": {"S": {"Type": "Task", "Resource": 7}}}')


@pytest.mark.parametrize("what", DAMAGES)
@pytest.mark.parametrize("harm", [flip, cut])
async def test_damage_parks_one_execution(life: EngineFixture, what: str, harm: Any) -> None:
    state, input, statement = DAMAGES[what]
    bad = await life.start({"S": state}, input, name="bad")
    other = await life.start(
        {"S": wait(60), "T": task("ok")} | {"S": {**wait(60), "Next": "T", "End": False}},
        name="other",
    )
    await change(life, bad, statement, refuse if what == "refused" else harm)
    await life.after(61)
    await life.calm()
    assert await life.status(other) == "SUCCEEDED" and life.engine.worker.failed is None
    described = await life.engine.describe_execution(bad)
    assert described["status"] == "RUNNING" and "parked" not in json.dumps(described).lower()
    assert [
        each["name"]
        for each in (await life.engine.list_all_executions(max_results=1))["executions"]
    ]
    assert (
        len((await life.engine.list_all_executions())["executions"]) == 2
        and len((await life.engine.list_state_machines())["stateMachines"]) == 2
    )
    assert (
        list(await life.engine.parked_executions()) == [bad]
        and len(life.engine.worker.parking) == 1
    )
    with pytest.raises(ExecutionParkedError):
        await life.engine.wait(bad)
    await life.restart()  # tried again, in vain
    await life.after(61)
    assert list(await life.engine.parked_executions()) == [bad]
    await life.engine.stop_execution(bad, error="Gone", cause="damaged")
    described = await life.engine.describe_execution(bad)
    assert (described["status"], described["error"]) == ("ABORTED", "Gone")
    assert (
        not await life.engine.parked_executions()
        and not life.engine.worker.live
        and not len(life.engine.worker.parking)
    )
    with closing(sqlite3.connect(life.path)) as db:  # nothing is left of what could not be read
        assert [
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("continuation", "frame", "map_item")
        ] == [0, 0, 0]
    await life.restart()
    assert await life.status(bad) == "ABORTED" and not await life.engine.parked_executions()
    if what not in ("input", "payload"):
        assert (await life.types(bad))[-1] == "ExecutionAborted"


async def test_a_repaired_execution_goes_on(life: EngineFixture) -> None:
    arn = await life.start({"S": wait(60)})
    await change(life, arn, "UPDATE continuation SET blob = harm(blob) WHERE id = ?", flip)
    await life.after(61)
    assert list(await life.engine.parked_executions()) == [arn]
    await change(life, arn, "UPDATE continuation SET blob = harm(blob) WHERE id = ?", flip)
    await life.after(1)
    assert await life.status(arn) == "SUCCEEDED" and not await life.engine.parked_executions()


async def test_a_parked_map_run_and_its_children(life: EngineFixture) -> None:
    """The children of a parked parent are no orphans; when it is stopped, they end with it."""
    arn = await life.start(RUN, "[1, 2]")
    await change(life, arn, "UPDATE continuation SET blob = harm(blob) WHERE id = ?", flip)
    children = (await life.engine.list_all_executions(status_filter="RUNNING"))["executions"]
    assert len(children) == 3 and list(await life.engine.parked_executions()) == [arn]
    await life.engine.stop_execution(arn)
    await life.calm()
    assert not (await life.engine.list_all_executions(status_filter="RUNNING"))["executions"]
    (run,) = (await life.engine.list_map_runs(arn))["mapRuns"]
    assert (await life.engine.describe_map_run(run["mapRunArn"]))["status"] == "ABORTED"
    assert not life.engine.worker.live


async def test_damaged_lists(life: EngineFixture) -> None:
    """A damaged row of a list counts as empty where it is damaged; the others are there."""
    arn = await life.start({"S": wait(60)}, name="a")
    await life.engine.tag_resource(
        await life.machine({"S": wait(1)}, name="b"), [{"key": "k", "value": "v"}]
    )
    await life.engine.create_activity("c", tags=[{"key": "k", "value": "v"}])
    await life.engine.close()
    with closing(sqlite3.connect(life.path)) as db:
        for statement in (
            "UPDATE definition SET text = x'78'",
            "UPDATE machine SET extras = x'0200'",
            "UPDATE activity SET extras = x'7b'",
        ):
            db.execute(statement)
        db.execute("UPDATE execution SET extras = x'8200'")
        db.commit()
    await life.open()
    assert [
        each["name"] for each in (await life.engine.list_state_machines())["stateMachines"]
    ] == ["a", "b"]
    assert [each["name"] for each in (await life.engine.list_activities())["activities"]] == ["c"]
    assert (await life.engine.describe_execution(arn))["status"] == "RUNNING"
    await life.engine.stop_execution(arn)


NO_TEXT = "CAST(x'61ff' AS TEXT)"
TEXTS = {
    "machine": ("arn", "name", "status"),
    "definition": ("machine", "role", "revision"),
    "activity": ("arn", "name"),
    "series": ("prefix", "machine", "machine_name"),
    "pin": ("role",),
    "qualifier": ("arn",),
    "execution": ("tail", "error", "cause"),
    "record": ("key",),
    "parked": ("reason",),
}


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, columns in TEXTS.items() for column in columns]
)
async def test_text_that_is_no_utf_8_harms_its_row(
    life: EngineFixture, table: str, column: str
) -> None:
    """The engine opens, every list can be read to its end, and running executions end."""
    first = await life.machine({"S": wait(60)}, name="first")
    await life.engine.publish_state_machine_version(first)
    for machine in (f"{first}:1", await life.machine({"S": wait(60)}, name="second")):
        await life.engine.start_execution(machine, name="runs")
        closed = (await life.engine.start_execution(machine, name="closed"))["executionArn"]
        await life.engine.stop_execution(closed, error="E", cause="C")
    for name in ("a", "b"):
        await life.engine.create_activity(name)
        await life.engine.records.write({f"x/{name}": b"1"})
    await life.engine.close()
    with closing(sqlite3.connect(life.path)) as db:
        if table == "parked":
            db.execute(
                "INSERT INTO parked SELECT id, 1, 'x' FROM execution WHERE stopped IS NULL LIMIT 1"
            )
        where = "error IS NOT NULL" if column in ("error", "cause") else "1"
        text = NO_TEXT if table != "record" else "CAST(x'782fff' AS TEXT)"
        key = "key" if table == "record" else "rowid"
        statement = (
            f"UPDATE {table} SET {column} = {text} WHERE {key} = (SELECT max({key}) FROM {table} "
            f"WHERE {where})"
        )
        assert db.execute(statement).rowcount == 1
        db.commit()
    await life.open()
    for list_all, member, count in (
        (life.engine.list_all_executions, "executions", 4),
        (life.engine.list_state_machines, "stateMachines", 2),
        (life.engine.list_activities, "activities", 2),
    ):
        names: list[str] = []
        token: str | None = None
        for _ in range(6):
            page = await list_all(max_results=1, next_token=token)
            names += [each["name"] for each in page[member]]
            json.dumps(page, ensure_ascii=False, default=str).encode()
            token = page.get("nextToken")
            if token is None:
                break
        assert len(names) == count - (
            (table, column) in (("machine", "arn"), ("activity", "arn"))
            and table[:4] in member.lower()
        ), names
    found = [key async for key, _ in life.engine.records.all("x/", page=1)]
    assert found == (["x/a"] if table == "record" else ["x/a", "x/b"])
    await life.engine.list_executions(first)
    await life.engine.parked_executions()
    await life.after(61)
    assert not life.engine.worker.live and life.engine.worker.failed is None
    assert not (await life.engine.list_all_executions(status_filter="RUNNING"))["executions"]
    findings = [each async for each in life.store.damage()]
    if table != "parked":
        assert [(each.row.partition(" ")[0], each.fault) for each in findings] == [
            (table, f"no UTF-8 text: {column}")
        ]
    assert all(text.encode() for each in findings for text in each)


async def test_half_a_surrogate_pair_is_harmless(life: EngineFixture) -> None:
    machine = await life.machine({"S": wait(60)})
    express = await life.machine({"P": {"Type": "Pass", "End": True}}, name="e", type="EXPRESS")
    started = (await life.engine.start_execution(machine, trace_header="Root=\ud800"))[
        "executionArn"
    ]
    assert (await life.engine.describe_execution(started))["traceHeader"] == "Root=\ufffd"
    assert (await life.engine.start_sync_execution(express, trace_header="\udfff"))[
        "traceHeader"
    ] == "\ufffd"
    await life.engine.stop_execution(started, error="\ud800", cause="\ud800")
    assert (await life.engine.describe_execution(started))["error"] == "\ufffd"
    text = json.dumps(
        {"StartAt": "S", "States": {"S": wait(1)}, "Comment": "\ud800"}, ensure_ascii=False
    )
    for refused in (
        life.engine.start_execution(machine, name="\ud800"),
        life.engine.start_execution(machine, input='"\ud800"'),
        life.engine.start_execution("arn:aws:states:us-east-1:123456789012:stateMachine:\ud800"),
        life.engine.create_state_machine("x", text),
        life.engine.create_state_machine("x\ud800", text),
        life.engine.create_activity("\ud800"),
        life.engine.send_task_success("\ud800", "{}"),
        life.engine.describe_execution("arn:aws:states:us-east-1:123456789012:execution:m:\ud800"),
        life.engine.tag_resource(machine, [{"key": "k\ud800", "value": "v"}]),
    ):
        with pytest.raises(ApiError):
            await refused
    assert life.engine.worker.failed is None
    life.engine.store.check()
    assert (await life.engine.start_execution(machine))["executionArn"]


async def test_what_cannot_be_encoded_is_parked_as_it_is_on_the_disk(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its start: it never was. Later: it stands where it was; the same batch stores the
    others.
    """
    made = Batcher._execution

    def picky(self: Any, into: Any, execution: Any, units: Any, created: bool) -> None:
        if execution.name in ("bad1", "bad2"):
            raise ValueError("planted")
        made(self, into, execution, units, created)

    hanging = await life.start(
        {"S": {**task("ok"), "End": False, "Next": "T"}, "T": task("hang")}, name="first"
    )
    machine = await life.machine({"S": {**wait(1), "End": False, "Next": "T"}, "T": task("ok")})
    later = (await life.engine.start_execution(machine, name="bad2"))["executionArn"]
    good = (await life.engine.start_execution(machine, name="good"))["executionArn"]
    monkeypatch.setattr(Batcher, "_execution", picky)
    with pytest.raises(ExecutionParkedError, match="planted"):
        await life.engine.start_execution(machine, name="bad1")
    with pytest.raises(ApiError):
        await life.engine.describe_execution(later.replace("bad2", "bad1"))
    await life.after(2)
    assert await life.status(good) == "SUCCEEDED" and await life.status(hanging) == "RUNNING"
    assert life.engine.worker.failed is None and list(await life.engine.parked_executions()) == [
        later
    ]
    assert (await life.types(later))[-1] == "WaitStateEntered"
    with pytest.raises(ExecutionParkedError):
        await life.engine.wait(later)
    monkeypatch.undo()
    assert (await life.engine.start_execution(machine, name="bad1"))["executionArn"]
    await life.restart()
    await life.after(2)
    assert await life.status(later) == "SUCCEEDED" and not await life.engine.parked_executions()
    await life.engine.stop_execution(hanging)


async def test_a_parked_execution_can_be_stopped_and_redriven(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row can be read: it is stopped as any other, and may be redriven later."""
    from stepwell.engine.core import decide as core
    from stepwell.engine.runtime import worker

    arn = await life.start({"S": {**wait(60), "End": False, "Next": "T"}, "T": task("ok")})

    def decide(program: Any, x: Any, event: Any, *rest: Any) -> Any:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(worker, "decide", decide)
    await life.after(61)
    assert list(await life.engine.parked_executions()) == [arn]
    both = await asyncio.gather(life.engine.stop_execution(arn), life.engine.stop_execution(arn))
    assert (
        all("stopDate" in each for each in both)
        and await life.status(arn) == "ABORTED"
        and not await life.engine.parked_executions()
    )
    monkeypatch.setattr(worker, "decide", core.decide)
    await life.engine.redrive_execution(arn)
    await life.after(61)
    assert await life.status(arn) == "SUCCEEDED" and life.calls == ["ok"]


async def test_readers_beside_see_who_is_parked(small: Small) -> None:
    life = await small()
    arn = await life.start({"S": wait(60)})
    await change(life, arn, "UPDATE continuation SET blob = harm(blob) WHERE id = ?", cut)
    await life.after(61)
    store = SqliteStore(life.path, read_only=True)
    await store.open()
    assert "StoreFormatError" in (await Engine(store=store).parked_executions())[arn]
    await store.close()
