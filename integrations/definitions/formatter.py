"""The formatted content of a definition file."""

from stepwell.asl import json_text
from stepwell.asl.files.definition_files import (
    DefinitionFileError,
    is_yaml,
    read_definition,
)
from stepwell.asl.files.formatting import formatted
from stepwell.asl.files.templates.machines import machines_of_template
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits


class LeftAsItIsError(Exception):
    """A file is not formatted; the text says why."""


def format_file(data: bytes | str, name: str, limits: Limits = DEFAULT_LIMITS) -> str:
    """Raises LeftAsItIsError, and UsageError if the content is not JSON."""
    if is_yaml(name):
        raise LeftAsItIsError("the comments and the layout of YAML would be lost")
    if machines_of_template(data, name, limits) is not None:
        raise LeftAsItIsError("it is a template")
    try:
        source = read_definition(data, name, None, limits, unfilled=True)
    except DefinitionFileError as fault:
        raise UsageError(str(fault)) from None
    if source.broken:
        (line, column), mend = source.broken
        raise UsageError(f"{name}:{line}:{column}: not JSON" + f": {mend}" * bool(mend))
    if source.instructions:
        raise LeftAsItIsError("it has instructions of a template language")
    if not _is_definition(source.text):
        raise LeftAsItIsError("it is not a definition, which has the fields StartAt and States")
    return formatted(data.decode("utf-8-sig") if isinstance(data, bytes) else data, limits)


def _is_definition(text: str) -> bool:
    value = json_text.loads(text)
    return isinstance(value, dict) and ("States" in value or "StartAt" in value)
