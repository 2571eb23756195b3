"""What tasks of all services share: checks of parameters, metadata of results, error texts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from itertools import count

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import dumps
from stepwell.engine.clock import Clock
from stepwell.engine.tasks import TaskError
from stepwell.integrations import messages


def request_id(token: str) -> str:
    """A UUID derived from a task token: the same for all repetitions of an attempt, so that a
    receiver recognises them.
    """
    digits = hashlib.blake2b(token.encode(), digest_size=16).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def request_ids(token: str) -> Callable[[], str]:
    """That UUID, and as many others as are asked for, which are the same each time, too."""
    numbers = count()

    def draw() -> str:
        number = next(numbers)
        return request_id(f"{token}/{number}" if number else token)

    return draw


def fields(payload: Json, required: Sequence[str], optional: Sequence[str]) -> dict[str, Json]:
    """The parameters of a call without null ones; `required` must be present. Raises TaskError: the
    task cannot be started.
    """
    if not isinstance(payload, dict):
        raise bad_parameters(payload, asl_messages.REQUIRED_FIELD.format(field=required[0]))
    for name in payload:
        if name not in required and name not in optional:
            raise bad_parameters(payload, messages.UNSUPPORTED_FIELD.format(field=name))
    present = {name: value for name, value in payload.items() if value is not None}
    for name in required:
        if name not in present:
            raise bad_parameters(payload, asl_messages.REQUIRED_FIELD.format(field=name))
    return present


def text_field(payload: Json, fields: Mapping[str, Json], name: str, default: str = "") -> str:
    """A parameter that must be a string."""
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise bad_parameters(payload, messages.INVALID_FORMAT.format(field=name))
    return value


def bad_parameters(payload: Json, problem: str) -> TaskError:
    """AWS's error for parameters of the wrong shape."""
    return TaskError(
        asl_messages.RUNTIME,
        messages.BAD_PARAMETERS.format(parameters=dumps(payload), problem=problem),
        runtime=True,
    )


def service_error(
    error: str, service: str, status: int, code: str, message: str, request: str
) -> TaskError:
    """The error of a service that an optimised integration has called."""
    return TaskError(
        error,
        messages.SERVICE_FAULT.format(
            message=message, service=service, status=status, code=code, request=request
        ),
    )


def sdk_metadata(headers: Mapping[str, str], status: int, request: str) -> dict[str, Json]:
    """The metadata that an optimised integration adds to a service's answer."""
    by_name = sorted(headers.items(), key=lambda header: header[0].lower())
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": dict(by_name),
            "HttpStatusCode": status,
        },
        "SdkResponseMetadata": {"RequestId": request},
    }


def http_date(clock: Clock) -> str:
    """Tue, 14 Nov 2023 22:13:20 GMT"""
    return formatdate(clock.now() / 1000, usegmt=True)
