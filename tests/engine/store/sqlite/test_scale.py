"""Lists and histories at scale: the rows of the benchmark, fewer of them. Work is counted in steps
of SQLite, not in time.
"""

from pathlib import Path
from typing import Any

import pytest
from benchmarks.scale import EVENTS, fill, pattern

from stepwell.engine.store.sqlite.store import SqliteStore

SMALL, LARGE = 600, 12_000


async def steps(path: Path, executions: int) -> dict[str, int]:
    """Hundreds of steps that SQLite takes for each kind of page."""
    arns = await pattern(str(path))
    fill(str(path), executions)
    store = SqliteStore(path)
    await store.open()
    run = await store.map_run(arns["map run"].rpartition(":")[2])
    assert run is not None
    (newest,) = await store.list_executions(limit=1)
    filters: dict[str, dict[str, Any]] = {
        "machine": {"machine_arn": arns["machine"]},
        "status": {"machine_arn": arns["machine"], "status": "SUCCEEDED"},
        "no such status": {"machine_arn": arns["machine"], "status": "RUNNING"},
        "no such status of any machine": {"status": "RUNNING"},
        "version": {"qualifier": arns["version"]},
        "alias": {"qualifier": arns["alias"], "status": "SUCCEEDED"},
        "map run": {"parent": (run.execution, run.run.frame, run.run.seq)},
        "all": {},
    }
    row = await store.describe(arns["machine execution"])
    assert row is not None and row.events == EVENTS
    calls = {
        f"{name} {after}": lambda after=after, chosen=chosen: store.list_executions(
            limit=20, after=after and (0, newest.id // after), **chosen
        )
        for name, chosen in filters.items()
        for after in (None, 2)
    }
    for place, reverse in ((0, False), (EVENTS // 2, False), (EVENTS // 2, True), (0, True)):
        calls[f"history {place} {reverse}"] = lambda place=place, reverse=reverse: store.history(
            row.id, place, 100, reverse
        )
    calls["describe"] = lambda: store.describe(arns["alias execution"])
    found = {}
    for name, call in calls.items():
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        await store.database.reader.run(
            lambda connection: connection.set_progress_handler(step, 10)
        )
        await call()
        found[name] = count
    await store.close()
    return found


async def test_the_work_of_a_page_does_not_depend_on_how_much_is_stored(tmp_path: Path) -> None:
    small, large = (
        await steps(tmp_path / "small.db", SMALL),
        await steps(tmp_path / "large.db", LARGE),
    )
    for name, count in large.items():
        assert count <= small[name] * 1.3 + 20, (name, small[name], count)
    assert max(large.values()) < 1_500


@pytest.mark.parametrize("reverse", [False, True])
async def test_pages_of_a_long_history_fit_together(tmp_path: Path, reverse: bool) -> None:
    arns = await pattern(str(tmp_path / "s.db"))
    fill(str(tmp_path / "s.db"), 20)
    store = SqliteStore(tmp_path / "s.db")
    await store.open()
    row = await store.describe(arns["machine execution"])
    assert row is not None
    seen: list[int] = []
    while page := await store.history(row.id, seen[-1] if seen else 0, 997, reverse):
        seen += [number for number, _, _ in page]
        if seen[-1] == 1 and reverse:
            break
    assert seen == (list(range(EVENTS, 0, -1)) if reverse else list(range(1, EVENTS + 1)))
    await store.close()


async def test_every_filter_finds_all_of_its_own(tmp_path: Path) -> None:
    arns = await pattern(str(tmp_path / "s.db"))
    fill(str(tmp_path / "s.db"), 150)
    store = SqliteStore(tmp_path / "s.db")
    await store.open()
    every = await store.list_executions(limit=1000)
    for name, machine in (("version", "version"), ("alias", "alias")):
        want = [row.id for row in every if row.extras.get(name) == arns[machine]]
        found = [row.id for row in await store.list_executions(qualifier=arns[machine], limit=1000)]
        assert len(want) > 5 and found == want
        assert await store.list_executions(qualifier=arns[machine], status="FAILED") == []
    assert await store.list_executions(qualifier=arns["version"] + "7") == []
    await store.close()
