"""The parts of benchmarks.capacity, in small numbers."""

from pathlib import Path

import pytest
from benchmarks import capacity
from tests.engine.store.conftest import own_schema


@pytest.fixture(params=["sqlite", "postgres"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "x.db") if request.param == "sqlite" else own_schema(request, tmp_path)


async def test_each_part_measures(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "SAMPLE", 20)
    monkeypatch.setattr(capacity, "CLIENTS", 4)
    for name, row in (await capacity.rate(db, 1)).items():
        assert row["units_per_commit"] >= 1 and row["node_cpu_us_per_unit"] > 0, name
        # of PostgreSQL, where it runs on this machine
        assert row.get("database_cpu_us_per_unit", 0) >= 0
    cleaned = await capacity.retention(db, 200)
    assert cleaned["executions"] == 200 and cleaned["transaction_max_ms"] > 0
    assert 0 < cleaned["size_when_stored_again_by_size_before"] <= 1.2


async def test_bytes_of_executions_that_have_ended(tmp_path: Path) -> None:
    found = await capacity.ended(str(tmp_path / "x.db"), 1)
    assert {name: row["events"] for name, row in found.items()} == {
        "10 Pass": 22,
        "10 Task": 52,
        "mixed": 34,
    }
    assert all(300 < row["bytes"] < 1_000 for row in found.values()), found
