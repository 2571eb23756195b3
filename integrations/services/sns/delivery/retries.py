"""When a delivery is retried: SNS's delivery policies, as pure functions.

    at once (numNoDelayRetries) -> minDelayTarget (numMinDelayRetries) -> growing (the others) ->
    maxDelayTarget (numMaxDelayRetries)

Growing pauses go from minDelayTarget to maxDelayTarget along `backoffFunction`. AWS documents these
functions only as a picture: ours have its shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from stepwell.integrations.limits import Limits
from stepwell.integrations.services.sns import messages

Policy = Mapping[str, Any]  # members of a healthyRetryPolicy

HTTP: Final[Policy] = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
# services of AWS: 100,015 retries over 23 days
MANAGED: Final[Policy] = {
    "minDelayTarget": 1,
    "maxDelayTarget": 20,
    "numRetries": 100_015,
    "numMaxDelayRetries": 100_000,
    "numNoDelayRetries": 3,
    "numMinDelayRetries": 2,
    "backoffFunction": "exponential",
}
# people and devices: 50 retries over 6 hours
CUSTOMER: Final[Policy] = {
    "minDelayTarget": 10,
    "maxDelayTarget": 600,
    "numRetries": 50,
    "numMaxDelayRetries": 38,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 2,
    "backoffFunction": "exponential",
}

# (low, high, share of the way in 0..1, number of steps) -> seconds
BACKOFFS: Final[Mapping[str, Callable[[float, float, float, int], float]]] = {
    "linear": lambda low, high, share, steps: low + (high - low) * share,
    "arithmetic": lambda low, high, share, steps: (
        low + (high - low) * share * (share * steps + 1) / (steps + 1)
    ),
    "geometric": lambda low, high, share, steps: low * (high / low) ** share,
    "exponential": lambda low, high, share, steps: (
        low + (high - low) * (2.0 ** (steps * (share - 1)) - 2.0**-steps) / (1 - 2.0**-steps)
    ),
}

_RANGES: Final = {
    "minDelayTarget": (1, 3_600),
    "maxDelayTarget": (1, 3_600),
    "numRetries": (0, 100),
    "numNoDelayRetries": (0, 100),
    "numMinDelayRetries": (0, 100),
    "numMaxDelayRetries": (0, 100),
}


class DeliveryPolicyError(ValueError):
    """A delivery policy is invalid; the text says why."""


def pause(policy: Policy, retry: int, jitter: float = 0.0) -> float | None:
    """Seconds before a retry, the first one being 1; None: there are no more.

    jitter  0 to 1: a growing pause is shortened by that share of its last growth, so that
            deliveries that failed together are not retried together
    """
    whole, at_once, first, last = (
        policy[f"num{each}Retries"] for each in ("", "NoDelay", "MinDelay", "MaxDelay")
    )
    low, high, steps = (
        policy["minDelayTarget"],
        policy["maxDelayTarget"],
        whole - at_once - first - last,
    )
    if retry > whole:
        return None
    if retry <= at_once:
        return 0.0
    if retry <= at_once + first:
        return float(low)
    step = retry - at_once - first
    if step > steps:
        return float(high)
    grow = BACKOFFS[policy["backoffFunction"]]
    here, before = (grow(low, high, each / steps, steps) for each in (step, step - 1))
    return min(float(high), max(float(low), here - jitter * (here - before)))


def checked(given: Any, limits: Limits) -> Policy:
    """A healthyRetryPolicy with its defaults. Raises DeliveryPolicyError."""
    if not isinstance(given, dict):
        raise DeliveryPolicyError(messages.SNS_NOT_JSON.format(name="healthyRetryPolicy"))
    for name, value in given.items():
        if name in _RANGES:
            least, most = _RANGES[name]
            if type(value) is not int or not least <= value <= most:
                raise DeliveryPolicyError(
                    messages.SNS_POLICY_RANGE.format(name=name, least=least, most=most)
                )
        elif name != "backoffFunction":
            raise DeliveryPolicyError(messages.SNS_POLICY_UNKNOWN.format(name=name))
        elif value not in BACKOFFS:
            raise DeliveryPolicyError(
                messages.SNS_POLICY_FUNCTION.format(values=", ".join(BACKOFFS))
            )
    policy = {**HTTP, **given}
    if policy["minDelayTarget"] > policy["maxDelayTarget"]:
        raise DeliveryPolicyError(messages.SNS_POLICY_ORDER)
    if (
        sum(policy[f"num{each}Retries"] for each in ("NoDelay", "MinDelay", "MaxDelay"))
        > policy["numRetries"]
    ):
        raise DeliveryPolicyError(messages.SNS_POLICY_COUNTS)
    if (
        sum(pause(policy, retry) or 0 for retry in range(1, policy["numRetries"] + 1))
        > limits.topic_delivery_seconds
    ):
        raise DeliveryPolicyError(
            messages.SNS_POLICY_TIME.format(limit=limits.topic_delivery_seconds)
        )
    return policy
