"""The limits of EventBridge: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EventsLimits:
    """Upper bounds, all inclusive."""

    event_bytes: int = 262_144  # of one entry, and of all of one call
    buses: int = 100
    rule_targets: int = 5
    archives: int = 100
    replays: int = 1_000  # including those that have ended
    replay_page: int = 200  # events in one transaction
    api_connections: int = 3_000
    api_destinations: int = 3_000
    bus_hops: int = 8  # of one event, from bus to bus
    destination_seconds: float = 5.0  # for the response of an API destination
