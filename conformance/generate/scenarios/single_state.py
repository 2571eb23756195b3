"""TestState: a state by itself."""

import json
from dataclasses import replace
from random import Random

from stepwell.conformance.generate import case_of
from stepwell.conformance.generate.scenarios.deterministic import is_volatile, only_outcome
from stepwell.conformance.oracle.values import ANY
from stepwell.conformance.run.case import STANDARD, Case
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.compare import differences
from stepwell.conformance.run.endpoint import Run


def single_case(r: Random) -> Case:
    """A machine of one Pass state."""
    while True:
        case = case_of(r, "paths")
        state = case.definition["States"][case.definition["StartAt"]]
        if state["Type"] == "Pass" and not is_volatile(state):
            alone = {name: each for name, each in state.items() if name != "Next"} | {"End": True}
            return Case({"StartAt": "S", "States": {"S": alone}}, case.input, STANDARD, "single")


def single_problems(runner: Runner, case: Case) -> list[str]:
    """TestState has the same result as an execution of the state."""
    wanted = only_outcome(case.definition, case.input)
    if wanted is None:
        return []
    state = json.dumps(case.definition["States"]["S"])
    tested = runner.call(
        "TestState", definition=state, input=json.dumps(case.input), roleArn=runner.endpoint.role
    )
    run = Run("", tested["status"], tested.get("output"), tested.get("error"), None)
    return differences([replace(wanted, cause=ANY)], run)


def same_state(case: Case, smaller: Case) -> bool:
    return list(smaller.definition["States"]) == ["S"]
