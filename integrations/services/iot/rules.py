"""Topic rules: the operations on them, and which of them a topic reaches.

iot/rule/NAME
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl

from stepwell.engine.errors import ApiError
from stepwell.engine.operations import paging
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer, shown, tag_list
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.iot import messages, topic_filters
from stepwell.integrations.services.iot.broker_session import BrokerSession
from stepwell.integrations.services.iot.rule_actions import Action, compile_action
from stepwell.integrations.services.iot.sql import SqlError, Statement, compile_sql

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

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


class CompiledRule(NamedTuple):
    statement: Statement
    actions: tuple[Action, ...]
    error_action: Action | None


class TopicRules:
    """Changes the subscriptions of the broker's session with the rules."""

    def __init__(self, host: Host, session: BrokerSession) -> None:
        self._host, self._session = host, session
        self._rules = Table("iot/rule/")
        self._lock = asyncio.Lock()  # held while a rule is read and written
        self._compiled: dict[str, CompiledRule] = {}
        self._index: topic_filters.FilterIndex[str] | None = None  # of the rules that are enabled

    async def open(self) -> None:
        await self._rules.open(self._host.records, self._load)

    def _load(self, rule: Document) -> None:
        """Raises ApiError."""
        self._compiled[rule["ruleName"]] = self._compile(rule)

    # --- operations -------------------------------------------------------------------------------

    async def create_topic_rule(
        self, rule_name: str, topic_rule_payload: Document, tags: str = ""
    ) -> Answer:
        """tags: as a query string."""
        async with self._lock:
            if rule_name in self._rules:
                raise ApiError(
                    "ResourceAlreadyExistsException",
                    messages.TOPIC_RULE_EXISTS.format(name=rule_name),
                )
            if len(self._rules) >= self._host.limits.topic_rules:
                raise ApiError("InvalidRequestException", common_messages.LIMIT_EXCEEDED)
            created_at = self._host.clock.now() // 1000
            await self._put(rule_name, topic_rule_payload, dict(parse_qsl(tags)), created_at)
        return {}

    async def replace_topic_rule(self, rule_name: str, topic_rule_payload: Document) -> Answer:
        """Keeps the tags and the time of creation."""
        async with self._lock:
            before = self._rule(rule_name)
            await self._put(rule_name, topic_rule_payload, before["tags"], before["createdAt"])
        return {}

    async def _put(
        self, name: str, payload: Document, tags: Mapping[str, str], created_at: int
    ) -> None:
        rule = {
            "ruleDisabled": False,
            "awsIotSqlVersion": _VERSIONS[0],
            **payload,
            "tags": tags,
            "createdAt": created_at,
            "ruleName": name,
            "ruleArn": self._arn(name),
        }
        compiled = self._compile(rule)
        await self._rules.put(name, rule)
        self._compiled[name] = compiled
        await self._rules_changed()

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
        """topic: only rules whose filter matches it."""
        rules = []
        for rule in self._rules.sorted():
            pattern = self._compiled[rule["ruleName"]].statement.topic_filter
            if rule_disabled in (None, rule["ruleDisabled"]) and (
                topic is None or (pattern is not None and topic_filters.matches(pattern, topic))
            ):
                members = shown(rule, ("ruleArn", "ruleName", "createdAt", "ruleDisabled"))
                rules.append(members | ({"topicPattern": pattern} if pattern is not None else {}))
        question = ["ListTopicRules", topic, rule_disabled]
        size = paging.size(max_results, 100, self._host.limits)
        page, more = self._host.pages.page(question, rules, size, next_token, "nextToken")
        return {"rules": page, **more}

    async def delete_topic_rule(self, rule_name: str) -> Answer:
        async with self._lock:
            self._rule(rule_name)
            await self._rules.delete(rule_name)
            del self._compiled[rule_name]
            await self._rules_changed()
        return {}

    async def enable_topic_rule(self, rule_name: str) -> Answer:
        return await self._set_disabled(rule_name, False)

    async def disable_topic_rule(self, rule_name: str) -> Answer:
        return await self._set_disabled(rule_name, True)

    async def _set_disabled(self, name: str, disabled: bool) -> Answer:
        async with self._lock:
            await self._rules.put(name, self._rule(name) | {"ruleDisabled": disabled})
            await self._rules_changed()
        return {}

    async def list_tags_for_resource(
        self, resource_arn: str, next_token: str | None = None
    ) -> Answer:
        return {"tags": tag_list(self._rule_of_arn(resource_arn)["tags"])}

    async def tag_resource(self, resource_arn: str, tags: Sequence[Mapping[str, str]]) -> Answer:
        async with self._lock:
            rule = self._rule_of_arn(resource_arn)
            merged = rule["tags"] | {each["Key"]: each.get("Value", "") for each in tags}
            if len(merged) > self._host.limits.tags:
                raise ApiError("LimitExceededException", common_messages.LIMIT_EXCEEDED)
            await self._rules.put(rule["ruleName"], rule | {"tags": merged})
        return {}

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> Answer:
        async with self._lock:
            rule = self._rule_of_arn(resource_arn)
            left = {key: value for key, value in rule["tags"].items() if key not in tag_keys}
            await self._rules.put(rule["ruleName"], rule | {"tags": left})
        return {}

    def _rule(self, name: str) -> Document:
        rule = self._rules.get(name)
        if rule is None:  # AWS's error does not reveal whether the rule exists
            raise ApiError("UnauthorizedException", messages.TOPIC_RULE_UNKNOWN.format(name=name))
        return rule

    def _rule_of_arn(self, arn: str) -> Document:
        name = arn.rpartition(":rule/")[2]
        if name not in self._rules:
            raise ApiError(
                "ResourceNotFoundException", common_messages.EVENTS_RESOURCE_UNKNOWN.format(arn=arn)
            )
        return self._rules[name]

    def _arn(self, name: str) -> str:
        return self._host.home.service_arn("iot", f"rule/{name}")

    def _compile(self, rule: Document) -> CompiledRule:
        """Raises ApiError."""
        limits = self._host.limits
        try:
            statement = compile_sql(rule["sql"])
            pattern = statement.topic_filter
            if pattern is not None and not topic_filters.is_filter(pattern, limits):
                raise SqlError(messages.MQTT_FILTER.format(filter=pattern))
            if rule["awsIotSqlVersion"] not in _VERSIONS:
                raise ApiError(
                    "InvalidRequestException",
                    messages.SQL_VERSION.format(version=rule["awsIotSqlVersion"]),
                )
            if len(rule["actions"]) > limits.topic_rule_actions:
                raise ApiError("InvalidRequestException", common_messages.LIMIT_EXCEEDED)
            actions = tuple(map(compile_action, rule["actions"]))
            error_action = rule.get("errorAction")
            return CompiledRule(statement, actions, error_action and compile_action(error_action))
        except SqlError as error:
            raise ApiError("SqlParseException", str(error)) from None

    # --- which rules a message reaches ------------------------------------------------------------

    async def _rules_changed(self) -> None:
        self._index = None
        if self._session.broker is not None:
            await self._session.subscribe(self.filters())

    def filters(self) -> set[str]:
        """The fewest topic filters that cover those of all enabled rules."""
        patterns = (
            self._compiled[name].statement.topic_filter
            for name in self._rules
            if self.is_enabled(name)
        )
        return topic_filters.fewest(each for each in patterns if each is not None)

    def is_enabled(self, name: str) -> bool:
        """False if the rule does not exist."""
        rule = self._rules.get(name)
        return rule is not None and not rule["ruleDisabled"]

    def matching(self, topic: str) -> list[str]:
        """Names of the enabled rules whose filter matches a topic."""
        if self._index is None:
            patterns = [
                (self._compiled[name].statement.topic_filter, name)
                for name in self._rules
                if self.is_enabled(name)
            ]
            self._index = topic_filters.FilterIndex(
                (pattern, name) for pattern, name in patterns if pattern is not None
            )
        return self._index.find(topic)

    def compiled(self, name: str) -> CompiledRule:
        return self._compiled[name]
