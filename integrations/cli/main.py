"""The options of the command `stepwell`. The commands themselves are in commands.py, their output
in text.py and screen.py.

Exit codes: 0 succeeded · 1 failed · 2 bad usage or invalid definition · 3 timed out · 4 aborted ·
130 interrupted · 70 internal error Each command imports what it needs, so that --help answers at
once.
"""

import os
import sys
from collections.abc import Callable
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final, NoReturn

import typer

from stepwell.integrations.cli.plugins import Commands

USAGE: Final = 2
INTERRUPTED: Final = 130
INTERNAL: Final = 70

_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}
_PLAIN: Final[dict[str, Any]] = {
    "rich_markup_mode": None,
    "no_args_is_help": True,
    "context_settings": _SETTINGS,
    "add_completion": False,
}
app = typer.Typer(
    help="Run Amazon States Language workflows durably.",
    cls=Commands,
    pretty_exceptions_enable=False,
    **_PLAIN,
)
executions = typer.Typer(help="List, show and stop executions.", **_PLAIN)
activity = typer.Typer(help="Take tasks of an activity, as a worker.", **_PLAIN)
task = typer.Typer(help="Report the result of a task by its token.", **_PLAIN)
database = typer.Typer(help="Maintain a database.", **_PLAIN)
app.add_typer(executions, name="executions")
app.add_typer(activity, name="activity")
app.add_typer(task, name="task")
app.add_typer(database, name="db")


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


class Picture(StrEnum):
    SVG = "svg"
    PNG = "png"
    PDF = "pdf"
    DOT = "dot"
    MERMAID = "mermaid"
    TEXT = "text"


class Colours(StrEnum):
    LIGHT = "light"
    DARK = "dark"
    AUTO = "auto"


class Direction(StrEnum):
    TB = "TB"
    LR = "LR"


class Status(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"


# Not checked by typer: the commands report problems with files in one line, with exit code 2.
Db = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        envvar="STEPWELL_DB",
        help="Database file.  [default: stepwell.db in your data folder]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON per item.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors are still shown.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", min=0, help="Maximum time to wait. The execution can be resumed."
    ),
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "--param", "-p", metavar="KEY=VALUE", help="Value of ${KEY} in the definition; repeatable."
    ),
]
Execution = Annotated[
    str, typer.Argument(metavar="EXECUTION", help="Name, MACHINE/NAME or ARN of an execution.")
]


def _do(work: Callable[[ModuleType], int], module: str = "commands") -> NoReturn:
    """Run a command of commands.py and exit with its code. An unexpected exception is reported in
    one line, with exit code 70.
    """
    try:
        code = work(import_module(f"stepwell.integrations.cli.{module}"))
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (
        BrokenPipeError
    ):  # the reader has closed the pipe (| head): no message, here or at the final flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = INTERRUPTED
    except Exception as error:
        if os.environ.get("STEPWELL_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        words = " ".join(str(error).split())
        print(
            (
                f"stepwell: internal error: {type(error).__name__}: {words} (STEPWELL_DEBUG=1 "
                "shows the traceback)"
            ),
            file=sys.stderr,
        )
        code = INTERNAL
    raise typer.Exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"stepwell {version('stepwell')}")
        except PackageNotFoundError:  # run from a checkout
            print("stepwell (not installed)")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # names that the encoding of the terminal lacks are escaped
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@app.command()
def run(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Definition of a state machine: .asl.json or .asl.yaml."
        ),
    ],
    input: Annotated[
        str,
        typer.Option(
            "--input",
            "-i",
            metavar="JSON|@FILE|-",
            help="Input: JSON, a file, or - for standard input.",
        ),
    ] = "{}",
    name: Annotated[
        str | None, typer.Option(help="Name of the execution.  [default: generated]")
    ] = None,
    type: Annotated[
        Type, typer.Option(case_sensitive=False, help="Type of workflow.")
    ] = Type.STANDARD,
    functions: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=(
                "Folder with the Lambda functions: DIR/NAME.py.  [default: functions/ beside FILE]"
            ),
        ),
    ] = None,
    param: Params = None,
    db: Db = None,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the history events, one per line, instead of the output."
        ),
    ] = False,
    quiet: Quiet = False,
    timeout: Timeout = None,
) -> None:
    """Run a state machine and print its output.

    Exit code: 0 succeeded, 1 failed, 2 bad usage or definition, 3 timed out, 4 aborted, 130
    interrupted, 70 internal error.
    """
    _do(
        lambda c: c.run(
            file, input, name, type.value, functions, param or [], db, c.Show(json, quiet, timeout)
        )
    )


