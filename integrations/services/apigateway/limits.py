"""The limits of HTTP APIs: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HttpApiLimits:
    """Upper bounds, all inclusive."""

    http_routes: int = 300  # of one API; the same for integrations
    http_stages: int = 10
    http_deployments: int = 20  # of one API; beyond, the oldest unused ones are deleted
