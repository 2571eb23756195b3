"""EventBridge: buses.py, eventbus.py (rules, events), archives.py (replays), connections.py (API destinations), one on the other."""

from stepwell.integrations.services.events.connections import Connections


class EventBridge(Connections):
    """The operations of botocore's "events" that are served here."""
