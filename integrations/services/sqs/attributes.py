"""The attributes of queues: names, allowed values, defaults. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from stepwell.asl.json_text import JsonError, dumps, loads
from stepwell.engine.errors import ApiError
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.sqs import messages

Attributes = dict[str, str]

_NAME: Final = re.compile("[A-Za-z0-9_-]{1,80}")
_FIFO: Final = ".fifo"
# name -> (least, most, default); None: the limit `message_bytes`
_NUMBERS: Final[Mapping[str, tuple[int, int | None, str | None]]] = {
    "DelaySeconds": (0, 900, "0"),
    "MaximumMessageSize": (1_024, None, None),
    "MessageRetentionPeriod": (60, 1_209_600, "345600"),
    "ReceiveMessageWaitTimeSeconds": (0, 20, "0"),
    "VisibilityTimeout": (0, 43_200, "30"),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400, "300"),
}
_WORDS: Final = {
    "SqsManagedSseEnabled": ("true", "false"),
    "FifoQueue": ("true",),
    "ContentBasedDeduplication": ("true", "false"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
_OF_FIFO: Final = (
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
)
_TEXTS: Final = (
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
)  # an empty text removes them
COUNTED: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
COMPUTED: Final = ("QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", *COUNTED)
NAMES: Final = frozenset({*_NUMBERS, *_WORDS, *_TEXTS, *COMPUTED})


def unknown(name: str) -> ApiError:
    return ApiError("InvalidAttributeName", messages.QUEUE_ATTRIBUTE_UNKNOWN.format(name=name))


def check_name(name: str, attributes: Mapping[str, str]) -> None:
    """Raises ApiError."""
    fifo = attributes.get("FifoQueue", "").lower() == "true"
    plain = name.removesuffix(_FIFO) if fifo else name
    if fifo and (not name.endswith(_FIFO) or _NAME.fullmatch(plain) is None or len(name) > 80):
        raise ApiError("InvalidParameterValue", messages.QUEUE_NAME_FIFO)
    if _NAME.fullmatch(plain) is None:
        raise ApiError("InvalidParameterValue", messages.QUEUE_NAME)


def is_fifo(name: str) -> bool:
    return name.endswith(_FIFO)


def checked(name: str, given: Mapping[str, str], limits: Limits) -> Attributes:
    """Valid attributes for a queue of that name; "" removes one. The caller checks RedrivePolicies.
    Raises ApiError.
    """
    valid: Attributes = {}
    for attribute, value in given.items():
        if (
            attribute in COMPUTED
            or attribute not in NAMES
            or (attribute in _OF_FIFO and not is_fifo(name))
        ):
            raise unknown(attribute)
        valid[attribute] = value
        if attribute in _NUMBERS:
            least, most, _ = _bounds(attribute, limits)
            if not (
                value.isascii()
                and value.isdigit()
                and len(value) < 12
                and least <= int(value) <= most
            ):
                raise _bad(attribute)
            valid[attribute] = str(int(value))
        if attribute in _WORDS:
            valid[attribute] = word = (
                value.lower() if "true" in _WORDS[attribute] else value
            )  # AWS takes "True" and keeps "true"
            good = word in _WORDS[attribute]
        else:
            good = attribute != "Policy" or not value or bool(_parsed(value))
        if not good:
            raise _bad(attribute)
    return valid


def _bounds(name: str, limits: Limits) -> tuple[int, int, str]:
    least, most, default = _NUMBERS[name]
    return least, most or limits.message_bytes, default or str(limits.message_bytes)


def _bad(name: str) -> ApiError:
    return ApiError("InvalidAttributeValue", messages.QUEUE_ATTRIBUTE_VALUE.format(name=name))


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except JsonError:
        return None


def redrive(text: str, arn: str, find: Callable[[str], Mapping[str, Any] | None]) -> str:
    """A RedrivePolicy of the queue `arn` as it is stored. find: ARN -> the document of a queue.
    Raises ApiError.
    """

    def refusal(reason: str) -> ApiError:
        return ApiError(
            "InvalidParameterValue",
            messages.PARAMETER_VALUE.format(value=text, name="RedrivePolicy", reason=reason),
        )

    policy = _parsed(text)
    if not isinstance(policy, dict):
        raise refusal(messages.REDRIVE_NO_MAP)
    for member in ("maxReceiveCount", "deadLetterTargetArn"):
        if not policy.get(member) and policy.get(member) != 0:
            raise refusal(messages.REDRIVE_MANDATORY.format(name=member))
    count, target = str(policy["maxReceiveCount"]), str(policy["deadLetterTargetArn"])
    if not (count.isascii() and count.isdigit() and len(count) < 6 and 1 <= int(count) <= 1_000):
        raise refusal(messages.REDRIVE_COUNT.format(value=count))
    queue = find(target)
    if queue is None:
        raise refusal(messages.REDRIVE_NO_TARGET)
    if is_fifo(target) != is_fifo(arn):
        raise refusal(messages.REDRIVE_TYPES)
    allowed = _parsed(queue["Attributes"].get("RedriveAllowPolicy", "{}"))
    permission = allowed.get("redrivePermission", "allowAll")
    if permission == "denyAll" or (
        permission == "byQueue" and arn not in allowed.get("sourceQueueArns", ())
    ):
        raise refusal(messages.REDRIVE_NOT_ALLOWED.format(arn=target))
    return dumps({"deadLetterTargetArn": target, "maxReceiveCount": int(count)})


def redrive_allow(text: str) -> str:
    """A RedriveAllowPolicy as it is stored. Raises ApiError."""
    policy = _parsed(text)
    permission = policy.get("redrivePermission") if isinstance(policy, dict) else None
    sources = policy.get("sourceQueueArns") if isinstance(policy, dict) else None
    listed = (
        isinstance(sources, list)
        and all(isinstance(each, str) for each in sources)
        and 1 <= len(sources) <= 10
    )
    if (
        permission not in ("allowAll", "denyAll", "byQueue")
        or listed != (permission == "byQueue")
        or (sources and not listed)
    ):
        raise _bad("RedriveAllowPolicy")
    return dumps(policy)


def number(attributes: Mapping[str, str], name: str, limits: Limits) -> int:
    return int(attributes.get(name) or _bounds(name, limits)[2])


def shown(name: str, attributes: Mapping[str, str], limits: Limits) -> Attributes:
    """All attributes of a queue with their values, but for those that are computed."""
    defaults = {each: _bounds(each, limits)[2] for each in _NUMBERS}
    reuse = defaults.pop("KmsDataKeyReusePeriodSeconds")
    if attributes.get("KmsMasterKeyId"):
        defaults |= {"KmsDataKeyReusePeriodSeconds": reuse, "SqsManagedSseEnabled": "false"}
    else:
        defaults["SqsManagedSseEnabled"] = "true"
    if is_fifo(name):
        defaults |= {"FifoQueue": "true", "ContentBasedDeduplication": "false"}
        defaults |= {"DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"}
    return defaults | {each: value for each, value in attributes.items() if value}
