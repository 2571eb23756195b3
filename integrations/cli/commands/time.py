"""What `stepwell time` does."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from stepwell.asl.timestamps import iso_milliseconds
from stepwell.integrations import database
from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.files import with_limits
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits

_UNITS: Final = {"w": 7 * 86_400, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = re.compile("".join(rf"(?:(\d+){unit})?" for unit in _UNITS), re.ASCII)


def seconds(duration: str) -> int:
    """Of 30d, 1h30m, or a number of seconds. Raises UsageError."""
    match = _DURATION.fullmatch(f"{duration}s" if duration.isdecimal() else duration)
    if not duration or match is None:
        raise UsageError(f"{duration}: not a duration such as 30d, 1h30m or 45s")
    return sum(
        int(number or 0) * unit
        for number, unit in zip(match.groups(), _UNITS.values(), strict=True)
    )


@with_limits
def advance(duration: str | None, until: str | None, db: str | None, limits: Limits) -> int:
    if (duration is None) == (until is None):
        raise UsageError("either a duration or --until is needed")
    asked = None if duration is None else seconds(duration)
    answer = asyncio.run(
        database.request(database.database(db), "advance_time", asked, until, limits=limits)
    )
    print(iso_milliseconds(answer["now"]))
    return exit_codes.SUCCEEDED
