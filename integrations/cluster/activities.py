"""GetActivityTask over all shards: a task lies in the memory of its execution's shard, and pollers
of every node find it.

    poller --ActivityPollers, one for each node--"activities"--> ActivityOffers, one for each shard

A node watches each shard with one waiting call for all activities that it polls. The call returns
when one of them has tasks; then as many pollers as there are tasks take one each. So idle pollers
and idle activities cost nothing, and a task reaches a poller within two calls.

A shard numbers its answers ("stamp"): of two reports on a queue the later one counts, whichever
arrives first.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict, deque
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final

from stepwell.engine import messages
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError, EngineError
from stepwell.integrations.host import LostAnswerError, Peers, UnreachableError
from stepwell.integrations.limits import Limits

log: Final = logging.getLogger("stepwell.cluster")

SERVICE: Final = "activities"
_FORGET_SECONDS: Final = 60.0  # after which an activity or node that does not poll is forgotten
_ANSWERS: Final = 10_000  # of takes, which a shard remembers for callers that lost theirs
_TRIES: Final = 5  # of a take whose answer is lost

Answer = dict[str, Any]
Report = Sequence[int]  # (stamp, tasks in a queue)


# --- a shard --------------------------------------------------------------------------------------


class _Watcher:
    """A node that watches. fresh: activities that have had tasks since its last answer."""

    def __init__(self) -> None:
        self.arns: set[str] = set()
        self.fresh: set[str] = set()
        self.woken = asyncio.Event()
        self.seen = asyncio.get_running_loop().time()


class ActivityOffers:
    """The service "activities" of a shard."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine, self._limits = engine, limits
        self._queues = engine.activities.queues
        self._generation, self._stamps = secrets.token_hex(8), count(1)
        self._watchers: dict[str, _Watcher] = {}
        self._takes: OrderedDict[str, asyncio.Future[Answer]] = OrderedDict()
        self._queues.offered = self._offered

    async def check(self, *, activity_arn: str) -> None:
        """Raises ApiError if there is no such activity."""
        await self._engine.describe_activity(activity_arn)

    async def watch(
        self, *, watcher: str, generation: str | None, add: list[str], drop: list[str]
    ) -> Answer:
        """{"generation", "tasks": {ARN: report}} of the watched activities that have tasks.

        Waits for one, unless activities are added. generation: as answered before; None begins
        anew. If the answer has another one, the shard does not know the watcher.
        """
        self._forget_watchers()
        if generation is None:
            self._watchers[watcher] = _Watcher()
        found = self._watchers.get(watcher)
        if found is None or generation not in (None, self._generation):
            return {"generation": None, "tasks": {}}
        found.seen = asyncio.get_running_loop().time()
        found.arns.difference_update(drop)
        found.arns.update(add)
        found.fresh.update(add)
        if not add and not found.fresh:
            try:
                async with asyncio.timeout(self._limits.peer_wait_seconds):
                    await found.woken.wait()
            except TimeoutError:
                pass
        found.woken.clear()
        fresh, found.fresh = found.fresh & found.arns, set()
        tasks = {arn: self._report(arn) for arn in fresh if self._count(arn)}
        return {"generation": self._generation, "tasks": tasks}

    async def take(self, *, activity_arn: str, worker_name: str | None, call: str) -> Answer:
        """{"task": as GetActivityTask answers, {} without one, "report", "generation"}. The same
        call gets the same answer.
        """
        taking = self._takes.get(call)
        if taking is None:
            taking = asyncio.ensure_future(self._take(activity_arn, worker_name))
            self._takes[call] = taking
            if len(self._takes) > _ANSWERS:
                self._takes.popitem(last=False)
        return await asyncio.shield(taking)

    async def _take(self, arn: str, worker_name: str | None) -> Answer:
        task: Mapping[str, Any] = {}
        if self._count(arn):
            task = await self._engine.get_activity_task(arn, worker_name, timeout=0)
        report = self._report(arn)
        return {"task": dict(task), "report": report, "generation": self._generation}

    def _count(self, arn: str) -> int:
        queue = self._queues.known.get(arn)
        return 0 if queue is None else len(queue.tasks)

    def _report(self, arn: str) -> Report:
        return next(self._stamps), self._count(arn)

    def _offered(self, arn: str) -> None:
        """A task was queued."""
        for watcher in self._watchers.values():
            if arn in watcher.arns:
                watcher.fresh.add(arn)
                watcher.woken.set()

    def _forget_watchers(self) -> None:
        oldest = (
            asyncio.get_running_loop().time() - self._limits.peer_wait_seconds - _FORGET_SECONDS
        )
        for name in [name for name, each in self._watchers.items() if each.seen < oldest]:
            del self._watchers[name]


