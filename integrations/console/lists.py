"""What the console shows of the embedded services: their lists, the parts of one thing, and what
was delivered lately. ONE table.

Everything is asked with the services' own public operations, page by page; what a service does not
have is left out.
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


class Ask(NamedTuple):
    """An operation, and where in its answer is what was asked for.

    of       parameter -> member of the item that it is about      given  parameter -> value
    member   "": the answer itself                                 text   an item that is a text
             becomes {text: it}
    token    the member that says that there is more, and the parameter that asks for it
    service  botocore's name, "": the one that the list is of
    """

    method: str
    member: str
    of: Mapping[str, str] = _NONE
    given: Mapping[str, Any] = _NONE
    text: str = ""
    token: tuple[str, str] = ("NextToken", "next_token")
    service: str = ""


Columns = tuple[tuple[str, str], ...]  # (title, member; a.b is b in a)


class Part(NamedTuple):
    title: str
    ask: Ask
    columns: Columns


class Listing(NamedTuple):
    """arn: the member that names one; over: what `every` is asked for each of; also: more of them;
    about: adds members to an item.
    """

    title: str
    columns: Columns
    arn: str
    every: Ask
    over: Ask | None = None
    also: Ask | None = None
    about: Ask | None = None
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
        Ask("list_functions", "Functions", token=_MARKER),
        also=Ask("functions_of_the_host", "Functions"),
        parts=(
            Part(
                "Reads from",
                Ask(
                    "list_event_source_mappings",
                    "EventSourceMappings",
                    {"function_name": "FunctionName"},
                    token=_MARKER,
                ),
                (("Source", "EventSourceArn"), ("State", "State"), ("Batch size", "BatchSize")),
            ),
            Part(
                "Aliases",
                Ask("list_aliases", "Aliases", {"function_name": "FunctionName"}, token=_MARKER),
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
        Ask("list_topics", "Topics"),
        about=Ask("get_topic_attributes", "Attributes", {"topic_arn": "TopicArn"}),
        parts=(
            Part(
                "Subscriptions",
                Ask("list_subscriptions_by_topic", "Subscriptions", {"topic_arn": "TopicArn"}),
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
        Ask("list_queues", "QueueUrls", given={"max_results": 1000}, text="QueueUrl"),
        about=Ask(
            "get_queue_attributes",
            "Attributes",
            {"queue_url": "QueueUrl"},
            {"attribute_names": ("All",)},
        ),
        parts=(
            Part(
                "Read by",
                Ask(
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
                Ask(
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
        Ask("list_rules", "Rules", {"event_bus_name": "Name"}),
        over=Ask("list_event_buses", "EventBuses"),
        parts=(
            Part(
                "Targets",
                Ask(
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
        Ask("list_schedules", "Schedules"),
        about=Ask("get_schedule", "", {"name": "Name", "group_name": "GroupName"}),
    ),
}


class Lists:
    """services: by botocore's names; delivery_log: what they delivered."""

    def __init__(
        self,
        services: Mapping[str, object],
        delivery_log: DeliveryLog,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._services, self._delivery_log, self._limits = services, delivery_log, limits

    def titles(self) -> dict[str, str]:
        """Of the lists that there are, by service, in the order of the table."""
        return {name: listing.title for name, listing in LISTINGS.items() if name in self._services}

    async def listing(self, name: str) -> dict[str, Any]:
        """{"title", "columns", "rows": [{"arn", "cells"}], "more"}; more: there are others, that
        are not shown.
        """
        how, found = self._listing(name), list[dict[str, Any]]()
        async for item in self._items(name, how):
            if len(found) == self._limits.console_listed:
                return {
                    "title": how.title,
                    "columns": _titles(how.columns),
                    "rows": found,
                    "more": True,
                }
            found.append({"arn": str(item.get(how.arn, "")), "cells": _cells(item, how.columns)})
        return {"title": how.title, "columns": _titles(how.columns), "rows": found, "more": False}

    async def thing(self, name: str, arn: str) -> dict[str, Any]:
        """{"facts": JSON text, "parts": [{"title", "columns", "rows", "more"}]} of one of them."""
        how = self._listing(name)
        async for item in self._items(name, how):
            if item.get(how.arn) == arn:
                return {
                    "facts": json.dumps(item, default=str),
                    "parts": [part async for part in self._parts(name, how, item)],
                }
        raise ApiError("NotFound", messages.CONSOLE_NOT_THERE)

    def deliveries(self, name: str, arn: str) -> dict[str, Any]:
        """{"rows": [[epoch seconds, source, target, id, outcome, attempt, error]]}, the newest
        first, of one thing or of the service.
        """
        self._listing(name)
        return {"rows": rows(self._delivery_log.of(arn, name, self._limits.console_deliveries))}

    def _listing(self, name: str) -> Listing:
        if name not in self._services or name not in LISTINGS:
            raise ApiError("NotFound", messages.CONSOLE_NOT_THERE)
        return LISTINGS[name]

    async def _items(self, name: str, how: Listing) -> AsyncIterator[Item]:
        if how.over is None:
            groups: list[Item] = [{}]
        else:
            groups = [item async for item in self._asked(name, how.over, {})]
        seen = set[str]()
        for ask, group in [
            *((how.every, group) for group in groups),
            *([(how.also, Item())] if how.also else []),
        ]:
            async for item in self._asked(name, ask, group):
                found = (
                    item if how.about is None else item | await self._about(name, how.about, item)
                )
                if (arn := str(found.get(how.arn))) not in seen:
                    seen.add(arn)
                    yield found

    async def _about(self, name: str, ask: Ask, item: Item) -> Item:
        try:
            return next(iter([each async for each in self._asked(name, ask, item)]), {})
        except ApiError:  # it was deleted meanwhile
            return {}

    async def _parts(self, name: str, how: Listing, item: Item) -> AsyncIterator[dict[str, Any]]:
        for part in how.parts:
            found, more = list[list[str]](), False
            with suppress(ApiError):  # a function of the folder has no aliases
                async for each in self._asked(name, part.ask, item):
                    more = len(found) == self._limits.console_listed
                    if more:
                        break
                    found.append(_cells(each, part.columns))
            yield {
                "title": part.title,
                "columns": _titles(part.columns),
                "rows": found,
                "more": more,
            }

    async def _asked(self, name: str, ask: Ask, item: Item) -> AsyncIterator[Item]:
        method = getattr(self._services.get(ask.service or name), ask.method, None)
        asked = {
            **ask.given,
            **{parameter: item[member] for parameter, member in ask.of.items() if member in item},
        }
        while method is not None:
            answer = await method(**asked)
            found = answer.get(ask.member, ()) if ask.member else answer
            for each in [found] if isinstance(found, dict) else found:
                yield {ask.text: each} if ask.text else each
            following = answer.get(ask.token[0])
            if following is None:
                return
            asked[ask.token[1]] = following


def _titles(columns: Columns) -> list[str]:
    return [title for title, _ in columns]


def _cells(item: Item, columns: Columns) -> list[str]:
    return [_cell(item, member) for _, member in columns]


def _cell(item: Any, member: str) -> str:
    for name in member.split("."):
        item = item.get(name) if isinstance(item, dict) else None
    return "" if item is None else item if isinstance(item, str) else json.dumps(item, default=str)
