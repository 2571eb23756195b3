"""The bounds of botocore's models that are quotas of AWS: raised with the limits. Lower limits are
enforced where they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

Bounds = tuple[tuple[str, int], ...]

# service -> shape -> the limits of which the greatest is its "max"
_LIMITS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "stepfunctions": {
        "Definition": ("definition_bytes",),
        "SensitiveData": ("payload_bytes",),
        "SensitiveCause": ("cause_chars",),
        "SensitiveError": ("error_chars",),
        "Name": ("name_chars",),
        "CharacterRestrictedName": ("name_chars",),
        "StateName": ("name_chars",),
        "TestStateStateName": ("name_chars",),
        "PageSize": ("list_page", "history_page"),
        "ValidateStateMachineDefinitionMaxResult": ("diagnostics",),
    },
}


def bounds(service: str, limits: Limits) -> Bounds:
    """(shape, its "max") where that is greater than AWS's."""
    return tuple(
        (shape, max(getattr(limits, name) for name in names))
        for shape, names in _LIMITS.get(service, {}).items()
        if any(getattr(limits, name) > getattr(DEFAULT_LIMITS, name) for name in names)
    )


def bounded(description: dict[str, Any], changed: Bounds) -> dict[str, Any]:
    """The description of a service with these bounds; it shares all other parts."""
    shapes = description["shapes"]
    changes = {shape: {**shapes[shape], "max": most} for shape, most in changed if shape in shapes}
    return {**description, "shapes": {**shapes, **changes}} if changes else description
