"""The operations on tags, of state machines and activities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stepwell.engine import arns, messages
from stepwell.engine.errors import ApiError
from stepwell.engine.machines import configuration, machine_parts
from stepwell.engine.operations.activities import Activities
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.results import EmptyOutput, ListTagsForResourceOutput
from stepwell.engine.store.base import MachineRow


class Tags:
    """Every operation raises ApiError ResourceNotFound, InvalidArn."""

    def __init__(self, base: Base, activities: Activities) -> None:
        self._store, self._limits, self._machines = base.store, base.limits, base.machines
        self._activities = activities

    async def tag_resource(
        self, resource_arn: str, tags: Sequence[Mapping[str, str]]
    ) -> EmptyOutput:
        """{}: the tags are added to those of the state machine or activity; new values of old keys
        win.
        """
        return await self._retag(
            resource_arn, lambda old: configuration.tagged(old, tags, self._limits, resource_arn)
        )

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> EmptyOutput:
        """{}: the tags of these keys are removed."""
        return await self._retag(
            resource_arn,
            lambda old: {key: value for key, value in old.items() if key not in tag_keys},
        )

    async def list_tags_for_resource(self, resource_arn: str) -> ListTagsForResourceOutput:
        """{"tags": [{"key", "value"}, ...]}"""
        if arns.kind(resource_arn, "stateMachine", "activity") == "activity":
            tags = self._activities.tags(resource_arn)
        else:
            tags = machine_parts.part(await self._tagged_machine(resource_arn), "tags")
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    async def _retag(
        self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]
    ) -> EmptyOutput:
        if arns.kind(arn, "stateMachine", "activity") == "activity":
            await self._activities.retag(arn, change)
            return {}
        async with self._machines.lock:
            row = await self._tagged_machine(arn)
            tags = change(machine_parts.part(row, "tags"))
            await self._machines.put(machine_parts.changed(row, tags=tags))
        return {}

    async def _tagged_machine(self, arn: str) -> MachineRow:
        row = await self._store.machine(arn)
        if row is None:
            raise ApiError("ResourceNotFound", messages.RESOURCE_UNKNOWN.format(arn=arn))
        return row
