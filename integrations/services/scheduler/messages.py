"""The texts and error names of EventBridge Scheduler, as AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- EventBridge: as others report it, or ours ----------------------------------------------------
SCHEDULER_BAD_SCHEDULE: Final = "Invalid Schedule Expression {expression}."

# --- services of others ---------------------------------------------------------------------------
SCHEDULE_UNKNOWN: Final = "Schedule {name} does not exist."
SCHEDULE_EXISTS: Final = "Schedule {name} already exists."
GROUP_UNKNOWN: Final = "Schedule group {name} does not exist."
GROUP_EXISTS: Final = "Schedule group {name} already exists."
GROUP_DEFAULT: Final = "The default schedule group can not be deleted."
BAD_WINDOW: Final = "MaximumWindowInMinutes must be provided if the flexible time window's mode is FLEXIBLE, and only then."
BAD_END_DATE: Final = (
    "The EndDate you specify must come after the StartDate and must not be in the past."
)
