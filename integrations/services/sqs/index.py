"""The messages of one queue in memory: which are visible, which are delayed, which are in flight.
No clock and no I/O: time is an argument.

    add --> DELAYED --due--> READY --take--> FLYING --remove--> (gone; so do others)
     +------------------------^ ^--due, hide----+

A message here is small: its content is in the store, and as bytes in `blob` only as far as there is
room for that. All times are ms.

In a FIFO queue messages belong to groups. One can be taken if none of its group is in flight and
none before it in the group is hidden; so `ready` has the first messages of groups only.

Every operation takes O(log n): the heaps keep what has become outdated until it comes to the top,
or is more than half of them.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

READY: Final = 0
DELAYED: Final = 1
FLYING: Final = 2
_SMALL: Final = 64

T = TypeVar("T", int, tuple[int, int])


class Entry:
    """One message.

    seq    its number, by which a queue is ordered       sent   when it was accepted
    due    until when it is hidden; 0 if it is not       count  how often it was received
    first  when that was first, or 0                     group  of a FIFO queue
    blob   its content, or None: it is on disk only      big    the content is in a record of its
           own
    """

    __slots__ = ("big", "blob", "count", "due", "first", "group", "sent", "seq", "state")

    def __init__(
        self, seq: int, sent: int, due: int, group: str | None, blob: bytes | None, big: bool
    ) -> None:
        self.seq, self.sent, self.due, self.group, self.blob, self.big = (
            seq,
            sent,
            due,
            group,
            blob,
            big,
        )
        self.count, self.first, self.state = 0, 0, READY


class _Heap(Generic[T]):
    """A heap whose items may be outdated; `live` tells those that are not, `most` how many there
    can be.
    """

    def __init__(self, live: Callable[[T], bool], most: Callable[[], int]) -> None:
        self._items: list[T] = []
        self._live: Callable[[T], bool] = live
        self._most = most

    def push(self, item: T) -> None:
        heapq.heappush(self._items, item)
        if len(self._items) > 2 * self._most() + _SMALL:
            self._items = list({each for each in self._items if self._live(each)})
            heapq.heapify(self._items)

    def first(self) -> T | None:
        while self._items and not self._live(self._items[0]):
            heapq.heappop(self._items)
        return self._items[0] if self._items else None

    def pop(self) -> None:
        heapq.heappop(self._items)

    def __len__(self) -> int:
        return len(self._items)


class _Group:
    """seqs of a group's messages, in order; what is removed out of turn stays until it comes to the
    front.
    """

    __slots__ = ("flying", "name", "order")

    def __init__(self, name: str) -> None:
        self.name, self.flying = name, 0
        self.order: deque[int] = deque()


class Index:
    """entries: by seq, all messages that there are."""

    def __init__(self, fifo: bool) -> None:
        self.entries: dict[int, Entry] = {}
        self.flying = self.delayed = 0
        self._groups: dict[str, _Group] | None = {} if fifo else None
        size = self.entries.__len__
        self._ready = _Heap[int](lambda seq: self._state(seq) == READY, size)
        self._waiting = _Heap[tuple[int, int]](lambda item: self._due(item[1]) == item[0], size)
        self._ages = _Heap[tuple[int, int]](lambda item: item[1] in self.entries, size)

    def _state(self, seq: int) -> int:
        entry = self.entries.get(seq)
        return -1 if entry is None else entry.state

    def _due(self, seq: int) -> int:
        entry = self.entries.get(seq)
        return -1 if entry is None else entry.due

    @property
    def visible(self) -> int:
        return len(self.entries) - self.flying - self.delayed

    @property
    def offered(self) -> int:
        """How many may be taken, at most; 0 if none can."""
        return len(self._ready)

    # --- in and out -------------------------------------------------------------------------------

    def add(self, entry: Entry, now: int) -> None:
        """One with a count was in flight when an earlier process ended, and is that again."""
        self.entries[entry.seq] = entry
        self._ages.push((entry.sent, entry.seq))
        if self._groups is not None:
            self._group(entry).order.append(entry.seq)
        if entry.due > now:
            self._become(entry, FLYING if entry.count else DELAYED, entry.due)
        else:
            self._show(entry)

    def remove(self, seq: int) -> Entry | None:
        entry = self.entries.pop(seq, None)
        if entry is not None:
            self._become(entry, READY, 0)
            self._offer(entry)
        return entry

    def oldest(self) -> Entry | None:
        found = self._ages.first()
        return None if found is None else self.entries[found[1]]

    # --- hidden and visible -----------------------------------------------------------------------

    def ripen(self, now: int) -> None:
        """Let what was hidden until now be visible."""
        while (item := self._waiting.first()) is not None and item[0] <= now:
            self._waiting.pop()
            self._show(self.entries[item[1]])

    def next_due(self) -> int | None:
        """When the next of those that are hidden becomes visible."""
        item = self._waiting.first()
        return None if item is None else item[0]

    def take(
        self, now: int, most: int, due: int, spent: Callable[[Entry], bool]
    ) -> tuple[list[Entry], list[Entry]]:
        """(received, spent): up to `most` visible messages together, in flight until `due`. Of the
        spent ones that is not counted.
        """
        self.ripen(now)
        received, over = list[Entry](), list[Entry]()
        while (room := most - len(received) - len(over)) > 0 and (
            seq := self._ready.first()
        ) is not None:
            self._ready.pop()
            for entry in self._run(self.entries[seq], room):
                self._become(entry, FLYING, due)
                if spent(entry):
                    over.append(entry)
                else:
                    received.append(entry)
                    entry.count += 1
                    entry.first = entry.first or now
        return received, over

    def hide(self, entry: Entry, due: int, now: int) -> None:
        """Change until when a message in flight is hidden."""
        if due > now:
            self._become(entry, FLYING, due)
        else:
            self._show(entry)

    def untake(self, entry: Entry) -> None:
        """As if it had not been received: nobody got it."""
        entry.count -= 1
        entry.first = entry.first if entry.count else 0
        self._show(entry)

    def _run(self, entry: Entry, most: int) -> list[Entry]:
        """A visible message, and in a FIFO queue those of its group that follow it; [] if it is not
        the group's turn.
        """
        if self._groups is None:
            return [entry]
        group, found = self._group(entry), list[Entry]()
        if group.flying or group.order[0] != entry.seq:
            return found
        for seq in group.order:
            following = self.entries.get(seq)
            if following is not None:
                if following.state != READY or len(found) == most:
                    break
                found.append(following)
        return found

    def _show(self, entry: Entry) -> None:
        self._become(entry, READY, 0)
        self._offer(entry)

    def _become(self, entry: Entry, state: int, due: int) -> None:
        self._count(entry, -1)
        entry.state, entry.due = state, due
        self._count(entry, 1)
        if state != READY:
            self._waiting.push((due, entry.seq))

    def _count(self, entry: Entry, by: int) -> None:
        if entry.state == FLYING:
            self.flying += by
            if self._groups is not None:
                self._group(entry).flying += by
        elif entry.state == DELAYED:
            self.delayed += by

    def _offer(self, entry: Entry) -> None:
        """Something changed about an entry, or in its group: who is ready to be taken now?"""
        if self._groups is None:
            if entry.seq in self.entries:
                self._ready.push(entry.seq)
            return
        group = self._group(entry)
        while group.order and group.order[0] not in self.entries:
            group.order.popleft()
        if not group.order:
            del self._groups[group.name]
        elif not group.flying and self._state(group.order[0]) == READY:
            self._ready.push(group.order[0])

    def _group(self, entry: Entry) -> _Group:
        assert self._groups is not None
        name = entry.group or ""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(name)
        return group
