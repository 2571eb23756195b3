"""One call of an AWS API: to the embedded service if there is one, else outside, if that is
allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.aws.peer_calls import until_answered
from stepwell.integrations.host import LostAnswerError, UnreachableError

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

ENGINE: Final = "stepfunctions"
SHARD_SECONDS: Final = 10.0  # for which a call waits for the owner of a shard
# The URL by which the current client reached this server, for the URLs that it gets; "" outside of
# requests.
REACHED: Final[ContextVar[str]] = ContextVar("reached", default="")
# Whether the current request is unsigned, by a link that needs no signature (server/admission.py).
ANONYMOUS: Final[ContextVar[bool]] = ContextVar("anonymous", default=False)


class ServiceError(Exception):
    """A service outside refused a call, or could not be called.

    code     as the service names it; "" if it could not be called
    status   of HTTP; 0 if it could not be called
    request  its id
    extended S3's second id
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
    """Whether a service (botocore's name) is served here. An endpoint of its own takes
    precedence.
    """
    return service not in host.outside.endpoints and (
        service in host.services or (service == ENGINE and host.executions is not None)
    )


async def call(
    host: Host, service: str, operation: str, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """The answer with the members that botocore's model gives it. Raises ApiError of
    an embedded service, ServiceError of another.
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
    """(the answer, {"RequestId", "HTTPStatusCode", "HTTPHeaders"}, or {} of an embedded service).

    most_bytes  of a stream in the answer; one byte more shows that it is longer. By default the
                limit of payloads.
    """
    if not embedded(host, service):
        return await host.outside.aws.call(
            service, operation, parameters, host.home.region, most_bytes
        )
    from stepwell.integrations.aws.models import operation_method, read_input

    target = host.executions if service == ENGINE else await host.services.get(service)
    method = getattr(target, operation_method(operation), None)
    if method is None:
        raise ApiError("UnknownOperationException", f"{operation} of {service} is not served here")
    arguments = read_input(service, operation, parameters, host.limits)
    if service != ENGINE:
        return await method(**arguments), {}
    try:  # perhaps on another shard
        answer = await until_answered(
            host, lambda again: method(**arguments), seconds=SHARD_SECONDS, repeatable=False
        )
    except (UnreachableError, LostAnswerError) as error:
        raise ServiceError("", str(error), 0) from None
    return answer, {}
