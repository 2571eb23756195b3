"""Commands that run executions, here or on a server, and those around a server."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.parsing.declaring import Argument, Group, Option

top = Group()


class MockValidation(StrEnum):
    STRICT = "STRICT"
    PRESENT = "PRESENT"
    WARN = "WARN"
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
        help="Check of mocked results: WARN reports those that do not fit the service's model; "
        "PRESENT refuses them; STRICT also wants members that the service always returns.",
    ),
]


class CompletedShell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


ShellName = Annotated[
    CompletedShell,
    Argument(metavar="SHELL", help="bash, zsh, fish or powershell."),
]


@top.command(section=o.RUNNING)
def run(
    file: o.DefinitionFile,
    input: o.Input = "{}",
    name: o.ExecutionName = None,
    type: o.WorkflowType = None,
    functions: o.Functions = None,
    param: o.Params = None,
    params: o.ParamsFile = None,
    server: o.Server = None,
    db: o.Db = None,
    aws_endpoint: o.AwsEndpoint = None,
    allow_aws: o.AllowAws = False,
    allow_private: o.AllowPrivate = False,
    mocks: Mocks = None,
    case: Case = None,
    mock_validation: MockValidationOption = MockValidation.WARN,
    skip_time: o.SkipTime = False,
    search_attributes: o.SearchAttributes = None,
    json: o.JsonEvents = False,
    quiet: o.Quiet = False,
    timeout: o.Timeout = None,
    limits: o.LimitsFile = None,
) -> None:
    """Run a state machine and print its output.

    Where a server is named, or has the database open, it runs there.

    Exit code: 0 succeeded, 1 failed, 2 bad usage or definition, 3 timed out, 4 aborted, 130
    interrupted, 70 internal error.
    """
    options = {**locals(), "param": param or []}
    options["mocks"] = (options.pop("mocks"), options.pop("case"), mock_validation.value)
    del options["mock_validation"]
    call("run.run", **options)


@top.command(section=o.RUNNING)
def resume(
    execution: o.OptionalExecution = None,
    all: o.All = False,
    functions: o.EarlierFunctions = None,
    db: o.Db = None,
    aws_endpoint: o.AwsEndpoint = None,
    allow_aws: o.AllowAws = False,
    allow_private: o.AllowPrivate = False,
    mocks: Mocks = None,
    mock_validation: MockValidationOption = MockValidation.WARN,
    skip_time: o.SkipTime = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    timeout: o.Timeout = None,
    limits: o.LimitsFile = None,
) -> None:
    """Resume an execution that was interrupted or killed."""
    options = {**locals(), "mocks": (mocks, None, mock_validation.value)}
    del options["mock_validation"]
    call("run.resume", **options)


@top.command(section=o.ADMINISTRATION)
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
    mock_validation: MockValidationOption = MockValidation.WARN,
    skip_time: o.SkipTime = False,
    limits: o.LimitsFile = None,
) -> None:
    """Serve the AWS API and a console page, until SIGTERM or Ctrl-C."""
    call("serve.serve", **locals())


@top.command(section=o.ADMINISTRATION)
def env(
    endpoint: o.Endpoint = "http://127.0.0.1:8083",
    region: o.ClientRegion = None,
    shell: o.ShellSyntax = o.Shell.SH,
    every: o.AllServices = False,
) -> None:
    """Print the variables that direct AWS clients to a server.

    For a shell: eval "$(stepwell env)".
    """
    call("shells.env", endpoint, region, shell.value, every)


@top.command(section=o.ADMINISTRATION)
def completion(shell: ShellName) -> None:
    """Print the script that completes the command in a shell.

    bash, zsh: source <(stepwell completion bash) in ~/.bashrc, or with zsh in ~/.zshrc.

    fish: stepwell completion fish > ~/.config/fish/completions/stepwell.fish

    PowerShell, in $PROFILE: stepwell completion powershell | Out-String | Invoke-Expression
    """
    call("shells.completion", shell.value)
