"""The text of options and files: JSON, @FILE, or - for standard input."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import IO, Final, TextIO

from stepwell.asl import json_text
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

STANDARD_INPUT: Final = Path("-")


@lru_cache(maxsize=1)  # a definition is read several times
def _standard_input(stream: TextIO) -> bytes:
    return stream.buffer.read()


def read(source: IO[bytes] | Path, what: str, most: int) -> bytes:
    """The bytes of a file, pipe or stream; of the file "-", standard input. Raises UsageError, also
    for more bytes than `most`.

    what  names it in the error's text
    """
    try:
        if source == STANDARD_INPUT:
            data = _standard_input(sys.stdin)
        elif isinstance(source, Path):
            with source.open("rb") as stream:
                data = stream.read(most + 1)
        else:
            data = source.read(most + 1)
    except IsADirectoryError:
        raise UsageError(f"{what}: it is a folder, not a file") from None
    except OSError as fault:
        raise UsageError(file_fault(what, fault)) from None
    except ValueError as fault:  # a NUL in the name
        raise UsageError(f"{what}: {fault}") from None
    if len(data) > most:
        raise UsageError(f"{what}: larger than {most:,} bytes")
    return data


def read_json(option: str, name: str = "--input", limits: Limits = DEFAULT_LIMITS) -> str:
    """The JSON text of an option JSON|@FILE|-: the option itself, a file (also without the @, if
    the option is not JSON), or standard input. Raises UsageError.
    """
    where, most = option, 16 * limits.payload_bytes  # to tell how long it is
    try:
        if option == "-":
            where, data = "standard input", read(sys.stdin.buffer, "standard input", most)
        elif option.startswith("@"):
            where, data = option[1:], read(Path(option[1:]), option[1:], most)
        elif not _is_json(option) and os.path.exists(option):
            data = read(Path(option), option, most)
        else:
            where, data = name, os.fsencode(option)
        text = data.decode()
        json_text.loads(text)
    except UnicodeError:
        raise UsageError(f"{where}: not UTF-8 text") from None
    except json_text.JsonError as fault:
        hint = (
            f" (nor is there a file {option!r})"
            if where == name and option.lstrip()[:1] not in ("{", "[", '"')
            else ""
        )
        place = f":{fault.line}:{fault.column}" if fault.line and where != name else ""
        raise UsageError(f"{where}{place}: not JSON: {fault.message}{hint}") from None
    if len(data) > limits.payload_bytes:
        raise UsageError(
            f"{where}: {len(data):,} bytes of JSON, more than {limits.payload_bytes:,}"
        )
    return text


def _is_json(text: str) -> bool:
    try:
        json_text.loads(text)
    except (json_text.JsonError, UnicodeError):
        return False
    return True
