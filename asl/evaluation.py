"""Evaluator, the compiled form of every expression, and Env, the data that it may read.

    text --compile once--> Evaluator;  Evaluator(value, env) -> JSON value, or raises StateError

`value` is the value of `$` in a JSONPath expression at that stage of the data flow; JSONata only
reads `env`. Evaluators use no clock and no random generator: both come from Env, so that an
evaluation can be repeated.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from stepwell.asl.meter import Cancellation, EvaluationCancelledError, Meter

# None | bool | int | float | str | list[Json] | dict[str, Json]; never modified
Json: TypeAlias = Any


class StateError(Exception):
    """A state fails with a States.* error or any other named error: a value, not a bug.

    error     the name that Retry and Catch compare
    cause     AWS's text, without the prefix "An error occurred while executing the state ..."
    location  of a JSONata evaluation its field ("Output/total"), else None
    bare      whether the cause is shown without that prefix
    """

    __slots__ = ("error", "cause", "location", "bare")

    def __init__(
        self,
        error: str | None,
        cause: str | None = None,
        location: str | None = None,
        bare: bool = False,
    ) -> None:
        super().__init__(error, cause)
        self.error, self.cause, self.location, self.bare = error, cause, location, bare


class InlineBudgetError(Exception):
    """An evaluation exceeded its budget on the event loop: evaluate again in a thread, with
    `env.in_thread` True.
    """


class Missing:
    """The type of MISSING: "no value", where None would be JSON null."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class Env:
    """The data that the expressions of one state may read, and their budgets.

    input         the state input ($states.input)
    variables     name -> value, as of the entry of the state
    context       builds the Context object ($$ and $states.context) on demand
    result        $states.result, MISSING in fields that have none
    error_output  $states.errorOutput, MISSING outside a Catch
    entropy       returns 16 new bytes per call: the same ones for the same execution and event
    now           epoch seconds
    in_thread     False: on the event loop, with the inline budgets. True or a Cancellation: in a
                  thread, with the larger budgets
    meter         the steps left to all JSONPaths together; None: each has the limit's number
    late          whether this unit has held the event loop for too long; called if not `in_thread`
    """

    __slots__ = (
        "input",
        "variables",
        "context",
        "result",
        "error_output",
        "entropy",
        "now",
        "in_thread",
        "meter",
        "late",
    )

    def __init__(
        self,
        input: Json,
        variables: Mapping[str, Json],
        context: Callable[[], dict[str, Json]],
        entropy: Callable[[], bytes],
        now: float,
        result: Json = MISSING,
        error_output: Json = MISSING,
        in_thread: "bool | Cancellation" = True,
        meter: "Meter | None" = None,
        late: Callable[[], bool] = lambda: False,
    ) -> None:
        self.input, self.variables, self.context, self.entropy, self.now = (
            input,
            variables,
            context,
            entropy,
            now,
        )
        self.result, self.error_output, self.in_thread, self.meter, self.late = (
            result,
            error_output,
            in_thread,
            meter,
            late,
        )

    def pause(self) -> None:
        """Called before each part of an evaluation that may take long. Raises InlineBudgetError and
        EvaluationCancelledError.
        """
        if not self.in_thread:
            if self.late():
                raise InlineBudgetError
        elif self.in_thread is not True and self.in_thread.cancelled:
            raise EvaluationCancelledError


Evaluator: TypeAlias = Callable[[Json, Env], Json]
