"""The limits of EventBridge: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EventsLimits:
    """Upper bounds, all inclusive."""

    event_bytes: int = 262_144  # AWS: of one entry, and of all entries of a call
    buses: int = 100  # AWS: event buses
    rules: int = 300  # AWS: of one event bus
    rule_targets: int = 5  # AWS: of one rule
    archives: int = 100  # AWS: archives
    replays: int = 1_000  # including those that have ended
    replay_page: int = 200  # events in one transaction
    api_connections: int = 3_000  # AWS: connections
    api_destinations: int = 3_000  # AWS: API destinations
    bus_hops: int = 8  # of one event, from bus to bus
    destination_seconds: float = 5.0  # AWS: for the response of an API destination
