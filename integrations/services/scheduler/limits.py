"""The limits of EventBridge Scheduler: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SchedulerLimits:
    """Upper bounds, all inclusive."""

    schedules: int = 100_000
    schedule_groups: int = 500
