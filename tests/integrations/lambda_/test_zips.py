"""Archives of code: an accepted archive can be unpacked, others are rejected with AWS's errors, and
no partial folder remains.
"""

import dataclasses
import io
import os
import struct
import subprocess
import sys
import textwrap
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stepwell.engine.errors import ApiError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.services.lambda_ import zips

NO_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
EMPTY = "Uploaded file must be a non-empty zip"
TOO_LARGE = "Unzipped size must be smaller than {} bytes"


def packed(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(target, "w", method) as archive,
    ):  # of duplicates
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return target.getvalue()


GOOD = packed(("f.py", b"x = 1\n" * 100), ("folder/g.py", b"y = 2\n"))


def problem(archive: bytes, limits: Limits = DEFAULT_LIMITS) -> str:
    with pytest.raises(ApiError) as refused:
        zips.check(archive, limits)
    assert refused.value.code == "InvalidParameterValueException"
    return refused.value.message


def patched(archive: bytes, at: Callable[[bytes], int], value: bytes) -> bytes:
    start = at(archive)
    return archive[:start] + value + archive[start + len(value) :]


def directory(offset: int) -> Callable[[bytes], int]:
    """The position of a field of the directory's first entry."""
    return lambda archive: archive.index(b"PK\x01\x02") + offset


DAMAGED = {
    "no zip": b"no zip",
    "cut in the middle": GOOD[: len(GOOD) // 2],
    "cut at the start": GOOD[20:],
    "a flipped byte of content": patched(GOOD, lambda archive: archive.index(b"f.py") + 8, b"\xff"),
    "another sum": patched(GOOD, directory(16), b"abcd"),
    "a larger size than there is": patched(GOOD, directory(24), struct.pack("<L", 601)),
    "a smaller size than there is": patched(GOOD, directory(24), struct.pack("<L", 599)),
    "another name in the local header": patched(
        GOOD, lambda archive: archive.index(b"f.py"), b"z.py"
    ),
    "encrypted": patched(patched(GOOD, directory(8), b"\x01"), lambda archive: 6, b"\x01"),
    "strong encryption": patched(patched(GOOD, directory(8), b"\x41"), lambda archive: 6, b"\x41"),
    "bzip2": packed(("f.py", b"x = 1\n" * 100), method=zipfile.ZIP_BZIP2),
    "deflate64": patched(patched(GOOD, directory(10), b"\x09"), lambda archive: 8, b"\x09"),
    "a directory elsewhere": patched(
        GOOD, lambda archive: archive.index(b"PK\x05\x06") + 16, struct.pack("<L", 1 << 30)
    ),
    "traversal": packed(("a/../../f.py", b"")),
    "a parent": packed(("..", b"")),
    "an absolute name": packed(("/etc/f.py", b"")),
    "two of one name": packed(("f.py", b"1"), ("f.py", b"2")),
    "two of one name, written otherwise": packed(("a/f.py", b"1"), ("a//./f.py", b"2")),
    "a file that is a folder too": packed(("a", b"1"), ("a/f.py", b"2")),
    "a name with a NUL": patched(
        packed(("f_py", b"")), lambda archive: archive.rindex(b"f_py"), b"f\0py"
    ),
    "a name that no file can have": packed(("x" * 256, b"")),
    "a path that is too long": packed(("/".join("x" * 200 for _ in range(6)), b"")),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_invalid_archives_are_rejected(name: str) -> None:
    assert problem(DAMAGED[name]) == NO_ZIP


@pytest.mark.parametrize("name", DAMAGED)
def test_an_invalid_archive_of_an_earlier_version_leaves_no_partial_folder(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(zips.DamagedError):
        zips.extract(DAMAGED[name], tmp_path / "codes" / "x")
    assert list((tmp_path / "codes").iterdir()) == []


def test_an_empty_archive() -> None:
    assert (problem(b""), problem(packed())) == (EMPTY, EMPTY)


def test_an_archive_is_unpacked_completely(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        runs = zipfile.ZipInfo("bin/run")
        runs.external_attr = 0o755 << 16
        archive.writestr(runs, "#!/bin/sh\n")
        archive.mkdir("./")
        archive.mkdir("empty")
        archive.writestr("Grüße.py", "x = 1")
    zips.check(target.getvalue(), DEFAULT_LIMITS)
    zips.extract(target.getvalue(), tmp_path / "x")
    zips.extract(target.getvalue(), tmp_path / "x")  # another call unpacked it first
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert found == ["x", "x/Grüße.py", "x/bin", "x/bin/run", "x/empty"]
    assert os.stat(tmp_path / "x/bin/run").st_mode & 0o777 == 0o755


def test_sizes_are_those_of_the_content() -> None:
    limits = dataclasses.replace(DEFAULT_LIMITS, code_unzipped_bytes=10_000)
    zips.check(packed(("a", b"\0" * 5_000), ("b", b"\0" * 5_000)), limits)
    bomb = packed(("a", b"\0" * 5_000), ("b", b"\0" * 5_001))
    assert problem(bomb, limits) == TOO_LARGE.format(10_000)
    lying = patched(bomb, directory(24), struct.pack("<L", 10))
    assert problem(lying, limits) == NO_ZIP


def test_a_directory_of_a_million_entries_is_not_read() -> None:
    """The number in the end record may be wrong: the entries are counted."""
    entry = (
        struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
        + b"x"
    )
    many = entry * 1_000_000
    for declared in (1, 0xFFFF):
        whole = many + struct.pack(
            "<4s4H2LH", b"PK\x05\x06", 0, 0, declared, declared, len(many), 0, 0
        )
        tracemalloc.start()
        assert problem(whole) == TOO_LARGE.format(DEFAULT_LIMITS.code_unzipped_bytes)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 30_000_000, "each entry that is read takes some 500 bytes"


def test_a_full_disk_leaves_no_partial_folder(tmp_path: Path) -> None:
    program = f"""
        import resource, signal, sys
        from pathlib import Path
        from stepwell.integrations.services.lambda_ import zips
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
        try:
            zips.extract({GOOD!r}, Path({str(tmp_path / "codes" / "x")!r}))
        except OSError as fault:
            print(type(fault).__name__)
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ran = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert (ran.stdout, ran.stderr) == ("OSError\n", "")
    assert list((tmp_path / "codes").iterdir()) == []
