"""From the items of a distributed Map to the inputs of its children: ItemSelector, batches, and the
chunks in which the dataset of an ItemReader comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Env, StateError
from stepwell.engine.core import model
from stepwell.engine.core.dataflow import select_item
from stepwell.engine.core.environment import environment
from stepwell.engine.core.events import ItemsRead
from stepwell.engine.core.maps.bit_sets import first_missing
from stepwell.engine.core.maps.rows import ChildInputs, UsedInputs
from stepwell.engine.core.model import Frame, Payload, Stream
from stepwell.engine.core.run import Run

USED_AT_ONCE: Final = 1_000  # children whose inputs are deleted together


def child_inputs(
    run: Run, frame: Frame, items: Sequence[Payload], keys: Sequence[str] | None, env: Env
) -> list[Payload]:
    """The inputs of the children: items as ItemSelector makes them, one by one or in batches."""
    inputs = _selected(run, frame, items, keys)
    spec = frame.state.map
    assert spec is not None and frame.data is not None
    if spec.batch is not None:
        inputs = spec.batch(inputs, frame.data.value, env)
    return _fitting(run, frame, inputs)


def _selected(
    run: Run,
    frame: Frame,
    items: Sequence[Payload],
    keys: Sequence[str] | None,
    first: int = 0,
    source: str = model.STATE_DATA,
) -> list[Payload]:
    """first: the index of items[0]."""
    if frame.state.map is not None and frame.state.map.selector is None:
        return list(items)
    named = [None] * len(items) if keys is None else [Payload(key) for key in keys]
    return [
        select_item(run, frame, (first + place, item, named[place]), source)
        for place, item in enumerate(items)
    ]


def _fitting(run: Run, frame: Frame, inputs: list[Payload]) -> list[Payload]:
    if any(len(each.data) > run.limits.payload_bytes for each in inputs):
        raise StateError(
            asl_messages.DATA_LIMIT_EXCEEDED,
            asl_messages.RESULT_TOO_LARGE.format(name=frame.state.name),
            bare=True,
        )
    return inputs


def add_chunk(run: Run, frame: Frame, chunk: ItemsRead) -> tuple[int, int]:
    """The inputs of children from a chunk of the dataset become rows. Returns how many children
    they are of, and how many items these have.
    """
    spec, children = frame.state.map, frame.running_children
    assert spec is not None and frame.data is not None
    stream = children.stream or Stream(chunk.source, None)
    inputs = _selected(run, frame, chunk.items, chunk.keys, stream.read, stream.source)
    first, items, sizes = stream.children, len(inputs), stream.sizes
    rest: tuple[Payload, ...] = ()
    if spec.batch is not None:
        selected = [*stream.rest, *inputs]
        inputs = spec.batch(selected, frame.data.value, environment(run, frame))
        each = [len(_items(batch)) for batch in inputs]
        if chunk.cursor is not None and inputs:  # its items may not be all of the last batch
            rest = tuple(selected[len(selected) - each.pop() :])
            inputs.pop()
        size = stream.size if first or not each else each[0]
        others = {first + place: number for place, number in enumerate(each) if number != size}
        items, sizes = sum(each), {**sizes, **others}
        stream = stream._replace(size=size)
    inputs = _fitting(run, frame, inputs)
    children.stream = stream._replace(
        cursor=chunk.cursor,
        read=stream.read + len(chunk.items),
        children=first + len(inputs),
        asked=False,
        rest=rest,
        sizes=sizes,
    )
    children.rows = True
    if inputs:
        run.rows.append(ChildInputs(frame.id, frame.seq, first, inputs))
        run.size += sum([len(each.data) for each in inputs])
    return len(inputs), items


def _items(batch: Payload) -> Any:
    value: Any = batch.value
    return value["Items"]


def item_count(frame: Frame, slots: Sequence[int]) -> int:
    """How many items children have: those of all of their batches."""
    children, stream = frame.running_children, frame.running_children.stream
    if frame.state.map is None or not frame.state.map.batch:
        return len(slots)
    if stream is None:
        return sum(len(_items(children.items[slot])) for slot in slots)
    return sum(stream.sizes.get(slot, stream.size) for slot in slots)


def forget_inputs(run: Run, frame: Frame, before: int, slots: Sequence[int]) -> None:
    """Of children that have succeeded. before: the set of those that had succeeded already."""
    children = frame.running_children
    stream = children.stream
    if stream is not None and stream.sizes:
        ended = set(slots)
        sizes = {slot: size for slot, size in stream.sizes.items() if slot not in ended}
        children.stream = stream._replace(sizes=sizes)
    end = first_missing(children.succeeded)
    if end // USED_AT_ONCE > first_missing(before) // USED_AT_ONCE:
        run.rows.append(UsedInputs(frame.id, frame.seq, end))
