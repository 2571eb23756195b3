"""The limits of calls between shards: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterLimits:
    """Upper bounds, all inclusive."""

    # --- tasks of embedded services
    peer_pause_seconds: float = 0.05  # before a task is sent home again; then doubled
    peer_pause_most_seconds: float = 2.0  # longest pause before a task is sent home again
    peer_wait_seconds: float = 20.0  # of one call that waits for another shard; then it is repeated
    task_answers_seconds: float = 60.0  # for which home remembers that a task ended
    task_answers_bytes: int = 16 * 1024 * 1024  # results of ended tasks that home remembers
    # for which a shard relies on it that no rule of home wants status events
    status_lease_seconds: float = 1.0
    # after which the marker of a task is deleted whose execution ended; longer than any Express
    # execution
    marker_seconds: int = 3600
