"""Every recorded answer of TestState comes out as the service's, to the letter."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.engine import recordings
from tests.engine.test_recordings import concrete, functions

from stepwell.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.integrations.tasks.registry import Registry

MEMBERS = {
    "roleArn": "role_arn",
    "inspectionLevel": "inspection_level",
    "revealSecrets": "reveal_secrets",
    "stateName": "state_name",
    "stateConfiguration": "state_configuration",
}
TEXTS = ("definition", "input", "context", "variables")


def request(case: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    given = {
        name: json.dumps(value) if name in TEXTS and not isinstance(value, str) else value
        for name, value in case["params"].items()
    }
    given = concrete(given, names)
    return {MEMBERS.get(name, name): value for name, value in given.items()}


CASES = [
    pytest.param(case, id=case["id"]) for case in recordings.cases() if case["kind"] == "test_state"
]
CASES = CASES or [pytest.param(None, marks=pytest.mark.skip(reason="the recordings are not here"))]


@pytest.mark.parametrize("case", CASES)
async def test_recorded(case: dict[str, Any], tmp_path: Path) -> None:
    served, names = functions(case, tmp_path)
    want = concrete(case["expected_response"], names)
    async with Engine(tasks=Registry(functions=served)) as engine:
        try:
            answer = await engine.test_state(**request(case, names))
        except ApiError as error:
            shown = {"Code": error.code, "Message": error.message}
            if "exception_value" in want:
                text = (
                    f"An error occurred ({error.code}) when calling the TestState operation: "
                    f"{error.message}"
                )
                assert recordings.differences(want["exception_value"], text) == []
            else:
                assert recordings.differences(want.get("Error"), shown) == []
        else:
            assert recordings.differences(want, answer) == []
