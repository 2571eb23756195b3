"""What `stepwell explain` does: the data flow of one state for a given input, and why it fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stepwell.asl import json_text
from stepwell.asl.definition import StateMachine
from stepwell.asl.definition_files import Source
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain import NOTE, WARNING, Hint
from stepwell.asl.explain.definitions import mend
from stepwell.asl.explain.subject import WORKING, states
from stepwell.asl.inference import Machine
from stepwell.asl.lint import NOTE as ADVICE
from stepwell.asl.lint import lint
from stepwell.asl.program import compile_machine
from stepwell.engine.clock import SystemClock
from stepwell.engine.core.model import Payload
from stepwell.engine.operations.data_flow import DataFlow, Given, as_json, trial
from stepwell.integrations.aws.task_shapes import parameter_faults, result_shape
from stepwell.integrations.cli import exit_codes, files
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.output import data_flow as flow
from stepwell.integrations.cli.output import screen
from stepwell.integrations.cli.output.text import ndjson, printable
from stepwell.integrations.cli.parsing import inputs
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits


@with_limits
def explain(
    file: Path,
    state: str | None,
    input: str,
    context: str | None,
    variables: str | None,
    result: str | None,
    errors: Sequence[str],
    cause: str | None,
    param: Sequence[str],
    params: Path | None,
    json: bool,
    limits: Limits,
) -> int:
    source = _definition(file, files.parameters(param, params, limits), limits)
    machine = json_text.loads(source.text)
    name = state or machine["StartAt"]
    definition = _state(file, machine, name)
    if (result is not None or errors) and definition["Type"] not in WORKING:
        raise UsageError(
            f"--result, --error: {name!r} is a {definition['Type']} state and calls nothing"
        )
    given = Given(
        name,
        definition,
        json_text.loads(inputs.read_json(input, "--input", limits)),
        SystemClock(limits).now(),
        _object("--variables", variables, limits),
        None if context is None else _object("--context", context, limits),
        tuple(errors),
        cause,
        MISSING
        if result is None
        else json_text.loads(inputs.read_json(result, "--result", limits)),
        limits,
    )
    program = compile_machine(StateMachine.model_validate(machine), limits, Payload)
    found = trial(program, machine, given)
    found = replace(found, hints=(*found.hints, *_findings(source, machine, name, found, limits)))
    if json:
        print(ndjson(as_json(found)))
    else:
        screen.write(flow.lines(found, screen.width(), stored=False), sys.stdout)
    return exit_codes.SUCCEEDED


def _findings(
    source: Source, machine: dict[str, Any], name: str, found: DataFlow, limits: Limits
) -> Iterator[Hint]:
    """What the linter finds in the state, at places that no hint is about."""
    place = next(each.location for each in Machine(machine).states if each.name == name)
    said = {hint.field for hint in found.hints if hint.level != NOTE}
    known: Callable[[str], str] = lambda resource: resource
    findings = lint(
        source.text, "STANDARD", limits, known, results=result_shape, parameters=parameter_faults
    )
    for each in findings:
        field = each.location.removeprefix(place).lstrip("/")
        inside = each.location == place or each.location.startswith(f"{place}/")
        inner = field.startswith(("States/", "Branches[", "ItemProcessor/", "Iterator/"))
        if inside and not inner and each.severity != ADVICE and field not in said:
            yield Hint(each.code, WARNING, field, f"{each.message}.")


def _definition(file: Path, parameters: Mapping[str, Any], limits: Limits) -> Source:
    """A valid definition. Any Resource is known: nothing is called. Else its problems are printed,
    with the mends that are known.
    """
    known: Callable[[str], str] = lambda resource: resource
    given = (file, parameters, "STANDARD", None, known, limits)
    try:
        return files.definition(*given, runs=False)
    except UsageError:
        source, problems = files.problems(*given)
        machine = None if source is None or source.broken else json_text.loads(source.text)
        for problem in problems:
            if text := mend(problem.message, problem.location, machine):
                place = f"{problem.file}:{problem.line}:{problem.column}"
                print(printable(f"{place}: mend: {text}"), file=sys.stderr)
        raise


def _state(file: Path, machine: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    known = states(machine)
    if name not in known:
        raise UsageError(f"{file}: there is no state {name!r}; it has {', '.join(known)}")
    return known[name]


def _object(option: str, text: str | None, limits: Limits) -> dict[str, Json]:
    found = {} if text is None else json_text.loads(inputs.read_json(text, option, limits))
    if not isinstance(found, dict):
        raise UsageError(f"{option}: not a JSON object")
    return found
