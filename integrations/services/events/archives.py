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
    """The archives, and the events in them."""

    def __init__(self, store: BusStore) -> None:
        self._store, self.archives = store, Table("events/archive/")
        self._matches: dict[str, Match] = {}  # archive -> its compiled pattern
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

    def has_archive(self, bus: str) -> bool:
        return any(archive["Bus"] == bus for archive in self.archives.sorted())

    def archive(self, bus: str, events: Sequence[Document]) -> Writes:
        """The writes that add events to the archives of a bus. Replayed events are not archived
        again.
        """
        writes, at = Writes(), self._store.host.clock.now()
        for archive in self.archives.sorted() if len(self.archives) else ():
            if archive["Bus"] != bus:
                continue
            for event in events:
                if "replay-name" not in event and self._is_match(archive, event):
                    key = f"{ARCHIVED}{archive['ArchiveName']}/{at:013d}/{event['id']}"
                    writes[key] = pack(event)
        return writes

    def _is_match(self, archive: Document, event: Document) -> bool:
        if not archive.get("EventPattern"):
            return True
        name = archive["ArchiveName"]
        if name not in self._matches:
            self._matches[name] = self._store.pattern(archive["EventPattern"])[1]
        return self._matches[name](event)

    def find(self, name: str) -> Document:
        """Raises ApiError."""
        archive = self.archives.get(name)
        if archive is None:
            raise ApiError("ResourceNotFoundException", messages.ARCHIVE_UNKNOWN.format(name=name))
        return archive

    async def delete_events(self, prefix: str, before: str | None = None) -> None:
        """Delete the events with a key below `before`, or all of them, page by page."""
        while page := await self._store.records.scan(prefix):
            expired = [key for key, _ in page if before is None or key < before]
            if expired:
                await self._store.records.write(dict.fromkeys(expired))
            if len(expired) < len(page):
                return

    def _sweep_later(self) -> None:
        self._alarm = self._store.host.clock.call_at(
            self._store.host.clock.now() + DAY_MS, self._sweep
        )

    def _sweep(self) -> None:
        """Delete the events that are older than their archive's retention, once a day."""

        async def sweep() -> None:
            for archive in self.archives.sorted():
                if archive.get("RetentionDays"):
                    prefix = f"{ARCHIVED}{archive['ArchiveName']}/"
                    before = self._store.host.clock.now() - archive["RetentionDays"] * DAY_MS
                    await self.delete_events(prefix, f"{prefix}{before:013d}")

        self._sweep_later()
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = self._store.host.supervisor.start("archive_sweep", sweep)

    def pattern_changed(self, name: str) -> None:
        self._matches.pop(name, None)


class Archives:
    """The operations on archives. changed: called when one was created or deleted."""

    def __init__(
        self, store: BusStore, archived: ArchivedEvents, changed: Callable[[], None]
    ) -> None:
        self._store, self._archived, self._changed = store, archived, changed

    async def create_archive(
        self, /, archive_name: str, event_source_arn: str, **parameters: Any
    ) -> Answer:
        bus = self._store.bus_name(event_source_arn)
        if parameters.get("event_pattern"):
            self._store.pattern(parameters["event_pattern"])
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
                "Bus": bus,
                "State": "ENABLED",
                "CreationTime": self._store.now(),
                **_settings(parameters),
            }
            await self._archived.archives.put(archive_name, archive)
            self._changed()
        await self._store.listening()
        return shown(archive, ("ArchiveArn", "State", "CreationTime"))

    async def update_archive(self, /, archive_name: str, **parameters: Any) -> Answer:
        if parameters.get("event_pattern"):
            self._store.pattern(parameters["event_pattern"])
        async with self._store.lock:
            archive = self._archived.find(archive_name) | _settings(parameters)
            await self._archived.archives.put(archive_name, archive)
            self._archived.pattern_changed(archive_name)
        return shown(archive, ("ArchiveArn", "State", "CreationTime"))

    async def describe_archive(self, archive_name: str) -> Answer:
        """Counts the archive's events and their bytes, which takes time by their number."""
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
        archives = [
            each
            for each in self._archived.archives.sorted(name_prefix)
            if has_members(each, EventSourceArn=event_source_arn, State=state)
        ]
        filters = [name_prefix, event_source_arn, state]
        items, more = self._store.page("ListArchives", filters, archives, limit, next_token)
        names = ("ArchiveName", "EventSourceArn", "State", "RetentionDays", "CreationTime")
        return {"Archives": [shown(each, names) for each in items], **more}

    async def delete_archive(self, archive_name: str) -> Answer:
        async with self._store.lock:
            self._archived.find(archive_name)
            await self._archived.archives.delete(archive_name)
            self._changed()
            self._archived.pattern_changed(archive_name)
        await self._archived.delete_events(f"{ARCHIVED}{archive_name}/")
        return {}


def _settings(parameters: Mapping[str, Any]) -> Document:
    members = {
        "description": "Description",
        "event_pattern": "EventPattern",
        "retention_days": "RetentionDays",
    }
    return {members[name]: value for name, value in parameters.items() if name in members}


def has_members(document: Document, **values: str | None) -> bool:
    """Whether the document has these values; None: any."""
    return all(value is None or document[name] == value for name, value in values.items())
