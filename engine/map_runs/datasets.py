"""The interface between Map Runs and the integrations: the dataset that an ItemReader reads, chunk
by chunk, and the files that a ResultWriter writes, part by part.

    Tasks.dataset(StreamRequest) -> Dataset    Tasks.results(StreamRequest) -> Results

Cursors and states of results are JSON values that the engine stores with its progress: after a
crash it opens the stream again and continues at the last one that was stored, so that a call may be
repeated. All methods raise TaskError, as handlers of tasks do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """payload  the parameters of the ItemReader with its ReaderConfig and MaxItems, or those of the
    ResultWriter with the fields of its WriterConfig and MapRunArn
    """

    resource: Resource
    payload: Json
    execution_arn: str
    machine_arn: str
    state_name: str
    role_arn: str


class Chunk(NamedTuple):
    """Items in their order.

    keys    of the items of a JSON object; None: the items are those of an array
    cursor  where the next chunk begins; None: the dataset ends here
    """

    items: list[Json]
    keys: list[str] | None
    cursor: Json


class Dataset(Protocol):
    """source  of the items, as the Context object shows it: "S3://BUCKET/KEY" """

    source: str

    async def chunk(self, cursor: Json, most_items: int, most_bytes: int) -> Chunk:
        """The items from a cursor on; None: from the first. Those beyond MaxItems are left out.
        `most_bytes` of JSON text, but at least one item. A file that has changed since the cursor
        was made fails.
        """

    async def close(self) -> None: ...


class Results(Protocol):
    """part_bytes  how much text the engine collects for a part: all parts but the last of a status
    have about as much
    """

    part_bytes: int

    async def begin(self) -> Json:
        """The state before the first part."""

    async def part(self, state: Json, status: str, lines: bytes) -> Json:
        """Write the next part of the file of a status: SUCCEEDED or FAILED. `lines` are JSON texts
        of a line each; the last one ends without a line end. With FLATTEN they are the items of
        the outputs. Returns the state after it. A repeated
        call, with the same state, writes the same part again.
        """

    async def finish(self, state: Json) -> Json:
        """Complete the files and write the manifest. Returns the output of the ResultWriter. May be
        repeated.
        """

    async def close(self) -> None: ...
