"""An index of the frames of a large execution: which are due, which are ready, which are the
children of a frame.

An Index belongs to the newest value of an execution. decide() moves it from the old value to the
new one and updates the frames that it touched. If there is none, it is built from the frames. It
changes no answer, only its cost: O(frames touched) instead of O(frames). An execution of few frames
has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final, Protocol

FEW: Final = 16  # so many frames are scanned as quickly as an index is read


class Frame(Protocol):
    """What an index reads of a model.Frame."""

    id: int
    parent: int
    due: int | None
    heartbeat_due: int | None

    @property
    def ready(self) -> bool: ...

    @property
    def awake(self) -> bool: ...


class Index:
    """Entries of heaps may be out of date: they are dropped when they reach the top.

    due       heap of (ms, frame id): deadlines and heartbeats
    ready     heap of ids of frames in phase RUN
    awake     ids of frames that are ready or have external work
    children  frame id -> ids of its live children, in the order in which they were started
    """

    __slots__ = ("due", "ready", "awake", "children")

    def __init__(self, frames: Mapping[int, Frame]) -> None:
        self.due: list[tuple[int, int]] = []
        self.ready: list[int] = []
        self.awake: set[int] = set()
        self.children: dict[int, dict[int, None]] = {}
        for frame in frames.values():
            self.children.setdefault(frame.parent, {})[frame.id] = None
            self._note(frame)
        heapify(self.due)
        self.ready.sort()

    def _note(self, frame: Frame) -> None:
        if frame.due is not None:
            self.due.append((frame.due, frame.id))
        if frame.heartbeat_due is not None:
            self.due.append((frame.heartbeat_due, frame.id))
        if frame.awake:
            self.awake.add(frame.id)
            if frame.ready:
                self.ready.append(frame.id)

    def note(self, frame_id: int, frame: Frame | None) -> None:
        """A frame was changed, or dropped (None). spawn() and drop() maintain `children`."""
        if frame is None:
            self.awake.discard(frame_id)
            return
        for at in (frame.due, frame.heartbeat_due):
            if at is not None:
                heappush(self.due, (at, frame_id))
        if not frame.awake:
            self.awake.discard(frame_id)
            return
        self.awake.add(frame_id)
        if frame.ready:
            heappush(self.ready, frame_id)

    def spawn(self, frame: Frame) -> None:
        self.children.setdefault(frame.parent, {})[frame.id] = None

    def drop(self, frame: Frame) -> None:
        siblings = self.children[frame.parent]
        del siblings[frame.id]
        if not siblings:
            del self.children[frame.parent]

    def earliest(self, frames: Mapping[int, Frame]) -> tuple[int, int] | None:
        """(ms, frame id) of the next deadline."""
        # tasks that ended long before their time limits leave entries
        if len(self.due) > 4 * len(frames) + FEW:
            self.due = [entry for entry in set(self.due) if _current(frames, entry)]
            heapify(self.due)
        while self.due and not _current(frames, self.due[0]):
            heappop(self.due)
        return self.due[0] if self.due else None


def _current(frames: Mapping[int, Frame], entry: tuple[int, int]) -> bool:
    at, frame_id = entry
    frame = frames.get(frame_id)
    return frame is not None and at in (frame.due, frame.heartbeat_due)


def survey(frames: Mapping[int, Frame]) -> tuple[int | None, bool]:
    """(earliest deadline, whether a frame is awake), by a scan of all frames."""
    earliest, awake = None, False
    for frame in frames.values():
        due, heartbeat = frame.due, frame.heartbeat_due
        if due is not None and (earliest is None or due < earliest):
            earliest = due
        if heartbeat is not None and (earliest is None or heartbeat < earliest):
            earliest = heartbeat
        awake = awake or frame.awake
    return earliest, awake
