"""botocore's models of AWS's services, for tasks: operations, names and shapes.

Parameters and results of tasks have the names of AWS's SDKs for Java. `to_api` and `from_api`
convert between those and botocore's.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import (
    ListShape,
    MapShape,
    OperationModel,
    OperationNotFoundError,
    ServiceModel,
    Shape,
    StructureShape,
)
from botocore.utils import parse_timestamp

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import dumps
from stepwell.asl.timestamps import iso_milliseconds, iso_seconds
from stepwell.integrations import messages
from stepwell.integrations.aws.model_bounds import Bounds, bounded, bounds
from stepwell.integrations.aws.validation import compile_input
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

_MODELS: Final = 4  # cached; the largest takes some 25 MB
_OPERATIONS: Final = 256  # cached compiled checks

# service of a Resource (letters and digits, without a final "service") -> botocore's, if different
_SERVICES: Final = {
    "applicationdiscovery": "discovery",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "config": "config",
    "costandusagereport": "cur",
    "costexplorer": "ce",
    "databasemigration": "dms",
    "directory": "ds",
    "directoryservicedata": "ds-data",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "elasticmapreduce": "emr",
    "elasticsearch": "es",
    "eventbridge": "events",
    "iotdataplane": "iot-data",
    "iotjobsdataplane": "iot-jobs-data",
    "lexmodelbuilding": "lex-models",
    "lexmodelsv2": "lexv2-models",
    "lexruntime": "lex-runtime",
    "lexruntimev2": "lexv2-runtime",
    "marketplaceentitlement": "marketplace-entitlement",
    "marketplacemetering": "meteringmarketplace",
    "migrationhub": "mgh",
    "pinpointsmsvoice": "sms-voice",
    "serverlessapplicationrepository": "serverlessrepo",
    "sfn": "stepfunctions",
    "simpledb": "sdb",
    "states": "stepfunctions",
}


# --- which model ----------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def service_name(text: str) -> str | None:
    """botocore's name of the service in a Resource, or None."""
    plain = re.sub("[^a-z0-9]", "", text.lower())
    named = _SERVICES.get(plain) or _SERVICES.get(plain.removesuffix("service"))
    known = _known_services()
    return (
        named
        if named in known
        else next((each for each in known if each.replace("-", "") == plain), None)
    )


@lru_cache(maxsize=1)
def _known_services() -> tuple[str, ...]:
    return tuple(Loader().list_available_services("service-2"))


@lru_cache(maxsize=_MODELS)
def model_of(service: str, changed: Bounds = ()) -> ServiceModel | None:
    """changed: of model_bounds.bounds()."""
    name = service_name(service)
    if name is None:
        return None
    try:
        # a new Loader each time: one keeps every model that it has loaded
        description = Loader().load_service_model(name, "service-2")
        return ServiceModel(bounded(description, changed), name)
    except UnknownServiceError:
        return None


def operation_of(service: str, action: str, changed: Bounds = ()) -> OperationModel | None:
    """The model of an operation; the case of the action's letters does not matter."""
    model = model_of(service, changed)
    if model is None:
        return None
    name = next((name for name in model.operation_names if name.lower() == action.lower()), action)
    try:
        return model.operation_model(name)
    except OperationNotFoundError:
        return None


# --- names ----------------------------------------------------------------------------------------


def upper(name: str) -> str:
    return name[:1].upper() + name[1:]


# how the AWS SDK for Java, version 2, splits a name into words
_WORDS: Final = (
    (re.compile("[^A-Za-z0-9]+"), " "),
    (re.compile("([^a-z]{2,})v([0-9]+)"), r"\1 v\2 "),
    (re.compile("([^A-Z]{2,})V([0-9]+)"), r"\1 V\2 "),
    (re.compile("(?<=[a-z])(?=[A-Z][a-zA-Z0-9])"), " "),
    (re.compile("([A-Z]+)([A-Z][a-z])"), r"\1 \2"),
    (re.compile("([0-9])([a-zA-Z])"), r"\1 \2"),
)


def java_name(name: str) -> str:
    """DBInstances -> DbInstances, executionArn -> ExecutionArn, ETag -> ETag"""
    for pattern, replacement in _WORDS:
        name = pattern.sub(replacement, name)
    return "".join(word.capitalize() for word in name.split())


def operation_method(operation: str) -> str:
    """StartExecution -> start_execution"""
    return str(xform_name(operation))


# --- calls ----------------------------------------------------------------------------------------


class ParameterError(ValueError):
    """Invalid parameters of an operation; the text is Step Functions'."""


@lru_cache(maxsize=_OPERATIONS)
def _reader(service: str, operation: str, changed: Bounds) -> Callable[[Any], dict[str, Any]]:
    model = operation_of(service, operation, changed)
    return compile_input(model and model.input_shape, service)


def read_input(
    service: str, operation: str, parameters: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS
) -> dict[str, Any]:
    """Keyword arguments of the operation's method, checked against the model. Raises ApiError."""
    return _reader(service, operation, bounds(service, limits))(dict(parameters))


