"""A task that starts an execution of another machine and waits for it (startExecution.sync:2)."""

import json
from dataclasses import replace
from random import Random
from typing import Any, Final

from stepwell.conformance.generate.scenarios.deterministic import deterministic_case, only_outcome
from stepwell.conformance.generate.values import chance
from stepwell.conformance.oracle.values import fits, text
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.case import STANDARD, Case
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.endpoint import fresh_name

State = dict[str, Any]

_SLOW: Final = {"StartAt": "Long", "States": {"Long": {"Type": "Wait", "Seconds": 3, "End": True}}}


def nested_case(r: Random) -> Case:
    """The child; sometimes one that takes longer than the task's timeout."""
    if chance(r, 0.05):
        return Case(_SLOW, {}, STANDARD, "nested")
    return replace(deterministic_case(r), area="nested")


def nested_problems(runner: Runner, case: Case) -> list[str]:
    """The task has the child's output, or fails with States.TaskFailed and the child's error in the
    cause.
    """
    wanted = only_outcome(case.definition, case.input)
    if wanted is None or case.input is None or isinstance(case.input, str):
        return []  # as Input, null means none, and a string is taken for JSON text
    late = wanted.seconds > 1
    created = runner.call(
        "CreateStateMachine",
        name=fresh_name(),
        definition=json.dumps(case.definition),
        roleArn=runner.endpoint.role,
    )
    try:
        task: State = {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "TimeoutSeconds": 1 if late else 60,
            "Parameters": {"StateMachineArn": created["stateMachineArn"], "Input": case.input},
            "OutputPath": "$.Output",
            "End": True,
        }
        run = runner.run(replace(case, definition={"StartAt": "Child", "States": {"Child": task}}))
    finally:
        runner.call("DeleteStateMachine", stateMachineArn=created["stateMachineArn"])
    found = metamorphic_checks.of_history(run.history)
    if late or wanted.status == "FAILED":
        error = "States.Timeout" if late else "States.TaskFailed"
        if (run.status, run.error) != ("FAILED", error):
            found.append(f"expected {error}, got {run.status} {run.error} {run.output}")
        elif not late and json.loads(run.cause or "{}").get("Error") != wanted.error:
            found.append(f"expected a cause with {wanted.error}, got {run.cause}")
    elif run.status != "SUCCEEDED" or not fits(wanted.output, json.loads(run.output or "null")):
        found.append(f"expected {text(wanted.output)}, got {run.status} {run.error} {run.output}")
    return found
