"""EventBridge's buses, their policies and tags, and what all of EventBridge shares.

events/bus/NAME        events/rule/BUS/NAME (see eventbus.py)
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.json_text import JsonFault, dumps, loads
from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.engine.operations import paging
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer, as_tags, shown
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.events import messages

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

DEFAULT: Final = "default"
_SHOWN: Final = ("Name", "Arn", "Description", "Policy", "CreationTime", "LastModifiedTime", "KmsKeyIdentifier", "DeadLetterConfig")


class Buses:
    """Tables, names and pages; the operations on buses, permissions and tags."""

    def __init__(self, host: Host) -> None:
        self.host, self._new_id = host, uuids()
        self.buses, self.rules = Table("events/bus/"), Table("events/rule/")
        self._lock = asyncio.Lock()  # held while a document is read and written

    async def open(self) -> None:
        assert self.host.engine is not None
        self.records = self.host.engine.records
        await self.buses.open(self.records)
        await self.rules.open(self.records, self.check_rule)

    def check_rule(self, rule: Document) -> None:
        """Raises ApiError for a stored rule that cannot be used."""

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

    def page(
        self, operation: str, filters: Sequence[object], items: list[Any], size: int | None, next_token: str | None
    ) -> tuple[list[Any], Answer]:
        """(items of this page, {"NextToken"} if there are more) of what is listed in the order of its names."""
        question, most = [operation, *filters], paging.size(size, 100, self.host.limits)
        (begin,) = self.host.pages.read(question, next_token) or (0,)
        more = {"NextToken": self.host.pages.token(question, begin + most)} if len(items) > begin + most else {}
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
        return shown(self._bus(self.bus_name(name)), _SHOWN)

    async def list_event_buses(self, name_prefix: str = "", next_token: str | None = None, limit: int | None = None) -> Answer:
        found = [self._bus(DEFAULT)] if DEFAULT not in self.buses and DEFAULT.startswith(name_prefix) else []
        found = sorted([*found, *self.buses.sorted(name_prefix)], key=lambda bus: str(bus["Name"]))
        items, more = self.page("ListEventBuses", [name_prefix], found, limit, next_token)
        return {"EventBuses": [shown(each, _SHOWN[:6]) for each in items], **more}

    async def delete_event_bus(self, name: str) -> Answer:
        async with self._lock:
            name = name.rpartition("/")[2]
            if name == DEFAULT:
                raise ApiError("ValidationException", messages.BUS_DEFAULT)
            if self.rules.sorted(f"{name}/"):
                raise ApiError("ValidationException", messages.BUS_HAS_RULES)
            if name in self.buses:
                await self.buses.delete(name)
        return {}

    async def put_permission(self, event_bus_name: str = DEFAULT, policy: str | None = None, **given: Any) -> Answer:
        """A whole policy, or one statement of it. Kept, and shown by DescribeEventBus."""
        async with self._lock:
            bus = self._bus(self.bus_name(event_bus_name))
            if policy is None:
                policy = dumps(self._with_statement(bus, given))
            elif not is_object(policy):
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

    # --- tags ----------------------------------------------------------------------------------------------------------------

    def _tagged(self, arn: str) -> tuple[Table, str, Document]:
        kind, _, name = arn.rpartition(":")[2].partition("/")
        if kind == "event-bus" and (name == DEFAULT or name in self.buses):
            return self.buses, name, self._bus(name)
        key = name if "/" in name else f"{DEFAULT}/{name}"
        if kind == "rule" and key in self.rules:
            return self.rules, key, self.rules[key]
        raise ApiError("ResourceNotFoundException", common_messages.EVENTS_RESOURCE_UNKNOWN.format(arn=arn))

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
            raise ApiError("LimitExceededException", common_messages.LIMIT_EXCEEDED)


def is_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except JsonFault:
        return False
