"""What `stepwell serve` and `stepwell env` do."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from stepwell.engine.arns import Home
from stepwell.integrations import database
from stepwell.integrations.cli import exit_codes, mock_options
from stepwell.integrations.cli.errors import reports_errors
from stepwell.integrations.cli.files import with_limits
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.registry import TABLE

if TYPE_CHECKING:
    from stepwell.integrations.services.iot.broker import Address
    from stepwell.integrations.settings import Settings

REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
DUMMY_KEYS: Final = {"AWS_ACCESS_KEY_ID": "stepwell", "AWS_SECRET_ACCESS_KEY": "stepwell"}
KEY_VARIABLES: Final = (
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


# --- serve ----------------------------------------------------------------------------------------


@with_limits
def serve(*, limits: Limits, **options: Any) -> int:
    from stepwell.integrations import serving

    return serving.run(settings(**options), limits)


def settings(
    *,
    db: str | None,
    account: str | None,
    allow_host: Sequence[str] | None,
    log_format: str,
    log_level: str,
    mqtt: str | None,
    smtp: str | None,
    node_address: str | None,
    mocks: Path | None = None,
    mock_validation: str = "WARN",
    skip_time: bool,
    **others: Any,
) -> Settings:
    """The Settings of the command's options; `others` are those of task_settings.read(), and its
    fields as they are. Raises UsageError.
    """
    from stepwell.integrations.cli import task_settings
    from stepwell.integrations.server.log import Format
    from stepwell.integrations.settings import Settings

    tasks = {name: others.pop(name) for name in task_settings.OPTIONS}
    if account is not None and not (len(account) == 12 and account.isascii() and account.isdigit()):
        raise UsageError(f"--account {account}: an account id has twelve digits")
    mocking = mock_options.read(mocks, None, str(mock_validation))
    named = database.database(db)
    if skip_time and named.file is None:
        raise UsageError(
            f"--skip-time: {named} is shared with other nodes, whose clocks do not skip; use a "
            "SQLite file"
        )
    return Settings(
        db=named,
        skip_time=skip_time,
        account=account,
        allow_host=tuple(allow_host or ()),
        log_format=Format(log_format),
        log_level=str(log_level),
        mqtt=_broker(mqtt) if mqtt else None,
        smtp=_host_and_port("--smtp", smtp, 25) if smtp else None,
        node_address=_host_and_port("--node-address", node_address, 0) if node_address else None,
        mocks=mocking.file,
        mock_validation=mocking.validation,
        **vars(task_settings.read(**tasks)),
        **others,
    )


def _broker(url: str) -> Address:
    """Raises UsageError, whose text omits the URL: a password may be in it."""
    from stepwell.integrations.services.iot.broker import parse_address

    try:
        return parse_address(url)
    except ValueError:
        raise UsageError(
            "--mqtt: not mqtt://[USER:PASSWORD@]HOST[:PORT], or the same with mqtts://"
        ) from None


def _host_and_port(option: str, text: str, port: int) -> tuple[str, int]:
    """HOST:PORT, or HOST for the port that is given. Raises UsageError."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.netloc == text and "@" not in text:
            return parts.hostname, parts.port or port
    except ValueError:
        pass
    raise UsageError(f"{option} {text}: not HOST:PORT")


# --- env ------------------------------------------------------------------------------------------


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
    # imported late: it imports botocore
    from stepwell.integrations.server.endpoint_variables import endpoint_variable

    has_keys = (
        any(environment.get(name) for name in KEY_VARIABLES)
        or (home / ".aws" / "credentials").exists()
    )
    region = region or next(
        (environment[name] for name in REGION_VARIABLES if environment.get(name)), Home().region
    )
    return {
        "AWS_ENDPOINT_URL_SFN": endpoint,
        **(dict.fromkeys(sorted(map(endpoint_variable, TABLE)), endpoint) if every else {}),
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        **dict.fromkeys(REGION_VARIABLES, region),
        **({} if has_keys else DUMMY_KEYS),
    }


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
