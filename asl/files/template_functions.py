"""The functions that a template has beside its state machines."""

from collections.abc import Callable, Mapping
from functools import partial

from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_templates import split
from stepwell.asl.files.definition_texts import loader, parse
from stepwell.asl.files.templates.functions import FunctionCode, functions
from stepwell.asl.files.templates.stack import Stack
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

    beside, open_file  see read_definition()
    """
    filename, _ = split(filename)
    placeholders, parsed = parse(data, filename, parameters or {}, limits)
    if parsed.plain or parsed.broken:
        return []
    if parsed.body is not None:
        names = TerraformNames(parsed.body, placeholders, partial(beside, filename))
        placeholders.find = names.find
        return list(names.functions())
    load = loader(filename, placeholders, limits, open_file)
    stack = Stack(parsed.value, placeholders, load)
    placeholders.find = stack.find
    return list(functions(stack))
