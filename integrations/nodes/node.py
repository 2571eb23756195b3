"""A node of a cluster: one process that owns some shards of a database and answers for all.

    look at the members --> take free shards that are its share --> Stack, opened by recovery
                        --> release what is another's share

PostgreSQL is the only judge: a shard is owned by the session that holds its lock, and each commit
carries the shard's epoch (store/postgres). What a node believes of the others are hints: where to
send a call. A wrong hint costs a repetition, nothing else.

A shard that fails is closed and taken again, by recovery, here or elsewhere (crash-only). A shard
that is released first ends its calls; those that came late wait for the next owner.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from typing import Any, Final

from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError, StoreError
from stepwell.engine.observers.trace_context import current_trace, from_xray
from stepwell.engine.sharding import HOME, share
from stepwell.engine.store.base import StoreInUseError, StoreLostError
from stepwell.engine.store.membership import Members, View
from stepwell.integrations.aws.calls import ANONYMOUS, REACHED
from stepwell.integrations.errors import UsageError
from stepwell.integrations.host import LostAnswerError, UnreachableError
from stepwell.integrations.limits import Limits
from stepwell.integrations.nodes.links import Call, Link, Listener, Message, Send
from stepwell.integrations.nodes.moment import Moment
from stepwell.integrations.nodes.owned import Owned
from stepwell.integrations.server import messages, metrics
from stepwell.integrations.stack import OPERATIONS, Stack

log: Final = logging.getLogger("stepwell.cluster")

ANY: Final = -1
"""In place of a shard's number: where it is nearest to the node that is called."""
NODE: Final = "node"
"""In place of a service: the node itself."""


