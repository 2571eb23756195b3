"""A function that a process runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LATEST: Final = "$LATEST"
NODE: Final = "nodejs"
PROVIDED: Final = "provided"  # an executable named `bootstrap`, which uses the Runtime API over TCP
PYTHON: Final = "python"


@dataclass(frozen=True, slots=True)
class Function:
    """The code of a function, and how it runs. Equal functions share processes; an edit of the file
    changes the stamp.

    source      the folder of its code
    shared      whether other functions are in the same folder
    handler     "module.function"
    environment its own variables
    seconds     the time limit of one call
    stamp       (mtime in ns, size) of the handler's file
    confined    whether memory_mb and storage_mb are enforced; otherwise memory_mb is only shown
    isolated    whether it inherits no variables of the engine's environment but the necessary ones
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
