"""SearchExecutions, which AWS does not have."""

from __future__ import annotations

from stepwell.engine.arns import read_machine
from stepwell.engine.errors import ApiError
from stepwell.engine.operations import paging
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.executions import shapes
from stepwell.engine.operations.results import ListExecutionsOutput
from stepwell.engine.search.queries import SearchError, read


class Searches:
    def __init__(self, base: Base) -> None:
        self._store, self._clock, self._limits = base.store, base.clock, base.limits
        self._home, self._pages = base.home, base.pages

    async def search_executions(
        self, query: str = "", *, max_results: int = 0, next_token: str | None = None
    ) -> ListExecutionsOutput:
        """{"executions": items of ListExecutions, "nextToken"?}, newest first, without those of Map
        Runs. Not an operation of AWS.

        query  such as `customer=ada total>100 status=FAILED started>=2h` (engine/search/queries.py)
        A page may have fewer executions than asked for, even none, and a nextToken. Raises ApiError
        ValidationException for a query that cannot be read, InvalidArn, InvalidToken.
        """
        question = ["SearchExecutions", query]
        size = paging.size(max_results, self._limits.list_page, self._limits)
        after = self._pages.read(question, next_token)
        try:
            wanted = read(query, self._clock.now(), self._machine_arn)
        except SearchError as error:
            raise ApiError("ValidationException", str(error)) from None
        rows, last = await self._store.search(wanted, size, after)
        answer: ListExecutionsOutput = {"executions": [shapes.execution_item(row) for row in rows]}
        if last is not None:
            answer["nextToken"] = self._pages.token(question, *last)
        return answer

    def _machine_arn(self, name: str) -> str:
        arn = name if name.startswith("arn:") else self._home.arn("stateMachine", name)
        read_machine(arn)
        return arn
