"""Queues compared with simple models, under random senders, receivers, times and crashes."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from moto.sqs.models import Message
from tests.integrations.services.embedded_engine import EmbeddedEngine
from tests.integrations.services.queues import Queue, QueueFixture

from stepwell.integrations.services.sqs.index import DELAYED, IN_FLIGHT, READY, Entry, Index
from stepwell.integrations.services.sqs.message import md5

GROUPS = "ab"


class Fifo:
    """A FIFO queue beside its model: the bodies of each group in order, and what is in flight.

    Checked is at each receive that the messages are the next of their group, that none of the group
    is in flight, and at the end that all that were not deleted are there, once.
    """

    def __init__(self, place: QueueFixture, queue: Queue) -> None:
        self.place, self.queue = place, queue
        self.left: dict[str, list[str]] = {group: [] for group in GROUPS}
        self.in_flight: dict[str, tuple[Any, int]] = {}  # body -> (message, until when)
        self.sent = 0

    def settle(self) -> None:
        now = self.place.house.clock.now()
        self.in_flight = {
            body: (got, until) for body, (got, until) in self.in_flight.items() if until > now
        }

    async def send(self, group: str) -> None:
        body = f"{group}{self.sent}"
        self.sent += 1
        await self.queue.send(body, message_group_id=group, message_deduplication_id=body)
        self.left[group].append(body)

    async def receive(self, most: int) -> None:
        self.settle()
        locked = {body[0] for body in self.in_flight}
        got = await self.queue.receive(most)
        for group in GROUPS:
            bodies = [each["Body"] for each in got if each["Body"][0] == group]
            assert not bodies or group not in locked
            assert bodies == self.left[group][: len(bodies)]
        if len(got) < most:  # then it is all that could be had
            assert all(
                group in locked or not rest or any(each["Body"][0] == group for each in got)
                for group, rest in self.left.items()
            )
        until = self.place.house.clock.now() + 30_000
        self.in_flight |= {each["Body"]: (each, until) for each in got}

    async def delete(self, which: int) -> None:
        self.settle()
        if self.in_flight:
            body = sorted(self.in_flight)[which % len(self.in_flight)]
            await self.queue.delete(self.in_flight.pop(body)[0])
            self.left[body[0]].remove(body)

    async def hide(self, which: int, seconds: int) -> None:
        self.settle()
        if self.in_flight:
            body = sorted(self.in_flight)[which % len(self.in_flight)]
            got = self.in_flight[body][0]
            await self.queue.sqs.change_message_visibility(
                self.queue.url, got["ReceiptHandle"], seconds
            )
            self.in_flight[body] = got, self.place.house.clock.now() + 1000 * seconds

    async def again(self, crash: bool) -> None:
        await self.place.again(crash)
        self.queue = self.place.find(self.queue.name)

    async def end(self) -> None:
        self.place.pass_(43_200)
        found: dict[str, list[str]] = {group: [] for group in GROUPS}
        while got := await self.queue.receive():
            for each in got:
                found[each["Body"][0]].append(each["Body"])
            await self.queue.delete(*got)
        assert found == self.left and await self.queue.counts() == (0, 0, 0)
        await self.place.calm()
        assert (
            await self.place.records("sqs/message/") == await self.place.records("sqs/state/") == []
        )


STEPS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(GROUPS)),
    st.tuples(st.just("send"), st.sampled_from(GROUPS)),
    st.tuples(st.just("receive"), st.integers(1, 4)),
    st.tuples(st.just("receive"), st.integers(1, 4)),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("hide"), st.integers(0, 9), st.sampled_from([0, 5, 50])),
    st.tuples(st.just("pass"), st.sampled_from([1, 10, 40])),
    st.tuples(st.just("again"), st.booleans()),
)


@settings(max_examples=20)
@given(st.lists(STEPS, max_size=40))
def test_a_fifo_queue_keeps_the_order_of_its_groups_and_loses_and_invents_nothing(
    steps: list[tuple[Any, ...]],
) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            place = await QueueFixture(EmbeddedEngine(Path(folder) / "q.db")).open()
            model = Fifo(place, await place.queue("q.fifo"))
            for name, *rest in steps:
                if name == "pass":
                    place.pass_(*rest)
                else:
                    await getattr(model, name)(*rest)
            await model.end()
            await place.house.close()

    asyncio.run(run())


# --- the index alone ------------------------------------------------------------------------------

INDEX_STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 3), st.integers(0, 2)),
    st.tuples(st.just("take"), st.integers(1, 4), st.integers(0, 9)),
    st.tuples(st.just("remove"), st.integers(0, 50), st.just(0)),
    st.tuples(st.just("hide"), st.integers(0, 50), st.integers(0, 9)),
    st.tuples(st.just("pass"), st.integers(1, 5), st.just(0)),
)


@settings(max_examples=200)
@given(st.booleans(), st.lists(INDEX_STEPS, max_size=60))
def test_the_index_is_what_a_list_would_be(fifo: bool, steps: list[tuple[str, int, int]]) -> None:
    index, now, number = Index(fifo), 100, 0
    model: dict[
        int, Entry
    ] = {}  # the same entries, whose due and state are compared with what a scan says
    due: dict[int, int] = {}
    in_flight: set[int] = set()
    for step, first, second in steps:
        in_flight = {seq for seq in in_flight if due[seq] > now}
        if step == "add":
            number += 1
            entry = Entry(
                number,
                now,
                now + first if first else 0,
                f"g{second}" if fifo else None,
                None,
                False,
            )
            index.add(entry, now)
            model[number], due[number] = entry, entry.due
        elif step == "take":
            locked = {model[seq].group for seq in in_flight}
            expected = []
            for seq in sorted(model):
                entry = model[seq]
                if fifo and entry.group in locked:
                    continue
                if due[seq] <= now:
                    expected.append(seq)
                elif fifo:
                    locked.add(entry.group)
            taken, over = index.take(now, first, now + second, lambda entry: False)
            got = [entry.seq for entry in taken]
            assert (
                over == [] and set(got) <= set(expected) and len(got) == min(first, len(expected))
            )
            if not fifo:
                assert got == expected[:first]
            for seq in got:
                due[seq] = now + second
                in_flight.add(seq)
        elif step == "remove" and model:
            seq = sorted(model)[first % len(model)]
            assert index.remove(seq) is model.pop(seq)
            assert index.remove(seq) is None
            due.pop(seq)
            in_flight.discard(seq)
        elif step == "hide" and in_flight:
            seq = sorted(in_flight)[first % len(in_flight)]
            index.show_due(now)
            index.hide(model[seq], now + second, now)
            due[seq] = now + second
        elif step == "pass":
            now += first
        index.show_due(now)
        in_flight = {seq for seq in in_flight if due[seq] > now}
        states = {
            seq: IN_FLIGHT if seq in in_flight else DELAYED if due[seq] > now else READY
            for seq in model
        }
        assert {seq: entry.state for seq, entry in index.entries.items()} == states
        waiting = [due[seq] for seq in model if due[seq] > now]
        assert (index.in_flight, index.delayed) == (len(in_flight), len(waiting) - len(in_flight))
        assert index.visible == len(model) - len(waiting) and index.next_due() == min(
            waiting, default=None
        )
        assert index.oldest() is (model[min(model)] if model else None)


def test_what_is_outdated_does_not_pile_up() -> None:
    """One message stays; ten thousand come and go after it."""
    index = Index(False)
    for seq in range(10_000):
        index.add(Entry(seq, 0, 0, None, None, False), 0)
        taken, _ = index.take(0, 2, 1 << 40, lambda entry: False)
        if seq:
            index.remove(taken[0].seq)
    assert max(len(heap) for heap in (index._ready, index._waiting, index._ages)) < 200


# --- sums -----------------------------------------------------------------------------------------

NAMES = st.text("abcXYZ019_-", min_size=1, max_size=10)
VALUES = st.one_of(
    st.tuples(
        st.sampled_from(["String", "String.custom", "Number", "Number.int"]),
        st.text("0123456789", min_size=1),
    ),
    st.tuples(
        st.sampled_from(["String", "String.ünï"]),
        st.text(min_size=1).filter(lambda text: text.isprintable()),
    ),
    st.tuples(st.sampled_from(["Binary", "Binary.png"]), st.binary(min_size=1)),
)


@settings(max_examples=50)
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=10))
def test_the_sum_of_attributes_is_that_of_another_implementation(
    given: dict[str, tuple[str, Any]],
) -> None:
    members = {str: "StringValue", bytes: "BinaryValue"}
    attributes = {
        name: {"DataType": kind, members[type(value)]: value}
        for name, (kind, value) in given.items()
    }
    other = Message("id", "body", {})
    other.message_attributes = attributes
    assert md5(attributes) == other.attribute_md5
