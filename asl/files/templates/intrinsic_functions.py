"""CloudFormation's intrinsic functions in a definition: {"Fn::GetAtt": ["F", "Arn"]}, `!Ref X`.

They have values in a template only. In a definition each of them is a placeholder: `!GetAtt F.Arn`
is like `${F.Arn}`, `!Ref X` like `${X}`; the text of Fn::Sub and the parts of Fn::Join stay.
stack.py knows the values that a template gives to the names.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import MARK, Known, Placeholders, as_text

_SHORT: Final = (
    "And", "Base64", "Cidr", "Condition", "Equals", "FindInMap", "GetAtt", "GetAZs", "If",
    "ImportValue", "Join", "Length", "Not", "Or", "Select", "Split", "Sub", "ToJsonString",
    "Transform",
)  # fmt: skip
_FULL: Final = {"Ref": "Ref", **{name: f"Fn::{name}" for name in _SHORT}}
FUNCTIONS: Final = frozenset(_FULL.values())
_NAME_CHARS: Final = 100  # of the name that an argument gives
_INCLUDE: Final = "AWS::Include"
NO_VALUE: Final = "AWS::NoValue"
_REMOVED: Final = object()  # the value of !Ref AWS::NoValue


class Names(Protocol):
    """What the names of a template stand for; None: not known."""

    @property
    def region(self) -> str: ...

    def condition(self, name: str) -> Known | None: ...

    def undecided(self, condition: str) -> list[str]:
        """The names without a value that decide a condition."""

    def mapped(self, keys: list[Json]) -> Json:
        """Of Fn::FindInMap. Raises LookupError."""


def function_of(tag: str | None) -> str | None:
    """!GetAtt -> Fn::GetAtt; None for tags that are not CloudFormation's."""
    return _FULL.get(tag[1:]) if tag and tag.startswith("!") else None


