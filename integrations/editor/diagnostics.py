"""The diagnostics of a definition in an editor: those of `stepwell validate`, and where it finds no
error, those of `stepwell lint`.
"""

from pathlib import Path

from stepwell.asl.checks import ERROR, STANDARD, Diagnostic
from stepwell.asl.files.templates.machines import machines_of_template
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.lint import lint
from stepwell.integrations.aws.task_shapes import parameter_faults
from stepwell.integrations.definitions.problems import (
    Problem,
    functions_beside,
    known_resource,
    placed,
    problems,
)
from stepwell.integrations.tasks.results import result_shape


def diagnose(text: str, path: Path) -> list[Problem]:
    """Of all state machines in a template."""
    machines = machines_of_template(text, str(path)) or ()
    files = [(Path(f"{path}#{each.name}"), each.type) for each in machines]
    if len(files) < 2:
        files = [(path, files[0][1] if files else STANDARD)]
    found = [problem for file, type in files for problem in _diagnose(text, file, type)]
    return [each for each in found if each.file == str(path)]


def _diagnose(text: str, path: Path, type: str) -> list[Problem]:
    functions = known_resource(functions_beside(path))
    source, found = problems(text, str(path), {}, type, functions)
    if source is None or any(each.severity == ERROR for each in found):
        return found

    def known(resource: str) -> str | None:
        return resource if has_hole(resource) else functions(resource)

    findings = lint(
        source.uniform,
        type,
        known_resource=known,
        sample=source.text,
        results=result_shape,
        parameters=parameter_faults,
    )
    seen = {(each.code, each.location) for each in found}
    found += [
        placed(source, Diagnostic(each.code, each.message, each.location, each.severity))
        for each in findings
        if (each.code, each.location) not in seen
    ]
    return found
