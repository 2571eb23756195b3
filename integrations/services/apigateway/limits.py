"""The limits of HTTP APIs: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HttpApiLimits:
    """Upper bounds, all inclusive."""

    http_apis: int = 600  # AWS: HTTP APIs
    http_routes: int = 300  # AWS: of one API; the same for integrations
    http_stages: int = 10  # AWS: of one API
    http_deployments: int = 20  # of one API; beyond, the oldest unused ones are deleted