class Node:
    """open    (shard, node id) -> a stack that runs, see stack.opened"""

    def __init__(
        self,
        members: Members,
        open: Callable[
            [int, Callable[[BaseException], object]], AbstractAsyncContextManager[Stack]
        ],
        key: bytes,
        count: int,
        limits: Limits,
    ) -> None:
        self.count, self.owned = count, dict[int, Owned]()
        self.past: list[metrics.Family] = []  # counters of shards that were released
        self.executions: Any = None  # those of the Front, each tried once: the caller repeats them
        self._members, self._open, self._key, self._limits = members, open, key, limits
        self._listener = Listener(self, key, limits)
        self._links: dict[str, Link] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}  # shard -> from take-over to release
        self._free_since: dict[int, float] = {}
        self._missed: set[str] = set()  # addresses of nodes that did not hear of a change
        self._moved, self._look_now = asyncio.Event(), asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._left: set[asyncio.Future[None]] = set()  # shards and links that still close
        self._view: View | None = None
        self._seen = 0.0  # when the members were read last
        self.leaving = self._complete = False

    @property
    def id(self) -> int:
        return self._members.id

    # --- life -------------------------------------------------------------------------------------

    async def open(self, listening: socket.socket) -> None:
        """Take the shards of this node's share, and answer the calls of other nodes."""
        await self._listener.open(listening)
        self._looking = asyncio.create_task(self._look(), name="stepwell-node")
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.move_seconds
        while loop.time() < end and not self._settled():
            await self._changed(self._limits.look_seconds)

    def _settled(self) -> bool:
        """Whether each shard has an owner, and those of this node have recovered."""
        view = self._view
        return view is not None and all(
            shard in self.owned or view.owners.get(shard) not in (None, self.id)
            for shard in range(self.count)
        )

    async def release(self) -> None:
        """Hand all shards over: no other call begins here. Returns when they are released."""
        self.leaving = True
        if self.others():
            with suppress(StoreError):
                await self._members.retire()
        for owned in self.owned.values():
            owned.release()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        if not self.leaving:
            await self.release()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._listener.close()
        for link in self._links.values():
            await link.close()

    def others(self) -> bool:
        """Whether other nodes live."""
        return self._view is not None and len(self._view.nodes) > 1

    def ready(self) -> None:
        """Raises StoreError if this node cannot reach the database for `node_silence_seconds`, or
        has not seen an owner of each shard yet.

        Later, a shard without one is no reason, nor is a database that restarts or fails over: all
        nodes would say so at once, and load balancers would have none left, while calls wait.
        """
        view = self._view
        if view is None or not self.sees:
            raise StoreError("the members of the cluster cannot be read")
        free = set(range(self.count)) - view.owners.keys() - self.owned.keys()
        if free and not self._complete:
            raise StoreError(f"shards {sorted(free)} have no owner")
        self._complete = True

    @property
    def sees(self) -> bool:
        """Whether it has read the members less than `node_silence_seconds` ago."""
        unseen = asyncio.get_running_loop().time() - self._seen
        return unseen <= self._limits.node_silence_seconds

    # --- ownership --------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Look again and again. It only ends when it is cancelled."""
        while True:
            self._release_failed()
            began = Moment.now()
            try:
                self._view = view = await self._members.look()
                self._judge(view, began)
                self._forget_links(view)
                self._settle(view)
                self._seen = asyncio.get_running_loop().time()
            except StoreError as error:
                log.warning("the members of the cluster cannot be read: %s", error)
            except Exception:  # a defect: a node that looks no more keeps its shards from others
                log.exception("the look at the members failed")
            self._notify()
            await asyncio.sleep(self._limits.look_seconds / 10)  # at most so often
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.look_seconds):
                    await self._look_now.wait()
            self._look_now.clear()

    def _release_failed(self) -> None:
        """A session that ends while its shard is idle is noticed by its pings alone."""
        for shard, owned in self.owned.items():
            try:
                owned.stack.check()
            except StoreError as error:
                if not owned.leave.done():
                    log.warning("shard %s: its store failed: %s", shard, error)
                    owned.release()

    def _judge(self, view: View, began: Moment) -> None:
        """Which shards this node still owns. One that was frozen, or whose session has ended, still
        believes in shards that others have, or had, taken meanwhile: it does not hold their locks.
        """
        for shard, owned in self.owned.items():
            if view.owners.get(shard) == self.id:
                owned.locked = began
            elif owned.since <= began.loop:
                lost = StoreLostError(f"shard {shard} is not owned by this node any more")
                owned.stack.engine.worker.fail(lost)
                owned.stack.engine.store.give_up()  # what it still writes would be refused

    def _forget_links(self, view: View) -> None:
        """End the calls to nodes that have died: what they owned has another owner soon."""
        dead = self._links.keys() - view.nodes.values()
        self._missed -= dead
        for address in dead:
            self._leave(asyncio.ensure_future(self._links.pop(address).close("the node has died")))

    def _leave(self, closing: asyncio.Future[None]) -> None:
        self._left.add(closing)
        closing.add_done_callback(self._left.discard)

    def _settle(self, view: View) -> None:
        """Take and release shards, so that each node has its share of them."""
        if self.leaving:
            return
        now = asyncio.get_running_loop().time()
        mine = share(view.nodes.keys() - view.retiring | {self.id}, self.count)[self.id]
        for shard in range(self.count):
            if shard in view.owners or shard in self._tasks:
                self._free_since.pop(shard, None)
                continue
            since = self._free_since.setdefault(shard, now)
            # one that its node does not take, such as one of another version, is taken by others
            if shard in mine or now - since > self._limits.untaken_seconds:
                self._tasks[shard] = task = asyncio.create_task(
                    self._own(shard), name=f"stepwell-shard-{shard}"
                )
                task.add_done_callback(partial(self._released, shard))
        surplus = [
            owned
            for shard, owned in self.owned.items()
            if shard not in mine and now - owned.since > self._limits.untaken_seconds
        ]
        if surplus and not any(owned.leave.done() for owned in self.owned.values()):
            surplus[0].release()

    async def _own(self, shard: int) -> None:
        """Own a shard, from its take-over until it is released or fails."""

        def failed(error: BaseException) -> None:
            log.warning("shard %s: its store failed: %s", shard, error)
            if shard in self.owned:
                self.owned[shard].release()

        exits, began = AsyncExitStack(), Moment.now()
        try:
            stack = await exits.enter_async_context(self._open(shard, failed))
        except StoreInUseError:
            return  # another node was quicker
        except (StoreError, UsageError) as error:
            return log.warning("shard %s was not taken: %s", shard, error)
        try:
            await self._owned(shard, Owned(stack, began))
        finally:
            await self._close(shard, stack, exits)
        await self._tell("look")

    async def _owned(self, shard: int, owned: Owned) -> None:
        """Serve a shard until it is released or fails."""
        self.owned[shard], stack = owned, owned.stack
        stack.engine.on_definitions_changed = self._definitions_changed
        stack.engine.on_deletion = self._finish_deletion
        if self.leaving:  # since the shard was opened
            owned.release()
        log.info("took shard %s", shard)
        self._notify()
        try:
            if shard != HOME:  # home may have written while the shard was opened
                await stack.engine.forget_definitions()
            await owned.leave
            stack.drain()
            with suppress(StoreError):  # then its calls fail, and others may have it already
                stack.check()
                await owned.ended(self._limits.drain_seconds)
        finally:
            del self.owned[shard]
            # those of a process only grow: Prometheus takes a smaller one for a restart
            self.past = list(metrics.summed((self.past, metrics.counters(stack.engine))))

    async def _close(self, shard: int, stack: Stack, exits: AsyncExitStack) -> None:
        """What does not end in time must not keep the shard: its session is ended, so that nothing
        more is written, and the rest is left to itself.
        """
        closing = asyncio.ensure_future(exits.aclose())
        await asyncio.wait((closing,), timeout=2 * self._limits.closing_seconds)
        if not closing.done():
            log.error("shard %s does not close: it waits at %s", shard, _waits_at(closing))
            stack.engine.store.give_up()
            self._leave(closing)
        elif (error := closing.exception()) is not None:
            log.warning("shard %s: %r", shard, error)
        log.info("released shard %s", shard)

    def _released(self, shard: int, task: asyncio.Task[None]) -> None:
        del self._tasks[shard]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("shard %s: %r", shard, error, exc_info=error)
        self._notify()
        self._look_now.set()

    # --- calls ------------------------------------------------------------------------------------

    def near(self, shard: int | None = None) -> Engine | None:
        """See routing.Operations."""
        owned = self.owned.get(shard) if shard is not None else None
        owned = owned or self._preferred()
        return None if owned is None else owned.stack.engine

    async def call(
        self, shard: int | None, service: str, method: str, arguments: Mapping[str, Any]
    ) -> Any:
        """Carry out an operation on the owner of a shard; None: where it is nearest. Waits for a
        shard that moves. Raises ApiError ServiceUnavailable if it has no owner for `move_seconds`.
        """
        return await self._until_owned(
            lambda: self.once(shard, service, method, arguments), f"{service}.{method}"
        )

    async def once(
        self, shard: int | None, service: str, method: str, arguments: Mapping[str, Any]
    ) -> Any:
        """The same, tried once. Raises UnreachableError, LostAnswerError."""
        owned = self._here(shard)
        if owned is not None:
            self._check_lease(owned)
            return await owned.run(service, method, arguments)
        trace = current_trace.get()
        context = {
            "reached": REACHED.get(),
            "anonymous": ANONYMOUS.get(),
            "trace": trace.xray if trace else "",
        }
        link = self._link_to(0 if shard is None else shard)
        number = ANY if shard is None else shard
        return await link.call(Call(number, service, method, arguments, context))

    def _check_lease(self, owned: Owned) -> None:
        """Raises UnreachableError if a shard may have another owner by now: this process was frozen
        (also while it opened the shard), or does not reach the database. What it remembers may be
        out of date, and an answer from memory is not fenced as a commit is.

        The server ends the idle session of an owner, and so frees its lock, `owner_idle_seconds`
        after the last ping, which comes three times as often.
        """
        if owned.locked.seconds() > self._limits.owner_idle_seconds / 2:
            self._look_now.set()
            raise UnreachableError("this node must look first whether it still owns its shards")

    def _here(self, shard: int | None) -> Owned | None:
        return self._preferred() if shard is None else self.owned.get(shard)

    def _preferred(self) -> Owned | None:
        """The shard that new executions without a name are born on: one at a time, so that commits
        stay large. A node that is alone takes home, where the services are; among several each
        takes its shards in turn, so that any of them can be moved with its share of the work.
        """
        staying = [shard for shard, each in self.owned.items() if not each.leave.done()]
        if not staying:
            return None
        turn = 0
        if self.others():
            turn = int(asyncio.get_running_loop().time() / self._limits.turn_seconds)
        return self.owned[sorted(staying)[turn % len(staying)]]

    def _link_to(self, shard: int) -> Link:
        """Raises UnreachableError."""
        view = self._view
        owner = None if view is None else view.owners.get(shard)
        address = None if view is None or owner is None else view.nodes.get(owner)
        if address is None or owner == self.id:
            raise UnreachableError(f"shard {shard} has no owner now")
        return self._link(address)

    def _link(self, address: str) -> Link:
        link = self._links.get(address)
        if link is None:
            link = self._links[address] = Link(address, self._key, self._limits)
        return link

    async def _until_owned(self, attempt: Callable[[], Awaitable[Any]], what: str) -> Any:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.move_seconds
        while True:
            try:
                return await attempt()
            except UnreachableError as error:
                if loop.time() > end:
                    log.error("%s: %s", what, error)
                    raise ApiError("ServiceUnavailable", messages.UNAVAILABLE) from error
            except LostAnswerError as error:
                log.warning("%s: %s", what, error)
                raise ApiError("ServiceUnavailable", messages.UNAVAILABLE) from error
            self._look_now.set()
            await self._changed(self._limits.look_seconds)

    async def respond_through(self, shard: int, scope: Message, body: bytes, send: Send) -> None:
        """Let the owner of a shard respond to an HTTP request."""

        async def attempt() -> None:
            if shard in self.owned:
                return await self.respond(shard, scope, body, send)
            await self._link_to(shard).request(shard, scope, body, send)

        await self._until_owned(attempt, scope["path"])

    def _notify(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _changed(self, seconds: float) -> None:
        """Return when a shard may have moved, at the latest after that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()

    # --- for other nodes --------------------------------------------------------------------------

    async def answer(self, call: Call) -> Any:
        """See links.Owner."""
        shard, service, method, arguments, context = call
        REACHED.set(context["reached"])
        ANONYMOUS.set(context["anonymous"])
        current_trace.set(from_xray(context.get("trace", "")))
        if service == NODE:
            return await getattr(self, f"answer_{method}")(**arguments)
        if shard == ANY:
            return await getattr(self.executions, method)(**arguments)
        owned = self.owned.get(shard)
        if owned is None:
            raise UnreachableError(f"shard {shard} is not here")
        self._check_lease(owned)
        return await owned.run(service, method, arguments)

    async def respond(self, shard: int, scope: Message, body: bytes, send: Send) -> None:
        """See links.Owner."""
        owned = self.owned.get(shard)
        if owned is None or owned.leave.done():
            raise UnreachableError(f"shard {shard} is not here")
        self._check_lease(owned)
        await owned.counted(owned.stack.respond(scope, body, send))

    async def answer_look(self) -> None:
        self._look_now.set()

    async def answer_forget(self, arn: str | None) -> None:
        """A state machine or activity has changed; None: any may have."""
        engines = [each.stack.engine for shard, each in self.owned.items() if shard]
        await asyncio.gather(*(each.forget_definitions(arn) for each in engines))

    async def _finish_deletion(self, machine_arn: str) -> None:
        """Called when nothing seems to run any more on a state machine that home deletes."""
        await self.call(HOME, OPERATIONS, "finish_deletion", {"arn": machine_arn})

    async def _definitions_changed(self, arn: str) -> None:
        """Called at home after each write, before it is answered: every shard reads it anew."""
        await asyncio.gather(self.answer_forget(arn), self._tell("forget", arn=arn))

    async def _tell(self, method: str, **arguments: Any) -> None:
        """Call every other node that lives. One that cannot be reached before it is dead, or
        `node_silence_seconds` have passed, is left out: a node that lives but cannot be reached by
        others answers from what it knew, and forgets all of that at the next change.
        """
        view = self._view
        if view is None:
            return

        async def tell(address: str) -> None:
            missed = method == "forget" and address in self._missed
            own = {"arn": None} if missed else arguments
            try:
                async with asyncio.timeout(self._limits.node_silence_seconds):
                    context = {"reached": "", "anonymous": False}
                    await self._link(address).call(Call(ANY, NODE, method, own, context))
                if missed:
                    self._missed.discard(address)
            except (UnreachableError, LostAnswerError, TimeoutError) as error:
                self._missed.add(address)
                log.warning("%s has not heard of a change: %r", address, error)

        others = [address for node, address in view.nodes.items() if node != self.id]
        await asyncio.gather(*(tell(each) for each in others))


def _waits_at(task: asyncio.Future[None]) -> str:
    """The places of the code that a task waits at, from the outside in."""
    places: list[str] = []
    at: Any = task.get_coro() if isinstance(task, asyncio.Task) else None
    while (frame := getattr(at, "cr_frame", None)) is not None:
        file = os.path.basename(frame.f_code.co_filename)
        places.append(f"{file}:{frame.f_lineno} {frame.f_code.co_name}")
        at = at.cr_await
    return " > ".join(places)
