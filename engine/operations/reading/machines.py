"""The operations that describe and list state machines."""

from __future__ import annotations

from typing import Any

from stepwell.engine import arns, messages
from stepwell.engine.errors import ApiError
from stepwell.engine.machines import configuration, machine_parts
from stepwell.engine.operations import paging
from stepwell.engine.operations.machines import shapes
from stepwell.engine.operations.reading.base import ReadingBase
from stepwell.engine.operations.results import DescribeStateMachineOutput, ListStateMachinesOutput


class Machines:
    """State machines as they are now. Their versions and aliases: machines/versions.py."""

    def __init__(self, base: ReadingBase) -> None:
        self._store, self._limits = base.store, base.limits
        self._pages, self._machines = base.pages, base.machines

    async def describe_state_machine(
        self, state_machine_arn: str, *, included_data: str = "ALL_DATA"
    ) -> DescribeStateMachineOutput:
        """Of a version's ARN: that version; of an alias's: the version that most starts go to."""
        parts = arns.read_machine(state_machine_arn)
        row = await self._machines.get(
            state_machine_arn if parts.qualifier is None else parts.machine
        )
        if parts.qualifier is None:
            answer, settings = shapes.machine(row), row.configuration
        else:
            number = machine_parts.version_of(row, parts.qualifier)
            version = machine_parts.part(row, "versions").get(number)
            pinned = version and await self._store.definition(version["definition"])
            if pinned is None:
                raise ApiError(
                    "StateMachineDoesNotExist",
                    messages.MACHINE_UNKNOWN.format(arn=state_machine_arn),
                )
            answer, settings = shapes.machine_version(row, number, pinned), pinned.configuration
        return (
            shapes.without_texts(answer) if configuration.hides(settings, included_data) else answer
        )

    async def machine_extras(self, state_machine_arn: str) -> dict[str, Any]:
        """The `extras` that the library's user keeps with a machine; describe_state_machine has
        them, too. Not an operation of AWS.
        """
        return machine_parts.own_extras(await self._machines.get(state_machine_arn))

    async def list_state_machines(
        self, *, max_results: int = 0, next_token: str | None = None
    ) -> ListStateMachinesOutput:
        """{"stateMachines": [...], "nextToken"?} in the order of their names."""
        question, size = (
            ["ListStateMachines"],
            paging.size(max_results, self._limits.list_page, self._limits),
        )
        (after,) = self._pages.read(question, next_token) or ("",)
        rows = await self._store.machines(after, size + 1)
        answer: ListStateMachinesOutput = {
            "stateMachines": [shapes.machine_item(row) for row in rows[:size]]
        }
        if len(rows) > size:
            answer["nextToken"] = self._pages.token(question, rows[size - 1].arn)
        return answer
