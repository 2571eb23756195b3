"""Invalid machines: a valid one with one rule of the language broken."""

import copy
from collections.abc import Callable
from random import Random
from typing import Any, Final

from stepwell.conformance.run.case import states_of

State = dict[str, Any]
Break = Callable[
    [State, State, str], bool
]  # (definition, state, its name) -> whether the rule applies here


def breakable(r: Random, definition: State) -> tuple[str, str]:
    """(a rule, the name of a state in which it can be broken). All rules that apply are equally
    likely.
    """
    for rule in r.sample(sorted(RULES), len(RULES)):
        names = [name for name, _ in states_of(definition)]
        r.shuffle(names)
        for name in names:
            if broken(definition, rule, name) is not None:
                return rule, name
    raise AssertionError("StartAt can always be taken away")


def broken(definition: State, rule: str, name: str) -> State | None:
    """The definition with the rule broken in that state; None if the rule does not apply to it."""
    candidate = copy.deepcopy(definition)
    state = dict(states_of(candidate)).get(name)
    return candidate if state is not None and RULES[rule](candidate, state, name) else None


def _set(member: str, value: Any, types: str = "", language: str = "") -> Break:
    """Set a field to an invalid value, in states of some types and of one query language."""

    def apply(definition: State, state: State, name: str) -> bool:
        if types and state["Type"] not in types.split():
            return False
        if language and language != state.get(
            "QueryLanguage", definition.get("QueryLanguage", "JSONPath")
        ):
            return False
        state[member] = value
        return True

    return apply


def _without(member: str, types: str = "") -> Break:
    def apply(definition: State, state: State, name: str) -> bool:
        if member not in state or (types and state["Type"] not in types.split()):
            return False
        del state[member]
        return True

    return apply


def _machine(change: Callable[[State], object]) -> Break:
    def apply(definition: State, state: State, name: str) -> bool:
        change(definition)
        return True

    return apply


def _listed(member: str, change: Callable[[State], object]) -> Break:
    """Change the first entry of Choices, Retry or Catch."""

    def apply(definition: State, state: State, name: str) -> bool:
        if not state.get(member):
            return False
        change(state[member][0])
        return True

    return apply


def _retried(**wrong: Any) -> Break:
    return _set("Retry", [{"ErrorEquals": ["E1"], **wrong}], "Task Parallel Map")


def _both_ends(definition: State, state: State, name: str) -> bool:
    if "Next" not in state:
        return False
    state["End"] = True
    return True


def _two_times(definition: State, state: State, name: str) -> bool:
    if state["Type"] != "Wait" or "Seconds" not in state:
        return False
    state["Timestamp"] = "2001-02-03T04:05:06Z"
    return True


def _same_name(definition: State, state: State, name: str) -> bool:
    if state["Type"] != "Parallel":
        return False
    state["Branches"].append({"StartAt": name, "States": {name: {"Type": "Succeed"}}})
    return True


def _outer_variable(definition: State, state: State, name: str) -> bool:
    """An inner scope assigns a variable of an outer one."""
    if state["Type"] != "Parallel" or "Next" not in state:
        return False
    start = definition["StartAt"]
    if (
        definition["States"][start]["Type"] in ("Succeed", "Fail")
        or name == start
        or name not in definition["States"]
    ):
        return False
    definition["States"][start].setdefault("Assign", {})["taken"] = 1
    inner = state["Branches"][0]
    inner["States"][inner["StartAt"]].setdefault("Assign", {})["taken"] = 2
    return inner["States"][inner["StartAt"]]["Type"] not in ("Succeed", "Fail")


def _long_name(definition: State, state: State, name: str) -> bool:
    longer = "é" * 81
    definition["States"][longer] = {"Type": "Pass", "Next": definition["StartAt"]}
    definition["StartAt"] = longer
    return True


