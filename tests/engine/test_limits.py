"""Engine(limits=...): what the engine and its texts do with limits other than AWS's."""

import json
from dataclasses import replace
from typing import Any

import pytest

from stepwell.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.limits import DEFAULT_LIMITS

LOOP = {
    "StartAt": "Count",
    "States": {
        "Count": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "Again"},
        "Again": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": 9_000, "Next": "Count"}],
            "Default": "End",
        },
        "End": {"Type": "Fail", "Error": "Enough"},
    },
}


def jsonata(expression: str) -> dict[str, Any]:
    state = {"Type": "Pass", "Output": f"{{% {expression} %}}", "End": True}
    return {"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}}


async def ran(machine: dict[str, Any], input: str = "{}", **limits: float) -> Any:
    """DescribeExecution, with the cause of the last event."""
    async with Engine(limits=replace(DEFAULT_LIMITS, **limits)) as engine:
        arn = (await engine.create_state_machine("m", json.dumps(machine)))["stateMachineArn"]
        started = await engine.start_execution(arn, input=input)
        await engine.wait(started["executionArn"])
        return await engine.describe_execution(started["executionArn"])


async def test_the_limit_of_events_and_its_text() -> None:
    usual = await ran(LOOP, '{"n": 0}')
    assert usual["cause"] == "The execution reached the maximum number of history events (25000)."
    assert usual["redriveStatus"] == "NOT_REDRIVABLE"
    raised = await ran(LOOP, '{"n": 0}', history_events=50_000)
    assert (raised["error"], raised["redriveStatus"]) == ("Enough", "REDRIVABLE")
    lower = await ran(LOOP, '{"n": 0}', history_events=100)
    assert lower["cause"] == "The execution reached the maximum number of history events (100)."


async def test_the_length_of_an_input_and_its_text() -> None:
    machine, long = jsonata("1"), json.dumps("x" * 300_000)
    with pytest.raises(ApiError, match="less than or equal to 262144"):
        await ran(machine, long)
    assert (await ran(machine, long, payload_bytes=300_002))["status"] == "SUCCEEDED"
    with pytest.raises(ApiError, match="less than or equal to 300001"):
        await ran(machine, long, payload_bytes=300_001)


@pytest.mark.parametrize(
    ("limit", "lowered", "expression"),
    [
        ("jsonata_string_chars", 1_000, "$length($pad('x', 2000))"),
        ("jsonata_array_items", 1_000, "$count([1..2000])"),
        ("jsonata_depth", 10, "($f := function($n) {$n = 0 ? 0 : 1 + $f($n - 1)}; $f(60))"),
        ("jsonata_steps", 30_000, "$sum([1..60000].($ * 2))"),
    ],
)
async def test_budgets_of_jsonata_reach_compiled_expressions(
    limit: str, lowered: int, expression: str
) -> None:
    assert (await ran(jsonata(expression)))["status"] == "SUCCEEDED"
    # the same expression is compiled again for other limits
    failed = await ran(jsonata(expression), **{limit: lowered})
    assert (failed["status"], failed["error"]) == ("FAILED", "States.QueryEvaluationError")
    assert (await ran(jsonata(expression)))["status"] == "SUCCEEDED"
