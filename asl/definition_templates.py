"""Definitions within other files: templates of CloudFormation and SAM, serverless.yml, and answers
of DescribeStateMachine.
"""

from typing import Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import member

_TYPES: Final = ("AWS::Serverless::StateMachine", "AWS::StepFunctions::StateMachine")
_FIELDS: Final = ("Definition", "DefinitionString", "DefinitionUri", "DefinitionS3Location")


class Embedded(NamedTuple):
    """A state machine of a template.

    name        of the resource
    location    of its definition in the template
    definition  an object, JSON text, or what the template has instead
    file        whether `definition` names a file
    """

    name: str
    location: str
    definition: Json
    file: bool = False


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


def embedded(value: Json) -> list[Embedded]:
    """The state machines of a template."""
    if _is_answer(value):
        return [Embedded(str(value.get("name", "")), "/definition", value["definition"])]
    found = []
    for name, resource in _members(value, "Resources"):
        properties = resource.get("Properties")
        if resource.get("Type") in _TYPES and isinstance(properties, dict):
            inside = member(member(member("/Resources", name), "Properties"), "")
            for field in _FIELDS:
                if field in properties:
                    where, each = inside + field, properties[field]
                    found.append(Embedded(name, where, each, field not in _FIELDS[:2]))
                    break
    machines, inside = value, "/stateMachines"
    if isinstance(value.get("stepFunctions"), dict):
        machines, inside = value["stepFunctions"], "/stepFunctions/stateMachines"
    if _is_list(value):
        machines, inside = {"stateMachines": value}, "/"
    for name, machine in _members(machines, "stateMachines"):
        if "definition" in machine:
            where = member(member(inside, name), "definition")
            found.append(Embedded(name, where, machine["definition"]))
    return found


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
