"""CloudFormation's intrinsic functions in a definition: {"Fn::GetAtt": ["F", "Arn"]}, `!Ref X`.

They have values in a template only. In a definition each of them is a placeholder: `!GetAtt F.Arn`
is like `${F.Arn}`, `!Ref X` like `${X}`; the text of Fn::Sub and the parts of Fn::Join stay.
"""

from typing import Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import Placeholders

_SHORT: Final = (
    "And", "Base64", "Cidr", "Condition", "Equals", "FindInMap", "GetAtt", "GetAZs", "If",
    "ImportValue", "Join", "Length", "Not", "Or", "Select", "Split", "Sub", "ToJsonString",
    "Transform",
)  # fmt: skip
_FULL: Final = {"Ref": "Ref", **{name: f"Fn::{name}" for name in _SHORT}}
FUNCTIONS: Final = frozenset(_FULL.values())
_NAME_CHARS: Final = 100  # of the name that an argument gives


def function_of(tag: str | None) -> str | None:
    """!GetAtt -> Fn::GetAtt; None for tags that are not CloudFormation's."""
    return _FULL.get(tag[1:]) if tag and tag.startswith("!") else None


def is_call(value: Json) -> bool:
    """Whether a value is an object with one member, which is named as a function."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in FUNCTIONS


def replaced(value: Json, placeholders: Placeholders) -> Json:
    """A value whose calls are replaced by their values, by marks, or by texts with marks."""
    if is_call(value):
        [(function, argument)] = value.items()
        return _called(function, replaced(argument, placeholders), placeholders)
    if isinstance(value, dict):
        return {key: replaced(each, placeholders) for key, each in value.items()}
    if isinstance(value, list):
        return [replaced(each, placeholders) for each in value]
    return value


def _called(function: str, argument: Json, placeholders: Placeholders) -> Json:
    first = argument[0] if isinstance(argument, list) and argument else None
    if function == "Fn::Sub":
        if isinstance(argument, str):
            return argument
        if isinstance(first, str):
            return first
    if function == "Fn::Join" and isinstance(first, str) and isinstance(argument[-1], list):
        return first.join(map(_text, argument[-1]))
    if function == "Fn::GetAtt" and isinstance(argument, list):
        argument = ".".join(map(_text, argument))
    name = placeholders.unmarked(_text(argument))[:_NAME_CHARS]
    if function not in ("Ref", "Fn::GetAtt"):
        name = f"{function.removeprefix('Fn::')} {name}"
    return placeholders.named(name)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json_text.dumps(value)
