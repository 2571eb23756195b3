"""Schedules: rate(...), cron(...) and at(...), and when each is due next. Pure.

    schedule = parse_schedule("cron(0 9 ? * MON-FRI *)", "Europe/Berlin")
    schedule.next(after)  # epoch seconds of the first time that is later, or None

Source: EventBridge User Guide, schedule types. A local time of a cron that daylight saving skips is
left out; one that it repeats is due once, the first time.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stepwell.integrations.services.common import messages

_UNITS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
_MONTHS: Final = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS: Final = {
    name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)
}
_YEARS: Final = (1970, 2199)


class ScheduleError(ValueError):
    """An invalid schedule expression."""


class TimeZoneError(ScheduleError):
    """An unknown time zone."""


class Schedule(NamedTuple):
    """next: time -> first due time after it, or None, both in epoch seconds. once: an at(...)."""

    next: Callable[[float], float | None]
    once: bool = False


def parse_schedule(text: str, zone: str = "UTC", start: float = 0) -> Schedule:
    """start: epoch seconds from which a rate counts. Raises ScheduleError."""
    match = re.fullmatch(r"(rate|cron|at)\((.*)\)", text.strip())
    if match is None:
        raise ScheduleError(messages.BAD_SCHEDULE)
    try:
        time_zone = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise TimeZoneError(messages.BAD_TIME_ZONE.format(zone=zone)) from None
    kind, inner = match.groups()
    if kind == "rate":
        return _rate(inner, start)
    return _cron(inner, time_zone) if kind == "cron" else _at(inner, time_zone)


def _rate(text: str, start: float) -> Schedule:
    match = re.fullmatch(r"([1-9]\d{0,8}) (minute|hour|day)(s?)", text.strip())
    if match is None or (match[1] == "1") == bool(match[3]):  # singular if and only if it is one
        raise ScheduleError(messages.BAD_SCHEDULE)
    period = int(match[1]) * _UNITS[match[2]]
    return Schedule(lambda after: start + period * max((after - start) // period + 1, 0))


def _at(text: str, zone: ZoneInfo) -> Schedule:
    try:
        local = datetime.strptime(text.strip(), "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise ScheduleError(messages.BAD_SCHEDULE) from None
    due = _epoch(local, zone)
    return Schedule(lambda after: due if due > after else None, True)


def _epoch(local: datetime, zone: ZoneInfo) -> float:
    """The epoch seconds of a local time; the first of two."""
    return local.replace(tzinfo=zone).timestamp()


# --- cron -----------------------------------------------------------------------------------------


def _cron(text: str, zone: ZoneInfo) -> Schedule:
    fields = text.split()
    if len(fields) != 6 or (fields[2] == "?") == (fields[4] == "?"):
        raise ScheduleError(messages.BAD_SCHEDULE)
    minutes, hours = _numbers(fields[0], 0, 59), _numbers(fields[1], 0, 23)
    months, years = set(_numbers(fields[3], 1, 12, _MONTHS)), set(_numbers(fields[5], *_YEARS))
    days = _days_of_week(fields[4]) if fields[2] == "?" else _days_of_month(fields[2])
    last_year = max(years)

    def next_due(after: float) -> float | None:
        local = datetime.fromtimestamp(after, zone).replace(tzinfo=None)
        day = local.date() - timedelta(days=1)  # a repeated hour may lie before
        while day.year <= last_year:
            if day.year not in years:
                day = date(
                    min((year for year in years if year > day.year), default=_YEARS[1] + 1), 1, 1
                )
                continue
            if day.month not in months:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
                continue
            if day.day in days(day.year, day.month):
                due = _on_day(day, after)
                if due is not None:
                    return due
            day += timedelta(days=1)
        return None

    def _on_day(day: date, after: float) -> float | None:
        for hour in hours:
            for minute in minutes:
                wall = datetime(day.year, day.month, day.day, hour, minute)
                due = _epoch(wall, zone)
                if due > after and datetime.fromtimestamp(due, zone).replace(tzinfo=None) == wall:
                    return due
        return None

    return Schedule(next_due)


def _numbers(field: str, least: int, most: int, names: dict[str, int] | None = None) -> list[int]:
    """The values of a list of numbers, names, ranges and steps; `*` and `?` are all of them."""
    values: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low = least if first in ("*", "?") else _number(first, names)
        high = _number(last, names) if last else most if step or first in ("*", "?") else low
        stride = _number(step, None) if "/" in part else 1
        if not least <= low <= most or not least <= high <= most or stride < 1:
            raise ScheduleError(messages.BAD_SCHEDULE)
        if low <= high:
            values.update(range(low, high + 1, stride))
        else:  # FRI-MON
            values.update(
                (each - least) % (most - least + 1) + least
                for each in range(low, high + most - least + 2, stride)
            )
    return sorted(values)


def _number(text: str, names: dict[str, int] | None) -> int:
    named = (names or {}).get(text.upper())
    if named is not None:
        return named
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise ScheduleError(messages.BAD_SCHEDULE)
    return int(text)


def _days_of_month(field: str) -> Callable[[int, int], set[int]]:
    if field == "L":
        return lambda year, month: {_length(year, month)}
    if field == "LW":
        return lambda year, month: {_weekday(year, month, _length(year, month))}
    if match := re.fullmatch(r"(\d{1,2})W", field):
        day = int(match[1])
        if not 1 <= day <= 31:
            raise ScheduleError(messages.BAD_SCHEDULE)
        return lambda year, month: (
            {_weekday(year, month, day)} if day <= _length(year, month) else set()
        )
    days = set(_numbers(field, 1, 31))
    return lambda year, month: days


def _days_of_week(field: str) -> Callable[[int, int], set[int]]:
    if match := re.fullmatch(r"(\w{1,3})#([1-5])", field):
        day, nth = _day(match[1]), int(match[2])
        return lambda year, month: set(_dates(year, month, {day})[nth - 1 : nth])
    if match := re.fullmatch(r"(\w{1,3}?)L", field):
        day = _day(match[1]) if match[1] else 7
        return lambda year, month: set(_dates(year, month, {day})[-1:])
    days = set(_numbers(field, 1, 7, _DAYS))
    return lambda year, month: set(_dates(year, month, days))


def _day(text: str) -> int:
    (day, *more) = _numbers(text, 1, 7, _DAYS)
    if more:
        raise ScheduleError(messages.BAD_SCHEDULE)
    return day


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _dates(year: int, month: int, days: set[int]) -> list[int]:
    """The dates of some days of the week; Sunday is 1."""
    return [
        day
        for day in range(1, _length(year, month) + 1)
        if date(year, month, day).isoweekday() % 7 + 1 in days
    ]


def _weekday(year: int, month: int, day: int) -> int:
    """The weekday nearest to a date, within its month."""
    of_week = date(year, month, day).weekday()
    if of_week == 5:
        return day - 1 if day > 1 else day + 2
    if of_week == 6:
        return day + 1 if day < _length(year, month) else day - 2
    return day
