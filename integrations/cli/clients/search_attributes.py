"""Search attributes of state machines: the option that sets them, what commands show of them, and
how earlier executions are indexed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from stepwell.asl import json_text, search_attributes
from stepwell.asl.evaluation import Json
from stepwell.asl.search_attributes import MARKER, Attribute
from stepwell.engine.arns import machine_name
from stepwell.engine.errors import ApiError
from stepwell.engine.search.wanted import Search
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.output.text import command, printable, when
from stepwell.integrations.errors import UsageError

OPTION: Final = "--search-attributes"
LOOK_SECONDS: Final = 0.2  # between two looks at how far the index is
CELL_CHARS: Final = 40  # of a value in a list


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


async def index(
    client: Client, machine_arn: str, progress: Callable[[int], object]
) -> Mapping[str, Any]:
    """Index the earlier executions of a machine; the last answer of DescribeExecutionIndex.

    progress  is called with the number of executions that are indexed
    """
    answer: Mapping[str, Any] = await client.call("index_executions", state_machine_arn=machine_arn)
    while answer["status"] == "INDEXING":
        progress(answer["executionsIndexed"])
        await asyncio.sleep(LOOK_SECONDS)
        answer = await client.call("describe_execution_index", state_machine_arn=machine_arn)
    return answer


# --- shown ----------------------------------------------------------------------------------------


def names(text: str) -> list[str]:
    """Of customer,total. Raises UsageError."""
    found = [each.strip() for each in text.split(",")]
    for each in found:
        if not search_attributes.is_name(each):
            raise UsageError(f"--attributes {text}: {each!r} is not the name of an attribute")
    return list(dict.fromkeys(found))


def columns(search: Search, asked: Sequence[str] | None) -> list[str]:
    """The attributes that a list shows: those that are asked for, else those of the query."""
    queried = dict.fromkeys(each.name for each in search.conditions)
    return list(queried if asked is None else asked)


def cells(execution: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    values = execution.get("searchAttributes", {})
    return [", ".join(map(_cell, values.get(name, ()))) for name in columns]


def _cell(value: Json) -> str:
    text = value if isinstance(value, str) else json_text.dumps(value)
    return printable(text, CELL_CHARS)


def notes(answer: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """What a list should not pass over in silence: attributes that are not in the index of all
    executions. answer: the first of SearchExecutions; words: the options of the place.
    """
    lines = []
    for each in answer.get("partialAttributes", ()):
        machine = machine_name(each["stateMachineArn"])
        asked = command("machines", "index", machine, *words)
        name, since = each["name"], when(each["since"])
        lines.append(
            f"{name} finds executions of {machine} that started since {since}; `{asked}` indexes "
            "earlier ones"
            if each["change"] == "CHANGED"
            else f"{name} was removed from {machine} at {since}: executions that started since "
            "then are not found"
        )
    partial = {each["name"] for each in answer.get("partialAttributes", ())}
    unknown = [each for each in answer.get("unknownAttributes", ()) if each not in partial]
    if unknown:
        lines.append(f"no execution has the search attribute {', '.join(unknown)}")
    return lines


async def partial(client: Client, machine_arn: str) -> list[str]:
    """The same of all attributes of a machine; none of a version, of an Express machine, and of a
    server without searches.
    """
    try:
        answer = await client.call("describe_execution_index", state_machine_arn=machine_arn)
    except ApiError:
        return []
    return notes(answer, client.words)


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
