"""The event loop of a process that is ours alone: the commands, the server, the benchmarks. A host
that imports Engine keeps its own.
"""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

# new objects between two looks for garbage: what a busy engine makes dies by itself, in thousands a
# commit
COLLECT_AFTER: Final = 50_000


def run(main: Coroutine[Any, Any, T]) -> T:
    """asyncio.run() on uvloop, where there is one, with a collector that leaves alone what was
    there at the start.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 100)
    try:
        import uvloop
    except ImportError:  # no wheel for this platform
        return asyncio.run(main)
    return uvloop.run(main)
