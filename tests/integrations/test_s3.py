"""Map Runs that read from S3 and write to it; moto's server is the S3."""

import dataclasses
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import zstandard
from tests.conformance.moto import moto
from tests.integrations.services.embedded_engine import EmbeddedEngine

from stepwell.integrations.limits import DEFAULT_LIMITS

GET, LIST, PUT = (
    f"arn:aws:states:::s3:{action}" for action in ("getObject", "listObjectsV2", "putObject")
)
ROWS = b"id,name\n1,Ada\n2,Grace\n"
READ = [{"id": "1", "name": "Ada"}, {"id": "2", "name": "Grace"}]
INVENTORY = {
    "destinationBucket": "arn:aws:s3:::data",
    "fileSchema": "Bucket, Key",
    "files": [{"key": "inventory/1.csv.gz"}],
}
FILES = {
    "rows.csv": ROWS,
    "rows.csv.gz": gzip.compress(ROWS),
    "rows.csv.zst": zstandard.compress(ROWS),
    "items.json": b'{"deep": [1, [2], {"a": null}]}',
    "lines.jsonl": '"\u2028"\n{"b": 12345678901234567890}\n'.encode(),
    "many/1.jsonl": b"1\n2\n",
    "many/2.jsonl": b"3\n",
    "many/": b"",
    "inventory/1.csv.gz": gzip.compress(b'"b","k 1"\n"b","k 2"\n'),
    "inventory/manifest.json": json.dumps(INVENTORY).encode(),
    "unload/manifest.csv": b"s3://data/many/1.jsonl\ns3://data/many/2.jsonl\n",
    "wrong.json": b"[1, 2",
    "number.json": b"7",
    "latin.csv": "id\nö".encode("latin-1"),
    "bomb.json.gz": gzip.compress(b"[" + b" " * 3_000_000 + b"]"),
    "cut.csv.gz": gzip.compress(ROWS)[:-4],
}


def client(url: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with moto() as found:
        s3 = client(found)
        for bucket in ("data", "results"):
            s3.create_bucket(Bucket=bucket)
        for key, body in FILES.items():
            s3.put_object(Bucket="data", Key=key, Body=body)
        yield found


@pytest.fixture
async def house(tmp_path: Path, url: str) -> AsyncIterator[EmbeddedEngine]:
    limits = dataclasses.replace(DEFAULT_LIMITS, dataset_file_bytes=1_000_000)
    async with EmbeddedEngine(tmp_path / "house.db", limits, {"s3": url}) as opened:
        yield opened


def over(fields: dict[str, Any], inner: dict[str, Any] | None = None) -> dict[str, Any]:
    """A Map over what is read."""
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "I",
    }
    states = {"I": {"Type": "Pass", "End": True} if inner is None else inner}
    return {
        "StartAt": "M",
        "States": {
            "M": {
                "Type": "Map",
                "ItemProcessor": {**processor, "States": states},
                "End": True,
                **fields,
            }
        },
    }


def reader(key: str, resource: str = GET, **config: Any) -> dict[str, Any]:
    named = {"Key": key} if resource == GET else {"Prefix": key}
    return {
        "ItemReader": {
            "Resource": resource,
            "Parameters": {"Bucket": "data", **named},
            "ReaderConfig": config,
        }
    }


async def ran(house: EmbeddedEngine, machine: dict[str, Any], given: Any = None) -> Any:
    arn = await house.machine(machine)
    started = await house.engine.start_execution(
        arn, input=json.dumps({} if given is None else given)
    )
    return await house.engine.wait(started["executionArn"], timeout=30)


CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
JSONL = {"InputType": "JSONL"}


