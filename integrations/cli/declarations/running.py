"""Commands that run executions, here or on a server."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import PLAIN, call

top = typer.Typer(**PLAIN)


class MockValidation(StrEnum):
    STRICT = "STRICT"
    PRESENT = "PRESENT"
    NONE = "NONE"


Mocks = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="Mock file: the MockConfigFile.json of Step Functions Local.  "
        "[default: SFN_MOCK_CONFIG]",
    ),
]
Case = Annotated[
    str | None, Option(metavar="NAME", help="Test case of the mock file that answers the tasks.")
]
MockValidationOption = Annotated[
    MockValidation,
    Option(
        case_sensitive=False,
        help="Check of mocked results: STRICT also wants members that the service always returns.",
    ),
]


@top.command()
def run(
    file: o.DefinitionFile,
    input: o.Input = "{}",
    name: o.ExecutionName = None,
    type: o.WorkflowType = o.Type.STANDARD,
    functions: o.Functions = None,
    param: o.Params = None,
    params: o.ParamsFile = None,
    db: o.Db = None,
    json: o.JsonEvents = False,
    quiet: o.Quiet = False,
    timeout: o.Timeout = None,
    mocks: Mocks = None,
    case: Case = None,
    mock_validation: MockValidationOption = MockValidation.PRESENT,
    skip_time: o.SkipTime = False,
    limits: o.LimitsFile = None,
) -> None:
    """Run a state machine and print its output.

    Exit code: 0 succeeded, 1 failed, 2 bad usage or definition, 3 timed out, 4 aborted, 130
    interrupted, 70 internal error.
    """
    call(
        *("run.run", file, input, name, type.value, functions, param or [], params, db),
        *(json, quiet, timeout),
        mocks=(mocks, case, mock_validation.value),
        skip_time=skip_time,
        limits=limits,
    )


@top.command()
def resume(
    execution: o.OptionalExecution = None,
    all: o.All = False,
    functions: o.EarlierFunctions = None,
    db: o.Db = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    timeout: o.Timeout = None,
    mocks: Mocks = None,
    mock_validation: MockValidationOption = MockValidation.PRESENT,
    limits: o.LimitsFile = None,
) -> None:
    """Resume an execution that was interrupted or killed."""
    call(
        *("run.resume", execution, all, functions, db, json, quiet, timeout),
        mocks=(mocks, None, mock_validation.value),
        limits=limits,
    )


@top.command()
def serve(
    port: o.Port = 8083,
    host: o.Host = "127.0.0.1",
    db: o.Db = None,
    functions: o.ServerFunctions = None,
    region: o.Region = None,
    account: o.Account = None,
    credentials: o.Credentials = None,
    allow_host: o.AllowHost = None,
    log_format: o.LogFormatOption = o.LogFormat.TEXT,
    log_level: o.LogLevelOption = o.LogLevel.INFO,
    log_sink: o.LogSink = None,
    retention_days: o.RetentionDays = None,
    console: o.ConsolePage = True,
    aws_endpoint: o.AwsEndpoint = None,
    allow_aws: o.AllowAws = False,
    allow_private: o.AllowPrivate = False,
    policies: o.Policies = None,
    mqtt: o.Mqtt = None,
    smtp: o.Smtp = None,
    node_address: o.NodeAddress = None,
    read_only: o.ReadOnly = False,
    mocks: Mocks = None,
    mock_validation: MockValidationOption = MockValidation.PRESENT,
    skip_time: o.SkipTime = False,
    limits: o.LimitsFile = None,
) -> None:
    """Serve the AWS API and a console page over HTTP, until SIGTERM or Ctrl-C."""
    call("serve.serve", **locals())


@top.command()
def env(
    endpoint: o.Endpoint = "http://127.0.0.1:8083",
    region: o.ClientRegion = None,
    shell: o.ShellSyntax = o.Shell.SH,
    every: o.AllServices = False,
) -> None:
    """Print the variables that direct AWS clients to a server: eval "$(stepwell env)"."""
    call("serve.env", endpoint, region, shell.value, every)
