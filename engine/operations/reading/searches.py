"""SearchExecutions, which AWS does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from stepwell.asl.search_attributes import ERROR
from stepwell.engine import messages
from stepwell.engine.arns import read_machine
from stepwell.engine.errors import ApiError
from stepwell.engine.machines.naming_records import Naming, namings
from stepwell.engine.operations import paging
from stepwell.engine.operations.executions import shapes
from stepwell.engine.operations.reading.base import ReadingBase
from stepwell.engine.operations.results import (
    FoundExecution,
    PartialAttribute,
    SearchExecutionsOutput,
)
from stepwell.engine.search.attributes import shown
from stepwell.engine.search.queries import SearchError, read
from stepwell.engine.search.wanted import Search
from stepwell.engine.store.base import ExecutionRow

SHOWN: Final = 16  # attributes of one answer


class Searches:
    def __init__(self, base: ReadingBase) -> None:
        self._store, self._clock, self._limits = base.store, base.clock, base.limits
        self._home, self._pages = base.home, base.pages

    async def search_executions(
        self,
        query: str = "",
        *,
        attributes: Sequence[str] | None = None,
        max_results: int = 0,
        next_token: str | None = None,
    ) -> SearchExecutionsOutput:
        """{"executions": items of ListExecutions with "searchAttributes" {name: values}?,
        "nextToken"?, "partialAttributes"?, "unknownAttributes"?}, newest first, without those of
        Map Runs. Not an operation of AWS.

        query       such as `customer=ada total>100 status=FAILED started>=2h`
                    (engine/search/queries.py)
        attributes  whose values are answered; None: of those in the query

        A page may have fewer executions than asked for, even none, and a nextToken. The first page
        says which attributes of the query are not in the index of all executions: partial ones
        since they were changed, unknown ones if no execution has them. Raises ApiError
        ValidationException for a query that cannot be read, InvalidArn, InvalidToken.
        """
        question = ["SearchExecutions", query]
        size = paging.size(max_results, self._limits.list_page, self._limits)
        after = self._pages.read(question, next_token)
        try:
            wanted = read(query, self._clock.now(), self._machine_arn)
        except SearchError as error:
            raise ApiError("ValidationException", str(error)) from None
        named = list(dict.fromkeys(each.name for each in wanted.conditions))
        asked = named if attributes is None else list(attributes)
        if len(asked) > SHOWN:
            raise ApiError("ValidationException", messages.MANY_ATTRIBUTES.format(limit=SHOWN))
        rows, last = await self._store.search(wanted, size, after)
        answer: SearchExecutionsOutput = {"executions": await self._items(rows, asked)}
        if last is not None:
            answer["nextToken"] = self._pages.token(question, *last)
        names = [each for each in dict.fromkeys((*named, *asked)) if each != ERROR]
        if after is None and names:
            if partial := await self._partial(wanted, names):
                answer["partialAttributes"] = partial
            used = [
                each for row in answer["executions"] for each in row.get("searchAttributes", ())
            ]
            unknown = [
                each
                for each in names
                if each not in used and not await self._store.has_attribute(each)
            ]
            if unknown:
                answer["unknownAttributes"] = unknown
        return answer

    async def _items(
        self, rows: Sequence[ExecutionRow], names: Sequence[str]
    ) -> list[FoundExecution]:
        items = [cast(FoundExecution, shapes.execution_item(row)) for row in rows]
        if names and rows:
            found = await self._store.attributes([row.id for row in rows], names)
            for item, row in zip(items, rows, strict=True):
                item["searchAttributes"] = shown(found[row.id])
        return items

    async def _partial(self, wanted: Search, names: Sequence[str]) -> list[PartialAttribute]:
        machine = "" if wanted.machine_arn is None else read_machine(wanted.machine_arn).machine
        earliest = (wanted.started.start or 0) / 1000
        return [
            each
            for arn, naming in (await namings(self._store, machine)).items()
            for each in partial_attributes(arn, naming)
            if each["name"] in names and (each["change"] == "REMOVED" or earliest < each["since"])
        ]

    def _machine_arn(self, name: str) -> str:
        arn = name if name.startswith("arn:") else self._home.arn("stateMachine", name)
        read_machine(arn)
        return arn


def partial_attributes(arn: str, naming: Naming) -> list[PartialAttribute]:
    named = {each.name for each in naming.attributes()}
    return [
        {
            "stateMachineArn": arn,
            "name": name,
            "since": at / 1000,
            "change": "CHANGED" if name in named else "REMOVED",
        }
        for name, at in naming.since.items()
    ]
