"""The functions, and what the operations on them share: references, ARNs, revisions, pages.

    lambda/function/NAME    one document: the function with its versions, aliases, policies and tags

Functions are in memory. A change replaces the whole document, once the new one is durable. Code is
in records of its own (code.py).
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
class LambdaFunction:
    """A function.

    latest         FunctionConfiguration of $LATEST, and "code": the name of its code (see code.py)
    next_version   the number of the next published version
    versions       number -> the same of a published version
    aliases        name -> {FunctionVersion, Description, RoutingConfig, RevisionId}
    policies       qualifier, "" for none -> Sid -> statement
    event_configs  qualifier -> {MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig,
                   LastModified}
    reserved       ReservedConcurrentExecutions; None: no limit of its own
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
        """number: or $LATEST."""
        return self.latest if number == LATEST else self.versions.get(number)

    def codes(self) -> set[str]:
        return {each["code"] for each in (self.latest, *self.versions.values())}

    def encode(self) -> bytes:
        return pack(asdict(self))


def _from_document(document: Json) -> LambdaFunction:
    """Raises KeyError, TypeError."""
    function = LambdaFunction(**document)
    for configuration in (function.latest, *function.versions.values()):
        configuration["code"], configuration["Version"], configuration["RevisionId"]
    return function


class FunctionStore:
    """lock: held while a function is read and written; runnable: (name, version) -> how it runs,
    for those that were invoked.
    """

    def __init__(self, host: Host) -> None:
        self.host, self.limits, self.clock = host, host.limits, host.clock
        self.functions: dict[str, LambdaFunction] = {}
        self.lock = asyncio.Lock()
        self.new_uuid = uuids()
        self.codes: CodeStore
        self.runnable: dict[tuple[str, str], Function] = {}

    @property
    def records(self) -> Records:
        return self.host.records

    async def open(self) -> None:
        assert self.host.engine is not None
        self.codes = CodeStore(self.records, self.host.engine.store.folder, self.limits)
        async for _, function in stored(self.records, FUNCTIONS, _from_document):
            self.functions[function.name] = function

    # --- names ---

    def arn(self, name: str, qualifier: str = "") -> str:
        arn = self.host.home.service_arn("lambda", f"function:{name}")
        return f"{arn}:{qualifier}" if qualifier else arn

    def split(self, reference: str, qualifier: str | None = None) -> tuple[str, str]:
        """(name, qualifier, "" for none) of a name or ARN. Raises ApiError."""
        match, home = self.parse(reference, qualifier), self.host.home
        if match["region"] not in (None, home.region) or match["account"] not in (
            None,
            home.account,
        ):
            raise self.unknown(reference, "")
        return match["name"], qualifier or match["qualifier"] or ""

    def parse(self, reference: str, qualifier: str | None) -> re.Match[str]:
        """A name or ARN of any account and region. Raises ApiError."""
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

    def find(self, reference: str, qualifier: str | None = None) -> tuple[LambdaFunction, str]:
        """(function, qualifier, "" for none). Raises ApiError."""
        name, qualifier = self.split(reference, qualifier)
        function = self.functions.get(name)
        if function is None:
            raise self.unknown(name, qualifier)
        return function, qualifier

    def find_version(
        self, reference: str, qualifier: str | None = None
    ) -> tuple[LambdaFunction, str, Json]:
        """(function, qualifier, configuration of the version); for an alias, that of its
        FunctionVersion. Raises ApiError.
        """
        function, qualifier = self.find(reference, qualifier)
        alias = function.aliases.get(qualifier)
        version = function.version(alias["FunctionVersion"] if alias else qualifier or LATEST)
        if version is None:
            raise self.unknown(function.name, qualifier)
        return function, qualifier, version

    def described(self, function: LambdaFunction, configuration: Json, qualifier: str = "") -> Json:
        """FunctionConfiguration of a version. qualifier: of its ARN; "": the version, if it is not
        $LATEST.
        """
        version = configuration["Version"]
        shown = {member: value for member, value in configuration.items() if member != "code"}
        arn = self.arn(function.name, qualifier or ("" if version == LATEST else version))
        return {**shown, "FunctionArn": arn, "State": "Active", "LastUpdateStatus": "Successful"}

    # --- changes ---

    @asynccontextmanager
    async def changing(
        self, reference: str, qualifier: str | None = None, revision: str | None = None
    ) -> AsyncIterator[tuple[LambdaFunction, str]]:
        """(copy of the function, qualifier): at the end of the block, the copy replaces the
        function.

        revision  the RevisionId that the caller expects of $LATEST
        """
        async with self.lock:
            function, qualifier = self.find(reference, qualifier)
            if revision is not None and function.latest["RevisionId"] != revision:
                raise ApiError("PreconditionFailedException", messages.FUNCTION_REVISION)
            changed = copy.deepcopy(function)
            yield changed, qualifier
            await self.put(changed)

    async def put(self, function: LambdaFunction, also: Mapping[str, bytes | None] = {}) -> None:
        """also: other records of the same transaction, such as its code."""
        await self._replace(function.name, function, also)

    async def delete(self, name: str) -> None:
        await self._replace(name, None, {})

    async def _replace(
        self, name: str, function: LambdaFunction | None, also: Mapping[str, bytes | None]
    ) -> None:
        """Deletes the code that no function uses any more in the same transaction."""
        before = self.functions[name].codes() if name in self.functions else set()
        used = function.codes() if function else set[str]()
        for other in self.functions.values():
            if other.name != name:
                used |= other.codes()
        unused = before - used
        writes: Writes = {FUNCTIONS + name: function.encode() if function else None, **also}
        writes |= {key: None for code in unused for key in await self.codes.keys(code)}
        await self.records.write(writes)
        if function is None:
            del self.functions[name]
        else:
            self.functions[name] = function
        for key in [key for key in self.runnable if key[0] == name]:
            del self.runnable[key]
        self.host.functions.sources.pool.retire(name)
        for code in unused:
            await asyncio.to_thread(self.codes.drop, code)

    def touched(self, configuration: Json) -> Json:
        """With a new RevisionId, and LastModified now."""
        return {**configuration, "RevisionId": self.new_uuid(), "LastModified": self.stamp()}

    def stamp(self) -> str:
        """2023-11-14T22:13:20.000+0000"""
        return iso_milliseconds(self.seconds()).replace("Z", "+0000")

    def seconds(self) -> float:
        return self.clock.now() / 1000


def page(
    items: list[Any], marker: str | None, size: int | None, limit: int, key: Callable[[Any], str]
) -> tuple[list[Any], str | None]:
    """(items after a marker, marker of the next page). items: sorted by their keys."""
    left = [item for item in items if marker is None or key(item) > marker]
    shown = left[: min(size or limit, limit)]
    return shown, key(shown[-1]) if len(left) > len(shown) else None


def with_marker(answer: Json, marker: str | None) -> Json:
    return {**answer, "NextMarker": marker} if marker is not None else answer
