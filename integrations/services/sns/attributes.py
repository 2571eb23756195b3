"""The attributes of topics and subscriptions: a table each, from the name to the check of its
value.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

from stepwell.asl.json_text import JsonError, dumps, loads
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.sns import messages
from stepwell.integrations.services.sns.delivery import retries
from stepwell.integrations.services.sns.filters import (
    ATTRIBUTES,
    SCOPES,
    FilterError,
    compile_filter,
)

Check = Callable[[str, str, Limits], None]  # (name, value, limits); raises AttributeValueError


class AttributeValueError(ValueError):
    """An attribute is invalid; the text is what follows "Invalid parameter: "."""


def _object(name: str, value: str) -> dict[str, Any]:
    try:
        given: Any = loads(value)
    except JsonError:
        given = None
    if not isinstance(given, dict):
        raise AttributeValueError(messages.SNS_NOT_JSON.format(name=name))
    return given


def _json(name: str, value: str, limits: Limits) -> None:
    _object(name, value)


def _boolean(name: str, value: str, limits: Limits) -> None:
    if value.lower() not in ("true", "false"):
        raise AttributeValueError(messages.SNS_BOOLEAN.format(name=name, value=value))


def _one_of(*values: str) -> Check:
    def check(name: str, value: str, limits: Limits) -> None:
        if value not in values:
            raise AttributeValueError(messages.SNS_ATTRIBUTE_VALUE.format(name=name, value=value))

    return check


def _longest(most: int) -> Check:
    def check(name: str, value: str, limits: Limits) -> None:
        if len(value) > most:
            raise AttributeValueError(messages.SNS_ATTRIBUTE_VALUE.format(name=name, value=value))

    return check


def _rate(name: str, value: str, limits: Limits) -> None:
    if not (value.isascii() and value.isdigit() and int(value) <= 100):
        raise AttributeValueError(messages.SNS_ATTRIBUTE_VALUE.format(name=name, value=value))


def _message_size(name: str, value: str, limits: Limits) -> None:
    if not (
        value.isascii()
        and value.isdigit()
        and 1_024 <= int(value) <= limits.topic_message_most_bytes
    ):
        raise AttributeValueError(messages.SNS_ATTRIBUTE_VALUE.format(name=name, value=value))


def _no_archive(name: str, value: str, limits: Limits) -> None:
    raise AttributeValueError(messages.SNS_NO_ARCHIVE.format(name=name))


def _redrive(name: str, value: str, limits: Limits) -> None:
    parts = str(_object(name, value).get("deadLetterTargetArn", "")).split(":")
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "sqs" or not parts[5]:
        raise AttributeValueError(messages.SNS_REDRIVE)


def _scope(name: str, value: str, limits: Limits) -> None:
    if value not in SCOPES:
        raise AttributeValueError(messages.SNS_SCOPE.format(value=value))


def _topic_delivery(name: str, value: str, limits: Limits) -> None:
    http = _object(name, value).get("http", {})
    known = (
        "defaultHealthyRetryPolicy",
        "defaultThrottlePolicy",
        "defaultRequestPolicy",
        "disableSubscriptionOverrides",
    )
    _delivery(http, known, limits)


def _subscription_delivery(name: str, value: str, limits: Limits) -> None:
    _delivery(
        _object(name, value),
        (
            "healthyRetryPolicy",
            "throttlePolicy",
            "requestPolicy",
            "sicklyRetryPolicy",
            "guaranteed",
        ),
        limits,
    )


def _delivery(policy: Any, known: tuple[str, ...], limits: Limits) -> None:
    try:
        if not isinstance(policy, dict):
            raise retries.DeliveryPolicyError(messages.SNS_NOT_JSON.format(name="http"))
        unknown = next((each for each in policy if each not in known), None)
        if unknown is not None:
            raise retries.DeliveryPolicyError(messages.SNS_POLICY_UNKNOWN.format(name=unknown))
        retries.checked(policy.get(known[0]) or {}, limits)
        rate = (policy.get(known[1]) or {}).get("maxReceivesPerSecond", 1)
        if type(rate) is not int or rate < 1:
            raise retries.DeliveryPolicyError(
                messages.SNS_POLICY_RANGE.format(
                    name="maxReceivesPerSecond", least=1, most="any number"
                )
            )
    except retries.DeliveryPolicyError as error:
        raise AttributeValueError(messages.SNS_DELIVERY_POLICY.format(text=error)) from None


def _display_name(name: str, value: str, limits: Limits) -> None:
    """It is part of a header of mails."""
    _longest(100)(name, value, limits)
    if any(unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in value):
        raise AttributeValueError(messages.SNS_ATTRIBUTE_VALUE.format(name=name, value=value))


FEEDBACK: Final = ("HTTP", "Firehose", "Lambda", "Application", "SQS")
TOPIC: Final[Mapping[str, Check]] = {
    "DisplayName": _display_name,
    "Policy": _json,
    "DeliveryPolicy": _topic_delivery,
    "KmsMasterKeyId": _longest(2_048),
    "SignatureVersion": _one_of("1", "2"),
    "MaximumMessageSize": _message_size,
    "TracingConfig": _one_of("PassThrough", "Active"),
    "FifoTopic": _boolean,
    "ContentBasedDeduplication": _boolean,
    "FifoThroughputScope": _one_of("Topic", "MessageGroup"),
    "ArchivePolicy": _no_archive,
    **{
        f"{each}{what}FeedbackRoleArn": _longest(2_048)
        for each in FEEDBACK
        for what in ("Success", "Failure")
    },
    **{f"{each}SuccessFeedbackSampleRate": _rate for each in FEEDBACK},
}
FIFO_ONLY: Final = ("ContentBasedDeduplication", "FifoThroughputScope")
CREATE_ONLY: Final = ("FifoTopic",)
LARGE: Final = ("sqs", "lambda")  # protocols of messages over the usual size


def is_large(attributes: Mapping[str, str], limits: Limits) -> bool:
    """Whether messages of a topic may have more than the usual size."""
    return int(attributes.get("MaximumMessageSize", 0)) > limits.topic_message_bytes


SUBSCRIPTION: Final[Mapping[str, Check]] = {
    "FilterPolicy": _json,  # with its scope, see check_filter
    "FilterPolicyScope": _scope,
    "RawMessageDelivery": _boolean,
    "RedrivePolicy": _redrive,
    "DeliveryPolicy": _subscription_delivery,
    "SubscriptionRoleArn": _longest(2_048),
    "ReplayPolicy": _no_archive,
}


def checked(table: Mapping[str, Check], given: Mapping[str, str], limits: Limits) -> dict[str, str]:
    """Attributes as they are stored, without empty values. Raises AttributeValueError."""
    for name, value in given.items():
        check = table.get(name)
        if check is None:
            raise AttributeValueError(messages.SNS_UNKNOWN_ATTRIBUTE.format(name=name))
        if value:
            check(name, value, limits)
    return {
        name: value.lower() if table[name] is _boolean else value
        for name, value in given.items()
        if value
    }


def check_filter(attributes: Mapping[str, str], limits: Limits) -> None:
    """The policy together with its scope. Raises AttributeValueError."""
    try:
        compile_filter(
            attributes.get("FilterPolicy", ""),
            attributes.get("FilterPolicyScope", ATTRIBUTES),
            limits,
        )
    except FilterError as error:
        raise AttributeValueError(str(error)) from None


def default_policy(arn: str, account: str) -> str:
    """The policy of a topic without one."""
    names = (
        "GetTopicAttributes",
        "SetTopicAttributes",
        "AddPermission",
        "RemovePermission",
        "DeleteTopic",
        "Subscribe",
    )
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{name}" for name in (*names, "ListSubscriptionsByTopic", "Publish")],
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
    }
    return dumps({"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]})


def effective_of_topic(attributes: Mapping[str, str]) -> dict[str, Any]:
    """A topic's delivery policy for HTTP, with defaults."""
    given: Any = loads(attributes.get("DeliveryPolicy", "{}")).get("http") or {}
    request = {
        "headerContentType": "text/plain; charset=UTF-8",
        **(given.get("defaultRequestPolicy") or {}),
    }
    policy = {
        "defaultHealthyRetryPolicy": {
            **retries.HTTP,
            **(given.get("defaultHealthyRetryPolicy") or {}),
        }
    }
    policy |= {"disableSubscriptionOverrides": given.get("disableSubscriptionOverrides", False)}
    throttle = given.get("defaultThrottlePolicy")
    return {
        **policy,
        **({"defaultThrottlePolicy": throttle} if throttle else {}),
        "defaultRequestPolicy": request,
    }


def effective(topic: Mapping[str, str], subscription: Mapping[str, str]) -> dict[str, Any]:
    """A subscription's delivery policy for HTTP, with what it inherits from its topic."""
    above = effective_of_topic(topic)
    given: Any = (
        {}
        if above["disableSubscriptionOverrides"]
        else loads(subscription.get("DeliveryPolicy", "{}"))
    )
    healthy = given.get("healthyRetryPolicy")
    return {
        "healthyRetryPolicy": {**retries.HTTP, **healthy}
        if healthy
        else above["defaultHealthyRetryPolicy"],
        "throttlePolicy": given.get("throttlePolicy") or above.get("defaultThrottlePolicy"),
        "requestPolicy": {**above["defaultRequestPolicy"], **(given.get("requestPolicy") or {})},
        "sicklyRetryPolicy": None,
        "guaranteed": False,
    }
