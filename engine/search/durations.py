"""Durations as people write them: 45s, 1h30m, 1.5h, 2w."""

import re
from collections.abc import Mapping
from typing import Final

UNITS: Final[Mapping[str, int]] = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(
    "".join(rf"(?:(\d{{1,9}}(?:\.\d{{1,9}})?)\s*{unit}\s*)?" for unit in UNITS),
    re.ASCII | re.IGNORECASE,
)


def seconds(text: str) -> float | None:
    """Of numbers with units, the larger unit first; None if a text is no duration."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    numbers = zip(match.groups(), UNITS.values(), strict=True)
    return sum(float(number or 0) * unit for number, unit in numbers)
