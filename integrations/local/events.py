"""EventBridge: buses (buses.py), rules (eventbus.py), archives and replays (archives.py), connections and API destinations (connections.py)."""

from stepwell.integrations.local.connections import Connections


class EventBridge(Connections):
    """The operations of botocore's "events" that are served here."""
