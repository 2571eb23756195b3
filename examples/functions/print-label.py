"""Prints the shipping label; fails for countries without a carrier."""

ZONES = {"DE": "EU", "FR": "EU", "GB": "UK"}


class NoSuchZone(Exception):
    """The carrier does not deliver there."""


def handler(event, context):
    if event["country"] not in ZONES:
        raise NoSuchZone(f"no carrier delivers to {event['country']}")
    return {"tracking": f"{event['carrier']}-{ZONES[event['country']]}-{event['orderId']}"}
