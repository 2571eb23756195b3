"""Search attributes of state machines: the option that sets them, and what commands show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stepwell.asl import search_attributes
from stepwell.asl.evaluation import Json
from stepwell.asl.search_attributes import MARKER, Attribute
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.errors import UsageError

OPTION: Final = "--search-attributes"


def check(text: str | None) -> None:
    """Raises UsageError for a text with a fault."""
    if text and (faults := search_attributes.faults(text)):
        raise UsageError(f"{OPTION}: {faults[0]}")


async def tag(client: Client, machine_arn: str, text: str | None) -> None:
    """Set those that the tag of a machine names; an empty text removes the tag."""
    arn = ":".join(machine_arn.split(":")[:7])  # without its version
    if text:
        tags = [{"key": MARKER, "value": text}]
        await client.call("tag_resource", resource_arn=arn, tags=tags)
    elif text is not None:
        await client.call("untag_resource", resource_arn=arn, tag_keys=[MARKER])


async def shown(client: Client, machine: Mapping[str, Any], comment: Json) -> tuple[str, list[str]]:
    """The attributes of a machine, as text, and the faults of their texts. machine: its
    description; comment: of its definition.
    """
    arn = ":".join(machine["stateMachineArn"].split(":")[:7])
    tags = (await client.call("list_tags_for_resource", resource_arn=arn))["tags"]
    texts = [search_attributes.in_comment(comment)]
    texts += [each["value"] for each in tags if each["key"] == MARKER]
    found = {each: None for text in texts for each in search_attributes.read(text)}
    faults = [fault for text in texts for fault in search_attributes.faults(text)]
    return " ".join(map(_shown, found)), faults


def _shown(attribute: Attribute) -> str:
    name, output, path = attribute
    if not output and path == (name,):
        return name
    return f"{name}={'output.' if output else ''}{'.'.join(path)}"
