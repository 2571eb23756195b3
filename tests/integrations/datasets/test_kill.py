"""kill -9 of an engine whose Map Run reads from S3 and writes to it: each item has one result.

STEPWELL_MAP_KILLS=20 kills that often, STEPWELL_MAP_ITEMS=100000 has more to read.
"""

import gzip
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from benchmarks.object_store import ObjectStore

PROCESS = Path(__file__).with_name("map_run_process.py")
KILLS = int(os.environ.get("STEPWELL_MAP_KILLS", "1"))
ITEMS = int(os.environ.get("STEPWELL_MAP_ITEMS", "7000"))
TEXT = "x" * 900


def definition(key: str, config: dict[str, str], writer: dict[str, str]) -> str:
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}}
    state: dict[str, Any] = {
        "Type": "Map",
        "End": True,
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "Parameters": {"Bucket": "data", "Key": key},
            "ReaderConfig": config,
        },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": "data", "Prefix": "results"},
            "WriterConfig": writer,
        },
        "ItemProcessor": {
            **processor,
            "StartAt": "P",
            "States": {"P": {"Type": "Pass", "End": True}},
        },
    }
    return json.dumps({"StartAt": "M", "States": {"M": state}})


def run(words: list[str], seconds: float | None) -> str:
    """The status that a process ends with; "" if it was killed, that long after it was open."""
    command = [sys.executable, str(PROCESS), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        if seconds is not None:
            time.sleep(seconds)
            process.kill()
        return process.stdout.read().strip()


@pytest.mark.parametrize("kind", ["csv", "jsonl.gz"])
def test_each_item_has_one_result(tmp_path: Path, kind: str) -> None:
    rows = [{"n": str(number), "text": TEXT} for number in range(ITEMS)]
    (tmp_path / "data").mkdir()
    if kind == "csv":
        config = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
        content = "n,text\n" + "".join(f"{row['n']},{row['text']}\n" for row in rows)
        (tmp_path / "data" / kind).write_text(content)
    else:
        config = {"InputType": "JSONL"}
        lines = "\n".join(map(json.dumps, rows)).encode()
        (tmp_path / "data" / kind).write_bytes(gzip.compress(lines, 1))
    output = {"OutputType": "JSON" if kind == "csv" else "JSONL", "Transformation": "COMPACT"}
    moments = random.Random(kind)
    with ObjectStore(tmp_path) as url:
        words = [str(tmp_path), url, definition(kind, config, output)]
        for _ in range(KILLS):
            run(words, moments.uniform(0.1, 1.2) * ITEMS / 7000)
        assert run(words, None) == "SUCCEEDED"
    (manifest,) = (tmp_path / "data" / "results").rglob("manifest.json")
    (file,) = json.loads(manifest.read_text())["ResultFiles"]["SUCCEEDED"]
    text = (tmp_path / "data" / file["Key"]).read_text()
    assert len(text) == file["Size"] > 5 * 1024 * 1024, "of several parts"
    results = json.loads(text) if kind == "csv" else list(map(json.loads, text.split("\n")))
    assert [each["n"] for each in results] == [row["n"] for row in rows]
