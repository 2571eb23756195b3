"""The operations on schedule groups and their tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from stepwell.engine import messages as engine_messages
from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer, as_tags, shown, tag_list
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.scheduler import messages
from stepwell.integrations.services.scheduler.store import DEFAULT, ScheduleStore

_SHOWN: Final = ("Arn", "Name", "State", "CreationDate", "LastModificationDate")


class Groups:
    def __init__(self, store: ScheduleStore) -> None:
        self._store = store

    async def create_schedule_group(
        self, name: str, tags: Sequence[Mapping[str, str]] = (), client_token: str | None = None
    ) -> Answer:
        """Repeatable with the same client token."""
        arn = self._store.arn(f"schedule-group/{name}")
        async with self._store.lock:
            existing = self._store.groups.get(name)
            if name == DEFAULT or (
                existing is not None
                and (client_token is None or existing.get("ClientToken") != client_token)
            ):
                raise ApiError("ConflictException", messages.GROUP_EXISTS.format(name=name))
            if existing is None:
                if len(self._store.groups) >= self._store.host.limits.schedule_groups:
                    raise ApiError("ServiceQuotaExceededException", common_messages.LIMIT_EXCEEDED)
                at = self._store.now()
                group = {
                    "Arn": arn,
                    "Name": name,
                    "State": "ACTIVE",
                    "CreationDate": at,
                    "LastModificationDate": at,
                    "Tags": as_tags(tags),
                    "ClientToken": client_token,
                }
                await self._store.groups.put(name, group)
        return {"ScheduleGroupArn": arn}

    async def get_schedule_group(self, name: str) -> Answer:
        return shown(self._store.group(name), _SHOWN)

    async def delete_schedule_group(self, name: str, client_token: str | None = None) -> Answer:
        """Deletes its schedules too."""
        async with self._store.lock:
            self._store.group(name)
            if name == DEFAULT:
                raise ApiError("ValidationException", messages.GROUP_DEFAULT)
            for each in self._store.schedules.sorted(f"{name}/"):
                await self._store.schedules.delete(f"{name}/{each['Name']}")
            await self._store.groups.delete(name)
        return {}

    async def list_schedule_groups(
        self, name_prefix: str = "", next_token: str | None = None, max_results: int | None = None
    ) -> Answer:
        groups = self._store.groups.sorted(name_prefix)
        if DEFAULT not in self._store.groups and DEFAULT.startswith(name_prefix):
            groups.append(self._store.group(DEFAULT))
        groups.sort(key=lambda group: str(group["Name"]))
        items, more = self._store.page(
            ["ListScheduleGroups", name_prefix], groups, max_results, next_token
        )
        return {"ScheduleGroups": [shown(each, _SHOWN) for each in items], **more}

    async def tag_resource(self, resource_arn: str, tags: Sequence[Mapping[str, str]]) -> Answer:
        async with self._store.lock:
            group = self._group_of(resource_arn)
            merged = group["Tags"] | as_tags(tags)
            limit = self._store.host.limits.tags
            if len(merged) > limit:
                raise ApiError(
                    "ValidationException",
                    engine_messages.TOO_MANY_TAGS.format(limit=limit, arn=resource_arn),
                )
            await self._store.groups.put(group["Name"], group | {"Tags": merged})
        return {}

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> Answer:
        async with self._store.lock:
            group = self._group_of(resource_arn)
            left = {key: value for key, value in group["Tags"].items() if key not in tag_keys}
            await self._store.groups.put(group["Name"], group | {"Tags": left})
        return {}

    async def list_tags_for_resource(self, resource_arn: str) -> Answer:
        return {"Tags": tag_list(self._group_of(resource_arn)["Tags"])}

    def _group_of(self, arn: str) -> Document:
        """Raises ApiError."""
        if ":schedule-group/" not in arn:
            raise ApiError(
                "ValidationException", common_messages.EVENTS_RESOURCE_UNKNOWN.format(arn=arn)
            )
        return self._store.group(arn.rpartition("/")[2])
