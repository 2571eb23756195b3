"""Definitions within other files: templates of CloudFormation and SAM, serverless.yml, and answers
of DescribeStateMachine.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import OPEN, PLACEHOLDER
from stepwell.asl.files.templates.intrinsic_functions import is_call
from stepwell.asl.json_text import member

_TYPES: Final = ("AWS::Serverless::StateMachine", "AWS::StepFunctions::StateMachine")
_FIELDS: Final = ("Definition", "DefinitionString", "DefinitionUri", "DefinitionS3Location")
_NAMES: Final = ("StateMachineName", "Name", "name")  # CloudFormation, SAM, Serverless
_KINDS: Final = ("StateMachineType", "Type", "type")
_SUBSTITUTIONS: Final = "DefinitionSubstitutions"
_INCLUDED: Final = re.compile(r"\$\{file\(([^)]+)\)\}")  # of Serverless
_WORD: Final = re.compile(r"\w+")
_INSTRUCTION: Final = re.compile(r"%\{")
_FILE_AND_NAME: Final = re.compile(r"(.+)#([A-Za-z0-9_-]+)")


class TemplateError(ValueError):
    """No state machine of a template is the one that is meant. location: in the template."""

    def __init__(self, message: str, location: str = "/") -> None:
        super().__init__(message)
        self.message, self.location = message, location


class Embedded(NamedTuple):
    """A state machine of a template.

    name           of the resource
    location       of its definition in the template
    definition     an object, JSON text, or what the template has instead
    file           whether `definition` names a file
    substitutions  values of the placeholders in its definition
    called         the name that the template gives it, if that is text, else `name`
    complete       whether `substitutions` are known to be all
    type           STANDARD or EXPRESS
    written        the definition as text, with its placeholders
    included       the file with the machine, or FILE#NAME, if the template includes it
    """

    name: str
    location: str
    definition: Json
    file: bool = False
    substitutions: Mapping[str, Json] = {}
    called: str = ""
    complete: bool = False
    type: str = "STANDARD"
    written: str = ""
    included: str = ""

    def constants(self) -> dict[str, Json]:
        """The substitutions that are values; the others have functions of the template."""
        return {
            name: value
            for name, value in self.substitutions.items()
            if OPEN not in json_text.dumps(value)
        }


def split(filename: str) -> tuple[str, str | None]:
    """template.yaml#Orders -> template.yaml and Orders, a state machine of this template."""
    match = _FILE_AND_NAME.fullmatch(filename)
    return (match[1], match[2]) if match else (filename, None)


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and OPEN not in value else None


def is_template(value: Json) -> bool:
    """Whether a file is a template, and not a definition."""
    return (
        isinstance(value, dict)
        and "States" not in value
        and (
            any(
                isinstance(value.get(key), dict)
                for key in ("Resources", "stepFunctions", "stateMachines")
            )
            or isinstance(value.get("stepFunctions"), str)
            or _is_list(value)
        )
    ) or _is_answer(value)


def _is_list(value: dict[str, Json]) -> bool:
    """{"orders": {"definition": {...}}}: what serverless.yml includes as its stateMachines."""
    return bool(value) and all(
        isinstance(each, dict) and isinstance(each.get("definition"), dict)
        for each in value.values()
    )


def _is_answer(value: Json) -> bool:
    """{"name": ..., "definition": "{...}"}: of DescribeStateMachine, for CreateStateMachine."""
    return (
        isinstance(value, dict)
        and not {"States", "StartAt"} & value.keys()
        and isinstance(value.get("definition"), str | dict)
    )


def embedded(value: Json, text: Callable[[Json], str | None] = _text) -> list[Embedded]:
    """The state machines of a template. text: that of a name, if it is known."""
    if _is_answer(value):
        name = text(value.get("name")) or ""
        kind = _kind(value, text)
        return [Embedded(name, "/definition", value["definition"], called=name, type=kind)]
    found = []
    for name, resource in _members(value, "Resources"):
        properties = resource.get("Properties")
        if resource.get("Type") in _TYPES and isinstance(properties, dict):
            inside = member(member(member("/Resources", name), "Properties"), "")
            for field in _FIELDS:
                if field in properties:
                    where, each = inside + field, properties[field]
                    values = properties.get(_SUBSTITUTIONS, {})
                    substitutions = values if isinstance(values, dict) else {}
                    file = field not in _FIELDS[:2]
                    called = _called(name, properties, text)
                    complete = isinstance(values, dict) and not any("::" in key for key in values)
                    given = substitutions, called, complete, _kind(properties, text)
                    found.append(Embedded(name, where, each, file, *given))
                    break
    machines, inside = value, "/stateMachines"
    if isinstance(value.get("stepFunctions"), dict):
        machines, inside = value["stepFunctions"], "/stepFunctions/stateMachines"
    if _is_list(value):
        machines, inside = {"stateMachines": value}, "/"
    for name, machine in _members(machines, "stateMachines"):
        if "definition" in machine:
            where = member(member(inside, name), "definition")
            called = _called(name, machine, text)
            kind = _kind(machine, text)
            found.append(Embedded(name, where, machine["definition"], called=called, type=kind))
    return found


