"""What every expression of the language is compiled to, and what it may read.

    text --compile once--> Evaluator;  Evaluator(value, env) -> JSON value, or raises StateError

`value` is what `$` means to a JSONPath expression at that stage of the data flow; JSONata reads
`env` only.
Nothing here reads a clock or draws a random number: both come in through Env, so that an evaluation
can be repeated.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from stepwell.asl.meter import EvaluationCancelledError, Meter, Patience

Json: TypeAlias = (
    Any  # None | bool | int | float | str | list[Json] | dict[str, Json]; never mutated once made
)


class StateError(Exception):
    """A States.* error (or any named error) that a state ends with: a value, not a bug.

    error     the name that Retry and Catch compare
    cause     AWS's text, without the "An error occurred while executing the state ..." prefix
    location  the field of a JSONata evaluation ("Output/total"), None for everything else
    bare      True: the cause is shown as it is, False: the core puts the prefix in front
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
    """An expression used up its budget for the event loop: evaluate again, off the loop, with
    `env.patient` True.
    """


class Missing:
    """The type of MISSING, which stands for "no value here" where None would mean JSON null."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class Env:
    """What an expression of one state may read, as of one moment.

    input         the state input ($states.input)
    variables     name -> value, as at state entry
    context       builds the Context object ($$ and $states.context) on demand
    result        $states.result, MISSING where the language does not offer it
    error_output  $states.errorOutput, MISSING outside a Catch
    entropy       each call gives 16 new bytes; the same execution and event give the same bytes
                  again
    now           epoch seconds
    patient       true: off the event loop, with the larger budgets; a Patience says whether the
                  result is still wanted
    meter         the nodes that its JSONPaths may visit; None: each as many as one evaluation may
    late          whether the event loop has been held for as long as it may; only asked if not
                  `patient`
    """

    __slots__ = (
        "input",
        "variables",
        "context",
        "result",
        "error_output",
        "entropy",
        "now",
        "patient",
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
        patient: "bool | Patience" = True,
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
        self.result, self.error_output, self.patient, self.meter, self.late = (
            result,
            error_output,
            patient,
            meter,
            late,
        )

    def pause(self) -> None:
        """Called before each part of an evaluation that may take long. Raises InlineBudgetError,
        EvaluationCancelledError.
        """
        if not self.patient:
            if self.late():
                raise InlineBudgetError
        elif self.patient is not True and self.patient.given_up:
            raise EvaluationCancelledError


Evaluator: TypeAlias = Callable[[Json, Env], Json]
