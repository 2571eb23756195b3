"""Every recorded execution and creation error that needs nothing but functions and activities comes
out as the service's, to the letter. In virtual time, which changes nothing in a history but times.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.engine import recordings

from stepwell.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations.services.runtime.folder import Functions
from stepwell.integrations.tasks.registry import Registry

HERE = {"lambda", "sfn-integration"}
OLD_MAP = "recorded before late 2024: MapStateExited then followed from MapRunSucceeded"
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
NOT_REPEATABLE = {
    "null_required_parameter": "the answer recorded is the client library's own",
    "test_map_state_legacy_config_distributed_item_selector": OLD_MAP,
    "test_map_state_config_inline_item_selector": OLD_MAP,
    "test_lambda_service_invoke_with_retry_extended_input": (
        "recorded before the Context object had RedriveCount"
    ),
    "test_max_concurrency_path_negative": (
        "the recording stops after ExecutionStarted: the service never ended that execution"
    ),
}


def chosen(*kinds: str) -> list[Any]:
    found = []
    for case in recordings.cases():
        if case["kind"] not in kinds or not set(case["needs"]) <= HERE:
            continue
        reason = next((why for name, why in NOT_REPEATABLE.items() if name in case["id"]), None)
        found.append(
            pytest.param(
                case,
                id=case["id"],
                marks=[pytest.mark.xfail(reason=reason, strict=True)] if reason else [],
            )
        )
    return found or [
        pytest.param(None, marks=pytest.mark.skip(reason="the recordings are not here"))
    ]


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


CREATE_OPTIONS = (
    ("type", "type"),
    ("versionDescription", "version_description"),
    ("publish", "publish"),
)
SLOW = {
    "StartAt": "S",
    "States": {
        "S": {"Type": "Task", "TimeoutSeconds": 1, "Resource": LAMBDA + "NAME", "End": True}
    },
}


async def make_target(engine: Engine, names: dict[str, str]) -> None:
    """The state machine that the definition names: its task overruns."""
    definition = json.dumps(SLOW).replace("NAME", next(iter(names.values()), "none"))
    names["<ArnPart_0idx>"] = (await engine.create_state_machine("target", definition))[
        "stateMachineArn"
    ].rpartition(":")[2]


async def qualified(engine: Engine, machine_arn: str, description: dict[str, Any]) -> str:
    """The ARN that the recorded execution was started by: the machine's, or that of the version or
    alias in its description.
    """
    if "stateMachineVersionArn" not in description:
        return machine_arn
    version: str = (await engine.publish_state_machine_version(machine_arn))[
        "stateMachineVersionArn"
    ]
    if "stateMachineAliasArn" not in description:
        return version
    name = description["stateMachineAliasArn"].rpartition(":")[2]
    alias = await engine.create_state_machine_alias(
        name, [{"stateMachineVersionArn": version, "weight": 100}]
    )
    arn: str = alias["stateMachineAliasArn"]
    return arn


ANSWERS = {"ActivitySucceeded", "ActivityFailed"}


async def serve_activity(engine: Engine, case: dict[str, Any]) -> None:
    """The worker that the recording was made with: it echoes, fails or stays silent, as its history
    shows.
    """
    kinds = [event["type"] for event in case["expected_events"]]
    started = next(event for event in case["expected_events"] if event["type"] == "ActivityStarted")
    worker = started["activityStartedEventDetails"].get("workerName")
    arn = engine.home.arn("activity", "activity_name")
    task = await engine.get_activity_task(arn, worker, timeout=60)
    if "ActivitySucceeded" in kinds:
        await engine.send_task_success(task["taskToken"], task["input"])
    elif "ActivityFailed" in kinds:
        await engine.send_task_failure(task["taskToken"], "Programmatic Error", task["input"])


@pytest.mark.parametrize("case", chosen("execution"))
async def test_execution(case: dict[str, Any], tmp_path: Path) -> None:
    served, names = functions(case, tmp_path)
    definition, text = case["definition"], case["input_text"]
    names["activity_arn"] = "arn:aws:states:us-east-1:123456789012:activity:activity_name"
    want = concrete(
        {
            name: case.get(name)
            for name in ("expected_events", "expected_end", "expected_description")
        },
        names,
    )
    tasks = Registry(functions=served)
    answered = {event["type"] for event in case.get("expected_events") or ()} & ANSWERS
    clock = VirtualClock(outside_seconds=60 if answered else None)
    async with Engine(tasks=tasks, clock=clock) as engine:
        if "activity" in json.dumps(definition):
            await engine.create_activity("activity_name")
        if any(name in case["id"] for name in ("delegate_timeout", "implicit_json_serialisation")):
            await make_target(engine, names)
        machine = await engine.create_state_machine(
            "case", json.dumps(concrete(definition, names)), type=case["type"]
        )
        start = {} if text is None else {"input": concrete(text, names)}
        start_arn = await qualified(
            engine, machine["stateMachineArn"], want["expected_description"] or {}
        )
        if serves := "activity" in json.dumps(definition):
            serving = asyncio.create_task(serve_activity(engine, case))
            await asyncio.sleep(0)  # it polls before there is a task
        execution = (await engine.start_execution(start_arn, **start))["executionArn"]
        if serves:
            await serving
        ended = await engine.wait(execution, timeout=60)
        events = (await engine.get_execution_history(execution, max_results=1000))["events"]
    if case.get("expected_status"):
        assert ended["status"] == case["expected_status"], (ended.get("error"), ended.get("cause"))
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
                options = {
                    name: parameters[key] for key, name in CREATE_OPTIONS if key in parameters
                }
                await engine.create_state_machine("case", json.dumps(case["definition"]), **options)
            else:
                changes = (
                    {"definition": json.dumps(case["definition"])} if case["definition"] else {}
                )
                await engine.update_state_machine(
                    concrete(parameters["stateMachineArn"], names), **changes
                )
    shown = {"Code": refused.value.code, "Message": refused.value.message}
    assert recordings.differences(concrete(want["Error"], names), shown) == []


TRACES_NEED = {"logs", "s3"}
LATER_MEMBERS = {"redriveCount", "encryptionConfiguration"}  # older recordings are without them
OURS = {"extras"}
OF_THE_WIRE = (
    "1 validation error detected",
    "Parameter validation failed",
)  # the HTTP front's, and the client library's own


def traces() -> list[Any]:
    found = [
        case
        for case in recordings.cases()
        if case["kind"] == "api_trace" and set(case["needs"]) <= TRACES_NEED
    ]
    params = [pytest.param(case, id=case["id"]) for case in found]
    return params or [
        pytest.param(None, marks=pytest.mark.skip(reason="the recordings are not here"))
    ]


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def without_later(want: Any, got: Any) -> Any:
    """An answer without the members that the service has added since the recording, and without
    those that are not of the API.
    """
    if isinstance(want, list) and isinstance(got, list):
        return [without_later(*pair) for pair in zip(want, got, strict=False)] + got[len(want) :]
    if isinstance(want, dict) and isinstance(got, dict):
        return {
            name: without_later(want.get(name), value)
            for name, value in got.items()
            if name in want or name not in LATER_MEMBERS | OURS
        }
    return got


def recorded_error(want: Any) -> tuple[str, str]:
    """(code, message) of the three ways in which recordings show a refusal."""
    if isinstance(want, dict) and "Error" in want:
        return want["Error"]["Code"], want["Error"]["Message"]
    text = want["exception_value"] if isinstance(want, dict) else want
    code, _, message = text.removeprefix("An error occurred (").partition(") when calling the ")
    return code, message.partition(" operation: ")[2] or text


async def made(engine: Engine, op: str, parameters: dict[str, Any], names: dict[str, str]) -> Any:
    """The answer to a recorded call; what polled for an end waits for it."""
    if op == "GetExecutionHistory" and parameters["executionArn"].startswith("arn:"):
        await engine.wait(parameters["executionArn"], timeout=60)
    answer = await getattr(engine, snake(op))(
        **{snake(name): value for name, value in parameters.items()}
    )
    if op == "StartExecution":
        names[f"<ExecArnPart_{sum(name.startswith('<Exec') for name in names)}idx>"] = answer[
            "executionArn"
        ].rpartition(":")[2]
    return answer


@pytest.mark.parametrize("case", traces())
async def test_trace(case: dict[str, Any]) -> None:
    """A recorded sequence of calls of the API gets the answers that the service gave."""
    names = {"<ArnPart_0idx>": "machine"}
    async with Engine(tasks=Registry()) as engine:
        for call in case["calls"]:
            parameters = concrete(call.get("params") or {}, names)
            expected = call.get("expected") or {}
            if any(
                text in json.dumps(want) for want in expected.values() for text in OF_THE_WIRE
            ) and call.get("raises"):
                expected = {
                    key: want
                    for key, want in expected.items()
                    if not any(text in json.dumps(want) for text in OF_THE_WIRE)
                }
                if not expected:
                    continue
            try:
                got = await made(engine, call["op"], parameters, names)
            except ApiError as error:
                got = {"code": error.code, "message": error.message}
            for want in expected.values():
                if call.get("raises"):
                    code, message = recorded_error(want)
                    want = {
                        "code": code,
                        "message": re.sub(r"'(activity|ssm_nonexistent)_arn'", "'<arn>'", message),
                    }
                want = json.loads(
                    re.sub(
                        r'"(activity_arn|snf_role_arn)(_t?\d+)?"',
                        '"<arn>"',
                        json.dumps(concrete(want, names)),
                    )
                )
                assert recordings.differences(want, without_later(want, got)) == [], call["op"]


def test_comparison_notices() -> None:
    """The comparison itself can fail: a wrong value, a missing and an extra member, a wrong
    order.
    """
    want = {"a": {"b": 1}, "c": "<uuid:1>-x", "d": "timestamp"}
    assert recordings.differences(want, {"a": '{"b": 1}', "c": "7-x", "d": 5}) == []
    for wrong in (
        {"a": {"b": True}},
        {"a": {"b": 1, "e": 2}},
        {"a": {}},
        {"c": "7-y"},
        {"d": None},
    ):
        assert recordings.differences(want, {"a": {"b": 1}, "c": "7-x", "d": 5, **wrong})
    assert recordings.differences([1, 2], [2, 1])
