"""Tasks whose input says what they answer, so that no worker has to remember anything."""

from typing import Any, Final

from stepwell.conformance.oracle import Outcome, TaskResult, outcomes
from stepwell.conformance.oracle.values import Json
from stepwell.conformance.run.case import EXPRESS, Case, blocks_of

State = dict[str, Any]

ACTIVITIES: Final = 4
ACTIVITY: Final = "arn:aws:states:us-east-1:123456789012:activity:conformance-{}"


def scripted(resource: str, task_input: Json) -> TaskResult:
    """What the suite's worker answers to a task: its input says so, so no worker has to remember
    anything.

    {"script": [step, ...], "turn": n, ...} -> step n (the last one from then on): {"output": JSON},
    {"error": .., "cause": ..} or {"silent": true}. Without a script the input is the output.
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
    """Every outcome that a case may have. Raises Undetermined."""
    return list(outcomes(case.definition, case.input, scripted, case.kind == EXPRESS))


def raised(state: State) -> list[str]:
    """The errors that a state or one inside it names as its own."""
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
    given = state.get("Arguments", state.get("Parameters"))
    script: list[State] = (
        given.get("script", []) if isinstance(given, dict) and state["Type"] == "Task" else []
    )
    return script
