"""The effects of a Map Run: a chunk of its dataset is read, or all of its results are written.

    ItemReader     Tasks.dataset() --chunk--> ItemsRead;  None: the handler reads all of it
    ResultWriter   child_output rows --part by part--> Tasks.results();  None: the handler gets all

A dataset stays open between its chunks. What a crash interrupts is repeated: the chunk from its
cursor on, the files of results from the first on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.engine import messages
from stepwell.engine.core.events import ItemsRead, RunTask
from stepwell.engine.core.model import FAILED, SUCCEEDED, Execution, Payload, Phase
from stepwell.engine.limits import Limits
from stepwell.engine.map_runs.datasets import Dataset, Results, StreamRequest
from stepwell.engine.map_runs.inputs import Place
from stepwell.engine.runtime.effects import part_handler
from stepwell.engine.runtime.live import Live
from stepwell.engine.store.base import Store, StoreFormatError
from stepwell.engine.store.child_rows import ROW_CHILDREN
from stepwell.engine.tasks import (
    ITEM_READER,
    RESULT_WRITER,
    Handler,
    TaskError,
    TaskRequest,
    TaskResult,
    Tasks,
)

_OPEN: Final = 64  # datasets between two of their chunks
_LEAST_ROWS: Final = 2  # of outputs that are read at a time; more while they are small
_OUTPUT_BYTES: Final = 200  # of chunk_bytes: what an output takes besides its text


class Streams:
    """failed  the children of a Map Run that failed, as a ResultWriter writes them, by its ARN
    park    is called with an execution whose rows cannot be read
    """

    def __init__(
        self,
        store: Store,
        tasks: Tasks,
        limits: Limits,
        failed: Callable[[str], AsyncIterator[Json]],
        park: Callable[[Live, StoreFormatError, None], None],
    ) -> None:
        self._store, self._tasks, self._limits, self._failed = store, tasks, limits, failed
        self._park = park
        self._datasets: OrderedDict[Place, Dataset] = OrderedDict()

    def handler(self, live: Live, command: RunTask) -> Handler:
        """Carries out the command of a Map Run. What it returns for a chunk is ItemsRead."""
        writes = live.x.frames[command.frame].phase == Phase.WRITE
        part = RESULT_WRITER if writes else ITEM_READER
        mocked = part_handler(self._tasks, live.x, command, part)
        if mocked is not None and not writes:
            return mocked
        perform = partial(self._write, mocked) if writes else self._read
        return partial(self._perform, perform, live, command)

    async def _perform(
        self,
        perform: Callable[[Live, RunTask, TaskRequest], Awaitable[TaskResult]],
        live: Live,
        command: RunTask,
        request: TaskRequest,
    ) -> TaskResult:
        try:
            return await perform(live, command, request)
        except StoreFormatError as error:  # of this execution: the others continue
            self._park(live, error, None)
            raise TaskError(asl_messages.RUNTIME, str(error), runtime=True) from error

    async def close(self) -> None:
        while self._datasets:
            await self._datasets.popitem()[1].close()

    # --- reading ----------------------------------------------------------------------------------

    async def _read(self, live: Live, command: RunTask, request: TaskRequest) -> TaskResult:
        place = live.x.id, command.frame, command.seq
        dataset = self._datasets.pop(place, None)
        if dataset is None:
            dataset = await self._tasks.dataset(_stream(request))
        if dataset is None:
            return await self._handled(request)
        stream = live.x.frames[command.frame].running_children.stream
        cursor = None if stream is None or stream.cursor is None else stream.cursor.value
        ended = True
        try:
            chunk = await dataset.chunk(cursor, self._limits.chunk_items, self._limits.chunk_bytes)
            ended = chunk.cursor is None
        finally:
            if ended:
                await dataset.close()
        if not ended:
            self._datasets[place] = dataset
            if len(self._datasets) > _OPEN:
                await self._datasets.popitem(last=False)[1].close()
        event = ItemsRead(
            command.frame,
            command.seq,
            [Payload(item) for item in chunk.items],
            chunk.keys,
            None if ended else Payload(chunk.cursor),
            dataset.source,
        )
        return Payload(event, b"")  # not stored: see Attempts.run

    async def _handled(self, request: TaskRequest, mocked: Handler | None = None) -> TaskResult:
        handler = mocked or self._tasks.resolve(request.resource)
        if handler is None:
            raise TaskError(
                asl_messages.RUNTIME,
                messages.NO_SERVICE.format(resource=request.resource.text),
                runtime=True,
            )
        return await handler(request)

    # --- writing ----------------------------------------------------------------------------------

    async def _write(
        self, mocked: Handler | None, live: Live, command: RunTask, request: TaskRequest
    ) -> TaskResult:
        payload: dict[str, Any] = dict(request.payload)
        earlier = payload.pop("Results")  # of an older version, which kept them in memory
        rows = self._outputs(live.x, command, [json_text.encode(each) for each in earlier])
        stream = _stream(replace(request, payload=payload))
        results = None if mocked else await self._tasks.results(stream)
        if results is None:
            every = [json_text.loads(text) async for text in rows]
            whole = replace(request, payload={**payload, "Results": every})
            return await self._handled(whole, mocked)
        try:
            state = await results.begin()
            if payload["Transformation"] == "FLATTEN":
                rows = _flat(rows)
            state = await _written(results, state, SUCCEEDED, rows)
            failed = (json_text.encode(each) async for each in self._failed(payload["MapRunArn"]))
            state = await _written(results, state, FAILED, failed)
            return await results.finish(state)
        finally:
            await results.close()

    async def _outputs(
        self, x: Execution, command: RunTask, earlier: Iterable[bytes]
    ) -> AsyncIterator[bytes]:
        """The JSON texts of all outputs, in the order of the items."""
        for text in earlier:
            yield text
        place, first, limit = (x.id, command.frame, command.seq), 0, _LEAST_ROWS
        held: list[tuple[int, bytes]] = []
        while page := await self._store.child_outputs(*place, first, limit):
            last = page[-1][0]  # the rows to come have later slots
            size = sum([len(text) + _OUTPUT_BYTES for _, outputs in page for _, text in outputs])
            held = sorted([*held, *(each for _, outputs in page for each in outputs)])
            ready = bisect_left(held, (last + 1,))
            for _, text in held[:ready]:
                yield text
            held, first = held[ready:], last + 1
            if size < self._limits.chunk_bytes:
                limit = min(2 * limit, ROW_CHILDREN)
            elif limit > _LEAST_ROWS:
                limit //= 2
        for _, text in held:
            yield text


async def _flat(texts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for text in texts:
        if text.startswith(b"["):
            values: Any = json_text.loads(text)
            for value in values:
                yield json_text.encode(value)
        else:
            yield text


async def _written(results: Results, state: Json, status: str, texts: AsyncIterator[bytes]) -> Json:
    """The state after all texts of a status."""
    lines, size = list[bytes](), 0
    async for text in texts:
        if b"\n" in text or b"\r" in text:
            text = json_text.encode(json_text.loads(text))
        lines.append(text)
        size += len(text) + 1
        if size >= results.part_bytes:
            state = await results.part(state, status, b"\n".join(lines))
            lines, size = [], 0
    return await results.part(state, status, b"\n".join(lines)) if lines else state


def _stream(request: TaskRequest) -> StreamRequest:
    return StreamRequest(
        request.resource,
        request.payload,
        request.execution_arn,
        request.machine_arn,
        request.state_name,
        request.role_arn,
    )
