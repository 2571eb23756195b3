"""RFC 3339 timestamps: a date, T, a time with seconds, and Z or an offset."""

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

from stepwell.conformance.oracle.values import Json

_TEXT: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII
)


def instant(value: Json) -> Fraction | None:
    """Seconds since 1970; None if the value is no timestamp."""
    match = _TEXT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    moment, fraction, zone = match.groups()
    try:
        whole = datetime.fromisoformat(moment + ("+00:00" if zone == "Z" else zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    seconds = Fraction((whole - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds + Fraction(fraction or "0")
