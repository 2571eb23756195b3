"""The protocols that the server speaks."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from botocore.model import ServiceModel

from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.server.protocols.aws_json import (
    JsonProtocol,
    WireProtocol,
    service_model,
)
from stepwell.integrations.server.protocols.query import QueryProtocol
from stepwell.integrations.server.protocols.rest_json import RestProtocol

PROTOCOLS: Final[Mapping[str, Callable[[Iterable[ServiceModel]], WireProtocol]]] = {
    "json": JsonProtocol,
    "query": QueryProtocol,
    "rest-json": RestProtocol,
}


def protocols(services: Iterable[str], limits: Limits = DEFAULT_LIMITS) -> list[WireProtocol]:
    """An object for each protocol of the services (botocore's names). Raises ValueError for a
    protocol that is not in the table.
    """
    models: dict[str, list[ServiceModel]] = {}
    for service in services:
        model = service_model(service, limits)
        models.setdefault(model.protocol, []).append(model)
    if unknown := models.keys() - PROTOCOLS.keys():
        raise ValueError(f"no such protocol: {', '.join(sorted(unknown))}")
    return [PROTOCOLS[name](each) for name, each in models.items()]
