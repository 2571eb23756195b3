"""The rows of running executions' continuations: what each next decision starts from.

A small continuation is one row, rewritten with each unit. What would make that row grow with the
size of the execution is written once, to rows of its own:

    payloads     above PAYLOAD_ROW_BYTES that a continuation holds; the history of later units
                 refers to them, too
    frames       once there are more than INLINE_FRAMES: only frames that changed are written. Not
                 in an execution that has had so many frames that keys cannot number them
    items        of a Map with more than INLINE_ITEMS; `Children.items` does not change in a visit
    child rows   of a Map Run (child_rows.py): each decision says which it adds
    results      likewise: each unit adds a row of those that are new; `Children.results` only
                 grows in a visit

A visit is one attempt at a Map or Parallel state: (frame id, seq). For the executions that have
such rows, and only for them, `Live` remembers what the last commit stored; `forget` drops it, and
loading the continuation restores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stepwell.engine.core.model import Children, Execution, Frame, Payload
from stepwell.engine.store import codec, frame_codec
from stepwell.engine.store.batch import (
    DELETE_CONTINUATION,
    DELETE_FRAME,
    DELETE_FRAMES,
    DELETE_VISIT,
    DELETE_VISITS,
    INSERT_ITEMS,
    INSERT_RESULTS,
    OF_CHILDREN,
    PUT_CONTINUATION,
    PUT_FRAME,
    Batch,
)
from stepwell.engine.store.child_rows import LARGE_RUN
from stepwell.engine.store.keys import ROWS, row_key, row_keys

PAYLOAD_ROW_BYTES: Final = 1024
INLINE_FRAMES: Final = 8
INLINE_ITEMS: Final = 24
ITEMS_IN_ROW: Final = 1000

_NOTHING: Final[codec.Rows] = {}


@dataclass(slots=True)
class Visit:
    """The rows of a frame's Map or Parallel.

    large  a Map Run with so many child rows that they are deleted after the end
    """

    seq: int
    items: Sequence[Payload] | None  # the list whose rows are stored
    results: int  # how many are stored, 0: all are in the frame
    large: bool = False


@dataclass(slots=True)
class Live:
    """What is stored of a running execution outside its continuation row.

    rows    payload rows, by the blob that refers to them: a frame's, or 0 for the continuation's
    frames  as last committed, if they have rows of their own
    """

    next_row: int = 0
    rows: dict[int, dict[int, tuple[Payload, int]]] = field(default_factory=dict)
    frames: dict[int, Frame] | None = None
    visits: dict[int, Visit] = field(default_factory=dict)

    def payload_rows(self) -> codec.Rows:
        rows = list(self.rows.values())
        return (
            rows[0]
            if len(rows) == 1
            else {place: row for each in rows for place, row in each.items()}
        )


class Continuations:
    """Adds the changes of continuations to batches. `live` is as of the last batch."""

    def __init__(self, writer: codec.Writer) -> None:
        self.live: dict[int, Live] = {}
        self._writer = writer

    def begin(self, x: Execution) -> None:
        """The writer's next blobs are those of this execution."""
        live = self.live.get(x.id)
        self._writer.begin(
            x.input, live.payload_rows() if live else _NOTHING, live.next_row if live else 0
        )

    def put(self, batch: Batch, x: Execution, wake: int | None) -> None:
        """Store the continuation of an execution that runs or may be redriven."""
        writer, frames, live = self._writer, frames_of(x), self.live.get(x.id)
        split = x.next_frame <= ROWS and (
            len(frames) > INLINE_FRAMES
            or (live is not None and live.frames is not None and len(frames) > INLINE_FRAMES // 4)
        )
        visits: dict[int, Visit] = {}
        if split:
            rows = self._frames(batch, x, live, visits)
            blob = writer.continuation(x, None, PAYLOAD_ROW_BYTES)
        else:
            values = [self._values(batch, x.id, frame, live, visits) for frame in frames.values()]
            blob = writer.continuation(x, values, PAYLOAD_ROW_BYTES)
            rows = {0: writer.used} if writer.used else {}
            if live is not None and live.frames is not None:
                batch.rows[DELETE_FRAME] += [row_key(x.id, frame_id) for frame_id in live.frames]
        if live is not None:
            for frame_id in live.visits.keys() - visits.keys():
                _delete_visit(batch, x.id, frame_id, live.visits[frame_id])
        if split or rows or visits or live is not None:
            self.live[x.id] = Live(writer.next_row, rows, frames if split else None, visits)
        batch.rows[PUT_CONTINUATION] += (x.id, wake, x.events, blob)

    def delete(self, batch: Batch, execution_id: int) -> None:
        """Delete the continuation with its frames, items and results. Payload rows stay: history
        refers to them.
        """
        batch.rows[DELETE_CONTINUATION].append(execution_id)
        live = self.live.pop(execution_id, None)
        if live is None:
            return
        if live.frames is not None:
            batch.deletes.append((DELETE_FRAMES, row_keys(execution_id)))
        if live.visits:
            large = any(visit.large for visit in live.visits.values())
            statements = DELETE_VISITS[:OF_CHILDREN] if large else DELETE_VISITS
            batch.deletes += [(statement, (execution_id,)) for statement in statements]

    def park(self, execution_id: int) -> None:
        """Its continuation cannot be read, so its rows are unknown: its end deletes all that there
        may be.
        """
        self.live.setdefault(execution_id, Live(frames={}, visits={0: Visit(0, None, 0)}))

    def resume(self, stored: codec.Continuation, x: Execution) -> None:
        """The execution has been loaded."""
        rows = {id(payload): (payload, number) for number, payload in stored.reader.rows.items()}
        visits = {
            frame_id: Visit(
                frame.seq,
                frame.children.items if frame.children and frame_id in stored.items else None,
                len(stored.results.get(frame_id, ())),
                frame.children is not None and _large(frame.children),
            )
            for frame_id, frame in frames_of(x).items()
            if frame_id in stored.items
            or frame_id in stored.results
            or (frame.children is not None and frame.children.rows)
        }
        if stored.head.next_row or stored.split or visits:
            frames = frames_of(x) if stored.split else None
            self.live[x.id] = Live(stored.head.next_row, {0: rows}, frames, visits)

    def forget(self, execution_id: int) -> None:
        """The execution has left memory."""
        self.live.pop(execution_id, None)

    def _frames(
        self, batch: Batch, x: Execution, live: Live | None, visits: dict[int, Visit]
    ) -> dict[int, dict[int, tuple[Payload, int]]]:
        """Write the frames that changed and delete those that ended. Returns the payload rows that
        each frame refers to.
        """
        writer, rows = self._writer, batch.rows
        before = live.frames if live is not None and live.frames is not None else {}
        used = (
            {0: live.rows[0]} if live is not None and 0 in live.rows else {}
        )  # as of the last time that the whole continuation was read, or was one row
        for frame_id, frame in frames_of(x).items():
            if before.get(frame_id) is frame:
                if live is not None and frame_id in live.visits:
                    visits[frame_id] = live.visits[frame_id]
                if live is not None and frame_id in live.rows:
                    used[frame_id] = live.rows[frame_id]
                continue
            writer.used = {}
            rows[PUT_FRAME] += (
                row_key(x.id, frame_id),
                writer.frame(self._values(batch, x.id, frame, live, visits), PAYLOAD_ROW_BYTES),
            )
            if writer.used:
                used[frame_id] = writer.used
        rows[DELETE_FRAME] += [
            row_key(x.id, frame_id) for frame_id in before.keys() - frames_of(x).keys()
        ]
        return used

    def _values(
        self,
        batch: Batch,
        execution_id: int,
        frame: Frame,
        live: Live | None,
        visits: dict[int, Visit],
    ) -> tuple[Any, ...]:
        """The stored values of a frame; long lists of it go to rows of their own."""
        children = frame.children
        if children is None:
            return frame_codec.frame_values(frame)
        items = children.items if len(children.items) > INLINE_ITEMS else None
        results = children.results if children.ended > INLINE_ITEMS else None
        if items is None and results is None and not children.rows:
            return frame_codec.frame_values(frame)
        before = live.visits.get(frame.id) if live is not None else None
        if before is not None and (
            before.seq != frame.seq or before.items is not items or before.results > children.ended
        ):
            _delete_visit(batch, execution_id, frame.id, before)
            before = None
        if items is not None and before is None:
            for start in range(0, len(items), ITEMS_IN_ROW):
                blob = self._writer.payloads(items[start : start + ITEMS_IN_ROW], PAYLOAD_ROW_BYTES)
                batch.rows[INSERT_ITEMS] += (execution_id, frame.id, start, blob)
        stored = before.results if before is not None else 0
        if results is not None and stored < children.ended:
            blob = self._writer.results(results[stored : children.ended], PAYLOAD_ROW_BYTES)
            batch.rows[INSERT_RESULTS] += (execution_id, frame.id, stored, blob)
            stored = children.ended
        visits[frame.id] = Visit(frame.seq, items, stored, _large(children))
        return frame_codec.frame_values(
            frame, None if items is None else len(items), None if results is None else stored
        )


def frames_of(x: Execution) -> dict[int, Frame]:
    return x.frames if x.snapshot is None else x.snapshot


def has_visit(x: Execution, frame_id: int, seq: int) -> bool:
    """Whether a frame's Map or Parallel still needs the rows of this visit."""
    frame = frames_of(x).get(frame_id)
    return frame is not None and frame.seq == seq and frame.children is not None


def _large(children: Children) -> bool:
    return children.rows and children.count > LARGE_RUN


def _delete_visit(batch: Batch, execution_id: int, frame_id: int, visit: Visit) -> None:
    statements = DELETE_VISIT[:OF_CHILDREN] if visit.large else DELETE_VISIT
    batch.deletes += [(statement, (execution_id, frame_id)) for statement in statements]
