"""The operations on rules and their targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer, as_tags, shown
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.events import messages
from stepwell.integrations.services.events.input_transformer import (
    TransformError,
    compile_transform,
)
from stepwell.integrations.services.events.publishing import ON, Publisher
from stepwell.integrations.services.events.rule_schedules import RuleSchedules
from stepwell.integrations.services.events.store import DEFAULT, BusStore, schedule_of

_RULE_SHOWN: Final = (
    "Name",
    "Arn",
    "EventPattern",
    "State",
    "Description",
    "ScheduleExpression",
    "RoleArn",
    "ManagedBy",
    "EventBusName",
)


class Rules:
    def __init__(self, store: BusStore, publisher: Publisher, schedules: RuleSchedules) -> None:
        self._store, self._publisher, self._schedules = store, publisher, schedules

    def _changed(self, key: str) -> None:
        self._publisher.rule_changed(key)
        self._schedules.plan(key)

    def _rule_arn(self, bus: str, name: str) -> str:
        return self._store.arn(f"rule/{name}" if bus == DEFAULT else f"rule/{bus}/{name}")

    def _rule(self, bus: str | None, name: str) -> tuple[str, Document]:
        """(key, rule). Raises ApiError."""
        key = f"{self._store.bus_name(bus)}/{name}"
        rule = self._store.rules.get(key)
        if rule is None:
            raise ApiError(
                "ResourceNotFoundException",
                messages.RULE_UNKNOWN.format(name=name, bus=key.partition("/")[0]),
            )
        return key, rule

    async def put_rule(
        self,
        name: str,
        schedule_expression: str | None = None,
        event_pattern: str | None = None,
        state: str = ON[0],
        description: str | None = None,
        role_arn: str | None = None,
        tags: Sequence[Mapping[str, str]] = (),
        event_bus_name: str | None = None,
    ) -> Answer:
        """Replaces a rule of that name, except its targets and tags."""
        bus = self._store.bus_name(event_bus_name)
        if not (schedule_expression or event_pattern):
            raise ApiError("ValidationException", messages.RULE_EMPTY)
        if schedule_expression and bus != DEFAULT:
            raise ApiError("ValidationException", messages.SCHEDULE_ON_DEFAULT)
        if event_pattern:
            self._store.pattern(event_pattern)
        if schedule_expression:
            schedule_of(schedule_expression, self._store.now())
        key = f"{bus}/{name}"
        async with self._store.lock:
            before = self._store.rules.get(key)
            if before is None:
                self._store.check_room(
                    len(self._store.rules.sorted(f"{bus}/")), self._store.host.limits.rules
                )
            rule: Document = {
                "Name": name,
                "Arn": self._rule_arn(bus, name),
                "EventPattern": event_pattern,
                "State": state,
                "EventBusName": bus,
                "ScheduleExpression": schedule_expression,
                "Description": description,
                "RoleArn": role_arn,
                "Targets": before["Targets"] if before else [],
                "Tags": before["Tags"] if before else as_tags(tags),
                "Since": self._store.now(),  # where the periods of a rate begin
            }
            await self._store.rules.put(key, rule)
            self._changed(key)
        await self._store.listening()
        return {"RuleArn": rule["Arn"]}

    async def describe_rule(self, name: str, event_bus_name: str | None = None) -> Answer:
        return shown(self._rule(event_bus_name, name)[1], _RULE_SHOWN)

    async def list_rules(
        self,
        name_prefix: str = "",
        event_bus_name: str | None = None,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> Answer:
        bus = self._store.bus_name(event_bus_name)
        items, more = self._store.page(
            "ListRules",
            [bus, name_prefix],
            self._store.rules.sorted(f"{bus}/{name_prefix}"),
            limit,
            next_token,
        )
        return {"Rules": [shown(each, _RULE_SHOWN) for each in items], **more}

    async def enable_rule(self, name: str, event_bus_name: str | None = None) -> Answer:
        return await self._set_state(name, event_bus_name, ON[0])

    async def disable_rule(self, name: str, event_bus_name: str | None = None) -> Answer:
        return await self._set_state(name, event_bus_name, "DISABLED")

    async def _set_state(self, name: str, bus: str | None, state: str) -> Answer:
        async with self._store.lock:
            key, rule = self._rule(bus, name)
            await self._store.rules.put(key, rule | {"State": state})
            self._changed(key)
        await self._store.listening()
        return {}

    async def delete_rule(
        self, name: str, event_bus_name: str | None = None, force: bool = False
    ) -> Answer:
        async with self._store.lock:
            key = f"{self._store.bus_name(event_bus_name)}/{name}"
            rule = self._store.rules.get(key)
            if rule is not None and rule["Targets"]:
                raise ApiError("ValidationException", messages.RULE_HAS_TARGETS)
            if rule is not None:
                await self._store.rules.delete(key)
                self._changed(key)
        return {}

    async def put_targets(
        self, rule: str, targets: Sequence[Document], event_bus_name: str | None = None
    ) -> Answer:
        async with self._store.lock:
            key, document = self._rule(event_bus_name, rule)
            by_id = {each["Id"]: each for each in document["Targets"]}
            failed = []
            for each in targets:
                error = _target_error(each)
                if error is None:
                    by_id[each["Id"]] = each
                else:
                    failed.append(_failed(each["Id"], "ValidationException", error))
            if len(by_id) > self._store.host.limits.rule_targets:
                raise ApiError("LimitExceededException", common_messages.LIMIT_EXCEEDED)
            await self._store.rules.put(key, document | {"Targets": list(by_id.values())})
            self._changed(key)
        await self._store.listening()
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    async def remove_targets(
        self, rule: str, ids: Sequence[str], event_bus_name: str | None = None, force: bool = False
    ) -> Answer:
        async with self._store.lock:
            key, document = self._rule(event_bus_name, rule)
            known = {each["Id"] for each in document["Targets"]}
            left = [each for each in document["Targets"] if each["Id"] not in ids]
            await self._store.rules.put(key, document | {"Targets": left})
            self._changed(key)
        failed = [
            _failed(id, "ResourceNotFoundException", messages.TARGET_ID_UNKNOWN.format(id=id))
            for id in ids
            if id not in known
        ]
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    async def list_targets_by_rule(
        self,
        rule: str,
        event_bus_name: str | None = None,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> Answer:
        key, document = self._rule(event_bus_name, rule)
        items, more = self._store.page(
            "ListTargetsByRule", [key], document["Targets"], limit, next_token
        )
        return {"Targets": items, **more}

    async def list_rule_names_by_target(
        self,
        target_arn: str,
        event_bus_name: str | None = None,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> Answer:
        bus = self._store.bus_name(event_bus_name)
        names = [
            each["Name"]
            for each in self._store.rules.sorted(f"{bus}/")
            if any(target["Arn"] == target_arn for target in each["Targets"])
        ]
        items, more = self._store.page(
            "ListRuleNamesByTarget", [bus, target_arn], names, limit, next_token
        )
        return {"RuleNames": items, **more}


def _failed(id: str, code: str, text: str) -> Document:
    return {"TargetId": id, "ErrorCode": code, "ErrorMessage": text}


def _target_error(target: Document) -> str | None:
    """Why a target is rejected."""
    parts = target["Arn"].split(":", 5)
    if len(parts) < 6 or parts[0] != "arn":
        return common_messages.TARGET_ARN.format(arn=target["Arn"])
    try:
        compile_transform(target)
    except TransformError as error:
        return str(error)
    return None
