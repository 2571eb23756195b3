"""The operations on buses, their permissions, and the tags of buses and rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stepwell.asl.json_text import dumps, loads
from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer, as_tags, shown, tag_list
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.events import messages
from stepwell.integrations.services.events.publishing import Publisher
from stepwell.integrations.services.events.store import DEFAULT, BusStore, is_object

_SHOWN: Final = (
    "Name",
    "Arn",
    "Description",
    "Policy",
    "CreationTime",
    "LastModifiedTime",
    "KmsKeyIdentifier",
    "DeadLetterConfig",
)


class Buses:
    def __init__(self, store: BusStore, publisher: Publisher) -> None:
        self._store, self._publisher = store, publisher

    async def create_event_bus(
        self, /, name: str, tags: Sequence[Mapping[str, str]] = (), **parameters: Any
    ) -> Answer:
        async with self._store.lock:
            if "/" in name or name == DEFAULT or name in self._store.buses:
                code = "ValidationException" if "/" in name else "ResourceAlreadyExistsException"
                text = messages.BUS_NAME if "/" in name else messages.BUS_EXISTS
                raise ApiError(code, text.format(name=name))
            self._store.check_room(len(self._store.buses), self._store.host.limits.buses)
            at = self._store.now()
            bus = {
                "Name": name,
                "Arn": self._store.arn(f"event-bus/{name}"),
                "Tags": as_tags(tags),
                "Description": parameters.get("description"),
                "KmsKeyIdentifier": parameters.get("kms_key_identifier"),
                "DeadLetterConfig": parameters.get("dead_letter_config"),
                "CreationTime": at,
                "LastModifiedTime": at,
            }
            await self._store.buses.put(name, bus)
        return {
            "EventBusArn": bus["Arn"],
            **shown(bus, ("Description", "KmsKeyIdentifier", "DeadLetterConfig")),
        }

    async def update_event_bus(self, /, name: str = DEFAULT, **parameters: Any) -> Answer:
        async with self._store.lock:
            members = {
                "description": "Description",
                "kms_key_identifier": "KmsKeyIdentifier",
                "dead_letter_config": "DeadLetterConfig",
            }
            bus = {
                **self._store.bus(self._store.bus_name(name)),
                **{members[key]: value for key, value in parameters.items()},
                "LastModifiedTime": self._store.now(),
            }
            await self._store.buses.put(bus["Name"], bus)
        return shown(bus, ("Arn", "Name", "Description", "KmsKeyIdentifier", "DeadLetterConfig"))

    async def describe_event_bus(self, name: str = DEFAULT) -> Answer:
        return shown(self._store.bus(self._store.bus_name(name)), _SHOWN)

    async def list_event_buses(
        self, name_prefix: str = "", next_token: str | None = None, limit: int | None = None
    ) -> Answer:
        buses = self._store.buses.sorted(name_prefix)
        if DEFAULT not in self._store.buses and DEFAULT.startswith(name_prefix):
            buses.append(self._store.bus(DEFAULT))
        buses.sort(key=lambda bus: str(bus["Name"]))
        items, more = self._store.page("ListEventBuses", [name_prefix], buses, limit, next_token)
        return {"EventBuses": [shown(each, _SHOWN[:6]) for each in items], **more}

    async def delete_event_bus(self, name: str) -> Answer:
        async with self._store.lock:
            name = name.rpartition("/")[2]
            if name == DEFAULT:
                raise ApiError("ValidationException", messages.BUS_DEFAULT)
            if self._store.rules.sorted(f"{name}/"):
                raise ApiError("ValidationException", messages.BUS_HAS_RULES)
            if name in self._store.buses:
                await self._store.buses.delete(name)
            self._publisher.bus_changed(name)
        return {}

    async def put_permission(
        self, /, event_bus_name: str = DEFAULT, policy: str | None = None, **parameters: Any
    ) -> Answer:
        """Sets the whole policy, or one statement of it. It is stored and shown, not enforced."""
        async with self._store.lock:
            bus = self._store.bus(self._store.bus_name(event_bus_name))
            if policy is None:
                policy = dumps(self._with_statement(bus, parameters))
            elif not is_object(policy):
                raise ApiError("ValidationException", messages.BUS_POLICY)
            await self._store.buses.put(bus["Name"], bus | {"Policy": policy})
        return {}

    def _with_statement(self, bus: Document, parameters: Mapping[str, Any]) -> Any:
        """The policy of a bus with one more statement, or another version of one. Raises
        ApiError.
        """
        if not {"statement_id", "action", "principal"} <= parameters.keys():
            raise ApiError("ValidationException", messages.BUS_POLICY)
        policy: Any = loads(bus.get("Policy") or '{"Version":"2012-10-17","Statement":[]}')
        id, principal = parameters["statement_id"], parameters["principal"]
        account = self._store.host.home.root(principal)
        statement = {
            "Sid": id,
            "Effect": "Allow",
            "Principal": "*" if principal == "*" else {"AWS": account},
            "Action": parameters["action"],
            "Resource": bus["Arn"],
        }
        if "condition" in parameters:
            condition = parameters["condition"]
            statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
        others = [each for each in policy["Statement"] if each.get("Sid") != id]
        return {**policy, "Statement": [*others, statement]}

    async def remove_permission(
        self,
        statement_id: str | None = None,
        remove_all_permissions: bool = False,
        event_bus_name: str = DEFAULT,
    ) -> Answer:
        async with self._store.lock:
            bus = self._store.bus(self._store.bus_name(event_bus_name))
            policy: Any = loads(bus.get("Policy") or '{"Statement":[]}')
            left = (
                []
                if remove_all_permissions
                else [each for each in policy["Statement"] if each.get("Sid") != statement_id]
            )
            if not remove_all_permissions and len(left) == len(policy["Statement"]):
                raise ApiError(
                    "ResourceNotFoundException", messages.STATEMENT_UNKNOWN.format(id=statement_id)
                )
            await self._store.buses.put(
                bus["Name"],
                bus | {"Policy": dumps({**policy, "Statement": left}) if left else None},
            )
        return {}

    def _tagged(self, arn: str) -> tuple[Table, str, Document]:
        """(table, key, bus or rule). Raises ApiError."""
        kind, _, name = arn.rpartition(":")[2].partition("/")
        if kind == "event-bus" and (name == DEFAULT or name in self._store.buses):
            return self._store.buses, name, self._store.bus(name)
        key = name if "/" in name else f"{DEFAULT}/{name}"
        if kind == "rule" and key in self._store.rules:
            return self._store.rules, key, self._store.rules[key]
        raise ApiError(
            "ResourceNotFoundException", common_messages.EVENTS_RESOURCE_UNKNOWN.format(arn=arn)
        )

    async def list_tags_for_resource(self, resource_arn: str) -> Answer:
        return {"Tags": tag_list(self._tagged(resource_arn)[2]["Tags"])}

    async def tag_resource(self, resource_arn: str, tags: Sequence[Mapping[str, str]]) -> Answer:
        async with self._store.lock:
            table, key, resource = self._tagged(resource_arn)
            merged = resource["Tags"] | as_tags(tags)
            self._store.check_room(len(merged) - 1, self._store.host.limits.tags)
            await table.put(key, resource | {"Tags": merged})
        return {}

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> Answer:
        async with self._store.lock:
            table, key, resource = self._tagged(resource_arn)
            left = {tag: value for tag, value in resource["Tags"].items() if tag not in tag_keys}
            await table.put(key, resource | {"Tags": left})
        return {}
