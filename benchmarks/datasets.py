"""python -m benchmarks.datasets [--items N] [--item-bytes N] [--folder DIR] [FORMAT ...]: CPU time
and memory of reading datasets from S3, chunk by chunk, and of writing results to it.

Each figure is of a process of its own, and the S3 (object_store.py) is another one. `bare` is the
least that Python can do with the file: csv.reader and a dict for each row, or msgspec for each
line. Compare that share, not the seconds.

    peak MB   memory of the process, and how much of it was there before the first chunk
    pause ms  the longest time for which the event loop did nothing else, and the 999th per mille
"""

import argparse
import asyncio
import csv
import gzip
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from stepwell.asl.resources import dataset_resource
from stepwell.engine.map_runs.datasets import StreamRequest
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.tasks.registry import Registry

COLUMNS = 16
CHUNK_ITEMS, CHUNK_BYTES = 1_000, 4 * 1024 * 1024
ARN = "arn:aws:states:us-east-1:123456789012:mapRun:M/L:results"
CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
FORMATS: dict[str, dict[str, str]] = {
    "csv": CSV,
    "csv.gz": CSV,
    "csv.zst": CSV,
    "jsonl": {"InputType": "JSONL"},
    "json": {"InputType": "JSON"},
    "parquet": {"InputType": "PARQUET"},
}
PACKERS: dict[str, Any] = {
    ".gz": lambda path: gzip.GzipFile(path, "wb", compresslevel=1),
    ".zst": lambda path: zstandard.open(path, "wb"),
}


