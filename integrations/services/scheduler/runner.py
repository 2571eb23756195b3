"""Runs schedules at their times: a run stores its delivery and the schedule's next time.

    scheduler/delivery/DUE/ID (see common/deliveries.py)

Both are stored in one transaction, so that no run is lost or repeated. Of the runs that were missed
while the server was down, one is run at the start.
"""

from __future__ import annotations

import asyncio
import heapq
from functools import partial
from typing import TYPE_CHECKING, Any

from stepwell.asl.json_text import dumps
from stepwell.asl.timestamps import iso_seconds
from stepwell.engine.errors import StoreError
from stepwell.engine.ids import uuids
from stepwell.engine.tasks import Transaction
from stepwell.integrations.services.common import delivery_log, targets
from stepwell.integrations.services.common.deliveries import Deliveries, DeliveryError
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.scheduler.planning import plan
from stepwell.integrations.services.scheduler.store import ScheduleStore

if TYPE_CHECKING:
    from stepwell.engine.clock import Alarm


class ScheduleRunner:
    """job: the task that runs what is due, None if nothing is due."""

    def __init__(self, store: ScheduleStore) -> None:
        self._store, self._host, self._new_id = store, store.host, uuids()
        self.deliveries = Deliveries(
            store.host,
            "schedule_deliveries",
            "scheduler/delivery/",
            *delivery_log.watched(store.host, "schedule", self._deliver, self._give_up),
        )
        self._queue: list[tuple[int, str]] = []  # heap of (fire, key); outdated entries are skipped
        self._alarm: Alarm | None = None
        self.job: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.deliveries.open()
        for key in self._store.schedules:
            self._enqueue(key)
        self._wake()

    async def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self.job is not None:
            self.job.cancel()
            await asyncio.gather(self.job, return_exceptions=True)
        await self.deliveries.close()

    def changed(self, key: str) -> None:
        """A schedule was created or updated."""
        self._enqueue(key)
        self._wake()

    def _enqueue(self, key: str) -> None:
        schedule = self._store.schedules[key]
        if schedule["State"] == "ENABLED" and schedule["fire"] is not None:
            heapq.heappush(self._queue, (schedule["fire"], key))

    def _wake(self) -> None:
        """Run what is due, or set the alarm for the next run."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self.job is not None or not self._queue:
            return
        fire = self._queue[0][0]
        if fire > self._host.clock.now():
            self._alarm = self._host.clock.call_at(fire, self._wake)
        else:
            self.job = self._host.soon("schedules", self._run_due)

    async def _run_due(self) -> None:
        while self._queue and self._queue[0][0] <= self._host.clock.now():
            fire, key = heapq.heappop(self._queue)
            try:
                await self._run(key, fire)
            except StoreError:
                heapq.heappush(self._queue, (fire, key))
                raise
            except Exception as error:  # retry this one by itself, and run the others
                self._host.supervisor.start("schedules", partial(self._run_alone, key, fire), error)
        self.job = None
        self._wake()

    async def _run_alone(self, key: str, fire: int) -> None:
        await self._run(key, fire)
        self._wake()

    async def _run(self, key: str, fire: int) -> None:
        async with self._store.lock:
            schedule = self._store.schedules.get(key)
            if schedule is None or schedule["fire"] != fire or schedule["State"] != "ENABLED":
                return  # it was changed after it was enqueued
            accepted = self.deliveries.accept([self._delivery(schedule)])
            following = plan(schedule, max(schedule["due"], self._store.now()), has_run=True)
            if following["fire"] is None and schedule["ActionAfterCompletion"] == "DELETE":
                await self._store.schedules.delete(key, accepted.writes)
            else:
                await self._store.schedules.put(key, following, accepted.writes)
                self._enqueue(key)
            accepted.then()

    def _delivery(self, schedule: Document) -> Document:
        target = schedule["Target"]
        delivery = {
            "id": self._new_id(),
            "schedule": schedule["Arn"],
            "target": target,
            "time": iso_seconds(schedule["due"]),
        }
        return delivery | ({"retry": target["RetryPolicy"]} if "RetryPolicy" in target else {})

    def _payload(self, delivery: Document) -> str:
        """The target's Input with the context attributes replaced, or else the default event.
        https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
        """
        home, text = self._host.home, delivery["target"].get("Input")
        if text is None:
            return dumps(
                {
                    "version": "0",
                    "id": delivery["id"],
                    "detail-type": "Scheduled Event",
                    "source": "aws.scheduler",
                    "account": home.account,
                    "time": delivery["time"],
                    "region": home.region,
                    "resources": [delivery["schedule"]],
                    "detail": "{}",
                }
            )
        attributes = {
            "schedule-arn": delivery["schedule"],
            "scheduled-time": delivery["time"],
            "execution-id": delivery["id"],
            "attempt-number": str(delivery["attempts"] + 1),
        }
        for name, value in attributes.items():
            text = text.replace(f"<aws.scheduler.{name}>", value)
        return str(text)

    async def _deliver(self, delivery: Document) -> Transaction[Any] | None:
        return await targets.deliver(
            self._host, delivery["target"], self._payload(delivery), delivery["id"]
        )

    async def _give_up(self, delivery: Document, error: DeliveryError, limit: str) -> None:
        attributes = {"SCHEDULE_ARN": delivery["schedule"], "TARGET_ARN": delivery["target"]["Arn"]}
        with_payload = {**delivery, "payload": self._payload(delivery)}
        await targets.dead_letter(self._host, with_payload, error, limit, attributes)
