"""The limits of deliveries to targets: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DeliveryLimits:
    """Upper bounds, all inclusive."""

    # --- event patterns
    pattern_combinations: int = 1_000  # AWS: of the alternatives of `$or`
    pattern_depth: int = 100  # nested JSON containers of a pattern

    # --- deliveries to targets
    deliveries_held: int = 10_000  # pending ones in memory; the others are in the store
    deliveries_page: int = 1_000  # pending ones that are read at a time
    deliveries_in_flight: int = 256  # concurrent attempts
    deliveries_remembered: int = 2_000  # completed ones of all services, for the console
    delivery_attempts: int = 185  # AWS: retries of one delivery
    delivery_seconds: int = 24 * 3600  # AWS: age of an event, after which it is not retried
    delivery_pause_seconds: float = 1.0  # before the second attempt; then doubled
    delivery_pause_most_seconds: float = 600.0  # longest pause between two attempts