@app.command()
def validate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Definitions of state machines: .asl.json or .asl.yaml."
        ),
    ],
    param: Params = None,
    type: Annotated[
        Type, typer.Option(case_sensitive=False, help="Type of workflow.")
    ] = Type.STANDARD,
    json: Json = False,
) -> None:
    """Report all problems of definitions, with file, line and column."""
    _do(lambda c: c.validate(files, param or [], type.value, json))


@app.command()
def resume(
    execution: Annotated[
        str | None,
        typer.Argument(
            metavar="[EXECUTION]",
            help="Name, MACHINE/NAME or ARN. Optional if only one is running.",
        ),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Resume every running execution.")] = False,
    functions: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder with the functions.  [default: the one that run used]"
        ),
    ] = None,
    db: Db = None,
    json: Json = False,
    quiet: Quiet = False,
    timeout: Timeout = None,
) -> None:
    """Resume an execution that was interrupted or killed."""
    _do(lambda c: c.resume(execution, all, functions, db, c.Show(json, quiet, timeout)))


@app.command()
def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port. 0: a free one, which is logged.")
    ] = 8083,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. Addresses other than loopback require --credentials.",
        ),
    ] = "127.0.0.1",
    db: Db = None,
    functions: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder with the Lambda functions: DIR/NAME.py.  [default: the one that run used]",
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="Region of the ARNs.  [default: that of the database, or us-east-1]"),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(
            help="Account id of the ARNs.  [default: that of the database, or 123456789012]"
        ),
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="STEPWELL_CREDENTIALS",
            help=(
                "Keys that requests must be signed with, like ~/.aws/credentials.  [default: "
                "signatures are not checked]"
            ),
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Additional host name of the server, or *.DOMAIN; repeatable."
        ),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(case_sensitive=False, help="Format of the log on standard error.")
    ] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel,
        typer.Option(case_sensitive=False, help="debug logs every request, info the refused ones."),
    ] = LogLevel.INFO,
    log_sink: Annotated[
        str | None,
        typer.Option(
            metavar="-|FILE|FOLDER/", help="Destination of execution logs.  [default: none]"
        ),
    ] = None,
    retention_days: Annotated[
        int, typer.Option(min=1, help="Closed executions are deleted after this number of days.")
    ] = 90,
    console: Annotated[
        bool, typer.Option("--console/--no-console", help="Serve the console page at /.")
    ] = True,
    aws_endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SERVICE=]URL",
            help="Endpoint of a service that the server does not implement; repeatable.",
        ),
    ] = None,
    allow_aws: Annotated[
        bool, typer.Option("--allow-aws", help="Call services without an endpoint at AWS.")
    ] = False,
    allow_private: Annotated[
        bool,
        typer.Option(
            "--allow-private",
            help="Allow HTTP tasks and targets to call this machine and private networks.",
        ),
    ] = False,
    policies: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=(
                "JSON file that maps role ARNs to IAM policies, which restrict tasks.  [default: "
                "tasks may call everything]"
            ),
        ),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="STEPWELL_MQTT",
            help="MQTT broker for topic rules: mqtt[s]://[USER:PASSWORD@]HOST[:PORT].",
        ),
    ] = None,
    smtp: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Mail server for topics.  [default: mail is stored, not sent]"
        ),
    ] = None,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only", help="Disable all actions of the console. SDKs are not affected."
        ),
    ] = False,
) -> None:
    """Serve the AWS API and a console page over HTTP, until SIGTERM or Ctrl-C."""
    words = (
        port,
        functions,
        region,
        account,
        credentials,
        allow_host or [],
        log_format.value,
        log_level.value,
        log_sink,
        retention_days,
    )
    more = (aws_endpoint or [], allow_aws, allow_private, policies, mqtt, smtp)
    _do(lambda c: c.serve(db, host, *words, console, read_only, *more), "serve")


@app.command()
def env(
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="Address of the server.")
    ] = "http://127.0.0.1:8083",
    region: Annotated[
        str | None,
        typer.Option(
            help="Region that clients sign for.  [default: the one that is set, or us-east-1]"
        ),
    ] = None,
    shell: Annotated[
        Shell, typer.Option(case_sensitive=False, help="Syntax of the output.")
    ] = Shell.SH,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Also the variables of the other services: Lambda, SQS, SNS and so on."
        ),
    ] = False,
) -> None:
    """Print the variables that direct AWS clients to a server: eval "$(stepwell env)"."""
    _do(lambda c: c.env(endpoint, region, shell.value, every), "serve")


