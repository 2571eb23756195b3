"""The rows of the children of Map Runs, in every store: see store/child_rows.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.store.machines import Run
from tests.engine.store.test_contract import committed, loaded, make, store  # noqa: F401

from stepwell.engine.core.events import (
    ChildClosed,
    ChildrenClosed,
    ItemsRead,
    TaskSucceeded,
    UpdateMapRun,
)
from stepwell.engine.core.maps import bit_sets
from stepwell.engine.core.model import SUCCEEDED, Payload
from stepwell.engine.store.base import Store, StoreFormatError


async def test_inputs_and_outputs_are_read_until_the_map_run_ends(store: Store) -> None:  # noqa: F811
    run = Run(store, "dataset", {"items": []})
    place = run.id, 1, run.execution.frames[1].seq
    items = [Payload(number) for number in range(30)]
    run.send(ItemsRead(1, place[2], items, None, Payload(30), "S3://b/k"))
    await committed(store, run)
    first, inputs = await store.child_inputs(*place, 7)
    assert first == 0 and [payload.value for payload in inputs][:2] == [
        {"Items": [0, 1, 2]},
        {"Items": [3, 4, 5]},
    ]
    assert len(inputs) == 9  # the last three may not be all of their batch
    reports = [ChildClosed(1, place[2], slot, SUCCEEDED, Payload(f"{slot}")) for slot in (2, 0, 3)]
    run.send(ChildrenClosed(1, place[2], reports))
    await committed(store, run)
    row = (0, [(0, b'"0"'), (2, b'"2"'), (3, b'"3"')])
    assert await store.child_outputs(*place, 0, 9) == [row]
    assert await store.child_outputs(*place, 1, 9) == await store.child_outputs(*place, 0, 0) == []
    store.forget(run.id)
    children = (await loaded(store, run)).frames[1].children
    assert (children.succeeded, children.open) == (0b1101, {1, 4, 5, 6})
    assert children.stream == run.execution.frames[1].running_children.stream
    while run.running:
        frame = run.execution.frames[1]
        children = frame.running_children
        if children.stream.asked:
            run.send(ItemsRead(1, place[2], [], None, None, ""))
        elif children.open:
            run.send(ChildClosed(1, place[2], min(children.open), SUCCEEDED, Payload(1)))
        else:
            run.send(TaskSucceeded(1, place[2], Payload({})))
    await committed(store, run)
    assert await store.child_outputs(*place, 0, 9) == []
    with pytest.raises(StoreFormatError):
        await store.child_inputs(*place, 0)


async def test_inputs_of_children_that_succeeded_are_deleted(store: Store) -> None:  # noqa: F811
    run = Run(store, "dataset", {"items": []})
    place = run.id, 1, run.execution.frames[1].seq
    for first in range(0, 4500, 1500):
        items = [Payload(number) for number in range(first, first + 1500)]
        cursor = Payload(first + 1500)
        run.send(ItemsRead(1, place[2], items, None, cursor, "S3://b/k"))
        await committed(store, run)
    run.send(UpdateMapRun(1, place[2], 10_000, None, None))
    reports = [ChildClosed(1, place[2], slot, SUCCEEDED, Payload(1)) for slot in range(1_100)]
    run.send(ChildrenClosed(1, place[2], reports))
    await committed(store, run)
    with pytest.raises(StoreFormatError):
        await store.child_inputs(*place, 0)
    first, inputs = await store.child_inputs(*place, 1_100)
    assert inputs[1_100 - first].value == {"Items": [3_300, 3_301, 3_302]}


@given(st.sets(st.integers(0, 300)))
def test_bit_sets(slots: set[int]) -> None:
    runs = bit_sets.runs(sorted(slots))
    assert bit_sets.slots_in(runs) == slots
    assert (
        bit_sets.bits(sorted(slots)) == bit_sets.from_runs(runs) == sum(1 << each for each in slots)
    )
    assert bit_sets.first_missing(bit_sets.bits(sorted(slots))) == min(set(range(302)) - slots)
    assert set(bit_sets.zeros(bit_sets.from_runs(runs), 300)) == set(range(300)) - slots
