"""S3 for Map Runs: getObject and listObjectsV2 of an ItemReader, putObject of a ResultWriter.

S3 is not embedded: the calls go to the endpoint for `s3`, or to AWS if that is allowed. A dataset
is read into memory, so all its files together may have `Limits.dataset_bytes`. Both are idempotent:
reading has no effect, and a repeated write uses the same keys.
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


class _ByteBudget:
    """The bytes of a dataset that may still be read."""

    def __init__(self, most: int) -> None:
        self.most = self.left = most


async def _read(host: Host, read: Any, request: TaskRequest) -> TaskResult:
    """{"Items", "Source"}; see map_run.items_read."""
    parameters: Any = dict(request.payload)
    config, most = (
        ReaderConfig.model_validate(parameters.pop("ReaderConfig")),
        parameters.pop("MaxItems"),
    )
    try:
        items = datasets.first(await read(host, parameters, config, most), most)
        source = "/".join(str(parameters[name]) for name in ("Bucket", "Key") if name in parameters)
        return await asyncio.to_thread(_payload, {"Items": items, "Source": f"S3://{source}"})
    except StateError as error:
        raise TaskError(error.error, error.cause) from None
    except (ServiceError, ApiError) as error:
        raise TaskError(asl_messages.ITEM_READER_FAILED, error.message) from None


def _payload(value: Json) -> Any:
    return Payload(value)


async def _file(
    host: Host, parameters: Mapping[str, Any], config: ReaderConfig, most: int | None
) -> Json:
    """The items of one file, or of the files that a manifest lists."""
    budget = _ByteBudget(host.limits.dataset_bytes)
    data = await _object(host, parameters, budget)
    where = f"{parameters.get('Bucket')}/{parameters.get('Key')}"
    if config.input_type != "MANIFEST" and config.manifest_type != "ATHENA_DATA":
        return await _parsed(data, config, where)
    inventory = config.manifest_type != "ATHENA_DATA"
    try:
        files, config = (_inventory if inventory else _athena)(data.decode(), config)
    except (JsonError, KeyError, TypeError, ValueError) as error:
        raise _failed(asl_messages.BAD_DATASET.format(kind="MANIFEST", reason=error)) from None
    return await _joined(host, files, config, most, budget)


def _inventory(manifest: str, config: ReaderConfig) -> tuple[list[dict[str, str]], ReaderConfig]:
    """The files of an S3 inventory: CSV without headers; the manifest has the names of columns."""
    document: Any = loads(manifest)
    bucket, schema = (
        document["destinationBucket"].rpartition(":")[2],
        [name.strip() for name in document["fileSchema"].split(",")],
    )
    rows = ReaderConfig.model_validate(
        {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": schema}
    )
    return [{"Bucket": bucket, "Key": each["key"]} for each in document["files"]], rows


def _athena(manifest: str, config: ReaderConfig) -> tuple[list[dict[str, str]], ReaderConfig]:
    """The files that an UNLOAD of Athena wrote: an s3:// URI on each line."""
    uris = [
        row[0].removeprefix("s3://").partition("/")
        for row in csv.reader(io.StringIO(manifest))
        if row
    ]
    return [
        {"Bucket": bucket, "Key": unquote_plus(key)} for bucket, _, key in uris
    ], config.model_copy(update={"manifest_type": None})


async def _list(
    host: Host, parameters: Mapping[str, Any], config: ReaderConfig, most: int | None
) -> Json:
    """The objects of a listing, or with LOAD_AND_FLATTEN the items in all of them."""
    if config.transformation != "LOAD_AND_FLATTEN":
        return [_listed(each) async for each in _objects(host, parameters, most)]
    files = [
        {"Bucket": parameters.get("Bucket"), "Key": each["Key"]}
        async for each in _objects(host, parameters, None)
    ]
    return await _joined(
        host,
        [file for file in files if not file["Key"].endswith("/")],
        config,
        most,
        _ByteBudget(host.limits.dataset_bytes),
    )


async def _objects(
    host: Host, parameters: Mapping[str, Any], most: int | None
) -> AsyncIterator[dict[str, Any]]:
    page_parameters, count = dict(parameters), 0
    while True:
        page = await call(host, "s3", "ListObjectsV2", page_parameters)
        for each in page.get("Contents", ()):
            yield each
            count += 1
            if most and 0 < most <= count:
                return
        if not page.get("NextContinuationToken"):
            return
        page_parameters["ContinuationToken"] = page["NextContinuationToken"]


def _listed(object: Mapping[str, Any]) -> Json:
    """An object as an item; LastModified in seconds."""
    item = {
        "Etag": object.get("ETag"),
        "Key": object["Key"],
        "LastModified": round(object["LastModified"].timestamp()),
    }
    return item | {"Size": object["Size"], "StorageClass": object.get("StorageClass", "STANDARD")}


