"""Merges rows of history (Batch.merges) for many executions at once, some time after their commits.

    commit --> add() ... due --> merge(), in the transaction of a commit or of a ping

A merge in the commit that closes an execution takes three round trips, as much work for the server
as the commit itself. Rows are the same history before and after it: those that a crash leaves
unmerged stay so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

from stepwell.engine.store.postgres.session import Connection
from stepwell.engine.store.sql.queries import MERGE_BYTES, Merged, merged

MERGES_AT_ONCE: Final = 64


class Merging:
    """pending: first key -> last key of the rows to merge."""

    def __init__(self) -> None:
        self.pending: dict[int, int] = {}

    def add(self, places: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Returns the places that cannot wait: those of long histories, which are rare."""
        late = []
        for place in places:
            if len(place) == 2:
                first, last = place
                self.pending[first] = max(last, self.pending.get(first, last))
            else:
                late.append(place)
        return late

    @property
    def due(self) -> bool:
        return len(self.pending) >= MERGES_AT_ONCE

    async def merge(self, writer: Connection, to_merge: str, replace: str) -> None:
        """All that is pending, in the caller's transaction. The statements are those of
        queries.sql.
        """
        places, self.pending = self.pending, {}
        rows = await writer.fetch(to_merge, MERGE_BYTES, list(places), list(places.values()))
        runs = await asyncio.to_thread(_runs, rows)
        if runs:
            first, second, last, blobs = (list(column) for column in zip(*runs))
            await writer.execute(replace, second, last, first, blobs)


def _runs(rows: Iterable[Any]) -> list[Merged]:
    return [
        run
        for _, group in groupby(rows, key=lambda row: row[0])
        for run in merged((key, blob) for _, key, blob in group)
    ]
