"""The operations on histories: in pages, or event by event as they are committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import cast

from stepwell.engine import arns
from stepwell.engine.core import events, model
from stepwell.engine.core.history import TABLE, to_aws
from stepwell.engine.operations import paging
from stepwell.engine.operations.reading.base import ReadingBase
from stepwell.engine.operations.results import GetExecutionHistoryOutput, HistoryEvent


class Histories:
    """The histories of executions. All but get_execution_history, which refuses Express executions
    as AWS does, also show those of Express executions that are watched.
    """

    def __init__(self, base: ReadingBase) -> None:
        self._limits, self._pages, self._tracker = base.limits, base.pages, base.tracker
        self._store = base.store

    async def get_execution_history(
        self,
        execution_arn: str,
        *,
        max_results: int = 0,
        reverse_order: bool = False,
        next_token: str | None = None,
        include_execution_data: bool = True,
    ) -> GetExecutionHistoryOutput:
        """{"events": [...], "nextToken"?}: the committed events. Raises ApiError
        ExecutionDoesNotExist, InvalidToken, InvalidArn (also for Express executions).
        """
        arns.kind(execution_arn, "execution")
        row = await self._tracker.row(execution_arn)
        question = ["GetExecutionHistory", execution_arn, reverse_order]
        size = paging.size(max_results, self._limits.history_page, self._limits)
        (after,) = self._pages.read(question, next_token) or (0,)
        events = await self._tracker.events(row, after, size, reverse_order)
        answer: GetExecutionHistoryOutput = {
            "events": [
                _shown(event, number, at, include_execution_data) for number, at, event in events
            ]
        }
        if events and (events[-1][0] > 1 if reverse_order else events[-1][0] < row.events):
            answer["nextToken"] = self._pages.token(question, events[-1][0])
        return answer

    async def watch(self, execution_arn: str, after: int = 0) -> AsyncIterator[HistoryEvent]:
        """Every history event as it is committed, from the one after the id `after`; ends after the
        last event of the execution.
        """
        async for page in self.watch_pages(execution_arn, after):
            for event in page:
                yield event

    async def inspect_history(self, execution_arn: str) -> AsyncIterator[HistoryEvent]:
        """Every event that is committed so far."""
        row, after = await self._tracker.row(execution_arn), 0
        while events := await self._tracker.events(row, after, self._limits.history_page):
            for number, at, event in events:
                yield _shown(event, number, at)
            after = events[-1][0]

    async def watch_pages(
        self, execution_arn: str, after: int = 0, data_of: Callable[[str], bool] = lambda type: True
    ) -> AsyncIterator[list[HistoryEvent]]:
        """watch() in lists: each has the events that were committed since the list before, up to a
        page.

        data_of  event type -> whether its events have their input, output and parameters
        """
        row = await self._tracker.row(execution_arn)
        while True:
            with self._tracker.watching(row.id) as signal:
                row = await self._tracker.row(execution_arn)
                events = await self._tracker.events(row, after, self._limits.history_page)
                if not events:
                    if row.status != model.RUNNING and after >= row.events:
                        # others may wait for a commit that this call has already read
                        self._tracker.signal(row.id)
                        return
                    self._store.shard.check_id(row.id)
                    await self._tracker.changed(signal)
                    continue
            yield [
                _shown(event, number, at, data_of(TABLE[event[0]][0]))
                for number, at, event in events
            ]
            after = events[-1][0]

    async def history_event(self, execution_arn: str, event_id: int) -> HistoryEvent | None:
        """The committed event of that id; None if there is none. Not an operation of AWS, which
        has pages only.
        """
        row = await self._tracker.row(execution_arn)
        for number, at, event in await self._tracker.events(row, event_id - 1, 1):
            if number == event_id:
                return _shown(event, number, at)
        return None


def _shown(
    event: events.HistoryEvent, number: int, at: int, include_data: bool = True
) -> HistoryEvent:
    return cast(HistoryEvent, to_aws(event, number, at, include_data))
