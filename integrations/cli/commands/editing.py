"""What `stepwell format`, `schema` and `language-server` do."""

from __future__ import annotations

import difflib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stepwell.integrations.cli import exit_codes, files
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.output.text import count, printable
from stepwell.integrations.cli.parsing.inputs import STANDARD_INPUT
from stepwell.integrations.definitions.folders import file_of
from stepwell.integrations.definitions.formatter import LeftAsItIsError, format_file
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.limits import Limits

CHANGED, SAME, LEFT, FAILED = range(4)
_WORDS: Final = {CHANGED: "formatted", SAME: "unchanged", LEFT: "left", FAILED: "with an error"}


@with_limits
def format(paths: Sequence[Path], check: bool, diff: bool, limits: Limits) -> int:
    found = dict.fromkeys(file_of(path) for path in files.definitions(paths, limits))
    done = [_file(path, check or diff, diff, limits) for path in found]
    words = {**_WORDS, CHANGED: "not formatted"} if check or diff else _WORDS
    parts = [f"{count(done.count(kind), 'file')} {words[kind]}" for kind in words if kind in done]
    print(", ".join(parts), file=sys.stderr)
    if FAILED in done:
        return exit_codes.USAGE
    return exit_codes.FAILED if CHANGED in done and (check or diff) else exit_codes.SUCCEEDED


def _file(path: Path, keep: bool, diff: bool, limits: Limits) -> int:
    try:
        data = files.read_definition_file(path, limits)
        after = format_file(data, str(path), limits)
    except LeftAsItIsError as reason:
        print(printable(f"{path}: left as it is: {reason}"), file=sys.stderr)
        return LEFT
    except UsageError as fault:
        print(printable(str(fault)), file=sys.stderr)
        return FAILED
    before = data.decode()
    if path == STANDARD_INPUT and not keep:  # a filter, as editors call it
        sys.stdout.write(after)
        return SAME if before == after else CHANGED
    if before == after:
        return SAME
    if diff:
        old, new = (text.splitlines(keepends=True) for text in (before, after))
        sys.stdout.writelines(difflib.unified_diff(old, new, str(path), str(path)))
    elif keep:
        print(path)
    if not keep:
        _replace(path, after)
    return CHANGED


def _replace(path: Path, text: str) -> None:
    """Write a file at once: a crash leaves the old or the new one. Links and the mode stay."""
    path = path.resolve()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        os.chmod(name, path.stat().st_mode)
        os.replace(name, path)
    except OSError as fault:
        os.unlink(name)
        raise UsageError(file_fault(path, fault)) from None


def schema() -> int:
    from stepwell.asl.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return exit_codes.SUCCEEDED


def language_server() -> int:
    try:
        from stepwell.integrations.editor.server import server
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        needs = "stepwell: the language server needs: pip install 'stepwell[editor]'"
        print(needs, file=sys.stderr)
        return exit_codes.USAGE
    server().start_io()
    return exit_codes.SUCCEEDED
