"""One call of an AWS API from here: to the embedded service if there is one, else to the outside as
far as that is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from stepwell.engine.errors import ApiError

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

ENGINE: Final = "stepfunctions"
# Where the client that is answered now has reached this server, for URLs that it is to come back
# to; "" if none asks.
REACHED: Final[ContextVar[str]] = ContextVar("reached", default="")
# Whether who is answered now followed a link that needs no signature (api/gate.py), and has none.
ANONYMOUS: Final[ContextVar[bool]] = ContextVar("anonymous", default=False)


class Fault(Exception):
    """A service refused, or could not be called.

    code     as the service names it; "" if it could not be called
    status   of HTTP; 0 if it could not be called
    request  its id, `extended` that which S3 has besides
    """

    def __init__(
        self, code: str, message: str, status: int, request: str = "", extended: str = ""
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.request, self.extended = (
            code,
            message,
            status,
            request,
            extended,
        )


def embedded(host: Host, service: str) -> bool:
    """Whether a service (botocore's name) is served here. An endpoint that was given for it by name
    goes before.
    """
    return service not in host.outside.endpoints and (
        service in host.services or (service == ENGINE and host.engine is not None)
    )


async def call(
    host: Host, service: str, operation: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """The answer with the members that botocore's model gives it. Raises ApiError of ours, Fault of
    others.
    """
    answer, _ = await exchange(host, service, operation, parameters)
    return answer


async def exchange(
    host: Host,
    service: str,
    operation: str,
    parameters: Mapping[str, Any],
    most_bytes: int | None = None,
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The same with what is known of the exchange: {"RequestId", "HTTPStatusCode", "HTTPHeaders"},
    {} of a service of ours.

    most_bytes  of a stream in the answer; one more shows that there are more. By default as many as
                a payload may have.
    """
    if not embedded(host, service):
        return await host.outside.aws.call(
            service, operation, parameters, host.home.region, most_bytes
        )
    from stepwell.integrations.aws.models import operation_method, read_input

    target = host.engine if service == ENGINE else await host.services.get(service)
    method = getattr(target, operation_method(operation), None)
    if method is None:
        raise ApiError("UnknownOperationException", f"{operation} of {service} is not served here")
    return await method(**read_input(service, operation, parameters)), {}
