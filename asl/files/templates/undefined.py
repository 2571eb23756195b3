"""Names in a definition that its template does not have: CloudFormation refuses the template, or
leaves the text as it is.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import MARK, NAME, Found, Placeholders
from stepwell.asl.files.templates.stack import Stack
from stepwell.asl.json_text import item, member

# transforms that add no resources but those that begin as an existing one
_TRANSFORMS: Final = ("AWS::Serverless-2016-10-31", "AWS::LanguageExtensions")
_GENERATED: Final = "Serverless"  # begin of SAM's own resources


class Undefined(NamedTuple):
    """offset: in the file, or -1; location: in the definition."""

    offset: int
    location: str
    message: str


def undefined(
    definition: Json, substitutions: frozenset[str], stack: Stack, placeholders: Placeholders
) -> Iterator[Undefined]:
    """substitutions: the names of DefinitionSubstitutions."""
    said = set()
    for number, location in _marks(definition, ""):
        found = placeholders.found[number]
        if found.name in said or found.other or not NAME.fullmatch(found.name):
            continue
        message = _message(number, found, substitutions, stack, placeholders)
        if message is not None:
            said.add(found.name)
            yield Undefined(found.offset, location, message)


def _message(
    number: int,
    found: Found,
    substitutions: frozenset[str],
    stack: Stack,
    placeholders: Placeholders,
) -> str | None:
    is_local = placeholders.substituted.get(number)
    if found.offset >= 0 and is_local is None:  # the text of no function
        if found.name in substitutions:
            return None
        return (
            f"{found.written} is neither within Fn::Sub nor in DefinitionSubstitutions: "
            "CloudFormation leaves it as it is"
        )
    id = found.name.partition(".")[0]
    if is_local or id.startswith("AWS::") or stack.defines(id) or not _closed(stack, id):
        return None
    return f"the template has no resource or parameter {id}"


def _closed(stack: Stack, id: str) -> bool:
    """Whether no transform may add a resource of this id."""
    given = stack.template.get("Transform", ())
    transforms = [given] if isinstance(given, str) else given
    if not isinstance(transforms, list | tuple) or not set(map(str, transforms)) <= {*_TRANSFORMS}:
        return False
    return not transforms or not id.startswith((_GENERATED, *stack.resources))


def _marks(value: Json, location: str) -> Iterator[tuple[int, str]]:
    """(number, location) of each mark."""
    if isinstance(value, str):
        yield from ((int(number), location) for number in MARK.findall(value))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _marks(each, item(location, index))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _marks(key, member(location, key))
            yield from _marks(each, member(location, key))
