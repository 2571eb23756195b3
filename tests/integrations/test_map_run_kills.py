"""The benchmark of Map Runs in a small form: a server that is killed on its way, a file in S3 and
the files of its results.
"""

import shutil
import sys
from pathlib import Path

import pytest
from benchmarks.map_runs import measure


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_each_item_has_one_result_after_a_kill(tmp_path: Path) -> None:
    found = measure(tmp_path / "s3", str(tmp_path / "db"), 20_000, "jsonl", 100, kills=1)
    assert (found["status"], found["results"], found["repeated"]) == ("SUCCEEDED", 20_000, 0)
    assert len(found["open_ms"]) == 1
    shutil.rmtree(tmp_path)
