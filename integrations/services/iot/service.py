"""AWS IoT's rules of MQTT topics: a message -> rules whose filter and statement fit -> deliveries
that are as durable as the answer.

    iot/rule/NAME       iot/delivery/DUE/ID (see deliveries.py)       iot/broker: our name there,
                        and what it was told

Messages come from a broker (mqtt.py), if there is one, and from Publish of "iot-data". With a
broker, what is published here goes there and comes back from it; without one the rules get it at
once.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from stepwell.asl.json_text import dumps
from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.engine.operations import paging
from stepwell.integrations.aws.calls import REACHED
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common import targets
from stepwell.integrations.services.common.answers import Answer, shown
from stepwell.integrations.services.common.deliveries import Deliveries, Stored, Undelivered
from stepwell.integrations.services.common.tables import Document, Table, document_of, pack
from stepwell.integrations.services.iot import messages, topic_filters
from stepwell.integrations.services.iot.message import Message
from stepwell.integrations.services.iot.sql import (
    Read,
    SqlFault,
    Statement,
    compile_sql,
    compile_template,
)

if TYPE_CHECKING:
    from stepwell.integrations.host import Host
    from stepwell.integrations.services.iot.broker import Address, Broker, Came

INGEST: Final = re.compile(r"\$aws/rules/([A-Za-z0-9_]+)(?:/(.*))?\Z", re.DOTALL)
_BROKER: Final = "iot/broker"
_RULE: Final = (
    "ruleName",
    "sql",
    "description",
    "createdAt",
    "actions",
    "ruleDisabled",
    "awsIotSqlVersion",
    "errorAction",
)
_VERSIONS: Final = ("2015-10-08", "2016-03-23", "beta")

# --- actions: what each delivers to ---------------------------------------------------------------


class Action(NamedTuple):
    """told: what an error action calls it; target: (host, settings with their templates filled in)
    -> what targets.py delivers to
    """

    told: str
    target: Callable[[Host, Mapping[str, Any]], Document]


def _machine(host: Host, given: Mapping[str, Any]) -> Document:
    arn = host.home.arn("stateMachine", given["stateMachineName"])
    return {"Arn": arn, "ExecutionNamePrefix": given.get("executionNamePrefix", "")}


def _function(host: Host, given: Mapping[str, Any]) -> Document:
    return {"Arn": given["functionArn"]}


def _topic(host: Host, given: Mapping[str, Any]) -> Document:
    return {
        "Arn": given["targetArn"],
        "MessageStructure": "json" if given.get("messageFormat") == "JSON" else "",
    }


def _queue(host: Host, given: Mapping[str, Any]) -> Document:
    account, _, name = urlsplit(given["queueUrl"]).path.strip("/").rpartition("/")
    home, account = host.home, account.rpartition("/")[2] or host.home.account
    return {"Arn": f"arn:{home.partition}:sqs:{home.region}:{account}:{name}"}


def _again(host: Host, given: Mapping[str, Any]) -> Document:
    return {
        "Arn": given["topic"],
        "republish": {"topic": given["topic"], "qos": given.get("qos", 0)},
    }


ACTIONS: Final[Mapping[str, Action]] = {
    "lambda": Action("LambdaAction", _function),
    "republish": Action("RepublishAction", _again),
    "sns": Action("SnsAction", _topic),
    "sqs": Action("SqsAction", _queue),
    "stepFunctions": Action("StepFunctionsAction", _machine),
}


class Compiled(NamedTuple):
    """A rule. actions: (its kind, its settings, the templates among them); error: the same of its
    error action
    """

    statement: Statement
    actions: tuple[tuple[str, Mapping[str, Any], Mapping[str, Read]], ...]
    error: tuple[str, Mapping[str, Any], Mapping[str, Read]] | None


class Iot:
    """The operations of botocore's "iot" that are about topic rules."""

    def __init__(self, host: Host) -> None:
        self.host, self._new_id = host, uuids()
        self.rules = Table("iot/rule/")
        self.deliveries = Deliveries(
            host, "topic_rule_deliveries", "iot/delivery/", self._deliver, self._give_up
        )
        self.broker: Broker | None = None
        self._lock = asyncio.Lock()  # held while a rule is read and written
        self._compiled: dict[str, Compiled] = {}
        self._index: topic_filters.Filters[str] | None = (
            None  # of the rules that are on, built when a message comes
        )

    async def open(self) -> None:
        assert self.host.engine is not None
        self.records = self.host.engine.records
        await self.rules.open(self.records, self._hold)
        await self.deliveries.open()

    async def connect(self, address: Address) -> None:
        """Take messages from a broker, and give it those that are published here."""
        from stepwell.integrations.services.iot.broker import Broker

        held = await self.records.get(_BROKER)
        known = (document_of(_BROKER, held) if held is not None else None) or {
            "client": f"stepwell-{self._new_id()}",
            "filters": [],
        }
        told, wanted = set(known["filters"]), self._filters()
        self._client_id, self._told = known["client"], told | wanted
        await self._remember()  # the session at the broker is found by this name only
        self.broker = Broker(
            address, self._client_id, self._take, self.host.limits, self.host.supervisor
        )
        await self.broker.open(wanted, told)

    async def close(self) -> None:
        if self.broker is not None:
            await self.broker.close()
        await self.deliveries.close()

    # --- operations -------------------------------------------------------------------------------

    async def create_topic_rule(
        self, rule_name: str, topic_rule_payload: Document, tags: str = ""
    ) -> Answer:
        async with self._lock:
            if rule_name in self.rules:
                raise ApiError(
                    "ResourceAlreadyExistsException",
                    messages.TOPIC_RULE_EXISTS.format(name=rule_name),
                )
            if len(self.rules) >= self.host.limits.topic_rules:
                raise ApiError("InvalidRequestException", common_messages.LIMIT_EXCEEDED)
            await self._put(
                rule_name,
                topic_rule_payload,
                {"tags": dict(parse_qsl(tags)), "createdAt": self.host.clock.now() // 1000},
            )
        return {}

    async def replace_topic_rule(self, rule_name: str, topic_rule_payload: Document) -> Answer:
        async with self._lock:
            held = self._rule(rule_name)
            await self._put(
                rule_name,
                topic_rule_payload,
                {"tags": held["tags"], "createdAt": held["createdAt"]},
            )
        return {}

    async def _put(self, name: str, payload: Document, kept: Document) -> None:
        rule = {
            "ruleDisabled": False,
            "awsIotSqlVersion": _VERSIONS[0],
            **payload,
            **kept,
            "ruleName": name,
            "ruleArn": self._arn(name),
        }
        compiled = self._compile(rule)
        await self.rules.put(name, rule)
        self._compiled[name] = compiled
        await self._tell()

    async def get_topic_rule(self, rule_name: str) -> Answer:
        rule = self._rule(rule_name)
        return {"ruleArn": rule["ruleArn"], "rule": shown(rule, _RULE)}

    async def list_topic_rules(
        self,
        topic: str | None = None,
        max_results: int | None = None,
        next_token: str | None = None,
        rule_disabled: bool | None = None,
    ) -> Answer:
        """topic: of the rules that a message published there would reach."""
        found = []
        for rule in self.rules.sorted():
            filter = self._compiled[rule["ruleName"]].statement.filter
            if rule_disabled in (None, rule["ruleDisabled"]) and (
                topic is None or (filter is not None and topic_filters.matches(filter, topic))
            ):
                members = shown(rule, ("ruleArn", "ruleName", "createdAt", "ruleDisabled"))
                found.append(members | ({"topicPattern": filter} if filter is not None else {}))
        question = ["ListTopicRules", topic, rule_disabled]
        most = paging.size(max_results, 100, self.host.limits)
        (begin,) = self.host.pages.read(question, next_token) or (0,)
        more = (
            {"nextToken": self.host.pages.token(question, begin + most)}
            if len(found) > begin + most
            else {}
        )
        return {"rules": found[begin : begin + most], **more}

    async def delete_topic_rule(self, rule_name: str) -> Answer:
        async with self._lock:
            self._rule(rule_name)
            await self.rules.delete(rule_name)
            del self._compiled[rule_name]
            await self._tell()
        return {}

    async def enable_topic_rule(self, rule_name: str) -> Answer:
        return await self._switch(rule_name, False)

    async def disable_topic_rule(self, rule_name: str) -> Answer:
        return await self._switch(rule_name, True)

    async def _switch(self, name: str, disabled: bool) -> Answer:
        async with self._lock:
            await self.rules.put(name, self._rule(name) | {"ruleDisabled": disabled})
            await self._tell()
        return {}

    async def list_tags_for_resource(
        self, resource_arn: str, next_token: str | None = None
    ) -> Answer:
        return {
            "tags": [
                {"Key": key, "Value": value}
                for key, value in self._tagged(resource_arn)["tags"].items()
            ]
        }

    async def tag_resource(self, resource_arn: str, tags: Sequence[Mapping[str, str]]) -> Answer:
        async with self._lock:
            rule = self._tagged(resource_arn)
            tagged = rule["tags"] | {each["Key"]: each.get("Value", "") for each in tags}
            if len(tagged) > self.host.limits.tags:
                raise ApiError("LimitExceededException", common_messages.LIMIT_EXCEEDED)
            await self.rules.put(rule["ruleName"], rule | {"tags": tagged})
        return {}

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> Answer:
        async with self._lock:
            rule = self._tagged(resource_arn)
            left = {key: value for key, value in rule["tags"].items() if key not in tag_keys}
            await self.rules.put(rule["ruleName"], rule | {"tags": left})
        return {}

    async def describe_endpoint(self, endpoint_type: str = "iot:Data-ATS") -> Answer:
        """Where "iot-data" is: here."""
        return {"endpointAddress": urlsplit(REACHED.get() or self.host.url).netloc}

    def _tagged(self, arn: str) -> Document:
        name = arn.rpartition(":rule/")[2]
        if name not in self.rules:
            raise ApiError(
                "ResourceNotFoundException", common_messages.EVENTS_RESOURCE_UNKNOWN.format(arn=arn)
            )
        return self.rules[name]

    def _arn(self, name: str) -> str:
        home = self.host.home
        return f"arn:{home.partition}:iot:{home.region}:{home.account}:rule/{name}"

    def _rule(self, name: str) -> Document:
        rule = self.rules.get(name)
        if rule is None:  # what AWS says, which does not tell whether there is one
            raise ApiError("UnauthorizedException", messages.TOPIC_RULE_UNKNOWN.format(name=name))
        return rule

    def _hold(self, rule: Document) -> None:
        """Raises ApiError."""
        self._compiled[rule["ruleName"]] = self._compile(rule)

    def _compile(self, rule: Document) -> Compiled:
        """Raises ApiError."""
        limits = self.host.limits
        try:
            statement = compile_sql(rule["sql"])
            if statement.filter is not None and not topic_filters.is_filter(
                statement.filter, limits
            ):
                raise SqlFault(messages.MQTT_FILTER.format(filter=statement.filter))
            if rule["awsIotSqlVersion"] not in _VERSIONS:
                raise ApiError(
                    "InvalidRequestException",
                    messages.SQL_VERSION.format(version=rule["awsIotSqlVersion"]),
                )
            if len(rule["actions"]) > limits.topic_rule_actions:
                raise ApiError("InvalidRequestException", common_messages.LIMIT_EXCEEDED)
            error = rule.get("errorAction")
            return Compiled(
                statement,
                tuple(map(_compile_action, rule["actions"])),
                error and _compile_action(error),
            )
        except SqlFault as fault:
            raise ApiError("SqlParseException", str(fault)) from None

    # --- messages ---------------------------------------------------------------------------------

    def _filters(self) -> set[str]:
        """What rules that are on wait for."""
        found = (
            self._compiled[name].statement.filter
            for name in self.rules
            if not self.rules[name]["ruleDisabled"]
        )
        return topic_filters.fewest(each for each in found if each is not None)

    async def _tell(self) -> None:
        """The broker, what to send. It forgets nothing, so what it was told is remembered until it
        is taken back.
        """
        self._index = None
        if self.broker is None:
            return
        wanted = self._filters()
        if wanted == self._told:
            return
        self._told |= wanted
        await self._remember()
        if await self.broker.subscribe(wanted):
            self._told = wanted
            await self._remember()

    async def _remember(self) -> None:
        await self.records.write(
            {_BROKER: pack({"client": self._client_id, "filters": sorted(self._told)})}
        )

    async def _take(self, came: Sequence[Came]) -> None:
        await self._store(self._prepare([self._message(each.topic, each.payload) for each in came]))

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:
        """Raises ApiError."""
        await self._store(await self._publish(topic, payload, qos, retain))

    async def _publish(
        self, topic: str, payload: bytes, qos: int, retain: bool = False, hops: int = 0
    ) -> Stored | None:
        """What is to be stored for it; None if the broker has taken it, or no rule wants it. Raises
        ApiError.
        """
        limits = self.host.limits
        ingest = INGEST.match(topic)
        if not topic_filters.is_topic(ingest[2] or "x" if ingest else topic, limits):
            raise ApiError("InvalidRequestException", messages.MQTT_TOPIC.format(topic=topic))
        if len(payload) > limits.mqtt_payload_bytes:
            raise ApiError(
                "InvalidRequestException",
                messages.MQTT_PAYLOAD.format(limit=limits.mqtt_payload_bytes),
            )
        if self.broker is not None and not ingest:
            await self.broker.publish(topic, payload, qos, retain)
            return None
        return self._prepare(
            [self._message(ingest[2] or "" if ingest else topic, payload)],
            ingest and ingest[1],
            hops,
        )

    def _message(self, topic: str, payload: bytes) -> Message:
        id, now = self._new_id(), self.host.clock.now()
        return Message(
            topic, payload, id, now, self.host.home.account, random=int(id[:8], 16) / (1 << 32)
        )

    async def _store(self, stored: Stored | None) -> None:
        """Durable when it returns."""
        if stored is not None:
            await self.records.write(*stored)

    def _prepare(
        self, published: Sequence[Message], only: str | None = None, hops: int = 0
    ) -> Stored | None:
        """The deliveries of messages; None if there are none. only: the rule that they are for,
        whatever its filter.
        """
        documents = []
        for message in published:
            for name in self._reached(message.topic) if only is None else self._on(only):
                documents += self._documents(name, self._compiled[name], message, hops)
        return self.deliveries.accept(documents) if documents else None

    def _on(self, name: str) -> list[str]:
        return [name] if name in self.rules and not self.rules[name]["ruleDisabled"] else []

    def _reached(self, topic: str) -> list[str]:
        if self._index is None:
            filters = [
                (self._compiled[name].statement.filter, name)
                for each in self.rules
                for name in self._on(each)
            ]
            self._index = topic_filters.Filters(
                (filter, name) for filter, name in filters if filter is not None
            )
        return self._index.find(topic)

    def _documents(
        self, name: str, compiled: Compiled, message: Message, hops: int
    ) -> list[Document]:
        payload = compiled.statement.apply(message)
        if payload is None:
            return []
        made: list[Document] = []
        about: Document = {"rule": name, "topic": message.topic, "hops": hops, "trace": message.id}
        if compiled.error is not None:
            original = base64.b64encode(message.payload).decode()
            about |= {"original": original, "error": self._aim(compiled.error, message)}
        for number, action in enumerate(compiled.actions):
            encoded = bool(action[1].get("useBase64"))
            text = base64.b64encode(payload).decode() if encoded else _as_text(payload)
            made.append(
                {
                    "id": f"{message.id}/{name}/{number}",
                    **about,
                    "action": self._aim(action, message),
                    "payload": text,
                }
            )
        return made

    def _aim(
        self, action: tuple[str, Mapping[str, Any], Mapping[str, Read]], message: Message
    ) -> Document:
        kind, settings, templates = action
        filled = {**settings, **{name: read(message) for name, read in templates.items()}}
        return {"kind": kind, "target": ACTIONS[kind].target(self.host, filled)}

    # --- deliveries -------------------------------------------------------------------------------

    async def _deliver(self, document: Document) -> Stored | None:
        payload, target, hops = document["payload"], document["action"]["target"], document["hops"]
        if payload is None:
            raise Undelivered("SDK_CLIENT_ERROR", messages.MQTT_NO_TEXT, False)
        if "republish" not in target:
            return await targets.deliver(self.host, target, payload, document["id"])
        if hops >= self.host.limits.republish_hops:
            raise Undelivered(
                "SDK_CLIENT_ERROR",
                messages.REPUBLISH_HOPS.format(limit=self.host.limits.republish_hops),
                False,
            )
        try:
            return await self._publish(
                target["republish"]["topic"],
                payload.encode(),
                target["republish"]["qos"],
                hops=hops + 1,
            )
        except ApiError as error:
            raise Undelivered(
                "SDK_CLIENT_ERROR", error.message, error.code == "ServiceUnavailable"
            ) from None

    async def _give_up(self, document: Document, fault: Undelivered, limit: str) -> None:
        """Tell the error action, as a delivery of its own; that one has none."""
        error = document.get("error")
        if error is None:
            return
        told = {
            "failedAction": ACTIONS[document["action"]["kind"]].told,
            "failedResource": document["action"]["target"]["Arn"],
        }
        payload = {
            "ruleName": document["rule"],
            "topic": document["topic"],
            "cloudwatchTraceId": document["trace"],
            "clientId": "N/A",
            "base64OriginalPayload": document["original"],
            "failures": [{**told, "errorMessage": fault.message}],
        }
        about = {name: document[name] for name in ("rule", "topic", "hops", "trace")}
        again = {
            "id": f"{document['id']}/error",
            **about,
            "action": error,
            "payload": dumps(payload),
        }
        await self._store(self.deliveries.accept([again]))


def _as_text(payload: bytes) -> str | None:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None


def _compile_action(action: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], Mapping[str, Read]]:
    """Raises ApiError, SqlFault."""
    if len(action) != 1:
        raise ApiError("InvalidRequestException", messages.ONE_ACTION)
    ((kind, settings),) = action.items()
    if kind not in ACTIONS:
        raise ApiError(
            "InvalidRequestException",
            messages.ACTION_UNKNOWN.format(kind=kind, known=", ".join(sorted(ACTIONS))),
        )
    texts = {
        name: value
        for name, value in settings.items()
        if isinstance(value, str) and "${" in value and name != "roleArn"
    }
    return kind, settings, {name: compile_template(text) for name, text in texts.items()}


class IotData:
    """The operation of botocore's "iot-data" that is served here."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(
        self, topic: str, qos: int = 0, retain: bool = False, payload: bytes = b"", **_: Any
    ) -> Answer:
        iot: Iot = await self._host.services.get("iot")
        await iot.publish(topic, payload, qos, retain)
        return {}