@pytest.mark.parametrize(
    ("fields", "items"),
    [
        (reader("rows.csv", **CSV), READ),
        (reader("rows.csv", **CSV, MaxItems=1), READ[:1]),
        (reader("rows.csv.gz", **CSV), READ),
        (reader("rows.csv.zst", **CSV), READ),
        (reader("items.json", InputType="JSON", ItemsPointer="/deep"), [1, [2], {"a": None}]),
        (reader("lines.jsonl", **JSONL), ["\u2028", {"b": 12345678901234567890}]),
        (
            reader("inventory/manifest.json", InputType="MANIFEST"),
            [{"Bucket": "b", "Key": "k 1"}, {"Bucket": "b", "Key": "k 2"}],
        ),
        (reader("unload/manifest.csv", **JSONL, ManifestType="ATHENA_DATA"), [1, 2, 3]),
        (reader("many/", LIST, **JSONL, Transformation="LOAD_AND_FLATTEN"), [1, 2, 3]),
        (reader("many/", LIST, **JSONL, Transformation="LOAD_AND_FLATTEN", MaxItems=2), [1, 2]),
    ],
)
async def test_what_is_read(house: EmbeddedEngine, fields: dict[str, Any], items: Any) -> None:
    ended = await ran(house, over(fields))
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"]) == items


async def test_a_listing(house: EmbeddedEngine) -> None:
    ended = await ran(
        house,
        over(
            reader("many/", LIST)
            | {"ItemSelector": {"v.$": "$$.Map.Item.Value", "s.$": "$$.Map.Item.Source"}}
        ),
    )
    items = json.loads(ended["output"])
    assert [item["v"]["Key"] for item in items] == [
        "many/",
        "many/1.jsonl",
        "many/2.jsonl",
    ] and items[0]["s"] == "S3://data"
    assert (
        items[1]["v"].keys() == {"Etag", "Key", "LastModified", "Size", "StorageClass"}
        and items[1]["v"]["Size"] == 4
    )
    assert isinstance(items[1]["v"]["LastModified"], int)


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        (reader("missing.json"), "The specified key does not exist."),
        (reader("wrong.json"), "The dataset is not valid JSON"),
        (reader("items.json"), "Attempting to map over non-iterable node."),
        (reader("number.json"), "Attempting to map over non-iterable node."),
        (reader("latin.csv", **CSV), "The dataset data/latin.csv cannot be read: "),
        (reader("bomb.json.gz"), "The dataset data/bomb.json.gz is larger than 1000000 bytes"),
        (reader("cut.csv.gz", **CSV), "The dataset data/cut.csv.gz cannot be read: "),
        (reader("number.json", InputType="MANIFEST"), "The dataset is not valid MANIFEST"),
    ],
)
async def test_what_cannot_be_read(
    house: EmbeddedEngine, fields: dict[str, Any], cause: str
) -> None:
    ended = await ran(house, over(fields))
    assert (ended["status"], ended["error"]) == ("FAILED", "States.ItemReaderFailed") and ended[
        "cause"
    ].startswith(cause)


async def test_paths_of_the_call_and_of_max_items(house: EmbeddedEngine) -> None:
    config = {**CSV, "MaxItemsPath": "$.n"}
    asked = {
        "Resource": GET,
        "Parameters": {"Bucket.$": "$.bucket", "Key": "rows.csv"},
        "ReaderConfig": config,
    }
    for most, output in ((1, READ[:1]), (0, READ), (100_000_001, READ)):
        ended = await ran(house, over({"ItemReader": asked}), {"bucket": "data", "n": most})
        assert json.loads(ended["output"]) == output
    ended = await ran(house, over({"ItemReader": asked}), {"bucket": "data", "n": -1})
    assert (ended["error"], ended["cause"]) == (
        "States.ItemReaderFailed",
        "field MaxItems must be positive",
    )


async def test_without_an_s3(tmp_path: Path) -> None:
    async with EmbeddedEngine(tmp_path / "alone.db") as house:
        ended = await ran(house, over(reader("rows.csv", **CSV)))
        assert (
            ended["error"] == "States.ItemReaderFailed"
            and "no endpoint is configured for s3" in ended["cause"]
        )


# --- writing --------------------------------------------------------------------------------------


