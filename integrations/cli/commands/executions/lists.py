"""What `stepwell list` and `history` do."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from stepwell.engine import arns
from stepwell.integrations.cli import lookup
from stepwell.integrations.cli.clients import search_attributes, selection
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.clients.choosing import Where, using
from stepwell.integrations.cli.errors import with_where
from stepwell.integrations.cli.output import events, screen
from stepwell.integrations.cli.output.text import (
    ndjson,
    printable,
    took,
    when,
)

WIDE: Final = 150  # columns of a history that is no terminal's


@with_where
def list_(
    query: Sequence[str],
    options: Mapping[str, str | None],
    attributes: str | None,
    limit: int,
    json: bool,
    utc: bool,
    where: Where,
) -> int:
    """options: the fields of selection.Wanted. attributes: names, with commas between them."""
    selected = selection.read(options, query)
    asked = None if attributes is None else search_attributes.names(attributes)

    async def read(client: Client) -> None:
        shown = [each async for each in selection.executions(client, selected, limit, asked)]
        if json:
            for each in shown:
                print(ndjson(each))
            return
        parked = await client.parked()
        columns = search_attributes.columns(selected.search(), asked)
        rows = [
            [
                *_list_row(each, each["executionArn"] in parked, utc),
                *search_attributes.cells(each, columns),
            ]
            for each in shown
        ]
        heads = ["name", "machine", "status", "started", "took", *columns]
        screen.table(heads, rows, sys.stdout)

    return using(*where, read)


def _list_row(each: Mapping[str, Any], parked: bool, utc: bool) -> list[str]:
    return [
        printable(each["name"]),
        arns.machine_name(each["stateMachineArn"]),
        f"{each['status']}, parked" if parked else each["status"],
        when(each["startDate"], utc=utc),
        took(each["stopDate"] - each["startDate"]) if "stopDate" in each else "",
    ]


# --- history --------------------------------------------------------------------------------------


@with_where
def history(execution: str, reverse: bool, json: bool, where: Where) -> int:
    async def read(client: Client) -> None:
        arn = (await lookup.find(client, execution))["executionArn"]
        start, width = None, screen.width() if sys.stdout.isatty() else WIDE
        async for event in client.history(arn, reverse):
            if json:
                print(ndjson(event))
                continue
            if start is None:
                start = event["timestamp"]
                print(events.history_head(width))
            print(events.history_line(event, start, width))

    return using(*where, read)
