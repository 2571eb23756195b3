"""The operations on versions and aliases of state machines. Both are parts of the machine's row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepwell.engine import arns, messages
from stepwell.engine.errors import ApiError
from stepwell.engine.machines import machine_parts
from stepwell.engine.operations import paging
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.machines import shapes
from stepwell.engine.operations.results import (
    CreateStateMachineAliasOutput,
    DescribeStateMachineAliasOutput,
    EmptyOutput,
    ListStateMachineAliasesOutput,
    ListStateMachineVersionsOutput,
    PublishStateMachineVersionOutput,
    StateMachineAliasListItem,
    StateMachineVersionListItem,
    UpdateStateMachineAliasOutput,
)
from stepwell.engine.store.base import MachineRow


class Versions:
    """Versions, which pin a revision of a state machine, and aliases, which share starts among one
    or two versions.
    """

    def __init__(self, base: Base) -> None:
        self._store, self._clock, self._limits = base.store, base.clock, base.limits
        self._pages, self._machines = base.pages, base.machines

    async def publish_state_machine_version(
        self,
        state_machine_arn: str,
        *,
        revision_id: str | None = None,
        description: str | None = None,
    ) -> PublishStateMachineVersionOutput:
        """{"creationDate", "stateMachineVersionArn"} of a version of the current revision;
        idempotent for a revision. Raises ApiError ConflictException, ServiceQuotaExceededException.
        """
        async with self._machines.lock:
            row = await self._machines.active(state_machine_arn)
            if revision_id is not None and revision_id != row.revision:
                raise ApiError(
                    "ConflictException",
                    messages.STALE_REVISION.format(given=revision_id, current=row.revision),
                )
            changed, number = machine_parts.publish(
                row, description, self._clock.now(), self._limits
            )
            if changed is not row:
                await self._machines.put(changed)
        created: int = machine_parts.part(changed, "versions")[number]["created"]
        return {
            "creationDate": created / 1000,
            "stateMachineVersionArn": machine_parts.version_arn(row, number),
        }

    async def delete_state_machine_version(self, state_machine_version_arn: str) -> EmptyOutput:
        """{}. Its executions continue. Deleting a version that does not exist is no error. Raises
        ApiError ConflictException if an alias leads to it.
        """
        parts = arns.read_machine(state_machine_version_arn)
        if parts.version is None:
            raise ApiError("InvalidArn", messages.INVALID_ARN.format(arn=state_machine_version_arn))
        async with self._machines.lock:
            row = await self._store.machine(parts.machine)
            versions = {} if row is None else dict(machine_parts.part(row, "versions"))
            if row is None or versions.pop(parts.version, None) is None:
                return {}
            names = machine_parts.routed_to(row, parts.version)
            if names:
                raise ApiError(
                    "ConflictException", messages.VERSION_IN_USE.format(names=", ".join(names))
                )
            await self._machines.put(machine_parts.changed(row, versions=versions))
        return {}

    async def list_state_machine_versions(
        self, state_machine_arn: str, *, max_results: int = 0, next_token: str | None = None
    ) -> ListStateMachineVersionsOutput:
        """{"stateMachineVersions": [...], "nextToken"?}, the newest first; none of an unknown
        machine.
        """
        parts = arns.read_machine(state_machine_arn)
        row = await self._store.machine(state_machine_arn)
        versions = {} if row is None else machine_parts.part(row, "versions")
        question = ["ListStateMachineVersions", parts.machine]
        (before,) = self._pages.read(question, next_token) or (None,)
        numbers = sorted(
            (int(each) for each in versions if before is None or int(each) < before), reverse=True
        )
        size = paging.size(max_results, self._limits.list_page, self._limits)
        shown: list[StateMachineVersionListItem] = [
            {
                "stateMachineVersionArn": f"{parts.machine}:{each}",
                "creationDate": versions[str(each)]["created"] / 1000,
            }
            for each in numbers[:size]
        ]
        answer: ListStateMachineVersionsOutput = {"stateMachineVersions": shown}
        if len(numbers) > size:
            answer["nextToken"] = self._pages.token(question, numbers[size - 1])
        return answer

    # --- aliases ----------------------------------------------------------------------------------

    async def create_state_machine_alias(
        self,
        name: str,
        routing_configuration: Sequence[Mapping[str, Any]],
        *,
        description: str | None = None,
    ) -> CreateStateMachineAliasOutput:
        """{"stateMachineAliasArn", "creationDate"}, of the machine that the versions belong to.
        Idempotent. Raises ApiError ConflictException, ServiceQuotaExceededException.

        routing_configuration  one or two of {"stateMachineVersionArn", "weight"}; the weights sum
                               to 100
        """
        arns.check_alias(name, self._limits.name_chars)
        arn, routes = _routes(routing_configuration)
        async with self._machines.lock:
            row = await self._store.machine(arn)
            self._machines.check_active(arn)
            _check_versions(row, routes)
            assert row is not None
            aliases, now = machine_parts.part(row, "aliases"), self._clock.now()
            alias = aliases.get(name)
            if alias is None:
                if len(aliases) >= self._limits.aliases:
                    raise ApiError(
                        "ServiceQuotaExceededException",
                        messages.ALIAS_LIMIT.format(limit=self._limits.aliases, arn=arn),
                    )
                alias = {
                    "routes": routes,
                    "created": now,
                    "updated": now,
                    **({"description": description} if description else {}),
                }
                await self._machines.put(
                    machine_parts.changed(row, aliases={**aliases, name: alias})
                )
            elif alias["routes"] != routes:
                raise ApiError("ConflictException", messages.ALIAS_ROUTED_OTHERWISE)
            elif alias.get("description") != (description or None):
                raise ApiError("ConflictException", messages.ALIAS_DESCRIBED_OTHERWISE)
        return {"stateMachineAliasArn": f"{arn}:{name}", "creationDate": alias["created"] / 1000}

    async def update_state_machine_alias(
        self,
        state_machine_alias_arn: str,
        *,
        description: str | None = None,
        routing_configuration: Sequence[Mapping[str, Any]] | None = None,
    ) -> UpdateStateMachineAliasOutput:
        """{"updateDate"}. Applies to executions that are started from then on."""
        if description is None and routing_configuration is None:
            raise ApiError(
                "ValidationException",
                messages.NOTHING_TO_UPDATE_ALIAS,
                "MISSING_REQUIRED_PARAMETER",
            )
        async with self._machines.lock:
            row, name = await self._alias(state_machine_alias_arn)
            self._machines.check_active(row.arn)
            aliases, now = machine_parts.part(row, "aliases"), self._clock.now()
            alias = {**aliases[name], "updated": now}
            if routing_configuration is not None:
                arn, alias["routes"] = _routes(routing_configuration)
                if arn != row.arn:
                    raise _routing_error(messages.ROUTES_OF_SEVERAL, routing_configuration)
                _check_versions(row, alias["routes"])
            if description is not None:
                alias["description"] = description
            await self._machines.put(machine_parts.changed(row, aliases={**aliases, name: alias}))
        return {"updateDate": now / 1000}

    async def describe_state_machine_alias(
        self, state_machine_alias_arn: str
    ) -> DescribeStateMachineAliasOutput:
        """{"stateMachineAliasArn", "name", "description"?, "routingConfiguration", "creationDate",
        "updateDate"}
        """
        return shapes.alias(*await self._alias(state_machine_alias_arn))

    async def delete_state_machine_alias(self, state_machine_alias_arn: str) -> EmptyOutput:
        """{}. Deleting an alias that does not exist is no error."""
        parts = _alias_parts(state_machine_alias_arn)
        async with self._machines.lock:
            row = await self._store.machine(parts.machine)
            aliases = {} if row is None else machine_parts.part(row, "aliases")
            if row is not None and parts.alias in aliases:
                left = {name: alias for name, alias in aliases.items() if name != parts.alias}
                await self._machines.put(machine_parts.changed(row, aliases=left))
        return {}

    async def list_state_machine_aliases(
        self, state_machine_arn: str, *, max_results: int = 0, next_token: str | None = None
    ) -> ListStateMachineAliasesOutput:
        """{"stateMachineAliases": [...], "nextToken"?} by name; with the ARN of a version only
        those that lead to it.
        """
        parts = arns.read_machine(state_machine_arn)
        row = await self._machines.active(parts.machine)
        if parts.qualifier is not None and parts.qualifier not in machine_parts.part(
            row, "versions"
        ):
            raise ApiError("ResourceNotFound", messages.REFERENCE_UNKNOWN)
        question = ["ListStateMachineAliases", state_machine_arn]
        (after,) = self._pages.read(question, next_token) or ("",)
        aliases = machine_parts.part(row, "aliases")
        names = sorted(
            each
            for each in (
                aliases if parts.version is None else machine_parts.routed_to(row, parts.version)
            )
            if each > after
        )
        size = paging.size(max_results, self._limits.list_page, self._limits)
        shown: list[StateMachineAliasListItem] = [
            {
                "stateMachineAliasArn": f"{row.arn}:{each}",
                "creationDate": aliases[each]["created"] / 1000,
            }
            for each in names[:size]
        ]
        answer: ListStateMachineAliasesOutput = {"stateMachineAliases": shown}
        if len(names) > size:
            answer["nextToken"] = self._pages.token(question, names[size - 1])
        return answer

    async def _alias(self, arn: str) -> tuple[MachineRow, str]:
        """The machine of an alias and the alias's name. Raises ApiError ResourceNotFound."""
        parts = _alias_parts(arn)
        row = await self._store.machine(parts.machine)
        if row is None or parts.alias not in machine_parts.part(row, "aliases"):
            raise ApiError("ResourceNotFound", messages.REFERENCE_UNKNOWN)
        assert parts.alias is not None
        return row, parts.alias


