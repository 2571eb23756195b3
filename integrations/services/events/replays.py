"""Replays of archived events.

    events/replay/NAME

A replay stores its position together with the deliveries of each page: after a crash, it resumes
without repeating an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.answers import Answer, shown
from stepwell.integrations.services.common.tables import Document, Table, document_of
from stepwell.integrations.services.events import messages
from stepwell.integrations.services.events.archives import ARCHIVED, ArchivedEvents, has_members
from stepwell.integrations.services.events.publishing import Publisher
from stepwell.integrations.services.events.store import BusStore

_RUNNING: Final = ("STARTING", "RUNNING")
_REPLAY_SHOWN: Final = (
    "ReplayName", "ReplayArn", "Description", "State", "StateReason", "EventSourceArn",
    "Destination", "EventStartTime", "EventEndTime",
    "EventLastReplayedTime", "ReplayStartTime", "ReplayEndTime",
)  # fmt: skip


class Replays:
    def __init__(self, store: BusStore, archived: ArchivedEvents, publisher: Publisher) -> None:
        self._store, self._archived, self._publisher = store, archived, publisher
        self.replays = Table("events/replay/")
        self.jobs: dict[str, asyncio.Task[None]] = {}  # of the replays that run

    async def open(self) -> None:
        await self.replays.open(self._store.records)
        for replay in self.replays.sorted():
            if replay["State"] in _RUNNING:
                self._start(replay["ReplayName"])

    async def close(self) -> None:
        jobs = list(self.jobs.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def start_replay(
        self,
        replay_name: str,
        event_source_arn: str,
        event_start_time: float,
        event_end_time: float,
        destination: Mapping[str, Any],
        description: str | None = None,
    ) -> Answer:
        archive = self._archived.find(event_source_arn.rpartition("/")[2])
        if event_start_time >= event_end_time:
            raise ApiError("ValidationException", messages.REPLAY_TIMES)
        if self._store.bus_name(destination["Arn"]) != archive["Bus"]:
            raise ApiError("ValidationException", messages.REPLAY_DESTINATION)
        async with self._store.lock:
            if replay_name in self.replays:
                raise ApiError(
                    "ResourceAlreadyExistsException",
                    messages.REPLAY_EXISTS.format(name=replay_name),
                )
            self._store.check_room(len(self.replays), self._store.host.limits.replays)
            replay: Document = {
                "ReplayName": replay_name,
                "ReplayArn": self._store.arn(f"replay/{replay_name}"),
                "EventSourceArn": event_source_arn,
                "Destination": destination,
                "EventStartTime": event_start_time,
                "EventEndTime": event_end_time,
                "State": "STARTING",
                "ReplayStartTime": self._store.now(),
                "Description": description,
                "Archive": archive["ArchiveName"],
                "After": "",
            }
            await self.replays.put(replay_name, replay)
        self._start(replay_name)
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
        replays = [
            each
            for each in self.replays.sorted(name_prefix)
            if has_members(each, EventSourceArn=event_source_arn, State=state)
        ]
        items, more = self._store.page(
            "ListReplays", [name_prefix, state, event_source_arn], replays, limit, next_token
        )
        hidden = ("ReplayArn", "Description", "Destination")
        return {
            "Replays": [
                shown(each, [name for name in _REPLAY_SHOWN if name not in hidden])
                for each in items
            ],
            **more,
        }

    async def cancel_replay(self, replay_name: str) -> Answer:
        async with self._store.lock:
            replay = self._replay(replay_name)
            if replay["State"] not in _RUNNING:
                raise ApiError(
                    "IllegalStatusException", messages.REPLAY_STATE.format(name=replay_name)
                )
            await self.replays.put(
                replay_name, replay | {"State": "CANCELLED", "ReplayEndTime": self._store.now()}
            )
        return {"ReplayArn": replay["ReplayArn"], "State": "CANCELLING"}

    def _replay(self, name: str) -> Document:
        """Raises ApiError."""
        replay = self.replays.get(name)
        if replay is None:
            raise ApiError("ResourceNotFoundException", messages.REPLAY_UNKNOWN.format(name=name))
        return replay

    def _start(self, name: str) -> None:
        job = self.jobs[name] = self._store.host.supervisor.start(
            "replays", partial(self._run, name)
        )
        job.add_done_callback(lambda _: self.jobs.pop(name, None))

    async def _run(self, name: str) -> None:
        while True:
            async with self._store.lock:  # CancelReplay takes effect between two pages
                replay = self._replay(name)
                if replay["State"] not in _RUNNING:
                    return
                await self._run_page(name, replay)

    async def _run_page(self, name: str, replay: Document) -> None:
        """Publish the next events, and store the replay's position, in one transaction."""
        prefix = f"{ARCHIVED}{replay['Archive']}/"
        first, end = (
            f"{prefix}{round(replay[each] * 1000):013d}"
            for each in ("EventStartTime", "EventEndTime")
        )
        page = await self._store.records.scan(
            prefix, replay["After"] or first, self._store.host.limits.replay_page
        )
        due = [(key, document_of(key, data)) for key, data in page if key < end]
        events = [event | {"replay-name": name} for _, event in due if event is not None]
        rules = replay["Destination"].get("FilterArns") or None
        published = self._publisher.publish(
            self._store.bus_name(replay["Destination"]["Arn"]), events, rules
        )
        if len(due) < self._store.host.limits.replay_page:
            changed = {"State": "COMPLETED", "ReplayEndTime": self._store.now()}
        else:
            changed = {"State": "RUNNING", "After": due[-1][0]}
        if due:
            changed["EventLastReplayedTime"] = (
                int(due[-1][0].removeprefix(prefix).partition("/")[0]) / 1000
            )
        await self.replays.put(name, replay | changed, published.writes)
        published.then()