def rows(items: int, size: int) -> Iterator[list[str]]:
    """Rows of about `size` bytes of JSON text, each with a number and texts, some in quotes."""
    text = ("some words, and a number " * size)[: max(size // COLUMNS - 14, 1)]
    for number in range(items):
        yield [str(number), *(f"{text}{number % 97:02}" for _ in range(COLUMNS - 1))]


def write(path: Path, items: int, size: int) -> None:
    names = [f"column {number}" for number in range(COLUMNS)]
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        schema = pyarrow.schema([(name, pyarrow.string()) for name in names])
        with pyarrow.parquet.ParquetWriter(path, schema) as file:
            for block in blocks(rows(items, size), 20_000):
                columns = list(map(list, zip(*block, strict=True)))
                file.write_table(pyarrow.table(columns, schema=schema))
        return
    kind = path.name.split(".")[1]
    with PACKERS.get(path.suffix, lambda path: open(path, "wb"))(path) as out:
        if kind == "csv":
            out.write(",".join(names).encode() + b"\n")
            for row in rows(items, size):
                out.write(",".join([row[0], *(f'"{text}"' for text in row[1:])]).encode() + b"\n")
            return
        between = b"\n" if kind == "jsonl" else b",\n"
        out.write(b"" if kind == "jsonl" else b"[")
        for number, row in enumerate(rows(items, size)):
            out.write(between * bool(number))
            out.write(msgspec.json.encode(dict(zip(names, row, strict=True))))
        out.write(b"" if kind == "jsonl" else b"]")


def blocks(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while block := list(itertools.islice(iterator, size)):
        yield block


def bare(path: Path) -> int:
    with path.open(newline="", encoding="utf-8") as file:
        if path.suffix == ".csv":
            reader = csv.reader(file)
            names = next(reader)
            return sum(1 for row in reader if dict(zip(names, row, strict=True)))
    with path.open("rb") as lines:
        return sum(1 for line in lines if msgspec.json.decode(line) is not None)


# --- one measurement, in a process of its own -----------------------------------------------------


class Pauses:
    """How late the event loop wakes a coroutine that sleeps 2 ms."""

    def __init__(self) -> None:
        self.late: list[float] = []

    async def watch(self) -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.002)
            self.late.append(time.perf_counter() - begun - 0.002)


async def read(registry: Registry, key: str, config: dict[str, str]) -> int:
    payload = {"Bucket": "data", "Key": key, "ReaderConfig": config, "MaxItems": None}
    resource_of = dataset_resource("arn:aws:states:::s3:getObject")
    dataset = await registry.dataset(StreamRequest(resource_of, payload, "", "", "M", ""))
    assert dataset is not None
    cursor, found = None, 0
    while True:
        chunk = await dataset.chunk(cursor, CHUNK_ITEMS, CHUNK_BYTES)
        found, cursor = found + len(chunk.items), chunk.cursor
        if cursor is None:
            await dataset.close()
            return found


async def results(registry: Registry, items: int, size: int) -> int:
    payload = {"Bucket": "data", "Prefix": "", "MapRunArn": ARN}
    payload |= {"OutputType": "JSON", "Transformation": "COMPACT"}
    resource_of = dataset_resource("arn:aws:states:::s3:putObject")
    writer = await registry.results(StreamRequest(resource_of, payload, "", "", "M", ""))
    assert writer is not None
    line = msgspec.json.encode("x" * (size - 2))
    state = await writer.begin()
    for start in range(0, items, count := writer.part_bytes // size):
        text = b"\n".join([line] * min(count, items - start))
        state = json.loads(json.dumps(await writer.part(state, "SUCCEEDED", text)))
    await writer.finish(state)
    return items


async def measured(url: str, key: str, items: int, size: int) -> dict[str, float]:
    registry, pauses = Registry(outside=Outside({"s3": url})), Pauses()
    await (results(registry, 1, 10) if key == "results" else read(registry, "small.csv", CSV))
    before, begun = peak(), time.process_time()
    watching = asyncio.create_task(pauses.watch())
    if key == "results":
        found = await results(registry, items, size)
    else:
        found = await read(registry, key, FORMATS[key.partition(".")[2]])
    seconds = time.process_time() - begun
    watching.cancel()
    await registry.close()
    late = sorted(pauses.late)
    return {
        "items": found,
        "cpu": seconds,
        "peak": peak(),
        "before": before,
        "pause": late[-1] * 1000,
        "mostly": late[len(late) * 999 // 1000] * 1000,
    }


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- the table ------------------------------------------------------------------------------------


@contextmanager
def store(folder: Path) -> Iterator[str]:
    words = [sys.executable, "-m", "benchmarks.object_store", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def one(arguments: list[Any]) -> dict[str, float]:
    words = [sys.executable, "-m", "benchmarks.datasets", "--one", *map(str, arguments)]
    found: dict[str, float] = json.loads(subprocess.check_output(words, text=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("formats", nargs="*", default=[*FORMATS, "results"])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--item-bytes", type=int, default=1_000)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        url, key, items, size = options.one
        if url == "write":  # not in this process: its children would begin with its peak
            write(Path(key), int(items), int(size))
            found = {}
        elif url == "bare":
            begun = time.process_time()
            bare(Path(key))
            found = {"cpu": time.process_time() - begun}
        else:
            found = asyncio.run(measured(url, key, int(items), int(size)))
        print(json.dumps(found))
        return
    items, size = options.items, options.item_bytes
    print("format      GB   CPU s per million   share of bare   peak MB (before)   pause ms")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        data = Path(name) / "data"
        data.mkdir()
        one(["write", data / "small.csv", 10, 100])
        with store(Path(name)) as url:
            for kind in options.formats:
                key = kind if kind == "results" else f"items.{kind}"
                if kind != "results":
                    one(["write", data / key, items, size])
                found = one([url, key, items, size])
                assert found["items"] == items
                share = ""
                if kind in ("csv", "jsonl"):
                    share = f"{found['cpu'] / one(['bare', data / key, items, size])['cpu']:.2f}"
                gigabytes = sum(
                    path.stat().st_size for path in data.rglob("*") if path.name != "small.csv"
                )
                print(
                    f"{kind:8} {gigabytes / 1e9:5.2f} {found['cpu'] / items * 1e6:19.1f} "
                    f"{share:>15} {found['peak']:11.0f} ({found['before']:.0f}) "
                    f"{found['pause']:11.0f} ({found['mostly']:.0f})",
                    flush=True,
                )
                for path in data.rglob("*"):
                    if path.is_file() and path.name != "small.csv":
                        os.unlink(path)


if __name__ == "__main__":
    main()
