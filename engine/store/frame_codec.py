"""A frame as a tuple of stored values, and back.

    _COMMON    attributes of every frame; the block is stored by index, the state by name
    _BY_PHASE  the fields of its TaskAttempt or Children, with their defaults

Fields are only ever appended. A frame of an older blob is shorter: its other fields have their
defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.program import Program
from stepwell.engine.core.maps import bit_sets
from stepwell.engine.core.model import (
    NO_MAP_RUN,
    WITH_CHILDREN,
    Children,
    Frame,
    MapRunState,
    Payload,
    Phase,
    Stream,
    TaskAttempt,
)

_COMMON: Final = (
    *("id", "parent", "slot", "block.index", "state.name", "phase", "seq", "due", "heartbeat_due"),
    *("prev", "entered", "before", "entered_at", "raw", "data", "scope", "retries", "item"),
)
# shared by TaskAttempt and Children, under the names that the format gave them
#   parked  handed_over; of children: they are frames of the same execution
#   extra   role; map_run
#   done    submitted; ended
#   next_item, live  number, iteration_number
# of Map Runs alone
#   open    as runs; None: of an older blob, where map_run.closed has those that ended, too
_BY_PHASE: Final = {
    "items": None,
    "results": None,
    "next_item": 0,
    "live": 0,
    "failures": 0,
    "parked": False,
    "timeout": None,
    "heartbeat": None,
    "extra": None,
    "done": 0,
    "open": None,
    "stream": None,
    "rows": False,
    "attempts": None,
}
FIELDS: Final = (*_COMMON, *_BY_PHASE)
ITEMS: Final = FIELDS.index("items")
RESULTS: Final = FIELDS.index("results")
ROWS: Final = FIELDS.index("rows")

_AS_THEY_ARE: Final = ("seq", "due", "heartbeat_due", "entered", "before", "entered_at", "data")
_common_values: Final = attrgetter(*_COMMON)
_NO_WORK: Final = tuple(_BY_PHASE.values())[: tuple(_BY_PHASE).index("open")]


def frame_values(
    frame: Frame, items: int | None = None, results: int | None = None
) -> tuple[Any, ...]:
    """items, results: how many have rows of their own; None: none, so that the tuple holds them."""
    values = _frame_values(frame, items, results)
    if frame.attempts is None:
        return values
    missing = tuple(_BY_PHASE.values())[len(values) - len(_COMMON) : -1]
    return (*values, *missing, frame.attempts)


def _frame_values(frame: Frame, items: int | None, results: int | None) -> tuple[Any, ...]:
    common: tuple[Any, ...] = _common_values(frame)
    attempt, children = frame.attempt, frame.children
    if attempt is not None:
        timeout, heartbeat, role, handed_over, submitted, *numbers = attempt
        limits = (handed_over, timeout, heartbeat)
        return (*common, None, None, *numbers, 0, *limits, role, int(submitted))
    if children is None:
        return common + _NO_WORK
    values = (
        *common,
        (children.items or None) if items is None else items,
        (children.results[: children.ended] or None) if results is None else results,
        *(children.next_item, children.live, children.failures, not frame.in_map_run, None, None),
        None if children.map_run is NO_MAP_RUN else _map_run_values(children.map_run),
        children.ended,
    )
    if not children.map_run.uuid:
        return values
    stream = children.stream and _stream_values(children.stream)
    return (*values, bit_sets.runs(sorted(children.open)), stream, children.rows)


def _stream_values(stream: Stream) -> tuple[Any, ...]:
    """The texts of `rest` are soon replaced: no rows for them."""
    rest, sizes = [each.data for each in stream.rest], list(stream.sizes.items())
    return stream._replace(rest=rest, sizes=sizes)  # type: ignore[arg-type]


def _stream(values: Sequence[Any]) -> Stream:
    stream = Stream(*values)
    rest = tuple(Payload(json_text.loads(each), each) for each in stream.rest)  # type: ignore
    return stream._replace(rest=rest, sizes=dict(stream.sizes))


def _map_run_values(state: MapRunState) -> tuple[Any, ...]:
    place = state._fields.index("closed")
    return (*state[:place], b"", *state[place + 1 :])


def map_run_state(values: Sequence[Any]) -> MapRunState:
    """From its stored values. An older blob has fewer of them."""
    state = MapRunState(*values)
    closed: Any = state.closed
    if isinstance(closed, bytes):
        closed = int.from_bytes(closed, "big")
    return state._replace(children=tuple(state.children), items=tuple(state.items), closed=closed)


def read_frame(
    values: Sequence[Any],
    program: Program,
    items: Mapping[int, list[Payload]],
    results: Mapping[int, list[tuple[int, Payload]]],
    written: Mapping[tuple[int, int], int] = MappingProxyType({}),
) -> Frame:
    """items, results: by frame id, those in rows of their own. written: by (frame, seq), the slots
    of children whose outputs are rows.
    """
    stored = {**_BY_PHASE, **dict(zip(FIELDS, values))}
    block, item = program.blocks[stored["block.index"]], stored["item"]
    frame = Frame(
        stored["id"],
        stored["parent"],
        stored["slot"],
        block,
        stored["raw"],
        stored["scope"],
        stored["prev"],
    )
    for name in _AS_THEY_ARE:
        setattr(frame, name, stored[name])
    frame.state, frame.phase = block.states[stored["state.name"]], Phase(stored["phase"])
    frame.retries, frame.item = tuple(stored["retries"]), item and tuple(item)
    frame.attempts = stored["attempts"]
    if frame.phase == Phase.TASK:
        frame.attempt = TaskAttempt(
            stored["timeout"],
            stored["heartbeat"],
            stored["extra"],
            stored["parked"],
            bool(stored["done"]),
            stored["next_item"],
            stored["live"],
        )
    elif frame.phase in WITH_CHILDREN:
        frame.children = _children(stored, items, results)
        _restore(frame.children, stored, written.get((frame.id, frame.seq), 0))
    return frame


def _children(
    stored: Mapping[str, Any],
    items: Mapping[int, list[Payload]],
    results: Mapping[int, list[tuple[int, Payload]]],
) -> Children:
    children, number = Children(stored["live"]), stored["id"]
    inline, inline_results = stored["items"] or [], stored["results"] or []
    children.items = items[number] if isinstance(inline, int) else inline
    children.results = (
        results[number]
        if isinstance(inline_results, int)
        else [(slot, output) for slot, output in inline_results]
    )
    children.ended = stored["done"]
    children.next_item, children.failures = stored["next_item"], stored["failures"]
    if stored["extra"] is not None:
        children.map_run = map_run_state(stored["extra"])
    return children


def _restore(children: Children, stored: Mapping[str, Any], written: int) -> None:
    """What a Map Run has outside of its frame's values, or had in them in an older blob."""
    state = children.map_run
    children.size = sum(len(output.data) + 1 for _, output in children.results)
    if not state.uuid:
        return
    kept = bit_sets.runs(sorted(slot for slot, _ in children.results))
    children.succeeded = written | bit_sets.from_runs(kept)
    children.rows = stored["rows"]
    if stored["stream"] is not None:
        children.stream = _stream(stored["stream"])
    if stored["open"] is not None:
        children.open = bit_sets.slots_in(stored["open"])
    else:
        children.open = frozenset(bit_sets.zeros(state.closed, children.next_item))
        children.map_run = state._replace(closed=0)