async def _joined(
    host: Host, files: list[Any], config: ReaderConfig, most: int | None, budget: _ByteBudget
) -> list[Json]:
    """The items of several files, one after the other."""
    items: list[Json] = []
    for file in files:
        parsed = await _parsed(
            await _object(host, file, budget), config, f"{file['Bucket']}/{file['Key']}"
        )
        items += parsed if isinstance(parsed, list) else [parsed]
        if most and 0 < most <= len(items):
            break
    return items


async def _object(host: Host, parameters: Mapping[str, Any], budget: _ByteBudget) -> bytes:
    """The content of an object, decompressed. Raises StateError, ServiceError."""
    where = f"{parameters.get('Bucket')}/{parameters.get('Key')}"
    answer, _ = await exchange(host, "s3", "GetObject", parameters, budget.left)
    packing = (answer.get("ContentEncoding") or "", str(parameters.get("Key")))
    try:
        data = await asyncio.to_thread(_unpacked, answer["Body"], packing, budget.left)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise _failed(messages.DATASET_NOT_READ.format(where=where, reason=error)) from None
    if len(data) > budget.left:
        raise _failed(messages.DATASET_TOO_LARGE.format(where=where, limit=budget.most))
    budget.left -= len(data)
    return data


def _unpacked(data: bytes, packing: tuple[str, str], most: int) -> bytes:
    """At most one byte more than `most`: a small file may decompress to a large one."""
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
    except UnicodeDecodeError as error:
        raise _failed(messages.DATASET_NOT_READ.format(where=where, reason=error)) from None


def _failed(cause: str) -> StateError:
    return StateError(asl_messages.ITEM_READER_FAILED, cause, bare=True)


# --- writing --------------------------------------------------------------------------------------


async def _write(host: Host, request: TaskRequest) -> TaskResult:
    """Write PREFIX/MAP RUN/SUCCEEDED_0.json and FAILED_0.json, then manifest.json. See
    map_run.results_written.
    """
    parameters: Any = request.payload
    arn, bucket, prefix = (
        parameters["MapRunArn"],
        parameters.get("Bucket"),
        str(parameters.get("Prefix") or "").strip("/"),
    )
    folder, lines = (
        f"{prefix}/{arn.rpartition(':')[2]}".lstrip("/"),
        parameters["OutputType"] == "JSONL",
    )
    succeeded = parameters["Results"]
    if parameters["Transformation"] == "FLATTEN":
        succeeded = [
            item
            for output in succeeded
            for item in (output if isinstance(output, list) else [output])
        ]
    written: dict[str, Json] = {}
    try:
        for name, records in (
            ("FAILED", await _failed_executions(host, arn)),
            ("PENDING", []),
            ("SUCCEEDED", succeeded),
        ):
            written[name] = []
            if records:
                key = f"{folder}/{name}_0.{'jsonl' if lines else 'json'}"
                body = await asyncio.to_thread(_text, records, lines)
                await _put(host, parameters, key, body)
                written[name] = [{"Key": key, "Size": len(body)}]
        manifest = {"DestinationBucket": bucket, "MapRunArn": arn, "ResultFiles": written}
        await _put(host, parameters, f"{folder}/manifest.json", dumps(manifest).encode())
    except (ServiceError, ApiError) as error:
        raise TaskError(asl_messages.RESULT_WRITER_FAILED, error.message) from None
    return {
        "MapRunArn": arn,
        "ResultWriterDetails": {"Bucket": bucket, "Key": f"{folder}/manifest.json"},
    }


async def _failed_executions(host: Host, map_run_arn: str) -> list[Json]:
    """The failed executions that the Map Run tolerated, in the shape of Transformation NONE."""
    engine = host.engine
    assert engine is not None
    failed: list[Json] = []
    for status in _ENDED:
        token: str | None = None
        while True:
            page = await engine.list_executions(
                map_run_arn=map_run_arn, status_filter=status, next_token=token
            )
            failed += [
                await engine.exported_execution(each["executionArn"]) for each in page["executions"]
            ]
            token = page.get("nextToken")
            if token is None:
                break
    return failed


def _text(records: list[Json], lines: bool) -> bytes:
    return "\n".join(map(dumps, records)).encode() if lines else dumps(records).encode()


async def _put(host: Host, parameters: Mapping[str, Any], key: str, body: bytes) -> None:
    rest = {
        name: value
        for name, value in parameters.items()
        if name in ("Bucket", "ExpectedBucketOwner")
    }
    await call(
        host,
        "s3",
        "PutObject",
        {**rest, "Key": key, "Body": body, "ContentType": "application/json"},
    )
