"""The tags of functions and of event source mappings."""

from __future__ import annotations

from stepwell.integrations.services.lambda_.event_source_mappings import Mappings
from stepwell.integrations.services.lambda_.store import FunctionStore, Json


class Tags:
    def __init__(self, store: FunctionStore, mappings: Mappings) -> None:
        self._store, self._mappings = store, mappings

    async def tag_resource(self, resource: str, tags: dict[str, str]) -> Json:
        if (held := self._mappings.tags(resource)) is not None:
            await self._mappings.put_tags(resource, held | tags)
            return {}
        async with self._store.changing(resource) as (stored, _):
            stored.tags |= tags
            self._store.check_tags(stored.tags)
        return {}

    async def untag_resource(self, resource: str, tag_keys: list[str]) -> Json:
        if (held := self._mappings.tags(resource)) is not None:
            await self._mappings.put_tags(
                resource, {key: value for key, value in held.items() if key not in tag_keys}
            )
            return {}
        async with self._store.changing(resource) as (stored, _):
            stored.tags = {key: value for key, value in stored.tags.items() if key not in tag_keys}
        return {}

    async def list_tags(self, resource: str) -> Json:
        held = self._mappings.tags(resource)
        return {"Tags": self._store.find(resource)[0].tags if held is None else held}
