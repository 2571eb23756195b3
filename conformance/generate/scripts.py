"""Scripted tasks: the input of a task has the results of its attempts; workers need no state."""

from typing import Any, Final

from stepwell.conformance.oracle import Outcome, TaskResult, outcomes
from stepwell.conformance.oracle.values import Json
from stepwell.conformance.run.case import EXPRESS, Case, blocks_of

State = dict[str, Any]

ACTIVITIES: Final = 4
ACTIVITY: Final = "arn:aws:states:us-east-1:123456789012:activity:conformance-{}"


def scripted(resource: str, task_input: Json) -> TaskResult:
    """The result of a task, as the suite's workers and the oracle give it.

    {"script": [step, ...], "turn": n, ...} -> step n, or the last one: {"output": JSON}, {"error":
    .., "cause": ..} or {"silent": true}. Without a script, the output is the input.
    """
    if (
        not isinstance(task_input, dict)
        or not isinstance(task_input.get("script"), list)
        or not task_input["script"]
    ):
        return TaskResult(output=task_input)
    script, turn = task_input["script"], task_input.get("turn", 0)
    step = script[min(turn, len(script) - 1)]
    if step.get("silent"):
        return TaskResult(timed_out=True)
    if "output" in step:
        return TaskResult(output=step["output"])
    return TaskResult(error=step.get("error"), cause=step.get("cause"))


def expected(case: Case) -> list[Outcome]:
    """Every outcome that a case may have. Raises UndeterminedError."""
    return list(outcomes(case.definition, case.input, scripted, case.kind == EXPRESS))


def raised(state: State) -> list[str]:
    """The errors that a state, or a state inside it, can raise by its script or its Error field."""
    found = [step["error"] for step in _script(state) if "error" in step]
    found += (
        [state["Error"]]
        if state["Type"] == "Fail" and not str(state.get("Error", "{%")).startswith("{%")
        else []
    )
    return found + [
        error
        for block in blocks_of(state)
        for each in block["States"].values()
        for error in raised(each)
    ]


def _script(state: State) -> list[State]:
    arguments = state.get("Arguments", state.get("Parameters"))
    if state["Type"] != "Task" or not isinstance(arguments, dict):
        return []
    script: list[State] = arguments.get("script", [])
    return script
