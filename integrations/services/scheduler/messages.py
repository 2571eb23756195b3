"""The error texts of EventBridge Scheduler: AWS's as users have published them, or ours.

Placeholders are replaced by str.format.
"""

from typing import Final

SCHEDULER_BAD_SCHEDULE: Final = "Invalid Schedule Expression {expression}."
SCHEDULE_UNKNOWN: Final = "Schedule {name} does not exist."
SCHEDULE_EXISTS: Final = "Schedule {name} already exists."
GROUP_UNKNOWN: Final = "Schedule group {name} does not exist."
GROUP_EXISTS: Final = "Schedule group {name} already exists."
GROUP_DEFAULT: Final = "The default schedule group can not be deleted."
BAD_WINDOW: Final = "MaximumWindowInMinutes must be provided if the flexible time window's mode is FLEXIBLE, and only then."
BAD_END_DATE: Final = (
    "The EndDate you specify must come after the StartDate and must not be in the past."
)
