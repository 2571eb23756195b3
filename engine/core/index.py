"""What is asked of all frames of a large execution, answered without a look at all of them: who is
due, who is ready, whose children.

An Index belongs to the newest value of an execution. decide() takes it from the value that it is
given, notes the frames that it touches, and leaves it with the value that it makes. Where there is
none, it is built from the frames. So it never changes an answer, only how much work the answer is:
O(frames touched) instead of O(frames). An execution of few frames keeps none.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final, Protocol

FEW: Final = 16  # frames that are as quickly looked at as found in an index


class Frame(Protocol):
    """What is asked of a frame here: see model.Frame."""

    id: int
    parent: int
    due: int | None
    heartbeat_due: int | None

    @property
    def ready(self) -> bool: ...

    @property
    def awake(self) -> bool: ...


class Index:
    """Heaps may have entries that are out of date: these are dropped when they come to the top.

    due       (ms, frame id): deadlines and heartbeats     ready     ids of frames in phase RUN
    awake     ids of frames that are ready or that something outside works for
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
        """A frame was changed, or is gone (None). Its place in `children` is kept by spawn() and
        drop().
        """
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
        if (
            len(self.due) > 4 * len(frames) + FEW
        ):  # of tasks that ended long before their time limit
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
    """(earliest deadline, whether something is ready or works outside), by looking at each
    frame.
    """
    earliest, awake = None, False
    for frame in frames.values():
        due, heartbeat = frame.due, frame.heartbeat_due
        if due is not None and (earliest is None or due < earliest):
            earliest = due
        if heartbeat is not None and (earliest is None or heartbeat < earliest):
            earliest = heartbeat
        awake = awake or frame.awake
    return earliest, awake
