"""The limits of tasks: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskLimits:
    """Upper bounds, all inclusive."""

    job_pause_seconds: float = 1.0  # before the first request for the status of a job; then longer
    job_pause_most_seconds: float = 60.0  # longest pause between two such requests
    event_entries: int = 10  # AWS: of one PutEvents
