"""Which executions a command is for: the options --machine, --status, --since, --until and --error,
and the words of a query, as one query of SearchExecutions.

A server without that operation, such as AWS, lists executions instead, and they are compared here.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.search_attributes import ERROR
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import ApiError
from stepwell.engine.search import instants
from stepwell.engine.search.queries import SearchError
from stepwell.engine.search.queries import read as read_query
from stepwell.engine.search.values import encode
from stepwell.engine.search.wanted import Condition, Search
from stepwell.integrations.cli import lookup
from stepwell.integrations.cli.clients import polling, search_attributes
from stepwell.integrations.cli.clients.base import SEVERAL, UNKNOWN, Client, UnreachableError
from stepwell.integrations.errors import UsageError

FAILED: Final = ("FAILED", "TIMED_OUT", "ABORTED")
CHILDREN: Final = "children of Map Runs have"
LISTED: Final = 100  # executions of a search in one request
_SPACED: Final = re.compile(r'([A-Za-z_][\w-]*(?:>=|<=|=|>|<))([^<>="]*\s[^<>="]*)')
_UNZONED: Final = re.compile(
    r"""(?<![\w"-])(?P<asked>(?:started|stopped)\s*(?:[<>]=?|=)\s*)"""
    r"""("?)(?P<time>\d{4}-\d\d-\d\d(?:[T ]\d\d(?::?\d\d)*(?:\.\d+)?)?)\2(?=\s|$)"""
)


class Wanted(NamedTuple):
    """What executions must match; None: anything.

    statuses      one of them
    since, until  epoch seconds of the start, both inclusive
    error         the name of the error, exactly
    query         further conditions, in the language of SearchExecutions
    map_run       only children of this Map Run, or of those of this execution
    """

    machine: str | None = None
    statuses: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    error: str | None = None
    query: str = ""
    map_run: str | None = None

    def text(self) -> str:
        """All of it as a query."""
        words = [self.query] if self.query else []
        if self.machine is not None:
            words.append(f"machine={_quoted(self.machine)}")
        if self.statuses:
            words.append(f"status={','.join(self.statuses)}")
        for operator, at in ((">=", self.since), ("<=", self.until)):
            if at is not None:
                words.append(f"started{operator}{_iso(at)}")
        if self.error is not None:
            words.append(f"{ERROR}={_quoted(self.error)}")
        return " ".join(words)

    def search(self) -> Search:
        """The same, read; with the machine as it is named. Raises QueryError."""
        text = self.text()
        try:
            return read_query(text, SystemClock().now(), lambda name: name)
        except SearchError as fault:
            raise QueryError(text, fault) from None


class QueryError(UsageError):
    """A query that cannot be read, with a line that points at the word."""

    def __init__(self, text: str, fault: SearchError) -> None:
        super().__init__(f"{fault.word}: {fault.reason}")
        self.picture = (text, " " * (fault.column - 1) + "^" * len(fault.word))


def read(options: Mapping[str, str | None], words: Sequence[str] = ()) -> Wanted:
    """Of the options --machine, --status, --since, --until and --error, and a query as the words
    that the shell has made of it. Raises UsageError.
    """
    status = options.get("status")
    now = SystemClock().now() / 1000
    since, until = (_instant(f"--{name}", options.get(name), now) for name in ("since", "until"))
    machine, error = options.get("machine"), options.get("error")
    query = _with_zone(" ".join(map(_word, words)))
    map_run = options.get("map_run")
    wanted = Wanted(machine, (status,) if status else (), since, until, error, query, map_run)
    search = wanted.search()
    if map_run is not None and search.machine_arn is not None:
        raise UsageError("--map-run and --machine exclude each other")
    return wanted


def _word(word: str) -> str:
    """The shell takes the quotes of customer="Ada Lovelace" away."""
    spaced = _SPACED.fullmatch(word.strip())
    return word if spaced is None else spaced[1] + _quoted(spaced[2])


def _quoted(value: str) -> str:
    return json_text.dumps(value)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _instant(option: str, text: str | None, now: float) -> float | None:
    """Epoch seconds. Raises UsageError."""
    if text is None:
        return None
    at = instants.seconds(text, now, None)
    try:
        if at is not None:
            _iso(at)
            return at
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"{option} {text}: not a time: use 30m, 2h or 7d (ago), 2026-11-28, or "
        "2026-11-28T11:24:08+01:00"
    )


def _with_zone(query: str) -> str:
    """The query with the zone of this machine at times that name none: the server takes them for
    UTC.
    """

    def zoned(found: re.Match[str]) -> str:
        at = instants.seconds(found["time"], 0, None)
        return found[0] if at is None else found["asked"] + _iso(at)

    return _UNZONED.sub(zoned, query)


