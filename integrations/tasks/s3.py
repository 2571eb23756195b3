"""What Map Runs read from S3 and write to it: getObject and listObjectsV2 of an ItemReader,
putObject of a ResultWriter.

There is no S3 here: the calls go to the endpoint that was given for `s3`, or to AWS if that was
allowed. A dataset is held in memory, so its files together may have `Limits.dataset_bytes`. Reading
has no effect, and what is written again goes to the same keys.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import zlib
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import unquote_plus

import zstandard

from stepwell.asl import datasets
from stepwell.asl import messages as asl_messages
from stepwell.asl.definition import ReaderConfig
from stepwell.asl.evaluation import Json, StateError
from stepwell.asl.json_text import JsonError, dumps, loads
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Handler, TaskError, TaskRequest, TaskResult
from stepwell.integrations.aws.calls import ServiceError, call, exchange
from stepwell.integrations.host import Host
from stepwell.integrations.tasks import messages

_GZIP: Final = ("gzip", ".gz")
_ZSTD: Final = ("zstd", ".zst")
_ENDED: Final = ("FAILED", "TIMED_OUT", "ABORTED")


def actions(host: Host) -> dict[str, Handler]:
    return {
        "getObject": partial(_read, host, _file),
        "listObjectsV2": partial(_read, host, _list),
        "putObject": partial(_write, host),
    }


# --- reading --------------------------------------------------------------------------------------


class _Room:
    """How many bytes may still be read of a dataset."""

    def __init__(self, most: int) -> None:
        self.most = self.left = most


async def _read(host: Host, way: Any, request: TaskRequest) -> TaskResult:
    """{"Items", "Source"}; see map_run.items_read."""
    asked: Any = dict(request.payload)
    config, most = ReaderConfig.model_validate(asked.pop("ReaderConfig")), asked.pop("MaxItems")
    try:
        items = datasets.first(await way(host, asked, config, most), most)
        source = "/".join(str(asked[name]) for name in ("Bucket", "Key") if name in asked)
        return await asyncio.to_thread(_payload, {"Items": items, "Source": f"S3://{source}"})
    except StateError as fault:
        raise TaskError(fault.error, fault.cause) from None
    except (ServiceError, ApiError) as fault:
        raise TaskError(asl_messages.ITEM_READER_FAILED, fault.message) from None


def _payload(found: Json) -> Any:
    return Payload(found)


async def _file(
    host: Host, asked: Mapping[str, Any], config: ReaderConfig, most: int | None
) -> Json:
    """The items of one file, or of those that a manifest names."""
    room = _Room(host.limits.dataset_bytes)
    data = await _object(host, asked, room)
    where = f"{asked.get('Bucket')}/{asked.get('Key')}"
    if config.input_type != "MANIFEST" and config.manifest_type != "ATHENA_DATA":
        return await _parsed(data, config, where)
    inventory = config.manifest_type != "ATHENA_DATA"
    try:
        files, config = (_inventory if inventory else _athena)(data.decode(), config)
    except (JsonError, KeyError, TypeError, ValueError) as fault:
        raise _failed(asl_messages.BAD_DATASET.format(kind="MANIFEST", reason=fault)) from None
    return await _joined(host, files, config, most, room)


def _inventory(manifest: str, config: ReaderConfig) -> tuple[list[dict[str, str]], ReaderConfig]:
    """The files of an S3 inventory: CSV without headers, whose columns the manifest names."""
    given: Any = loads(manifest)
    bucket, schema = (
        given["destinationBucket"].rpartition(":")[2],
        [name.strip() for name in given["fileSchema"].split(",")],
    )
    rows = ReaderConfig.model_validate(
        {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": schema}
    )
    return [{"Bucket": bucket, "Key": each["key"]} for each in given["files"]], rows


def _athena(manifest: str, config: ReaderConfig) -> tuple[list[dict[str, str]], ReaderConfig]:
    """The files that an UNLOAD of Athena wrote: an s3:// URI a line."""
    uris = [
        row[0].removeprefix("s3://").partition("/")
        for row in csv.reader(io.StringIO(manifest))
        if row
    ]
    return [
        {"Bucket": bucket, "Key": unquote_plus(key)} for bucket, _, key in uris
    ], config.model_copy(update={"manifest_type": None})


async def _list(
    host: Host, asked: Mapping[str, Any], config: ReaderConfig, most: int | None
) -> Json:
    """What a listing names, or with LOAD_AND_FLATTEN the items of all its files."""
    if config.transformation != "LOAD_AND_FLATTEN":
        return [_listed(each) async for each in _objects(host, asked, most)]
    files = [
        {"Bucket": asked.get("Bucket"), "Key": each["Key"]}
        async for each in _objects(host, asked, None)
    ]
    return await _joined(
        host,
        [file for file in files if not file["Key"].endswith("/")],
        config,
        most,
        _Room(host.limits.dataset_bytes),
    )


async def _objects(
    host: Host, asked: Mapping[str, Any], most: int | None
) -> AsyncIterator[dict[str, Any]]:
    parameters, count = dict(asked), 0
    while True:
        page = await call(host, "s3", "ListObjectsV2", parameters)
        for each in page.get("Contents", ()):
            yield each
            count += 1
            if most and 0 < most <= count:
                return
        if not page.get("NextContinuationToken"):
            return
        parameters["ContinuationToken"] = page["NextContinuationToken"]


