"""Which shard an execution belongs to, and which node owns a shard."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from stepwell.engine.sharding import Shard, first_id, shard_of, shard_of_id, share

NODES = st.sets(st.integers(1, 1 << 31), min_size=1, max_size=12)
COUNTS = st.sampled_from([1, 2, 3, 8, 16, 64])
ARN = "arn:aws:states:us-east-1:123456789012:execution:m:"


@given(st.text(), COUNTS)
def test_each_arn_belongs_to_one_shard(name: str, count: int) -> None:
    owners = [number for number in range(count) if Shard(number, count).owns(ARN + name)]
    assert owners == [shard_of(ARN + name, count)]


def test_the_shard_of_an_arn_never_changes() -> None:
    """Databases depend on it."""
    assert [shard_of(f"{ARN}{name}", 8) for name in ("a", "b", "ä", "order-17")] == [5, 7, 2, 1]


@given(st.integers(0, 255), st.integers(1, 1 << 37))
def test_an_id_says_its_shard(shard: int, number: int) -> None:
    execution = first_id(shard) + number
    assert shard_of_id(execution) == shard
    assert Shard(shard, 256).holds(execution) and not Shard(shard ^ 1, 256).holds(execution)
    assert Shard().holds(execution)  # one shard has all of them, wherever they were made


@given(COUNTS, st.data())
def test_names_are_drawn_for_a_shard(count: int, data: st.DataObject) -> None:
    shard, numbers = Shard(data.draw(st.integers(0, count - 1)), count), itertools.count()
    name, arn = shard.draw(lambda name: ARN + name, lambda: f"n{next(numbers)}")
    assert arn == ARN + name and shard.owns(arn)
    assert not any(shard.owns(f"{ARN}n{number}") for number in range(int(name[1:])))


@given(NODES, COUNTS)
def test_nodes_have_equal_shares(nodes: set[int], count: int) -> None:
    shares = share(nodes, count)
    assert shares.keys() == nodes
    assert sorted(itertools.chain(*shares.values())) == list(range(count))
    sizes = [len(shards) for shards in shares.values()]
    assert max(sizes) - min(sizes) <= 1
    assert share(sorted(nodes, reverse=True), count) == shares


def test_without_nodes_nothing_is_shared() -> None:
    assert share([], 8) == {}


def _moved(before: dict[int, set[int]], after: dict[int, set[int]]) -> int:
    """Shards whose owner is another than before."""
    return sum(len(shards - before.get(node, set())) for node, shards in after.items())


@given(NODES, COUNTS)
def test_few_shards_move_when_a_node_joins_or_leaves(nodes: set[int], count: int) -> None:
    before, after = share(nodes, count), share(nodes | {0}, count)
    needed = len(after[0])
    assert needed <= _moved(before, after) <= needed + count // 2
    assert _moved(after, before) == _moved(before, after)


def test_about_as_few_shards_move_as_must() -> None:
    groups = [range(first, first + size) for size in range(1, 9) for first in range(1, 200, 9)]
    moves = [_moved(share(nodes, 8), share([*nodes, 0], 8)) for nodes in groups]
    needed = [len(share([*nodes, 0], 8)[0]) for nodes in groups]
    assert sum(moves) < 1.7 * sum(needed)


def test_one_node_has_all() -> None:
    assert share([7], 8) == {7: set(range(8))}
