"""Machines of a certain shape, for laws that ask for one."""

from random import Random
from typing import Any

from stepwell.conformance.generate.machines import Maker
from stepwell.conformance.generate.profiles import PROFILES
from stepwell.conformance.generate.scripts import ACTIVITIES, ACTIVITY
from stepwell.conformance.generate.values import state_input, value
from stepwell.conformance.run.case import STANDARD, Case

State = dict[str, Any]


def parallel_case(r: Random) -> Case:
    """Branches beside each other, and nothing else."""
    given = state_input(r)
    maker = Maker(r, PROFILES["composites"], given)
    branches = [maker.block(given, 1, {}, False)[0] for _ in range(2, r.randrange(3, 6))]
    language = {"QueryLanguage": "JSONata"} if maker.language == "JSONata" else {}
    definition = {
        "StartAt": "Beside",
        **language,
        "States": {"Beside": {"Type": "Parallel", "Branches": branches, "End": True}},
    }
    return Case(definition, given, STANDARD, "laws")


def redrive_case(r: Random) -> Case:
    """States, a task that fails until the execution is redriven, and states; perhaps all of it in a
    branch or an iteration.
    """
    given = state_input(r)
    maker = Maker(r, PROFILES["variables"], given)
    depth, wrap = r.randrange(2), r.randrange(3)
    in_map = wrap == 2
    first, _ = maker.block(given, depth, {}, in_map)
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
        if state.pop("End", None) or state["Type"] == "Succeed":
            state.update(Next="Undone") if state["Type"] != "Succeed" else state.update(
                Type="Pass", Next="Undone"
            )
    states = {**first["States"], "Undone": {**task, "Next": after["StartAt"]}, **after["States"]}
    block: State = {"StartAt": first["StartAt"], "States": states}
    if wrap == 1:
        block = {
            "StartAt": "Around",
            "States": {"Around": {"Type": "Parallel", "Branches": [block], "End": True}},
        }
    if wrap == 2:
        around = {
            "Type": "Map",
            "QueryLanguage": "JSONata",
            "Items": [given, given],
            "ItemProcessor": block,
            "End": True,
        }
        block = {"StartAt": "Around", "States": {"Around": around}}
    language = {"QueryLanguage": "JSONata"} if maker.language == "JSONata" else {}
    return Case({**language, **block}, given, STANDARD, "redrive")