def _listed(found: Mapping[str, Any]) -> Json:
    """An object as an item; LastModified in seconds."""
    known = {
        "Etag": found.get("ETag"),
        "Key": found["Key"],
        "LastModified": round(found["LastModified"].timestamp()),
    }
    return known | {"Size": found["Size"], "StorageClass": found.get("StorageClass", "STANDARD")}


async def _joined(
    host: Host, files: list[Any], config: ReaderConfig, most: int | None, room: _Room
) -> list[Json]:
    """The items of several files, one after the other."""
    items: list[Json] = []
    for file in files:
        found = await _parsed(
            await _object(host, file, room), config, f"{file['Bucket']}/{file['Key']}"
        )
        items += found if isinstance(found, list) else [found]
        if most and 0 < most <= len(items):
            break
    return items


async def _object(host: Host, asked: Mapping[str, Any], room: _Room) -> bytes:
    """The content of an object, unpacked. Raises StateError, ServiceError."""
    where = f"{asked.get('Bucket')}/{asked.get('Key')}"
    answer, _ = await exchange(host, "s3", "GetObject", asked, room.left)
    packing = (answer.get("ContentEncoding") or "", str(asked.get("Key")))
    try:
        data = await asyncio.to_thread(_unpacked, answer["Body"], packing, room.left)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as fault:
        raise _failed(messages.DATASET_NOT_READ.format(where=where, reason=fault)) from None
    if len(data) > room.left:
        raise _failed(messages.DATASET_TOO_LARGE.format(where=where, limit=room.most))
    room.left -= len(data)
    return data


def _unpacked(data: bytes, packing: tuple[str, str], most: int) -> bytes:
    """No more than one byte beyond `most`: a small file may hold a large one."""
    encoding, name = packing
    if encoding == _GZIP[0] or name.endswith(_GZIP[1]):
        with gzip.open(io.BytesIO(data)) as packed:
            return packed.read(most + 1)
    if encoding == _ZSTD[0] or name.endswith(_ZSTD[1]):
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as stream:
            return stream.read(most + 1)
    return data


async def _parsed(data: bytes, config: ReaderConfig, where: str) -> Json:
    try:
        return await asyncio.to_thread(lambda: datasets.read(data.decode(), config))
    except UnicodeDecodeError as fault:
        raise _failed(messages.DATASET_NOT_READ.format(where=where, reason=fault)) from None


def _failed(cause: str) -> StateError:
    return StateError(asl_messages.ITEM_READER_FAILED, cause, bare=True)


# --- writing --------------------------------------------------------------------------------------


async def _write(host: Host, request: TaskRequest) -> TaskResult:
    """PREFIX/MAP RUN/SUCCEEDED_0.json, FAILED_0.json and manifest.json, which goes last. See
    map_run.results_written.
    """
    asked: Any = request.payload
    arn, bucket, prefix = (
        asked["MapRunArn"],
        asked.get("Bucket"),
        str(asked.get("Prefix") or "").strip("/"),
    )
    folder, lines = f"{prefix}/{arn.rpartition(':')[2]}".lstrip("/"), asked["OutputType"] == "JSONL"
    succeeded = asked["Results"]
    if asked["Transformation"] == "FLATTEN":
        succeeded = [
            item
            for output in succeeded
            for item in (output if isinstance(output, list) else [output])
        ]
    written: dict[str, Json] = {}
    try:
        for name, records in (
            ("FAILED", await _fallen(host, arn)),
            ("PENDING", []),
            ("SUCCEEDED", succeeded),
        ):
            written[name] = []
            if records:
                key = f"{folder}/{name}_0.{'jsonl' if lines else 'json'}"
                body = await asyncio.to_thread(_text, records, lines)
                await _put(host, asked, key, body)
                written[name] = [{"Key": key, "Size": len(body)}]
        manifest = {"DestinationBucket": bucket, "MapRunArn": arn, "ResultFiles": written}
        await _put(host, asked, f"{folder}/manifest.json", dumps(manifest).encode())
    except (ServiceError, ApiError) as fault:
        raise TaskError(asl_messages.RESULT_WRITER_FAILED, fault.message) from None
    return {
        "MapRunArn": arn,
        "ResultWriterDetails": {"Bucket": bucket, "Key": f"{folder}/manifest.json"},
    }


async def _fallen(host: Host, map_run_arn: str) -> list[Json]:
    """The executions that the Map Run tolerated, as Transformation NONE shows them."""
    engine = host.engine
    assert engine is not None
    found: list[Json] = []
    for status in _ENDED:
        token: str | None = None
        while True:
            page = await engine.list_executions(
                map_run_arn=map_run_arn, status_filter=status, next_token=token
            )
            found += [
                await engine.exported_execution(each["executionArn"]) for each in page["executions"]
            ]
            token = page.get("nextToken")
            if token is None:
                break
    return found


def _text(records: list[Json], lines: bool) -> bytes:
    return "\n".join(map(dumps, records)).encode() if lines else dumps(records).encode()


async def _put(host: Host, asked: Mapping[str, Any], key: str, body: bytes) -> None:
    rest = {
        name: value for name, value in asked.items() if name in ("Bucket", "ExpectedBucketOwner")
    }
    await call(
        host,
        "s3",
        "PutObject",
        {**rest, "Key": key, "Body": body, "ContentType": "application/json"},
    )
