"""Home's part in the tasks of other shards: it carries out their attempts (tasks/sent_home.py).

task/answer/TOKEN = {"at": epoch ms, "result": JSON text}      the marker of an attempt
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import loads
from stepwell.asl.resources import local_resource, parse_resource
from stepwell.engine import messages
from stepwell.engine.clock import sleep_until
from stepwell.engine.core.environment import read_token
from stepwell.engine.core.model import RUNNING
from stepwell.engine.errors import EngineError, StoreError
from stepwell.engine.runtime.effects import checked, failure
from stepwell.engine.store.blobs import scrub
from stepwell.engine.tasks import TaskError, TaskRequest, Tasks, Transaction, in_line
from stepwell.integrations.host import Host, LostAnswerError
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.common.tables import pack, readable, unchanged
from stepwell.integrations.tasks.sent_home import (
    CALLERS,
    IN_LINE,
    WAITING,
    WORKING,
    marked,
    marker_key,
)

Answer = dict[str, Any]

_MARKERS: Final = marker_key("")
_SWEEP_SECONDS: Final = 3600
_PAGE: Final = 1000


class _Run:
    """One attempt that is carried out here.

    state    WORKING, WAITING or IN_LINE
    outcome  answers with {"result": bytes, "marked"} or {"error", "cause", "runtime"}
    caller   who has asked for it last
    """

    def __init__(self, carry_out: Callable[[_Run], Awaitable[Answer]]) -> None:
        self.state, self.caller = WORKING, ""
        self._changed = asyncio.Event()
        self.outcome = asyncio.ensure_future(carry_out(self))
        self.outcome.add_done_callback(lambda _: self._notify())

    async def answer(self, known: str, seconds: float) -> Answer:
        """The answer, or {"state": ...} when that is not `known` any more or the time is up.
        Raises LostAnswerError.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self.outcome.done() and self.state == known:
                    await self._changed.wait()
        except TimeoutError:
            pass
        if not self.outcome.done():
            return {"state": self.state}
        if self.outcome.cancelled():
            raise LostAnswerError("the attempt was cancelled at home")
        if (error := self.outcome.exception()) is not None:
            raise LostAnswerError(f"home could not carry it out: {error}") from error
        return self.outcome.result()

    @asynccontextmanager
    async def in_state(self, state: str) -> AsyncIterator[None]:
        self.state = state
        self._notify()
        try:
            yield
        finally:
            self.state = WORKING
            self._notify()

    def _notify(self) -> None:
        event, self._changed = self._changed, asyncio.Event()
        event.set()


