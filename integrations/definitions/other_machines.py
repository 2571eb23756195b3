"""The other state machines that tasks of a definition start, and where their definitions are.

the same template -> NAME.asl.json beside the definition
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_templates import Embedded, split
from stepwell.engine.arns import split_case
from stepwell.integrations.definitions import folders
from stepwell.integrations.definitions.folders import DEFINITIONS, file_of

_NAME: Final = re.compile(r":stateMachine:((?:\$\{[^}]*\}|[^:])+)")
_HOLE: Final = re.compile(r"\$\{([^}]+)\}")
_WRITTEN: Final = r"([A-Za-z0-9_.-]+)"


def plain(name: str) -> str:
    """Names that are alike have the same: "order-flow", "OrderFlow"."""
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def started(reference: str) -> tuple[str, str | None]:
    """The name and the test case of the machine that a task starts: by its ARN, also that of a
    version or an alias; of ${Placeholder}, which has no value, that name.
    """
    arn, case = split_case(reference)
    match = _NAME.search(arn)
    name = match[1] if match else arn
    hole = _HOLE.fullmatch(name)
    return hole[1] if hole else name, case


def valid_name(reference: str) -> str:
    """The name of a state machine, of what started() returned."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", reference).strip("-") or "machine"


def named(text: str, machine_arn: str) -> list[str]:
    """The names of other machines of this machine's region and account whose ARNs a definition has
    anywhere: states may pass them on to the task that starts them.
    """
    prefix, _, own = machine_arn.rpartition(":")
    found = re.findall(f"{re.escape(prefix)}:{_WRITTEN}", text)
    return [name for name in dict.fromkeys(found) if name != own]


def in_template(file: Path | None) -> list[Embedded]:
    """The state machines of the template that a definition is in."""
    return [] if file is None else folders.template_machines(file)


def nearby(name: str, file: Path | None, parameters: Mapping[str, Json]) -> Path | None:
    """The definition of the state machine of this name: in the same template, or beside it.

    parameters  of the definition that has the name
    """
    if file is None:
        return None
    for each in folders.template_machines(file, parameters=parameters):
        if plain(name) in (plain(each.called), plain(each.name)):
            return Path(f"{split(str(file))[0]}#{each.name}")
    for other in sorted(file_of(file).parent.iterdir()):
        if other.name.endswith(DEFINITIONS) and plain(folders.machine_name(other)) == plain(name):
            return other
    return None
