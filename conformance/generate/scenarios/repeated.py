"""Relations between runs of one machine: a second run, one iteration at a time, branches in the
other order.
"""

import copy
import json
from dataclasses import replace
from random import Random
from typing import Final

from stepwell.conformance.generate import case_of
from stepwell.conformance.generate.machines import Maker
from stepwell.conformance.generate.profiles import PROFILES
from stepwell.conformance.generate.scripts import expected
from stepwell.conformance.generate.values import state_input
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.case import STANDARD, Case, states_of
from stepwell.conformance.run.case_runner import Runner

_AREAS: Final = ("composites", "failures", "variables", "histories")
# these have another value in each execution, or need another time
_VOLATILE: Final = (
    "$$.Execution.Name",
    "$$.StateMachine",
    "$$.Execution.Id",
    "States.UUID",
    "FULL",
)


def law_case(r: Random) -> Case:
    case = _parallel_case(r) if r.random() < 0.4 else case_of(r, r.choice(_AREAS))
    return replace(case, kind=STANDARD, area="laws")


def _parallel_case(r: Random) -> Case:
    """A machine of one Parallel."""
    execution_input = state_input(r)
    maker = Maker(r, PROFILES["composites"], execution_input)
    branches = [maker.block(execution_input, 1, {}, False)[0] for _ in range(2, r.randrange(3, 6))]
    language = {"QueryLanguage": "JSONata"} if maker.language == "JSONata" else {}
    state = {"Type": "Parallel", "Branches": branches, "End": True}
    definition = {"StartAt": "Beside", **language, "States": {"Beside": state}}
    return Case(definition, execution_input, STANDARD)


def law_problems(runner: Runner, case: Case) -> list[str]:
    """The history is well formed; a second run, a run with one iteration at a time and a run with
    the branches in the other order have the same result.
    """
    text = json.dumps(case.definition)
    if case.kind != STANDARD or len(expected(case)) > 1 or any(word in text for word in _VOLATILE):
        return []
    run = runner.run(case)
    found = [
        *metamorphic_checks.of_history(run.history),
        *metamorphic_checks.alike(run, runner.run(case)),
    ]
    if run.status != "SUCCEEDED" or found:
        return found
    single = copy.deepcopy(case.definition)
    for _, state in states_of(single):
        if state["Type"] == "Map":
            state.pop("MaxConcurrencyPath", None)
            state["MaxConcurrency"] = 1
    found += [
        f"one iteration at a time: {line}"
        for line in metamorphic_checks.alike(run, runner.run(replace(case, definition=single)))
    ]
    start = case.definition["States"][case.definition["StartAt"]]
    if start["Type"] == "Parallel" and set(start) <= {"Type", "Branches", "End"}:
        turned = copy.deepcopy(case.definition)
        turned["States"][turned["StartAt"]]["Branches"].reverse()
        other = runner.run(replace(case, definition=turned))
        output = None if other.output is None else json.dumps(json.loads(other.output)[::-1])
        found += [
            f"branches the other way round: {line}"
            for line in metamorphic_checks.alike(run, replace(other, output=output))
        ]
    return found
