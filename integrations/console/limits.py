"""The limits of the console: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ConsoleLimits:
    """Upper bounds, all inclusive."""

    console_streams: int = 200  # open pages with live updates; more have to retry
    console_pace_seconds: float = 0.1  # between two messages of a stream
    console_beat_seconds: float = 20.0  # between two keep-alive messages of a stream
    # changed executions in one message of the list; beyond it, the page reloads the list
    console_changed: int = 200
    console_map_runs: int = 20  # Map Runs whose items are counted for one message
    console_searched: int = 10_000  # executions that one search reads
    # events of one execution that a page shows, and that the data flow of a state is found in: each
    # takes about 2 kB of memory meanwhile
    console_events: int = 100_000
    console_pictures: int = 32  # pictures in memory
    console_listed: int = 2_000  # functions, queues, topics or rules of one list
    console_deliveries: int = 200  # of one page of deliveries
