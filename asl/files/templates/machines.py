"""The state machines of a template, also those in files that a serverless.yml includes."""

import posixpath
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files import definition_templates
from stepwell.asl.files.definition_templates import Embedded
from stepwell.asl.files.definition_texts import Parsed, Reading, parse, stack_of
from stepwell.asl.files.placeholders import Known, Placeholders
from stepwell.asl.files.templates.intrinsic_functions import replaced
from stepwell.asl.files.templates.stack import Stack
from stepwell.asl.files.templates.terraform_names import TerraformNames
from stepwell.asl.files.yaml_values import DefinitionFileError
from stepwell.asl.limits import DEFAULT_LIMITS, Limits

Find: TypeAlias = Callable[[str], Known | None]
_INCLUDING: Final = "/stepFunctions/stateMachines"


def names(
    stack: Stack,
    filename: str,
    placeholders: Placeholders,
    parsed: Parsed,
    reading: Reading,
    outer: Find = lambda name: None,
) -> Find:
    """What a file says of its names. outer: what the template that names the file says of them."""
    find = stack.find
    if parsed.body is not None:
        find = TerraformNames(parsed.body, placeholders, partial(reading.beside, filename)).find
    return lambda name: outer(name) or find(name)


def machines_of_template(
    data: bytes | str,
    filename: str,
    limits: Limits = DEFAULT_LIMITS,
    parameters: Mapping[str, Json] | None = None,
    open_file: Callable[[str], bytes | None] = lambda path: None,
    beside: Callable[[str], Mapping[str, bytes]] = lambda path: {},
) -> list[Embedded] | None:
    """The state machines of a template; None if the file is not one, or cannot be parsed.

    parameters, open_file, beside  see Reading: names and types may need them
    """
    reading = Reading(parameters or {}, limits, open_file, beside)
    alone = Reading(parameters or {}, limits, beside=beside)  # another file may have mistakes
    for each in (reading, alone):
        with suppress(DefinitionFileError, json_text.JsonError):
            return _of_file(data, filename, each)
    return None


def _of_file(
    data: bytes | str, filename: str, reading: Reading, outer: Find = lambda name: None
) -> list[Embedded] | None:
    placeholders, parsed = parse(data, filename, reading)
    stack = stack_of(parsed, filename, placeholders, reading)
    find = placeholders.find = names(stack, filename, placeholders, parsed, reading, outer)
    value = replaced(parsed.value, placeholders, stack)
    if not definition_templates.is_template(value):
        return None
    shown, found = definition_templates.shown, machines(value, stack, filename, reading, find)
    return [each._replace(written=placeholders.unmarked(shown(each.definition))) for each in found]


def _with_substitutions(machine: Embedded, template: Json, stack: Stack) -> Embedded:
    """With the variables of a templatefile that are an expression: merge(local.common, {...})."""
    written = definition_templates.substitutions(machine, template)
    known = stack.value(written) if isinstance(written, str) else None
    if known is None or not isinstance(known.value, dict):
        return machine
    return machine._replace(substitutions=known.value)


def machines(
    value: Json, stack: Stack, filename: str, reading: Reading, find: Find
) -> list[Embedded]:
    """The state machines of a template. Raises DefinitionFileError of a file that it includes.

    value  whose functions are replaced
    find   what the template says of its names
    """
    found = definition_templates.embedded(value, stack.text)
    found = [_with_substitutions(each, value, stack) if each.file else each for each in found]
    for name, file, key in stack.included_machines():
        path = posixpath.normpath(posixpath.join(posixpath.dirname(filename), file))
        endless = path in (filename, *reading.outer)
        if endless or (data := reading.open_file(path)) is None:
            stem = posixpath.basename(path).partition(".")[0]
            found.append(Embedded(name or key or stem, _INCLUDING, {}, included=path))
            continue
        for each in _of_file(data, path, reading.inside(filename), find) or ():
            if key not in ("", each.name):
                continue
            alone = each.location == "/definition"  # the file is one machine, and has its name
            own = each.called if alone or each.called != each.name else ""
            within = path if alone else f"{path}#{each.name}"
            called = own or name or each.name
            named = each._replace(name=name or each.name, called=called, included=within)
            found.append(named._replace(location=_INCLUDING))
    return found
