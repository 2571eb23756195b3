"""The limits of tasks: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskLimits:
    """Upper bounds, all inclusive."""

    # executions
    dataset_bytes: int = (
        67_108_864  # of the files that an ItemReader reads, unpacked; ours: they are held in memory
    )

    # services of others
    job_pause_seconds: float = 1.0  # before a job is first asked how it stands; the pauses grow
    job_pause_most_seconds: float = 60.0

    # events and what delivers them
    event_entries: int = 10  # of one PutEvents
