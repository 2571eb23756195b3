"""Machines with one outcome, which is the same in every execution: those that run as a child of
another execution.
"""

import json
from dataclasses import replace
from random import Random
from typing import Any, Final

from stepwell.conformance.generate import case_of
from stepwell.conformance.generate.scripts import scripted
from stepwell.conformance.oracle import Outcome, outcomes
from stepwell.conformance.oracle.values import ANY, MISSING, Json, text
from stepwell.conformance.run.case import STANDARD, Case

State = dict[str, Any]

_AREAS: Final = ("paths", "composites", "variables")  # their machines never wait
# these have another value in each execution
_VOLATILE: Final = (
    "$$",
    "$states.context",
    "States.UUID",
    "States.MathRandom",
    "$uuid",
    "$random",
)


def is_volatile(definition: State) -> bool:
    written = json.dumps(definition)
    return any(word in written for word in _VOLATILE)


def deterministic_case(r: Random) -> Case:
    while True:
        case = case_of(r, r.choice(_AREAS))
        if not is_volatile(case.definition) and "TimeoutSeconds" not in case.definition:
            return replace(case, kind=STANDARD)


def only_outcome(definition: State, execution_input: Json) -> Outcome | None:
    """The one way in which an execution can end; None if there are several, or if its output is not
    determined.
    """
    found = list(outcomes(definition, execution_input, scripted))
    if len(found) > 1 or (found[0].output is not MISSING and ANY in text(found[0].output)):
        return None
    return found[0]
