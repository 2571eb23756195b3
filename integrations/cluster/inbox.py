"""Status events of executions on other shards, for the rules and archives of home.

    inbox/0/SHARD-OPENED-NUMBER = {"events": [...]}      written in the commit of the status change

Home applies each with its own receiver and deletes it in the same transaction: exactly once, and in
the order of their commits for each shard. One that cannot be applied is moved to inbox/bad/.

A shard writes none while no rule could match: home has said so less than `status_lease_seconds`
ago. The operation at home that changes this is answered only when the last such answer has expired.
So no execution that starts after that is missed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any, Final

from stepwell.engine.errors import EngineError, StoreError
from stepwell.engine.tasks import Transaction, together
from stepwell.integrations.host import Host
from stepwell.integrations.services.common.tables import Document, Writes, pack, read
from stepwell.integrations.tasks.sent_home import HOME

log: Final = logging.getLogger("stepwell.cluster")

SERVICE: Final = "inbox"
_PREFIX: Final = f"inbox/{HOME}/"
_BAD: Final = "inbox/bad/"
_POLL_SECONDS: Final = 0.25  # an event that home was not called for waits as long
_PAGE: Final = 100  # events of one transaction
_CALL_PAUSE_SECONDS: Final = 0.02  # between two calls that there are events


class StatusOutbox:
    """Receives the status events of an engine on another shard than home."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._prefix, self._numbers = "", count()
        self._unwanted_until = 0.0  # of the loop's time
        self._calling: set[str] = set()  # calls that are on their way

    async def open(self) -> None:
        """Begin with a key after all that this shard has written."""
        host = self._host
        assert host.peers is not None
        self._prefix = f"{_PREFIX}{host.peers.shard:03}-{host.clock.now():013}-"
        last = -1
        async for key, _ in host.records.all(self._prefix):
            last = int(key.removeprefix(self._prefix))
        self._numbers = count(last + 1)
        host.status_receiver = self._receiver

    def _receiver(self) -> Callable[[list[Document]], Transaction[None]] | None:
        """Looks at the time itself: a timer could be late."""
        return None if asyncio.get_running_loop().time() < self._unwanted_until else self._write

    def _write(self, events: list[Document]) -> Transaction[None]:
        self._call("wanted", self._ask)
        record = {f"{self._prefix}{next(self._numbers):012}": pack({"events": events})}
        return Transaction(None, record, lambda: self._call("written", self._tell))

    def _call(self, name: str, call: Callable[[], Awaitable[None]]) -> None:
        """Unless such a call is on its way."""
        if name in self._calling:
            return
        self._calling.add(name)

        async def called() -> None:
            try:
                await call()
            except EngineError as error:  # the next event calls again, and home looks by itself
                log.debug("inbox of home: %s: %s", name, error)
            finally:
                self._calling.discard(name)

        self._host.supervisor.start("status_outbox", called)

    async def _tell(self) -> None:
        await asyncio.sleep(_CALL_PAUSE_SECONDS)  # more events share the call
        await self._send("written")

    async def _ask(self) -> None:
        """Write no events for a while if home wants none."""
        lease, asked = self._host.limits.status_lease_seconds, asyncio.get_running_loop().time()
        if await self._send("wanted"):
            await asyncio.sleep(lease)
        else:
            self._unwanted_until = asked + lease

    async def _send(self, method: str) -> Any:
        assert self._host.peers is not None
        return await self._host.peers.call(HOME, SERVICE, method, {})


class Inbox:
    """The service "inbox" of home."""

    def __init__(self, host: Host) -> None:
        self._host, self._wake = host, asyncio.Event()
        self._after = ""  # the key after which events are applied next
        self._leased_until = 0.0  # of the loop's time: some shard may write no events until then

    async def open(self) -> None:
        self._lease()  # what an earlier owner of home has answered
        self._host.before_listening = self._leases_expired
        self._host.supervisor.start("inbox", self._run)

    # --- the service ------------------------------------------------------------------------------

    async def written(self) -> None:
        """There are events."""
        self._wake.set()

    async def wanted(self) -> bool:
        """Whether a rule or an archive could match status events. False holds for
        `status_lease_seconds`.
        """
        if self._host.on_status is None:
            self._lease()
        return self._host.on_status is not None

    # --- inside -----------------------------------------------------------------------------------

    def _lease(self) -> None:
        now = asyncio.get_running_loop().time()
        self._leased_until = now + self._host.limits.status_lease_seconds

    async def _leases_expired(self) -> None:
        left = self._leased_until - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            if not await self.apply():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._wake.wait()

    async def drain(self) -> None:
        """Begin to apply what a cluster has left, on a server of its own."""

        async def drained() -> None:
            while await self.apply():
                pass

        self._host.supervisor.start("inbox", drained)

    async def apply(self) -> bool:
        """Apply some events. Returns whether there may be more."""
        before, page = self._after, await self._host.records.scan(_PREFIX, self._after, _PAGE)
        if page:
            await self._host.records.commit(together([self._applied(*each) for each in page]))
        self._after = ""
        if len(page) == _PAGE:  # the next shard has its turn
            shard, dash, _ = page[-1][0].partition("-")
            self._after = f"{shard}{dash}~"
        return bool(before or self._after)

    def _applied(self, key: str, data: bytes) -> Transaction[None]:
        on_status = self._host.on_status
        deleted: Writes = {key: None}
        try:
            events = read(key, data)["events"]
            stored = on_status(events) if on_status is not None else None
        except StoreError:
            raise
        except Exception as error:
            self._host.supervisor.report(SERVICE, error, f"{key} is moved to {_BAD}")
            return Transaction(None, {**deleted, key.replace(_PREFIX, _BAD, 1): data})
        if stored is None:
            return Transaction(None, deleted)
        return Transaction(None, {**stored.writes, **deleted}, stored.then)
