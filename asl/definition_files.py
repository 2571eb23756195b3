"""Definition files (.asl.json, .asl.yaml) -> JSON text, with ${Placeholders} replaced or left as
holes, and the line and column of each value.

A template of CloudFormation, SAM or Serverless with one state machine is read as its definition.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from stepwell.asl import definition_templates, holes, intrinsic_functions, json_mends, json_text
from stepwell.asl.checks import STANDARD
from stepwell.asl.evaluation import Json
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.placeholders import MARK, NAME, OPEN, MarkedJson, Placeholders
from stepwell.asl.validate import shape_errors, validate
from stepwell.asl.yaml_values import DefinitionFileError, Place, YamlReader

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

_INCLUDED: Final = re.compile(r"\$\{file\(([^)]+)\)[^}]*\}")  # of Serverless
_YAML_SUFFIXES: Final = (".yaml", ".yml")
_MARKS: Final = {
    b"\xef\xbb\xbf": "begins with a byte order mark: save it as UTF-8 without one",
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
}


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
    """

    text: str
    filename: str
    locate: Callable[[str], Place]
    unfilled: tuple[Unfilled, ...] = ()
    broken: tuple[Place, str] | None = None
    draft: holes.Draft | None = None
    calls: bool = False
    embedded: bool = False

    @property
    def written(self) -> str:
        """The text with "${Name}" for all placeholders without a value."""
        return self.draft.own if self.draft is not None else self.text


def read_definition(
    data: bytes | str,
    filename: str,
    parameters: Mapping[str, Json] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    unfilled: bool = False,
) -> Source:
    """The definition in a file's content: YAML if the file name ends in .yaml or .yml, else JSON.
    Raises DefinitionFileError.

    ${Name} is replaced by parameters["Name"] everywhere, like DefinitionSubstitutions of AWS SAM.
    Text within a string stays text: "${Seconds}" is a number only if the parameter is one, but a
    bare ${Seconds} in JSON may be. ${!Name} and $${Name} become ${Name}.

    unfilled  accept placeholders without a value
    """
    text = _decode(data, filename)
    if mark := MARK.search(text):
        place = json_text.place(text, mark.start())
        raise DefinitionFileError(filename, place, "the private characters U+E000 and U+E001")
    placeholders = Placeholders(parameters or {}, text)
    try:
        read = _read_yaml if is_yaml(filename) else _read_json
        source = read(text, filename, placeholders, limits)
    except json_text.JsonError as fault:  # half of a surrogate pair in a parameter
        raise DefinitionFileError(filename, (1, 1), fault.message) from None
    if source.unfilled and not unfilled:
        names = list(dict.fromkeys(each.name for each in source.unfilled))
        raise DefinitionFileError(
            filename, min(each.place for each in source.unfilled), missing_values(names)
        )
    return source


def is_yaml(filename: str) -> bool:
    return filename.lower().endswith(_YAML_SUFFIXES)


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
) -> Source:
    """The source with a value for each of its holes that its place allows. The parameters are those
    of validate().
    """
    draft = source.draft
    if draft is None:
        return source
    holes.settle(draft, lambda value: validate(value, type, limits, known_resource).errors)
    return replace(source, text=draft.filled(), unfilled=_unfilled(draft, source.locate))


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
            name, written, offset, _ = found[int(number)]
            location = draft.named(hole.location)
            place = json_text.place(source, offset) if offset >= 0 else locate(location)
            needed = hole.field != "Comment" and bool(
                NAME.fullmatch(name) or hole.value != hole.own
            )
            unfilled.append(Unfilled(name, written, place, location, needed, hole.whole))
    return tuple(sorted(unfilled, key=lambda each: each.place))


def _read_json(text: str, filename: str, placeholders: Placeholders, limits: Limits) -> Source:
    marked = MarkedJson(text, placeholders)
    places: dict[str, Place] = {}

    def all_places() -> dict[str, Place]:
        if not places:  # scanned on first use
            found = json_text.positions(marked.text)
            places.update({location: marked.place(*at) for location, at in found.items()})
        return places

    template = any(word in text for word in ('"Fn::', '"Ref"', '"Resources"', '"definition"'))
    if not (placeholders.found or template):
        return Source(marked.text, filename, _locator(all_places, None), broken=_broken(marked))
    try:
        value = json_text.loads(marked.text, limits.definition_depth)
    except json_text.JsonError:
        own = placeholders.unmarked(marked.text)
        return Source(own, filename, _locator(all_places, None), broken=_broken(marked))
    return _source(marked.text, value, filename, placeholders, all_places)


