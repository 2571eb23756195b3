"""Instants as people write them, and as the command prints them: how long ago (30m, 2h, 7d), or ISO
8601 with a date, "T" or a space, and a zone (Z, UTC, +01:00), which may follow a space.
"""

import re
from datetime import datetime, tzinfo
from typing import Final

from stepwell.engine.search import durations

_ZONE: Final = re.compile(r"\s*(UTC|[+-]\d\d:\d\d)$", re.IGNORECASE)


def seconds(text: str, now: float, zone: tzinfo | None) -> float | None:
    """Epoch seconds; None if the text is no instant.

    now   epoch seconds
    zone  of times that name none; None: that of this machine
    """
    ago = durations.seconds(text)
    if ago is not None:
        return now - ago
    named = _ZONE.search(text)
    iso = text.strip()
    if named is not None:
        iso = text[: named.start()].strip() + named[1].upper().replace("UTC", "+00:00")
    try:
        at = datetime.fromisoformat(iso)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        return None