class _Ended:
    """The attempts that ended a short time ago, with their answers as long as there is room."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._bytes = limits, 0
        self._at: OrderedDict[str, tuple[float, bool]] = OrderedDict()  # (when, marked)
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def add(self, token: str, answer: Answer) -> None:
        now = asyncio.get_running_loop().time()
        self._forget(token)
        self._at[token], self._answers[token] = (now, answer.get("marked", False)), answer
        self._bytes += _size(answer)
        while self._bytes > self._limits.task_answers_bytes:
            self._bytes -= _size(self._answers.popitem(last=False)[1])
        oldest = now - self._limits.task_answers_seconds
        while (first := next(iter(self._at.items())))[1][0] < oldest:
            self._forget(first[0])

    def _forget(self, token: str) -> None:
        self._at.pop(token, None)
        self._bytes -= _size(self._answers.pop(token, {}))

    def __contains__(self, token: str) -> bool:
        return token in self._at

    def answer(self, token: str) -> Answer | None:
        return self._answers.get(token)

    def marked(self, token: str) -> bool:
        return token in self._at and self._at[token][1]


class TaskRuns:
    """The service "tasks" of home: attempts by task token, those that run and those that ended a
    short time ago: a call that arrives late, after its sender has repeated it, takes no effect.
    """

    def __init__(self, host: Host, tasks: Tasks) -> None:
        self._host, self._tasks = host, tasks
        self._runs: dict[str, _Run] = {}
        self._ended, self._opened = _Ended(host.limits), 0.0
        self._openings: dict[int, str] = {}  # shard -> its opening that was last seen to be valid

    async def open(self) -> None:
        self._opened = asyncio.get_running_loop().time()
        self._host.supervisor.start("task_markers", self._sweep)

    # --- the service ------------------------------------------------------------------------------

    async def run(
        self, *, token: str, caller: str, call: str, again: bool, known: str, **task: Any
    ) -> Answer:
        """Carry out an attempt, or join it.

        {"state"} when it does not do what is `known` any more; {"result": JSON text, "marked":
        whether there is a marker}; {"error", "cause", "runtime"}. Raises LostAnswerError.
        """
        run = self._runs.get(token)
        if run is None:
            if (answer := self._ended.answer(token)) is not None:
                return answer
            begin = partial(self._carry_out, token, call, again or token in self._ended, task)
            run = self._runs[token] = _Run(begin)
            run.outcome.add_done_callback(lambda _: self._over(token))
        run.caller = caller
        return await run.answer(known, self._host.limits.peer_wait_seconds)

    async def cancel(self, *, token: str, caller: str) -> None:
        """The attempt is over, unless another caller has asked for it since."""
        run = self._runs.get(token)
        if run is not None and run.caller == caller:
            run.outcome.cancel()

    # --- inside -----------------------------------------------------------------------------------

    async def _marked(self, token: str) -> bytes | None:
        """The JSON text of the result in an attempt's marker."""
        text = await marked(self._host.records, token)
        if text is not None:
            return text
        if self._ended.marked(token):
            raise LostAnswerError("the attempt has ended, and its marker was taken")
        return None

    async def _in_time(self, shard: int, opening: str, call: str) -> bool:
        """Whether a call may begin an attempt. It may be one to an earlier owner of home, whose
        memory of the attempt is lost, or of an earlier owner of the shard, which was frozen
        while the next one had the attempt done. So the owner of the shard is asked, unless home
        has been open for longer than any call takes, and has heard of no other owner since.
        """
        age = asyncio.get_running_loop().time() - self._opened
        peers = self._host.peers
        is_known = self._openings.get(shard) == opening
        if peers is None or (is_known and age > self._host.limits.task_answers_seconds):
            return True
        try:
            waits: bool = await peers.call(shard, CALLERS, "waits", {"call": call})
        except EngineError:  # the shard has another owner soon, which sends it again
            return False
        if waits:
            self._openings[shard] = opening
        return waits

    async def _carry_out(
        self, token: str, call: str, again: bool, task: Answer, run: _Run
    ) -> Answer:
        """Unless it was carried out before. Other calls join meanwhile."""
        if again and (text := await self._marked(token)) is not None:
            return {"result": text, "marked": True}
        if not await self._in_time(task["shard"], task["opening"], call):
            raise LostAnswerError("the call has been repeated meanwhile")
        in_line.set(partial(run.in_state, IN_LINE))
        try:
            transaction = await self._perform(self._request(token, again, task, run))
        except TaskError as error:
            return _failed(error)
        except (StoreError, asyncio.CancelledError):
            raise
        except Exception as error:
            return _failed(failure(error))
        text, writes = transaction.answer, transaction.writes
        if writes:
            done = {"at": self._host.clock.now(), "result": text.decode()}
            marker = {marker_key(token): pack(done)}
            await _to_its_end(self._host.records.write({**writes, **marker}, transaction.then))
        else:
            transaction.then()
        return {"result": text, "marked": bool(writes)}

    async def _perform(self, request: TaskRequest) -> Transaction[bytes]:
        """The JSON text of the result, with what is stored with it. Raises TaskError."""
        handler = self._tasks.resolve(request.resource)
        if handler is None:
            text = messages.NO_SERVICE.format(resource=request.resource.text)
            raise TaskError(asl_messages.RUNTIME, text, runtime=True)
        result = await handler(request)
        if isinstance(result, Transaction):
            return result.replying(checked(result.answer).data)
        return Transaction(checked(result).data, {})

    def _request(self, token: str, again: bool, task: Answer, run: _Run) -> TaskRequest:
        return TaskRequest(
            parse_resource(task["resource"]) or local_resource(task["resource"]),
            loads(task["payload"]),
            lambda: token,
            task["timeout"],
            task["heartbeat"],
            again,
            task["execution_arn"],
            task["machine_arn"],
            task["state_name"],
            task["role_arn"],
            _no_job,
            waiting=partial(run.in_state, WAITING),
        )

    def _over(self, token: str) -> None:
        outcome = self._runs.pop(token).outcome
        if not outcome.cancelled() and outcome.exception() is None:
            self._ended.add(token, outcome.result())

    # --- markers that no sender has deleted -------------------------------------------------------

    async def _sweep(self) -> None:
        clock = self._host.clock
        try:
            while True:
                await self.delete_markers()
                await sleep_until(clock, clock.now() + 1000 * _SWEEP_SECONDS)
        finally:  # the engine closes
            for run in self._runs.values():
                run.outcome.cancel()

    async def delete_markers(self) -> int:
        """Delete the markers of attempts whose execution has ended. Returns how many."""
        records, deleted, after = self._host.records, 0, _MARKERS
        before = self._host.clock.now() - 1000 * self._host.limits.marker_seconds
        while page := await records.scan(_MARKERS, after, _PAGE):
            unused = [key for key, data in page if await self._unused(key, data, before)]
            if unused:
                await records.write(dict.fromkeys(unused))
            deleted, after = deleted + len(unused), page[-1][0]
        return deleted

    async def _unused(self, key: str, data: bytes, before: int) -> bool:
        marker, named = readable(key, data, unchanged), read_token(key.removeprefix(_MARKERS))
        if marker is None or named is None or marker["at"] > before:
            return False
        assert self._host.engine is not None
        row = await self._host.engine.store.row(named[0])
        return row is None or row.status != RUNNING


async def _to_its_end(commit: Coroutine[Any, Any, None]) -> None:
    """A commit under way may succeed although its caller is cancelled: the attempt must not be
    begun again before that is known.
    """
    committing = asyncio.create_task(commit)
    try:
        await asyncio.shield(committing)
    except asyncio.CancelledError:
        await asyncio.wait([committing])
        raise


async def _no_job(answer: Json) -> None:
    raise AssertionError("no embedded service has jobs (.sync)")


def _size(answer: Answer) -> int:
    """Bytes of an answer, about."""
    return len(answer.get("result") or answer.get("cause") or "")


def _failed(error: TaskError) -> Answer:
    return {"error": scrub(error.error), "cause": scrub(error.cause), "runtime": error.runtime}
