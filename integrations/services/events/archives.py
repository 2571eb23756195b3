"""Archives of events, and replays of them.

    events/archive/NAME        events/archived/NAME/MILLISECONDS/ID: an event        events/replay/NAME

A replay stores how far it has come together with the deliveries of each page, so one that is cut off goes on without a repetition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from stepwell.engine.clock import Alarm
from stepwell.engine.errors import ApiError
from stepwell.integrations.host import Host
from stepwell.integrations.services.common.answers import Answer, shown
from stepwell.integrations.services.common.event_patterns import Match
from stepwell.integrations.services.common.tables import Document, Table, document_of, pack
from stepwell.integrations.services.events import messages
from stepwell.integrations.services.events.buses import DEFAULT
from stepwell.integrations.services.events.rules import EventBus, Then, Writes

log: Final = logging.getLogger("stepwell.events")

DAY_MS: Final = 24 * 3600 * 1000
_ARCHIVED: Final = "events/archived/"
_RUNNING: Final = ("STARTING", "RUNNING")
_ARCHIVE_SHOWN: Final = (
    "ArchiveArn", "ArchiveName", "EventSourceArn", "Description", "EventPattern", "State", "RetentionDays", "CreationTime",
)  # fmt: skip
_REPLAY_SHOWN: Final = (
    "ReplayName", "ReplayArn", "Description", "State", "StateReason", "EventSourceArn", "Destination", "EventStartTime", "EventEndTime",
    "EventLastReplayedTime", "ReplayStartTime", "ReplayEndTime",
)  # fmt: skip


class Archives(EventBus):
    """The operations on archives and replays."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.archives, self.replays = Table("events/archive/"), Table("events/replay/")
        self._fitting: dict[str, Match] = {}  # archive -> its pattern
        self._jobs: dict[str, asyncio.Task[None]] = {}  # of replays
        self._sweep_alarm: Alarm | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await super().open()
        await self.archives.open(self.records, self.check_pattern)
        await self.replays.open(self.records)
        self.listen()
        for replay in self.replays.sorted():
            if replay["State"] in _RUNNING:
                self._go_on(replay["ReplayName"])
        self._sweep_later()

    async def close(self) -> None:
        if self._sweep_alarm is not None:
            self._sweep_alarm.cancel()
        jobs = [*self._jobs.values(), *([self._sweeper] if self._sweeper else [])]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await super().close()

    def listens(self) -> bool:
        return super().listens() or any(archive["Bus"] == DEFAULT for archive in self.archives.sorted())

    # --- archives ------------------------------------------------------------------------------------------------------------

    async def create_archive(self, archive_name: str, event_source_arn: str, **given: Any) -> Answer:
        bus = self.bus_name(event_source_arn)
        if given.get("event_pattern"):
            self.pattern(given["event_pattern"])
        async with self._lock:
            if archive_name in self.archives:
                raise ApiError("ResourceAlreadyExistsException", messages.ARCHIVE_EXISTS.format(name=archive_name))
            self.check_room(len(self.archives), self.host.limits.archives)
            archive: Document = {
                "ArchiveName": archive_name,
                "ArchiveArn": self.arn(f"archive/{archive_name}"),
                "EventSourceArn": event_source_arn,
            }
            archive |= {"Bus": bus, "State": "ENABLED", "CreationTime": self.now(), **_settings(given)}
            await self.archives.put(archive_name, archive)
            self.listen()
        return shown(archive, ("ArchiveArn", "State", "CreationTime"))

    async def update_archive(self, archive_name: str, **given: Any) -> Answer:
        if given.get("event_pattern"):
            self.pattern(given["event_pattern"])
        async with self._lock:
            archive = self._archive(archive_name) | _settings(given)
            await self.archives.put(archive_name, archive)
            self._fitting.pop(archive_name, None)
        return shown(archive, ("ArchiveArn", "State", "CreationTime"))

    async def describe_archive(self, archive_name: str) -> Answer:
        """With the number and the bytes of its events, which are counted now."""
        count = size = 0
        archive = self._archive(archive_name)
        async for _, data in self.records.all(f"{_ARCHIVED}{archive_name}/"):
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
        found = [each for each in self.archives.sorted(name_prefix) if _fits(each, EventSourceArn=event_source_arn, State=state)]
        filters = [name_prefix, event_source_arn, state]
        items, more = self.page("ListArchives", filters, found, limit, next_token)
        names = ("ArchiveName", "EventSourceArn", "State", "RetentionDays", "CreationTime")
        return {"Archives": [shown(each, names) for each in items], **more}

    async def delete_archive(self, archive_name: str) -> Answer:
        async with self._lock:
            self._archive(archive_name)
            await self.archives.delete(archive_name)
            self.listen()
            self._fitting.pop(archive_name, None)
        await self._forget(f"{_ARCHIVED}{archive_name}/")
        return {}

    def _archive(self, name: str) -> Document:
        found = self.archives.get(name)
        if found is None:
            raise ApiError("ResourceNotFoundException", messages.ARCHIVE_UNKNOWN.format(name=name))
        return found

    async def _forget(self, prefix: str, before: str | None = None) -> None:
        """Delete archived events, page by page; those whose key is not less than `before` are kept."""
        while page := await self.records.scan(prefix):
            doomed = [key for key, _ in page if before is None or key < before]
            if doomed:
                await self.records.write(dict.fromkeys(doomed))
            if len(doomed) < len(page):
                return

    def _sweep_later(self) -> None:
        self._sweep_alarm = self.host.clock.call_at(self.host.clock.now() + DAY_MS, self._sweep)

    def _sweep(self) -> None:
        """What is older than an archive keeps is deleted, once a day."""

        async def sweep() -> None:
            for archive in self.archives.sorted():
                if archive.get("RetentionDays"):
                    prefix = f"{_ARCHIVED}{archive['ArchiveName']}/"
                    await self._forget(prefix, f"{prefix}{self.host.clock.now() - archive['RetentionDays'] * DAY_MS:013d}")

        self._sweep_later()
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = self.host.supervisor.start("archive_sweep", sweep)

    def publish(self, bus: str, events: Iterable[Document], rules: Sequence[str] | None = None, hops: int = 0) -> tuple[Writes, Then]:
        """The same, and what the archives of the bus keep of it; replayed events are not archived again."""
        events = list(events)
        writes, then = super().publish(bus, events, rules, hops)
        at = self.host.clock.now()
        for archive in self.archives.sorted() if len(self.archives) else ():
            if archive["Bus"] != bus:
                continue
            for event in events:
                if "replay-name" not in event and self._wants(archive, event):
                    writes[f"{_ARCHIVED}{archive['ArchiveName']}/{at:013d}/{event['id']}"] = pack(event)
        return writes, then

    def _wants(self, archive: Document, event: Document) -> bool:
        if not archive.get("EventPattern"):
            return True
        name = archive["ArchiveName"]
        if name not in self._fitting:
            self._fitting[name] = self.pattern(archive["EventPattern"])[1]
        return self._fitting[name](event)

    # --- replays -------------------------------------------------------------------------------------------------------------

    async def start_replay(
        self,
        replay_name: str,
        event_source_arn: str,
        event_start_time: float,
        event_end_time: float,
        destination: Mapping[str, Any],
        description: str | None = None,
    ) -> Answer:
        archive = self._archive(event_source_arn.rpartition("/")[2])
        if event_start_time >= event_end_time:
            raise ApiError("ValidationException", messages.REPLAY_TIMES)
        if self.bus_name(destination["Arn"]) != archive["Bus"]:
            raise ApiError("ValidationException", messages.REPLAY_DESTINATION)
        async with self._lock:
            if replay_name in self.replays:
                raise ApiError("ResourceAlreadyExistsException", messages.REPLAY_EXISTS.format(name=replay_name))
            self.check_room(len(self.replays), self.host.limits.replays)
            replay: Document = {
                "ReplayName": replay_name,
                "ReplayArn": self.arn(f"replay/{replay_name}"),
                "EventSourceArn": event_source_arn,
            }
            replay |= {"Destination": destination, "EventStartTime": event_start_time, "EventEndTime": event_end_time, "State": "STARTING"}
            replay |= {"ReplayStartTime": self.now(), "Description": description, "Archive": archive["ArchiveName"], "After": ""}
            await self.replays.put(replay_name, replay)
        self._go_on(replay_name)
        return shown(replay, ("ReplayArn", "State", "StateReason", "ReplayStartTime"))

    async def describe_replay(self, replay_name: str) -> Answer:
        return shown(self._replay(replay_name), _REPLAY_SHOWN)

    async def list_replays(
        self,
        name_prefix: str = "",
        state: str | None = None,
        event_source_arn: str | None = None,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> Answer:
        found = [each for each in self.replays.sorted(name_prefix) if _fits(each, EventSourceArn=event_source_arn, State=state)]
        items, more = self.page("ListReplays", [name_prefix, state, event_source_arn], found, limit, next_token)
        hidden = ("ReplayArn", "Description", "Destination")
        return {"Replays": [shown(each, [name for name in _REPLAY_SHOWN if name not in hidden]) for each in items], **more}

    async def cancel_replay(self, replay_name: str) -> Answer:
        async with self._lock:
            replay = self._replay(replay_name)
            if replay["State"] not in _RUNNING:
                raise ApiError("IllegalStatusException", messages.REPLAY_STATE.format(name=replay_name))
            await self.replays.put(replay_name, replay | {"State": "CANCELLED", "ReplayEndTime": self.now()})
        return {"ReplayArn": replay["ReplayArn"], "State": "CANCELLING"}

    def _replay(self, name: str) -> Document:
        found = self.replays.get(name)
        if found is None:
            raise ApiError("ResourceNotFoundException", messages.REPLAY_UNKNOWN.format(name=name))
        return found

    def _go_on(self, name: str) -> None:
        job = self._jobs[name] = self.host.supervisor.start("replays", partial(self._run, name))
        job.add_done_callback(lambda _: self._jobs.pop(name, None))

    async def _run(self, name: str) -> None:
        """Page by page: the events of a page and how far that is, in one transaction."""
        while True:
            async with self._lock:  # a cancellation comes between two pages
                replay = self._replay(name)
                if replay["State"] not in _RUNNING:
                    return
                await self._run_page(name, replay)

    async def _run_page(self, name: str, replay: Document) -> None:
        prefix = f"{_ARCHIVED}{replay['Archive']}/"
        first, end = (f"{prefix}{round(replay[each] * 1000):013d}" for each in ("EventStartTime", "EventEndTime"))
        page = await self.records.scan(prefix, replay["After"] or first, self.host.limits.replay_page)
        wanted = [(key, document_of(key, data)) for key, data in page if key < end]
        events = [event | {"replay-name": name} for _, event in wanted if event is not None]
        rules = replay["Destination"].get("FilterArns") or None
        writes, then = self.publish(self.bus_name(replay["Destination"]["Arn"]), events, rules)
        if len(wanted) < self.host.limits.replay_page:
            changed = {"State": "COMPLETED", "ReplayEndTime": self.now()}
        else:
            changed = {"State": "RUNNING", "After": wanted[-1][0]}
        if wanted:
            changed["EventLastReplayedTime"] = int(wanted[-1][0].removeprefix(prefix).partition("/")[0]) / 1000
        await self.replays.put(name, replay | changed, writes)
        then()


def _settings(given: Mapping[str, Any]) -> Document:
    members = {"description": "Description", "event_pattern": "EventPattern", "retention_days": "RetentionDays"}
    return {members[name]: value for name, value in given.items() if name in members}


def _fits(document: Document, **wanted: str | None) -> bool:
    return all(value is None or document[name] == value for name, value in wanted.items())
