"""What `stepwell serve` and `stepwell env` do."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stepwell.engine.arns import Home
from stepwell.integrations import database
from stepwell.integrations.cli.commands import refusing
from stepwell.integrations.errors import Refused
from stepwell.integrations.services.registry import TABLE

if TYPE_CHECKING:
    from stepwell.integrations.services.iot.broker import Address

REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
DUMMY: Final = {"AWS_ACCESS_KEY_ID": "stepwell", "AWS_SECRET_ACCESS_KEY": "stepwell"}
PROFILE_VARIABLES: Final = (
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


@refusing
def serve(
    db: Path | None,
    host: str,
    port: int,
    functions: Path | None,
    region: str | None,
    account: str | None,
    credentials: Path | None,
    allow_host: Sequence[str],
    log_format: str,
    log_level: str,
    log_sink: str | None,
    retention_days: int,
    console: bool,
    read_only: bool,
    aws_endpoints: Sequence[str],
    allow_aws: bool,
    allow_private: bool,
    policies: Path | None,
    mqtt: str | None = None,
    smtp: str | None = None,
) -> int:
    from stepwell.integrations import serving
    from stepwell.integrations.server import log

    if functions is not None and not functions.is_dir():
        raise Refused(f"--functions {functions}: no such folder")
    if account is not None and not (len(account) == 12 and account.isascii() and account.isdigit()):
        raise Refused(f"--account {account}: an account id has twelve digits")
    settings = serving.Settings(
        database.database(db),
        host,
        port,
        functions.resolve() if functions else None,
        region,
        account,
        credentials,
        tuple(allow_host),
        log.Format(log_format),
        log_level,
        log_sink,
        retention_days,
        console,
        read_only,
        tuple(map(_endpoint, aws_endpoints)),
        allow_aws,
        allow_private,
        policies,
        _broker(mqtt) if mqtt else None,
        _mail_server(smtp) if smtp else None,
    )
    return serving.run(settings)


def _broker(url: str) -> Address:
    """Raises Refused, which does not tell the URL: it may have a password in it."""
    from stepwell.integrations.services.iot.broker import parse_address

    try:
        return parse_address(url)
    except ValueError:
        raise Refused(
            "--mqtt: not mqtt://[USER:PASSWORD@]HOST[:PORT], or the same with mqtts://"
        ) from None


def _mail_server(text: str) -> tuple[str, int]:
    """HOST:PORT, or HOST for port 25. Raises Refused."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.netloc == text and "@" not in text:
            return parts.hostname, parts.port or 25
    except ValueError:
        pass
    raise Refused(f"--smtp {text}: not HOST:PORT")


def _endpoint(text: str) -> tuple[str, str]:
    """[SERVICE=]URL -> (botocore's name of the service or "", URL). Raises Refused."""
    from stepwell.integrations.aws.models import service_name

    service, _, url = (
        text.partition("=") if not text.startswith(("http://", "https://")) else ("", "", text)
    )
    name = service_name(service) if service else ""
    if name is None:
        raise Refused(f"--aws-endpoint {text}: there is no AWS service {service!r}")
    if not url.startswith(("http://", "https://")):
        raise Refused(f"--aws-endpoint {text}: not [SERVICE=]URL")
    return name, url


def exports(
    endpoint: str, region: str | None, given: Mapping[str, str], home: Path, every: bool = False
) -> dict[str, str]:
    """The variables that point SDKs at a server, given those that are set already. Credentials are
    made up only if there are none.

    every  the embedded services, too
    """
    from stepwell.integrations.server.endpoint_variables import (
        endpoint_variable,
    )  # imported late: so is botocore

    has_keys = (
        any(given.get(name) for name in PROFILE_VARIABLES)
        or (home / ".aws" / "credentials").exists()
    )
    region = region or next(
        (given[name] for name in REGION_VARIABLES if given.get(name)), Home().region
    )
    return {
        "AWS_ENDPOINT_URL_SFN": endpoint,
        **(dict.fromkeys(sorted(map(endpoint_variable, TABLE)), endpoint) if every else {}),
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        **dict.fromkeys(REGION_VARIABLES, region),
        **({} if has_keys else DUMMY),
    }


SHELLS: Final = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": lambda name, value: f"set -gx {name} {shlex.quote(value)}",
    "powershell": lambda name, value: "$Env:{} = '{}'".format(name, value.replace("'", "''")),
    "dotenv": lambda name, value: f"{name}={value}",
}


@refusing
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
        raise Refused(f"--endpoint {endpoint}: not a URL such as http://localhost:8083")
    for name, value in exports(endpoint, region, os.environ, Path.home(), every).items():
        print(SHELLS[shell](name, value))
    return 0
