"""Definition files (.asl.json, .asl.yaml) -> JSON text, with ${Placeholders} replaced or left as
holes, and the line and column of each value.

A template of CloudFormation, SAM or Serverless with one state machine is read as its definition.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.checks import STANDARD
from stepwell.asl.evaluation import Json
from stepwell.asl.files import definition_templates, holes
from stepwell.asl.files.definition_texts import Parsed, Reading, decoded, is_yaml, parse, stack_of
from stepwell.asl.files.embedded import (
    Note,
    embedded_text,
    endless_files,
    missing_file,
    undefined_notes,
    unmatched_notes,
)
from stepwell.asl.files.placeholders import (
    MARK,
    NAME,
    OPEN,
    Known,
    Placeholders,
)
from stepwell.asl.files.templates.hcl_expressions import Scope
from stepwell.asl.files.templates.hcl_templates import rendered, template
from stepwell.asl.files.templates.intrinsic_functions import replaced as replaced_calls
from stepwell.asl.files.templates.machines import Find, machines, names
from stepwell.asl.files.templates.stack import Stack
from stepwell.asl.files.yaml_values import DefinitionFileError, Place
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.validate import shape_errors, validate

__all__ = [
    "DefinitionFileError",
    "Place",
    "Source",
    "Unfilled",
    "displayed",
    "is_yaml",
    "missing_values",
    "read_definition",
    "sampled",
]


class Unfilled(NamedTuple):
    """A placeholder without a value.

    name      "Queue", "AWS::Region", "var.queue"
    written   "${Queue}"
    place     in the file
    location  of the string that contains it, in `Source.text`
    needed    whether a value is needed to run the definition: not in a Comment, nor where its own
              text is valid and is not a plain name, as in a shell command
    whole     whether it is the whole string
    """

    name: str
    written: str
    place: Place
    location: str
    needed: bool
    whole: bool

    @property
    def shown(self) -> str:
        """As other tools write it, else ${Name}."""
        return f"${{{self.name}}}" if "${" in self.written else self.written


@dataclass(frozen=True, slots=True)
class Source:
    """A definition as JSON text.

    text      for CreateStateMachine; of a JSON file its own text, which validate() has to check
    locate    location (/States/X/Resource) -> (line, column) in the file; of a location that does
              not exist, that of the innermost object or array around it
    unfilled  the placeholders without a value; `text` has "${Name}" in their place, or after
              `sampled` a value that the place allows
    broken    (line, column) in the file where its text stops being JSON, and what to do about it
    draft     of a definition with unfilled placeholders
    calls     whether functions of a template, such as !GetAtt, are among them
    embedded  whether the file is a template that contains the definition
    others    reads the file again, with the placeholders of other tools
    undecided  those of `unfilled` that choose between the branches of an Fn::If. One is read
    instructions  of a template language: place, text. One branch of each is read
    unmatched  notes on placeholders and substitutions of a template: file, place, text
    """

    text: str
    filename: str
    locate: Callable[[str], Place]
    unfilled: tuple[Unfilled, ...] = ()
    broken: tuple[Place, str] | None = None
    draft: holes.Draft | None = None
    calls: bool = False
    embedded: bool = False
    others: Callable[[], "Source"] | None = None
    instructions: tuple[tuple[Place, str], ...] = ()
    unmatched: tuple[Note, ...] = ()
    undecided: tuple[Unfilled, ...] = ()

    @property
    def written(self) -> str:
        """The text with the placeholders without a value as they are written."""
        return self.draft.own if self.draft is not None else self.text

    @property
    def uniform(self) -> str:
        """The text with "${Name}" for all placeholders without a value, after `sampled`."""
        return self.draft.uniform() if self.draft is not None else self.text


def read_definition(
    data: bytes | str,
    filename: str,
    parameters: Mapping[str, Json] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    unfilled: bool = False,
    open_file: Callable[[str], bytes | None] = lambda path: None,
    beside: Callable[[str], Mapping[str, bytes]] = lambda path: {},
) -> Source:
    """The definition in a file's content: YAML if the file name ends in .yaml or .yml, else JSON.
    FILE#NAME is one of the state machines of a template. Raises DefinitionFileError.

    ${Name} is replaced by parameters["Name"] everywhere, like DefinitionSubstitutions of AWS SAM.
    Text within a string stays text: "${Seconds}" is a number only if the parameter is one, but a
    bare ${Seconds} in JSON may be. ${!Name} and $${Name} become ${Name}.

    unfilled  accept placeholders without a value
    open_file, beside  see Reading
    """
    source = _read(data, filename, Reading(parameters or {}, limits, open_file, beside))
    if source.unfilled and not unfilled:
        names = list(dict.fromkeys(each.name for each in source.unfilled))
        raise DefinitionFileError(
            filename, min(each.place for each in source.unfilled), missing_values(names)
        )
    return source


class _Outer(NamedTuple):
    """What is known of a file before it is read.

    others         whether placeholders of other tools are marked: see parse()
    find           what the template that names the file says of a name
    substitutions  of a template that is read again, with them as parameters: others in it may have
                   their names
    """

    others: bool | None = None
    find: Find = lambda name: None
    substitutions: Mapping[str, Known] | None = None


_NOTHING: Final = _Outer()


def _read(data: bytes | str, filename: str, reading: Reading, known: _Outer = _NOTHING) -> Source:
    again = partial(_read, data, filename, reading, known._replace(others=True))
    filename, name = definition_templates.split(filename)
    placeholders, parsed = parse(data, filename, reading, known.others)
    more = None if placeholders.others or not parsed.others else again
    if parsed.broken or parsed.plain:
        plain = _locator(parsed.places, None), (), parsed.broken
        return Source(parsed.text, filename, *plain, others=more, instructions=parsed.instructions)
    stack = stack_of(parsed, filename, placeholders, reading)
    outer = placeholders.find = names(stack, filename, placeholders, parsed, reading, known.find)
    if parsed.body is not None and parsed.instructions:
        filled = rendered(decoded(data, filename), Scope.of(outer))
        if filled is not None:  # nothing is left in it
            return _read(filled, f"{filename}#{name}" if name else filename, reading, known)
    whole = replaced_calls(parsed.value, placeholders, stack)
    text = parsed.text if whole == parsed.value else json_text.dumps(whole)
    machine, written = None, ""
    unknown: tuple[Note, ...] = ()
    if definition_templates.is_template(whole):
        machine = _chosen(machines(whole, stack, filename, reading, outer), name, filename, parsed)
        if machine.included:
            content = _included(machine, filename, parsed, reading)
            known = known._replace(find=outer)
            return _read(content, machine.included, reading.inside(filename), known)
        said = known.substitutions
        if said is None:
            said = _known(machine, placeholders)
        written = placeholders.unmarked(definition_templates.shown(machine.definition))
        unknown = undefined_notes(machine, filename, parsed, stack, placeholders)
        if elsewhere := _elsewhere(machine, filename, written, parsed, reading):
            content, file = elsewhere
            inside = said.get if machine.file else outer  # what it includes may have its names
            values = _values(machine, reading.parameters, stack, said)
            given = replace(reading.inside(filename), parameters=values)
            known = known._replace(find=inside)
            inner = _read_named(content, file, given, known, parsed.body is not None)
            notes = unmatched_notes(machine, filename, parsed, (), content, file)
            return replace(inner, unmatched=notes + unknown)
        values = {**machine.constants(), **reading.parameters}
        named = {each.name for each in placeholders.found} & values.keys()
        if known.substitutions is None and named:
            inner = _read(
                data,
                filename + f"#{name}" * bool(name),
                replace(reading, parameters=values),
                known._replace(substitutions=said),
            )
            notes = unmatched_notes(machine, filename, parsed, reading.parameters, written)
            return replace(inner, unmatched=notes + unknown)
        placeholders.find = lambda name: said.get(name) or outer(name)
        text, whole, places = embedded_text(machine, filename, placeholders, parsed)
        parsed = parsed._replace(places=partial(_merged, parsed.places, places))
    elif name is not None:
        message = f"there is no state machine {name} in it: the file is not a template"
        raise DefinitionFileError(filename, (1, 1), message)
    source = _source(text, whole, filename, placeholders, parsed, machine)
    notes = unknown
    if machine:
        notes += unmatched_notes(machine, filename, parsed, reading.parameters, written)
    return replace(source, others=more, instructions=parsed.instructions, unmatched=notes)


def _read_named(
    content: bytes, file: str, reading: Reading, known: _Outer, terraform: bool
) -> Source:
    """The file that a template names. terraform: the template is one of Terraform."""
    filled: str | bytes = content
    if terraform:
        filled, find = template(content, file, reading.parameters, known.find)
        known = known._replace(find=find)
    source = _read(filled, file, reading, known)
    # what was carried out in another way than Terraform does is read as it is written
    return (
        _read(content, file, reading, known) if source.broken and filled is not content else source
    )


def _values(
    machine: definition_templates.Embedded,
    parameters: Mapping[str, Json],
    stack: Stack,
    said: Mapping[str, Known],
) -> dict[str, Json]:
    """Of the placeholders of a definition in a file of its own: constant substitutions, and the
    parameters. A parameter of the template with the name of a substitution is not its value, as in
    a deployment: Stage: !Sub "orders-${Stage}".
    """
    constants = machine.constants()
    kept = {
        name: value
        for name, value in parameters.items()
        if not (name in (constants.keys() | said.keys()) and stack.has_parameter(name))
    }
    return {**constants, **kept}


def _merged(places: Callable[[], dict[str, Place]], more: dict[str, Place]) -> dict[str, Place]:
    return {**places(), **more}


def _elsewhere(
    machine: definition_templates.Embedded,
    filename: str,
    written: str,
    parsed: Parsed,
    reading: Reading,
) -> tuple[bytes, str] | None:
    """(content, name) of the file with the definition of a machine; None: the template has it."""
    files = definition_templates.other_files(machine, filename, written)
    for file in files:
        if (content := _content(machine, file, filename, parsed, reading)) is not None:
            return content, file
    if files:
        raise missing_file(machine, files[0], filename, parsed)
    return None


def _included(
    machine: definition_templates.Embedded, filename: str, parsed: Parsed, reading: Reading
) -> bytes:
    """The content of the file that is included for a machine. Raises DefinitionFileError."""
    file, _ = definition_templates.split(machine.included)
    if (content := _content(machine, file, filename, parsed, reading)) is None:
        raise missing_file(machine, file, filename, parsed)
    return content


def _content(
    machine: definition_templates.Embedded,
    file: str,
    filename: str,
    parsed: Parsed,
    reading: Reading,
) -> bytes | None:
    """Of a file with the definition of a machine. Raises DefinitionFileError for files that name
    one another without end.
    """
    if file in (filename, *reading.outer):
        raise endless_files(machine, file, filename, parsed)
    return reading.open_file(file)


def _known(machine: definition_templates.Embedded, placeholders: Placeholders) -> dict[str, Known]:
    """What a template says of the placeholders in the definition of a machine: substitutions with
    functions, and the values of Fn::Sub.
    """
    found = {name: placeholders.known(value) for name, value in machine.substitutions.items()}
    written = machine.definition if isinstance(machine.definition, str) else ""
    for number in MARK.findall(written):
        each = placeholders.found[int(number)]
        found.setdefault(each.name, each.known)
    return {name: known for name, known in found.items() if known is not None}


def missing_values(names: list[str]) -> str:
    """The message for names without a value."""
    flags = " ".join(f"--param {_quoted(name)}=VALUE" for name in names)
    return f"no value for {', '.join(f'${{{name}}}' for name in names)}: pass it with {flags}"


def _quoted(name: str) -> str:
    return name if NAME.fullmatch(name) else "'" + name.replace("'", "'\\''") + "'"


def sampled(
    source: Source,
    type: str = STANDARD,
    limits: Limits = DEFAULT_LIMITS,
    known_resource: Callable[[str], str | None] | None = None,
    runs: bool = False,
) -> Source:
    """The source with a value for each of its holes that its place allows. The parameters are those
    of validate().

    runs  what a template says of a hole is its value, also if a deployment may replace it
    """
    check: holes.Check = lambda value: validate(value, type, limits, known_resource).errors
    if source.draft is None and source.others is None:
        return source
    filled = _settled(source, check, runs)
    errors = source.others and validate(filled.text, type, limits, known_resource).errors
    if source.others is None or not errors:
        return filled
    other = _settled(source.others(), check, runs)
    left = validate(other.text, type, limits, known_resource).errors
    return other if len(left) < len(errors) else filled


def _settled(source: Source, check: holes.Check, runs: bool) -> Source:
    draft = source.draft
    if draft is None:
        return source
    holes.settle(draft, check, runs)
    unfilled = _unfilled(draft, source.locate) + source.undecided
    return replace(source, text=draft.filled(), unfilled=unfilled)


def displayed(source: Source, limits: Limits = DEFAULT_LIMITS) -> str:
    """The text of a source for a reader: "${Name}" stays wherever a string has the right type."""
    if source.draft is None:
        return source.text
    holes.settle(source.draft, lambda value: shape_errors(value, limits))
    return source.draft.filled()


def _unfilled(draft: holes.Draft, locate: Callable[[str], Place]) -> tuple[Unfilled, ...]:
    found, source = draft.placeholders.found, draft.placeholders.source
    unfilled = []
    for marked, hole in draft.holes.items():  # several strings may share a hole
        for number in MARK.findall(marked):
            if draft.placeholders.known_of(int(number)) is not None:
                continue
            name, written, offset, bare, other, _ = found[int(number)]
            if other and not bare and hole.value == hole.own:
                continue  # plain text
            location = draft.named(hole.location)
            place = json_text.place(source, offset) if offset >= 0 else locate(location)
            needed = hole.field != "Comment" and bool(
                NAME.fullmatch(name) or hole.value != hole.own
            )
            unfilled.append(Unfilled(name, written, place, location, needed, hole.whole))
    return tuple(sorted(unfilled, key=lambda each: each.place))


def _source(
    text: str,
    whole: Json,
    filename: str,
    placeholders: Placeholders,
    parsed: Parsed,
    machine: definition_templates.Embedded | None,
) -> Source:
    """The source of a definition whose text, with marks, is JSON."""
    draft = holes.Draft(text, whole, placeholders) if OPEN in text else None
    locate = _locator(parsed.places, draft, machine.location if machine else "")
    embedded = machine is not None
    undecided = tuple(_undecided(whole, "/", placeholders, locate))
    if draft is None or not draft.holes:
        return Source(text, filename, locate, undecided, embedded=embedded, undecided=undecided)
    unfilled = _unfilled(draft, locate) + undecided
    calls = whole != parsed.value
    given = locate, unfilled, None, draft, calls, embedded
    return Source(draft.filled(), filename, *given, undecided=undecided)


def _undecided(
    value: Json, location: str, placeholders: Placeholders, locate: Callable[[str], Place]
) -> Iterator[Unfilled]:
    """The names that decide which branch of an Fn::If takes the place of one that was read."""
    if not placeholders.undecided or not isinstance(value, dict | list):
        return
    for name in placeholders.undecided.get(id(value), (None, []))[1]:
        yield Unfilled(name, f"${{{name}}}", locate(location), location, True, True)
    members = (
        ((json_text.member(location, key), each) for key, each in value.items())
        if isinstance(value, dict)
        else ((json_text.item(location, index), each) for index, each in enumerate(value))
    )
    for inside, each in members:
        yield from _undecided(each, inside, placeholders, locate)


def _chosen(
    machines: list[definition_templates.Embedded], name: str | None, filename: str, parsed: Parsed
) -> definition_templates.Embedded:
    try:
        return definition_templates.choose(machines, name, filename)
    except definition_templates.TemplateError as fault:
        place = json_text.nearest(parsed.places(), fault.location)
        raise DefinitionFileError(filename, place, fault.message) from None


def _locator(
    places: Callable[[], dict[str, Place]], draft: holes.Draft | None, prefix: str = ""
) -> Callable[[str], Place]:
    """Source.locate. prefix: the location of the definition in its template."""

    def locate(location: str) -> Place:
        found = places()
        if draft is not None:
            found = {draft.named(each): place for each, place in found.items()}
        return json_text.nearest(found, prefix + location if location != "/" else prefix or "/")

    return locate