def is_call(value: Json) -> bool:
    """Whether a value is an object with one member, which is named as a function."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in FUNCTIONS


def replaced(value: Json, placeholders: Placeholders, names: Names) -> Json:
    """A value whose calls are replaced by their values, by marks, or by texts with marks."""
    found = _replaced(value, placeholders, names)
    return None if found is _REMOVED else found


def _replaced(value: Json, placeholders: Placeholders, names: Names) -> Json:
    if is_call(value):
        [(function, argument)] = value.items()
        if function == "Fn::If" and isinstance(argument, list) and len(argument) == 3:
            return _branch(argument, placeholders, names)
        argument = replaced(argument, placeholders, names)
        return _called(function, argument, placeholders, names)
    if isinstance(value, dict):
        members = {key: _replaced(each, placeholders, names) for key, each in value.items()}
        return {key: each for key, each in members.items() if each is not _REMOVED}
    if isinstance(value, list):
        items = [_replaced(each, placeholders, names) for each in value]
        return [each for each in items if each is not _REMOVED]
    return value


def _branch(argument: list[Json], placeholders: Placeholders, names: Names) -> Json:
    """The branch of Fn::If that a condition chooses; the first object or list of one whose value is
    not known.
    """
    condition, *branches = argument
    known = names.condition(condition) if isinstance(condition, str) else None
    if known is not None:
        return _replaced(branches[0 if known.value else 1], placeholders, names)
    found = [_replaced(each, placeholders, names) for each in branches]
    needed = names.undecided(condition) if isinstance(condition, str) else []
    for each in found:
        if isinstance(each, dict | list):
            placeholders.undecided[id(each)] = each, needed or [f"If {condition}"]
            return each
    written = [None if each is _REMOVED else each for each in found]
    name = _name("Fn::If", [condition, *written], placeholders)
    if name in placeholders.values:
        return placeholders.values[name]
    return placeholders.mark(needed[0] if needed else name, f"${{{name}}}", -1)


def _called(function: str, argument: Json, placeholders: Placeholders, names: Names) -> Json:
    first = argument[0] if isinstance(argument, list) and argument else None
    if function == "Fn::Sub":
        if isinstance(argument, str):
            return _substituted(argument, [], placeholders)
        if isinstance(first, str):
            return _substituted(first, argument[1:], placeholders)
    if function == "Ref" and argument == NO_VALUE:
        return _REMOVED
    if function == "Fn::Join" and isinstance(first, str) and isinstance(argument[-1], list):
        return first.join(map(as_text, argument[-1]))
    if function == "Fn::ToJsonString":
        return json_text.dumps(argument)
    if function == "Fn::GetAtt" and isinstance(argument, list):
        argument = ".".join(map(as_text, argument))
    name = _name(function, argument, placeholders)
    if name in placeholders.values:
        return placeholders.values[name]
    return placeholders.mark(
        name, f"${{{name}}}", -1, known=_value(function, argument, placeholders, names)
    )


def _name(function: str, argument: Json, placeholders: Placeholders) -> str:
    if function == "Fn::Transform" and isinstance(argument, dict):
        included = argument.get("Parameters")
        if argument.get("Name") == _INCLUDE and isinstance(included, dict):
            return f"file({included.get('Location')})"  # as Serverless writes it
    name = placeholders.unmarked(as_text(argument))[:_NAME_CHARS]
    if function not in ("Ref", "Fn::GetAtt"):
        name = f"{function.removeprefix('Fn::')} {name}"
    return name


def _substituted(text: str, more: list[Json], placeholders: Placeholders) -> str:
    """The text of Fn::Sub, whose second argument has values of some of its names."""
    values = more[0] if more and isinstance(more[0], dict) else {}
    for number in MARK.findall(text):
        found = placeholders.found[int(number)]
        placeholders.substituted[int(number)] = found.name in values
        if found.name in values:
            known = placeholders.known(values[found.name])
            placeholders.found[int(number)] = found._replace(known=known)
    return text


# --- values of the other functions ----------------------------------------------------------------


def _value(function: str, argument: Json, placeholders: Placeholders, names: Names) -> Known | None:
    """The value of a function whose arguments are known."""
    if function == "Fn::Condition":
        return names.condition(argument) if isinstance(argument, str) else None
    compute = _COMPUTED.get(function)
    known = placeholders.known(_conditions(argument, names)) if compute else None
    if known is None or compute is None:
        return None
    try:
        return known._replace(value=compute(known.value, names))
    except (LookupError, TypeError, ValueError, AttributeError):
        return None  # AWS refuses the template


def _conditions(argument: Json, names: Names) -> Json:
    """With the values of {"Condition": "Name"} that are known."""
    if not isinstance(argument, list):
        return argument
    found = []
    for each in argument:
        name = each.get("Condition") if isinstance(each, dict) and len(each) == 1 else None
        known = names.condition(name) if isinstance(name, str) else None
        found.append(each if known is None else known.value)
    return found


def _flags(argument: Json) -> list[bool]:
    """Raises TypeError for a condition whose value is not known."""
    if not all(isinstance(each, bool) for each in argument):
        raise TypeError
    return list(argument)


_COMPUTED: Final[Mapping[str, Callable[[Json, Names], Json]]] = {
    "Fn::And": lambda argument, names: all(_flags(argument)),
    "Fn::Base64": lambda argument, names: base64.b64encode(argument.encode()).decode(),
    "Fn::Equals": lambda argument, names: as_text(argument[0]) == as_text(argument[1]),
    "Fn::FindInMap": lambda argument, names: names.mapped(argument),
    "Fn::GetAZs": lambda argument, names: [f"{argument or names.region}{zone}" for zone in "abc"],
    "Fn::Join": lambda argument, names: argument[0].join(map(as_text, argument[1])),
    "Fn::Length": lambda argument, names: len(argument),
    "Fn::Not": lambda argument, names: not _flags(argument)[0],
    "Fn::Or": lambda argument, names: any(_flags(argument)),
    "Fn::Select": lambda argument, names: argument[1][int(argument[0])],
    "Fn::Split": lambda argument, names: argument[1].split(argument[0]),
}