def to_api(
    operation: OperationModel,
    payload: Json,
    token: str,
    text_member: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """A task's parameters with botocore's names and types. Raises ParameterError.

    token        the value of a missing idempotency token
    text_member  structure -> the member that a plain string stands for
    """
    shape = operation.input_shape
    if not isinstance(payload, dict):
        raise ParameterError(messages.INVALID_FORMAT.format(field="Parameters"))
    if shape is None:
        return {}
    parameters: dict[str, Any] = _inward(shape, payload, "Parameters", text_member)
    for name, member in shape.members.items():
        if member.metadata.get("idempotencyToken") and name not in parameters:
            parameters[name] = token
    return parameters


def _inward(shape: Shape, value: Any, at: str, text_member: Mapping[str, str]) -> Any:
    kind = shape.type_name
    if kind == "structure":
        if isinstance(value, str) and shape.name in text_member:
            return {text_member[shape.name]: value}
        if not isinstance(value, dict):
            raise ParameterError(messages.INVALID_FORMAT.format(field=at))
        if getattr(shape, "is_document_type", False):
            return value
        names, members = _member_names(shape), {}
        for key, each in value.items():
            member = names.get(key.lower())
            if member is None:
                raise ParameterError(messages.UNSUPPORTED_FIELD.format(field=key))
            if each is not None:
                members[member] = _inward(shape.members[member], each, key, text_member)
        return members
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            raise ParameterError(messages.INVALID_FORMAT.format(field=at))
        return [_inward(shape.member, each, at, text_member) for each in value]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            raise ParameterError(messages.INVALID_FORMAT.format(field=at))
        return {key: _inward(shape.value, each, at, text_member) for key, each in value.items()}
    if kind in ("string", "blob"):
        text = value if isinstance(value, str) else dumps(value)
        return text if kind == "string" else text.encode()
    if kind == "timestamp":
        try:
            return parse_timestamp(value).timestamp()
        except (ValueError, TypeError, RuntimeError, OverflowError):
            raise ParameterError(messages.INVALID_FORMAT.format(field=at)) from None
    return value


def _member_names(shape: StructureShape) -> dict[str, str]:
    """Both names of each member, in lower case -> member."""
    return {spelled.lower(): name for name in shape.members for spelled in (name, java_name(name))}


def from_api(
    shape: Shape | None, value: Any, named: Callable[[str], str], date: Callable[[float], Json]
) -> Json:
    """An answer as a task's result. named: converts names of members; date: converts times (epoch
    seconds).
    """
    if value is None or shape is None:
        return {}
    return _outward(shape, value, named, date)


def _outward(
    shape: Shape, value: Any, named: Callable[[str], str], date: Callable[[float], Json]
) -> Json:
    if (
        isinstance(shape, StructureShape)
        and isinstance(value, Mapping)
        and not getattr(shape, "is_document_type", False)
    ):
        known = shape.members
        return {
            named(name): _outward(known[name], each, named, date)
            for name, each in value.items()
            if name in known and each is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list | tuple):
        return [_outward(shape.member, each, named, date) for each in value]
    if isinstance(shape, MapShape) and isinstance(value, Mapping):
        return {str(key): _outward(shape.value, each, named, date) for key, each in value.items()}
    if shape.type_name == "timestamp":
        return date(value.timestamp() if isinstance(value, datetime) else float(value))
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return value


def instant(seconds: float) -> str:
    """A time in the format of the SDK for Java: 2024-01-01T00:00:00Z, with milliseconds if any."""
    milliseconds = round(seconds * 1000)
    return (iso_milliseconds if milliseconds % 1000 else iso_seconds)(milliseconds / 1000)


def milliseconds(seconds: float) -> int:
    """A time in results of optimised integrations."""
    return round(seconds * 1000)


def error_name(model: ServiceModel, code: str) -> str | None:
    """The exception of the SDK for Java for an error code; None if the model declares none."""
    for shape in model.error_shapes:
        if code in (shape.name, shape.metadata.get("error", {}).get("code")):
            return shape.name if shape.name.endswith("Exception") else f"{shape.name}Exception"
    return None


def error_code(model: ServiceModel, name: str) -> str:
    """The code of an error of an embedded service in its protocol."""
    shape = next((shape for shape in model.error_shapes if shape.name == name), None)
    return str(shape.metadata.get("error", {}).get("code") or name) if shape is not None else name


def error_status(model: ServiceModel, code: str) -> int:
    """The HTTP status of an error of an embedded service."""
    for shape in model.error_shapes:
        if code in (shape.name, shape.metadata.get("error", {}).get("code")):
            return int(shape.metadata.get("error", {}).get("httpStatusCode", 400))
    return 400


# error codes of SQS's former Query protocol, which its model no longer has
_SQS: Final = "AWS.SimpleQueueService."
_SQS_NAMES: Final = (
    *(
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "EmptyBatchRequest",
        "InvalidBatchEntryId",
        "MessageNotInflight",
    ),
    *(
        "PurgeQueueInProgress",
        "QueueDeletedRecently",
        "TooManyEntriesInBatchRequest",
        "UnsupportedOperation",
    ),
)
QUERY_CODES: Final = {
    **{name: _SQS + name for name in _SQS_NAMES},
    "QueueDoesNotExist": _SQS + "NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
}


def query_codes(model: ServiceModel) -> dict[str, str]:
    """The errors of a service, name in the model -> "CODE;Sender", as clients of the Query protocol
    expect them.
    """
    errors = {shape.name: shape.metadata.get("error", {}) for shape in model.error_shapes}
    return {
        name: (
            f"{error.get('code') or QUERY_CODES.get(name, name)};"
            f"{'Sender' if error.get('senderFault', True) else 'Receiver'}"
        )
        for name, error in errors.items()
    }
