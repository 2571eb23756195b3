"""The files of a dataset, one by one: the object of a getObject, those that a manifest lists, or
those that listObjectsV2 finds. A listing without LOAD_AND_FLATTEN is a dataset itself.

    for place, parameters in files(call, parameters, config, place, limits): ...

place  JSON: where in the manifest or the listing the file is found again
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

from stepwell.asl import messages as asl_messages
from stepwell.asl.definition import ReaderConfig
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import JsonError, loads
from stepwell.integrations.datasets import messages
from stepwell.integrations.datasets.files import (
    Call,
    ObjectFile,
    failed,
    packing,
    too_large,
    unpacked,
)
from stepwell.integrations.limits import Limits

_ATHENA: Final = "ATHENA_DATA"


class Source(NamedTuple):
    """listing: whether the parameters are those of listObjectsV2, or else of getObject."""

    call: Call
    parameters: Mapping[str, Any]
    config: ReaderConfig
    limits: Limits
    listing: bool

    @property
    def where(self) -> str:
        names = ("Bucket", "Prefix" if self.listing else "Key")
        return "/".join(str(self.parameters.get(name, "")) for name in names)

    @property
    def listed(self) -> bool:
        return self.listing and self.config.transformation != "LOAD_AND_FLATTEN"

    @property
    def manifest(self) -> bool:
        return not self.listing and (
            self.config.input_type == "MANIFEST" or self.config.manifest_type == _ATHENA
        )


class File(NamedTuple):
    place: Json
    parameters: Mapping[str, Any]
    config: ReaderConfig


def files(source: Source, place: Json) -> Iterator[File]:
    """Those from a place on; None: all. Raises StateError, ServiceError, ApiError."""
    if source.listing:
        for found, each in listed(source, place, inclusive=True):
            if not each["Key"].endswith("/"):
                bucket = source.parameters.get("Bucket")
                yield File(found, {"Bucket": bucket, "Key": each["Key"]}, source.config)
    elif source.manifest:
        yield from _of_manifest(source, place)
    else:
        yield File(None, source.parameters, source.config)


def listed(
    source: Source, place: Any, inclusive: bool = False
) -> Iterator[tuple[Json, dict[str, Any]]]:
    """(the place of an object, the object). A listing is in the order of its keys: a place has the
    token of its page and its key.
    """
    token, after = place or (None, None)
    while True:
        parameters = {**source.parameters, **({"ContinuationToken": token} if token else {})}
        page = source.call("ListObjectsV2", parameters, None)
        for each in page.get("Contents", ()):
            if after is None or each["Key"] > after or (inclusive and each["Key"] == after):
                yield [token, each["Key"]], each
        token, after = page.get("NextContinuationToken"), None
        if not token:
            return


def item(found: Mapping[str, Any]) -> Json:
    """An object as an item; LastModified in seconds."""
    return {
        "Etag": found.get("ETag"),
        "Key": found["Key"],
        "LastModified": round(found["LastModified"].timestamp()),
        "Size": found["Size"],
        "StorageClass": found.get("StorageClass", "STANDARD"),
    }


def _of_manifest(source: Source, place: Any) -> Iterator[File]:
    """place: [number of the file, ETag of the manifest]."""
    number, etag = place or (0, None)
    file = ObjectFile(source.call, source.parameters, source.limits, etag)
    blocks: io.BufferedReader = io.BufferedReader(file, source.limits.dataset_block_bytes)
    content = unpacked(blocks, packing(file, blocks), file.where, source.limits)
    most = source.limits.manifest_bytes
    text = content.read(most + 1)
    if len(text) > most:
        raise too_large(file.where, most)
    read = _athena if source.config.manifest_type == _ATHENA else _inventory
    try:
        found, config = read(text.decode(), source.config)
    except (JsonError, KeyError, TypeError, ValueError) as error:
        cause = asl_messages.BAD_DATASET.format(kind="MANIFEST", reason=error)
        raise failed(cause) from None
    for index in range(number, len(found)):
        yield File([index, file.etag], found[index], config)


def _inventory(manifest: str, config: ReaderConfig) -> tuple[list[dict[str, str]], ReaderConfig]:
    """The files of an S3 inventory: CSV without headers; the manifest has the names of columns."""
    document: Any = loads(manifest)
    bucket = document["destinationBucket"].rpartition(":")[2]
    if document.get("fileFormat", "CSV") != "CSV":
        raise ValueError(messages.INVENTORY_FORMAT.format(format=document["fileFormat"]))
    schema = [name.strip() for name in document["fileSchema"].split(",")]
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
    return [{"Bucket": bucket, "Key": unquote_plus(key)} for bucket, _, key in uris], config