def _alias_parts(arn: str) -> arns.MachineArn:
    parts = arns.read_machine(arn)
    if parts.alias is None:
        raise ApiError("InvalidArn", messages.INVALID_ARN.format(arn=arn))
    return parts


def _routes(routing: Sequence[Mapping[str, Any]]) -> tuple[str, list[list[int]]]:
    """The machine of a routing configuration, and [version, weight] of each entry. Raises ApiError
    ValidationException.
    """
    routes: list[list[int]] = []
    machines = set()
    for each in routing:
        try:
            parts = arns.read_machine(each["stateMachineVersionArn"])
        except ApiError:
            parts = arns.MachineArn("")
        if parts.version is None:
            raise _routing_error(messages.ROUTES_NOT_VERSIONS, routing)
        machines.add(parts.machine)
        routes.append([int(parts.version), each["weight"]])
    if len({each["stateMachineVersionArn"] for each in routing}) < len(routing):
        raise _routing_error(messages.ROUTES_NOT_DISTINCT, routing)
    if len(machines) != 1:
        raise _routing_error(messages.ROUTES_OF_SEVERAL, routing)
    if sum(weight for _, weight in routes) != 100:
        raise _routing_error(messages.ROUTES_SUM, routing)
    return machines.pop(), routes


def _routing_error(text: str, routing: Sequence[Mapping[str, Any]]) -> ApiError:
    members = {"arns": "stateMachineVersionArn", "weights": "weight"}
    shown = {
        name: ", ".join(str(each[member]) for each in routing) for name, member in members.items()
    }
    return ApiError("ValidationException", text.format(**shown), "INVALID_ROUTING_CONFIGURATION")


def _check_versions(row: MachineRow | None, routes: Sequence[Sequence[int]]) -> None:
    if row is None or any(
        str(version) not in machine_parts.part(row, "versions") for version, _ in routes
    ):
        raise ApiError("ResourceNotFound", messages.REFERENCE_UNKNOWN)
