"""EventBridge Scheduler: schedules in groups, each with one target.

    scheduler/group/NAME        scheduler/schedule/GROUP/NAME        scheduler/delivery/DUE/ID (see
                                deliveries.py)

A schedule keeps when it is due next ("due", epoch seconds) and when it is really carried out
("fire", ms: later by its share of a flexible window). Carrying it out stores the delivery and its
next time in one transaction, so none is lost and none is made twice; one that came due while nobody
ran is made up for once.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.json_text import dumps
from stepwell.engine import messages as engine_messages
from stepwell.engine.errors import ApiError, StoreError
from stepwell.engine.ids import uuids
from stepwell.engine.operations import paging
from stepwell.engine.tasks import Transaction
from stepwell.integrations.services.common import delivery_log, targets
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer, as_tags, shown
from stepwell.integrations.services.common.deliveries import Deliveries, Undelivered
from stepwell.integrations.services.common.schedule_expressions import (
    Schedule,
    ScheduleFault,
    TimeZoneFault,
    iso,
    parse_schedule,
)
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.common.targets import dead_letter
from stepwell.integrations.services.scheduler import messages

if TYPE_CHECKING:
    from stepwell.engine.clock import Alarm
    from stepwell.integrations.host import Host


DEFAULT: Final = "default"
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
_SHOWN: Final = (
    "Arn",
    "GroupName",
    "Name",
    "CreationDate",
    "LastModificationDate",
    *_MEMBERS.values(),
)
_SUMMARY: Final = ("Arn", "Name", "GroupName", "State", "CreationDate", "LastModificationDate")
_GROUP_SHOWN: Final = ("Arn", "Name", "State", "CreationDate", "LastModificationDate")


class Scheduler:
    """The operations of botocore's "scheduler"."""

    def __init__(self, host: Host) -> None:
        self.host, self._new_id = host, uuids()
        self.groups, self.schedules = Table("scheduler/group/"), Table("scheduler/schedule/")
        self.deliveries = Deliveries(
            host,
            "schedule_deliveries",
            "scheduler/delivery/",
            *delivery_log.watched(host, "schedule", self._deliver, self._give_up),
        )
        self._lock = asyncio.Lock()  # held while a schedule is read and written
        self._turns: list[tuple[int, str]] = []  # heap of (fire, key); what is outdated is skipped
        self._alarm: Alarm | None = None
        self._job: asyncio.Task[None] | None = None

    async def open(self) -> None:
        records = self.host.records
        await self.groups.open(records)
        await self.schedules.open(records)
        await self.deliveries.open()
        for key in self.schedules:
            self._set(key)
        self._wake()

    async def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._job is not None:
            self._job.cancel()
            await asyncio.gather(self._job, return_exceptions=True)
        await self.deliveries.close()

    # --- schedules --------------------------------------------------------------------------------

    async def create_schedule(
        self, name: str, group_name: str = DEFAULT, client_token: str | None = None, **given: Any
    ) -> Answer:
        key = f"{group_name}/{name}"
        async with self._lock:
            self._group(group_name)
            held = self.schedules.get(key)
            if held is not None and (
                client_token is None or held.get("ClientToken") != client_token
            ):
                raise ApiError("ConflictException", messages.SCHEDULE_EXISTS.format(name=name))
            if held is None:
                if len(self.schedules) >= self.host.limits.schedules:
                    raise ApiError("ServiceQuotaExceededException", common_messages.LIMIT_EXCEEDED)
                await self._put(
                    key,
                    self._document(name, group_name, given, self._now())
                    | {"ClientToken": client_token},
                )
        return {"ScheduleArn": self.schedules[key]["Arn"]}

    async def update_schedule(
        self, name: str, group_name: str = DEFAULT, client_token: str | None = None, **given: Any
    ) -> Answer:
        """Replaces all of it."""
        async with self._lock:
            key, held = self._schedule(name, group_name)
            await self._put(key, self._document(name, group_name, given, held["CreationDate"]))
        return {"ScheduleArn": held["Arn"]}

    async def get_schedule(self, name: str, group_name: str = DEFAULT) -> Answer:
        return shown(self._schedule(name, group_name)[1], _SHOWN)

    async def delete_schedule(
        self, name: str, group_name: str = DEFAULT, client_token: str | None = None
    ) -> Answer:
        async with self._lock:
            await self.schedules.delete(self._schedule(name, group_name)[0])
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
            self._group(group_name)
        found = [
            {**shown(each, _SUMMARY), "Target": {"Arn": each["Target"]["Arn"]}}
            for each in self.schedules.sorted(f"{group_name}/" if group_name else "")
            if each["Name"].startswith(name_prefix) and state in (None, each["State"])
        ]
        items, more = self._page(
            ["ListSchedules", group_name, name_prefix, state], found, max_results, next_token
        )
        return {"Schedules": items, **more}

    def _schedule(self, name: str, group: str) -> tuple[str, Document]:
        self._group(group)
        found = self.schedules.get(f"{group}/{name}")
        if found is None:
            raise ApiError("ResourceNotFoundException", messages.SCHEDULE_UNKNOWN.format(name=name))
        return f"{group}/{name}", found

    def _document(
        self, name: str, group: str, given: Mapping[str, Any], created: float
    ) -> Document:
        """A schedule as it is kept. Raises ApiError ValidationException."""
        now, home = self._now(), self.host.home
        arn = f"arn:{home.partition}:scheduler:{home.region}:{home.account}:schedule/{group}/{name}"
        document: Document = {
            "Arn": arn,
            "Name": name,
            "GroupName": group,
            "CreationDate": created,
            "LastModificationDate": now,
        }
        document |= {
            "State": "ENABLED",
            "ScheduleExpressionTimezone": "UTC",
            "ActionAfterCompletion": "NONE",
        }
        document |= {_MEMBERS[member]: value for member, value in given.items()}
        window = document["FlexibleTimeWindow"]
        if (window["Mode"] == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
            raise ApiError("ValidationException", messages.BAD_WINDOW)
        if document["Target"]["Arn"].count(":") < 5:
            raise ApiError(
                "ValidationException",
                common_messages.TARGET_ARN.format(arn=document["Target"]["Arn"]),
            )
        if document.get("EndDate") is not None and document["EndDate"] <= document.get(
            "StartDate", now
        ):
            raise ApiError("ValidationException", messages.BAD_END_DATE)
        try:
            return self._planned(document, now)
        except TimeZoneFault as fault:
            raise ApiError("ValidationException", str(fault)) from None
        except ScheduleFault:
            text = messages.SCHEDULER_BAD_SCHEDULE.format(expression=document["ScheduleExpression"])
            raise ApiError("ValidationException", text) from None

    async def _put(self, key: str, document: Document) -> None:
        await self.schedules.put(key, document)
        self._set(key)
        self._wake()

    # --- groups and tags --------------------------------------------------------------------------

    async def create_schedule_group(
        self, name: str, tags: Sequence[Mapping[str, str]] = (), client_token: str | None = None
    ) -> Answer:
        async with self._lock:
            held = self.groups.get(name)
            if name == DEFAULT or (
                held is not None
                and (client_token is None or held.get("ClientToken") != client_token)
            ):
                raise ApiError("ConflictException", messages.GROUP_EXISTS.format(name=name))
            if held is None:
                if len(self.groups) >= self.host.limits.schedule_groups:
                    raise ApiError("ServiceQuotaExceededException", common_messages.LIMIT_EXCEEDED)
                at = self._now()
                group = {
                    "Arn": self._group_arn(name),
                    "Name": name,
                    "State": "ACTIVE",
                    "CreationDate": at,
                    "LastModificationDate": at,
                }
                await self.groups.put(
                    name, {**group, "Tags": as_tags(tags), "ClientToken": client_token}
                )
        return {"ScheduleGroupArn": self._group_arn(name)}

    async def get_schedule_group(self, name: str) -> Answer:
        return shown(self._group(name), _GROUP_SHOWN)

    async def delete_schedule_group(self, name: str, client_token: str | None = None) -> Answer:
        """With all its schedules."""
        async with self._lock:
            self._group(name)
            if name == DEFAULT:
                raise ApiError("ValidationException", messages.GROUP_DEFAULT)
            for each in self.schedules.sorted(f"{name}/"):
                await self.schedules.delete(f"{name}/{each['Name']}")
            await self.groups.delete(name)
        return {}

    async def list_schedule_groups(
        self, name_prefix: str = "", next_token: str | None = None, max_results: int | None = None
    ) -> Answer:
        own = (
            [self._group(DEFAULT)]
            if DEFAULT not in self.groups and DEFAULT.startswith(name_prefix)
            else []
        )
        found = sorted(
            [*own, *self.groups.sorted(name_prefix)], key=lambda group: str(group["Name"])
        )
        items, more = self._page(
            ["ListScheduleGroups", name_prefix], found, max_results, next_token
        )
        return {"ScheduleGroups": [shown(each, _GROUP_SHOWN) for each in items], **more}

    async def tag_resource(self, resource_arn: str, tags: Sequence[Mapping[str, str]]) -> Answer:
        async with self._lock:
            group = self._group_of(resource_arn)
            tagged = group["Tags"] | as_tags(tags)
            if len(tagged) > self.host.limits.tags:
                raise ApiError(
                    "ValidationException",
                    engine_messages.TOO_MANY_TAGS.format(
                        limit=self.host.limits.tags, arn=resource_arn
                    ),
                )
            await self.groups.put(group["Name"], group | {"Tags": tagged})
        return {}

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> Answer:
        async with self._lock:
            group = self._group_of(resource_arn)
            left = {key: value for key, value in group["Tags"].items() if key not in tag_keys}
            await self.groups.put(group["Name"], group | {"Tags": left})
        return {}

    async def list_tags_for_resource(self, resource_arn: str) -> Answer:
        return {
            "Tags": [
                {"Key": key, "Value": value}
                for key, value in self._group_of(resource_arn)["Tags"].items()
            ]
        }

    def _group_of(self, arn: str) -> Document:
        if ":schedule-group/" not in arn:
            raise ApiError(
                "ValidationException", common_messages.EVENTS_RESOURCE_UNKNOWN.format(arn=arn)
            )
        return self._group(arn.rpartition("/")[2])

    def _group_arn(self, name: str) -> str:
        home = self.host.home
        return f"arn:{home.partition}:scheduler:{home.region}:{home.account}:schedule-group/{name}"

    def _group(self, name: str) -> Document:
        found = self.groups.get(name)
        if found is None and name == DEFAULT:
            return {"Arn": self._group_arn(DEFAULT), "Name": DEFAULT, "State": "ACTIVE", "Tags": {}}
        if found is None:
            raise ApiError("ResourceNotFoundException", messages.GROUP_UNKNOWN.format(name=name))
        return found

    def _page(
        self, question: Sequence[object], items: list[Any], size: int | None, next_token: str | None
    ) -> tuple[list[Any], Answer]:
        most = paging.size(size, 100, self.host.limits)
        (begin,) = self.host.pages.read(question, next_token) or (0,)
        more = (
            {"NextToken": self.host.pages.token(question, begin + most)}
            if len(items) > begin + most
            else {}
        )
        return items[begin : begin + most], more

    # --- time -------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self.host.clock.now() / 1000

    def _planned(self, document: Document, after: float, begun: bool = False) -> Document:
        """With its next time after one, or none. begun: it has been due before. Raises
        ScheduleFault.
        """
        start = document.get("StartDate")
        since = document["LastModificationDate"] if start is None else start
        schedule: Schedule = parse_schedule(
            document["ScheduleExpression"], document["ScheduleExpressionTimezone"], since
        )
        if not schedule.once and not begun:  # a rate is due at once, or at its start
            after = max(after, since) - 0.001
        due = schedule.next(after)
        end = document.get("EndDate")
        if due is None or (not schedule.once and end is not None and due > end):
            return {**document, "due": None, "fire": None}
        window = 60_000 * document["FlexibleTimeWindow"].get("MaximumWindowInMinutes", 0)
        digest = hashlib.blake2b(f"{document['Arn']}:{due}".encode(), digest_size=4).digest()
        return {
            **document,
            "due": due,
            "fire": round(due * 1000) + int.from_bytes(digest) % max(window, 1),
        }

    def _set(self, key: str) -> None:
        schedule = self.schedules[key]
        if schedule["State"] == "ENABLED" and schedule["fire"] is not None:
            heapq.heappush(self._turns, (schedule["fire"], key))

    def _wake(self) -> None:
        """Carry out what is due, and set the alarm for what comes next."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._job is not None or not self._turns:
            return
        fire = self._turns[0][0]
        if fire > self.host.clock.now():
            self._alarm = self.host.clock.call_at(fire, self._wake)
        else:
            self._job = self.host.supervisor.start("schedules", self._carry_out)

    async def _carry_out(self) -> None:
        while self._turns and self._turns[0][0] <= self.host.clock.now():
            fire, key = heapq.heappop(self._turns)
            try:
                await self._due(key, fire)
            except StoreError:
                heapq.heappush(self._turns, (fire, key))
                raise
            except Exception as error:  # of this one: the others go on
                self.host.supervisor.start("schedules", partial(self._alone, key, fire), error)
        self._job = None
        self._wake()

    async def _alone(self, key: str, fire: int) -> None:
        await self._due(key, fire)
        self._wake()

    async def _due(self, key: str, fire: int) -> None:
        async with self._lock:
            schedule = self.schedules.get(key)
            if (
                schedule is not None and schedule["fire"] == fire and schedule["State"] == "ENABLED"
            ):  # else it was changed since
                await self._fire(key, schedule)

    async def _fire(self, key: str, schedule: Document) -> None:
        accepted = self.deliveries.accept([self._delivery(schedule)])
        following = self._planned(schedule, max(schedule["due"], self._now()), begun=True)
        if following["fire"] is None and schedule["ActionAfterCompletion"] == "DELETE":
            await self.schedules.delete(key, accepted.writes)
        else:
            await self.schedules.put(key, following, accepted.writes)
            self._set(key)
        accepted.then()

    # --- deliveries -------------------------------------------------------------------------------

    def _delivery(self, schedule: Document) -> Document:
        target, id = schedule["Target"], self._new_id()
        about = {
            "id": id,
            "schedule": schedule["Arn"],
            "target": target,
            "time": iso(schedule["due"]),
        }
        return about | ({"retry": target["RetryPolicy"]} if "RetryPolicy" in target else {})

    def _payload(self, document: Document) -> str:
        """The target's Input with the context's values, or the event that says nothing but that it
        is time.
        """
        home, text = self.host.home, document["target"].get("Input")
        if text is None:
            event = {
                "version": "0",
                "id": document["id"],
                "detail-type": "Scheduled Event",
                "source": "aws.scheduler",
            }
            event |= {"account": home.account, "time": document["time"], "region": home.region}
            return dumps({**event, "resources": [document["schedule"]], "detail": "{}"})
        values = {
            "schedule-arn": document["schedule"],
            "scheduled-time": document["time"],
            "execution-id": document["id"],
        }
        for name, value in {**values, "attempt-number": str(document["attempts"] + 1)}.items():
            text = text.replace(f"<aws.scheduler.{name}>", value)
        return str(text)

    async def _deliver(self, document: Document) -> Transaction[Any] | None:
        return await targets.deliver(
            self.host, document["target"], self._payload(document), document["id"]
        )

    async def _give_up(self, document: Document, fault: Undelivered, limit: str) -> None:
        about = {"SCHEDULE_ARN": document["schedule"], "TARGET_ARN": document["target"]["Arn"]}
        await dead_letter(
            self.host, {**document, "payload": self._payload(document)}, fault, limit, about
        )
