"""EventBridge's buses and rules, and the way of an event: PutEvents -> rules that fit -> deliveries that are as durable as the answer.

    events/bus/NAME        events/rule/BUS/NAME (with its targets)        events/delivery/DUE/ID (see deliveries.py)

Buses and rules are in memory as well; an event that no rule wants leaves no trace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl import messages
from stepwell.asl.jsontext import JsonFault, dumps, loads
from stepwell.engine import paging
from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.engine.tasks import Done
from stepwell.integrations.local import targets
from stepwell.integrations.local.deliveries import Deliveries, Stored, Undelivered
from stepwell.integrations.local.documents import Document, Table
from stepwell.integrations.local.patterns import Index, Match, PatternFault, compile_pattern
from stepwell.integrations.local.schedules import Schedule, ScheduleFault, iso, parse_schedule
from stepwell.integrations.local.transforms import Rule, Transform, TransformFault, compile_transform

if TYPE_CHECKING:
    from stepwell.engine.clock import Alarm
    from stepwell.integrations.service import Host

Answer = dict[str, Any]
Writes = dict[str, bytes | None]
Then = Callable[[], None]

DEFAULT: Final = "default"
ON: Final = ("ENABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
_RULE_SHOWN: Final = ("Name", "Arn", "EventPattern", "State", "Description", "ScheduleExpression", "RoleArn", "ManagedBy", "EventBusName")
_BUS_SHOWN: Final = ("Name", "Arn", "Description", "Policy", "CreationTime", "LastModifiedTime", "KmsKeyIdentifier", "DeadLetterConfig")


class EventBus:
    """What all of EventBridge shares, and the operations on buses, rules, targets, tags and permissions."""

    def __init__(self, host: Host) -> None:
        self.host, self._new_id = host, uuids()
        self.buses, self.rules = Table("events/bus/"), Table("events/rule/")
        self.deliveries = Deliveries(host, "events/delivery/", self._deliver, self._give_up)
        self._lock = asyncio.Lock()  # held while a document is read and written
        self._indexes: dict[str, Index[str]] = {}  # of buses, built when an event comes
        self._transforms: dict[tuple[str, str], Transform] = {}  # (rule's key, target's id)
        self._alarms: dict[str, Alarm] = {}  # of rules with a schedule

    async def open(self) -> None:
        assert self.host.engine is not None
        self.records = self.host.engine.records
        await self.buses.open(self.records)
        await self.rules.open(self.records)
        await self.deliveries.open()
        for key in self.rules:
            self._plan(key)
        self.listen()

    async def close(self) -> None:
        self.host.on_status = None
        for alarm in self._alarms.values():
            alarm.cancel()
        await self.deliveries.close()

    # --- names ---------------------------------------------------------------------------------------------------------------

    def arn(self, kind: str) -> str:
        home = self.host.home
        return f"arn:{home.partition}:events:{home.region}:{home.account}:{kind}"

    def now(self) -> float:
        return self.host.clock.now() / 1000

    def bus_name(self, name_or_arn: str | None) -> str:
        """Of a bus that exists. Raises ApiError."""
        name = (name_or_arn or DEFAULT).rpartition("/")[2]
        if name != DEFAULT and name not in self.buses:
            raise ApiError("ResourceNotFoundException", messages.BUS_UNKNOWN.format(name=name))
        return name

    def _bus(self, name: str) -> Document:
        return self.buses.get(name) or {"Name": DEFAULT, "Arn": self.arn(f"event-bus/{DEFAULT}"), "Tags": {}}

    def _rule_arn(self, bus: str, name: str) -> str:
        return self.arn(f"rule/{name}" if bus == DEFAULT else f"rule/{bus}/{name}")

    def _rule(self, bus: str | None, name: str) -> tuple[str, Document]:
        """(key, rule). Raises ApiError."""
        key = f"{self.bus_name(bus)}/{name}"
        rule = self.rules.get(key)
        if rule is None:
            raise ApiError("ResourceNotFoundException", messages.RULE_UNKNOWN.format(name=name, bus=key.partition("/")[0]))
        return key, rule

    def page(
        self, operation: str, filters: Sequence[object], items: list[Any], size: int | None, next_token: str | None
    ) -> tuple[list[Any], Answer]:
        """(items of this page, {"NextToken"} if there are more) of what is listed in the order of its names."""
        question, most = [operation, *filters], paging.size(size, 100, self.host.limits)
        (begin,) = paging.read(question, self.host.clock.now(), next_token) or (0,)
        more = {"NextToken": paging.token(question, self.host.clock.now(), begin + most)} if len(items) > begin + most else {}
        return items[begin : begin + most], more

    # --- buses ---------------------------------------------------------------------------------------------------------------

    async def create_event_bus(self, name: str, tags: Sequence[Mapping[str, str]] = (), **given: Any) -> Answer:
        async with self._lock:
            if "/" in name or name == DEFAULT or name in self.buses:
                code = "ValidationException" if "/" in name else "ResourceAlreadyExistsException"
                text = messages.BUS_NAME if "/" in name else messages.BUS_EXISTS
                raise ApiError(code, text.format(name=name))
            self.check_room(len(self.buses), self.host.limits.buses)
            at = self.now()
            about = {"Description": given.get("description"), "KmsKeyIdentifier": given.get("kms_key_identifier")}
            about |= {"DeadLetterConfig": given.get("dead_letter_config"), "CreationTime": at, "LastModifiedTime": at}
            bus = {"Name": name, "Arn": self.arn(f"event-bus/{name}"), "Tags": as_tags(tags), **about}
            await self.buses.put(name, bus)
        return {"EventBusArn": bus["Arn"], **shown(bus, ("Description", "KmsKeyIdentifier", "DeadLetterConfig"))}

    async def update_event_bus(self, name: str = DEFAULT, **given: Any) -> Answer:
        async with self._lock:
            found = self._bus(self.bus_name(name))
            members = {"description": "Description", "kms_key_identifier": "KmsKeyIdentifier", "dead_letter_config": "DeadLetterConfig"}
            changed = {members[key]: value for key, value in given.items()} | {"LastModifiedTime": self.now()}
            await self.buses.put(found["Name"], found | changed)
        return shown(found | changed, ("Arn", "Name", "Description", "KmsKeyIdentifier", "DeadLetterConfig"))

    async def describe_event_bus(self, name: str = DEFAULT) -> Answer:
        return shown(self._bus(self.bus_name(name)), _BUS_SHOWN)

    async def list_event_buses(self, name_prefix: str = "", next_token: str | None = None, limit: int | None = None) -> Answer:
        found = [self._bus(DEFAULT)] if DEFAULT not in self.buses and DEFAULT.startswith(name_prefix) else []
        found = sorted([*found, *self.buses.sorted(name_prefix)], key=lambda bus: str(bus["Name"]))
        items, more = self.page("ListEventBuses", [name_prefix], found, limit, next_token)
        return {"EventBuses": [shown(each, _BUS_SHOWN[:6]) for each in items], **more}

    async def delete_event_bus(self, name: str) -> Answer:
        async with self._lock:
            name = name.rpartition("/")[2]
            if name == DEFAULT:
                raise ApiError("ValidationException", messages.BUS_DEFAULT)
            if self.rules.sorted(f"{name}/"):
                raise ApiError("ValidationException", messages.BUS_HAS_RULES)
            if name in self.buses:
                await self.buses.delete(name)
            self._indexes.pop(name, None)
        return {}

    async def put_permission(self, event_bus_name: str = DEFAULT, policy: str | None = None, **given: Any) -> Answer:
        """A whole policy, or one statement of it. Kept, and shown by DescribeEventBus."""
        async with self._lock:
            bus = self._bus(self.bus_name(event_bus_name))
            if policy is None:
                policy = dumps(self._with_statement(bus, given))
            elif not _is_object(policy):
                raise ApiError("ValidationException", messages.BUS_POLICY)
            await self.buses.put(bus["Name"], bus | {"Policy": policy})
        return {}

    def _with_statement(self, bus: Document, given: Mapping[str, Any]) -> Any:
        missing = next((name for name in ("statement_id", "action", "principal") if name not in given), None)
        if missing is not None:
            raise ApiError("ValidationException", messages.BUS_POLICY)
        held: Any = loads(bus.get("Policy") or '{"Version":"2012-10-17","Statement":[]}')
        account = f"arn:{self.host.home.partition}:iam::{given['principal']}:root"
        statement = {"Sid": given["statement_id"], "Effect": "Allow"}
        statement |= {
            "Principal": "*" if given["principal"] == "*" else {"AWS": account},
            "Action": given["action"],
            "Resource": bus["Arn"],
        }
        if "condition" in given:
            condition = given["condition"]
            statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
        others = [each for each in held["Statement"] if each.get("Sid") != given["statement_id"]]
        return {**held, "Statement": [*others, statement]}

    async def remove_permission(
        self, statement_id: str | None = None, remove_all_permissions: bool = False, event_bus_name: str = DEFAULT
    ) -> Answer:
        async with self._lock:
            bus = self._bus(self.bus_name(event_bus_name))
            held: Any = loads(bus.get("Policy") or '{"Statement":[]}')
            left = [] if remove_all_permissions else [each for each in held["Statement"] if each.get("Sid") != statement_id]
            if not remove_all_permissions and len(left) == len(held["Statement"]):
                raise ApiError("ResourceNotFoundException", messages.STATEMENT_UNKNOWN.format(id=statement_id))
            await self.buses.put(bus["Name"], bus | {"Policy": dumps({**held, "Statement": left}) if left else None})
        return {}

    # --- rules ---------------------------------------------------------------------------------------------------------------

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
                raise ApiError("LimitExceededException", messages.LIMIT_EXCEEDED)
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

    # --- tags ----------------------------------------------------------------------------------------------------------------

    def _tagged(self, arn: str) -> tuple[Table, str, Document]:
        kind, _, name = arn.rpartition(":")[2].partition("/")
        if kind == "event-bus" and (name == DEFAULT or name in self.buses):
            return self.buses, name, self._bus(name)
        key = name if "/" in name else f"{DEFAULT}/{name}"
        if kind == "rule" and key in self.rules:
            return self.rules, key, self.rules[key]
        raise ApiError("ResourceNotFoundException", messages.EVENTS_RESOURCE_UNKNOWN.format(arn=arn))

    async def list_tags_for_resource(self, resource_arn: str) -> Answer:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._tagged(resource_arn)[2]["Tags"].items()]}

    async def tag_resource(self, resource_arn: str, tags: Sequence[Mapping[str, str]]) -> Answer:
        async with self._lock:
            table, name, held = self._tagged(resource_arn)
            tagged = held["Tags"] | as_tags(tags)
            self.check_room(len(tagged) - 1, self.host.limits.tags)
            await table.put(name, held | {"Tags": tagged})
        return {}

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> Answer:
        async with self._lock:
            table, name, held = self._tagged(resource_arn)
            await table.put(name, held | {"Tags": {key: value for key, value in held["Tags"].items() if key not in tag_keys}})
        return {}

    def check_room(self, count: int, most: int) -> None:
        if count >= most:
            raise ApiError("LimitExceededException", messages.LIMIT_EXCEEDED)

    # --- events --------------------------------------------------------------------------------------------------------------

    async def test_event_pattern(self, event_pattern: str, event: str) -> Answer:
        _, matches = self.pattern(event_pattern)
        try:
            given = loads(event)
        except JsonFault as fault:
            raise ApiError("ValidationException", messages.EVENT_NOT_JSON.format(text=fault.message)) from None
        required = ("id", "account", "source", "time", "region", "resources", "detail-type")
        missing = next((name for name in required if not isinstance(given, dict) or name not in given), None)
        if missing is not None:
            raise ApiError("ValidationException", messages.EVENT_NOT_JSON.format(text=messages.REQUIRED_FIELD.format(field=missing)))
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
        if not _is_object(entry["Detail"]):
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
            raise Undelivered("NO_RESOURCE", messages.TARGET_UNKNOWN.format(arn=bus_arn), False)
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
        await dead_letter(self.host, document, fault, limit, {"RULE_ARN": document["rule"], "TARGET_ARN": document["target"]["Arn"]})

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
            self._alarms[key] = self.host.clock.call_at(round(due * 1000), lambda: self._due(key, due))

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


async def dead_letter(host: Host, document: Document, fault: Undelivered, limit: str, about: Mapping[str, str]) -> None:
    """Put what could not be delivered into the dead-letter queue of its target, if it has one."""
    arn = (document["target"].get("DeadLetterConfig") or {}).get("Arn")
    if arn is None:
        return
    attributes = {**about, "ERROR_CODE": fault.code, "ERROR_MESSAGE": fault.message[:1024], "EXHAUSTED_RETRY_CONDITION": limit}
    attributes["RETRY_ATTEMPTS"] = str(document["attempts"] - 1)
    await targets.to_dead_letters(host, arn, document["payload"], attributes, document["id"])


def shown(document: Mapping[str, Any], names: Iterable[str]) -> Answer:
    """Those members of a document that it has."""
    return {name: document[name] for name in names if document.get(name) is not None}


def as_tags(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in tags}


def _is_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except JsonFault:
        return False


def _size(entry: Document) -> int:
    """Bytes of an entry, as EventBridge counts them."""
    texts = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail"), *(entry.get("Resources") or [])]
    return (14 if "Time" in entry else 0) + sum(len(text.encode()) for text in texts if text)


def _schedule(text: str, since: float) -> Schedule:
    try:
        if text.startswith("at("):
            raise ScheduleFault(messages.BAD_SCHEDULE)
        return parse_schedule(text, start=since)
    except ScheduleFault:
        raise ApiError("ValidationException", messages.BAD_SCHEDULE) from None


def _fault_of(target: Document) -> str | None:
    """What is wrong with a target."""
    parts = target["Arn"].split(":", 5)
    if len(parts) < 6 or parts[0] != "arn":
        return messages.TARGET_ARN.format(arn=target["Arn"])
    try:
        compile_transform(target)
    except TransformFault as fault:
        return str(fault)
    return None
