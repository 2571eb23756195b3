"""The operations on schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer, shown
from stepwell.integrations.services.common.schedule_expressions import ScheduleError, TimeZoneError
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.scheduler import messages
from stepwell.integrations.services.scheduler.planning import plan
from stepwell.integrations.services.scheduler.store import DEFAULT, ScheduleStore

_MEMBERS: Final = {
    "schedule_expression": "ScheduleExpression",
    "target": "Target",
    "flexible_time_window": "FlexibleTimeWindow",
    "start_date": "StartDate",
    "end_date": "EndDate",
    "description": "Description",
    "schedule_expression_timezone": "ScheduleExpressionTimezone",
    "state": "State",
    "kms_key_arn": "KmsKeyArn",
    "action_after_completion": "ActionAfterCompletion",
}
_SUMMARY: Final = ("Arn", "Name", "GroupName", "State", "CreationDate", "LastModificationDate")
_SHOWN: Final = (
    "Arn", "GroupName", "Name", "CreationDate", "LastModificationDate", *_MEMBERS.values(),
)  # fmt: skip


class Schedules:
    """changed: called with the key of a schedule that was put."""

    def __init__(self, store: ScheduleStore, changed: Callable[[str], None]) -> None:
        self._store, self._changed = store, changed

    async def create_schedule(
        self,
        /,
        name: str,
        group_name: str = DEFAULT,
        client_token: str | None = None,
        **parameters: Any,
    ) -> Answer:
        """Repeatable with the same client token."""
        key = f"{group_name}/{name}"
        async with self._store.lock:
            self._store.group(group_name)
            existing = self._store.schedules.get(key)
            if existing is not None and (
                client_token is None or existing.get("ClientToken") != client_token
            ):
                raise ApiError("ConflictException", messages.SCHEDULE_EXISTS.format(name=name))
            if existing is None:
                if len(self._store.schedules) >= self._store.host.limits.schedules:
                    raise ApiError("ServiceQuotaExceededException", common_messages.LIMIT_EXCEEDED)
                document = self._document(name, group_name, parameters, self._store.now())
                await self._put(key, document | {"ClientToken": client_token})
        return {"ScheduleArn": self._store.schedules[key]["Arn"]}

    async def update_schedule(
        self,
        /,
        name: str,
        group_name: str = DEFAULT,
        client_token: str | None = None,
        **parameters: Any,
    ) -> Answer:
        """Replaces all members: those that are omitted get their defaults."""
        async with self._store.lock:
            key, before = self._store.schedule(name, group_name)
            await self._put(
                key, self._document(name, group_name, parameters, before["CreationDate"])
            )
        return {"ScheduleArn": before["Arn"]}

    async def _put(self, key: str, document: Document) -> None:
        await self._store.schedules.put(key, document)
        self._changed(key)

    async def get_schedule(self, name: str, group_name: str = DEFAULT) -> Answer:
        return shown(self._store.schedule(name, group_name)[1], _SHOWN)

    async def delete_schedule(
        self, name: str, group_name: str = DEFAULT, client_token: str | None = None
    ) -> Answer:
        async with self._store.lock:
            await self._store.schedules.delete(self._store.schedule(name, group_name)[0])
        return {}

    async def list_schedules(
        self,
        group_name: str | None = None,
        name_prefix: str = "",
        state: str | None = None,
        next_token: str | None = None,
        max_results: int | None = None,
    ) -> Answer:
        if group_name is not None:
            self._store.group(group_name)
        summaries = [
            {**shown(each, _SUMMARY), "Target": {"Arn": each["Target"]["Arn"]}}
            for each in self._store.schedules.sorted(f"{group_name}/" if group_name else "")
            if each["Name"].startswith(name_prefix) and state in (None, each["State"])
        ]
        question = ["ListSchedules", group_name, name_prefix, state]
        items, more = self._store.page(question, summaries, max_results, next_token)
        return {"Schedules": items, **more}

    def _document(
        self, name: str, group: str, parameters: Mapping[str, Any], created: float
    ) -> Document:
        """A schedule with its next run. created: epoch seconds. Raises ApiError
        ValidationException.
        """
        now = self._store.now()
        document: Document = {
            "Arn": self._store.arn(f"schedule/{group}/{name}"),
            "Name": name,
            "GroupName": group,
            "CreationDate": created,
            "LastModificationDate": now,
            "State": "ENABLED",
            "ScheduleExpressionTimezone": "UTC",
            "ActionAfterCompletion": "NONE",
            **{_MEMBERS[member]: value for member, value in parameters.items()},
        }
        window, arn = document["FlexibleTimeWindow"], document["Target"]["Arn"]
        if (window["Mode"] == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
            raise ApiError("ValidationException", messages.BAD_WINDOW)
        if arn.count(":") < 5:
            raise ApiError("ValidationException", common_messages.TARGET_ARN.format(arn=arn))
        end = document.get("EndDate")
        if end is not None and end <= document.get("StartDate", now):
            raise ApiError("ValidationException", messages.BAD_END_DATE)
        try:
            return plan(document, now)
        except TimeZoneError as error:
            raise ApiError("ValidationException", str(error)) from None
        except ScheduleError:
            text = messages.SCHEDULER_BAD_SCHEDULE.format(expression=document["ScheduleExpression"])
            raise ApiError("ValidationException", text) from None
