"""The columns of a database's rows -> the shapes of base.py, the same for every store.

A damaged value affects only its own row: in lists and descriptions it counts as absent, and is
logged; `stepwell db check` lists it. Callers that need the value get StoreFormatError.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from stepwell.engine.search.wanted import STATUSES
from stepwell.engine.store import blobs, codec
from stepwell.engine.store.base import (
    ActivityRow,
    DefinitionRow,
    ExecutionRow,
    MachineRow,
    MapRunRow,
    StoreFormatError,
)

log: Final = logging.getLogger("stepwell.store")


def execution_row(values: Sequence[Any]) -> ExecutionRow:
    """Without input and output, which are in the history."""
    (
        id,
        uuid,
        prefix,
        tail,
        machine,
        machine_name,
        role,
        express,
        definition,
        block,
        status,
        *rest,
    ) = scrubbed(values)
    started, stopped, events, error, cause, *parent, extras = rest
    return ExecutionRow(
        id=id,
        uuid=uuid.hex(),
        arn=f"{prefix}:{tail}",
        name=tail.partition(":")[0],
        machine_arn=machine,
        machine_name=machine_name,
        role_arn=role,
        express=bool(express),
        definition=definition,
        block=block,
        status=STATUSES[status],
        started=started,
        stopped=stopped,
        events=events,
        error=_text(error),
        cause=_text(cause),
        parent=None if parent[0] is None else tuple(parent),
        extras=_json(extras, f"execution {id}"),
    )


def _text(value: str | bytes | None) -> str | None:
    """PostgreSQL keeps texts that may hold NUL as UTF-8 in bytes."""
    return value.decode() if isinstance(value, bytes) else value


def machine_row(values: Sequence[Any]) -> MachineRow:
    arn, name, type, role, text, number, revision, created, updated, status, *more = scrubbed(
        values
    )
    definition = (readable(lambda: blobs.unpack(text), "definition", arn) or b"").decode()
    extras, configuration = (_json(each, arn) for each in more)
    return MachineRow(
        arn,
        name,
        type,
        role,
        definition,
        number,
        revision,
        created,
        updated,
        status,
        extras,
        configuration,
    )


def definition_row(values: Sequence[Any]) -> DefinitionRow:
    """Raises StoreFormatError."""
    *rest, text, configuration = scrubbed(values)
    return DefinitionRow._make(
        (*rest, blobs.unpack(text).decode(), blobs.unpack_json(configuration))
    )


def map_run_row(values: Sequence[Any]) -> MapRunRow:
    """Raises StoreFormatError."""
    *rest, blob = scrubbed(values)
    return MapRunRow._make((*rest, codec.unpack_map_run(blob)))


def activity_row(values: Sequence[Any]) -> ActivityRow:
    arn, name, created, extras = scrubbed(values)
    return ActivityRow(arn, name, created, _json(extras, arn))


def named(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The rows whose first column, by which they are found and paged, is UTF-8 text."""
    for row in rows:
        if blobs.is_text(row[0]):
            yield row
        else:
            log.error("a row is left out, since its key is no UTF-8 text: %r", row[0])


def scrubbed(values: Iterable[Any]) -> list[Any]:
    """With U+FFFD in the place of bytes that are not UTF-8."""
    return [blobs.scrub(value) if type(value) is str else value for value in values]


def readable(read: Callable[[], bytes | None], what: str, owner: str) -> bytes | None:
    """What `read` returns; None, and a line in the log, for a damaged value."""
    try:
        return read()
    except (StoreFormatError, msgspec.DecodeError) as error:
        log.error("the %s of %s cannot be read: %s", what, owner, error)
        return None


def _json(blob: bytes | None, owner: str) -> Any:
    try:
        return blobs.unpack_json(blob)
    except StoreFormatError as error:
        log.error("extras of %s cannot be read: %s", owner, error)
        return {}
