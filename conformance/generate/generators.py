"""The areas of generated examples: how an example is made, and what must hold of its runs."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

from stepwell.conformance.generate import AREAS as MACHINES
from stepwell.conformance.generate import case_of, scenarios
from stepwell.conformance.generate.broken import breakable, broken
from stepwell.conformance.generate.scripts import scripted
from stepwell.conformance.generate.special import parallel_case, redrive_case
from stepwell.conformance.generate.translations import Untranslatable, twin
from stepwell.conformance.oracle import Outcome, Undetermined, outcomes
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.call_sequences import call_case, call_problems
from stepwell.conformance.run.case import EXPRESS, STANDARD, Case, states_of
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.compare import differences
from stepwell.conformance.run.endpoint import Run, Unfinished


def expected(case: Case) -> list[Outcome]:
    """What a case may come to. Raises Undetermined."""
    return list(outcomes(case.definition, case.input, scripted, case.kind == EXPRESS))


# --- machines against the oracle ------------------------------------------------------------------
def machine_problems(runner: Runner, case: Case) -> list[str]:
    wanted = expected(case)
    run = runner.run(case)
    return [
        *differences(wanted, run),
        *(metamorphic_checks.of_history(run.history) if run.history else ()),
    ]


# --- near-valid machines --------------------------------------------------------------------------
_IN_STATE: Final = " in the state "


def broken_case(r: Random) -> Case:
    """A sound machine; `note` says which rule is broken in it, and in which state, when it is
    sent.
    """
    case = case_of(r)
    return Case(
        case.definition, None, case.kind, "validator", _IN_STATE.join(breakable(r, case.definition))
    )


def broken_problems(runner: Runner, case: Case) -> list[str]:
    """The broken definition is refused, and the validator says so too."""
    definition = broken(case.definition, *case.note.split(_IN_STATE))
    if definition is None:
        return []  # it was made so small that nothing is left to break
    problems, sent = [], f"{case.note}: {json.dumps(definition, ensure_ascii=False)}"
    try:
        runner.run(replace(case, definition=definition))
        problems.append(f"accepted: {sent}")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code != "InvalidDefinition":
            problems.append(f"refused with {code}: {sent}")
    found = runner.call(
        "ValidateStateMachineDefinition", definition=json.dumps(definition), type=case.kind
    )
    if found["result"] != "FAIL" or not any(
        each["severity"] == "ERROR" for each in found["diagnostics"]
    ):
        problems.append(f"validated as {found['result']}: {sent}")
    return problems


# --- twins ----------------------------------------------------------------------------------------
def twin_case(r: Random) -> Case:
    while True:
        case = case_of(r, "twins")
        try:
            twin(case.definition)
        except Untranslatable:
            continue
        return case


def twin_problems(runner: Runner, case: Case) -> list[str]:
    """Where the JSONPath machine comes to an end of its own making, the JSONata one comes to the
    same.
    """
    try:
        other = twin(case.definition)
    except Untranslatable:
        return []
    if any(way.faults for way in expected(case)):
        return []
    one = runner.run(case)
    if (one.error or "").startswith("States."):
        return []
    two = runner.run(replace(case, definition=other))
    found = list(metamorphic_checks.alike(_as_doubles(one), _as_doubles(two)))
    return [f"JSONPath and its JSONata twin: {line}" for line in found]


def _as_doubles(run: Run) -> Run:
    """JSONata has no other numbers."""
    return replace(
        run,
        output=None if run.output is None else json.dumps(json.loads(run.output, parse_int=float)),
    )


_OWN: Final = ("$$.Execution.Name", "$$.StateMachine", "$$.Execution.Id", "States.UUID", "FULL")


# --- laws between runs ----------------------------------------------------------------------------
def law_case(r: Random) -> Case:
    case = (
        parallel_case(r)
        if r.random() < 0.4
        else case_of(r, r.choice(("composites", "failures", "variables", "histories")))
    )
    return replace(case, kind=STANDARD, area="laws")


def law_problems(runner: Runner, case: Case) -> list[str]:
    """A run has a sound history; a second one comes to the same, and so does one iteration after
    the other; branches may change places.
    """
    text = json.dumps(case.definition)
    if case.kind != STANDARD or len(expected(case)) > 1 or any(word in text for word in _OWN):
        return []  # several ways to go, or something that each run has of its own
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
        back = replace(
            other,
            output=None if other.output is None else json.dumps(json.loads(other.output)[::-1]),
        )
        found += [
            f"branches the other way round: {line}" for line in metamorphic_checks.alike(run, back)
        ]
    return found


# --- redrive --------------------------------------------------------------------------------------
def redrive_problems(runner: Runner, case: Case) -> list[str]:
    """An execution that failed and is redriven ends like one that did not fail."""
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


def always(case: Case, smaller: Case) -> bool:
    return True


def never(case: Case, smaller: Case) -> bool:
    return False


class Area(NamedTuple):
    """make: example -> Case. problems: what is wrong with its runs; raises Undetermined. same:
    whether a smaller case still asks the same (some expect what follows from how they were made).
    needs: what the endpoint must have beside the API itself. waits: whether most of the time is
    waiting, so that many run at once."""

    make: Callable[[Random], Case]
    problems: Callable[[Runner, Case], list[str]]
    same: Callable[[Case, Case], bool] = always
    needs: frozenset[str] = frozenset()
    waits: bool = False


def _machines(name: str) -> Callable[[Random], Case]:
    return lambda r: case_of(r, name)


AREAS: Final[dict[str, Area]] = {
    **{name: Area(_machines(name), machine_problems) for name in MACHINES},
    "twins": Area(twin_case, twin_problems),
    "laws": Area(law_case, law_problems),
    "redrive": Area(redrive_case, redrive_problems, same_redrive),
    "validator": Area(broken_case, broken_problems),
    "calls": Area(call_case, call_problems),
    "distributed": Area(
        scenarios.distributed_case, scenarios.distributed_problems, scenarios.same_map
    ),
    "nested": Area(scenarios.nested_case, scenarios.nested_problems, waits=True),
    "stopped": Area(scenarios.stopped_case, scenarios.stopped_problems, never, waits=True),
    "limits": Area(scenarios.limit_case, machine_problems),
    "single": Area(scenarios.single_case, scenarios.single_problems, scenarios.same_state),
    "declared": Area(scenarios.declared_case, scenarios.declared_problems, never),
    "functions": Area(
        scenarios.function_case,
        scenarios.function_problems,
        never,
        frozenset({"lambda"}),
        waits=True,
    ),
}


def problems(runner: Runner, case: Case) -> list[str]:
    """What is wrong with a case; none if nothing is, or if nobody can say."""
    try:
        return AREAS[case.area].problems(runner, case)
    except Undetermined:
        return []
    except ClientError as error:
        details: dict[str, Any] = dict(error.response["Error"])
        return [
            f"refused: {error.operation_name}: {details.get('Code')} {details.get('Message', '')}"
        ]
    except Unfinished as error:
        return [str(error)]
