"""The limits of EventBridge Scheduler: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SchedulerLimits:
    """Upper bounds, all inclusive."""

    schedules: int = 100_000  # schedules of all groups
    schedule_groups: int = 500  # AWS: schedule groups
