"""EventBridge Scheduler: schedules in groups, each with one target.

store.py       schedules and groups        schedules.py   the operations on schedules
groups.py      the operations on groups    planning.py    when a schedule runs next
runner.py      runs them at their times, and delivers to their targets
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepwell.engine.delegation import delegated
from stepwell.integrations.services.scheduler.groups import Groups
from stepwell.integrations.services.scheduler.runner import ScheduleRunner
from stepwell.integrations.services.scheduler.schedules import Schedules
from stepwell.integrations.services.scheduler.store import ScheduleStore

if TYPE_CHECKING:
    from stepwell.integrations.host import Host


class Scheduler:
    """The operations of botocore's "scheduler"."""

    def __init__(self, host: Host) -> None:
        self.store = ScheduleStore(host)
        self.runner = ScheduleRunner(self.store)
        self.schedules = Schedules(self.store, self.runner.changed)
        self.groups = Groups(self.store)

    async def open(self) -> None:
        await self.store.open()
        await self.runner.open()

    async def close(self) -> None:
        await self.runner.close()

    create_schedule = delegated("schedules", Schedules.create_schedule)
    update_schedule = delegated("schedules", Schedules.update_schedule)
    get_schedule = delegated("schedules", Schedules.get_schedule)
    delete_schedule = delegated("schedules", Schedules.delete_schedule)
    list_schedules = delegated("schedules", Schedules.list_schedules)

    create_schedule_group = delegated("groups", Groups.create_schedule_group)
    get_schedule_group = delegated("groups", Groups.get_schedule_group)
    delete_schedule_group = delegated("groups", Groups.delete_schedule_group)
    list_schedule_groups = delegated("groups", Groups.list_schedule_groups)
    tag_resource = delegated("groups", Groups.tag_resource)
    untag_resource = delegated("groups", Groups.untag_resource)
    list_tags_for_resource = delegated("groups", Groups.list_tags_for_resource)
