"""Executions that would never end by themselves: they are stopped, time out, or one of their
branches fails.
"""

import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from stepwell.conformance.generate.scripts import ACTIVITY
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.case import STANDARD, Case, changed
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.endpoint import UnfinishedError, fresh_name, pauses

State = dict[str, Any]

_SILENT: Final = {
    "Type": "Task",
    "Resource": ACTIVITY.format(0),
    "Parameters": {"script": [{"silent": True}]},
    "End": True,
}
_WAIT: Final = {"Type": "Wait", "Seconds": 3600, "End": True}
_FAILING: Final = {
    "StartAt": "Soon",
    "States": {
        "Soon": {"Type": "Wait", "Seconds": 1, "Next": "F"},
        "F": {"Type": "Fail", "Error": "E1"},
    },
}
# a missed heartbeat is recorded under one name and documented under the other
_MISSED_HEARTBEAT: Final = ["States.HeartbeatTimeout", "States.Timeout"]
# what ends the execution -> status, error
ENDS: Final = {
    "stopped": ("ABORTED", "Stopped"),
    "branch fails": ("FAILED", "E1"),
    "out of time": ("TIMED_OUT", None),
    "no heartbeat": ("SUCCEEDED", None),
}


def stopped_case(r: Random) -> Case:
    """States that do not end by themselves, nested in each other; `note` says what ends them."""
    note = r.choice(tuple(ENDS))
    blocker = _blocker(r, 2, iter(range(100)))
    branches = [blocker, *([_FAILING] if note == "branch fails" else [])]
    around: State = {"Type": "Parallel", "Branches": branches, "End": True}
    definition: State = {"StartAt": "Around", "States": {"Around": around}}
    if note == "no heartbeat":
        catch = [{"ErrorEquals": _MISSED_HEARTBEAT, "Next": "Caught"}]
        states = {
            "Around": {**_SILENT, "HeartbeatSeconds": 1, "Catch": catch},
            "Caught": {"Type": "Succeed"},
        }
        definition = {"StartAt": "Around", "States": states}
    if note == "out of time":
        definition = {"TimeoutSeconds": 1, **definition}
    return Case(definition, {"l": [1, 2]}, STANDARD, "stopped", note)


def _blocker(r: Random, depth: int, numbers: Iterator[int]) -> State:
    """A block of one state that does not end. `numbers`: those of the states' names."""
    kind = r.choice("WTPMD" if depth else "WT")
    if kind in "WT":
        state = dict(_WAIT if kind == "W" else _SILENT)
    elif kind == "P":
        branches = [_blocker(r, depth - 1, numbers) for _ in range(r.randrange(1, 3))]
        state = {"Type": "Parallel", "Branches": branches, "End": True}
    else:
        inline = kind == "M"
        config = (
            {"Mode": "INLINE"} if inline else {"Mode": "DISTRIBUTED", "ExecutionType": STANDARD}
        )
        inner = _blocker(r, depth - 1 if inline else 0, numbers)
        processor = {"ProcessorConfig": config, **inner}
        state = {"Type": "Map", "ItemsPath": "$.l", "ItemProcessor": processor, "End": True}
        if inline:
            state["ItemSelector"] = {"l": [1]}
    name = f"B{next(numbers)}"
    return {"StartAt": name, "States": {name: state}}


def stopped_problems(runner: Runner, case: Case) -> list[str]:
    """The execution ends once, at once and as expected, with everything inside it; nothing happens
    after that.
    """
    definition = changed(case.definition, lambda each: runner.resources.get(each, each))
    created = runner.call(
        "CreateStateMachine",
        name=fresh_name(),
        definition=json.dumps(definition),
        roleArn=runner.endpoint.role,
    )
    try:
        execution = runner.start(created["stateMachineArn"], json.dumps(case.input))
        found = list(_update_map_runs(runner, execution)) if case.note == "stopped" else []
        if case.note == "stopped":
            runner.call("StopExecution", executionArn=execution, error="Stopped")
        run = runner.ended(execution)
    finally:
        runner.call("DeleteStateMachine", stateMachineArn=created["stateMachineArn"])
    status, error = ENDS[case.note]
    if run.status != status or (error is not None and run.error != error):
        found.append(f"expected {status} {error}, got {run.status} {run.error}")
    succeeded = [
        event["type"]
        for event in run.history
        if event["type"].endswith(("StateSucceeded", "MapRunSucceeded"))
    ]
    if succeeded:
        found.append(f"states that cannot succeed did: {', '.join(succeeded)}")
    return found + metamorphic_checks.of_history(run.history)


def _update_map_runs(runner: Runner, execution: str) -> Iterator[str]:
    """UpdateMapRun of a Map Run in progress changes its concurrency."""
    _wait_until_blocked(runner, execution)
    for each in runner.call("ListMapRuns", executionArn=execution)["mapRuns"]:
        runner.call("UpdateMapRun", mapRunArn=each["mapRunArn"], maxConcurrency=2)
        described = runner.call("DescribeMapRun", mapRunArn=each["mapRunArn"])["maxConcurrency"]
        if described != 2:
            yield f"UpdateMapRun set a concurrency of 2, DescribeMapRun has {described}"


def _wait_until_blocked(runner: Runner, execution: str) -> None:
    for _ in pauses(10):
        events = runner.call("GetExecutionHistory", executionArn=execution, maxResults=1000)[
            "events"
        ]
        if any(
            event["type"] in ("WaitStateEntered", "ActivityScheduled", "MapRunStarted")
            for event in events
        ):
            return
    raise UnfinishedError("no state that blocks was reached in 10 s")
