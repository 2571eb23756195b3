"""A redriven execution ends like one that did not fail."""

import copy
from dataclasses import replace
from random import Random
from typing import Any

from stepwell.conformance.generate.machines import Maker
from stepwell.conformance.generate.profiles import PROFILES
from stepwell.conformance.generate.scripts import ACTIVITIES, ACTIVITY, expected
from stepwell.conformance.generate.values import state_input, value
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.case import STANDARD, Case, states_of
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.compare import differences

State = dict[str, Any]


def redrive_case(r: Random) -> Case:
    """States, a task that fails until the execution is redriven, and states; sometimes all of it in
    a branch or in iterations.
    """
    execution_input = state_input(r)
    maker = Maker(r, PROFILES["variables"], execution_input)
    depth, wrap = r.randrange(2), r.choice(("", "Parallel", "Map"))
    in_map = wrap == "Map"
    first, _ = maker.block(execution_input, depth, {}, in_map)
    output = value(r)
    task = {
        "Type": "Task",
        "Resource": ACTIVITY.format(r.randrange(ACTIVITIES)),
        "QueryLanguage": "JSONata",
        "Arguments": {
            "script": [{"error": "Undone", "cause": "redrive it"}, {"output": output}],
            "turn": "{% $states.context.Execution.RedriveCount %}",
        },
    }
    after, _ = maker.block(output, depth, {}, in_map)
    for state in first["States"].values():
        if state["Type"] == "Succeed":
            state.update(Type="Pass", Next="Undone")
        elif state.pop("End", None):
            state["Next"] = "Undone"
    states = {**first["States"], "Undone": {**task, "Next": after["StartAt"]}, **after["States"]}
    block: State = {"StartAt": first["StartAt"], "States": states}
    if wrap == "Parallel":
        around: State = {"Type": "Parallel", "Branches": [block], "End": True}
        block = {"StartAt": "Around", "States": {"Around": around}}
    if wrap == "Map":
        around = {
            "Type": "Map",
            "QueryLanguage": "JSONata",
            "Items": [execution_input, execution_input],
            "ItemProcessor": block,
            "End": True,
        }
        block = {"StartAt": "Around", "States": {"Around": around}}
    language = {"QueryLanguage": "JSONata"} if maker.language == "JSONata" else {}
    return Case({**language, **block}, execution_input, STANDARD, "redrive")


def redrive_problems(runner: Runner, case: Case) -> list[str]:
    undisturbed = copy.deepcopy(case.definition)
    for name, state in states_of(undisturbed):
        if name == "Undone":
            state["Arguments"]["script"] = state["Arguments"]["script"][1:]
    (wanted, *others) = expected(replace(case, definition=undisturbed))
    (before, *more) = expected(case)
    if others or more or before.error != "Undone" or wanted.status != "SUCCEEDED":
        return []
    run = runner.run(case)
    found = differences([before], run)
    if found:
        return found
    again = runner.redrive(run.arn)
    found = [f"redriven: {line}" for line in differences([wanted], replace(again, history=()))]
    return found + [
        f"redriven: {line}"
        for line in metamorphic_checks.of_history(again.history)
        if "times and entered" not in line
    ]


def same_redrive(case: Case, smaller: Case) -> bool:
    """The task that fails until it is redriven is still there."""
    one, other = (
        [state for name, state in states_of(each.definition) if name == "Undone"]
        for each in (case, smaller)
    )
    return [each["Arguments"] for each in one] == [each.get("Arguments") for each in other]