async def executions(
    client: Client,
    wanted: Wanted,
    limit: int | None = None,
    attributes: Sequence[str] | None = None,
) -> AsyncIterator[Mapping[str, Any]]:
    """ListExecutions' items that match, newest first; at most `limit`. What the index does not have
    is said on stderr.

    attributes  see SearchExecutions
    """
    search = wanted.search()
    if search.machine_arn is not None:
        arn = await lookup.machine_arn(client, search.machine_arn)
        search = search._replace(machine_arn=arn)
    left = limit
    async for each in _found(client, wanted, search, limit, attributes):
        yield each
        left = None if left is None else left - 1
        if left == 0:
            return


async def _found(
    client: Client,
    wanted: Wanted,
    search: Search,
    limit: int | None,
    attributes: Sequence[str] | None,
) -> AsyncIterator[Mapping[str, Any]]:
    if wanted.map_run is not None:
        for arn in await lookup.map_runs(client, wanted.map_run):
            children = _children(client, arn, search)
            async for each in _matching(client, search, attributes or (), children, CHILDREN):
                yield each
        return
    asked: dict[str, Any] = {"query": wanted.text()}
    if attributes is not None:
        asked["attributes"] = attributes
    most = min(limit or LISTED, LISTED)
    searched = polling.pages(client.call, "search_executions", most=most, **asked)
    try:
        first = await anext(searched)
    except UnreachableError:
        raise
    except (UsageError, ApiError) as fault:
        if isinstance(fault, ApiError) and fault.code not in UNKNOWN:
            raise
    else:
        for line in search_attributes.notes(first, client.words):
            print(f"stepwell: {line}", file=sys.stderr)
        if search.machine_arn is not None and not first["executions"]:
            # the reason, if that machine has no list: it is Express, or there is none
            await client.call(
                "list_executions", state_machine_arn=search.machine_arn, max_results=1
            )
        for each in first["executions"]:
            yield each
        async for page in searched:
            for each in page["executions"]:
                yield each
        return
    listed = client.executions(search.machine_arn, _one_status(search))
    async for each in _matching(client, search, attributes or (), listed, f"{client.where} has"):
        yield each


# --- lists: of servers without SearchExecutions, and of Map Runs ----------------------------------


def _one_status(search: Search) -> str | None:
    return search.statuses[0] if len(search.statuses) == 1 else None


async def _children(
    client: Client, map_run_arn: str, search: Search
) -> AsyncIterator[Mapping[str, Any]]:
    status = _one_status(search)
    asked: dict[str, Any] = {"map_run_arn": map_run_arn}
    if status is not None:
        asked["status_filter"] = status
    async for page in polling.pages(client.call, "list_executions", **asked):
        for each in page["executions"]:
            yield each


async def _matching(
    client: Client,
    search: Search,
    attributes: Sequence[str],
    listed: AsyncIterator[Mapping[str, Any]],
    subject: str,
) -> AsyncIterator[Mapping[str, Any]]:
    """Those of a list, newest first, that match. subject: of the sentence that refuses
    attributes.
    """
    named = (*(each.name for each in search.conditions), *attributes)
    unknown = [each for each in named if each != ERROR]
    if unknown:
        raise UsageError(f"{subject} no search attributes such as {unknown[0]}")
    batch: list[Mapping[str, Any]] = []
    async for each in listed:
        if search.started.start is not None and _ms(each["startDate"]) < search.started.start:
            break  # the others started earlier
        if not _matches(each, search):
            continue
        batch.append(each)
        if len(batch) < (SEVERAL if search.conditions else 1):
            continue
        for match in await _with_error(client, batch, search.conditions):
            yield match
        batch = []
    for match in await _with_error(client, batch, search.conditions):
        yield match


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _matches(item: Mapping[str, Any], search: Search) -> bool:
    if search.statuses and item["status"] not in search.statuses:
        return False
    if search.conditions and item["status"] not in FAILED:
        return False
    stopped = _ms(item["stopDate"]) if item.get("stopDate") is not None else None
    return search.started.has(_ms(item["startDate"])) and search.stopped.has(stopped)


async def _with_error(
    client: Client, items: list[Mapping[str, Any]], conditions: Sequence[Condition]
) -> list[Mapping[str, Any]]:
    """Those that ended with such an error. Lists do not have it: each is described."""
    if not conditions:
        return items
    described = await asyncio.gather(*(client.describe(each["executionArn"]) for each in items))
    return [
        item
        for item, each in zip(items, described, strict=True)
        if each.get("error") is not None and _has(encode(each["error"]), conditions)
    ]


def _has(error: bytes, conditions: Sequence[Condition]) -> bool:
    return all(any(low <= error < high for low, high in each.ranges) for each in conditions)
