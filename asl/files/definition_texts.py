"""The content of a definition file -> a JSON value whose placeholders are replaced or marked."""

import codecs
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files import json_mends, other_placeholders, template_blocks, terraform
from stepwell.asl.files.hcl_reader import Body
from stepwell.asl.files.placeholders import MARK, MarkedJson, Placeholders
from stepwell.asl.files.templates import sam_config
from stepwell.asl.files.templates.stack import Stack
from stepwell.asl.files.yaml_values import DefinitionFileError, Place, YamlReader
from stepwell.asl.limits import DEFAULT_LIMITS, Limits

_YAML_SUFFIXES: Final = (".yaml", ".yml")
_TEMPLATED: Final = re.compile(r"\.(?:tftpl|tpl|j2|jinja2?|hbs|mustache|erb|ejs|tmpl)$")
_TEMPLATE_WORDS: Final = re.compile(r'"(?:Fn::\w+|Ref|Resources|definition)"')
_MARKS: Final = {
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
}
# a value in YAML that begins as a placeholder of another tool does, and is not in quotes
_YAML_VALUE: Final = re.compile(
    r"^(\s*(?:- +)?(?:[\w.$\"'-]+: +)?)(\{\{|<%|@|%)(.*?)\s*$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Reading:
    """With what a file is read.

    parameters  values of its placeholders
    open_file   the content of a file that a template names; None if there is none
    beside      the other files of the same kind in a file's folder: those of a module of Terraform
    outer       the files that led to this one, by naming one another
    """

    parameters: Mapping[str, Json]
    limits: Limits = DEFAULT_LIMITS
    open_file: Callable[[str], bytes | None] = lambda path: None
    beside: Callable[[str], Mapping[str, bytes]] = lambda path: {}
    outer: tuple[str, ...] = ()

    def inside(self, filename: str) -> "Reading":
        """For the files that this one names."""
        return replace(self, outer=(*self.outer, filename))


class Parsed(NamedTuple):
    """The content of a file. value: None if it is not JSON; places: location -> place."""

    text: str
    value: Json
    places: Callable[[], dict[str, Place]]
    broken: tuple[Place, str] | None = None
    plain: bool = False  # a JSON file without placeholders and functions of templates
    others: bool = False  # whether it has what may be placeholders of other tools
    instructions: tuple[tuple[Place, str], ...] = ()  # of a template language
    body: Body | None = None  # of Terraform
    blocks: Mapping[str, Place] = {}  # see YamlReader


def is_yaml(filename: str) -> bool:
    """Also of a template of such a file: a.asl.yaml.tftpl."""
    return _TEMPLATED.sub("", filename.lower()).endswith(_YAML_SUFFIXES)


def parse(
    data: bytes | str, filename: str, reading: Reading, others: bool | None = None
) -> tuple[Placeholders, Parsed]:
    """Raises DefinitionFileError.

    others  whether placeholders of other tools are marked. None: if one of them has a value, or if
            the file cannot be parsed without
    """
    parameters, limits = reading.parameters, reading.limits
    text = decoded(data, filename)
    if mark := MARK.search(text):
        place = json_text.place(text, mark.start())
        raise DefinitionFileError(filename, place, "the private characters U+E000 and U+E001")
    read = _parse_json
    if is_yaml(filename) or (filename.endswith(".template") and text.lstrip()[:1] != "{"):
        read = _parse_yaml
    elif filename.endswith(terraform.SUFFIX):
        read = _parse_terraform
    first = bool(others)
    if others is None and parameters:
        first = not other_placeholders.names(text).isdisjoint(parameters)
    kept: DefinitionFileError | tuple[Placeholders, Parsed] | None = None
    marked = (True,) if others or first else (False, True)
    for content, attempt, instructions in _attempts(text, marked):
        placeholders = Placeholders(parameters, text, others=attempt)
        try:
            parsed = read(content, filename, placeholders, limits)
        except json_text.JsonError as fault:  # half of a surrogate pair in a parameter
            raise DefinitionFileError(filename, (1, 1), fault.message) from None
        except DefinitionFileError as fault:
            kept = kept or fault
            continue
        if not parsed.broken:
            places = tuple((json_text.place(text, at), words) for at, words in instructions)
            occur = other_placeholders.occur(text)
            return placeholders, parsed._replace(others=occur, instructions=places)
        kept = kept or (placeholders, parsed)
    if isinstance(kept, DefinitionFileError):
        raise kept
    assert kept is not None
    return kept


def _attempts(
    text: str, others: Sequence[bool]
) -> Iterator[tuple[str, bool, Sequence[template_blocks.Instruction]]]:
    """(text, whether placeholders of other tools are marked, the instructions left out)."""
    for other in others:
        yield text, other, ()
    blocks = template_blocks.Blocks(text)
    for each in blocks.texts():
        yield each, True, blocks.instructions


def _parse_json(text: str, filename: str, placeholders: Placeholders, limits: Limits) -> Parsed:
    marked = MarkedJson(text, placeholders)
    found: dict[str, Place] = {}

    def places() -> dict[str, Place]:
        if not found:  # scanned on first use
            each = json_text.positions(marked.text)
            found.update({location: marked.place(*at) for location, at in each.items()})
        return found

    if not (placeholders.found or _TEMPLATE_WORDS.search(text)):
        return Parsed(marked.text, None, places, _broken(marked), plain=True)
    try:
        value = json_text.loads(marked.text, limits.definition_depth)
    except json_text.JsonError:
        return Parsed(placeholders.unmarked(marked.text), None, places, _broken(marked))
    return Parsed(marked.text, value, places)


def _broken(marked: MarkedJson) -> tuple[Place, str] | None:
    try:
        json_text.loads(marked.text)
    except json_text.JsonError as fault:
        place = marked.place(max(fault.line, 1), max(fault.column, 1))
        offset = json_text.offset(marked.source, *place)
        if (at := json_mends.unclosed(marked.source, offset)) is not None:
            place, offset = json_text.place(marked.source, at), at
        return place, json_mends.mend(marked.source, offset, fault.message)
    return None


def _parse_yaml(text: str, filename: str, placeholders: Placeholders, limits: Limits) -> Parsed:
    # comments and indentation do not count as bytes of the definition, up to the same size
    if json_text.size(text) > 2 * limits.definition_bytes:
        raise DefinitionFileError(
            filename, (1, 1), f"the file is larger than {2 * limits.definition_bytes} bytes"
        )
    if placeholders.others:
        text = _YAML_VALUE.sub(_quoted, text)
    reader = YamlReader(filename, placeholders, limits)
    value = reader.read(text)
    return Parsed(json_text.dumps(value), value, lambda: reader.places, blocks=reader.blocks)


def _parse_terraform(
    text: str, filename: str, placeholders: Placeholders, limits: Limits
) -> Parsed:
    found = terraform.Terraform(text, filename, placeholders)
    return Parsed(json_text.dumps(found.value), found.value, lambda: found.places, body=found.body)


def stack_of(parsed: Parsed, filename: str, placeholders: Placeholders, reading: Reading) -> Stack:
    """What a template says of its names."""
    load = _loader(filename, placeholders, reading)
    overrides = partial(sam_config.parameters, filename, reading.open_file)
    return Stack(parsed.value, placeholders, load, overrides)


def _loader(filename: str, placeholders: Placeholders, reading: Reading) -> Callable[[str], Json]:
    """Path -> the value of the YAML or JSON file there, for templates that include parts of others.
    None: there is none that can be parsed.
    """
    folder = posixpath.dirname(filename)

    def load(path: str) -> Json:
        data = reading.open_file(posixpath.normpath(posixpath.join(folder, path.strip())))
        if data is None or not path.strip().endswith((*_YAML_SUFFIXES, ".json")):
            return None
        source, placeholders.source = placeholders.source, ""  # its marks are not in this file
        try:
            return YamlReader(path, placeholders, reading.limits).read(decoded(data, path))
        except DefinitionFileError:
            return None  # Serverless says what is wrong with it
        finally:
            placeholders.source = source

    return load


def _quoted(match: re.Match[str]) -> str:
    quote = "'"
    return match[1] + quote + (match[2] + match[3]).replace(quote, 2 * quote) + quote


def decoded(data: bytes | str, filename: str) -> str:
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    for mark, what in _MARKS.items():
        if data.startswith(mark):
            raise DefinitionFileError(filename, (1, 1), f"the file {what}")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as fault:
        place = json_text.place(data[: fault.start].decode(), fault.start)
        raise DefinitionFileError(
            filename,
            place,
            f"byte 0x{data[fault.start]:02x} is not UTF-8: save the file as UTF-8",
        ) from None
