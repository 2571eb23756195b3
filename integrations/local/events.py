"""EventBridge: buses.py, then eventbus.py (rules, events), archives.py (replays), connections.py (API destinations), each on the one before."""

from stepwell.integrations.local.connections import Connections


class EventBridge(Connections):
    """The operations of botocore's "events" that are served here."""
