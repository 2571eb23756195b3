"""Histories that the real service has recorded are replayed with their own definition."""

import json
from typing import Any

import pytest
from tests.engine import recordings

from stepwell.engine.replay import Replayer

DATA = ("input", "output", "parameters", "cause")
ARN = "arn:aws:states:us-east-1:111111111111:execution:m:e"


def text(value: Any) -> Any:
    return value if isinstance(value, str) else json.dumps(value)


def exported(event: dict[str, Any]) -> dict[str, Any]:
    """A recorded event with JSON text, and a second between two events: times are masked."""
    shown = {**event, "timestamp": 1_700_000_000 + event["id"]}
    for name, details in event.items():
        if name.endswith("EventDetails"):
            shown[name] = {
                key: text(value) if key in DATA else value for key, value in details.items()
            }
            assigned = details.get("assignedVariables", {})
            if assigned:
                each = {key: text(value) for key, value in assigned.items()}
                shown[name]["assignedVariables"] = each
    return shown


def cases() -> list[dict[str, Any]]:
    """Without those whose values are masked: names, tokens, random numbers."""
    found = []
    for case in recordings.cases():
        if case["kind"] != "execution" or not case.get("expected_events"):
            continue
        shown = json.dumps(case["expected_events"])
        ids = all(isinstance(event["id"], int) for event in case["expected_events"])
        if ids and "<" not in shown and "RandomNumber" not in shown and "activity_arn" not in shown:
            found.append(case)
    return found


def test_recordings_of_the_service_are_replayed() -> None:
    found = cases()
    if not found:
        pytest.skip("the recordings are not here")
    differ = []
    for case in found:
        replayer = Replayer(case["definition"], case["definition"])
        events = [exported(event) for event in case["expected_events"]]
        result = replayer.replay({"executionArn": ARN}, events)
        # a Wait until a time of the recording, which is masked
        if (result.divergences or result.unrepeatable) and "timestamp_path" not in case["id"]:
            differ.append((case["id"], result.divergences, result.unrepeatable[:2]))
    assert differ == []
    assert len(found) > 80
