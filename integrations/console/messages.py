"""The texts and error names of the console, as AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

NOT_FOUND: Final = "It does not exist."  # ours
TOO_MANY_STREAMS: Final = "Too many pages are open."  # ours
HISTORY_TOO_LONG: Final = (
    "The history has more than {limit} events: the data flow of its states is not shown."
)
HISTORY_CUT: Final = "The first {limit} events are shown; GetExecutionHistory has all."
