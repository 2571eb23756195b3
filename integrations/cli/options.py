"""The types of the command's options and arguments: each is declared once, with its help text.

Typer does not check paths: the commands report problems with files in one line, with exit code 2.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from stepwell.integrations.cli.parsing.declaring import Argument, Complete, Option

# --- choices --------------------------------------------------------------------------------------


class Type(StrEnum):
    STANDARD = "STANDARD"
    EXPRESS = "EXPRESS"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Shell(StrEnum):
    SH = "sh"
    FISH = "fish"
    POWERSHELL = "powershell"
    DOTENV = "dotenv"


class PictureFormat(StrEnum):
    SVG = "svg"
    PNG = "png"
    PDF = "pdf"
    DOT = "dot"
    MERMAID = "mermaid"
    TEXT = "text"


class Theme(StrEnum):
    LIGHT = "light"
    DARK = "dark"
    AUTO = "auto"


class Direction(StrEnum):
    TB = "TB"
    LR = "LR"


# --- sections of --help ---------------------------------------------------------------------------

RUNNING: Final = "Run"
EXECUTIONS: Final = "Executions"
DEFINITIONS: Final = "Definitions"
ADMINISTRATION: Final = "Server and database"
SECTIONS: Final = (DEFINITIONS, RUNNING, EXECUTIONS, ADMINISTRATION)


def complete(what: str) -> Complete:
    """Completes "machines" or "executions" by their names: see completion.py."""

    def names(options: Mapping[str, Any], word: str) -> list[str]:
        from stepwell.integrations.cli import completion

        return completion.names(what, options, word)

    return names


# --- of several commands --------------------------------------------------------------------------

Db = Annotated[
    str | None,
    Option(
        metavar="PATH|URL",
        envvar="STEPWELL_DB",
        help="Database: a file, or postgresql://....  [default: stepwell.db in your data folder]",
    ),
]
Server = Annotated[
    str | None,
    Option(
        metavar="URL",
        help="Use the server at this URL, or `aws`.  [default: STEPWELL_SERVER, or "
        "AWS_ENDPOINT_URL_SFN, or else the database]",
    ),
]
TIMES: Final = "30m, 2h, 7d (ago), or a date or time, in the zone of this machine if it names none."
Yes = Annotated[bool, Option("--yes", "-y", help="Do not ask before changing many things.")]
Utc = Annotated[bool, Option("--utc", help="Times in UTC.  [default: the zone of this machine]")]
NewFile = Annotated[str, Argument(metavar="FILE", help="The SQLite file to create.")]
Source = Annotated[str, Argument(metavar="FROM", help="A file, or postgresql://....")]
Target = Annotated[str, Argument(metavar="TO", help="A new file, or postgresql://....")]
LimitsFile = Annotated[
    Path | None,
    Option(
        "--limits",
        metavar="FILE",
        envvar="STEPWELL_LIMITS",
        help="Limits that differ from AWS's: a YAML or JSON file of names and numbers.",
    ),
]


class Where(NamedTuple):
    """The options of commands that work on a database or a server; see clients/choosing.py."""

    server: Server = None
    db: Db = None
    limits: LimitsFile = None


WHERE: Final = Where()
Json = Annotated[bool, Option("--json", help="Print one line of JSON per item.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress; errors are still shown.")]
Timeout = Annotated[
    float | None,
    Option(metavar="SECONDS", min=0, help="Maximum time to wait. The execution can be resumed."),
]
Params = Annotated[
    list[str] | None,
    Option(
        "--param", "-p", metavar="KEY=VALUE", help="Value of ${KEY} in the definition; repeatable."
    ),
]
ParamsFile = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="Values of ${KEY} in the definition: JSON, YAML or .env; --param has priority.",
    ),
]
WorkflowType = Annotated[
    Type | None,
    Option("--type", help="Type of workflow.  [default: that of a template, else STANDARD]"),
]
Execution = Annotated[
    str,
    Argument(
        metavar="EXECUTION",
        help="Name, MACHINE/NAME or ARN of an execution.",
        complete=complete("executions"),
    ),
]
Token = Annotated[str, Argument(metavar="TOKEN", help="Task token.")]
EarlierFunctions = Annotated[
    Path | None,
    Option(
        metavar="DIR", help="Folder with the functions, or a template.  [default: what run used]"
    ),
]

# --- run, validate, resume ------------------------------------------------------------------------

DefinitionFile = Annotated[
    Path,
    Argument(
        metavar="FILE",
        help="Definition of a state machine: .asl.json, .asl.yaml, or TEMPLATE#MACHINE.",
    ),
]
DefinitionFiles = Annotated[
    list[Path],
    Argument(
        metavar="FILE...",
        help="Definitions: .asl.json, .asl.yaml, templates, TEMPLATE#MACHINE, or folders of them.",
    ),
]
Input = Annotated[
    str,
    Option(
        "--input",
        "-i",
        metavar="JSON|@FILE|-",
        help="Input: JSON, a file, or - for standard input.",
    ),
]
ExecutionName = Annotated[str | None, Option(help="Name of the execution.  [default: generated]")]
Functions = Annotated[
    Path | None,
    Option(
        metavar="DIR",
        help="Folder with the Lambda functions, DIR/NAME.py, or a template that has them.  "
        "[default: functions/ beside FILE, and those of FILE]",
    ),
]
JsonEvents = Annotated[
    bool,
    Option("--json", help="Print the history events, one per line, instead of the output."),
]
OptionalExecution = Annotated[
    str | None,
    Argument(
        metavar="[EXECUTION]", help="Name, MACHINE/NAME or ARN. Optional if only one is running."
    ),
]
All = Annotated[bool, Option("--all", help="Resume every running execution.")]

# --- serve: see serving.Settings ------------------------------------------------------------------

Port = Annotated[int, Option(min=0, max=65535, help="Port. 0: a free one, which is logged.")]
Host = Annotated[
    str,
    Option(
        metavar="ADDRESS",
        help="Address to listen on. Addresses other than loopback require --credentials.",
    ),
]
ServerFunctions = Annotated[
    Path | None,
    Option(
        metavar="DIR",
        help="Folder with the Lambda functions, DIR/NAME.py, or a template that has them.  "
        "[default: those of run]",
    ),
]
Region = Annotated[
    str | None, Option(help="Region of the ARNs.  [default: that of the database, or us-east-1]")
]
Account = Annotated[
    str | None,
    Option(help="Account id of the ARNs.  [default: that of the database, or 123456789012]"),
]
Credentials = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        envvar="STEPWELL_CREDENTIALS",
        help="Keys that requests must be signed with, like ~/.aws/credentials.  "
        "[default: signatures are not checked]",
    ),
]
AllowHost = Annotated[
    list[str] | None,
    Option(metavar="NAME", help="Additional host name of the server, or *.DOMAIN; repeatable."),
]
LogFormatOption = Annotated[LogFormat, Option(help="Format of the log on standard error.")]
LogLevelOption = Annotated[
    LogLevel, Option(help="debug logs every request, info the refused ones.")
]
LogSink = Annotated[
    str | None,
    Option(metavar="-|FILE|FOLDER/", help="Destination of execution logs.  [default: none]"),
]
RetentionDays = Annotated[
    int | None,
    Option(
        min=1,
        help="Closed executions are deleted after this number of days.  "
        "[default: retention_seconds of --limits, or 90]",
    ),
]
ConsolePage = Annotated[bool, Option("--console/--no-console", help="Serve the console page at /.")]
AwsEndpoint = Annotated[
    list[str] | None,
    Option(
        metavar="[SERVICE=]URL",
        help="Endpoint of a service that stepwell does not implement; repeatable.",
    ),
]
AllowAws = Annotated[bool, Option("--allow-aws", help="Call services without an endpoint at AWS.")]
AllowPrivate = Annotated[
    bool,
    Option(
        "--allow-private",
        help="Allow HTTP tasks and targets to call this machine and private networks.",
    ),
]
Policies = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="JSON file that maps role ARNs to IAM policies, which restrict tasks.  "
        "[default: tasks may call everything]",
    ),
]
NodeAddress = Annotated[
    str | None,
    Option(
        metavar="HOST[:PORT]",
        help="Where the other nodes on the same PostgreSQL database reach this one: on a private "
        "network.  [default: --host, or this machine's name, and a free port]",
    ),
]
Mqtt = Annotated[
    str | None,
    Option(
        metavar="URL",
        envvar="STEPWELL_MQTT",
        help="MQTT broker for topic rules: mqtt[s]://[USER:PASSWORD@]HOST[:PORT].",
    ),
]
Smtp = Annotated[
    str | None,
    Option(
        metavar="HOST:PORT", help="Mail server for topics.  [default: mail is stored, not sent]"
    ),
]
ReadOnly = Annotated[
    bool,
    Option("--read-only", help="Disable all actions of the console. SDKs are not affected."),
]

SkipTime = Annotated[
    bool,
    Option(
        "--skip-time",
        help="Skip the time that executions wait for: a Wait of 30 days takes milliseconds.",
    ),
]

SearchAttributes = Annotated[
    str | None,
    Option(
        "--search-attributes",
        metavar="TEXT",
        help="Values by which executions are found, such as 'customer total=output.total'.",
    ),
]

# --- env ------------------------------------------------------------------------------------------

Endpoint = Annotated[str, Option(metavar="URL", help="Address of the server.")]
ClientRegion = Annotated[
    str | None,
    Option(help="Region that clients sign for.  [default: the one that is set, or us-east-1]"),
]
ShellSyntax = Annotated[Shell, Option(help="Syntax of the output.")]
AllServices = Annotated[
    bool,
    Option("--all", help="Also the variables of the other services: Lambda, SQS, SNS and so on."),
]

# --- render ------------------------------------------------------------------------------

OptionalFile = Annotated[
    Path | None,
    Argument(
        metavar="[FILE]",
        help="Definition of a state machine. Optional with --execution.",
    ),
]
OutputFile = Annotated[
    Path | None,
    Option(
        "--output",
        "-o",
        metavar="OUT",
        help="File to write; its suffix selects the format.  [default: standard output]",
    ),
]
PictureFormatOption = Annotated[
    PictureFormat | None,
    Option(help="Format.  [default: the suffix of OUT, or svg]"),
]
ThemeOption = Annotated[
    Theme,
    Option(help="Colours. auto: the theme of the reader's system."),
]
DirectionOption = Annotated[Direction, Option(help="Top to bottom, or left to right.")]
Collapse = Annotated[
    list[str] | None,
    Option(metavar="STATE", help="Hide the inside of a Parallel or Map; repeatable."),
]
DrawnExecution = Annotated[
    str | None,
    Option(
        metavar="EXECUTION",
        help="Draw this execution: name, MACHINE/NAME or ARN.",
        complete=complete("executions"),
    ),
]
HistoryFile = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="Draw the execution in this file of history events, of stepwell or AWS.",
    ),
]

# --- activity, task -------------------------------------------------------------------------------

ActivityName = Annotated[str, Argument(metavar="ACTIVITY", help="Name or ARN of the activity.")]
WorkerName = Annotated[
    str | None, Option(metavar="NAME", help="Name of the worker in the history.")
]
PollTimeout = Annotated[
    float, Option(metavar="SECONDS", min=0, help="Maximum time to wait for a task.")
]
Result = Annotated[
    str, Option("--output", "-o", metavar="JSON|@FILE|-", help="Result of the task.")
]
TaskError = Annotated[str | None, Option(help="Error name, for Retry and Catch.")]
TaskCause = Annotated[str | None, Option(help="Description of the error.")]
