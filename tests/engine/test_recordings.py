"""Every recorded execution and creation error that needs nothing but functions and activities comes out as the service's, to the letter."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.engine import recordings

from stepwell.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.integrations.local.functions import Functions
from stepwell.integrations.service import Registry

HERE = {"lambda", "sfn-integration"}
OLD_MAP = "recorded before late 2024: MapStateExited then followed from MapRunSucceeded"
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
VERSIONS = "versions and aliases are not there yet"
NOT_REPEATABLE = {
    "describe_execution_response_through_": VERSIONS,
    "test_sfn_start_execution_implicit_json_serialisation": "aws-sdk integrations are not there yet",
    "null_required_parameter": "the answer recorded is the client library's own",
    "test_map_state_legacy_config_distributed_item_selector": OLD_MAP,
    "test_map_state_config_inline_item_selector": OLD_MAP,
    "test_lambda_service_invoke_with_retry_extended_input": "recorded before the Context object had RedriveCount",
    "test_max_concurrency_path_negative": "the recording stops after ExecutionStarted: the service never ended that execution",
    "test_create_with_version_description_no_publish": VERSIONS,
}


def chosen(*kinds: str) -> list[Any]:
    found = []
    for case in recordings.cases():
        if case["kind"] not in kinds or not set(case["needs"]) <= HERE:
            continue
        reason = next((why for name, why in NOT_REPEATABLE.items() if name in case["id"]), None)
        found.append(pytest.param(case, id=case["id"], marks=[pytest.mark.xfail(reason=reason, strict=True)] if reason else []))
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="the recordings are not here"))]


def concrete(value: Any, names: dict[str, str]) -> Any:
    """The placeholders of a recorded definition or input, with names that exist here."""
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.replace("1" * 12, "123456789012")
    for placeholder, name in names.items():
        text = text.replace(placeholder, name)
    return text if isinstance(value, str) else json.loads(text)


def functions(case: dict[str, Any], folder: Path) -> tuple[Functions, dict[str, str]]:
    """The case's Lambda functions as source folders, under names without brackets."""
    served, names = Functions(), {}
    for function in case.get("lambda_functions") or ():
        name = re.sub(r"\W", "-", function["name"]).strip("-")
        names[function["name"]] = name
        source = folder / name
        source.mkdir()
        for file, text in function["files"].items():
            (source / file).write_text(text)
        served.add(name, source, function["handler"], function.get("environment") or {})
    return served, names


SLOW = {"StartAt": "S", "States": {"S": {"Type": "Task", "TimeoutSeconds": 1, "Resource": LAMBDA + "NAME", "End": True}}}


async def make_target(engine: Engine, names: dict[str, str]) -> None:
    """The state machine that a nested execution runs: its task overruns."""
    definition = json.dumps(SLOW).replace("NAME", next(iter(names.values()), "none"))
    names["<ArnPart_0idx>"] = (await engine.create_state_machine("target", definition))["stateMachineArn"].rpartition(":")[2]


async def serve_activity(engine: Engine, case: dict[str, Any]) -> None:
    """The worker that the recording was made with: it echoes, fails or stays silent, as its history shows."""
    kinds = [event["type"] for event in case["expected_events"]]
    started = next(event for event in case["expected_events"] if event["type"] == "ActivityStarted")
    worker = started["activityStartedEventDetails"].get("workerName")
    arn = engine.home.arn("activity", "activity_name")
    task = await engine.get_activity_task(arn, worker, timeout=20)
    if "ActivitySucceeded" in kinds:
        await engine.send_task_success(task["taskToken"], task["input"])
    elif "ActivityFailed" in kinds:
        await engine.send_task_failure(task["taskToken"], "Programmatic Error", task["input"])


@pytest.mark.parametrize("case", chosen("execution"))
async def test_execution(case: dict[str, Any], tmp_path: Path) -> None:
    served, names = functions(case, tmp_path)
    definition, text = case["definition"], case["input_text"]
    names["activity_arn"] = "arn:aws:states:us-east-1:123456789012:activity:activity_name"
    want = concrete({name: case.get(name) for name in ("expected_events", "expected_end", "expected_description")}, names)
    async with Engine(tasks=Registry(functions=served)) as engine:
        if "activity" in json.dumps(definition):
            await engine.create_activity("activity_name")
        if "delegate_timeout" in case["id"]:
            await make_target(engine, names)
        machine = await engine.create_state_machine("case", json.dumps(concrete(definition, names)), type=case["type"])
        start = {} if text is None else {"input": concrete(text, names)}
        execution = (await engine.start_execution(machine["stateMachineArn"], **start))["executionArn"]
        if "activity" in json.dumps(definition):
            await serve_activity(engine, case)
        ended = await engine.wait(execution, timeout=60)
        events = (await engine.get_execution_history(execution))["events"]
    if case.get("expected_status"):
        assert ended["status"] == case["expected_status"]
    if want["expected_description"]:
        assert recordings.differences(want["expected_description"], ended) == []
    if case.get("unordered"):
        assert recordings.unordered_differences(want["expected_events"], events) == []
    elif want["expected_events"]:
        assert recordings.differences(want["expected_events"], events, "events") == []
    elif want["expected_end"]:
        details = next(value for name, value in events[-1].items() if name.endswith("EventDetails"))
        end = want["expected_end"]
        if isinstance(end.get("output"), list) and len(end["output"]) == 1:
            end["output"] = end["output"][0]
        assert recordings.differences(end, {name: details[name] for name in end}, "end") == []


@pytest.mark.parametrize("case", chosen("create_error"))
async def test_refused_definition(case: dict[str, Any]) -> None:
    want, parameters = case["expected_response"], case["params"]
    names = {"<ArnPart_0idx>": "gone"}
    async with Engine(tasks=Registry()) as engine:
        await engine.create_state_machine("gone", json.dumps(SLOW))
        with pytest.raises(ApiError) as refused:
            if case["op"] == "CreateStateMachine":
                await engine.create_state_machine("case", json.dumps(case["definition"]), type=parameters.get("type", "STANDARD"))
            else:
                changes = {"definition": json.dumps(case["definition"])} if case["definition"] else {}
                await engine.update_state_machine(concrete(parameters["stateMachineArn"], names), **changes)
    shown = {"Code": refused.value.code, "Message": refused.value.message}
    assert recordings.differences(concrete(want["Error"], names), shown) == []


def test_comparison_notices() -> None:
    """The comparison itself can fail: a wrong value, a missing and an extra member, a wrong order."""
    want = {"a": {"b": 1}, "c": "<uuid:1>-x", "d": "timestamp"}
    assert recordings.differences(want, {"a": '{"b": 1}', "c": "7-x", "d": 5}) == []
    for wrong in ({"a": {"b": True}}, {"a": {"b": 1, "e": 2}}, {"a": {}}, {"c": "7-y"}, {"d": None}):
        assert recordings.differences(want, {"a": {"b": 1}, "c": "7-x", "d": 5, **wrong})
    assert recordings.differences([1, 2], [2, 1])