def _broken(marked: MarkedJson) -> tuple[Place, str] | None:
    try:
        json_text.loads(marked.text)
    except json_text.JsonError as fault:
        place = marked.place(max(fault.line, 1), max(fault.column, 1))
        return place, json_mends.mend(marked.source, json_text.offset(marked.source, *place))
    return None


def _read_yaml(text: str, filename: str, placeholders: Placeholders, limits: Limits) -> Source:
    # comments and indentation do not count as bytes of the definition, up to the same size
    if json_text.size(text) > 2 * limits.definition_bytes:
        raise DefinitionFileError(
            filename, (1, 1), f"the file is larger than {2 * limits.definition_bytes} bytes"
        )
    reader = YamlReader(filename, placeholders, limits)
    value = reader.read(text)
    return _source(json_text.dumps(value), value, filename, placeholders, lambda: reader.places)


def _source(
    text: str,
    value: Json,
    filename: str,
    placeholders: Placeholders,
    places: Callable[[], dict[str, Place]],
) -> Source:
    """The source of a file whose text, with marks, is JSON."""
    whole = intrinsic_functions.replaced(value, placeholders)
    prefix = ""
    if definition_templates.is_template(whole):
        prefix, whole, text = _embedded(whole, filename, placeholders, places)
    elif whole != value:
        text = json_text.dumps(whole)
    draft = holes.Draft(text, whole, placeholders) if OPEN in text else None
    locate = _locator(places, draft, prefix)
    embedded = bool(prefix)
    if draft is None or not draft.holes:
        return Source(text, filename, locate, embedded=embedded)
    unfilled = _unfilled(draft, locate)
    return Source(draft.own, filename, locate, unfilled, None, draft, whole != value, embedded)


def _embedded(
    value: Json,
    filename: str,
    placeholders: Placeholders,
    places: Callable[[], dict[str, Place]],
) -> tuple[str, Json, str]:
    """(location, definition, its text) of the only state machine of a template."""
    machines = definition_templates.embedded(value)
    if len(machines) != 1:
        names = ", ".join(each.name for each in machines[:10])
        what = f"{len(machines)} state machines ({names})" if machines else "no state machine"
        mend = "save the definition of one in a file of its own"
        if machines and all(each.file for each in machines):
            uris = ", ".join(definition_templates.shown(each.definition) for each in machines[:10])
            mend = f"their definitions are in other files: {uris}"
        raise DefinitionFileError(filename, (1, 1), f"the file is a template with {what}: {mend}")
    [machine] = machines
    place = json_text.nearest(places(), machine.location)
    definition = machine.definition
    shown = definition_templates.shown(definition)
    included = _INCLUDED.fullmatch(placeholders.unmarked(shown))
    if machine.file or included:
        shown = included[1].strip() if included else shown
        shown = f"a copy of {shown}" if shown.startswith("s3://") else shown
        message = f"the definition of {machine.name} is in another file: name {shown} instead"
        raise DefinitionFileError(filename, place, message)
    if not isinstance(definition, str):
        return machine.location, definition, json_text.dumps(definition)
    # a text may have placeholders outside of its strings
    definition = MarkedJson(placeholders.unmarked(definition), placeholders).text
    try:
        return machine.location, json_text.loads(definition), definition
    except json_text.JsonError as fault:
        message = (
            f"the definition of {machine.name} is not JSON: {fault.message} in line {fault.line}, "
            f"column {fault.column} of the text"
        )
        raise DefinitionFileError(filename, place, message) from None


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


def _decode(data: bytes | str, filename: str) -> str:
    if isinstance(data, str):
        return data
    for mark, what in _MARKS.items():
        if data.startswith(mark):
            raise DefinitionFileError(filename, (1, 1), f"the file {what}")
    try:
        return data.decode()
    except UnicodeDecodeError as fault:
        place = json_text.place(data[: fault.start].decode(), fault.start)
        raise DefinitionFileError(
            filename,
            place,
            f"byte 0x{data[fault.start]:02x} is not UTF-8: save the file as UTF-8",
        ) from None
