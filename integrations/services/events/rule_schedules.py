"""Runs rules with a schedule at their times."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from stepwell.integrations.services.events.publishing import ON, Publisher
from stepwell.integrations.services.events.store import BusStore, schedule_of

if TYPE_CHECKING:
    from stepwell.engine.clock import Alarm


class RuleSchedules:
    def __init__(self, store: BusStore, publisher: Publisher) -> None:
        self._store, self._publisher = store, publisher
        self._alarms: dict[str, Alarm] = {}  # rule's key -> alarm

    def open(self) -> None:
        for key in self._store.rules:
            self.plan(key)

    def close(self) -> None:
        for alarm in self._alarms.values():
            alarm.cancel()

    def plan(self, key: str) -> None:
        """Set the alarm of a rule's next run. Runs missed while the server was down are skipped, as
        on AWS.
        """
        alarm = self._alarms.pop(key, None)
        if alarm is not None:
            alarm.cancel()
        rule = self._store.rules.get(key)
        if rule is None or not rule.get("ScheduleExpression") or rule["State"] not in ON:
            return
        due = schedule_of(rule["ScheduleExpression"], rule["Since"]).next(self._store.now())
        if due is not None:
            run = partial(self._run, key, due)
            self._alarms[key] = self._store.host.clock.call_at(
                round(due * 1000), self._store.host.supervisor.guarded("rule_schedules", run)
            )

    def _run(self, key: str, due: float) -> None:
        rule = self._store.rules.get(key)
        if rule is not None and self._store.now() >= due:  # an alarm may come early
            event = self._publisher.envelope(
                "aws.events", "Scheduled Event", {}, self._store.new_id(), [rule["Arn"]], due
            )
            documents = [
                self._publisher.document(rule, key, target, event, event["time"], 0)
                for target in rule["Targets"]
            ]
            if documents:
                self._publisher.deliveries.commit_soon(self._publisher.deliveries.accept(documents))
        self.plan(key)
