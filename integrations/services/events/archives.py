"""Archives of events.

events/archive/NAME        events/archived/NAME/MILLISECONDS/ID: an event
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from stepwell.engine.clock import Alarm
from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.answers import Answer, shown
from stepwell.integrations.services.common.event_patterns import Match
from stepwell.integrations.services.common.tables import Document, Table, Writes, pack
from stepwell.integrations.services.events import messages
from stepwell.integrations.services.events.store import BusStore

DAY_MS: Final = 24 * 3600 * 1000
ARCHIVED: Final = "events/archived/"
_ARCHIVE_SHOWN: Final = (
    "ArchiveArn", "ArchiveName", "EventSourceArn", "Description", "EventPattern", "State",
    "RetentionDays", "CreationTime",
)  # fmt: skip


class ArchivedEvents:
    """Which archives there are, and what they keep: for all who publish."""

    def __init__(self, store: BusStore) -> None:
        self._store, self.archives = store, Table("events/archive/")
        self._fitting: dict[str, Match] = {}  # archive -> its pattern
        self._alarm: Alarm | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.archives.open(self._store.records, self._store.check_pattern)
        self._sweep_later()

    async def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    def wanted(self, bus: str) -> bool:
        """Whether an archive keeps events of a bus."""
        return any(archive["Bus"] == bus for archive in self.archives.sorted())

    def kept(self, bus: str, events: Sequence[Document]) -> Writes:
        """What the archives of a bus keep of events; replayed ones are not archived again."""
        writes, at = Writes(), self._store.host.clock.now()
        for archive in self.archives.sorted() if len(self.archives) else ():
            if archive["Bus"] != bus:
                continue
            for event in events:
                if "replay-name" not in event and self._wants(archive, event):
                    writes[f"{ARCHIVED}{archive['ArchiveName']}/{at:013d}/{event['id']}"] = pack(
                        event
                    )
        return writes

    def _wants(self, archive: Document, event: Document) -> bool:
        if not archive.get("EventPattern"):
            return True
        name = archive["ArchiveName"]
        if name not in self._fitting:
            self._fitting[name] = self._store.pattern(archive["EventPattern"])[1]
        return self._fitting[name](event)

    def find(self, name: str) -> Document:
        found = self.archives.get(name)
        if found is None:
            raise ApiError("ResourceNotFoundException", messages.ARCHIVE_UNKNOWN.format(name=name))
        return found

    async def forget(self, prefix: str, before: str | None = None) -> None:
        """Delete archived events, page by page; those whose key is not less than `before` are
        kept.
        """
        while page := await self._store.records.scan(prefix):
            doomed = [key for key, _ in page if before is None or key < before]
            if doomed:
                await self._store.records.write(dict.fromkeys(doomed))
            if len(doomed) < len(page):
                return

    def _sweep_later(self) -> None:
        self._alarm = self._store.host.clock.call_at(
            self._store.host.clock.now() + DAY_MS, self._sweep
        )

    def _sweep(self) -> None:
        """What is older than an archive keeps is deleted, once a day."""

        async def sweep() -> None:
            for archive in self.archives.sorted():
                if archive.get("RetentionDays"):
                    prefix = f"{ARCHIVED}{archive['ArchiveName']}/"
                    kept_from = self._store.host.clock.now() - archive["RetentionDays"] * DAY_MS
                    await self.forget(
                        prefix,
                        f"{prefix}{kept_from:013d}",
                    )

        self._sweep_later()
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = self._store.host.supervisor.start("archive_sweep", sweep)

    def pattern_changed(self, name: str) -> None:
        self._fitting.pop(name, None)


class Archives:
    """The operations on archives. changed: to be called when there is one more, or one less."""

    def __init__(
        self, store: BusStore, archived: ArchivedEvents, changed: Callable[[], None]
    ) -> None:
        self._store, self._archived, self._changed = store, archived, changed

    async def create_archive(
        self, /, archive_name: str, event_source_arn: str, **given: Any
    ) -> Answer:
        bus = self._store.bus_name(event_source_arn)
        if given.get("event_pattern"):
            self._store.pattern(given["event_pattern"])
        async with self._store.lock:
            if archive_name in self._archived.archives:
                raise ApiError(
                    "ResourceAlreadyExistsException",
                    messages.ARCHIVE_EXISTS.format(name=archive_name),
                )
            self._store.check_room(len(self._archived.archives), self._store.host.limits.archives)
            archive: Document = {
                "ArchiveName": archive_name,
                "ArchiveArn": self._store.arn(f"archive/{archive_name}"),
                "EventSourceArn": event_source_arn,
            }
            archive |= {
                "Bus": bus,
                "State": "ENABLED",
                "CreationTime": self._store.now(),
                **_settings(given),
            }
            await self._archived.archives.put(archive_name, archive)
            self._changed()
        return shown(archive, ("ArchiveArn", "State", "CreationTime"))

    async def update_archive(self, /, archive_name: str, **given: Any) -> Answer:
        if given.get("event_pattern"):
            self._store.pattern(given["event_pattern"])
        async with self._store.lock:
            archive = self._archived.find(archive_name) | _settings(given)
            await self._archived.archives.put(archive_name, archive)
            self._archived.pattern_changed(archive_name)
        return shown(archive, ("ArchiveArn", "State", "CreationTime"))

    async def describe_archive(self, archive_name: str) -> Answer:
        """With the number and the bytes of its events, which are counted now."""
        count = size = 0
        archive = self._archived.find(archive_name)
        async for _, data in self._store.records.all(f"{ARCHIVED}{archive_name}/"):
            count, size = count + 1, size + len(data)
        return {**shown(archive, _ARCHIVE_SHOWN), "EventCount": count, "SizeBytes": size}

    async def list_archives(
        self,
        name_prefix: str = "",
        event_source_arn: str | None = None,
        state: str | None = None,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> Answer:
        found = [
            each
            for each in self._archived.archives.sorted(name_prefix)
            if fits(each, EventSourceArn=event_source_arn, State=state)
        ]
        filters = [name_prefix, event_source_arn, state]
        items, more = self._store.page("ListArchives", filters, found, limit, next_token)
        names = ("ArchiveName", "EventSourceArn", "State", "RetentionDays", "CreationTime")
        return {"Archives": [shown(each, names) for each in items], **more}

    async def delete_archive(self, archive_name: str) -> Answer:
        async with self._store.lock:
            self._archived.find(archive_name)
            await self._archived.archives.delete(archive_name)
            self._changed()
            self._archived.pattern_changed(archive_name)
        await self._archived.forget(f"{ARCHIVED}{archive_name}/")
        return {}


def _settings(given: Mapping[str, Any]) -> Document:
    members = {
        "description": "Description",
        "event_pattern": "EventPattern",
        "retention_days": "RetentionDays",
    }
    return {members[name]: value for name, value in given.items() if name in members}


def fits(document: Document, **wanted: str | None) -> bool:
    return all(value is None or document[name] == value for name, value in wanted.items())
