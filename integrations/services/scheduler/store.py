"""The schedules and groups of EventBridge Scheduler.

scheduler/group/NAME        scheduler/schedule/GROUP/NAME
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from stepwell.engine.errors import ApiError
from stepwell.engine.operations import paging
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.scheduler import messages

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

DEFAULT: Final = "default"  # the group that always exists


class ScheduleStore:
    """lock: held while a document is read and written."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.groups, self.schedules = Table("scheduler/group/"), Table("scheduler/schedule/")
        self.lock = asyncio.Lock()

    async def open(self) -> None:
        await self.groups.open(self.host.records)
        await self.schedules.open(self.host.records)

    def now(self) -> float:
        return self.host.clock.now() / 1000

    def arn(self, resource: str) -> str:
        return self.host.home.service_arn("scheduler", resource)

    def schedule(self, name: str, group: str) -> tuple[str, Document]:
        """(key, schedule). Raises ApiError."""
        self.group(group)
        schedule = self.schedules.get(f"{group}/{name}")
        if schedule is None:
            raise ApiError("ResourceNotFoundException", messages.SCHEDULE_UNKNOWN.format(name=name))
        return f"{group}/{name}", schedule

    def group(self, name: str) -> Document:
        """Raises ApiError."""
        group = self.groups.get(name)
        if group is None and name == DEFAULT:
            arn = self.arn(f"schedule-group/{DEFAULT}")
            return {"Arn": arn, "Name": DEFAULT, "State": "ACTIVE", "Tags": {}}
        if group is None:
            raise ApiError("ResourceNotFoundException", messages.GROUP_UNKNOWN.format(name=name))
        return group

    def page(
        self, question: Sequence[object], items: list[Any], size: int | None, next_token: str | None
    ) -> tuple[Sequence[Any], Answer]:
        """(items of the page, {"NextToken"} if there are more)"""
        most = paging.size(size, 100, self.host.limits)
        return self.host.pages.page(question, items, most, next_token)