@app.command()
def inspect(
    execution: Execution,
    state: Annotated[str, typer.Argument(metavar="STATE", help="Name of a state.")],
    visit: Annotated[
        int | None, typer.Option(min=1, help="Visit of the state, from 1.  [default: the last]")
    ] = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show each stage of the data flow of a state."""
    _do(lambda c: c.inspect(execution, state, visit, db, json))


@app.command()
def render(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="Definition of a state machine. Optional with --execution.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File to write; its suffix selects the format.  [default: standard output]",
        ),
    ] = None,
    format: Annotated[
        Picture | None,
        typer.Option(case_sensitive=False, help="Format.  [default: the suffix of OUT, or svg]"),
    ] = None,
    theme: Annotated[
        Colours,
        typer.Option(case_sensitive=False, help="Colours. auto: the theme of the reader's system."),
    ] = Colours.AUTO,
    direction: Annotated[
        Direction, typer.Option(case_sensitive=False, help="Top to bottom, or left to right.")
    ] = Direction.TB,
    collapse: Annotated[
        list[str] | None,
        typer.Option(metavar="STATE", help="Hide the inside of a Parallel or Map; repeatable."),
    ] = None,
    execution: Annotated[
        str | None,
        typer.Option(metavar="EXECUTION", help="Draw this execution: name, MACHINE/NAME or ARN."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the execution in this file of history events, of stepwell or AWS.",
        ),
    ] = None,
    param: Params = None,
    db: Db = None,
) -> None:
    """Draw a state machine or an execution: SVG, PNG, PDF, DOT, Mermaid or text."""
    look = {"theme": theme.value, "direction": direction.value, "collapse": collapse or []}
    _do(
        lambda c: c.render(
            file, output, format and format.value, look, execution, history, param or [], db
        ),
        "render",
    )


@executions.command("list")
def list_(
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only executions of this state machine.")
    ] = None,
    status: Annotated[
        Status | None, typer.Option(case_sensitive=False, help="Only executions with this status.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of executions.")] = 100,
    db: Db = None,
    json: Json = False,
) -> None:
    """List executions, newest first."""
    _do(lambda c: c.list_executions(machine, status.value if status else None, limit, db, json))


@executions.command()
def show(execution: Execution, db: Db = None, json: Json = False) -> None:
    """Show the status, input, output and states of an execution."""
    _do(lambda c: c.show(execution, db, json))


@executions.command()
def history(
    execution: Execution,
    reverse: Annotated[bool, typer.Option("--reverse", help="Last event first.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show the history events of an execution."""
    _do(lambda c: c.history(execution, reverse, db, json))


@executions.command()
def stop(
    execution: Execution,
    error: Annotated[str | None, typer.Option(help="Error name to record.")] = None,
    cause: Annotated[str | None, typer.Option(help="Cause to record.")] = None,
    db: Db = None,
) -> None:
    """Stop an execution. It ends as ABORTED."""
    _do(lambda c: c.stop(execution, error, cause, db))


@activity.command("poll")
def poll(
    name: Annotated[str, typer.Argument(metavar="ACTIVITY", help="Name or ARN of the activity.")],
    worker: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the worker in the history.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Maximum time to wait for a task.")
    ] = 60,
    db: Db = None,
) -> None:
    """Wait for a task and print {"taskToken", "input"}. Without a task: no output, exit code 3."""
    _do(lambda c: c.poll(name, worker, timeout, db))


Token = Annotated[str, typer.Argument(metavar="TOKEN", help="Task token.")]


@task.command()
def succeed(
    token: Token,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="JSON|@FILE|-", help="Result of the task.")
    ] = "{}",
    db: Db = None,
) -> None:
    """Report that a task succeeded."""
    _do(lambda c: c.succeed(token, output, db))


@task.command()
def fail(
    token: Token,
    error: Annotated[str | None, typer.Option(help="Error name, for Retry and Catch.")] = None,
    cause: Annotated[str | None, typer.Option(help="Description of the error.")] = None,
    db: Db = None,
) -> None:
    """Report that a task failed."""
    _do(lambda c: c.answer(token, db, "send_task_failure", error, cause))


@task.command()
def heartbeat(token: Token, db: Db = None) -> None:
    """Report that a task is still in progress."""
    _do(lambda c: c.answer(token, db, "send_task_heartbeat"))


@database.command()
def check(db: Db = None, json: Json = False) -> None:
    """List damaged records of a database, and what to do. Exit code 1 if there are any. A server
    may be running.
    """
    _do(lambda c: c.check_database(db, json), "database_check")


def main() -> None:
    """The entry point of the installed command."""
    try:
        " ".join(sys.argv).encode()
    except UnicodeEncodeError:
        print("stepwell: an argument is not UTF-8 text", file=sys.stderr)
        sys.exit(USAGE)
    app(prog_name="stepwell")


if __name__ == "__main__":
    main()