def _called(name: str, properties: Mapping[str, Json], text: Callable[[Json], str | None]) -> str:
    texts = [each for key in _NAMES if isinstance(each := properties.get(key), str)]
    return (text(texts[0]) if texts else None) or name


def _kind(properties: Mapping[str, Json], text: Callable[[Json], str | None]) -> str:
    express = any(text(properties.get(key)) == "EXPRESS" for key in _KINDS)
    return "EXPRESS" if express else "STANDARD"


class Unmatched(NamedTuple):
    """A placeholder without a substitution, or a substitution without a placeholder.

    offset    of the placeholder in the definition
    location  of the substitution in the template
    """

    name: str
    offset: int | None = None
    location: str = "/"


def unmatched(
    machine: Embedded, template: Json, text: str, filled: Iterable[str] = ()
) -> list[Unmatched]:
    """What the substitutions of a template and the placeholders of its definition do not share.

    template  as it is written
    text      the definition as it is written. Inside of a template its placeholders may be names of
              the template, so that only unused substitutions are known
    filled    names of placeholders that are replaced in it
    """
    if not machine.complete or is_call(substitutions(machine, template)):
        return []
    written = [each for each in PLACEHOLDER.finditer(text) if not (each[1] or each[2])]
    used = {word for each in written for word in _WORD.findall(each[0])} | {*filled}
    missing: dict[str, int] = {}
    if _INSTRUCTION.search(text):  # of Terraform: it may have variables of its own
        used |= set(_WORD.findall(text))
    elif machine.file:
        for each in written:
            name = each[3] or ""
            if _WORD.fullmatch(name) and name not in machine.substitutions:
                missing.setdefault(name, each.start())
    where = member(machine.location.rpartition("/")[0], _SUBSTITUTIONS)
    return [
        *(Unmatched(name, at) for name, at in missing.items()),
        *(
            Unmatched(name, None, member(where, name))
            for name in machine.substitutions
            if name not in used
        ),
    ]


def substitutions(machine: Embedded, template: Json) -> Json:
    """Those of a machine as they are written: a function or an expression may give them."""
    resource = dict(_members(template, "Resources")).get(machine.name, {})
    properties = resource.get("Properties")
    return properties.get(_SUBSTITUTIONS) if isinstance(properties, dict) else None


def _members(value: Json, key: str) -> list[tuple[str, dict[str, Json]]]:
    holder = value.get(key) if isinstance(value, dict) else None
    if not isinstance(holder, dict):
        return []
    return [(name, each) for name, each in holder.items() if isinstance(each, dict)]


def shown(value: Json) -> str:
    """What a DefinitionUri or a DefinitionS3Location names, as text."""
    if isinstance(value, dict) and isinstance(value.get("Bucket"), str):
        return f"s3://{value['Bucket']}/{value.get('Key', '')}"
    return value if isinstance(value, str) else json_text.dumps(value)


def choose(machines: Sequence[Embedded], name: str | None, filename: str) -> Embedded:
    """The state machine of this name, or the only one. Raises TemplateError."""
    if not machines:
        raise TemplateError("the file is a template with no state machine")
    found = [each for each in machines if name in (None, each.name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(each.name for each in machines)
    if name is not None:
        raise TemplateError(f"the template has no state machine {name}; it has {names}")
    choices = " or ".join(f"{filename}#{each.name}" for each in machines)
    raise TemplateError(
        f"the file is a template with {len(machines)} state machines: name {choices}"
    )


def other_files(machine: Embedded, filename: str, written: str) -> list[str]:
    """Where the definition of a machine may be, if it is not in the template; the first is the one
    that the template names.

    written  the definition in the template, as text
    """
    if machine.included:
        return [split(machine.included)[0]]
    included = _INCLUDED.fullmatch(written)
    if not (machine.file or included):
        return []
    name = included[1].strip() if included else written
    folder = posixpath.dirname(filename)
    if isinstance(machine.definition, dict):  # in a bucket; the CDK keeps a copy as an asset
        key = str(machine.definition.get("Key", ""))
        return [name, *(posixpath.join(folder, each) for each in (key, f"asset.{key}") if key)]
    return [name if name.startswith("s3://") else posixpath.normpath(posixpath.join(folder, name))]
