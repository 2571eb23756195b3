"""EventBridge's rules, and the way of an event: PutEvents -> rules that fit -> deliveries that are as durable as the answer.

    events/rule/BUS/NAME (with its targets)        events/delivery/DUE/ID (see deliveries.py)

Buses and rules are in memory as well; an event that no rule wants leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.json_text import JsonFault, loads
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Done
from stepwell.integrations.services.common import delivery_log, targets
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer, as_tags, shown
from stepwell.integrations.services.common.deliveries import Deliveries, Stored, Undelivered
from stepwell.integrations.services.common.event_patterns import Index, Match, PatternFault, compile_pattern
from stepwell.integrations.services.common.schedule_expressions import Schedule, ScheduleFault, iso, parse_schedule
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.events import messages
from stepwell.integrations.services.events.buses import DEFAULT, Buses, is_object
from stepwell.integrations.services.events.input_transformer import Rule, Transform, TransformFault, compile_transform

if TYPE_CHECKING:
    from stepwell.engine.clock import Alarm
    from stepwell.integrations.host import Host

Writes = dict[str, bytes | None]
Then = Callable[[], None]

ON: Final = ("ENABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
_RULE_SHOWN: Final = ("Name", "Arn", "EventPattern", "State", "Description", "ScheduleExpression", "RoleArn", "ManagedBy", "EventBusName")


class EventBus(Buses):
    """The operations on rules, targets and events."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.deliveries = Deliveries(
            host, "rule_deliveries", "events/delivery/", *delivery_log.watched(host, "rule", self._deliver, self._give_up)
        )
        self._indexes: dict[str, Index[str]] = {}  # of buses, built when an event comes
        self._transforms: dict[tuple[str, str], Transform] = {}  # (rule's key, target's id)
        self._alarms: dict[str, Alarm] = {}  # of rules with a schedule

    async def open(self) -> None:
        await super().open()
        await self.deliveries.open()
        for key in self.rules:
            self._plan(key)
        self.listen()

    async def close(self) -> None:
        self.host.on_status = None
        for alarm in self._alarms.values():
            alarm.cancel()
        await self.deliveries.close()

    # --- rules ---------------------------------------------------------------------------------------------------------------

    def _rule_arn(self, bus: str, name: str) -> str:
        return self.arn(f"rule/{name}" if bus == DEFAULT else f"rule/{bus}/{name}")

    def _rule(self, bus: str | None, name: str) -> tuple[str, Document]:
        """(key, rule). Raises ApiError."""
        key = f"{self.bus_name(bus)}/{name}"
        rule = self.rules.get(key)
        if rule is None:
            raise ApiError("ResourceNotFoundException", messages.RULE_UNKNOWN.format(name=name, bus=key.partition("/")[0]))
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
        """Replaces a rule of that name but for its targets and tags."""
        bus = self.bus_name(event_bus_name)
        if not (schedule_expression or event_pattern):
            raise ApiError("ValidationException", messages.RULE_EMPTY)
        if schedule_expression and bus != DEFAULT:
            raise ApiError("ValidationException", messages.SCHEDULE_ON_DEFAULT)
        if event_pattern:
            self.pattern(event_pattern)
        if schedule_expression:
            _schedule(schedule_expression, self.now())
        key = f"{bus}/{name}"
        async with self._lock:
            held = self.rules.get(key)
            if held is None:
                self.check_room(len(self.rules.sorted(f"{bus}/")), self.host.limits.rules)
            rule: Document = {
                "Name": name,
                "Arn": self._rule_arn(bus, name),
                "EventPattern": event_pattern,
                "State": state,
                "EventBusName": bus,
            }
            rule |= {"ScheduleExpression": schedule_expression, "Description": description, "RoleArn": role_arn}
            rule |= {"Targets": held["Targets"] if held else [], "Tags": held["Tags"] if held else as_tags(tags)}
            rule["Since"] = self.now()  # a rate counts from here
            await self.rules.put(key, rule)
            self._changed(key)
        return {"RuleArn": rule["Arn"]}

    def check_pattern(self, held: Document) -> None:
        """Of a stored rule or archive. Raises ApiError."""
        if held.get("EventPattern"):
            self.pattern(held["EventPattern"])

    def check_rule(self, rule: Document) -> None:
        self.check_pattern(rule)
        if rule.get("ScheduleExpression"):
            _schedule(rule["ScheduleExpression"], rule["Since"])

    def pattern(self, text: str) -> tuple[Mapping[str, Any], Match]:
        """Raises ApiError InvalidEventPatternException."""
        try:
            pattern: Any = loads(text)
            return pattern, compile_pattern(pattern, self.host.limits)
        except (JsonFault, PatternFault) as fault:
            raise ApiError("InvalidEventPatternException", messages.INVALID_PATTERN.format(reason=fault)) from None

    async def describe_rule(self, name: str, event_bus_name: str | None = None) -> Answer:
        return shown(self._rule(event_bus_name, name)[1], _RULE_SHOWN)

    async def list_rules(
        self, name_prefix: str = "", event_bus_name: str | None = None, next_token: str | None = None, limit: int | None = None
    ) -> Answer:
        bus = self.bus_name(event_bus_name)
        items, more = self.page("ListRules", [bus, name_prefix], self.rules.sorted(f"{bus}/{name_prefix}"), limit, next_token)
        return {"Rules": [shown(each, _RULE_SHOWN) for each in items], **more}

    async def enable_rule(self, name: str, event_bus_name: str | None = None) -> Answer:
        return await self._switch(name, event_bus_name, ON[0])

    async def disable_rule(self, name: str, event_bus_name: str | None = None) -> Answer:
        return await self._switch(name, event_bus_name, "DISABLED")

    async def _switch(self, name: str, bus: str | None, state: str) -> Answer:
        async with self._lock:
            key, rule = self._rule(bus, name)
            await self.rules.put(key, rule | {"State": state})
            self._changed(key)
        return {}

    async def delete_rule(self, name: str, event_bus_name: str | None = None, force: bool = False) -> Answer:
        async with self._lock:
            key = f"{self.bus_name(event_bus_name)}/{name}"
            rule = self.rules.get(key)
            if rule is not None and rule["Targets"]:
                raise ApiError("ValidationException", messages.RULE_HAS_TARGETS)
            if rule is not None:
                await self.rules.delete(key)
                self._changed(key)
        return {}

    def _changed(self, key: str) -> None:
        self._indexes.pop(key.partition("/")[0], None)
        for known in [known for known in self._transforms if known[0] == key]:
            del self._transforms[known]
        self._plan(key)
        self.listen()

    # --- targets -------------------------------------------------------------------------------------------------------------

    async def put_targets(self, rule: str, targets: Sequence[Document], event_bus_name: str | None = None) -> Answer:
        async with self._lock:
            key, held = self._rule(event_bus_name, rule)
            by_id = {each["Id"]: each for each in held["Targets"]}
            failed = []
            for each in targets:
                fault = _fault_of(each)
                if fault is not None:
                    failed.append({"TargetId": each["Id"], "ErrorCode": "ValidationException", "ErrorMessage": fault})
                else:
                    by_id[each["Id"]] = each
            if len(by_id) > self.host.limits.rule_targets:
                raise ApiError("LimitExceededException", common_messages.LIMIT_EXCEEDED)
            await self.rules.put(key, held | {"Targets": list(by_id.values())})
            self._changed(key)
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    async def remove_targets(self, rule: str, ids: Sequence[str], event_bus_name: str | None = None, force: bool = False) -> Answer:
        async with self._lock:
            key, held = self._rule(event_bus_name, rule)
            known = {each["Id"] for each in held["Targets"]}
            await self.rules.put(key, held | {"Targets": [each for each in held["Targets"] if each["Id"] not in ids]})
            self._changed(key)
        unknown = [each for each in ids if each not in known]
        text = messages.TARGET_ID_UNKNOWN
        failed = [{"TargetId": id, "ErrorCode": "ResourceNotFoundException", "ErrorMessage": text.format(id=id)} for id in unknown]
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    async def list_targets_by_rule(
        self, rule: str, event_bus_name: str | None = None, next_token: str | None = None, limit: int | None = None
    ) -> Answer:
        key, held = self._rule(event_bus_name, rule)
        items, more = self.page("ListTargetsByRule", [key], held["Targets"], limit, next_token)
        return {"Targets": items, **more}

    async def list_rule_names_by_target(
        self, target_arn: str, event_bus_name: str | None = None, next_token: str | None = None, limit: int | None = None
    ) -> Answer:
        bus = self.bus_name(event_bus_name)
        found = [each["Name"] for each in self.rules.sorted(f"{bus}/") if any(target["Arn"] == target_arn for target in each["Targets"])]
        items, more = self.page("ListRuleNamesByTarget", [bus, target_arn], found, limit, next_token)
        return {"RuleNames": items, **more}

    async def delete_event_bus(self, name: str) -> Answer:
        answer = await super().delete_event_bus(name)
        self._indexes.pop(name.rpartition("/")[2], None)
        return answer

    # --- events --------------------------------------------------------------------------------------------------------------

    async def test_event_pattern(self, event_pattern: str, event: str) -> Answer:
        _, matches = self.pattern(event_pattern)
        try:
            given = loads(event)
        except JsonFault as fault:
            raise ApiError("ValidationException", messages.EVENT_NOT_JSON.format(text=fault.message)) from None
        required = ("id", "account", "source", "time", "region", "detail-type")
        missing = next((name for name in required if not isinstance(given, dict) or name not in given), None)
        if missing is not None:
            raise ApiError("ValidationException", messages.EVENT_NOT_JSON.format(text=asl_messages.REQUIRED_FIELD.format(field=missing)))
        return {"Result": matches(given)}

    async def put_events(self, entries: Sequence[Document], endpoint_id: str | None = None) -> Answer:
        answer, writes, then = self.prepare(entries, [self._new_id() for _ in entries])
        await self.store(writes, then)
        return answer

    def prepare(self, entries: Sequence[Document], ids: Sequence[str]) -> tuple[Answer, Writes, Then]:
        """(PutEvents' answer, what makes it true once it is stored, what is to be called then). Raises ApiError."""
        sizes = sum(_size(entry) for entry in entries)
        if sizes > self.host.limits.event_bytes:
            raise ApiError("ValidationException", messages.EVENTS_TOO_LARGE)
        answers: list[Answer] = []
        accepted: dict[str, list[Document]] = {}
        for entry, id in zip(entries, ids):
            fault = self._refusal(entry)
            if fault is not None:
                answers.append({"ErrorCode": fault[0], "ErrorMessage": fault[1]})
                continue
            answers.append({"EventId": id})
            accepted.setdefault(self.bus_name(entry.get("EventBusName")), []).append(self._event(entry, id))
        writes, thens = Writes(), list[Then]()
        for bus, events in accepted.items():
            more, then = self.publish(bus, events)
            writes |= more
            thens.append(then)
        failed = sum("ErrorCode" in each for each in answers)
        return {"FailedEntryCount": failed, "Entries": answers}, writes, partial(_all, thens)

    def _refusal(self, entry: Document) -> tuple[str, str] | None:
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                return "InvalidArgument", messages.ENTRY_REQUIRED.format(name=name)
        if entry["Source"].startswith("aws."):
            return "NotAuthorizedForSourceException", messages.ENTRY_SOURCE
        if not is_object(entry["Detail"]):
            return "MalformedDetail", messages.ENTRY_DETAIL
        try:
            self.bus_name(entry.get("EventBusName"))
        except ApiError as error:
            return error.code, error.message
        return None

    def _event(self, entry: Document, id: str) -> Document:
        return self.envelope(
            entry["Source"], entry["DetailType"], loads(entry["Detail"]), id, entry.get("Resources") or [], entry.get("Time")
        )

    def envelope(
        self, source: str, detail_type: str, detail: Any, id: str, resources: Sequence[str] = (), time: float | None = None
    ) -> Document:
        home = self.host.home
        return {
            "version": "0",
            "id": id,
            "detail-type": detail_type,
            "source": source,
            "account": home.account,
            "time": iso(self.now() if time is None else time),
            "region": home.region,
            "resources": list(resources),
            "detail": detail,
        }

    async def store(self, writes: Writes, then: Then) -> None:
        """Durable when it returns; the deliveries begin."""
        if writes:
            await self.records.write(writes)
        then()

    def publish(self, bus: str, events: Iterable[Document], rules: Sequence[str] | None = None, hops: int = 0) -> tuple[Writes, Then]:
        """What is to be stored for events that a bus gets, and what is to be called then. rules: ARNs of those that may see them."""
        documents = []
        index = self._indexes[bus] if bus in self._indexes else self._index(bus)
        ingested = iso(self.now())
        for event in events:
            for key in index.find(event):
                rule = self.rules[key]
                if rules is None or rule["Arn"] in rules:
                    documents += [self._document(rule, key, target, event, ingested, hops) for target in rule["Targets"]]
        return self.deliveries.accept(documents)

    def _index(self, bus: str) -> Index[str]:
        """Of the rules that wait for events: those that are on, and have a pattern and a target."""
        found = []
        for rule in self.rules.sorted(f"{bus}/"):
            if rule["State"] in ON and rule.get("EventPattern") and rule["Targets"]:
                pattern, matches = self.pattern(rule["EventPattern"])
                found.append((f"{bus}/{rule['Name']}", pattern, matches))
        self._indexes[bus] = index = Index(found)
        return index

    def _document(self, rule: Document, key: str, target: Document, event: Document, ingested: str, hops: int) -> Document:
        transform = self._transforms.get((key, target["Id"]))
        if transform is None:
            transform = self._transforms[key, target["Id"]] = compile_transform(target)
        payload = transform(event, Rule(rule["Arn"], rule["Name"]), ingested)
        origin = f"{event['id']}/{event['replay-name']}" if "replay-name" in event else event["id"]  # a replay is delivered again
        id = f"{origin}/{rule['Name']}/{target['Id']}"
        document = {"id": id, "rule": rule["Arn"], "target": target, "payload": payload, "hops": hops}
        return document | ({"retry": target["RetryPolicy"]} if "RetryPolicy" in target else {})

    def listens(self) -> bool:
        """Whether anybody may want to know of status changes: making the events of all executions is not for nothing."""
        index = self._indexes[DEFAULT] if DEFAULT in self._indexes else self._index(DEFAULT)
        return len(index) > 0

    def listen(self) -> None:
        """Status changes of Step Functions come to the default bus, if something there may want them."""
        self.host.on_status = self._on_status if self.listens() else None

    def _on_status(self, events: list[Document]) -> Done | None:
        writes, then = self.publish(DEFAULT, events)
        return Done(None, writes, then) if writes else None

    async def _forward(self, bus_arn: str, event: Any, hops: int) -> None:
        """An event that a rule sends on to a bus. Raises Undelivered."""
        if not isinstance(event, dict):
            raise Undelivered("SDK_CLIENT_ERROR", messages.FORWARDED_NO_EVENT, False)
        home = bus_arn.split(":")
        if (home[3], home[4]) != (self.host.home.region, self.host.home.account):
            raise Undelivered("NO_RESOURCE", common_messages.TARGET_UNKNOWN.format(arn=bus_arn), False)
        if hops > self.host.limits.bus_hops:
            raise Undelivered("SDK_CLIENT_ERROR", messages.TOO_MANY_HOPS.format(limit=self.host.limits.bus_hops), False)
        try:
            writes, then = self.publish(self.bus_name(bus_arn), [event], hops=hops)
        except ApiError as error:
            raise Undelivered("NO_RESOURCE", error.message, False) from None
        await self.store(writes, then)

    async def _deliver(self, document: Document) -> Stored | None:
        target, payload = document["target"], document["payload"]
        if ":event-bus/" in target["Arn"] and not target.get("EventBridgeParameters"):
            await self._forward(target["Arn"], loads(payload), document["hops"] + 1)
            return None
        return await targets.deliver(self.host, target, payload, document["id"])

    async def _give_up(self, document: Document, fault: Undelivered, limit: str) -> None:
        await targets.dead_letter(
            self.host, document, fault, limit, {"RULE_ARN": document["rule"], "TARGET_ARN": document["target"]["Arn"]}
        )

    # --- schedules -----------------------------------------------------------------------------------------------------------

    def _plan(self, key: str) -> None:
        """Set the alarm of a rule with a schedule. What was missed while nobody ran is not made up for, as with the service."""
        alarm = self._alarms.pop(key, None)
        if alarm is not None:
            alarm.cancel()
        rule = self.rules.get(key)
        if rule is None or not rule.get("ScheduleExpression") or rule["State"] not in ON:
            return
        due = _schedule(rule["ScheduleExpression"], rule["Since"]).next(self.now())
        if due is not None:
            ring = partial(self._due, key, due)
            self._alarms[key] = self.host.clock.call_at(round(due * 1000), self.host.supervisor.guarded("rule_schedules", ring))

    def _due(self, key: str, due: float) -> None:
        rule = self.rules.get(key)
        if rule is not None and self.now() >= due:  # else the alarm came early
            event = self.envelope("aws.events", "Scheduled Event", {}, self._new_id(), [rule["Arn"]], due)
            documents = [self._document(rule, key, target, event, event["time"], 0) for target in rule["Targets"]]
            if documents:
                self.deliveries.store_soon(*self.deliveries.accept(documents))
        self._plan(key)


def _all(calls: Iterable[Then]) -> None:
    for each in calls:
        each()


def _size(entry: Document) -> int:
    """Bytes of an entry, as EventBridge counts them."""
    texts = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail"), *(entry.get("Resources") or [])]
    return (14 if "Time" in entry else 0) + sum(len(text.encode()) for text in texts if text)


def _schedule(text: str, since: float) -> Schedule:
    try:
        if text.startswith("at("):
            raise ScheduleFault(common_messages.BAD_SCHEDULE)
        return parse_schedule(text, start=since)
    except ScheduleFault:
        raise ApiError("ValidationException", common_messages.BAD_SCHEDULE) from None


def _fault_of(target: Document) -> str | None:
    """What is wrong with a target."""
    parts = target["Arn"].split(":", 5)
    if len(parts) < 6 or parts[0] != "arn":
        return common_messages.TARGET_ARN.format(arn=target["Arn"])
    try:
        compile_transform(target)
    except TransformFault as fault:
        return str(fault)
    return None
