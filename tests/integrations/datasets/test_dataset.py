"""Datasets in S3, read chunk by chunk and from any cursor; moto's server is the S3."""

import asyncio
import dataclasses
import gzip
import io
import json
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import boto3
import pytest
import zstandard
from tests.conformance.moto import moto

from stepwell.asl.resources import dataset_resource
from stepwell.engine.map_runs.datasets import Chunk, Dataset, StreamRequest
from stepwell.engine.tasks import TaskError
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.registry import Services
from stepwell.integrations.tasks.registry import Registry

GET, LIST = "arn:aws:states:::s3:getObject", "arn:aws:states:::s3:listObjectsV2"
LINES = [{"n": number, "text": "é" * (number % 40)} for number in range(300)]
JSONL = "\n".join(map(json.dumps, LINES)).encode()
PART = JSONL.splitlines()[:60]
ROWS = ("a,b\r\n" + "".join(f'{n},"x\n""{n}"""\r\n' for n in range(200))).encode()
READ_ROWS = [{"a": str(n), "b": f'x\n"{n}"'} for n in range(200)]
HALVES = [f'"b","k {number}"\n'.encode() for number in range(100)]
INVENTORY = {
    "destinationBucket": "arn:aws:s3:::data",
    "fileSchema": "Bucket, Key",
    "files": [{"key": "inventory/1.csv.gz"}, {"key": "inventory/2.csv.gz"}],
}
FILES = {
    "lines.jsonl": JSONL,
    "lines.jsonl.gz": gzip.compress(JSONL[:5000]) + gzip.compress(JSONL[5000:]),
    "lines.jsonl.zst": zstandard.compress(JSONL[:7000]) + zstandard.compress(JSONL[7000:]),
    "rows.csv": ROWS,
    "items.json": json.dumps(LINES).encode(),
    "object.json": json.dumps({"deep": {str(line["n"]): line for line in LINES}}).encode(),
    "many/": b"",
    **{f"many/{number}.jsonl": b"\n".join(PART) for number in range(3)},
    "empty": b"",
    "inventory/1.csv.gz": gzip.compress(b"".join(HALVES[:50])),
    "inventory/2.csv.gz": gzip.compress(b"".join(HALVES[50:])),
    "inventory/manifest.json": json.dumps(INVENTORY).encode(),
    "orc/manifest.json": json.dumps(INVENTORY | {"fileFormat": "ORC"}).encode(),
    "number.json": b"7",
    "unload/manifest.csv": b"s3://data/many/0.jsonl\ns3://data/lines.jsonl\n",
    "cut.jsonl.zst": zstandard.compress(JSONL)[:-9],
    "large.jsonl": b"1\n" + b'"' + b"x" * 20_000 + b'"\n',
    "lines.csv": b"a\n" + b'"x\n",' * 3000 + b"1\n",
    "large.json": b"[1, " + b'"' + b"x" * 20_000 + b'"]',
    "huge.json": b"[" + b"0," * 100_000 + b"0]",
    "late.json": b'{"a": "' + b"x" * 9_000 + b'", "b": [1]}',
    "wrong.json": b'[{"a": 1}, {"a" 2}]',
}
LIMITS = dataclasses.replace(
    DEFAULT_LIMITS,
    dataset_block_bytes=2000,
    dataset_item_bytes=10_000,
    dataset_file_bytes=150_000,
    pointer_bytes=8_000,
)
CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
FLATTENED = {"InputType": "JSONL", "Transformation": "LOAD_AND_FLATTEN"}


def client(url: str) -> Any:
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with moto() as found:
        client(found).create_bucket(Bucket="data")
        for key, body in FILES.items():
            client(found).put_object(Bucket="data", Key=key, Body=body)
        yield found


@pytest.fixture(scope="module")
def outside(url: str) -> Iterator[Outside]:
    found = Outside({"s3": url})  # shared: botocore takes long to make a client
    yield found
    found.close()


@pytest.fixture
async def registry(outside: Outside) -> AsyncIterator[Registry]:
    opened = Registry(outside=outside, limits=LIMITS, services=Services())
    yield opened
    await opened.close()


async def opened(registry: Registry, key: str, most: int | None = None, **config: Any) -> Dataset:
    """A key that ends with "*" is a listing."""
    named = {"Prefix": key[:-1]} if key.endswith("*") else {"Key": key}
    payload = {"Bucket": "data", **named, "ReaderConfig": config, "MaxItems": most}
    resource = dataset_resource(LIST if key.endswith("*") else GET)
    found = await registry.dataset(StreamRequest(resource, payload, "", "", "M", ""))
    assert found is not None
    return found


