"""The limits of outgoing calls: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AwsLimits:
    """Upper bounds, all inclusive."""

    # --- outgoing HTTP
    outbound_connections: int = 256  # of tasks; the same for deliveries of topics and rules
    outbound_seconds: float = 60.0  # of one call, from name resolution to the last byte
    outbound_response_bytes: int = 262_144  # body of a response

    # --- requests
    request_problems: int = 100  # that one answer reports

    # --- calls to AWS and configured endpoints
    aws_threads: int = 64  # concurrent calls
    aws_queue: int = 1_000  # calls that wait for a thread
    aws_clients: int = 16  # clients in memory, one per service
    aws_seconds: float = 60.0  # of one call
