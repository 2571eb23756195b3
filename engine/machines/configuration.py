"""Logging, tracing and encryption of a state machine, and tags: from requests, checked and
completed, to the members that descriptions show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from stepwell.engine import messages
from stepwell.engine.errors import ApiError
from stepwell.engine.limits import Limits

OWN_KEY: Final[Mapping[str, Any]] = {"type": "AWS_OWNED_KEY"}
CUSTOMER_KEY: Final = "CUSTOMER_MANAGED_KMS_KEY"
DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
    "tracingConfiguration": {"enabled": False},
    "encryptionConfiguration": OWN_KEY,
}

_LOG_GROUP: Final = re.compile(r"arn:[\w-]+:logs:[\w-]*:\d*:log-group:[\w./#-]+:\*", re.ASCII)
_TAG: Final = re.compile(r"[\w\s.:/=+\-@]*")
_REUSE_SECONDS: Final = 300


def shown(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The three members of a description; `configuration` holds those that are not the default."""
    return {name: dict(configuration.get(name, default)) for name, default in DEFAULTS.items()}


def checked(
    logging: Mapping[str, Any] | None,
    tracing: Mapping[str, Any] | None,
    encryption: Mapping[str, Any] | None,
) -> dict[str, dict[str, Any]]:
    """Those that are not None, by their names in the API, with every member. Raises ApiError
    InvalidLoggingConfiguration, InvalidEncryptionConfiguration.
    """
    settings: dict[str, dict[str, Any]] = {}
    if logging is not None:
        settings["loggingConfiguration"] = _logging(logging)
    if tracing is not None:
        settings["tracingConfiguration"] = {"enabled": bool(tracing.get("enabled", False))}
    if encryption is not None:
        settings["encryptionConfiguration"] = checked_encryption(encryption)
    return settings


def stored(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the members that are the default."""
    return {name: value for name, value in configuration.items() if value != DEFAULTS[name]}


def _logging(logging: Mapping[str, Any]) -> dict[str, Any]:
    level, destinations = logging.get("level", "OFF"), list(logging.get("destinations") or ())
    if len(destinations) > 1 or (level != "OFF" and not destinations):
        raise ApiError("InvalidLoggingConfiguration", messages.ONE_LOG_DESTINATION)
    for each in destinations:
        arn = (each.get("cloudWatchLogsLogGroup") or {}).get("logGroupArn", "")
        if not _LOG_GROUP.fullmatch(arn):
            raise ApiError("InvalidLoggingConfiguration", messages.NO_LOG_DESTINATION)
    complete = {
        "level": level,
        "includeExecutionData": bool(logging.get("includeExecutionData", False)),
    }
    return complete | ({"destinations": destinations} if destinations else {})


def checked_encryption(encryption: Mapping[str, Any]) -> dict[str, Any]:
    """An EncryptionConfiguration with its defaults. Raises ApiError
    InvalidEncryptionConfiguration.
    """
    own = encryption.get("type") != CUSTOMER_KEY
    key, seconds = encryption.get("kmsKeyId"), encryption.get("kmsDataKeyReusePeriodSeconds")
    if own and (key is not None or seconds is not None):
        raise ApiError("InvalidEncryptionConfiguration", messages.KEY_NOT_ALLOWED)
    if own:
        return dict(OWN_KEY)
    if not key:
        raise ApiError("InvalidEncryptionConfiguration", messages.KEY_MISSING)
    return {
        "kmsKeyId": key,
        "kmsDataKeyReusePeriodSeconds": seconds or _REUSE_SECONDS,
        "type": CUSTOMER_KEY,
    }


def hides(configuration: Mapping[str, Any], included_data: str) -> bool:
    """Whether an answer leaves out payloads and texts: if they are encrypted with a customer's key
    and its caller wants METADATA_ONLY.
    """
    encryption = configuration.get("encryptionConfiguration", OWN_KEY)
    return included_data == "METADATA_ONLY" and encryption["type"] == CUSTOMER_KEY


# --- tags -----------------------------------------------------------------------------------------


def tagged(
    old: Mapping[str, str], new: Sequence[Mapping[str, str]], limits: Limits, arn: str
) -> dict[str, str]:
    """The tags of a resource when new ones are added: a new value replaces that of the same key.
    Raises ApiError TooManyTags, ValidationException.
    """
    for number, each in enumerate(new, 1):
        if "key" not in each:  # the service model does not require it
            error = messages.MEMBER_NULL.format(at=f"tags.{number}.member.key")
            raise ApiError("ValidationException", messages.VALIDATION.format(errors=error))
        for text in (each["key"], each.get("value", "")):
            if not _TAG.fullmatch(text):
                raise ApiError("ValidationException", messages.BAD_TAG.format(text=text))
    tags = {**old, **{each["key"]: each.get("value", "") for each in new}}
    if len(tags) > limits.tags:
        raise ApiError("TooManyTags", messages.TOO_MANY_TAGS.format(arn=arn, limit=limits.tags))
    return tags
