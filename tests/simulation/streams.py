"""Datasets and results of Map Runs in the simulated world: the items are numbers, and the output of
the ResultWriter is all that was written.
"""

import asyncio
import json
from random import Random

from stepwell.asl.evaluation import Json
from stepwell.engine.map_runs.datasets import Chunk

CHUNK = 5


class Numbers:
    """0, 1, 2 ... A cursor is the next number."""

    source = "S3://b/numbers"

    def __init__(self, rng: Random, count: int) -> None:
        self._rng, self._count = rng, count

    async def chunk(self, cursor: Json, most_items: int, most_bytes: int) -> Chunk:
        await asyncio.sleep(self._rng.choice((0, 0.01, 2.0)))
        first = cursor if isinstance(cursor, int) else 0
        end = min(first + CHUNK, self._count)
        return Chunk([*range(first, end)], None, None if end == self._count else end)

    async def close(self) -> None: ...


class Written:
    """The state is what was written."""

    part_bytes = 20

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    async def begin(self) -> Json:
        return []

    async def part(self, state: Json, status: str, lines: bytes) -> Json:
        await asyncio.sleep(self._rng.choice((0, 0.01, 2.0)))
        assert isinstance(state, list)
        if status == "FAILED":
            return [*state, *(json.loads(line)["Status"] for line in lines.split(b"\n"))]
        return [*state, *(json.loads(line) for line in lines.split(b"\n"))]

    async def finish(self, state: Json) -> Json:
        return state

    async def close(self) -> None: ...