# --- a node ---------------------------------------------------------------------------------------


class _Queue:
    """What a node knows of an activity's queue on one shard.

    left    tasks in it, those being taken included
    taking  takes on their way
    since   when it was found to have tasks, or when one was taken
    """

    __slots__ = ("stamp", "left", "taking", "since")

    def __init__(self) -> None:
        self.stamp = self.left = self.taking = 0
        self.since = 0.0


class _Activity:
    """pollers  that wait for a task, in the order of their calls
    spare    tasks that were taken for callers that had left: for the next poller
    used     when it was polled last
    """

    def __init__(self, shards: int) -> None:
        self.queues = [_Queue() for _ in range(shards)]
        self.pollers: deque[asyncio.Future[None]] = deque()
        self.spare: deque[Answer] = deque()
        self.used = 0.0

    def oldest(self) -> int | None:
        """The shard that should be taken from next."""
        having = [at for at, queue in enumerate(self.queues) if queue.left > queue.taking]
        return min(having, key=lambda at: self.queues[at].since) if having else None

    def learn(self, shard: int, report: Report, now: float) -> None:
        stamp, left = report
        queue = self.queues[shard]
        if stamp > queue.stamp:
            if not queue.left:
                queue.since = now
            queue.stamp, queue.left = stamp, left + queue.taking
            self.wake()

    def wake(self) -> None:
        """Wake as many pollers as there are tasks for them."""
        free = len(self.spare) + sum(max(0, each.left - each.taking) for each in self.queues)
        while free and self.pollers:
            poller = self.pollers.popleft()
            if not poller.done():
                poller.set_result(None)
                free -= 1

    def idle(self, now: float) -> bool:
        return not (
            self.pollers
            or self.spare
            or now - self.used < _FORGET_SECONDS
            or any(each.taking for each in self.queues)
        )


class _Shard:
    """What a node has subscribed to at a shard.

    generation  None before, and after an error
    version     of the node's activities that `arns` are up to; -1: unknown
    """

    def __init__(self) -> None:
        self.generation: str | None = None
        self.arns: set[str] = set()
        self.version = -1
        self.watching = self.adding = False


