"""The parts of a state machine besides its current revision: versions, aliases and tags. Pure
functions on its row.

The row's `extras` hold it as JSON, beside what the library's user keeps there:

    {"api": {"versions": {NUMBER: {definition, revision, role, created, description?,
    configuration?}}, "published": last NUMBER,
             "aliases": {NAME: {routes: [[NUMBER, weight], ...], created, updated, description?}},
             "tags": {KEY: value}, "created": {publish, description?}}, ...}

A version pins a revision by its definition id; `kept_definitions` names all that the machine still
needs.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from stepwell.asl.search_attributes import MARKER
from stepwell.engine import messages
from stepwell.engine.core.model import ExecutionExtras
from stepwell.engine.errors import ApiError
from stepwell.engine.limits import Limits
from stepwell.engine.runtime.execution_logs import wanted
from stepwell.engine.store.base import MachineRow

KEY: Final = "api"
INITIAL: Final = "INITIAL"
"""The revision of a state machine that was never updated."""

ACTIVE: Final = "ACTIVE"
DELETING: Final = "DELETING"


class Target(NamedTuple):
    """The target of a start: a revision of a machine (its definition's id, role and configuration),
    the ARNs of the version and alias that led to it, and what all its executions have as extras.
    """

    machine: MachineRow
    definition: int
    role: str
    configuration: dict[str, Any]
    version: str | None
    alias: str | None
    extras: ExecutionExtras


def new(
    arn: str,
    name: str,
    type: str,
    role: str,
    definition: str,
    now: int,
    extras: dict[str, Any],
) -> MachineRow:
    """The row of a state machine that is created. Its definition id is the store's to choose."""
    return MachineRow(arn, name, type, role, definition, 0, INITIAL, now, now, ACTIVE, extras)


def revised(old: MachineRow, row: MachineRow) -> bool:
    """Whether an update makes a new revision."""
    return (row.definition, row.role_arn, row.configuration) != (
        old.definition,
        old.role_arn,
        old.configuration,
    )


def part(row: MachineRow, name: str) -> dict[str, Any]:
    """One of versions, aliases, tags, created."""
    api: Any = row.extras.get(KEY) or {}
    found: dict[str, Any] = api.get(name) or {}
    return found


def changed(row: MachineRow, **parts: Any) -> MachineRow:
    api: Any = row.extras.get(KEY) or {}
    return row._replace(
        extras={
            **row.extras,
            KEY: {name: value for name, value in {**api, **parts}.items() if value},
        }
    )


def with_extras(row: MachineRow, extras: dict[str, Any]) -> MachineRow:
    """The row with other extras of the library's user."""
    return row._replace(extras={**extras, **({KEY: row.extras[KEY]} if KEY in row.extras else {})})


def own_extras(row: MachineRow) -> dict[str, Any]:
    """The JSON that the library's user keeps with the machine."""
    return {name: value for name, value in row.extras.items() if name != KEY}


def kept_definitions(row: MachineRow) -> set[int]:
    """Ids of the definitions that executions of this machine can still be started with."""
    return {
        row.definition_id,
        *(version["definition"] for version in part(row, "versions").values()),
    }


# --- versions -------------------------------------------------------------------------------------


def version_arn(row: MachineRow, number: int | str) -> str:
    return f"{row.arn}:{number}"


def current_version(row: MachineRow, description: str | None = None) -> str | None:
    """The number of the newest version of the current revision; None if it is not published, or,
    with a description, not under that one.
    """
    versions = part(row, "versions")
    number = next(
        (
            number
            for number in reversed(versions)
            if versions[number]["definition"] == row.definition_id
        ),
        None,
    )
    if number is None or description in (None, versions[number].get("description", "")):
        return number
    return None


def current_version_arn(row: MachineRow) -> str | None:
    number = current_version(row)
    return None if number is None else version_arn(row, number)


def publish(
    row: MachineRow, description: str | None, now: int, limits: Limits, described: bool = False
) -> tuple[MachineRow, str]:
    """(the row with its revision published, the version's number). If it is published already, the
    row is unchanged.

    described  a version with another description does not count (as for UpdateStateMachine;
               PublishStateMachineVersion ignores the description)
    """
    number = current_version(row, description if described else None)
    if number is not None:
        return row, number
    versions: dict[str, Any] = part(row, "versions")
    check_room(row, limits)
    api: Any = row.extras.get(KEY) or {}
    last: int = api.get("published", 0) + 1
    version = {
        "definition": row.definition_id,
        "revision": row.revision,
        "role": row.role_arn,
        "created": now,
    }
    version |= {
        name: value
        for name, value in (("description", description), ("configuration", row.configuration))
        if value
    }
    return changed(row, versions={**versions, str(last): version}, published=last), str(last)


def version_of(row: MachineRow, qualifier: str) -> str:
    """The number of a version; of an alias, that of the version that most starts go to."""
    alias = part(row, "aliases").get(qualifier)
    if alias is None:
        return qualifier
    return str(max(alias["routes"], key=lambda route: route[1])[0])


def check_room(row: MachineRow, limits: Limits) -> None:
    """Raises ApiError ServiceQuotaExceededException if the machine has all versions that it may."""
    if len(part(row, "versions")) >= limits.versions:
        raise ApiError(
            "ServiceQuotaExceededException",
            messages.VERSION_LIMIT.format(limit=limits.versions, arn=row.arn),
        )


def routed_to(row: MachineRow, number: str) -> list[str]:
    """Names of the aliases that lead to a version."""
    return [
        name
        for name, alias in part(row, "aliases").items()
        if any(str(version) == number for version, _ in alias["routes"])
    ]


# --- starting -------------------------------------------------------------------------------------


def target(row: MachineRow, qualifier: str | None, draw: int) -> Target | None:
    """The target of a start; None if there is no such version or alias. `draw` is a random number,
    which chooses among the versions of an alias.
    """
    if qualifier is None:
        return _target(row, row.definition_id, row.role_arn, row.configuration, None, None)
    alias = part(row, "aliases").get(qualifier)
    number = qualifier if alias is None else _drawn(alias["routes"], draw % 100)
    version = part(row, "versions").get(number)
    if version is None:
        return None
    to_alias = None if alias is None else f"{row.arn}:{qualifier}"
    arn = version_arn(row, number)
    return _target(
        row, version["definition"], version["role"], version.get("configuration", {}), arn, to_alias
    )


def _target(
    row: MachineRow,
    definition: int,
    role: str,
    configuration: dict[str, Any],
    version: str | None,
    alias: str | None,
) -> Target:
    extras: ExecutionExtras = {}
    if version is not None:
        extras["version"] = version
    if alias is not None:
        extras["alias"] = alias
    if (tagged := part(row, "tags").get(MARKER)) is not None:
        extras["search"] = tagged
    logging: Any = configuration.get("loggingConfiguration")
    if wanted(logging):
        extras["logging"] = logging
    return Target(row, definition, role, configuration, version, alias, extras)


def _drawn(routes: list[tuple[int, int]], point: int) -> str:
    """The version whose share of 0..99 has the point in it."""
    for version, weight in routes:
        if point < weight:
            return str(version)
        point -= weight
    raise AssertionError("weights sum to 100")
