"""python -m benchmarks.object_store FOLDER [--port N]: a small S3 over the files of a folder.

It answers what Map Runs call: objects and ranges of them, listings, uploads in parts. Buckets are
folders, keys are paths in them. It reads and writes in small blocks, so that a file of a gigabyte
needs no memory, as no other S3 for tests does. It is for measurements and tests: it checks no
signature.

    with ObjectStore(folder) as url: ...
"""

import argparse
import os
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BLOCK = 65_536
UPLOADS = ".uploads"  # beside the buckets: a folder for each upload, a file for each part
CRC = "x-amz-checksum-crc32"
LEAST = 5 * 1024 * 1024  # bytes of a part that is not the last


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


NO_KEY = (404, "NoSuchKey", "The specified key does not exist.")
NO_BUCKET = (404, "NoSuchBucket", "The specified bucket does not exist")
NO_UPLOAD = (404, "NoSuchUpload", "The specified multipart upload does not exist.")
BUSY = (503, "SlowDown", "Please reduce your request rate.")
CHANGED = (
    412,
    "PreconditionFailed",
    "At least one of the pre-conditions you specified did not hold",
)
NO_RANGE = (416, "InvalidRange", "The requested range is not satisfiable")
UNEXPECTED = (
    400,
    "InvalidRequest",
    "Checksum Type mismatch occurred, expected checksum Type: null, actual checksum Type: crc32",
)
MISSING = (400, "InvalidRequest", "The complete request must include the checksum for each part.")
SMALL = (400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")


def etag(path: Path) -> str:
    about = path.stat()
    return f'"{about.st_size:x}-{about.st_mtime_ns:x}"'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "ObjectStore"

    def do_GET(self) -> None:
        self.answer(self.list if not self.key else self.get)

    def do_HEAD(self) -> None:
        self.answer(self.get)

    def do_PUT(self) -> None:
        self.answer(self.put)

    def do_POST(self) -> None:
        self.answer(self.complete if "uploadId" in self.query else self.create)

    def do_DELETE(self) -> None:
        self.answer(self.delete)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    # --- requests ---------------------------------------------------------------------------------

    @property
    def query(self) -> dict[str, str]:
        found = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return {name: values[0] for name, values in found.items()}

    @property
    def bucket(self) -> str:
        return unquote(urlsplit(self.path).path.split("/")[1])

    @property
    def key(self) -> str:
        return unquote("/".join(urlsplit(self.path).path.split("/")[2:]))

    @property
    def file(self) -> Path:
        return self.server.folder / self.bucket / self.key

    @property
    def upload(self) -> Path:
        folder = self.server.folder / UPLOADS / self.query["uploadId"]
        if not folder.is_dir():
            raise Refused(*NO_UPLOAD)
        return folder

    def answer(self, operation: Any) -> None:
        self.content = self.body()
        try:
            if self.server.busy:
                self.server.busy -= 1
                raise Refused(*BUSY)
            if not (self.server.folder / self.bucket).is_dir():
                raise Refused(*NO_BUCKET)
            operation()
        except Refused as refused:
            self.skip()
            self.xml(
                f"<Error><Code>{refused.code}</Code><Message>{refused.message}</Message></Error>",
                refused.status,
            )

    def skip(self) -> None:
        for _ in self.content:
            pass

    def body(self) -> Iterator[bytes]:
        """The content of a request, with or without the chunks of a signed stream."""
        left = int(self.headers.get("Content-Length") or 0)
        if "aws-chunked" in (self.headers.get("Content-Encoding") or ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():  # checksums
                pass
            return
        while left > 0:
            data = self.rfile.read(min(left, BLOCK))
            left -= len(data)
            yield data

    def xml(self, text: str, status: int = 200) -> None:
        data = b"" if self.command == "HEAD" else text.encode()
        self.head(status, {"Content-Type": "application/xml", "Content-Length": str(len(data))})
        self.wfile.write(data)

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    # --- operations -------------------------------------------------------------------------------

    def get(self) -> None:
        path = self.file
        if not path.is_file():
            raise Refused(*NO_KEY)
        size, tag = path.stat().st_size, etag(path)
        if self.headers.get("If-Match", tag) != tag:
            raise Refused(*CHANGED)
        start, stop, status, extent = 0, size, 200, {}
        if given := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or ""):
            start, stop, status = int(given[1]), min(int(given[2]) + 1, size), 206
            if start >= size:
                raise Refused(*NO_RANGE)
            extent = {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}
        self.head(status, {"ETag": tag, "Content-Length": str(stop - start), **extent})
        self.wfile.flush()
        if self.command == "GET":
            with path.open("rb") as file:
                while start < stop:
                    start += os.sendfile(
                        self.connection.fileno(), file.fileno(), start, stop - start
                    )

    def list(self) -> None:
        if "uploads" in self.query:
            return self.uploads()
        root, prefix = self.server.folder / self.bucket, self.query.get("prefix", "")
        most = int(self.query.get("max-keys", 1000))
        after = self.query.get("continuation-token", "")
        keys = sorted(
            path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
        )
        keys = [key for key in keys if key.startswith(prefix) and key > after]
        parts = [self.listed(root / key, key) for key in keys[:most]]
        if len(keys) > most:
            parts.append(
                "<IsTruncated>true</IsTruncated>"
                f"<NextContinuationToken>{escape(keys[most - 1])}</NextContinuationToken>"
            )
        self.xml(f"<ListBucketResult>{''.join(parts)}</ListBucketResult>")

    @staticmethod
    def listed(path: Path, key: str) -> str:
        about = path.stat()
        time = datetime.fromtimestamp(about.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return (
            f"<Contents><Key>{escape(key)}</Key><LastModified>{time}</LastModified>"
            f"<ETag>{escape(etag(path))}</ETag><Size>{about.st_size}</Size></Contents>"
        )

    def put(self) -> None:
        path, headers = self.file, {"Content-Length": "0"}
        if self.query:
            path = self.upload / f"{int(self.query['partNumber']):05}"
            if CRC in self.headers:
                headers[CRC] = self.headers[CRC]
                if not (self.upload / "checksums").exists():
                    raise Refused(*UNEXPECTED)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{uuid.uuid4().hex}")
        with new.open("wb") as file:
            for data in self.content:
                file.write(data)
        new.replace(path)
        self.head(200, headers | {"ETag": etag(path)})

    def delete(self) -> None:
        with suppress(FileNotFoundError):
            self.file.unlink()
        self.head(204, {"Content-Length": "0"})

    def create(self) -> None:
        self.skip()
        name = uuid.uuid4().hex
        folder = self.server.folder / UPLOADS / name
        folder.mkdir(parents=True)
        (folder / "key").write_text(f"{self.bucket}/{self.key}")
        if "x-amz-checksum-algorithm" in self.headers:
            (folder / "checksums").touch()
        self.xml(
            f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId>"
            "</InitiateMultipartUploadResult>"
        )

    def uploads(self) -> None:
        found = []
        for folder in sorted((self.server.folder / UPLOADS).glob("*")):
            bucket, _, key = (folder / "key").read_text().partition("/")
            if bucket == self.bucket and key.startswith(self.query.get("prefix", "")):
                found.append(
                    f"<Upload><Key>{escape(key)}</Key><UploadId>{folder.name}</UploadId></Upload>"
                )
        self.xml(f"<ListMultipartUploadsResult>{''.join(found)}</ListMultipartUploadsResult>")

    def complete(self) -> None:
        text, folder = b"".join(self.content).decode(), self.upload
        parts = [folder / f"{int(number):05}" for number in re.findall(r"<PartNumber>(\d+)", text)]
        tags = [tag.replace("&quot;", '"') for tag in re.findall(r"<ETag>(.*?)</ETag>", text)]
        if tags != [etag(part) for part in parts]:
            raise Refused(400, "InvalidPart", "One or more of the parts could not be found.")
        if (folder / "checksums").exists() and text.count("<ChecksumCRC32>") < len(parts):
            raise Refused(*MISSING)
        if any(part.stat().st_size < LEAST for part in parts[:-1]):
            raise Refused(*SMALL)
        path = self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{uuid.uuid4().hex}")
        with new.open("wb") as file:
            for part in parts:
                with part.open("rb") as read:
                    shutil.copyfileobj(read, file)
        new.replace(path)
        shutil.rmtree(folder)
        self.xml(
            f"<CompleteMultipartUploadResult><Key>{escape(self.key)}</Key>"
            f"<ETag>{escape(etag(path))}</ETag></CompleteMultipartUploadResult>"
        )


class ObjectStore(ThreadingHTTPServer):
    """busy: how many of the next requests are refused, as S3 does at times."""

    daemon_threads = True
    busy = 0

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Any:  # the URL, not the server
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self.url

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    store = ObjectStore(options.folder, options.port)
    print(store.url, flush=True)
    store.serve_forever()


if __name__ == "__main__":
    main()
