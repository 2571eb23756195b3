"""The mends of Resources that AWS does not know."""

from __future__ import annotations

import re
from typing import Final

from stepwell.asl.explain.values import near
from stepwell.asl.resources import ACTIONS, OPTIMISED, SYNC

_SERVICE: Final = re.compile(
    r"arn:(?:aws|aws-cn|aws-us-gov):states:[a-z0-9-]*:\d*:(?P<sdk>aws-sdk:)?(?P<service>[\w-]+)"
    r":(?P<action>\w+)(?P<pattern>\.\S+)?"
)
_COLONS: Final = re.compile(r"arn:(aws[a-z-]*):states:+((?:aws-sdk:)?[a-z][\w-]*:\w+(?:\.\S+)?)")
# optimised integrations -> the service's name in the SDK, where it is another one
_SDK_NAMES: Final = {
    "states": "sfn", "events": "eventbridge", "elasticmapreduce": "emr",
    "emr-containers": "emrcontainers", "emr-serverless": "emrserverless",
}  # fmt: skip


def mend(text: str) -> str | None:
    """What to write instead of a Resource; None if nothing is known."""
    match = _SERVICE.fullmatch(text)
    if match is None:
        if colons := _COLONS.fullmatch(text):
            right = f"arn:{colons[1]}:states:::{colons[2]}"
            return f"There are three colons before the service: `{right}`."
        return None
    service, action, pattern = match["service"], match["action"], match["pattern"] or ""
    if match["sdk"]:
        return _sdk(service, action, pattern)
    if (service, action) in ACTIONS:
        return _pattern(service, action, pattern)
    known = [f"{each}:{name}" for each, name in ACTIONS]
    if service.lower() in OPTIMISED or action.lower() in {name.lower() for _, name in ACTIONS}:
        same = next((each for each in known if each.lower() == f"{service}:{action}".lower()), None)
        if meant := same or near(f"{service}:{action}", known):
            return f"Did you mean `arn:aws:states:::{meant}{pattern}`?"
    if service in OPTIMISED:
        has = ", ".join(name for each, name in ACTIONS if each == service)
        sdk = _SDK_NAMES.get(service, service)
        return (
            f"The optimised integration of {service} has {has}. Others are in the SDK's: "
            f"`arn:aws:states:::aws-sdk:{sdk}:{_lower(action)}`."
        )
    return f"Write `arn:aws:states:::aws-sdk:{service.lower()}:{_lower(action)}{pattern}`."


def _pattern(service: str, action: str, pattern: str) -> str | None:
    """A pattern that the action does not have."""
    has = [each or "request and response (no suffix)" for each in ACTIONS[service, action]]
    if pattern.startswith(SYNC) and service == "lambda":
        return "`lambda:invoke` waits for the function by itself: remove `.sync`."
    return f"`{service}:{action}` has no `{pattern}`, it has {', '.join(has)}."


def _sdk(service: str, action: str, pattern: str) -> str | None:
    if pattern.startswith(SYNC):
        if SYNC in ACTIONS.get((service, action), ()):
            optimised = f"arn:aws:states:::{service}:{action}.sync"
            return f"Integrations of the SDK have no .sync: write `{optimised}`."
        return "Integrations of the SDK have no .sync: poll in a loop with a Wait."
    right = f"arn:aws:states:::aws-sdk:{service.lower()}:{_lower(action)}{pattern}"
    if service != service.lower():
        return f"A service is in small letters: `{right}`."
    if action != _lower(action):
        return f"An action of the SDK begins with a small letter: `{right}`."
    return None


def _lower(action: str) -> str:
    """GetItem -> getItem"""
    return action[:1].lower() + action[1:]
