"""A function that a process runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LATEST: Final = "$LATEST"
NODE: Final = "nodejs"
PROVIDED: Final = (
    "provided"  # an executable named `bootstrap`, which speaks the Runtime API over TCP
)
PYTHON: Final = "python"


@dataclass(frozen=True, slots=True)
class Function:
    """Where the code of a function is, and how it runs. Equal functions share processes; an edited
    file makes an unequal one.

    source    the folder that the function sees as its own; `shared`: with other functions beside it
    handler   "module.function"
    seconds   the longest that one call may take
    stamp     (mtime in ns, size) of the handler's file
    confined  its memory and the size of the files that it writes are limited; otherwise memory_mb
              is only shown
    isolated  it sees nothing of our own environment
    """

    name: str
    source: str
    handler: str
    shared: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    seconds: float = 900
    memory_mb: int = 128
    stamp: tuple[int, int] = (0, 0)
    runtime: str = PYTHON
    version: str = LATEST
    confined: bool = False
    isolated: bool = False
    storage_mb: int = 512
