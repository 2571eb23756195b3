"""The settings of a server, and the files that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.database import naming
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.limits import Limits
from stepwell.integrations.mocks.checks import Validation
from stepwell.integrations.server import log as server_log
from stepwell.integrations.server.host_check import is_loopback
from stepwell.integrations.server.sigv4 import Key, read_credentials
from stepwell.integrations.tasks.iam_policies import Policies, PolicyError

if TYPE_CHECKING:
    from stepwell.integrations.mocks.files import MockFile
    from stepwell.integrations.services.iot.broker import Address


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """How tasks reach functions and services: what `run` and `serve` have in common."""

    functions: Path | None = None
    """Folder of the Lambda functions, or a template with some; None: for each machine what
    `stepwell run` stored."""
    aws_endpoints: tuple[tuple[str, str], ...] = ()
    """(botocore's name of a service, or "" for all others, URL): where tasks reach services that
    are not served here."""
    allow_aws: bool = False
    """Call services without an endpoint at AWS."""
    allow_private: bool = False
    """Let HTTP tasks and targets call this machine and private networks."""

    def outside(self, limits: Limits, smtp: tuple[str, int] | None = None) -> Outside:
        """The services outside. smtp: see Outside."""
        return Outside(
            dict(self.aws_endpoints),
            allow_aws=self.allow_aws,
            allow_private=self.allow_private,
            smtp=smtp,
            limits=limits,
        )


@dataclass(frozen=True, kw_only=True)
class Settings(TaskSettings):
    """What a server does: one field for each option of `stepwell serve`."""

    db: naming.Database
    """The database; a file is created if it is missing."""
    host: str = "127.0.0.1"
    """Address to listen on. Addresses other than loopback require `credentials`."""
    port: int = 8083
    """0: a free port, which the log names."""
    region: str | None = None
    """Region of the ARNs; None: that of the database, else us-east-1."""
    account: str | None = None
    """Account id of the ARNs, twelve digits; None: that of the database, else 123456789012."""
    credentials: Path | None = None
    """Keys that requests must be signed with, in the format of ~/.aws/credentials; None: signatures
    are not checked. With keys, there is no console."""
    allow_host: tuple[str, ...] = ()
    """Host names of the server besides those of loopback; `*.NAME` for all names below NAME."""
    log_format: server_log.Format = server_log.Format.TEXT
    log_level: str = "info"
    """debug, info, warning or error."""
    log_sink: str | None = None
    """Destination of execution logs: "-" standard output, "FOLDER/" a file for each log group, else
    one file; None: they are discarded."""
    retention_days: int | None = None
    """Days after which closed executions are deleted; None: the limit retention_seconds."""
    console: bool = True
    """Serve the console page at /."""
    read_only: bool = False
    """Refuse the actions of browsers; SDKs are not affected."""
    policies: Path | None = None
    """JSON file that maps role ARNs to IAM policies; None: tasks may call everything."""
    mqtt: Address | None = None
    """MQTT broker of topic rules; None: topic rules receive only what is published here."""
    smtp: tuple[str, int] | None = None
    """Host and port of the mail server for topics; None: mail is stored, not sent."""
    mocks: MockFile | None = None
    """Test cases: MACHINE_ARN#CASE of them answers the tasks of an execution."""
    mock_validation: Validation = Validation.WARN
    """Which faults of mocked results fail a task: see mocks.checks."""
    skip_time: bool = False
    """Skip the time that executions wait for. Not with PostgreSQL."""
    node_address: tuple[str, int] | None = None
    """Host by which other nodes reach this one, and the port to listen on for them, 0 for a free
    one; None: `host` if it is not a wildcard, else this machine's name. Only with PostgreSQL."""


# --- settings that are files or addresses ---------------------------------------------------------


def keys_of(settings: Settings) -> Mapping[str, Key]:
    """Empty: signatures are not checked. Raises UsageError where other machines may call."""
    if settings.credentials is not None:
        try:
            return read_credentials(settings.credentials)
        except OSError as fault:
            raise UsageError(f"--credentials {file_fault(settings.credentials, fault)}") from None
        except ValueError as fault:
            raise UsageError(f"--credentials {fault}") from None
    if not is_loopback(settings.host):
        raise UsageError(
            f"--host {settings.host} can be reached from other machines, so requests must be "
            "signed: name a file of keys with --credentials (the format of ~/.aws/credentials)"
        )
    return {}


def policies_of(settings: Settings) -> Policies | None:
    """Raises UsageError."""
    try:
        return None if settings.policies is None else Policies.read(settings.policies)
    except PolicyError as fault:
        raise UsageError(f"--policies {fault}") from None


def url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
