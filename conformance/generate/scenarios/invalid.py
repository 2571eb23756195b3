"""Definitions with one rule of the language broken: they are refused."""

import json
from dataclasses import replace
from random import Random
from typing import Final

from botocore.exceptions import ClientError

from stepwell.conformance.generate import case_of
from stepwell.conformance.generate.broken import breakable, broken
from stepwell.conformance.run.case import Case
from stepwell.conformance.run.case_runner import Runner

_IN_STATE: Final = " in the state "


def broken_case(r: Random) -> Case:
    """A valid machine; `note` has the rule that is broken before it is sent, and the state."""
    case = case_of(r)
    note = _IN_STATE.join(breakable(r, case.definition))
    return Case(case.definition, None, case.kind, "validator", note)


def broken_problems(runner: Runner, case: Case) -> list[str]:
    """CreateStateMachine refuses the broken definition, ValidateStateMachineDefinition fails it."""
    definition = broken(case.definition, *case.note.split(_IN_STATE))
    if definition is None:
        return []  # the case has shrunk: the rule no longer applies
    problems, sent = [], f"{case.note}: {json.dumps(definition, ensure_ascii=False)}"
    try:
        runner.run(replace(case, definition=definition))
        problems.append(f"accepted: {sent}")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code != "InvalidDefinition":
            problems.append(f"refused with {code}: {sent}")
    validation = runner.call(
        "ValidateStateMachineDefinition", definition=json.dumps(definition), type=case.kind
    )
    errors = any(each["severity"] == "ERROR" for each in validation["diagnostics"])
    if validation["result"] != "FAIL" or not errors:
        problems.append(f"validated as {validation['result']}: {sent}")
    return problems
