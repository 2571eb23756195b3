"""What tasks of all services do with the parameters of their calls, and with what is answered or
refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from email.utils import formatdate

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import dumps
from stepwell.engine.clock import Clock
from stepwell.engine.tasks import TaskError
from stepwell.integrations import messages


def request_id(token: str) -> str:
    """A UUID made from a task token: the same for every sending of one attempt, so that a receiver
    can tell that it has seen it.
    """
    digits = hashlib.blake2b(token.encode(), digest_size=16).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def fields(payload: Json, required: Sequence[str], optional: Sequence[str]) -> dict[str, Json]:
    """The parameters of a call, checked for presence; a null counts as absent. Raises TaskError:
    the task could not be started.
    """
    if not isinstance(payload, dict):
        raise bad_parameters(payload, asl_messages.REQUIRED_FIELD.format(field=required[0]))
    for name in payload:
        if name not in required and name not in optional:
            raise bad_parameters(payload, messages.UNSUPPORTED_FIELD.format(field=name))
    given = {name: value for name, value in payload.items() if value is not None}
    for name in required:
        if name not in given:
            raise bad_parameters(payload, asl_messages.REQUIRED_FIELD.format(field=name))
    return given


def text_field(payload: Json, given: Mapping[str, Json], name: str, default: str = "") -> str:
    """A parameter that must be text."""
    value = given.get(name, default)
    if not isinstance(value, str):
        raise bad_parameters(payload, messages.INVALID_FORMAT.format(field=name))
    return value


def bad_parameters(payload: Json, problem: str) -> TaskError:
    """What AWS says if the parameters of a call have not the right shape."""
    return TaskError(
        asl_messages.RUNTIME,
        messages.BAD_PARAMETERS.format(parameters=dumps(payload), problem=problem),
        runtime=True,
    )


def service_error(
    error: str, service: str, status: int, code: str, message: str, request: str
) -> TaskError:
    """The refusal of a service that an optimised integration called."""
    return TaskError(
        error,
        messages.SERVICE_FAULT.format(
            message=message, service=service, status=status, code=code, request=request
        ),
    )


def sdk_metadata(headers: Mapping[str, str], status: int, request: str) -> dict[str, Json]:
    """What an optimised integration adds to the service's own answer."""
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
