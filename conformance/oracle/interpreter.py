"""The reference interpreter: how an execution of a definition ends, and the events that its history
must have.

It is meant to be read beside the specification: nothing is compiled, branches run one after the
other, no time passes. Where several branches fail, any of them could be the first: `outcomes`
yields every way in which the execution can end.
"""

from collections.abc import Iterator
from typing import Any, Final

from stepwell.conformance.oracle.execution import Execution
from stepwell.conformance.oracle.model import BlockError, Outcome, TaskResult, Tasks
from stepwell.conformance.oracle.states import run_block
from stepwell.conformance.oracle.values import MISSING, Json, UndeterminedError

_MAX_OUTCOMES: Final = 24


def outcomes(
    definition: dict[str, Any], value: Json, tasks: Tasks | None = None, express: bool = False
) -> Iterator[Outcome]:
    """Every way in which an execution with the input `value` can end. Raises UndeterminedError."""
    picks: list[int] = []
    for _ in range(_MAX_OUTCOMES):
        execution = Execution(definition, value, tasks or no_tasks, express, picks)
        yield outcome(execution)
        taken = execution.taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        picks = [pick for pick, _ in taken]
        picks[-1] += 1
    raise UndeterminedError


def no_tasks(resource: str, value: Json) -> TaskResult:
    raise UndeterminedError


def outcome(execution: Execution) -> Outcome:
    """Run an execution to its end."""
    add = execution.history.add
    add("ExecutionStarted", (), input=execution.input)
    status, output, error, cause = "SUCCEEDED", MISSING, None, None
    try:
        output, tail = run_block(execution, execution.definition, execution.input, {}, MISSING, ())
        add("ExecutionSucceeded", tail, output=output)
    except BlockError as failure:
        status, error, cause = "FAILED", failure.error, failure.cause
        add("ExecutionFailed", failure.at, error=error, cause=cause)
    return Outcome(
        status,
        output,
        error,
        cause,
        execution.history.events,
        execution.seconds,
        execution.expression_errors,
    )
