"""Tasks that call the Lambda functions of cases/functions."""

import json
from dataclasses import replace
from random import Random
from typing import Any, Final

from stepwell.conformance.generate.values import chance, string, value
from stepwell.conformance.oracle.execution import matches
from stepwell.conformance.oracle.values import fits, text
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.case import STANDARD, Case, changed
from stepwell.conformance.run.case_runner import Runner

State = dict[str, Any]

_FUNCTION: Final = "arn:aws:lambda:us-east-1:123456789012:function:conformance_"
# function -> the error that it fails with
FUNCTIONS: Final = {"echo": None, "fail": "CustomError", "slow": "States.Timeout"}


def function_case(r: Random) -> Case:
    """A task that calls a function, by its ARN or by lambda:invoke; `note` says which function."""
    note = "slow" if chance(r, 0.1) else r.choice(("echo", "echo", "fail"))
    execution_input = {"s": string(r), "v": value(r)}
    task: State = {"Type": "Task", "Resource": _FUNCTION + note, "Next": "Done"}
    if chance(r, 0.5):
        task["Resource"] = "arn:aws:states:::lambda:invoke"
        if chance(r, 0.5):
            task["Parameters"] = {"FunctionName": _FUNCTION + note, "Payload.$": "$"}
            task["OutputPath"] = "$.Payload"
        else:
            task["QueryLanguage"] = "JSONata"
            task["Arguments"] = {"FunctionName": _FUNCTION + note, "Payload": execution_input}
            task["Output"] = "{% $states.result.Payload %}"
    if note == "slow":
        task["TimeoutSeconds"] = 1
    states = {"F": task, "Done": {"Type": "Succeed"}}
    if chance(r, 0.5):
        names = r.choice(
            (["CustomError"], ["States.TaskFailed"], ["States.Timeout", "E1"], ["States.ALL"])
        )
        task["Catch"] = [{"ErrorEquals": names, "Next": "Caught"}]
        states["Caught"] = {"Type": "Pass", "Result": "caught", "End": True}
    definition = {"StartAt": "F", "States": states}
    return Case(definition, execution_input, STANDARD, "functions", note)


def function_problems(runner: Runner, case: Case) -> list[str]:
    """The task has the function's result, or the error that the function raises."""
    endpoint = runner.endpoint
    real = f"arn:aws:lambda:{endpoint.region}:{endpoint.account}:function:conformance_"
    definition = changed(case.definition, lambda each: each.replace(_FUNCTION, real))
    run = runner.run(replace(case, definition=definition))
    error, catchers = FUNCTIONS[case.note], case.definition["States"]["F"].get("Catch", ())
    caught = error is not None and any(matches(each["ErrorEquals"], error) for each in catchers)
    found = metamorphic_checks.of_history(run.history)
    if error is not None and not caught:
        if (run.status, run.error) != ("FAILED", error):
            found.append(f"expected {error}, got {run.status} {run.error}")
        return found
    wanted = "caught" if caught else case.input
    if run.status != "SUCCEEDED" or not fits(wanted, json.loads(run.output or "null")):
        found.append(f"expected {text(wanted)}, got {run.status} {run.error} {run.output}")
    return found
