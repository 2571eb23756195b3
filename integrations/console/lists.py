"""What the console shows of the embedded services: their lists, the parts of one item, and recent
deliveries.

LISTINGS declares all of it. The data come from the services' own public operations, page by page;
an operation that a service does not have is skipped.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from stepwell.engine.errors import ApiError
from stepwell.integrations.console import messages
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.services.common.delivery_log import DeliveryLog, rows

Item = dict[str, Any]
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Source(NamedTuple):
    """An operation whose answers list items.

    member      of an answer: its items; "": the answer is the item
    of          parameter -> member of the item that the list belongs to
    parameters  others, with their values
    text        an item that is a text becomes {text: item}
    token       member of an answer, and parameter, with the token of the next page
    service     botocore's name; "": the service of the listing
    """

    method: str
    member: str
    of: Mapping[str, str] = _NONE
    parameters: Mapping[str, Any] = _NONE
    text: str = ""
    token: tuple[str, str] = ("NextToken", "next_token")
    service: str = ""


Columns = tuple[tuple[str, str], ...]  # (title, member; a.b is member b of a)


class Part(NamedTuple):
    """A list that belongs to one item, such as the subscriptions of a topic."""

    title: str
    source: Source
    columns: Columns


class Listing(NamedTuple):
    """The list of a service.

    arn    member of an item: its ARN
    items  of the list; called once, or for each item of `over`
    also   further items
    about  adds members to an item
    """

    title: str
    columns: Columns
    arn: str
    items: Source
    over: Source | None = None
    also: Source | None = None
    about: Source | None = None
    parts: tuple[Part, ...] = ()


_MARKER: Final = ("NextMarker", "marker")
_READERS: Final = (("Function", "FunctionArn"), ("State", "State"), ("Batch size", "BatchSize"))

LISTINGS: Final[Mapping[str, Listing]] = {
    "lambda": Listing(
        "Functions",
        (
            ("Function", "FunctionName"),
            ("Runtime", "Runtime"),
            ("Handler", "Handler"),
            ("Last modified", "LastModified"),
        ),
        "FunctionArn",
        Source("list_functions", "Functions", token=_MARKER),
        also=Source("functions_of_the_host", "Functions"),
        parts=(
            Part(
                "Reads from",
                Source(
                    "list_event_source_mappings",
                    "EventSourceMappings",
                    {"function_name": "FunctionName"},
                    token=_MARKER,
                ),
                (("Source", "EventSourceArn"), ("State", "State"), ("Batch size", "BatchSize")),
            ),
            Part(
                "Aliases",
                Source("list_aliases", "Aliases", {"function_name": "FunctionName"}, token=_MARKER),
                (("Alias", "Name"), ("Version", "FunctionVersion"), ("Description", "Description")),
            ),
        ),
    ),
    "sns": Listing(
        "Topics",
        (
            ("Topic", "TopicArn"),
            ("Subscriptions", "SubscriptionsConfirmed"),
            ("Pending", "SubscriptionsPending"),
            ("FIFO", "FifoTopic"),
        ),
        "TopicArn",
        Source("list_topics", "Topics"),
        about=Source("get_topic_attributes", "Attributes", {"topic_arn": "TopicArn"}),
        parts=(
            Part(
                "Subscriptions",
                Source("list_subscriptions_by_topic", "Subscriptions", {"topic_arn": "TopicArn"}),
                (
                    ("Protocol", "Protocol"),
                    ("Endpoint", "Endpoint"),
                    ("Subscription", "SubscriptionArn"),
                ),
            ),
        ),
    ),
    "sqs": Listing(
        "Queues",
        (
            ("Queue", "QueueArn"),
            ("Messages", "ApproximateNumberOfMessages"),
            ("In flight", "ApproximateNumberOfMessagesNotVisible"),
            ("Delayed", "ApproximateNumberOfMessagesDelayed"),
        ),
        "QueueArn",
        Source("list_queues", "QueueUrls", parameters={"max_results": 1000}, text="QueueUrl"),
        about=Source(
            "get_queue_attributes",
            "Attributes",
            {"queue_url": "QueueUrl"},
            {"attribute_names": ("All",)},
        ),
        parts=(
            Part(
                "Read by",
                Source(
                    "list_event_source_mappings",
                    "EventSourceMappings",
                    {"event_source_arn": "QueueArn"},
                    token=_MARKER,
                    service="lambda",
                ),
                _READERS,
            ),
            Part(
                "Dead letters of",
                Source(
                    "list_dead_letter_source_queues",
                    "queueUrls",
                    {"queue_url": "QueueUrl"},
                    text="QueueUrl",
                ),
                (("Queue", "QueueUrl"),),
            ),
        ),
    ),
    "events": Listing(
        "Rules",
        (
            ("Rule", "Name"),
            ("Bus", "EventBusName"),
            ("State", "State"),
            ("Pattern", "EventPattern"),
            ("Schedule", "ScheduleExpression"),
        ),
        "Arn",
        Source("list_rules", "Rules", {"event_bus_name": "Name"}),
        over=Source("list_event_buses", "EventBuses"),
        parts=(
            Part(
                "Targets",
                Source(
                    "list_targets_by_rule",
                    "Targets",
                    {"rule": "Name", "event_bus_name": "EventBusName"},
                ),
                (("Id", "Id"), ("Target", "Arn"), ("Input", "Input")),
            ),
        ),
    ),
    "scheduler": Listing(
        "Schedules",
        (
            ("Schedule", "Name"),
            ("Group", "GroupName"),
            ("State", "State"),
            ("When", "ScheduleExpression"),
            ("Target", "Target.Arn"),
        ),
        "Arn",
        Source("list_schedules", "Schedules"),
        about=Source("get_schedule", "", {"name": "Name", "group_name": "GroupName"}),
    ),
}


class Lists:
    """services: by botocore's names; delivery_log: their recent deliveries."""

    def __init__(
        self,
        services: Mapping[str, object],
        delivery_log: DeliveryLog,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._services, self._delivery_log, self._limits = services, delivery_log, limits

    def titles(self) -> dict[str, str]:
        """service -> title of its list, in the order of the table."""
        return {name: listing.title for name, listing in LISTINGS.items() if name in self._services}

    async def listing(self, service: str) -> dict[str, Any]:
        """{"title", "columns", "rows": [{"arn", "cells"}], "more"}; more: some items are not
        shown.
        """
        listing = self._listing(service)
        rows: list[dict[str, Any]] = []
        more = False
        async for item in self._items(service, listing):
            more = len(rows) == self._limits.console_listed
            if more:
                break
            arn = str(item.get(listing.arn, ""))
            rows.append({"arn": arn, "cells": _cells(item, listing.columns)})
        columns = _titles(listing.columns)
        return {"title": listing.title, "columns": columns, "rows": rows, "more": more}

    async def thing(self, service: str, arn: str) -> dict[str, Any]:
        """{"facts": JSON text, "parts": [{"title", "columns", "rows", "more"}]} of one item."""
        listing = self._listing(service)
        async for item in self._items(service, listing):
            if item.get(listing.arn) == arn:
                parts = [await self._part(service, part, item) for part in listing.parts]
                return {"facts": json.dumps(item, default=str), "parts": parts}
        raise ApiError("NotFound", messages.NOT_FOUND)

    def deliveries(self, service: str, arn: str) -> dict[str, Any]:
        """{"rows": [[epoch seconds, source, target, id, outcome, attempt, error]]}, newest first,
        of one item or (arn: "") of the service.
        """
        self._listing(service)
        return {"rows": rows(self._delivery_log.of(arn, service, self._limits.console_deliveries))}

    def _listing(self, service: str) -> Listing:
        if service not in self._services or service not in LISTINGS:
            raise ApiError("NotFound", messages.NOT_FOUND)
        return LISTINGS[service]

    async def _items(self, service: str, listing: Listing) -> AsyncIterator[Item]:
        """All items, each ARN once."""
        groups: list[Item] = [{}]
        if listing.over is not None:
            groups = [item async for item in self._read(service, listing.over, {})]
        sources = [(listing.items, group) for group in groups]
        if listing.also is not None:
            sources.append((listing.also, {}))
        seen = set[str]()
        for source, group in sources:
            async for item in self._read(service, source, group):
                if listing.about is not None:
                    item = item | await self._about(service, listing.about, item)
                if (arn := str(item.get(listing.arn))) not in seen:
                    seen.add(arn)
                    yield item

    async def _about(self, service: str, source: Source, item: Item) -> Item:
        try:
            return next(iter([each async for each in self._read(service, source, item)]), {})
        except ApiError:  # it was deleted meanwhile
            return {}

    async def _part(self, service: str, part: Part, item: Item) -> dict[str, Any]:
        rows: list[list[str]] = []
        more = False
        with suppress(ApiError):  # a function of the functions folder has no aliases
            async for each in self._read(service, part.source, item):
                more = len(rows) == self._limits.console_listed
                if more:
                    break
                rows.append(_cells(each, part.columns))
        return {
            "title": part.title,
            "columns": _titles(part.columns),
            "rows": rows,
            "more": more,
        }

    async def _read(self, service: str, source: Source, item: Item) -> AsyncIterator[Item]:
        """The items of a source, page by page. item: the one that they belong to"""
        method = getattr(self._services.get(source.service or service), source.method, None)
        parameters = {
            **source.parameters,
            **{name: item[member] for name, member in source.of.items() if member in item},
        }
        while method is not None:
            answer = await method(**parameters)
            items = answer.get(source.member, ()) if source.member else answer
            for each in [items] if isinstance(items, dict) else items:
                yield {source.text: each} if source.text else each
            token = answer.get(source.token[0])
            if token is None:
                return
            parameters[source.token[1]] = token


def _titles(columns: Columns) -> list[str]:
    return [title for title, _ in columns]


def _cells(item: Item, columns: Columns) -> list[str]:
    return [_cell(item, member) for _, member in columns]


def _cell(item: Any, member: str) -> str:
    for name in member.split("."):
        item = item.get(name) if isinstance(item, dict) else None
    return "" if item is None else item if isinstance(item, str) else json.dumps(item, default=str)
