"""Schedules: when rate, cron and at are due next."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.integrations.services.common.schedule_expressions import ScheduleError, parse_schedule


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def dues(text: str, after: str, count: int = 1, zone: str = "UTC") -> list[str]:
    schedule, at, found = parse_schedule(text, zone), seconds(after), []
    for _ in range(count):
        due = schedule.next(at)
        if due is None:
            return [*found, "never"]
        at = due
        found.append(datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M"))
    return found


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("cron(0 9 ? * MON-FRI *)", "2024-03-01T10:00", ["2024-03-04T09:00", "2024-03-05T09:00"]),
        (
            "cron(15/20 * * * ? *)",
            "2024-03-01T10:16",
            ["2024-03-01T10:35", "2024-03-01T10:55", "2024-03-01T11:15"],
        ),
        ("cron(0 0 L * ? *)", "2024-01-31T00:00", ["2024-02-29T00:00", "2024-03-31T00:00"]),
        ("cron(0 0 LW * ? *)", "2024-03-01T00:00", ["2024-03-29T00:00"]),
        ("cron(0 0 15W * ? *)", "2024-06-01T00:00", ["2024-06-14T00:00", "2024-07-15T00:00"]),
        ("cron(0 0 1W * ? *)", "2024-05-31T12:00", ["2024-06-03T00:00"]),
        ("cron(0 0 ? * 6#3 *)", "2024-03-01T00:00", ["2024-03-15T00:00", "2024-04-19T00:00"]),
        ("cron(0 0 ? * 6L *)", "2024-03-01T00:00", ["2024-03-29T00:00"]),
        ("cron(0 0 ? * SUN,WED *)", "2024-03-01T00:00", ["2024-03-03T00:00", "2024-03-06T00:00"]),
        ("cron(0 12 29 FEB ? *)", "2024-03-01T00:00", ["2028-02-29T12:00"]),
        (
            "cron(0 12 1 1 ? 2025-2026)",
            "2024-03-01T00:00",
            ["2025-01-01T12:00", "2026-01-01T12:00", "never"],
        ),
        ("cron(0 0 31 2 ? *)", "2024-03-01T00:00", ["never"]),
        ("at(2024-05-01T12:30:15)", "2024-03-01T00:00", ["2024-05-01T12:30", "never"]),
    ],
)
def test_due(text: str, after: str, expected: list[str]) -> None:
    assert dues(text, after, len(expected)) == expected


def test_daylight_saving_time() -> None:
    """In Berlin, 2:30 does not exist on 31 March, and exists twice on 27 October: due once."""
    assert dues("cron(30 2 * * ? *)", "2024-03-29T23:00", 3, "Europe/Berlin") == [
        "2024-03-30T01:30",
        "2024-04-01T00:30",
        "2024-04-02T00:30",
    ]
    assert dues("cron(30 2 * * ? *)", "2024-10-26T12:00", 2, "Europe/Berlin") == [
        "2024-10-27T00:30",
        "2024-10-28T01:30",
    ]
    assert dues("at(2024-07-01T12:00:00)", "2024-01-01T00:00", 1, "America/New_York") == [
        "2024-07-01T16:00"
    ]


def test_rates() -> None:
    schedule = parse_schedule("rate(5 minutes)", start=1000)
    assert [schedule.next(at) for at in (0, 999, 1000, 1299, 1300)] == [
        1000,
        1000,
        1300,
        1300,
        1600,
    ]
    assert [
        parse_schedule(f"rate({text})").next(0) for text in ("1 minute", "2 hours", "1 day")
    ] == [60, 7200, 86_400]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "rate(0 minutes)",
            "rate(1 minutes)",
            "rate(2 minute)",
            "rate(5 seconds)",
            "rate(-1 days)",
            "every day",
            "",
        ),
        *(
            "cron(0 9 * * * *)",
            "cron(0 9 ? * ? *)",
            "cron(0 9 ? * MON)",
            "cron(60 9 ? * MON *)",
            "cron(0 9 ? * 8 *)",
            "cron(a 9 ? * MON *)",
        ),
        *(
            "cron(0/0 9 ? * MON *)",
            "cron(0 9 32W * ? *)",
            "cron(0 9 ? * MON#6 *)",
            "at(2024-13-01T00:00:00)",
            "at(now)",
        ),
    ],
)
def test_invalid_schedules(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse_schedule(text)


def test_an_unknown_time_zone() -> None:
    for zone in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ScheduleError):
            parse_schedule("rate(1 day)", zone)


FIELDS: Any = st.tuples(
    st.sampled_from(["*", "0", "5,10", "0/15", "10-12"]),
    st.sampled_from(["*", "0", "8-18/2", "23"]),
    st.sampled_from(
        [("*", "?"), ("1", "?"), ("L", "?"), ("?", "MON-FRI"), ("?", "2#1"), ("15W", "?")]
    ),
    st.sampled_from(["*", "1", "JAN-MAR", "2/3"]),
)


@given(
    FIELDS,
    st.integers(1_600_000_000, 1_900_000_000),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)
def test_times_increase_and_none_is_skipped(fields: Any, after: int, zone: str) -> None:
    minute, hour, (day, week), month = fields
    schedule = parse_schedule(f"cron({minute} {hour} {day} {month} {week} *)", zone)
    times = [float(after)]
    for _ in range(5):
        due = schedule.next(times[-1])
        assert due is not None and due % 60 == 0
        times.append(due)
    assert all(before < then for before, then in pairwise(times))
    assert all(schedule.next((before + then) / 2) == then for before, then in pairwise(times[1:]))
