"""Whether ErrorEquals of a retrier or catcher covers an error."""

from collections.abc import Collection
from typing import Final

from stepwell.asl import messages

_NOT_TASK_FAILED: Final = frozenset({messages.TIMEOUT, messages.HEARTBEAT_TIMEOUT})


def matches(names: Collection[str], error: str | None) -> bool:
    """Whether ErrorEquals covers an error other than States.Runtime, which nothing catches."""
    if messages.ALL in names or error in names:
        return True
    # the service records it as States.Timeout and documents both names
    if error == messages.HEARTBEAT_TIMEOUT:
        return messages.TIMEOUT in names
    return messages.TASK_FAILED in names and error not in _NOT_TASK_FAILED
