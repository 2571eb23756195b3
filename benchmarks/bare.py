"""python -m benchmarks.bare PORT FILE: a bare group-commit server, which the benchmarks over HTTP
compare with.

It parses each request and its JSON, writes the rows that the engine would write for the execution,
in one transaction for all that have arrived, and sends a prepared answer. It decides, checks and
logs nothing, so no server of these writes in Python can be much faster.

A workload is recorded at the start: one execution by the engine, with the rows of its commits. For
each start, the id and the name of that execution are replaced in them.
"""

import asyncio
import json
import os
import queue
import sqlite3
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httptools
import msgspec

from benchmarks.probe import connect, record
from benchmarks.workloads import SERVED, Echo
from stepwell.engine import Engine
from stepwell.engine.clock import SystemClock
from stepwell.engine.store.batch import (
    DELETE_FRAMES,
    DELETE_PAYLOADS,
    INSERT_EXECUTION,
    INSERT_HISTORY,
    INSERT_PIN,
    INSERT_SERIES,
    Batch,
    Change,
)
from stepwell.engine.store.keys import EVENT_BITS, ROW_BITS
from stepwell.engine.store.sqlite.database import write
from stepwell.integrations.loop import run

BATCH = 64
FIRST_ID = 1000  # above the executions in the copied database
WALL = SystemClock()
TAIL, UUID = (INSERT_EXECUTION.names.index(name) for name in ("tail", "uuid"))
# of the database's own tables: the copied database has them
SKIPPED = (INSERT_SERIES, INSERT_PIN)
# statements of deletions by key; the others name the execution first
BY_KEY = {DELETE_FRAMES, DELETE_PAYLOADS}

Keys = list[tuple[int, int, int]]
"""[(place, bits, rest)] of values that hold the execution's id: id << bits | rest."""


class Writes:
    """The writes of one unit, for any execution."""

    def __init__(self, batch: Batch) -> None:
        self._rows = [
            (change, values, _keys(change, values))
            for change, values in batch.rows.items()
            if values and change not in SKIPPED
        ]
        self._deletes = [
            (name, list(values), _keys_of_delete(name, values)) for name, values in batch.deletes
        ]
        self._merges = [(_rest(a, EVENT_BITS), _rest(b, EVENT_BITS)) for a, b in batch.merges]

    def put(self, batch: Batch, number: int, name: str) -> None:
        """Add them to a batch, of the execution with this id and name."""
        for change, values, keys in self._rows:
            mine = _numbered(values, keys, number)
            if change is INSERT_EXECUTION:
                mine[TAIL], mine[UUID] = name, uuid.uuid4().bytes
            batch.rows[change] += mine
        for statement, values, keys in self._deletes:
            batch.deletes.append((statement, tuple(_numbered(values, keys, number))))
        for first, last in self._merges:
            batch.merges.append((number << EVENT_BITS | first, number << EVENT_BITS | last))


def _rest(key: int, bits: int) -> int:
    return key & ((1 << bits) - 1)


def _keys(change: Change, values: list[Any]) -> Keys:
    keys = []
    for place, value in enumerate(values):
        column = change.names[place % change.columns]
        if column in ("id", "execution"):
            keys.append((place, 0, 0))
        elif column == "key":
            bits = EVENT_BITS if change is INSERT_HISTORY else ROW_BITS
            keys.append((place, bits, _rest(value, bits)))
    return keys


def _keys_of_delete(name: str, values: tuple[int, ...]) -> Keys:
    if name in BY_KEY:
        return [(place, ROW_BITS, _rest(value, ROW_BITS)) for place, value in enumerate(values)]
    return [(0, 0, 0)]


def _numbered(values: list[Any], keys: Keys, number: int) -> list[Any]:
    values = values.copy()
    for place, bits, rest in keys:
        values[place] = number << bits | rest
    return values


class Workload(NamedTuple):
    units: list[Writes]
    answer: bytes


class Committer:
    """One thread that writes all that has arrived in one transaction, and then answers."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self._path, self._loop = path, loop
        self._queue: queue.SimpleQueue[tuple[Workload, str, Callable[[], None]]] = (
            queue.SimpleQueue()
        )
        self.put = self._queue.put
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            os._exit(1)  # clients would wait without an end

    def _work(self) -> None:
        connection, number = connect(self._path), FIRST_ID
        while True:
            taken = [self._queue.get()]
            while len(taken) < BATCH and not self._queue.empty():
                taken.append(self._queue.get())
            batches = [Batch() for _ in range(max(len(each.units) for each, _, _ in taken))]
            for workload, name, _ in taken:
                for batch, unit in zip(batches, workload.units):
                    unit.put(batch, number, name)
                number += 1
            connection.execute("BEGIN IMMEDIATE")
            for batch in batches:
                batch.clock, batch.next_id = WALL.wall(), number
                write(batch, connection)
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_answer, [answer for _, _, answer in taken])


def _answer(answers: list[Callable[[], None]]) -> None:
    for answer in answers:
        answer()


class Server(asyncio.Protocol):
    """One connection, with one request at a time."""

    workloads: dict[str, Workload]
    committer: Committer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._operation, self._body = b"", b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-amz-target":
            self._operation = value.rpartition(b".")[2]

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body = msgspec.json.decode(self._body)
        if self._operation == b"CreateStateMachine":
            return self._send(msgspec.json.encode({"stateMachineArn": body["name"]}))
        if self._operation == b"DescribeExecution":
            return self._send(self.workloads[body["executionArn"].partition("/")[0]].answer)
        workload = self.workloads[body["stateMachineArn"]]
        if self._operation == b"StartSyncExecution":
            return self._send(workload.answer)
        answer = {
            "executionArn": f"{body['stateMachineArn']}/{body['name']}",
            "startDate": WALL.wall() / 1000,
        }
        self.committer.put(
            (workload, body["name"], lambda: self._send(msgspec.json.encode(answer)))
        )
        return None

    def _send(self, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )


async def _described(definition: dict[str, Any], input: Any) -> bytes:
    async with Engine(tasks=Echo()) as engine:
        created = await engine.create_state_machine("machine", json.dumps(definition))
        started = await engine.start_execution(
            created["stateMachineArn"], name="x" * 32, input=json.dumps(input)
        )
        return msgspec.json.encode(await engine.wait(started["executionArn"]))


def _workloads(path: Path) -> dict[str, Workload]:
    """All workloads; the file is then a database with the tables and the rows that they refer
    to.
    """
    found = {}
    for place, (definition, _, input) in enumerate(SERVED.values()):
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            source = Path(folder) / "recorded.db"
            batches = run(record(str(source), definition, 1, input))
            if not place:
                with sqlite3.connect(source) as old, sqlite3.connect(path) as new:
                    old.backup(new)
        found[f"workload-{place}"] = Workload(
            [Writes(batch) for batch in batches], run(_described(definition, input))
        )
    return found


async def serve(port: int, path: Path, workloads: dict[str, Workload]) -> None:
    loop = asyncio.get_running_loop()
    Server.workloads, Server.committer = workloads, Committer(str(path), loop)
    server = await loop.create_server(Server, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    path = Path(sys.argv[2])
    workloads = _workloads(path)
    run(serve(int(sys.argv[1]), path, workloads))


if __name__ == "__main__":
    main()