def written(url: str, key: str) -> Any:
    body = client(url).get_object(Bucket="results", Key=key)["Body"].read().decode()
    return (
        [json.loads(line) for line in body.splitlines()]
        if key.endswith(".jsonl")
        else json.loads(body)
    )


def writer(**config: str) -> dict[str, Any]:
    written = {"WriterConfig": config} if config else {}
    return {
        "ResultWriter": {
            "Resource": PUT,
            "Parameters": {"Bucket": "results", "Prefix": "runs"},
            **written,
        }
    }


async def test_whole_executions_are_written(house: EmbeddedEngine, url: str) -> None:
    """By default; those that failed and were tolerated, too."""
    choose = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.id", "StringEquals": "2", "Next": "F"}],
        "Default": "P",
    }
    machine = over(reader("rows.csv", **CSV) | writer() | {"ToleratedFailureCount": 1}, choose)
    machine["States"]["M"]["ItemProcessor"]["States"] |= {
        "F": {"Type": "Fail", "Error": "No"},
        "P": {"Type": "Pass", "End": True},
    }
    ended = await ran(house, machine)
    output = json.loads(ended["output"])
    (run,) = (await house.engine.list_map_runs(ended["executionArn"]))["mapRuns"]
    folder = f"runs/{run['mapRunArn'].rpartition(':')[2]}"
    details = {"Bucket": "results", "Key": f"{folder}/manifest.json"}
    assert output == {"MapRunArn": run["mapRunArn"], "ResultWriterDetails": details}
    manifest = written(url, details["Key"])
    files = {
        name: [file["Key"] for file in listed]
        for name, listed in manifest.pop("ResultFiles").items()
    }
    assert manifest == {"DestinationBucket": "results", "MapRunArn": run["mapRunArn"]}
    assert files == {
        "SUCCEEDED": [f"{folder}/SUCCEEDED_0.json"],
        "FAILED": [f"{folder}/FAILED_0.json"],
        "PENDING": [],
    }
    (good,), (bad,) = (written(url, files[name][0]) for name in ("SUCCEEDED", "FAILED"))
    assert (good["Status"], json.loads(good["Output"])) == ("SUCCEEDED", READ[0])
    assert (bad["Status"], json.loads(bad["Input"])) == ("FAILED", READ[1])


@pytest.mark.parametrize(
    ("config", "file", "expected"),
    [
        ({"Transformation": "COMPACT"}, "SUCCEEDED_0.json", [[1, 2], 3]),
        ({"Transformation": "FLATTEN"}, "SUCCEEDED_0.json", [1, 2, 3]),
        ({"Transformation": "FLATTEN", "OutputType": "JSONL"}, "SUCCEEDED_0.jsonl", [1, 2, 3]),
    ],
)
async def test_forms_of_the_results(
    house: EmbeddedEngine, url: str, config: dict[str, str], file: str, expected: Any
) -> None:
    ended = await ran(house, over(writer(**config)), [[1, 2], 3])
    assert ended["status"] == "SUCCEEDED", ended
    key = json.loads(ended["output"])["ResultWriterDetails"]["Key"].replace("manifest.json", file)
    assert written(url, key) == expected


async def test_what_cannot_be_written_is_written_by_a_redrive(
    house: EmbeddedEngine, url: str
) -> None:
    machine = over(writer(Transformation="COMPACT"))
    machine["States"]["M"]["ResultWriter"]["Parameters"]["Bucket"] = "later"
    ended = await ran(house, machine, [1])
    assert (ended["error"], ended["cause"]) == (
        "States.ResultWriterFailed",
        "The specified bucket does not exist",
    )
    client(url).create_bucket(Bucket="later")
    await house.engine.redrive_execution(ended["executionArn"])
    ended = await house.engine.wait(ended["executionArn"], timeout=30)
    assert ended["status"] == "SUCCEEDED", ended
    (run,) = (await house.engine.list_map_runs(ended["executionArn"]))["mapRuns"]
    assert (await house.engine.describe_map_run(run["mapRunArn"]))["itemCounts"][
        "resultsWritten"
    ] == 1
