"""A JSONPath machine and its JSONata translation have the same result."""

import json
from dataclasses import replace
from random import Random

from stepwell.conformance.generate import case_of
from stepwell.conformance.generate.scripts import expected
from stepwell.conformance.generate.translations import UntranslatableError, twin
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.case import Case
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.endpoint import Run


def twin_case(r: Random) -> Case:
    while True:
        case = case_of(r, "twins")
        try:
            twin(case.definition)
        except UntranslatableError:
            continue
        return case


def twin_problems(runner: Runner, case: Case) -> list[str]:
    """Not checked where a field or expression fails: the two languages have different errors."""
    try:
        other = twin(case.definition)
    except UntranslatableError:
        return []
    if any(way.expression_errors for way in expected(case)):
        return []
    one = runner.run(case)
    if (one.error or "").startswith("States."):
        return []
    two = runner.run(replace(case, definition=other))
    found = metamorphic_checks.alike(_with_doubles(one), _with_doubles(two))
    return [f"JSONPath and its JSONata twin: {line}" for line in found]


def _with_doubles(run: Run) -> Run:
    """The run with all numbers of its output as doubles: JSONata has no others."""
    if run.output is None:
        return run
    return replace(run, output=json.dumps(json.loads(run.output, parse_int=float)))
