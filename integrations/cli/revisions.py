"""The definitions that `diff` and `replay` compare: files, files in a Git commit, and revisions of
state machines in a database.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.files.definition_templates import split
from stepwell.engine.errors import ApiError
from stepwell.integrations.cli import files, lookup
from stepwell.integrations.cli.clients import choosing
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.clients.choosing import Where
from stepwell.integrations.definitions.folders import file_of
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits

GIT: Final = "git:"


class Revision(NamedTuple):
    """A definition, and how the user named it."""

    name: str
    text: str

    @property
    def definition(self) -> dict[str, Any]:
        value: dict[str, Any] = json_text.loads(self.text)
        return value


def read(name: str, parameters: Mapping[str, Any], where: Where) -> Revision:
    """A file, git:REV:PATH, or a state machine: name, NAME:VERSION, NAME:ALIAS or ARN. Raises
    UsageError.
    """
    if name.startswith(GIT):
        return _from_git(name, parameters, where.limits)
    if os.path.exists(file_of(Path(name))) or _is_path(split(name)[0]):
        return Revision(name, _from_file(Path(name), parameters, where.limits))
    return asyncio.run(_stored(name, where))


def _is_path(name: str) -> bool:
    """Whether a file was meant, although there is none."""
    return not name.startswith("arn:") and (
        name == "-" or os.sep in name or name.lower().endswith((".json", ".yaml", ".yml", ".asl"))
    )


def _from_file(file: Path, parameters: Mapping[str, Any], limits: Limits) -> str:
    """Any Resource is valid, and placeholders without a parameter are kept: nothing is run."""
    source = files.definition(file, parameters, "STANDARD", None, str, limits, runs=False)
    return source.written


def _from_git(name: str, parameters: Mapping[str, Any], limits: Limits) -> Revision:
    revision, colon, path = name.removeprefix(GIT).partition(":")
    if not revision or not colon or not path:
        raise UsageError(f"{name}: not git:REVISION:PATH, such as git:main:order.asl.json")
    # a path that starts with ./ is relative to the current folder, as for a file
    committed, _ = split(path)
    spec = f"{revision}:{committed if committed.startswith('/') else os.path.join('.', committed)}"
    try:
        done = subprocess.run(["git", "show", spec], capture_output=True, check=False)
    except OSError as fault:
        raise UsageError(f"{name}: git cannot be run: {fault.strerror or fault}") from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise UsageError(f"{name}: {reason.splitlines()[0] if reason else 'git show failed'}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(committed).name  # its suffix says how to read it
        file.write_bytes(done.stdout)
        named = file.with_name(Path(path).name)
        return Revision(name, _from_file(named, parameters, limits))


async def _stored(name: str, where: Where) -> Revision:
    async with choosing.opened(*where) as client:
        return Revision(name, (await describe(client, name))["definition"])


async def describe(client: Client, name: str) -> Mapping[str, Any]:
    """DescribeStateMachine's answer for a machine, version or alias. Raises UsageError."""
    hint = "" if name.startswith("arn:") else "; there is no file of this name either"
    try:
        arn = await lookup.machine_arn(client, name)
    except UsageError as fault:
        raise UsageError(f"{fault}{hint}") from None
    qualifier = arn.split(":", 7)[7:]
    try:
        if qualifier and not qualifier[0].isdigit():
            alias = await client.call("describe_state_machine_alias", state_machine_alias_arn=arn)
            routes = [
                each["stateMachineVersionArn"]
                for each in alias["routingConfiguration"]
                if each["weight"]
            ]
            if len(routes) > 1:
                versions = " and ".join(each.rpartition(":")[2] for each in routes)
                raise UsageError(f"{name} routes to the versions {versions}: name one of them")
            arn = routes[0]
        found: Mapping[str, Any] = await client.call(
            "describe_state_machine", state_machine_arn=arn
        )
        return found
    except ApiError as fault:
        raise UsageError(f"{name}: {fault.message}{hint}") from None
