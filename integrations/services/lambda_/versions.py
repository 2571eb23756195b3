"""The operations on published versions, which never change, and on aliases of them."""

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
    LambdaFunction,
    page,
    with_marker,
)
from stepwell.integrations.services.runtime.function import LATEST

# members that may differ between $LATEST and its last version without a reason to publish it
_UNPUBLISHED: Final = frozenset(
    ("Version", "RevisionId", "LastModified", "Description", "code", "CodeSize")
)


def versions_of(alias: Json) -> set[str]:
    """The versions that an alias routes to."""
    return {
        alias["FunctionVersion"],
        *alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}),
    }


def draw(alias: Json, chance: float) -> str:
    """The version for one call of an alias. chance: in [0, 1)"""
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
        """FunctionConfiguration of the new version, or of the last one if nothing has changed.
        Raises ApiError.
        """
        async with self._store.lock:
            before, _qualifier = self._store.find(reference)
            function = copy.deepcopy(before)
            latest, writes = dict(function.latest), Writes()
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
            last = function.versions.get(str(function.next_version - 1))
            if last is not None and _is_same(last, latest):
                return self._store.described(function, last)
            if len(function.versions) >= self._store.limits.function_versions:
                raise ApiError(
                    "ServiceQuotaExceededException",
                    messages.FUNCTION_VERSION_QUOTA.format(
                        limit=self._store.limits.function_versions
                    ),
                )
            number = str(function.next_version)
            described = {} if description is None else {"Description": description}
            function.versions[number] = {
                **self._store.touched(latest),
                **described,
                "Version": number,
            }
            function.next_version += 1
            await self._store.put(function, also=writes)
        return self._store.described(function, function.versions[number])

    async def list_versions_by_function(
        self, function_name: str, marker: str | None = None, max_items: int | None = None
    ) -> Json:
        function, _ = self._store.find(function_name)
        versions = [
            (number.zfill(12), function.versions[number])
            for number in sorted(function.versions, key=int)
        ]
        shown, following = page(
            [("0", function.latest), *versions],
            marker,
            max_items,
            self._store.limits.function_page,
            lambda row: row[0],
        )
        return with_marker(
            {
                "Versions": [
                    self._store.described(function, each, each["Version"]) for _, each in shown
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
        async with self._store.changing(function_name) as (function, _):
            if name.isdigit():
                raise ApiError(
                    "InvalidParameterValueException", messages.FUNCTION_ALIAS_NAME.format(name=name)
                )
            if name in function.aliases:
                raise ApiError(
                    "ResourceConflictException",
                    messages.FUNCTION_ALIAS_EXISTS.format(arn=self._store.arn(function.name, name)),
                )
            if len(function.aliases) >= self._store.limits.function_versions:
                raise ApiError(
                    "AliasLimitExceededException",
                    messages.FUNCTION_ALIAS_QUOTA.format(
                        limit=self._store.limits.function_versions
                    ),
                )
            function.aliases[name] = self._alias(
                function, {"Description": description}, function_version, routing_config
            )
        return self._shown(function, name)

    async def update_alias(
        self,
        function_name: str,
        name: str,
        function_version: str | None = None,
        description: str | None = None,
        routing_config: Json | None = None,
        revision_id: str | None = None,
    ) -> Json:
        async with self._store.changing(function_name) as (function, _):
            before = self._find_alias(function, name)
            if revision_id not in (None, before["RevisionId"]):
                raise ApiError("PreconditionFailedException", messages.FUNCTION_REVISION)
            described = before if description is None else {**before, "Description": description}
            function.aliases[name] = self._alias(
                function, described, function_version or before["FunctionVersion"], routing_config
            )
        return self._shown(function, name)

    def _alias(
        self, function: LambdaFunction, before: Json, version: str, routing: Json | None
    ) -> Json:
        """The changed alias, checked. routing: None keeps its RoutingConfig. Raises ApiError."""
        alias = {**before, "FunctionVersion": version, "RevisionId": self._store.new_uuid()}
        if routing is not None:
            alias["RoutingConfig"] = routing
        weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        if not weights:
            alias.pop("RoutingConfig", None)
        for each in (version, *weights):
            if function.version(each) is None:
                raise self._store.unknown(function.name, each)
        if weights and (LATEST in (version, *weights) or version in weights):
            raise ApiError("InvalidParameterValueException", messages.ALIAS_ROUTING_LATEST)
        if len(weights) > 1:
            raise ApiError("InvalidParameterValueException", messages.ALIAS_ROUTING_MANY)
        return alias

    def _find_alias(self, function: LambdaFunction, name: str) -> Json:
        if name not in function.aliases:
            raise ApiError(
                "ResourceNotFoundException",
                messages.FUNCTION_ALIAS_UNKNOWN.format(arn=self._store.arn(function.name, name)),
            )
        return function.aliases[name]

    async def get_alias(self, function_name: str, name: str) -> Json:
        function, _ = self._store.find(function_name)
        self._find_alias(function, name)
        return self._shown(function, name)

    async def delete_alias(self, function_name: str, name: str) -> Json:
        """Deletes its policy and event configuration too. An unknown alias is not an error."""
        async with self._store.changing(function_name) as (function, _):
            function.aliases.pop(name, None)
            function.policies.pop(name, None)
            function.event_configs.pop(name, None)
        return {}

    async def list_aliases(
        self,
        function_name: str,
        function_version: str | None = None,
        marker: str | None = None,
        max_items: int | None = None,
    ) -> Json:
        function, _ = self._store.find(function_name)
        names = sorted(
            name
            for name, alias in function.aliases.items()
            if function_version in (None, *versions_of(alias))
        )
        shown, following = page(names, marker, max_items, self._store.limits.function_page, str)
        return with_marker({"Aliases": [self._shown(function, name) for name in shown]}, following)

    def _shown(self, function: LambdaFunction, name: str) -> Json:
        return {
            "AliasArn": self._store.arn(function.name, name),
            "Name": name,
            **function.aliases[name],
        }


def _is_same(last: Json, latest: Json) -> bool:
    """Whether publishing $LATEST would repeat the last version."""
    return {name: value for name, value in last.items() if name not in _UNPUBLISHED} == {
        name: value for name, value in latest.items() if name not in _UNPUBLISHED
    }
