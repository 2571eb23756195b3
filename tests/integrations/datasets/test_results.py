"""The files of a ResultWriter, written part by part and with calls that are repeated; the S3 is
the one of the benchmarks: moto does not know an upload that was completed.
"""

import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import boto3
import pytest
from benchmarks.object_store import ObjectStore

from stepwell.asl.resources import dataset_resource
from stepwell.engine.map_runs.datasets import Results, StreamRequest
from stepwell.engine.tasks import TaskError
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.registry import Services
from stepwell.integrations.tasks.registry import Registry

PUT = dataset_resource("arn:aws:states:::s3:putObject")
MB = 1024 * 1024
LARGE = json.dumps("x" * (5 * MB)).encode()  # fills a part
FILE_BYTES = 12 * MB


def client(url: str) -> Any:
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    folder = tmp_path_factory.mktemp("s3")
    (folder / "results").mkdir()
    found = ObjectStore(folder)
    with found:
        yield found


@pytest.fixture(scope="module")
def url(store: ObjectStore) -> str:
    return store.url


@pytest.fixture(scope="module")
def outside(url: str) -> Iterator[Outside]:
    found = Outside({"s3": url})  # shared: botocore takes long to make a client
    yield found
    found.close()


@pytest.fixture
async def registry(outside: Outside) -> AsyncIterator[Registry]:
    limits = dataclasses.replace(
        DEFAULT_LIMITS, result_file_bytes=FILE_BYTES, stream_pause_seconds=0
    )
    opened = Registry(outside=outside, limits=limits, services=Services())
    yield opened
    await opened.close()


class Writing:
    """Writes with each call made twice, the second time by another object as after a crash."""

    def __init__(self, registry: Registry, url: str, name: str, **config: str) -> None:
        self._registry, self._url = registry, url
        self.arn = f"arn:aws:states:us-east-1:123456789012:mapRun:M/L:{name}"
        config = {"OutputType": "JSON", "Transformation": "NONE", **config}
        payload = {"Bucket": "results", "Prefix": "runs/", **config, "MapRunArn": self.arn}
        self.request = StreamRequest(PUT, payload, "", "", "M", "")

    async def results(self) -> Results:
        found = await self._registry.results(self.request)
        assert found is not None
        return found

    async def files(self, parts: list[tuple[str, list[bytes]]]) -> dict[str, Any]:
        """The content of all files by name, with the manifest's statuses."""
        state = await (await self.results()).begin()
        for status, lines in parts:
            for _ in range(2):
                results = await self.results()
                after = await results.part(state, status, b"\n".join(lines))
                await results.close()
            state = json.loads(json.dumps(after))
        for _ in range(2):
            output: Any = await (await self.results()).finish(state)
        folder = f"runs/{self.arn.rpartition(':')[2]}"
        details = {"Bucket": "results", "Key": f"{folder}/manifest.json"}
        assert output == {"MapRunArn": self.arn, "ResultWriterDetails": details}
        manifest = json.loads(self.body(details["Key"]))
        assert manifest["MapRunArn"] == self.arn and manifest["DestinationBucket"] == "results"
        found = {}
        for status, listed in manifest["ResultFiles"].items():
            for file in listed:
                body = found[file["Key"].removeprefix(f"{folder}/")] = self.body(file["Key"])
                assert file["Size"] == len(body) and file["Key"].startswith(f"{folder}/{status}_")
        assert client(self._url).list_multipart_uploads(Bucket="results").get("Uploads") is None
        return found

    def body(self, key: str) -> bytes:
        body: bytes = client(self._url).get_object(Bucket="results", Key=key)["Body"].read()
        return body


async def test_small_files(registry: Registry, url: str) -> None:
    writing = Writing(registry, url, "small")
    found = await writing.files([("SUCCEEDED", [b'{"a":1}', b"[2]"]), ("FAILED", [b"3"])])
    assert found == {"SUCCEEDED_0.json": b'[{"a":1},[2]]', "FAILED_0.json": b"[3]"}


async def test_no_results(registry: Registry, url: str) -> None:
    assert await Writing(registry, url, "none").files([]) == {}


async def test_lines(registry: Registry, url: str) -> None:
    writing = Writing(registry, url, "lines", OutputType="JSONL")
    parts = [("SUCCEEDED", [b"[1,[2]]", b"[]", b'{"a":"\\n"}']), ("FAILED", [b"[4]"])]
    assert await writing.files(parts) == {
        "SUCCEEDED_0.jsonl": b'[1,[2]]\n[]\n{"a":"\\n"}',
        "FAILED_0.jsonl": b"[4]",
    }


async def test_large_files(registry: Registry, url: str) -> None:
    """Parts of several megabytes; the third is beyond the largest file. Statuses may alternate."""
    for kind, (start, between, end) in {"JSON": "[,]", "JSONL": ("", "\n", "")}.items():
        writing = Writing(registry, url, kind, OutputType=kind)
        found = await writing.files(
            [
                ("SUCCEEDED", [LARGE, b"1"]),
                ("FAILED", [LARGE]),
                ("SUCCEEDED", [LARGE]),
                ("FAILED", [b"7", b"8"]),
                ("SUCCEEDED", [LARGE]),
                ("SUCCEEDED", [b"9"]),
            ]
        )
        one, large = kind.lower(), LARGE.decode()
        expected = {
            f"SUCCEEDED_0.{one}": start + between.join([large, "1", large]) + end,
            f"SUCCEEDED_1.{one}": start + between.join([large, "9"]) + end,
            f"FAILED_0.{one}": start + between.join([large, "7", "8"]) + end,
        }
        assert {name: body.decode() for name, body in found.items()} == expected


async def test_a_bucket_that_is_missing(registry: Registry, url: str) -> None:
    writing = Writing(registry, url, "nowhere")
    payload = {**writing.request.payload, "Bucket": "nowhere"}  # type: ignore[dict-item]
    writing.request = dataclasses.replace(writing.request, payload=payload)
    for line in (b"1", LARGE):
        with pytest.raises(TaskError) as error:
            await (await writing.results()).part({}, "SUCCEEDED", line)
        assert (error.value.error, error.value.cause) == (
            "States.ResultWriterFailed",
            "The specified bucket does not exist",
        )


async def test_a_store_that_is_busy(registry: Registry, store: ObjectStore, url: str) -> None:
    """Calls are repeated, as often as `stream_attempts` says."""
    writing = Writing(registry, url, "busy")
    store.busy = DEFAULT_LIMITS.stream_attempts - 1
    assert await writing.files([("SUCCEEDED", [b"1"])]) == {"SUCCEEDED_0.json": b"[1]"}
    store.busy = DEFAULT_LIMITS.stream_attempts
    with pytest.raises(TaskError, match="reduce your request rate"):
        await (await writing.results()).part({}, "SUCCEEDED", b"1")
