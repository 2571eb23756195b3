"""What a shell evaluates: the variables of `stepwell env`, the script of `stepwell completion`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from stepwell.engine.arns import Home
from stepwell.integrations.cli import completion as completing
from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.errors import reports_errors
from stepwell.integrations.errors import UsageError

REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
DUMMY_KEYS: Final = {"AWS_ACCESS_KEY_ID": "stepwell", "AWS_SECRET_ACCESS_KEY": "stepwell"}
KEY_VARIABLES: Final = (
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def exports(
    endpoint: str,
    region: str | None,
    environment: Mapping[str, str],
    home: Path,
    every: bool = False,
) -> dict[str, str]:
    """The variables that direct SDKs to a server. Credentials are generated only if the environment
    and the user's home folder have none; so is the region.

    every  for the embedded services, too
    """
    has_keys = (
        any(environment.get(name) for name in KEY_VARIABLES)
        or (home / ".aws" / "credentials").exists()
    )
    region = region or next(
        (environment[name] for name in REGION_VARIABLES if environment.get(name)), Home().region
    )
    return {
        "AWS_ENDPOINT_URL_SFN": endpoint,
        **(dict.fromkeys(_variables(), endpoint) if every else {}),
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        **dict.fromkeys(REGION_VARIABLES, region),
        **({} if has_keys else DUMMY_KEYS),
    }


def _variables() -> list[str]:
    """Of the endpoints of all embedded services."""
    # imported late: they import botocore
    from stepwell.integrations.server.endpoint_variables import endpoint_variable
    from stepwell.integrations.services.registry import TABLE

    return sorted(map(endpoint_variable, TABLE))


SHELLS: Final = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": lambda name, value: f"set -gx {name} {shlex.quote(value)}",
    "powershell": lambda name, value: "$Env:{} = '{}'".format(name, value.replace("'", "''")),
    "dotenv": lambda name, value: f"{name}={value}",
}


@reports_errors
def env(endpoint: str, region: str | None, shell: str, every: bool) -> int:
    try:
        parts = urlsplit(endpoint)
        good = (
            parts.scheme in ("http", "https")
            and parts.hostname
            and not set(endpoint) & set(" \t\r\n\"'`$\\")
            and (parts.port or 1)
        )
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"--endpoint {endpoint}: not a URL such as http://localhost:8083")
    for name, value in exports(endpoint, region, os.environ, Path.home(), every).items():
        print(SHELLS[shell](name, value))
    return exit_codes.SUCCEEDED


# --- completion -----------------------------------------------------------------------------------


@reports_errors
def completion(shell: str) -> int:
    print(completing.script(shell), end="")
    return exit_codes.SUCCEEDED
