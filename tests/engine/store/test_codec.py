"""Blobs: whatever goes in comes out, objects stay shared, and what is damaged or newer is
refused.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.store.machines import flat

from stepwell.asl import json_text
from stepwell.engine.core.history import TABLE
from stepwell.engine.core.model import NO_VARIABLES, Payload, Scope
from stepwell.engine.store import codec
from stepwell.engine.store.base import StoreFormatError
from stepwell.engine.store.blobs import pack, pack_json, scrub, unpack, unpack_json
from stepwell.engine.store.codec import Reader, StoredPayload, StoredScope, Writer

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBERS = (
    st.integers()
    | st.integers(-(2**300), 2**300)
    | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=12,
)
PAYLOADS = JSON.map(Payload) | st.integers(0, 5_000).map(lambda size: Payload("x" * size))
SCOPES = st.dictionaries(TEXT, PAYLOADS, max_size=4).map(Scope)
FIELDS = st.none() | TEXT | st.integers(0, 2**53) | PAYLOADS | SCOPES
EVENTS = st.lists(
    st.tuples(st.integers(0, len(TABLE) - 1), st.integers(0, 25_000)).flatmap(
        lambda head: st.lists(FIELDS, max_size=4).map(lambda rest: (*head, *rest))
    )
)


def written(
    events: list[Any],
    input: Payload,
    output: Payload | None = None,
    known: codec.Rows | None = None,
    first: bool = True,
) -> bytes:
    writer = Writer()
    writer.begin(input, known or {}, 0)
    return writer.history(events, 1_700_000_000_123, output, first)


def read(reader: Reader, blob: bytes, first: int = 1) -> list[Any]:
    return [event for _, _, event in reader.history(blob, first)]


def refuse(number: int = 0) -> bytes:
    raise AssertionError("nothing should be read")


@given(EVENTS, PAYLOADS, st.booleans())
def test_history_comes_back(events: list[Any], input: Payload, with_output: bool) -> None:
    shared = [field for event in events[-1:] for field in event if isinstance(field, Payload)]
    output = (shared or [Payload([1])])[0] if with_output else None
    events = [*events, (0, 0, input), *events]
    blob = written(events, input, output)
    found = Reader(refuse, refuse).history(blob, 1)
    assert [(number, at) for number, at, _ in found] == [
        (number, 1_700_000_000_123) for number in range(1, len(events) + 1)
    ]
    back = [event for _, _, event in found]
    assert flat(back) == flat(events)
    assert all(isinstance(event, tuple) for event in back)
    assert Reader(refuse, refuse).output(blob) == (output and output.data)
    assert codec.read_input(blob) == input.data


@given(
    st.lists(PAYLOADS, min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=9),
)
def test_what_was_one_object_is_one_object_again_and_is_stored_once(
    payloads: list[Payload], uses: list[tuple[int, int]]
) -> None:
    events = [(0, 0, payloads[a % len(payloads)], payloads[b % len(payloads)]) for a, b in uses]
    back = read(Reader(refuse, refuse), written(events, payloads[0]))
    seen: dict[int, Payload] = {}
    for event, again in zip(events, back, strict=True):
        for before, after in zip(event[2:], again[2:], strict=True):
            assert seen.setdefault(id(before), after) is after


def test_payloads_beyond_the_first_256_places(n: int = 70_000) -> None:
    payloads = [Payload(number) for number in range(n)]
    events = [(0, 0, each) for each in payloads] + [(0, 0, payloads[300], payloads[-1])]
    back = read(Reader(refuse, refuse), written(events, Payload({})))
    assert flat(back) == flat(events)
    assert back[-1][2] is back[300][2] and back[-1][3] is back[-2][2]


def test_the_input_and_payload_rows_are_referred_to() -> None:
    input, large = Payload({"i": "x" * 9_000}), Payload(["y" * 9_000])
    blob = written(
        [(0, 0, input), (0, 0, large), (0, 0, input)],
        input,
        known={id(large): (large, 41)},
        first=False,
    )
    assert len(blob) < 60
    asked: list[int] = []

    def row(number: int) -> bytes:
        asked.append(number)
        return large.data

    reader = Reader(lambda: input.data, row)
    back = read(reader, blob, 9)
    assert flat(back) == flat([(0, 0, input), (0, 0, large), (0, 0, input)])
    assert back[0][2] is back[2][2] is reader.input and asked == [41]


def test_a_value_is_parsed_only_when_it_is_read() -> None:
    payload = StoredPayload(b"not json")
    scope = StoredScope({"v": payload})
    assert (payload.data, scope.size) == (b"not json", 8)
    with pytest.raises(json_text.JsonError):
        scope.values  # noqa: B018
    with pytest.raises(AttributeError):
        payload.other  # noqa: B018
    good = StoredPayload(b'{"a": 1}')
    assert good.value == {"a": 1} and good.value is good.value
    assert good == Payload({"a": 1}, b'{"a": 1}') and hash(good) == hash(Payload(None, b'{"a": 1}'))


def test_deep_values_survive() -> None:
    value: Any = 1
    for _ in range(3_000):
        value = [value]
    payload = Payload(value, b"[" * 3_000 + b"1" + b"]" * 3_000)
    back = read(Reader(refuse, refuse), written([(0, 0, payload)], payload))
    assert back[0][2].data == payload.data
    found, depth = back[0][2].value, 0
    while isinstance(found, list):
        found, depth = found[0], depth + 1
    assert depth == 3_000


def test_an_empty_scope_is_the_one_without_variables() -> None:
    back = read(Reader(refuse, refuse), written([(0, 0, Scope({}), NO_VARIABLES)], Payload({})))
    assert back[0][2] is NO_VARIABLES and back[0][3] is NO_VARIABLES


@given(st.binary(max_size=5_000), st.sampled_from([1, 40]))
def test_packing(body: bytes, times: int) -> None:
    blob = pack(body * times)
    assert unpack(blob) == body * times
    assert len(blob) <= len(body) * times + 5


@pytest.mark.parametrize(
    "blob", [b"", b"\x02abc", b"\x82abc", b"\x81abc", b"\x00", pack(b"x" * 900)[:-3]]
)
def test_newer_and_damaged_blobs_are_refused(blob: bytes) -> None:
    with pytest.raises(StoreFormatError):
        unpack(blob)


@given(st.text())
def test_scrubbed_text_is_utf_8(text: str) -> None:
    found = scrub(text)
    assert found is not None
    found.encode()
    assert len(found) <= len(text)
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert found == text


def test_extras_are_json() -> None:
    assert pack_json({}) is None and unpack_json(None) == {}
    value = {"big": 2**90, "text": "\u2713", "list": [1, {"a": None}]}
    packed = pack_json(value)
    assert packed is not None and unpack_json(packed) == value == unpack_json(
        json.dumps(value).encode()
    )


@given(st.binary(max_size=5000), st.data())
def test_no_changed_byte_of_a_blob_goes_unseen(body: bytes, data: st.DataObject) -> None:
    blob = pack(body)
    assert unpack(blob) == body
    place, bit = data.draw(st.integers(0, len(blob) - 1)), 1 << data.draw(st.integers(0, 7))
    flipped = bytearray(blob)
    flipped[place] ^= bit
    with pytest.raises(StoreFormatError):
        unpack(bytes(flipped))
    with pytest.raises(StoreFormatError):
        unpack(blob[:place])


def test_a_wide_scope_gives_its_variables_rows_sooner() -> None:
    writer = Writer()
    input = Payload({})
    narrow, wide = (
        Scope({"a": Payload("x" * 900)}),
        Scope({f"v{number}": Payload("x" * 900) for number in range(20)}),
    )
    for scope, rows in ((narrow, 0), (wide, 20)):
        writer.begin(input, {}, 0)
        writer.frame((scope,), 1024)
        assert len(writer.fresh) == rows
    known = writer.fresh
    writer.begin(input, known, 20)
    blob = writer.frame((wide,), 1024)
    assert not writer.fresh and writer.used == known and len(blob) < 250


def test_payloads_beyond_the_last_row_stay_in_the_blob() -> None:
    writer, large = Writer(), [Payload("x" * 2_000), Payload("y" * 2_000)]
    writer.begin(Payload({}), {}, codec.PAYLOAD_ROWS - 1)
    blob = writer.payloads(large, 1024)
    assert list(writer.fresh) == [id(large[0])]
    assert unpack(blob).count(b"y" * 2_000) == 1 and unpack(blob).count(b"x") == 0


@settings(max_examples=30)
@given(st.lists(EVENTS.filter(bool), min_size=1, max_size=4), PAYLOADS)
def test_merged_rows_read_as_before(units: list[list[Any]], input: Payload) -> None:
    output, last = Payload("out"), len(units) - 1
    blobs = [
        written(events, input, output if n == last else None, first=n == 0)
        for n, events in enumerate(units)
    ]
    merged = codec.merge([codec.merge(blobs[:2]), *blobs[2:]])
    found = Reader(refuse, refuse).history(merged, 1)
    events = [event for unit in units for event in unit]
    assert flat(found) == flat(
        [(number, 1_700_000_000_123, event) for number, event in enumerate(events, 1)]
    )
    assert codec.read_input(merged) == input.data
    assert Reader(lambda: input.data, refuse).output(merged) == b'"out"'
