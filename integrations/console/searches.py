"""The lists of executions of the page: by a part of the name, or by a query of SearchExecutions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.operations.results import ExecutionListItem
from stepwell.engine.search.queries import is_condition, read
from stepwell.integrations.limits import Limits

_NOTES: Final = ("partialAttributes", "unknownAttributes")


class Searches:
    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine, self._limits = engine, limits

    async def search(self, query: Mapping[str, str], limit: int) -> dict[str, Any]:
        """{"executions", "nextToken"?, "searched", "fault"?}: newest first, of a machine (or all
        without the children of Map Runs), with a status, with a text in the name. A text with a
        condition such as customer=ada is a query instead (engine/search/queries.py); fault: why it
        cannot be read. Its answer has "attributes", those that it names, and the notes of
        SearchExecutions.

        One answer examines console_searched executions at most, and has a token to continue.
        """
        text, token = query.get("name", ""), query.get("token") or None
        wanted = min(limit, self._limits.list_page)
        if any(map(is_condition, text.split())):
            try:
                found = await self._found(query, text, wanted, token)
            except ApiError as fault:
                if fault.code not in ("ValidationException", "InvalidArn"):
                    raise
                return {"executions": [], "searched": 0, "fault": fault.message}
            named = [each.name for each in read(text, 0, lambda name: name).conditions]
            return {**await self._answer(found, 0), "attributes": named} | {
                name: found[name] for name in _NOTES if name in found
            }
        matches, searched = list[ExecutionListItem](), 0
        page = self._limits.list_page if text else wanted
        while True:
            answer = await self._listed(query, page, token)
            searched += len(answer["executions"])
            part, of_machine = text.lower(), bool(query.get("machine"))
            matches += [
                each
                for each in answer["executions"]
                if part in each["name"].lower()
                and (of_machine or "/" not in each["stateMachineArn"])
            ]
            page = self._limits.list_page  # children of Map Runs may be many
            token = answer.get("nextToken")
            if token is None or len(matches) >= wanted or searched >= self._limits.console_searched:
                return await self._answer({"executions": matches, "nextToken": token}, searched)

    async def _found(
        self, query: Mapping[str, str], text: str, wanted: int, token: str | None
    ) -> Mapping[str, Any]:
        words = [text]
        if machine := query.get("machine"):
            words.append(f"machine={json.dumps(machine)}")
        if status := query.get("status"):
            words.append(f"status={status}")
        return await self._engine.search_executions(
            " ".join(words), max_results=wanted, next_token=token
        )

    async def _listed(
        self, query: Mapping[str, str], page: int, token: str | None
    ) -> Mapping[str, Any]:
        options: dict[str, Any] = {
            "status_filter": query.get("status") or None,
            "max_results": page,
            "next_token": token,
        }
        if machine := query.get("machine"):
            return await self._engine.list_executions(machine, **options)
        return await self._engine.list_all_executions(**options)

    async def _answer(self, found: Mapping[str, Any], searched: int) -> dict[str, Any]:
        executions: Sequence[Mapping[str, Any]] = found["executions"]
        parked = await self._engine.parked_executions()
        marked = [
            {**each, "parked": True} if each["executionArn"] in parked else each
            for each in executions
        ]
        return {"executions": marked, "nextToken": found.get("nextToken"), "searched": searched}
