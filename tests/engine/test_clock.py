"""The engine's time, with a wall clock and a monotonic clock that the test moves."""

import logging
from unittest.mock import patch

import pytest

from stepwell.engine import clock as clock_module
from stepwell.engine.clock import SystemClock
from stepwell.engine.limits import Limits

START = 1_700_000_000_000
DAY = 24 * 3_600_000
LIMITS = Limits(clock_jump_seconds=60, clock_hold_seconds=60)
LONG_AGO = START - 30 * DAY


class Time:
    """Stands in for the module `time`: both clocks in ms."""

    def __init__(self) -> None:
        self.wall, self.monotonic = START, 5_000

    def time_ns(self) -> int:
        return self.wall * 1_000_000

    def monotonic_ns(self) -> int:
        return self.monotonic * 1_000_000

    def passes(self, ms: int) -> None:
        self.wall, self.monotonic = self.wall + ms, self.monotonic + ms


@pytest.fixture
def time():
    with patch.object(clock_module, "time", Time()) as made:
        yield made


def begun(high: int = 0) -> SystemClock:
    clock = SystemClock(LIMITS)
    clock.raise_to(high)
    clock.now()
    return clock


def test_it_is_the_wall_clock(time: Time):
    clock = begun()
    assert clock.now() == clock.wall() == START
    time.passes(1_234)
    assert clock.now() == clock.wall() == START + 1_234


@pytest.mark.parametrize("step", [-1, -30_000, -600_000, -30 * DAY])
def test_time_passes_at_its_pace_after_the_wall_clock_was_set_back(time: Time, step: int):
    clock = begun()
    time.wall += step
    assert clock.now() == START
    time.passes(2_000)
    assert clock.now() == START + 2_000
    assert clock.wall() == START + step + 2_000


@pytest.mark.parametrize("step", [1, 5_000, 60_000])
def test_a_small_jump_forward_is_believed_at_once(time: Time, step: int):
    clock = begun()
    time.wall += step
    assert clock.now() == START + step


def test_a_large_jump_forward_is_held_back_and_forgotten_when_it_is_taken_back(
    time: Time, caplog: pytest.LogCaptureFixture
):
    clock = begun()
    time.wall += 30 * DAY
    with caplog.at_level(logging.WARNING, "stepwell.clock"):
        for _ in range(59):
            time.passes(1_000)
            clock.now()
    assert clock.now() == START + 59_000
    assert len(caplog.records) == 1 and "2592000" in caplog.text
    time.wall -= 30 * DAY
    assert clock.now() == START + 59_000
    time.passes(120_000)
    assert clock.now() == START + 179_000
    time.wall += 30 * DAY  # another one: it has to last by itself
    assert clock.now() == START + 179_000


def test_a_large_jump_forward_that_lasts_is_believed(time: Time, caplog: pytest.LogCaptureFixture):
    clock = begun()
    time.wall += DAY
    clock.now()
    time.passes(60_000)
    assert clock.now() == START + DAY + 60_000 == clock.wall()
    assert [word for word in ("jumped", "believed") if word in caplog.text] == [
        "jumped",
        "believed",
    ]


def test_a_jump_of_another_size_has_to_last_too(time: Time):
    """A clock that shows something else each time proves nothing."""
    clock = begun()
    time.wall += DAY
    clock.now()
    time.passes(59_000)
    time.wall += 300 * DAY
    clock.now()
    time.passes(59_000)
    assert clock.now() == START + 118_000
    time.passes(1_000)
    assert clock.now() == START + 301 * DAY + 119_000


def test_what_remains_of_a_jump_that_was_taken_back_in_part_is_believed_if_it_is_small(time: Time):
    clock = begun()
    time.wall += 30 * DAY
    clock.now()
    time.wall -= 30 * DAY - 10_000
    assert clock.now() == START + 10_000


def test_it_goes_on_from_the_high_water_mark_of_an_earlier_process(time: Time):
    clock = SystemClock(LIMITS)
    clock.raise_to(START + 5_000)
    assert clock.now() == START + 5_000
    time.passes(2_000)
    assert clock.now() == START + 7_000


def test_a_high_water_mark_in_the_far_future_does_not_stop_it(
    time: Time, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "stepwell.clock"):
        clock = begun(START + 30 * DAY)
    assert "2592000" in caplog.text
    time.passes(2_000)
    assert clock.now() == START + 30 * DAY + 2_000
    assert clock.wall() == START + 2_000


def test_a_low_high_water_mark_changes_nothing(time: Time):
    """However long nothing ran: the first reading of a process is believed."""
    clock = begun(LONG_AGO)
    assert clock.now() == START
    clock.raise_to(LONG_AGO)
    assert clock.now() == START


def test_it_never_goes_back(time: Time):
    clock, last = begun(), 0
    for step in (0, -5, 40_000, -90_000, DAY, -DAY, 61_000, 1, -3 * DAY, 3 * DAY):
        time.wall += step
        for _ in range(3):
            time.passes(25_000)
            assert clock.now() >= last + 25_000 or not last
            last = clock.now()
