"""The definition of one machine of a template: its text, and what the notes on it are."""

from collections.abc import Iterable

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files import definition_templates, json_mends, terraform
from stepwell.asl.files.definition_texts import Parsed
from stepwell.asl.files.placeholders import MARK, PLACEHOLDER, MarkedJson, Placeholders
from stepwell.asl.files.templates.stack import Stack
from stepwell.asl.files.templates.undefined import undefined
from stepwell.asl.files.yaml_values import DefinitionFileError, Place

Note = tuple[str, Place, str]
"""File, place, text."""


def unmatched_notes(
    machine: definition_templates.Embedded,
    filename: str,
    parsed: Parsed,
    filled: Iterable[str],
    definition: bytes | str,
    file: str = "",
) -> tuple[Note, ...]:
    """Source.unmatched. filled: replaced names; file: the one of the definition, if it has one."""
    text = definition
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", "replace")
    whose = f"the DefinitionSubstitutions of {machine.name}"
    if filename.endswith(terraform.SUFFIX):
        whose = f"the variables of the templatefile of {machine.name}"
    notes = []
    for name, offset, location in definition_templates.unmatched(
        machine, parsed.value, text, filled
    ):
        if offset is None:
            place = json_text.nearest(parsed.places(), location)
            words = f"{whose} have {name}, which its definition does not use"
            notes.append((filename, place, words))
        else:
            place = json_text.place(text, offset)
            notes.append((file, place, f"{whose} in {filename} have no {name}"))
    return tuple(notes)


def undefined_notes(
    machine: definition_templates.Embedded,
    filename: str,
    parsed: Parsed,
    stack: Stack,
    placeholders: Placeholders,
) -> tuple[Note, ...]:
    """Source.unmatched, of names in a definition inside of a template of CloudFormation, and in its
    DefinitionSubstitutions.
    """
    if filename.endswith(terraform.SUFFIX) or not machine.location.startswith("/Resources/"):
        return ()
    if not machine.complete:
        return ()
    within = f"{machine.location.rpartition('/')[0]}/DefinitionSubstitutions"
    every = frozenset(each.name for each in placeholders.found)  # a text may have any
    values = undefined(dict(machine.substitutions), every, stack, placeholders)
    found = [each._replace(location=within + each.location) for each in values]
    if not machine.file:
        names = frozenset(machine.substitutions)
        inside = undefined(machine.definition, names, stack, placeholders)
        found += [each._replace(location=machine.location + each.location) for each in inside]
    notes = []
    for offset, location, message in found:
        place = json_text.nearest(parsed.places(), location)
        if offset >= 0:
            place = json_text.place(placeholders.source, offset)
        notes.append((filename, place, message))
    return tuple(notes)


def missing_file(
    machine: definition_templates.Embedded, file: str, filename: str, parsed: Parsed
) -> DefinitionFileError:
    mend = ", which is not there"
    if file.startswith("s3://"):
        mend = ": name a copy instead"
    elif match := PLACEHOLDER.search(file):
        mend = f", and {match[0]} has no value: name the file of the definition instead"
    return _elsewhere(machine, file, filename, parsed, mend)


def endless_files(
    machine: definition_templates.Embedded, file: str, filename: str, parsed: Parsed
) -> DefinitionFileError:
    return _elsewhere(machine, file, filename, parsed, ", which names this file again")


def _elsewhere(
    machine: definition_templates.Embedded, file: str, filename: str, parsed: Parsed, mend: str
) -> DefinitionFileError:
    place = json_text.nearest(parsed.places(), machine.location)
    return DefinitionFileError(
        filename, place, f"the definition of {machine.name} is in {file}{mend}"
    )


def embedded_text(
    machine: definition_templates.Embedded,
    filename: str,
    placeholders: Placeholders,
    parsed: Parsed,
) -> tuple[str, Json, dict[str, Place]]:
    """(text, value, places) of the definition in a template. places: of members in a text."""
    definition = machine.definition
    if not isinstance(definition, str):
        return json_text.dumps(definition), definition, {}
    place = json_text.nearest(parsed.places(), machine.location)
    known = placeholders.known(definition) if MARK.fullmatch(definition) else None
    if known is not None and isinstance(known.value, str):
        definition = known.value  # of a local in another file
    elif MARK.fullmatch(definition):  # of a function, such as an include
        message = f"the definition of {machine.name} is {placeholders.unmarked(definition)}: "
        raise DefinitionFileError(
            filename, place, f"{message}save it in a file of its own, or write it here"
        )
    before = len(placeholders.found)
    # a text may have placeholders outside of its strings; what is written so is text: ${!Name}
    escaped = PLACEHOLDER.sub(lambda match: f"${match[0]}", definition)
    marked = MarkedJson(placeholders.unmarked(escaped), placeholders)
    definition = marked.text
    placeholders.locate(before, json_text.offset(placeholders.source, *place))
    ways = ("", "[0]", "/Fn::Sub", "/Fn::Sub[0]")
    blocks = [each for way in ways if (each := parsed.blocks.get(machine.location + way))]
    above, indent = blocks[0] if blocks else (0, 0)
    try:
        value, positions = json_text.loads(definition), json_text.positions(definition)
    except json_text.JsonError as fault:
        line, column = marked.place(max(fault.line, 1), max(fault.column, 1))
        where = "" if blocks else f" in line {line}, column {column} of the text"
        place = (above + line, indent + column) if blocks else place
        message = f"the definition of {machine.name} is not JSON: {fault.message}{where}"
        offset = json_text.offset(placeholders.source, *place)
        if blocks and (mend := json_mends.mend(placeholders.source, offset, fault.message)):
            message = f"{message}: {mend}"
        raise DefinitionFileError(filename, place, message) from None
    if not blocks:
        return definition, value, {}
    found = {each: marked.place(*at) for each, at in positions.items() if each != "/"}
    return (
        definition,
        value,
        {
            machine.location + each: (above + line, indent + column)
            for each, (line, column) in found.items()
        },
    )
