"""What all operations of Lambda share: the functions in memory, how they are found and stored, and
how AWS refuses.

A function with its versions, aliases, policies, tags and configurations is one aggregate and one
record, `lambda/function/NAME`; it is read once, when the service is opened, and replaced as a whole
by each change, after that is durable. Code is in records of its own.
"""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.timestamps import iso_milliseconds
from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.integrations.services.common.tables import Writes, pack, stored
from stepwell.integrations.services.lambda_ import messages
from stepwell.integrations.services.lambda_.code import CodeStore
from stepwell.integrations.services.runtime.function import LATEST, Function
from stepwell.integrations.services.runtime.resolver import REFERENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stepwell.engine.runtime.records import Records
    from stepwell.integrations.host import Host

Json = dict[str, Any]

FUNCTIONS: Final = "lambda/function/"


@dataclass(slots=True)
class Stored:
    """A function.

    latest        its configuration with the API's member names, and "code": where its code is (see
                  code.py)
    versions      number -> the same, as published; never changed
    aliases       name -> {FunctionVersion, Description, RoutingConfig, RevisionId}
    policies      qualifier, "" for none -> Sid -> statement
    event_configs qualifier -> {MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig,
    LastModified}
    reserved      of its concurrency; None: as much as there is
    """

    name: str
    latest: Json
    next_version: int = 1
    versions: dict[str, Json] = field(default_factory=dict)
    aliases: dict[str, Json] = field(default_factory=dict)
    policies: dict[str, Json] = field(default_factory=dict)
    event_configs: dict[str, Json] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    reserved: int | None = None

    def version(self, number: str) -> Json | None:
        return self.latest if number == LATEST else self.versions.get(number)

    def codes(self) -> set[str]:
        return {each["code"] for each in (self.latest, *self.versions.values())}

    def encode(self) -> bytes:
        return pack(asdict(self))


def _stored(document: Json) -> Stored:
    """Raises KeyError, TypeError."""
    found = Stored(**document)
    for configuration in (found.latest, *found.versions.values()):
        configuration["code"], configuration["Version"], configuration["RevisionId"]
    return found