class ActivityPollers:
    """GetActivityTask of one node."""

    def __init__(self, peers: Peers, limits: Limits) -> None:
        self._peers, self._limits, self._name = peers, limits, secrets.token_hex(8)
        self._activities: dict[str, _Activity] = {}
        self._version, self._forget_at = 0, 0.0  # the version grows with each change of activities
        self._shards = [_Shard() for _ in range(peers.count)]
        self._tasks: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def get_activity_task(
        self, activity_arn: str, worker_name: str | None = None, timeout: float = 60
    ) -> Answer:
        """As Engine.get_activity_task."""
        loop = asyncio.get_running_loop()
        end, failures = loop.time() + timeout, 0
        while True:
            try:
                await self._call(self._peers.shard, "check", activity_arn=activity_arn)
                break
            except (UnreachableError, LostAnswerError):
                if loop.time() > end:
                    return {}
            await self._pause(failures)
            failures += 1
        activity = self._activity(activity_arn)
        while True:
            activity.used = loop.time()
            if activity.spare:
                return activity.spare.popleft()
            shard = activity.oldest()
            if shard is not None:
                if task := await self._take(activity, shard, activity_arn, worker_name):
                    return task
                continue
            if len(activity.pollers) >= self._limits.pollers:
                raise ApiError("ActivityWorkerLimitExceeded", messages.POLLER_LIMIT)
            poller = loop.create_future()
            activity.pollers.append(poller)
            try:
                async with asyncio.timeout_at(end):
                    await poller
            except TimeoutError:
                if not poller.done() or poller.cancelled():
                    return {}
            except asyncio.CancelledError:
                activity.wake()  # what this caller was woken for is another's
                raise
            finally:
                if poller in activity.pollers:
                    activity.pollers.remove(poller)

    # --- taking -----------------------------------------------------------------------------------

    async def _take(
        self, activity: _Activity, shard: int, arn: str, worker_name: str | None
    ) -> Answer:
        """The task is not lost if the caller leaves meanwhile."""
        taking = self._start(self._taken(activity, shard, arn, worker_name))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(partial(_spare, activity))
            raise

    async def _taken(
        self, activity: _Activity, shard: int, arn: str, worker_name: str | None
    ) -> Answer:
        queue, call = activity.queues[shard], secrets.token_hex(8)
        queue.taking += 1
        try:
            answer = await self._answer(shard, arn, worker_name, call)
        finally:
            queue.taking -= 1
        now = asyncio.get_running_loop().time()
        queue.left, queue.since = max(0, queue.left - 1), now
        if answer is None:  # until the shard says more
            queue.left = 0
            return {}
        if answer["generation"] == self._shards[shard].generation:
            activity.learn(shard, answer["report"], now)
        task: Answer = answer["task"]
        return task

    async def _answer(
        self, shard: int, arn: str, worker_name: str | None, call: str
    ) -> Answer | None:
        """None if the shard cannot be reached, or does not know the activity (yet)."""
        lost = False
        for attempt in range(_TRIES):
            try:
                answer: Answer = await self._call(
                    shard, "take", activity_arn=arn, worker_name=worker_name, call=call
                )
                return answer
            except EngineError as error:
                lost |= isinstance(error, LostAnswerError)
                if not lost:
                    log.debug("shard %d has no task of %s: %s", shard, arn, error)
                    break
                await self._pause(attempt)
        self._shards[shard].arns.discard(arn)  # ask again what it has
        self._shards[shard].version = -1
        self._subscribe(shard)
        return None

    # --- watching ---------------------------------------------------------------------------------

    def _activity(self, arn: str) -> _Activity:
        """Watched at all shards."""
        activity = self._activities.get(arn)
        if activity is None:
            activity = self._activities[arn] = _Activity(len(self._shards))
            self._version += 1
            for number in range(len(self._shards)):
                self._subscribe(number)
        return activity

    def _subscribe(self, number: int) -> None:
        shard = self._shards[number]
        if not shard.watching:
            shard.watching = True
            self._start(self._watch(number, shard))
        elif not shard.adding:
            shard.adding = True
            self._start(self._add(number, shard))

    async def _watch(self, number: int, shard: _Shard) -> None:
        """Until no activity is polled any more."""
        failures = 0
        try:
            while self._activities:
                if shard.generation is None:
                    shard.arns.clear()
                    shard.version = -1
                    for each in self._activities.values():
                        each.queues[number].stamp = each.queues[number].left = 0
                try:
                    shard.generation = await self._exchange(number, shard)
                    failures = 0
                except EngineError as error:
                    log.debug("shard %d is not watched: %s", number, error)
                    shard.generation = None
                    await self._pause(failures)
                    failures += 1
                self._forget_activities()
        finally:
            shard.watching, shard.generation = False, None

    async def _add(self, number: int, shard: _Shard) -> None:
        """Subscribe to activities while the call of _watch waits."""
        try:
            while shard.generation is not None and self._lacks(shard):
                try:
                    if await self._exchange(number, shard) is None:
                        return  # _watch begins anew
                except EngineError as error:
                    log.debug("shard %d is not watched: %s", number, error)
                    await self._pause(0)
        finally:
            shard.adding = False

    def _lacks(self, shard: _Shard) -> bool:
        """Whether there is something to subscribe to: else the next call waits."""
        return shard.version != self._version and bool(self._activities.keys() - shard.arns)

    async def _exchange(self, number: int, shard: _Shard) -> str | None:
        """One call: it waits if there is nothing to subscribe to. Returns the shard's generation;
        None: it does not know this node. Raises EngineError.
        """
        add, drop, wanted = list[str](), list[str](), self._activities.keys()
        if shard.version != self._version:
            add, drop = list(wanted - shard.arns), list(shard.arns - wanted)
            shard.arns.update(add)
            shard.arns.difference_update(drop)
            shard.version = self._version
        generation: str | None = None
        try:
            answer = await self._call(
                number, "watch", watcher=self._name, generation=shard.generation, add=add, drop=drop
            )
            generation = answer["generation"]
        finally:
            if generation is None:
                shard.arns.difference_update(add)
                shard.version = -1
        now = asyncio.get_running_loop().time()
        for arn, report in answer["tasks"].items():
            if arn in self._activities:
                self._activities[arn].learn(number, report, now)
        return generation

    def _forget_activities(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._forget_at:
            return
        self._forget_at = now + _FORGET_SECONDS / 4
        for arn in [arn for arn, each in self._activities.items() if each.idle(now)]:
            del self._activities[arn]
            self._version += 1

    # --- inside -----------------------------------------------------------------------------------

    async def _call(self, shard: int, method: str, **arguments: Any) -> Any:
        return await self._peers.call(shard, SERVICE, method, arguments)

    async def _pause(self, failures: int) -> None:
        limits = self._limits
        longest = limits.peer_pause_most_seconds
        await asyncio.sleep(min(limits.peer_pause_seconds * 2.0 ** min(failures, 20), longest))

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _spare(activity: _Activity, taking: asyncio.Task[Any]) -> None:
    """Keep a task whose caller has left for the next poller."""
    if not taking.cancelled() and taking.exception() is None and taking.result():
        activity.spare.append(taking.result())
        activity.wake()
