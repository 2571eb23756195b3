"""Published versions, which never change, and aliases, which point at one or two of them."""

from __future__ import annotations

import copy
from typing import Any, Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.tables import Writes
from stepwell.integrations.services.lambda_ import code as codes
from stepwell.integrations.services.lambda_ import messages
from stepwell.integrations.services.lambda_.store import (
    FunctionStore,
    Json,
    Stored,
    page,
    with_marker,
)
from stepwell.integrations.services.runtime.function import LATEST

# what may differ between $LATEST and its last version without there being anything to publish
_OF_ONE: Final = frozenset(
    ("Version", "RevisionId", "LastModified", "Description", "code", "CodeSize")
)


def versions_of(alias: Json) -> set[str]:
    return {
        alias["FunctionVersion"],
        *alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}),
    }


def draw(alias: Json, chance: float) -> str:
    """The version that a call by this alias is for. chance: 0 <= chance < 1"""
    for version, weight in (
        alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}).items()
    ):
        if chance < weight:
            return str(version)
        chance -= weight
    return str(alias["FunctionVersion"])


class Versions:
    def __init__(self, store: FunctionStore) -> None:
        self._store = store

    async def publish_version(
        self,
        /,
        function_name: str,
        code_sha256: str | None = None,
        description: str | None = None,
        revision_id: str | None = None,
        **_: Any,
    ) -> Json:
        return await self.publish(function_name, code_sha256, description, revision_id)

    async def publish(
        self,
        reference: str,
        sha256: str | None = None,
        description: str | None = None,
        revision: str | None = None,
    ) -> Json:
        """FunctionConfiguration of the new version; of the last one if nothing has changed
        since.
        """
        async with self._store.lock:
            before, _qualifier = self._store.find(reference)
            stored = copy.deepcopy(before)
            latest, writes = dict(stored.latest), Writes()
            if revision not in (None, latest["RevisionId"]):
                raise ApiError("PreconditionFailedException", messages.FUNCTION_REVISION)
            if latest["code"].startswith(codes.FOLDER):
                latest["code"], writes, latest["CodeSize"] = await self._store.codes.snapshot(
                    latest["code"]
                )
                latest["CodeSha256"] = codes.sha256(latest["code"])
            if sha256 not in (None, latest["CodeSha256"]):
                raise ApiError(
                    "InvalidParameterValueException",
                    messages.CODE_SHA256.format(given=sha256, found=latest["CodeSha256"]),
                )
            last = stored.versions.get(str(stored.next_version - 1))
            if last is not None and _differs_not(last, latest):
                return self._store.described(stored, last)
            if len(stored.versions) >= self._store.limits.function_versions:
                raise ApiError(
                    "ServiceQuotaExceededException",
                    messages.FUNCTION_VERSION_QUOTA.format(
                        limit=self._store.limits.function_versions
                    ),
                )
            number = str(stored.next_version)
            shown = {} if description is None else {"Description": description}
            stored.versions[number] = {**self._store.touched(latest), **shown, "Version": number}
            stored.next_version += 1
            await self._store.put(stored, also=writes)
        return self._store.described(stored, stored.versions[number])

    async def list_versions_by_function(
        self, function_name: str, marker: str | None = None, max_items: int | None = None
    ) -> Json:
        stored, _ = self._store.find(function_name)
        found = [
            (number.zfill(12), stored.versions[number])
            for number in sorted(stored.versions, key=int)
        ]
        shown, following = page(
            [("0", stored.latest), *found],
            marker,
            max_items,
            self._store.limits.function_page,
            lambda row: row[0],
        )
        return with_marker(
            {
                "Versions": [
                    self._store.described(stored, each, each["Version"]) for _, each in shown
                ]
            },
            following,
        )

    # --- aliases ---

    async def create_alias(
        self,
        function_name: str,
        name: str,
        function_version: str,
        description: str = "",
        routing_config: Json | None = None,
    ) -> Json:
        async with self._store.changing(function_name) as (stored, _):
            if name.isdigit():
                raise ApiError(
                    "InvalidParameterValueException", messages.FUNCTION_ALIAS_NAME.format(name=name)
                )
            if name in stored.aliases:
                raise ApiError(
                    "ResourceConflictException",
                    messages.FUNCTION_ALIAS_EXISTS.format(arn=self._store.arn(stored.name, name)),
                )
            if len(stored.aliases) >= self._store.limits.function_versions:
                raise ApiError(
                    "AliasLimitExceededException",
                    messages.FUNCTION_ALIAS_QUOTA.format(
                        limit=self._store.limits.function_versions
                    ),
                )
            stored.aliases[name] = self._alias(
                stored, {"Description": description}, function_version, routing_config
            )
        return self._shown(stored, name)

    async def update_alias(
        self,
        function_name: str,
        name: str,
        function_version: str | None = None,
        description: str | None = None,
        routing_config: Json | None = None,
        revision_id: str | None = None,
    ) -> Json:
        async with self._store.changing(function_name) as (stored, _):
            before = self._find_alias(stored, name)
            if revision_id not in (None, before["RevisionId"]):
                raise ApiError("PreconditionFailedException", messages.FUNCTION_REVISION)
            shown = before if description is None else {**before, "Description": description}
            stored.aliases[name] = self._alias(
                stored, shown, function_version or before["FunctionVersion"], routing_config
            )
        return self._shown(stored, name)

    def _alias(self, stored: Stored, before: Json, version: str, routing: Json | None) -> Json:
        """With what is to change, checked; without a routing it keeps the one it has."""
        alias = {**before, "FunctionVersion": version, "RevisionId": self._store.new_uuid()}
        if routing is not None:
            alias["RoutingConfig"] = routing
        weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        if not weights:
            alias.pop("RoutingConfig", None)
        for each in (version, *weights):
            if stored.version(each) is None:
                raise self._store.unknown(stored.name, each)
        if weights and (LATEST in (version, *weights) or version in weights):
            raise ApiError("InvalidParameterValueException", messages.ALIAS_ROUTING_LATEST)
        if len(weights) > 1:
            raise ApiError("InvalidParameterValueException", messages.ALIAS_ROUTING_MANY)
        return alias

    def _find_alias(self, stored: Stored, name: str) -> Json:
        if name not in stored.aliases:
            raise ApiError(
                "ResourceNotFoundException",
                messages.FUNCTION_ALIAS_UNKNOWN.format(arn=self._store.arn(stored.name, name)),
            )
        return stored.aliases[name]

    async def get_alias(self, function_name: str, name: str) -> Json:
        stored, _ = self._store.find(function_name)
        self._find_alias(stored, name)
        return self._shown(stored, name)

    async def delete_alias(self, function_name: str, name: str) -> Json:
        """Deleting what is not there does nothing."""
        async with self._store.changing(function_name) as (stored, _):
            stored.aliases.pop(name, None)
            stored.policies.pop(name, None)
            stored.event_configs.pop(name, None)
        return {}

    async def list_aliases(
        self,
        function_name: str,
        function_version: str | None = None,
        marker: str | None = None,
        max_items: int | None = None,
    ) -> Json:
        stored, _ = self._store.find(function_name)
        names = sorted(
            name
            for name, alias in stored.aliases.items()
            if function_version in (None, *versions_of(alias))
        )
        shown, following = page(names, marker, max_items, self._store.limits.function_page, str)
        return with_marker({"Aliases": [self._shown(stored, name) for name in shown]}, following)

    def _shown(self, stored: Stored, name: str) -> Json:
        return {
            "AliasArn": self._store.arn(stored.name, name),
            "Name": name,
            **stored.aliases[name],
        }


def _differs_not(last: Json, latest: Json) -> bool:
    """Whether publishing would make the same version again."""
    return {name: value for name, value in last.items() if name not in _OF_ONE} == {
        name: value for name, value in latest.items() if name not in _OF_ONE
    }
