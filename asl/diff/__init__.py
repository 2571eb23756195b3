"""What a change of a definition means: states and fields that were added, removed, changed, renamed
or moved. Pure.

    compare(old, new) -> Difference
"""

from stepwell.asl.diff.compare import compare
from stepwell.asl.diff.shapes import Change, Difference, StateChange

__all__ = ["Change", "Difference", "StateChange", "compare"]
