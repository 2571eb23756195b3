"""What `stepwell machines` does."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.blocks import every_state
from stepwell.engine import arns
from stepwell.engine.errors import ApiError
from stepwell.integrations.cli import exit_codes, lookup
from stepwell.integrations.cli.clients import polling
from stepwell.integrations.cli.clients import search_attributes as attributes
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.clients.choosing import Where, using
from stepwell.integrations.cli.errors import with_where
from stepwell.integrations.cli.output import screen
from stepwell.integrations.cli.output.text import DIM, command, count, ndjson, printable, when
from stepwell.integrations.errors import UsageError

ROLE: Final = "arn:aws:iam::123456789012:role/stepwell"
"""Of machines without --role. A server of stepwell asks for none, but the API does."""
EXISTS: Final = "StateMachineAlreadyExists"


# --- list, show -----------------------------------------------------------------------------------


@with_where
def list_(json: bool, utc: bool, where: Where) -> int:
    def row(machine: Mapping[str, Any]) -> list[str]:
        created = when(machine["creationDate"], utc=utc)
        return [printable(machine["name"]), machine["type"], created]

    async def read(client: Client) -> None:
        found = [each async for each in lookup.machines(client)]
        screen.listing(found, json, ["name", "type", "created"], row)

    return using(*where, read)


@with_where
def show(machine: str, definition: bool, json: bool, utc: bool, where: Where) -> int:
    """definition: print nothing but the JSON text of the definition."""

    async def read(client: Client) -> None:
        arn = await lookup.machine_arn(client, machine)
        described = await client.call("describe_state_machine", state_machine_arn=arn)
        if json or definition:
            print(described["definition"] if definition else ndjson(described))
            return
        value = json_text.loads(described["definition"])
        states = count(len(dict(every_state(value))), "state")
        searched, faults = await attributes.shown(client, described, value.get("Comment"))
        facts = [
            ("type", f"{described['type'].lower()} · {value.get('QueryLanguage', 'JSONPath')}"),
            ("states", f"{states}, starts at {printable(value['StartAt'])}"),
            ("status", described["status"]),
            ("created", when(described["creationDate"], True, utc)),
            ("revision", described.get("revisionId", "")),
            ("role", described["roleArn"]),
            ("comment", printable(str(value.get("Comment", "")), 200)),
            ("search", printable(searched, 500)),
            ("file", printable(str((described.get("extras") or {}).get("file") or ""))),
            ("ARN", described["stateMachineArn"]),
        ]
        lines = [[(f"{name:<9}", DIM), (text, "")] for name, text in facts if text]
        lines += [[("not searched: ", "yellow"), (printable(each), "")] for each in faults]
        if searched:
            notes = await attributes.partial(client, arn)
            lines += [[("not all: ", "yellow"), (printable(each), "")] for each in notes]
        screen.write([[(printable(described["name"]), "bold")], *lines], sys.stdout)

    return using(*where, read)


# --- create, update, apply, delete ----------------------------------------------------------------


@with_where
def put(
    *,
    how: str,
    file: Path,
    name: str | None,
    type: StrEnum,
    role: str | None,
    param: Sequence[str] | None,
    params: Path | None,
    publish: bool,
    search_attributes: str | None,
    json: bool,
    where: Where,
) -> int:
    """All state machines of a template, if the file is one with several.

    how  "create", "update", or "apply", which does what is needed
    """
    from stepwell.integrations.cli import files  # imported late: it has the language

    attributes.check(search_attributes)
    limits = where.limits
    given = files.parameters(param or [], params, limits)
    machines = files.machines(file, limits)
    if name is not None and len(machines) > 1:
        which = " or ".join(map(str, machines))
        raise UsageError(f"--name {name}: {file} has several state machines: name {which}")

    def read(machine: Path, home: arns.Home) -> tuple[str, str, str]:
        """Its name, type and definition."""
        parameters = files.with_pseudo_parameters(machine, given, home)
        kind = files.type_of(machine, type, parameters, limits)
        source = files.definition(machine, parameters, kind, None, lambda each: each, limits)
        return name or files.machine_name(machine, kind, parameters, limits), kind, source.text

    async def work(client: Client) -> None:
        home = await lookup.home(client)
        for called, kind, text in [read(each, home) for each in machines]:
            answer, did = await stored(client, called, kind, text, how, role=role, publish=publish)
            await attributes.tag(client, answer["stateMachineArn"], search_attributes)
            if json:
                print(ndjson(answer))
                continue
            print(answer.get("stateMachineVersionArn") or answer["stateMachineArn"])
            print(f"{did} {called}", file=sys.stderr)

    return using(*where, work, create=how != "update")


async def stored(
    client: Client,
    name: str,
    type: str,
    definition: str,
    how: str = "apply",
    *,
    role: str | None = None,
    publish: bool = False,
    **more: Any,
) -> tuple[dict[str, Any], str]:
    """(the answer, with the ARN of the machine; "created", "updated" or "unchanged"). Raises
    ApiError, UsageError.

    more  parameters of a client of an engine: extras
    """
    asked: dict[str, Any] = {"definition": definition, "publish": publish or None, **more}
    known = await described(client, name)
    if known is None:
        if how == "update":
            create = command("machines", "create", *client.words)
            raise UsageError(f"there is no state machine called {name}: use `{create}`")
        made = {"name": name, "type": type, "role_arn": role or ROLE}
        return await client.call("create_state_machine", **made, **asked), "created"
    if how == "create":
        update = command("machines", "update", *client.words)
        raise UsageError(f"there is a state machine called {name}: use `{update}`")
    if known["type"] != type:
        raise UsageError(f"{name} is {known['type']}: a state machine cannot become {type}")
    arn = known["stateMachineArn"]
    same = known["definition"] == definition and role in (None, known["roleArn"])
    if same and not publish and known.get("extras", {}) == more.get("extras", {}):
        return {"stateMachineArn": arn}, "unchanged"
    changed = await client.call(
        "update_state_machine", state_machine_arn=arn, role_arn=role, **asked
    )
    return {"stateMachineArn": arn, **changed}, "updated"


async def described(client: Client, name: str) -> dict[str, Any] | None:
    page = await client.call("list_state_machines", max_results=1)
    for any_machine in page["stateMachines"]:
        arn = f"{any_machine['stateMachineArn'].rpartition(':')[0]}:{name}"
        try:
            described: dict[str, Any] = await client.call(
                "describe_state_machine", state_machine_arn=arn
            )
            return described
        except ApiError as fault:
            if fault.code != "StateMachineDoesNotExist":
                raise
    return None


@with_where
def tag(machine: str, search_attributes: str | None, where: Where) -> int:
    if search_attributes is None:
        raise UsageError(f"{attributes.OPTION} is needed; an empty text removes the tag")
    attributes.check(search_attributes)

    async def work(client: Client) -> None:
        arn = await lookup.machine_arn(client, machine)
        await attributes.tag(client, arn, search_attributes)
        name = arns.machine_name(arn)
        earlier = command("machines", "index", name, *client.words)
        print(
            f"tagged {name}: it counts for later executions; `{earlier}` indexes earlier ones",
            file=sys.stderr,
        )

    return using(*where, work)


@with_where
def index(machines: Sequence[str], json: bool, where: Where) -> int:
    async def work(client: Client) -> None:
        for arn in [await lookup.machine_arn(client, each) for each in dict.fromkeys(machines)]:
            name, bar = arns.machine_name(arn), screen.fancy(sys.stderr)

            def progress(done: int, name: str = name, bar: bool = bar) -> None:
                if bar:
                    print(f"\r\x1b[K{name}: {done:,}", end="", file=sys.stderr, flush=True)

            answer = await attributes.index(client, arn, progress)
            done, named = count(answer["executionsIndexed"], "execution"), answer["attributes"]
            by = ", ".join(named) or "no attribute"
            head = "\r\x1b[K" if bar else ""
            print(f"{head}indexed {done} of {name} by {by}", file=sys.stderr)
            if json:
                print(ndjson(answer))

    return using(*where, work)


@with_where
def delete(machines: Sequence[str], yes: bool, where: Where) -> int:
    async def work(client: Client) -> int:
        found = [await lookup.machine_arn(client, each) for each in dict.fromkeys(machines)]
        if not yes and not _confirmed(len(found)):
            print("nothing was changed", file=sys.stderr)
            return exit_codes.USAGE
        for arn in found:
            await client.call("delete_state_machine", state_machine_arn=arn)
            print(f"deleted {arns.machine_name(arn)}", file=sys.stderr)
        return exit_codes.SUCCEEDED

    return using(*where, work)


def _confirmed(number: int) -> bool:
    what = count(number, "state machine")
    if not sys.stdin.isatty():
        raise UsageError(f"this would delete {what}: use --yes to do so")
    print(f"delete {what}? Running executions end. [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


# --- versions, aliases ----------------------------------------------------------------------------


@with_where
def versions(
    *,
    machine: str,
    publish: bool,
    description: str | None,
    delete: int | None,
    json: bool,
    utc: bool,
    where: Where,
) -> int:
    async def work(client: Client) -> None:
        arn = await lookup.machine_arn(client, machine)
        if publish:
            answer = await client.call(
                "publish_state_machine_version", state_machine_arn=arn, description=description
            )
            print(ndjson(answer) if json else answer["stateMachineVersionArn"])
            return
        if delete is not None:
            version = await _version(client, arn, str(delete))
            await client.call("delete_state_machine_version", state_machine_version_arn=version)
            print(f"deleted version {delete} of {machine}", file=sys.stderr)
            return
        found = [
            each
            async for page in polling.pages(
                client.call, "list_state_machine_versions", state_machine_arn=arn
            )
            for each in page["stateMachineVersions"]
        ]
        screen.listing(
            found,
            json,
            ["version", "created"],
            lambda each: [
                each["stateMachineVersionArn"].rpartition(":")[2],
                when(each["creationDate"], utc=utc),
            ],
        )

    return using(*where, work)


async def _version(client: Client, arn: str, number: str) -> str:
    """Its ARN. Raises UsageError if there is no such version: to delete one is no error in the API,
    and an alias of one gets no other reason than that something does not exist.
    """
    version = f"{arn}:{number}"
    try:
        await client.call("describe_state_machine", state_machine_arn=version)
    except ApiError as fault:
        if fault.code != "StateMachineDoesNotExist":
            raise
        name = arns.machine_name(arn)
        known = command("machines", "versions", name, *client.words)
        raise UsageError(f"{name} has no version {number} (`{known}` shows all)") from None
    return version


@with_where
def aliases(
    *, machine: str, set: str | None, delete: str | None, json: bool, utc: bool, where: Where
) -> int:
    """set: ALIAS=VERSION or ALIAS=VERSION:WEIGHT,VERSION:WEIGHT."""

    async def work(client: Client) -> None:
        arn = await lookup.machine_arn(client, machine)
        if set is not None:
            await _route(client, arn, set)
        elif delete is not None:
            alias = f"{arn}:{delete}"
            await client.call("delete_state_machine_alias", state_machine_alias_arn=alias)
            print(f"deleted alias {delete} of {machine}", file=sys.stderr)
        else:
            await _show_aliases(client, arn, json, utc)

    return using(*where, work)


async def _route(client: Client, arn: str, text: str) -> None:
    name, routes = _routes(arn, text)
    alias = f"{arn}:{name}"
    for route in routes:
        await _version(client, arn, route["stateMachineVersionArn"].rpartition(":")[2])
    try:
        await client.call("describe_state_machine_alias", state_machine_alias_arn=alias)
    except ApiError as fault:
        if fault.code != "ResourceNotFound":
            raise
        await client.call("create_state_machine_alias", name=name, routing_configuration=routes)
    else:
        asked = {"state_machine_alias_arn": alias, "routing_configuration": routes}
        await client.call("update_state_machine_alias", **asked)
    print(alias)


def _routes(arn: str, text: str) -> tuple[str, list[dict[str, Any]]]:
    """ALIAS=1:90,2:10 -> the alias and its routingConfiguration. Raises UsageError."""
    name, sign, pairs = text.partition("=")
    routes: list[dict[str, Any]] = []
    for pair in pairs.split(","):
        version, _, weight = pair.partition(":")
        if not (name and sign and version.isdigit() and (weight or "100").isdigit()):
            raise UsageError(f"--set {text}: not ALIAS=VERSION or ALIAS=VERSION:WEIGHT,...")
        version_arn = f"{arn}:{version}"
        routes.append({"stateMachineVersionArn": version_arn, "weight": int(weight or "100")})
    return name, routes


async def _show_aliases(client: Client, arn: str, json: bool, utc: bool) -> None:
    listed = [
        each
        async for page in polling.pages(
            client.call, "list_state_machine_aliases", state_machine_arn=arn
        )
        for each in page["stateMachineAliases"]
    ]
    found: list[Mapping[str, Any]] = [
        await client.call(
            "describe_state_machine_alias",
            state_machine_alias_arn=each["stateMachineAliasArn"],
        )
        for each in listed
    ]

    def row(alias: Mapping[str, Any]) -> list[str]:
        routes = (
            f"{route['stateMachineVersionArn'].rpartition(':')[2]} ({route['weight']} %)"
            for route in alias["routingConfiguration"]
        )
        return [alias["name"], ", ".join(routes), when(alias["updateDate"], utc=utc)]

    screen.listing(found, json, ["alias", "versions", "updated"], row)
