"""The messages of one queue in memory: which are visible, which are delayed, which are in flight.
No clock and no I/O: time is an argument, in ms.

    add --> DELAYED --due--> READY --take--> IN_FLIGHT --remove--> removed (from every state)
     +------------------------^ ^--due, hide-----+

An entry is small: its content is in the store, and also in `blob` while the cache has room.

In a FIFO queue messages belong to groups. A message can be taken if none of its group is in flight
and none before it in the group is hidden; so `ready` has only the first messages of groups.

Every operation takes O(log n): outdated items stay in the heaps until they come to the top, or are
more than half of a heap.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

READY: Final = 0
DELAYED: Final = 1
IN_FLIGHT: Final = 2
_SMALL: Final = 64

T = TypeVar("T", int, tuple[int, int])


class Entry:
    """One message.

    seq    number, which orders the queue        sent   time of acceptance
    due    end of hiding, 0: visible             count  number of times received
    first  time of the first receive, or 0       group  in a FIFO queue
    blob   content, or None: on disk only        big    the content has its own record
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
    """A heap with outdated items. live: whether an item is not; most: how many of those exist."""

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
    """order: seqs of a group's messages; a removed one stays until it comes to the front."""

    __slots__ = ("in_flight", "name", "order")

    def __init__(self, name: str) -> None:
        self.name, self.in_flight = name, 0
        self.order: deque[int] = deque()


class Index:
    """entries: all messages, by seq."""

    def __init__(self, fifo: bool) -> None:
        self.entries: dict[int, Entry] = {}
        self.in_flight = self.delayed = 0
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
        return len(self.entries) - self.in_flight - self.delayed

    @property
    def available(self) -> int:
        """An upper bound of the messages that can be taken now; 0: none."""
        return len(self._ready)

    # --- in and out -------------------------------------------------------------------------------

    def add(self, entry: Entry, now: int) -> None:
        """A hidden entry with a count was in flight when an earlier process ended."""
        self.entries[entry.seq] = entry
        self._ages.push((entry.sent, entry.seq))
        if self._groups is not None:
            self._group(entry).order.append(entry.seq)
        if entry.due > now:
            self._become(entry, IN_FLIGHT if entry.count else DELAYED, entry.due)
        else:
            self._show(entry)

    def remove(self, seq: int) -> Entry | None:
        entry = self.entries.pop(seq, None)
        if entry is not None:
            self._become(entry, READY, 0)
            self._offer(entry)
        return entry

    def oldest(self) -> Entry | None:
        item = self._ages.first()
        return None if item is None else self.entries[item[1]]

    # --- hidden and visible -----------------------------------------------------------------------

    def show_due(self, now: int) -> None:
        """Make messages visible whose hiding has ended."""
        while (item := self._waiting.first()) is not None and item[0] <= now:
            self._waiting.pop()
            self._show(self.entries[item[1]])

    def next_due(self) -> int | None:
        """When the next hidden message becomes visible."""
        item = self._waiting.first()
        return None if item is None else item[0]

    def take(
        self, now: int, most: int, due: int, spent: Callable[[Entry], bool]
    ) -> tuple[list[Entry], list[Entry]]:
        """(received, spent): together up to `most` visible messages, now in flight until `due`.
        Only the received ones are counted.
        """
        self.show_due(now)
        received, over = list[Entry](), list[Entry]()
        while (room := most - len(received) - len(over)) > 0 and (
            seq := self._ready.first()
        ) is not None:
            self._ready.pop()
            for entry in self._run(self.entries[seq], room):
                self._become(entry, IN_FLIGHT, due)
                if spent(entry):
                    over.append(entry)
                else:
                    received.append(entry)
                    entry.count += 1
                    entry.first = entry.first or now
        return received, over

    def hide(self, entry: Entry, due: int, now: int) -> None:
        """Change the end of hiding of a message in flight."""
        if due > now:
            self._become(entry, IN_FLIGHT, due)
        else:
            self._show(entry)

    def undo_take(self, entry: Entry) -> None:
        """Make a message visible again whose receiver did not get it."""
        entry.count -= 1
        entry.first = entry.first if entry.count else 0
        self._show(entry)

    def _run(self, entry: Entry, most: int) -> list[Entry]:
        """A visible message, and in a FIFO queue those that follow it in its group; [] if the group
        is in flight.
        """
        if self._groups is None:
            return [entry]
        group, run = self._group(entry), list[Entry]()
        if group.in_flight or group.order[0] != entry.seq:
            return run
        for seq in group.order:
            following = self.entries.get(seq)
            if following is not None:
                if following.state != READY or len(run) == most:
                    break
                run.append(following)
        return run

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
        if entry.state == IN_FLIGHT:
            self.in_flight += by
            if self._groups is not None:
                self._group(entry).in_flight += by
        elif entry.state == DELAYED:
            self.delayed += by

    def _offer(self, entry: Entry) -> None:
        """Put the entry, or the first of its group, into `ready` if it can be taken."""
        if self._groups is None:
            if entry.seq in self.entries:
                self._ready.push(entry.seq)
            return
        group = self._group(entry)
        while group.order and group.order[0] not in self.entries:
            group.order.popleft()
        if not group.order:
            del self._groups[group.name]
        elif not group.in_flight and self._state(group.order[0]) == READY:
            self._ready.push(group.order[0])

    def _group(self, entry: Entry) -> _Group:
        assert self._groups is not None
        name = entry.group or ""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(name)
        return group
