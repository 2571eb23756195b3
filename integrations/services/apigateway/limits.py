"""The limits of HTTP APIs: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HttpApiLimits:
    """Upper bounds, all inclusive."""

    # HTTP APIs
    http_routes: int = 300  # of one API; as many integrations
    http_stages: int = 10
    http_deployments: int = 20  # of one API, kept besides those that a stage names
