"""Loads of executions that are asked for at the same time are one read of the database: timers of
thousands of executions may be due at one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from stepwell.engine.store.base import LOADS_AT_ONCE, StoreFormatError
from stepwell.engine.store.batched import Batched
from stepwell.engine.store.codec import Continuation
from stepwell.engine.store.sql.database import Database
from stepwell.engine.store.sql.queries import Known, Query, load

T = TypeVar("T")
Results = list[Continuation | BaseException | None]


class Loading:
    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database
        self.load: Final = Batched[int, Continuation | None](self.load_all, LOADS_AT_ONCE)

    async def load_all(self, ids: Sequence[int]) -> Results:
        try:
            database = self._database()
            return await database.query(_load_all(ids, database.known(ids)))
        except StoreFormatError as error:  # a damaged page of the file: whose?
            if len(ids) == 1:
                return [error]
            return [(await self.load_all([each]))[0] for each in ids]


def _load_all(ids: Sequence[int], known: Query[Known]) -> Query[Results]:
    """Each continuation, None, or the error of what cannot be read."""
    answers, found = (yield from known), Results()
    for each in ids:
        try:
            found.append((yield from _answered(load(each), answers)))
        except msgspec.DecodeError as error:
            found.append(StoreFormatError(f"a stored value is damaged: {error}"))
        except Exception as error:  # of this execution alone
            found.append(error)
    return found


def _answered(query: Query[T], known: Known) -> Query[T]:
    """A query some of whose statements are answered already."""
    try:
        asked = next(query)
        while True:
            rows = known.get(asked)
            asked = query.send((yield asked) if rows is None else rows)
    except StopIteration as end:
        value: T = end.value
        return value
