"""The functions of a template, as the runtime of functions gets them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepwell.asl.files.definition_files import DefinitionFileError
from stepwell.asl.files.template_functions import template_functions
from stepwell.integrations.definitions.folders import beside, content, file_of, opened
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.services.runtime.folder import NAME, Source


def sources(
    path: Path, parameters: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS
) -> tuple[Source, ...]:
    """Of template.yaml or template.yaml#Machine; empty of another file. Raises UsageError."""
    file = file_of(path)
    try:
        found = template_functions(content(file), str(file), parameters, limits, beside, opened)
    except DefinitionFileError as fault:
        raise UsageError(str(fault)) from None
    return tuple(
        Source(
            each.name,
            str((file.parent / each.folder).resolve()),
            each.handler,
            str(file),
            dict(each.environment),
            each.seconds,
            each.memory_mb,
            each.code,
            each.ending,
        )
        for each in found
        if NAME.match(each.name)
    )
