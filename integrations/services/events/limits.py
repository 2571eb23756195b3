"""The limits of EventBridge: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EventsLimits:
    """Upper bounds, all inclusive."""

    # events and what delivers them
    event_bytes: int = 262_144  # of one entry, and of all of one call
    buses: int = 100
    rule_targets: int = 5
    archives: int = 100
    replays: int = 1_000  # kept, those that have ended too
    replay_page: int = 200
    api_connections: int = 3_000
    api_destinations: int = 3_000
    bus_hops: int = 8  # of one event, from bus to bus
    destination_seconds: float = 5.0  # that an API destination has for its answer
