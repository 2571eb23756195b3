"""The limits of what services deliver to targets: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DeliveryLimits:
    """Upper bounds, all inclusive."""

    # patterns over events
    pattern_combinations: int = 1_000  # of the alternatives of `$or`
    pattern_depth: int = 100

    # events and what delivers them
    deliveries_held: int = 10_000  # in memory; the others wait on the disk
    deliveries_page: int = 1_000
    deliveries_in_flight: int = 256
    deliveries_remembered: int = 2_000  # that are over, of all services: for the console
    delivery_attempts: int = 185
    delivery_seconds: int = 24 * 3600
    delivery_pause_seconds: float = 1.0  # before the second attempt; the pauses double
    delivery_pause_most_seconds: float = 600.0
