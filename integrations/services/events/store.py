"""Buses and rules, and what the parts of EventBridge share: names, patterns and pages.

events/bus/NAME        events/rule/BUS/NAME (with its targets)
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.json_text import JsonError, loads
from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.engine.operations import paging
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.event_patterns import (
    Match,
    PatternError,
    compile_pattern,
)
from stepwell.integrations.services.common.schedule_expressions import (
    Schedule,
    ScheduleError,
    parse_schedule,
)
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.events import messages

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

DEFAULT: Final = "default"  # the bus that always exists


class BusStore:
    """lock: held while a document is read and written."""

    def __init__(self, host: Host) -> None:
        self.host, self.new_id = host, uuids()
        self.buses, self.rules = Table("events/bus/"), Table("events/rule/")
        self.lock = asyncio.Lock()

    async def open(self) -> None:
        self.records = self.host.records
        await self.buses.open(self.records)
        await self.rules.open(self.records, self.check_rule)

    def arn(self, resource: str) -> str:
        return self.host.home.service_arn("events", resource)

    def now(self) -> float:
        return self.host.clock.now() / 1000

    def bus_name(self, name_or_arn: str | None) -> str:
        """The name of an existing bus. None: the default bus. Raises ApiError."""
        name = (name_or_arn or DEFAULT).rpartition("/")[2]
        if name != DEFAULT and name not in self.buses:
            raise ApiError("ResourceNotFoundException", messages.BUS_UNKNOWN.format(name=name))
        return name

    def bus(self, name: str) -> Document:
        """name: of an existing bus."""
        return self.buses.get(name) or {
            "Name": DEFAULT,
            "Arn": self.arn(f"event-bus/{DEFAULT}"),
            "Tags": {},
        }

    def page(
        self,
        operation: str,
        filters: Sequence[object],
        items: list[Any],
        size: int | None,
        next_token: str | None,
    ) -> tuple[Sequence[Any], Answer]:
        """(items of the page, {"NextToken"} if there are more)"""
        most = paging.size(size, 100, self.host.limits)
        return self.host.pages.page([operation, *filters], items, most, next_token)

    async def listening(self) -> None:
        """Return when the executions of all shards send status events, if any are wanted."""
        host = self.host
        if host.on_status is not None and host.before_listening is not None:
            await host.before_listening()

    def check_room(self, count: int, limit: int) -> None:
        if count >= limit:
            raise ApiError("LimitExceededException", common_messages.LIMIT_EXCEEDED)

    def check_pattern(self, document: Document) -> None:
        """document: a rule or archive. Raises ApiError."""
        if document.get("EventPattern"):
            self.pattern(document["EventPattern"])

    def check_rule(self, rule: Document) -> None:
        """Raises ApiError."""
        self.check_pattern(rule)
        if rule.get("ScheduleExpression"):
            schedule_of(rule["ScheduleExpression"], rule["Since"])

    def pattern(self, text: str) -> tuple[Mapping[str, Any], Match]:
        """(pattern, compiled). Raises ApiError InvalidEventPatternException."""
        try:
            pattern: Any = loads(text)
            return pattern, compile_pattern(pattern, self.host.limits)
        except (JsonError, PatternError) as error:
            raise ApiError(
                "InvalidEventPatternException", messages.INVALID_PATTERN.format(reason=error)
            ) from None


def is_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except JsonError:
        return False


def schedule_of(text: str, since: float) -> Schedule:
    """The schedule of a rule, which cannot be an at(...). since: epoch seconds where the periods of
    a rate begin. Raises ApiError.
    """
    try:
        if text.startswith("at("):
            raise ScheduleError(common_messages.BAD_SCHEDULE)
        return parse_schedule(text, start=since)
    except ScheduleError:
        raise ApiError("ValidationException", common_messages.BAD_SCHEDULE) from None
