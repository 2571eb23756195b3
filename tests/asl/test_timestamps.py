"""RFC 3339 timestamps: valid and invalid texts, and their instants."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.asl.timestamps import parse_instant, parse_timestamp

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.5Z", -SECOND // 2),
        ("2016-12-05T21:29:29Z", 1_480_973_369 * SECOND),
        ("2016-12-05T21:29:29+01:00", 1_480_969_769 * SECOND),
        ("2016-12-05T21:29:29-01:30", 1_480_978_769 * SECOND),
        ("2016-12-05T21:29:29.123456789Z", 1_480_973_369_123_456_789),
        ("2000-02-29T00:00:00-00:00", 951_782_400 * SECOND),
        ("0001-01-01T00:00:00Z", -62_135_596_800 * SECOND),
    ],
)
def test_instants(text: str, instant: int) -> None:
    assert parse_instant(text) == instant
    assert parse_timestamp(text) == instant / SECOND


@pytest.mark.parametrize(
    "value",
    [
        "05-12-2016T21:29:29Z", "2016-12-05 21:29:29Z", "2016-12-05T21:29:29",
        "2016-12-05T25:29:29Z", "2016-13-05T21:29:29Z", "2023-02-24",
        "2016-12-05t21:29:29Z", "2016-12-05T21:29:29z", "2016-12-05T21:29Z",
        "2016-12-05T21:29:29.Z", "2016-12-05T21:29:29.1234567890Z",
        "2015-02-29T00:00:00Z", "2016-12-05T21:60:29Z", "2016-12-05T21:29:60Z",
        "2016-12-05T24:00:00Z", "0000-01-01T00:00:00Z",
        "2016-12-05T21:29:29+0100", "2016-12-05T21:29:29+01", "2016-12-05T21:29:29+18:01",
        "2016-12-05T21:29:29+01:60",
        "+12016-12-05T21:29:29Z",
        " 2016-12-05T21:29:29Z", "2016-12-05T21:29:29Z\n", "٢٠١٦-12-05T21:29:29Z", "", None, 5,
        True, [], {"a": 1},
    ],
)  # fmt: skip
def test_invalid_timestamps(value: object) -> None:
    assert parse_instant(value) is None


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.integers(-18 * 60, 18 * 60),
)
def test_round_trip(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000
    assert parse_instant(aware.isoformat()) == expected
