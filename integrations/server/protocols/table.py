"""The protocols that are spoken here."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from botocore.model import ServiceModel

from stepwell.integrations.server.protocols.aws_json import JsonWire, Wire, service_model
from stepwell.integrations.server.protocols.query import QueryWire
from stepwell.integrations.server.protocols.rest_json import RestWire

WIRES: Final[Mapping[str, Callable[[Iterable[ServiceModel]], Wire]]] = {
    "json": JsonWire,
    "query": QueryWire,
    "rest-json": RestWire,
}


def wires(services: Iterable[str]) -> list[Wire]:
    """One Wire for each protocol that the services (botocore's names) speak. Raises ValueError for
    a protocol that is not here.
    """
    speakers: dict[str, list[ServiceModel]] = {}
    for service in services:
        model = service_model(service)
        speakers.setdefault(model.protocol, []).append(model)
    if unknown := speakers.keys() - WIRES.keys():
        raise ValueError(f"no such protocol: {', '.join(sorted(unknown))}")
    return [WIRES[protocol](models) for protocol, models in speakers.items()]
