"""The options of commands that run tasks, `run` and `serve`, as one object."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stepwell.integrations.definitions.template_functions import sources
from stepwell.integrations.errors import UsageError
from stepwell.integrations.settings import TaskSettings

OPTIONS: Final = ("functions", "aws_endpoint", "allow_aws", "allow_private")


def read(
    *,
    functions: Path | None = None,
    aws_endpoint: Sequence[str] | None = None,
    allow_aws: bool = False,
    allow_private: bool = False,
) -> TaskSettings:
    """Raises UsageError."""
    if functions is not None and not functions.exists():
        raise UsageError(f"--functions {functions}: no such folder")
    if functions is not None and functions.is_file() and not sources(functions, {}):
        raise UsageError(f"--functions {functions}: neither a folder nor a template with functions")
    return TaskSettings(
        functions=functions.resolve() if functions else None,
        aws_endpoints=tuple(map(_endpoint, aws_endpoint or ())),
        allow_aws=allow_aws,
        allow_private=allow_private,
    )


def _endpoint(text: str) -> tuple[str, str]:
    """[SERVICE=]URL -> (botocore's name of the service or "", URL). Raises UsageError."""
    from stepwell.integrations.aws.models import service_name

    has_service = not text.startswith(("http://", "https://"))
    service, _, url = text.partition("=") if has_service else ("", "", text)
    name = service_name(service) if service else ""
    if name is None:
        raise UsageError(f"--aws-endpoint {text}: there is no AWS service {service!r}")
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--aws-endpoint {text}: not [SERVICE=]URL")
    return name, url
