"""What `stepwell explain` does: the data flow of one state for a given input, and why it fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stepwell.asl import json_text
from stepwell.asl.compiler import compile_machine
from stepwell.asl.definition import StateMachine
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain import NOTE, WARNING, Hint
from stepwell.asl.explain.subject import WORKING, states
from stepwell.asl.files.definition_files import Source
from stepwell.asl.inference import Machine
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.lint import NOTE as ADVICE
from stepwell.asl.lint import lint
from stepwell.engine.clock import SystemClock
from stepwell.engine.core.model import Payload
from stepwell.engine.operations.data_flow import DataFlow, Given, as_json, trial
from stepwell.integrations.aws.task_shapes import parameter_faults
from stepwell.integrations.cli import exit_codes, files
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.output import data_flow as flow
from stepwell.integrations.cli.output import screen
from stepwell.integrations.cli.output.text import ndjson
from stepwell.integrations.cli.parsing import inputs
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits
from stepwell.integrations.tasks.results import result_shape


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
    parameters = files.parameters(param, params, limits)
    source = files.definition(file, parameters, "STANDARD", None, _any, limits, runs=False)
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
    more = _findings(file, source, machine, name, found, limits)
    found = replace(found, hints=(*found.hints, *more))
    if json:
        print(ndjson(as_json(found)))
    else:
        screen.write(flow.lines(found, screen.width(), stored=False), sys.stdout)
    return exit_codes.SUCCEEDED


def _any(resource: str) -> str:
    """Any Resource is known: nothing is called."""
    return resource


def _findings(
    file: Path,
    source: Source,
    machine: dict[str, Any],
    name: str,
    found: DataFlow,
    limits: Limits,
) -> Iterator[Hint]:
    """What the linter finds in the state, at places that no hint is about."""
    place = next(each.location for each in Machine(machine).states if each.name == name)
    said = {hint.field for hint in found.hints if hint.level != NOTE}
    functions = files.known_resource(files.functions_beside(file))
    known: Callable[[str], str | None] = lambda resource: (
        functions(resource) if resource.startswith("arn:") and not has_hole(resource) else resource
    )
    findings = lint(
        source.text, "STANDARD", limits, known, results=result_shape, parameters=parameter_faults
    )
    for each in findings:
        field = each.location.removeprefix(place).lstrip("/")
        inside = each.location == place or each.location.startswith(f"{place}/")
        inner = field.startswith(("States/", "Branches[", "ItemProcessor/", "Iterator/"))
        if inside and not inner and each.severity != ADVICE and field not in said:
            yield Hint(
                each.code, WARNING, field, each.message + ("" if each.message[-1:] in ".?" else ".")
            )


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