class FunctionStore:
    """The functions, and access to them."""

    def __init__(self, host: Host) -> None:
        self.host, self.limits, self.clock = host, host.limits, host.clock
        self.functions: dict[str, Stored] = {}
        self.lock = asyncio.Lock()  # held while something is changed
        self.new_uuid = uuids()
        self.codes: CodeStore
        self.runnable: dict[tuple[str, str], Function] = {}

    @property
    def records(self) -> Records:
        return self.host.records

    async def open(self) -> None:
        assert self.host.engine is not None
        self.codes = CodeStore(self.records, self.host.engine.store.folder, self.limits)
        async for _, function in stored(self.records, FUNCTIONS, _stored):
            self.functions[function.name] = function

    # --- names ---

    def arn(self, name: str, qualifier: str = "") -> str:
        arn = self.host.home.service_arn("lambda", f"function:{name}")
        return f"{arn}:{qualifier}" if qualifier else arn

    def split(self, reference: str, qualifier: str | None = None) -> tuple[str, str]:
        """Name and qualifier ("" for none) of what a reference means. Raises ApiError."""
        match, home = self.parse(reference, qualifier), self.host.home
        if match["region"] not in (None, home.region) or match["account"] not in (
            None,
            home.account,
        ):
            raise self.unknown(reference, "")
        return match["name"], qualifier or match["qualifier"] or ""

    def parse(self, reference: str, qualifier: str | None) -> re.Match[str]:
        """Raises ApiError for what can name no function, wherever it may be."""
        match = REFERENCE.match(reference)
        if match is None:
            raise ApiError(
                "InvalidParameterValueException", messages.FUNCTION_NAME.format(name=reference)
            )
        if qualifier and match["qualifier"] and qualifier != match["qualifier"]:
            raise ApiError("InvalidParameterValueException", messages.FUNCTION_QUALIFIERS)
        return match

    def unknown(self, name: str, qualifier: str) -> ApiError:
        arn = name if name.startswith("arn:") else self.arn(name, qualifier)
        return ApiError("ResourceNotFoundException", messages.FUNCTION_UNKNOWN.format(arn=arn))

    def check_tags(self, tags: Mapping[str, str]) -> None:
        if len(tags) > self.limits.tags:
            raise ApiError(
                "InvalidParameterValueException",
                messages.TOO_MANY_FUNCTION_TAGS.format(limit=self.limits.tags),
            )

    def find(self, reference: str, qualifier: str | None = None) -> tuple[Stored, str]:
        """The function, and the qualifier that was given. Raises ApiError."""
        name, qualifier = self.split(reference, qualifier)
        stored = self.functions.get(name)
        if stored is None:
            raise self.unknown(name, qualifier)
        return stored, qualifier

    def find_version(
        self, reference: str, qualifier: str | None = None
    ) -> tuple[Stored, str, Json]:
        """The same, and the configuration of the version that it means; of an alias its main
        one.
        """
        stored, given = self.find(reference, qualifier)
        alias = stored.aliases.get(given)
        found = stored.version(alias["FunctionVersion"] if alias else given or LATEST)
        if found is None:
            raise self.unknown(stored.name, given)
        return stored, given, found

    def described(self, stored: Stored, configuration: Json, qualifier: str = "") -> Json:
        """FunctionConfiguration of a version; its ARN has the qualifier that was asked for."""
        version = configuration["Version"]
        shown = {member: value for member, value in configuration.items() if member != "code"}
        arn = self.arn(stored.name, qualifier or ("" if version == LATEST else version))
        return {**shown, "FunctionArn": arn, "State": "Active", "LastUpdateStatus": "Successful"}

    # --- changes ---

    @asynccontextmanager
    async def changing(
        self, reference: str, qualifier: str | None = None, revision: str | None = None
    ) -> AsyncIterator[tuple[Stored, str]]:
        """A copy of the function to be changed, and the qualifier; it takes the function's place
        once it is durable.

        revision  the RevisionId that the caller expects of $LATEST
        """
        async with self.lock:
            stored, given = self.find(reference, qualifier)
            if revision is not None and stored.latest["RevisionId"] != revision:
                raise ApiError("PreconditionFailedException", messages.FUNCTION_REVISION)
            changed = copy.deepcopy(stored)
            yield changed, given
            await self.put(changed)

    async def put(
        self,
        stored: Stored | None,
        removed: str = "",
        also: Mapping[str, bytes | None] = {},
    ) -> None:
        """Store a function, or with its name remove one; code that nothing uses any more goes with
        the same commit.
        """
        name = removed or (stored.name if stored else "")
        before = self.functions[name].codes() if name in self.functions else set()
        elsewhere = {
            code
            for other in self.functions.values()
            if other.name != name
            for code in other.codes()
        }
        unused = before - (stored.codes() if stored else set()) - elsewhere
        writes: Writes = {
            FUNCTIONS + name: stored.encode() if stored else None,
            **also,
        }
        writes |= {key: None for code in unused for key in await self.codes.keys(code)}
        await self.records.write(writes)
        if stored is None:
            del self.functions[name]
        else:
            self.functions[name] = stored
        for key in [key for key in self.runnable if key[0] == name]:
            del self.runnable[key]
        self.host.functions.sources.pool.retire(name)
        for code in unused:
            await asyncio.to_thread(self.codes.drop, code)

    def touched(self, configuration: Json) -> Json:
        """With a new revision, changed now."""
        return {**configuration, "RevisionId": self.new_uuid(), "LastModified": self.stamp()}

    def stamp(self) -> str:
        """2023-11-14T22:13:20.000+0000"""
        return iso_milliseconds(self.seconds()).replace("Z", "+0000")

    def seconds(self) -> float:
        return self.clock.now() / 1000


def page(
    items: list[Any], marker: str | None, size: int | None, most: int, key: Callable[[Any], str]
) -> tuple[list[Any], str | None]:
    """The items after a marker, and the marker of the next page. `items` are in the order of their
    keys.
    """
    left = [item for item in items if marker is None or key(item) > marker]
    shown = left[: min(size or most, most)]
    return shown, key(shown[-1]) if len(left) > len(shown) else None


def with_marker(answer: Json, marker: str | None) -> Json:
    return {**answer, "NextMarker": marker} if marker is not None else answer
