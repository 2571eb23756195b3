"""The limits of the console: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ConsoleLimits:
    """Upper bounds, all inclusive."""

    # the console
    console_streams: int = 200  # open pages that are told of changes; more are asked to come again
    console_pace_seconds: float = (
        0.1  # between one message of a stream and the next: what happens meanwhile goes into one
    )
    console_beat_seconds: float = (
        20.0  # between signs of life of a stream, by which a client that is gone is noticed
    )
    # executions that one message of the list's stream tells of; beyond it the page reads the list
    # again
    console_changed: int = 200
    console_map_runs: int = 20  # whose items are counted for one message of an execution's stream
    console_searched: int = 10_000  # executions that one search looks at
    console_pictures: int = 32  # kept
    console_listed: int = 2_000  # functions, queues, topics or rules of one list
    console_deliveries: int = 200  # shown at a time
