"""The files of a ResultWriter, written part by part.

PREFIX/MAP RUN/manifest.json, and for each status SUCCEEDED_0.json, SUCCEEDED_1.json ... (.jsonl
with OutputType JSONL). A large file is a multipart upload; one that fits into a part is an object
that is put at once.

The state is {"SUCCEEDED": [FILE], "FAILED": [...]}, a FILE {"Key", "Size"} and, while it is open,
{"Upload", "Parts"}, these as CompleteMultipartUpload wants them. Keys and numbers of parts follow
from the state, so that a repeated call overwrites what the first one sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import encode
from stepwell.engine.errors import ApiError
from stepwell.engine.map_runs.datasets import StreamRequest
from stepwell.engine.tasks import TaskError
from stepwell.integrations.aws.calls import ServiceError
from stepwell.integrations.datasets.calls import steady
from stepwell.integrations.host import Host

_STATUSES: Final = ("FAILED", "PENDING", "SUCCEEDED")
_BUCKET: Final = ("Bucket", "ExpectedBucketOwner")  # parameters of every call
# botocore adds this one to parts by itself; S3 refuses it if the upload has another one or none
_CHECKED: Final = {"ChecksumAlgorithm": "CRC32"}
_OF_A_PART: Final = ("ETag", "ChecksumCRC32")
_UNKNOWN_UPLOAD: Final = "NoSuchUpload"
_NOT_LISTED: Final = (403, 405, 501)  # S3 refuses, or does not know, a list of uploads


class _Form(NamedTuple):
    """What is around the records of a file."""

    suffix: str
    opener: bytes
    separator: bytes
    closer: bytes


_FORMS: Final = {"JSON": _Form("json", b"[", b",", b"]"), "JSONL": _Form("jsonl", b"", b"\n", b"")}


class S3Results:
    """See engine/map_runs/datasets.py."""

    def __init__(self, host: Host, request: StreamRequest) -> None:
        payload: Any = request.payload
        self._host, self._limits = host, host.limits
        self._arn, self._bucket = payload["MapRunArn"], payload.get("Bucket")
        prefix = str(payload.get("Prefix") or "").strip("/")
        self._folder = f"{prefix}/{self._arn.rpartition(':')[2]}".lstrip("/")
        self._rest = {name: payload[name] for name in _BUCKET if name in payload}
        self._form = _FORMS[payload["OutputType"]]
        self.part_bytes = host.limits.result_part_bytes

    async def begin(self) -> Json:
        return {}

    async def part(self, state: Json, status: str, lines: bytes) -> Json:
        if not lines:
            return state
        text = lines  # which have no line ends inside
        if self._form.separator != b"\n":
            text = lines.replace(b"\n", self._form.separator)
        files: Any = state
        with _failing():
            return {**files, status: await self._written(files.get(status, []), status, text)}

    async def finish(self, state: Json) -> Json:
        files: Any = state
        key = f"{self._folder}/manifest.json"
        with _failing():
            written = {
                status: [await self._closed(file) for file in files.get(status, [])]
                for status in _STATUSES
            }
            manifest = {"DestinationBucket": self._bucket, "MapRunArn": self._arn}
            await self._put(key, encode({**manifest, "ResultFiles": written}))
        details = {"Bucket": self._bucket, "Key": key}
        return {"MapRunArn": self._arn, "ResultWriterDetails": details}

    async def close(self) -> None:
        """Nothing is open between two calls."""

    async def _written(self, files: list[Any], status: str, text: bytes) -> list[Json]:
        """The files of a status with another part."""
        last = len(text) < self._limits.result_least_bytes
        if files and "Upload" in files[-1]:
            *files, file = files
            if file["Size"] + len(text) + 2 <= self._limits.result_file_bytes:
                add = self._closed if last else self._added
                return [*files, await add(file, self._form.separator + text)]
            files = [*files, await self._closed(file)]
        key = f"{self._folder}/{status}_{len(files)}.{self._form.suffix}"
        text = self._form.opener + text
        if last:
            return [*files, await self._put(key, text + self._form.closer)]
        file = {"Key": key, "Size": 0, "Upload": await self._upload(key), "Parts": []}
        return [*files, await self._added(file, text)]

    async def _put(self, key: str, text: bytes) -> dict[str, Json]:
        await self._call("PutObject", Key=key, Body=text, ContentType="application/json")
        return {"Key": key, "Size": len(text)}

    async def _upload(self, key: str) -> str:
        """An upload of a large file. One that a crash left is used again."""
        try:
            listed = await self._call("ListMultipartUploads", Prefix=key)
        except ServiceError as error:
            if error.status not in _NOT_LISTED:
                raise
            listed = {}
        for upload in listed.get("Uploads") or ():
            if upload["Key"] == key:
                return str(upload["UploadId"])
        answer = await self._call(
            "CreateMultipartUpload", Key=key, ContentType="application/json", **_CHECKED
        )
        return str(answer["UploadId"])

    async def _added(self, file: Any, text: bytes) -> dict[str, Json]:
        number = len(file["Parts"]) + 1
        names = {"Key": file["Key"], "UploadId": file["Upload"], "PartNumber": number}
        answer = await self._call("UploadPart", **names, **_CHECKED, Body=text)
        part = {name: answer[name] for name in _OF_A_PART if name in answer}
        parts = [*file["Parts"], {"PartNumber": number, **part}]
        return {**file, "Size": file["Size"] + len(text), "Parts": parts}

    async def _closed(self, file: Any, text: bytes = b"") -> dict[str, Json]:
        """Complete an upload, with a last part."""
        if "Upload" not in file:
            return dict(file)
        text += self._form.closer
        closed = {"Key": file["Key"], "Size": file["Size"] + len(text)}
        try:
            if text:
                file = await self._added(file, text)
            names = {"Key": file["Key"], "UploadId": file["Upload"]}
            parts = {"Parts": file["Parts"]}
            await self._call("CompleteMultipartUpload", **names, MultipartUpload=parts)
        except ServiceError as error:
            if error.code != _UNKNOWN_UPLOAD or await self._size(file["Key"]) != closed["Size"]:
                raise  # else it was completed before a crash
        return closed

    async def _size(self, key: str) -> int | None:
        try:
            found: int = (await self._call("HeadObject", Key=key))["ContentLength"]
        except ServiceError:
            return None
        return found

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await steady(self._host, operation, {**self._rest, **parameters})


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except (ServiceError, ApiError) as error:
        raise TaskError(asl_messages.RESULT_WRITER_FAILED, error.message) from None
