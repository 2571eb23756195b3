"""The limits of calls to services elsewhere: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AwsLimits:
    """Upper bounds, all inclusive."""

    # HTTP that goes out
    outbound_connections: int = 256  # of tasks; as many of what topics and rules deliver
    outbound_seconds: float = 60.0  # of one call, from the name's resolution to the last byte
    outbound_response_bytes: int = 262_144

    # services of others
    aws_threads: int = 64  # calls at a time
    aws_queue: int = 1_000  # calls that wait for one
    aws_clients: int = 16  # kept, one a service
    aws_seconds: float = 60.0  # of one call
