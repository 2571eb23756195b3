"""The functions that a template has beside its state machines."""

from collections.abc import Callable, Mapping
from functools import partial

from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_templates import split
from stepwell.asl.files.definition_texts import Reading, parse, stack_of
from stepwell.asl.files.templates.functions import FunctionCode, functions
from stepwell.asl.files.templates.terraform_names import TerraformNames
from stepwell.asl.limits import DEFAULT_LIMITS, Limits


def template_functions(
    data: bytes | str,
    filename: str,
    parameters: Mapping[str, Json] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    beside: Callable[[str], Mapping[str, bytes]] = lambda path: {},
    open_file: Callable[[str], bytes | None] = lambda path: None,
) -> list[FunctionCode]:
    """Empty if the file is no template. Raises DefinitionFileError.

    beside, open_file  see Reading
    """
    filename, _ = split(filename)
    reading = Reading(parameters or {}, limits, open_file, beside)
    placeholders, parsed = parse(data, filename, reading)
    if parsed.plain or parsed.broken:
        return []
    if parsed.body is not None:
        names = TerraformNames(parsed.body, placeholders, partial(beside, filename))
        placeholders.find = names.find
        return list(names.functions())
    stack = stack_of(parsed, filename, placeholders, reading)
    placeholders.find = stack.find
    return list(functions(stack))
