"""What `stepwell serve` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stepwell.integrations.cli import mock_options
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.database import naming
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits

if TYPE_CHECKING:
    from stepwell.integrations.services.iot.broker import Address
    from stepwell.integrations.settings import Settings


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
    named = naming.database(db)
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
