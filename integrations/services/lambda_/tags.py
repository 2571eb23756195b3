"""The tags of functions and of event source mappings."""

from __future__ import annotations

from stepwell.integrations.services.lambda_.event_source_mappings import EventSourceMappings
from stepwell.integrations.services.lambda_.store import FunctionStore, Json


class Tags:
    def __init__(self, store: FunctionStore, mappings: EventSourceMappings) -> None:
        self._store, self._mappings = store, mappings

    async def tag_resource(self, resource: str, tags: dict[str, str]) -> Json:
        if (of_mapping := self._mappings.tags(resource)) is not None:
            await self._mappings.put_tags(resource, of_mapping | tags)
            return {}
        async with self._store.changing(resource) as (function, _):
            function.tags |= tags
            self._store.check_tags(function.tags)
        return {}

    async def untag_resource(self, resource: str, tag_keys: list[str]) -> Json:
        if (of_mapping := self._mappings.tags(resource)) is not None:
            await self._mappings.put_tags(resource, _without(of_mapping, tag_keys))
            return {}
        async with self._store.changing(resource) as (function, _):
            function.tags = _without(function.tags, tag_keys)
        return {}

    async def list_tags(self, resource: str) -> Json:
        of_mapping = self._mappings.tags(resource)
        return {"Tags": self._store.find(resource)[0].tags if of_mapping is None else of_mapping}


def _without(tags: dict[str, str], keys: list[str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in keys}
