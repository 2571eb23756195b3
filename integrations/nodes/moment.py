"""A moment of this process: how long ago it was, also if the machine was suspended since."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

# the loop's clock stands still while the machine is suspended; on Linux this one does not
_BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Moment(NamedTuple):
    """loop: its time; boot: seconds since the machine started."""

    loop: float
    boot: float

    @classmethod
    def now(cls) -> Moment:
        return cls(asyncio.get_running_loop().time(), time.clock_gettime(_BOOTTIME))

    def seconds(self) -> float:
        """Since then."""
        now = Moment.now()
        return max(now.loop - self.loop, now.boot - self.boot)
