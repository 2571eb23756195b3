"""The definitions that a path stands for: a file, the machines of a template, all in a folder.

`stepwell test`, `validate`, `lint` and `format` search folders by the same rule.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_templates import Embedded, other_files, split
from stepwell.asl.files.templates.machines import machines_of_template
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

DEFINITIONS: Final = (".asl.json", ".asl.yaml", ".asl.yml", ".asl")
SCENARIOS: Final = (".test.yaml", ".test.yml", ".test.json")
_SKIPPED: Final = frozenset({"node_modules", "__pycache__", "cdk.out", "venv", "dist", "build"})
TEXTS: Final = (".json", ".yaml", ".yml", ".template", ".tf", ".tftpl", ".tpl", ".j2")
_SUFFIX: Final = re.compile(r"(\.asl)?\.(json|ya?ml)(\.\w+)?$|\.asl$", re.IGNORECASE)
_MOST_BYTES: Final = 4 << 20  # of a file that is looked into
_MACHINE: Final = tuple(
    re.compile(rf'^[\s{{"]*{field}"?\s*:|"{field}"'.encode(), re.MULTILINE)
    for field in ("StartAt", "States")
)
_TEMPLATE: Final = re.compile(
    rb"AWS::(?:Serverless|StepFunctions)::StateMachine|aws_sfn_state_machine|"
    rb"\bstateMachines\b|\bstepFunctions\b"
)
# of a module of Terraform, an answer of DescribeStateMachine
_DEFINITION: Final = re.compile(rb'\bdefinition"?\s*[:=]')


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder in order, without hidden folders and those of tools."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each[0] != "." and each not in _SKIPPED)
        yield from (Path(parent) / name for name in sorted(names))


def content(file: Path) -> bytes:
    """Of a text file; empty if it is too large to be a definition."""
    try:
        return file.read_bytes() if file.stat().st_size <= _MOST_BYTES else b""
    except OSError:
        return b""


def is_definition(file: Path, data: bytes) -> bool:
    """Whether a file is named as a definition, or has its two fields. data: of a .json file."""
    return file.name.endswith(DEFINITIONS) or (
        not file.name.endswith(SCENARIOS) and all(field.search(data) for field in _MACHINE)
    )


def file_of(path: Path) -> Path:
    """template.yaml#Orders, one of the state machines of a template -> template.yaml"""
    return path if path.exists() else Path(split(str(path))[0])


def definitions(
    paths: Iterable[Path], limits: Limits = DEFAULT_LIMITS, once: bool = False
) -> list[Path]:
    """The definitions of files and folders: template.yaml#Orders, template.yaml#Refunds for a
    template with several. Raises UsageError for a folder without any.

    once  leave out files of a folder that a template in it names as the definition of a machine
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            found.update(dict.fromkeys(machines(path, limits)))
            continue
        holding = [file for file in files_below(path) if _holds(file)]
        named = _named(holding, limits) if once else ()
        inside = [each for file in holding if file not in named for each in machines(file, limits)]
        if not inside:
            synthesized = path / "cdk.out"
            more = f": name {synthesized} for those of the CDK" * synthesized.is_dir()
            message = f"{path}: there is no definition of a state machine in this folder{more}"
            raise UsageError(message)
        found.update(dict.fromkeys(inside))
    return list(found)


def _named(files: Iterable[Path], limits: Limits) -> set[Path]:
    """The files that templates among these name."""
    return {
        Path(name)
        for file in files
        for each in template_machines(file, limits)
        for name in other_files(each, str(file), each.written)
    }


def machines(path: Path, limits: Limits = DEFAULT_LIMITS) -> Sequence[Path]:
    """A file, or the state machines of a template that has several."""
    found = template_machines(path, limits) if file_of(path) == path else []
    return [Path(f"{path}#{each.name}") for each in found] if len(found) > 1 else [path]


def template_machines(
    path: Path,
    limits: Limits = DEFAULT_LIMITS,
    parameters: Mapping[str, Json] | None = None,
) -> list[Embedded]:
    """All state machines of the template that a path names; none for other files.

    parameters  that their names may have
    """
    file = file_of(path)
    data = content(file)
    if not _may_be_template(file, data):
        return []
    return machines_of_template(data, str(file), limits, parameters, opened, beside) or []


def _may_be_template(file: Path, data: bytes) -> bool:
    """A look without parsing, in one pass."""
    if _TEMPLATE.search(data):
        return True
    return (b"StartAt" in data or file.suffix == ".tf") and bool(_DEFINITION.search(data))


def in_template(
    path: Path,
    limits: Limits = DEFAULT_LIMITS,
    parameters: Mapping[str, Json] | None = None,
) -> Embedded | None:
    """The state machine of a template that a path names, or the only one; None for other files."""
    _, name = split(str(path))
    machines = template_machines(path, limits, parameters)
    found = [each for each in machines if name in (None, each.name)]
    return found[0] if len(found) == 1 else None


def machine_name(
    path: Path,
    limits: Limits = DEFAULT_LIMITS,
    parameters: Mapping[str, Json] | None = None,
) -> str:
    """The name of the machine that a file defines: order.asl.json is "order". A template names its
    machine, or the resource does. parameters: see template_machines().
    """
    _, machine = split(path.name)
    found = in_template(path, limits, parameters)
    stem = (found and found.called) or machine or _SUFFIX.sub("", path.name)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "machine"


def _holds(file: Path) -> bool:
    if file.name.endswith(DEFINITIONS):
        return True
    if file.suffix not in TEXTS or file.name.endswith(SCENARIOS):
        return False
    data = content(file)
    return is_definition(file, data) or bool(template_machines(file))


def opened(path: str) -> bytes | None:
    """The content of a file that a template names; None if there is none."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def beside(path: str) -> dict[str, bytes]:
    """The content of the other files in a file's folder that have its ending."""
    file = Path(path)
    others = sorted(file.parent.glob(f"*{file.suffix}"))
    return {str(each): content(each) for each in others if each.name != file.name}