RULES: Final[dict[str, Break]] = {
    "StartAt is required": _machine(lambda machine: machine.pop("StartAt")),
    "States is required": _machine(lambda machine: machine.pop("States")),
    "StartAt is a state": _machine(lambda machine: machine.update(StartAt="nowhere")),
    "States is not empty": _machine(lambda machine: machine.update(States={})),
    "Version is 1.0": _machine(lambda machine: machine.update(Version="2.0")),
    "QueryLanguage is known": _machine(lambda machine: machine.update(QueryLanguage="XPath")),
    "TimeoutSeconds is a number": _machine(lambda machine: machine.update(TimeoutSeconds="10")),
    "all states can be reached": _machine(
        lambda machine: machine["States"].update(Lonely={"Type": "Succeed"})
    ),
    "fields are known": _set("Nex", "S1"),
    "Type is known": _set("Type", "Sleep"),
    "Type is required": _without("Type"),
    "Next is a state": _set("Next", "nowhere", "Choice Pass"),
    "Next or End": _without("End"),
    "not Next and End": _both_ends,
    "Succeed has no Next": _set("Next", "S1", "Succeed"),
    "Fail has no Next": _set("Next", "S1", "Fail"),
    "Fail has no OutputPath": _set("OutputPath", "$", "Fail"),
    "Choice has no ResultPath": _set("ResultPath", "$.r", "Choice"),
    "Pass has no Catch": _set("Catch", [{"ErrorEquals": ["States.ALL"], "Next": "S1"}], "Pass"),
    "Pass has no Retry": _set("Retry", [{"ErrorEquals": ["States.ALL"]}], "Pass"),
    "Wait has no Parameters": _set("Parameters", {}, "Wait"),
    "Choices is required": _without("Choices"),
    "Choices is not empty": _set("Choices", [], "Choice"),
    "Default is a state": _set("Default", "nowhere", "Choice"),
    "a rule has Next": _listed("Choices", lambda rule: rule.pop("Next")),
    "a rule has one operator": _listed(
        "Choices", lambda rule: rule.update(IsNull=True, IsString=True)
    ),
    "Branches is required": _without("Branches"),
    "Branches is not empty": _set("Branches", [], "Parallel"),
    "ItemProcessor is required": _without("ItemProcessor"),
    "MaxConcurrency is not negative": _set("MaxConcurrency", -1, "Map"),
    "Wait has one of its fields": _two_times,
    "a timestamp is one": _set("Timestamp", "yesterday", "Wait"),
    "Seconds is not negative": _set("Seconds", -1, "Wait"),
    "ErrorEquals is required": _listed("Catch", lambda catcher: catcher.pop("ErrorEquals")),
    "ErrorEquals is not empty": _listed("Catch", lambda catcher: catcher.update(ErrorEquals=[])),
    "States.ALL stands alone": _listed(
        "Catch", lambda catcher: catcher.update(ErrorEquals=["States.ALL", "E"])
    ),
    "Catch leads to a state": _listed("Catch", lambda catcher: catcher.update(Next="nowhere")),
    "MaxAttempts is not negative": _retried(MaxAttempts=-1),
    "BackoffRate is at least 1": _retried(BackoffRate=0.5),
    "IntervalSeconds is at least 1": _retried(IntervalSeconds=0),
    "InputPath is a path": _set("InputPath", "x", "Pass Choice Parallel Map", "JSONPath"),
    "ResultPath is a reference path": _set("ResultPath", "$.a[*]", "Pass Parallel Map", "JSONPath"),
    "ResultPath is in the input": _set("ResultPath", "$$.x", "Pass Parallel Map", "JSONPath"),
    "a dynamic field holds a path": _set("Parameters", {"x.$": "y"}, "Pass Parallel", "JSONPath"),
    "a dynamic field holds a known call": _set(
        "Parameters", {"x.$": "States.Nothing()"}, "Pass Parallel", "JSONPath"
    ),
    "a field has one name": _set("Parameters", {"x.$": "$", "x": 1}, "Pass Parallel", "JSONPath"),
    "JSONata has no InputPath": _set("InputPath", "$", "Pass Choice Parallel Map", "JSONata"),
    "JSONata has no Parameters": _set("Parameters", {}, "Pass Parallel", "JSONata"),
    "JSONata has no ResultPath": _set("ResultPath", None, "Pass Parallel Map", "JSONata"),
    "JSONPath has no Output": _set("Output", {}, "Pass Choice Parallel Map", "JSONPath"),
    "JSONPath has no Arguments": _set("Arguments", {}, "Parallel", "JSONPath"),
    "an expression can be read": _set("Output", "{% 1 + %}", "Pass Parallel Map", "JSONata"),
    "an expression ends": _set("Output", "{% 1", "Pass Parallel Map", "JSONata"),
    "a variable has a name": _set("Assign", {"1x": 1}, "Pass Parallel Map Choice Wait"),
    "states is reserved": _set("Assign", {"states": 1}, "Pass Parallel Map Choice Wait"),
    "state names are unique": _same_name,
    "a state's name has at most 80 letters": _long_name,
    "inner scopes do not hide": _outer_variable,
}