async def whole(dataset: Dataset, items: int = 1000, size: int = 1_000_000) -> list[Chunk]:
    chunks = [await dataset.chunk(None, items, size)]
    while chunks[-1].cursor is not None:
        chunks.append(await dataset.chunk(chunks[-1].cursor, items, size))
    return chunks


def joined(chunks: list[Chunk]) -> list[Any]:
    return [item for chunk in chunks for item in chunk.items]


CASES = [
    ("lines.jsonl", {"InputType": "JSONL"}, LINES),
    ("lines.jsonl.gz", {"InputType": "JSONL"}, LINES),
    ("lines.jsonl.zst", {"InputType": "JSONL"}, LINES),
    ("rows.csv", CSV, READ_ROWS),
    ("items.json", {}, LINES),
    ("many/*", FLATTENED, LINES[:60] * 3),
    ("empty", {"InputType": "JSONL"}, []),
    ("empty", CSV, []),
    (
        "inventory/manifest.json",
        {"InputType": "MANIFEST"},
        [{"Bucket": "b", "Key": f"k {number}"} for number in range(100)],
    ),
    (
        "unload/manifest.csv",
        {"InputType": "JSONL", "ManifestType": "ATHENA_DATA"},
        LINES[:60] + LINES,
    ),
]


@pytest.mark.parametrize(("key", "config", "items"), CASES, ids=[case[0] for case in CASES])
async def test_chunks_and_cursors(registry: Registry, key: str, config: Any, items: Any) -> None:
    chunks = await whole(await opened(registry, key, **config), 70)
    assert joined(chunks) == items
    assert [len(chunk.items) for chunk in chunks[:-1]] == [70] * (max(len(items) - 1, 0) // 70)
    for number, chunk in enumerate(chunks[:-1], 1):  # a new process reads on
        dataset = await opened(registry, key, **config)
        rest = await dataset.chunk(json.loads(json.dumps(chunk.cursor)), 1000, 1_000_000)
        assert rest.items == items[70 * number :]
    limited = await opened(registry, key, 75, **config)
    assert joined(await whole(limited, 70)) == items[:75]
    assert joined(await whole(limited, 75)) == items[:75], "from the start again"


async def test_keys_of_an_object(registry: Registry) -> None:
    dataset = await opened(registry, "object.json", InputType="JSON", ItemsPointer="/deep")
    chunks = await whole(dataset, 70)
    assert joined(chunks) == LINES
    assert [key for chunk in chunks for key in chunk.keys or []] == [str(n) for n in range(300)]
    assert dataset.source == "S3://data/object.json"


async def test_objects_of_several_files(registry: Registry, url: str) -> None:
    """Each is one item, and arrays are joined."""
    for number, value in enumerate(({"a": 1}, [2, 3], {}, {"b": 4})):
        body = json.dumps({"deep": value})
        client(url).put_object(Bucket="data", Key=f"objects/{number}.json", Body=body)
    config = {"InputType": "JSON", "ItemsPointer": "/deep", "Transformation": "LOAD_AND_FLATTEN"}
    items = [{"a": 1}, 2, 3, {}, {"b": 4}]
    chunks = await whole(await opened(registry, "objects/*", **config), 1)
    assert joined(chunks) == items
    for number, chunk in enumerate(chunks[:-1], 1):
        rest = await (await opened(registry, "objects/*", **config)).chunk(chunk.cursor, 99, 9999)
        assert rest.items == items[number:]


async def test_bytes_of_a_chunk(registry: Registry) -> None:
    for key, config in (("lines.jsonl", {"InputType": "JSONL"}), ("rows.csv", CSV)):
        chunks = await whole(await opened(registry, key, **config), 1000, 500)
        sizes = [len(json.dumps(chunk.items)) for chunk in chunks]
        assert max(sizes) <= 600 and len(sizes) > 10
        one = await (await opened(registry, key, **config)).chunk(None, 1000, 1)
        assert len(one.items) == 1


async def test_a_listing(registry: Registry, url: str) -> None:
    for number in range(30):
        client(url).put_object(Bucket="data", Key=f"listed/{number:02}", Body=b"x")
    dataset = await opened(registry, "listed/*")
    chunks = await whole(dataset, 7)
    names = [item["Key"] for item in joined(chunks)]
    assert names == [f"listed/{number:02}" for number in range(30)]
    assert dataset.source == "S3://data"
    client(url).delete_object(Bucket="data", Key="listed/03")  # read already
    again = await opened(registry, "listed/*")
    assert [each["Key"] for each in (await again.chunk(chunks[0].cursor, 100, 9999)).items] == [
        f"listed/{number:02}" for number in range(7, 30)
    ]


@pytest.mark.parametrize(
    ("key", "config", "cause"),
    [
        ("missing", {}, "The specified key does not exist."),
        ("empty", {}, "The dataset is not valid JSON: No content to map due to end-of-input"),
        ("cut.jsonl.zst", {"InputType": "JSONL"}, "The dataset data/cut.jsonl.zst cannot be read"),
        ("large.jsonl", {"InputType": "JSONL"}, "An item of the dataset is larger than 10000 b"),
        (
            "orc/manifest.json",
            {"InputType": "MANIFEST"},
            "The dataset is not valid MANIFEST: the inventory is in ORC; it must be in CSV",
        ),
        ("number.json", {"InputType": "MANIFEST"}, "The dataset is not valid MANIFEST: "),
        ("lines.csv", CSV, "An item of the dataset is larger than 10000 bytes"),
        ("large.json", {}, "An item of the dataset is larger than 10000 bytes"),
        ("huge.json", {}, "The dataset data/huge.json is larger than 150000 bytes"),
        ("late.json", {"ItemsPointer": "/b"}, "The ItemsPointer '/b' does not exist in the data"),
        (
            "wrong.json",
            {},
            "The dataset is not valid JSON: Unexpected character ('2' (code 50)): was expecting a "
            "colon to separate field name and value",
        ),
    ],
)
async def test_what_cannot_be_read(registry: Registry, key: str, config: Any, cause: str) -> None:
    dataset = await opened(registry, key, **config)
    with pytest.raises(TaskError) as error:
        await whole(dataset)
    assert error.value.error == "States.ItemReaderFailed"
    assert str(error.value.cause).startswith(cause)


async def test_a_file_that_changes(registry: Registry, url: str) -> None:
    for key, config in (
        ("changed.jsonl", {"InputType": "JSONL"}),
        ("changed.jsonl.gz", {"InputType": "JSONL"}),
        ("changed.manifest", {"InputType": "MANIFEST"}),
    ):
        body = FILES["inventory/manifest.json"] if "manifest" in key else JSONL
        pack = gzip.compress if key.endswith(".gz") else bytes
        client(url).put_object(Bucket="data", Key=key, Body=pack(body))
        first = await opened(registry, key, **config)
        chunk = await first.chunk(None, 10, 1_000_000)
        client(url).put_object(Bucket="data", Key=key, Body=pack(body + b"\n"))
        datasets = [await opened(registry, key, **config)]
        if pack is bytes and "manifest" not in key:
            datasets.append(first)  # open, with a part in memory
        for dataset in datasets:
            with pytest.raises(TaskError) as error:
                await dataset.chunk(chunk.cursor, 1000, 1_000_000)
            assert (error.value.error, error.value.cause) == (
                "States.ItemReaderFailed",
                f"The dataset data/{key} has changed while it was read",
            )


async def test_a_cancelled_chunk_is_read_again(registry: Registry) -> None:
    dataset = await opened(registry, "lines.jsonl", InputType="JSONL")
    first = await dataset.chunk(None, 10, 1_000_000)
    reading = asyncio.create_task(dataset.chunk(first.cursor, 1000, 1_000_000))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await dataset.chunk(first.cursor, 1000, 1_000_000)).items == LINES[10:]
    await dataset.close()


async def test_parquet_without_pyarrow(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TaskError, match="need pyarrow: pip install 'stepwell\\[parquet\\]'"):
        await whole(await opened(registry, "lines.jsonl", InputType="PARQUET"))


async def test_parquet(registry: Registry, url: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(LINES), file, row_group_size=110)
    client(url).put_object(Bucket="data", Key="lines.parquet", Body=file.getvalue())
    chunks = await whole(await opened(registry, "lines.parquet", InputType="PARQUET"), 70)
    assert joined(chunks) == LINES
    for number, chunk in enumerate(chunks[:-1], 1):
        dataset = await opened(registry, "lines.parquet", InputType="PARQUET")
        assert (await dataset.chunk(chunk.cursor, 1000, 1_000_000)).items == LINES[70 * number :]
    with pytest.raises(TaskError, match=r"The dataset data/lines\.jsonl cannot be read"):
        await whole(await opened(registry, "lines.jsonl", InputType="PARQUET"))
