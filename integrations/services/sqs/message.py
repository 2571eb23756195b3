"""Messages to queues: checks, sizes and MD5 sums. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from stepwell.engine.errors import ApiError
from stepwell.integrations.aws import messages as aws_messages
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.common.queues import Attributes
from stepwell.integrations.services.sqs import messages

_INVALID_CHARACTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TOKEN: Final = re.compile(r"""[a-zA-Z0-9!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}""")
_ATTRIBUTE: Final = re.compile(
    r"(?!(?:AWS|Amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)", re.IGNORECASE
)
_SYSTEM: Final = "AWSTraceHeader"
_KINDS: Final = {
    "String": (b"\x01", "StringValue"),
    "Number": (b"\x01", "StringValue"),
    "Binary": (b"\x02", "BinaryValue"),
}


class Summed(NamedTuple):
    """MD5 sums of a body and its attributes. bytes: their size, as SQS counts it."""

    bytes: int
    body: str
    attributes: str
    system: str


def summed(body: str, attributes: Attributes, system: Attributes, limits: Limits) -> Summed:
    """Raises ApiError."""
    if not body:
        raise ApiError(
            "MissingParameter", aws_messages.PARAMETER_MISSING.format(name="MessageBody")
        )
    if _INVALID_CHARACTER.search(body):
        raise ApiError("InvalidMessageContents", messages.MESSAGE_LETTERS)
    if len(attributes) > limits.message_attributes:
        text = messages.MESSAGE_ATTRIBUTES.format(
            count=len(attributes), limit=limits.message_attributes
        )
        raise ApiError("InvalidParameterValue", text)
    for name, value in attributes.items():
        if _ATTRIBUTE.fullmatch(name) is None:
            raise _bad(messages.MESSAGE_ATTRIBUTE_NAME, name)
        _check(name, value)
    for name, value in system.items():
        if name != _SYSTEM or value.get("DataType") != "String":
            raise _bad(messages.MESSAGE_SYSTEM_ATTRIBUTE, name)
        _check(name, value)
    encoded = body.encode()
    size = len(encoded) + sum(_size(name, value) for name, value in attributes.items())
    return Summed(
        size, hashlib.md5(encoded, usedforsecurity=False).hexdigest(), md5(attributes), md5(system)
    )


def _bad(text: str, name: str, type: str = "") -> ApiError:
    return ApiError("InvalidParameterValue", text.format(name=name, type=type))


def _check(name: str, value: Mapping[str, Any]) -> None:
    type = value.get("DataType") or ""
    if not type:
        raise _bad(messages.MESSAGE_ATTRIBUTE_NO_TYPE, name)
    kind = _KINDS.get(type.partition(".")[0])
    if kind is None or len(type) > 256:
        raise _bad(messages.MESSAGE_ATTRIBUTE_TYPE, name)
    if value.get("StringListValues") or value.get("BinaryListValues"):
        raise ApiError("UnsupportedOperation", messages.MESSAGE_ATTRIBUTE_LIST)
    content = value.get(kind[1])
    if not content:
        raise _bad(messages.MESSAGE_ATTRIBUTE_EMPTY, name, type)
    if kind[1] == "StringValue" and _INVALID_CHARACTER.search(content):
        raise ApiError("InvalidMessageContents", messages.MESSAGE_LETTERS)
    if type.startswith("Number"):
        try:
            Decimal(content)
        except InvalidOperation:
            raise _bad(messages.MESSAGE_ATTRIBUTE_NUMBER, name) from None


def _value(value: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """(type byte of the MD5, value)"""
    kind, member = _KINDS[value["DataType"].partition(".")[0]]
    content = value[member]
    return kind, content if isinstance(content, bytes) else content.encode()


def _size(name: str, value: Mapping[str, Any]) -> int:
    return len(name) + len(value["DataType"].encode()) + len(_value(value)[1])


def md5(attributes: Attributes) -> str:
    """As SQS computes it: name, type and value, each after its length, in the order of the names;
    "" without attributes.
    """
    if not attributes:
        return ""
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        kind, data = _value(attributes[name])
        for part in (name.encode(), attributes[name]["DataType"].encode()):
            digest.update(len(part).to_bytes(4) + part)
        digest.update(kind + len(data).to_bytes(4) + data)
    return digest.hexdigest()


def check_token(name: str, value: str) -> None:
    """name: MessageGroupId, MessageDeduplicationId or ReceiveRequestAttemptId. Raises ApiError."""
    if _TOKEN.fullmatch(value) is None:
        raise bad_value(value, name, messages.MESSAGE_GROUP.format(name=name))


def bad_value(value: object, name: str, reason: str) -> ApiError:
    return ApiError(
        "InvalidParameterValue",
        messages.PARAMETER_VALUE.format(value=value, name=name, reason=reason),
    )
