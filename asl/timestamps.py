"""RFC 3339 timestamps, in the forms that AWS accepts: `2016-03-14T01:59:00.5Z`,
`2016-03-14T01:59:00+01:00`.
"""

import re
from datetime import UTC, date, datetime
from typing import Final

from stepwell.asl.evaluation import Json

_TIMESTAMP: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
).fullmatch
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MOST_OFFSET: Final = 18 * 3600  # seconds; Java's limit


def parse_instant(value: Json) -> int | None:
    """Exact nanoseconds since 1970 (UTC); None if the value is not a timestamp."""
    match = _TIMESTAMP(value) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    fraction, sign, offset_hours, offset_minutes = match.group(7, 8, 9, 10)
    offset = int(offset_hours or 0) * 3600 + int(offset_minutes or 0) * 60
    if (
        hour > 23
        or minute > 59
        or second > 59
        or int(offset_minutes or 0) > 59
        or offset > _MOST_OFFSET
    ):
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    seconds = (
        days * 86_400 + hour * 3600 + minute * 60 + second - (-offset if sign == "-" else offset)
    )
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def parse_timestamp(text: str) -> float | None:
    """Epoch seconds, exact to about a microsecond; None if the text is not a timestamp."""
    instant = parse_instant(text)
    return None if instant is None else instant / 1_000_000_000


def epoch_seconds(time: Json | datetime) -> float:
    """Of a time in an answer of AWS: epoch seconds, a datetime of boto3, ISO 8601 of the AWS CLI.
    Raises TypeError, ValueError.
    """
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    return time.timestamp() if isinstance(time, datetime) else float(time)


def iso_seconds(seconds: float) -> str:
    """2023-11-14T22:13:20Z, without the fraction."""
    return datetime.fromtimestamp(seconds // 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_milliseconds(seconds: float) -> str:
    """2023-11-14T22:13:20.123Z"""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
