"""The command `stepwell`: its options, and nothing else. What the commands do is in commands.py, what they show in terminal.py.

Exit codes: 0 succeeded · 1 failed · 2 bad usage or invalid definition · 3 timed out · 4 aborted · 130 interrupted · 70 internal error
Everything heavy is imported by the command that needs it, so that --help answers at once.
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
_PLAIN: Final[dict[str, Any]] = {"rich_markup_mode": None, "no_args_is_help": True, "context_settings": _SETTINGS, "add_completion": False}
app = typer.Typer(help="Run Amazon States Language workflows, durably.", cls=Commands, pretty_exceptions_enable=False, **_PLAIN)
executions = typer.Typer(help="List, show and stop executions.", **_PLAIN)
activity = typer.Typer(help="Take the tasks of an activity, as a worker does.", **_PLAIN)
task = typer.Typer(help="Answer a task by its token.", **_PLAIN)
database = typer.Typer(help="Look after a database.", **_PLAIN)
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


# No check by typer: what is wrong with a file is said by us, with exit code 2 and in one line.
Db = Annotated[
    Path | None, typer.Option(metavar="PATH", envvar="STEPWELL_DB", help="Database file.  [default: stepwell.db in your data folder]")
]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON for each thing shown.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors are still shown.")]
Timeout = Annotated[float | None, typer.Option(metavar="SECONDS", min=0, help="Wait no longer than this; the execution can be resumed.")]
Params = Annotated[list[str] | None, typer.Option("--param", "-p", metavar="KEY=VALUE", help="Fills ${KEY} in the definition; repeatable.")]
Execution = Annotated[str, typer.Argument(metavar="EXECUTION", help="Name, MACHINE/NAME or ARN of an execution.")]


def _do(work: Callable[[ModuleType], int], module: str = "commands") -> NoReturn:
    """Run a command of commands.py and leave with its exit code; whatever it did not expect is one line and exit code 70."""
    try:
        code = work(import_module(f"stepwell.integrations.cli.{module}"))
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:  # nobody reads on (| head): not worth a word, here or when the interpreter flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = INTERRUPTED
    except Exception as error:
        if os.environ.get("STEPWELL_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        words = " ".join(str(error).split())
        print(f"stepwell: internal error: {type(error).__name__}: {words} (STEPWELL_DEBUG=1 shows where)", file=sys.stderr)
        code = INTERNAL
    raise typer.Exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"stepwell {version('stepwell')}")
        except PackageNotFoundError:  # run from a checkout that was never installed
            print("stepwell (not installed)")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's encoding lacks must not end a run
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A state machine: .asl.json or .asl.yaml.")],
    input: Annotated[
        str, typer.Option("--input", "-i", metavar="JSON|@FILE|-", help="The input: JSON, a file, or - for standard input.")
    ] = "{}",
    name: Annotated[str | None, typer.Option(help="Name of the execution.  [default: made up]")] = None,
    type: Annotated[Type, typer.Option(case_sensitive=False, help="Kind of workflow.")] = Type.STANDARD,
    functions: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with the Lambda functions: DIR/NAME.py.  [default: functions/ beside FILE]"),
    ] = None,
    param: Params = None,
    db: Db = None,
    json: Annotated[
        bool, typer.Option("--json", help="The history events on standard output, a line each, instead of the output.")
    ] = False,
    quiet: Quiet = False,
    timeout: Timeout = None,
) -> None:
    """Run a state machine; its output goes to standard output.

    Exit code: 0 succeeded, 1 failed, 2 bad usage or definition, 3 timed out, 4 aborted, 130 interrupted, 70 internal error.
    """
    _do(lambda c: c.run(file, input, name, type.value, functions, param or [], db, c.Show(json, quiet, timeout)))


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="State machines: .asl.json or .asl.yaml.")],
    param: Params = None,
    type: Annotated[Type, typer.Option(case_sensitive=False, help="Kind of workflow.")] = Type.STANDARD,
    json: Json = False,
) -> None:
    """Check state machines: all problems of all files, with file, line and column."""
    _do(lambda c: c.validate(files, param or [], type.value, json))


@app.command()
def resume(
    execution: Annotated[
        str | None, typer.Argument(metavar="[EXECUTION]", help="Name, MACHINE/NAME or ARN; may be left out if only one runs.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Go on with every running execution.")] = False,
    functions: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder with the functions.  [default: as for run]")] = None,
    db: Db = None,
    json: Json = False,
    quiet: Quiet = False,
    timeout: Timeout = None,
) -> None:
    """Go on with an execution that was interrupted or killed, and show it like run."""
    _do(lambda c: c.resume(execution, all, functions, db, c.Show(json, quiet, timeout)))


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one, which the log tells.")] = 8083,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on; off the loopback it needs --credentials.")
    ] = "127.0.0.1",
    db: Db = None,
    functions: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with the Lambda functions: DIR/NAME.py.  [default: what run used]")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Region of the ARNs.  [default: the database's, else us-east-1]")] = None,
    account: Annotated[str | None, typer.Option(help="Account id of the ARNs.  [default: the database's, else 123456789012]")] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="STEPWELL_CREDENTIALS",
            help="Keys that requests must be signed with, as in ~/.aws/credentials.  [default: any signature is good]",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Another name that clients call this server by, or *.DOMAIN; repeatable.")
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(case_sensitive=False, help="Shape of the log on standard error.")] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel, typer.Option(case_sensitive=False, help="debug: every request; info: the refused ones.")
    ] = LogLevel.INFO,
    log_sink: Annotated[
        str | None,
        typer.Option(metavar="-|FILE|FOLDER/", help="Where the logs of executions go.  [default: nowhere]"),
    ] = None,
    retention_days: Annotated[int, typer.Option(min=1, help="Closed executions are deleted after so many days.")] = 90,
    console: Annotated[bool, typer.Option("--console/--no-console", help="Serve the console at /, a page for people.")] = True,
    aws_endpoint: Annotated[
        list[str] | None,
        typer.Option(metavar="[SERVICE=]URL", help="Where a service of AWS that is not served here is called; repeat for more."),
    ] = None,
    allow_aws: Annotated[bool, typer.Option("--allow-aws", help="Services without an endpoint are called at AWS itself.")] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="HTTP tasks and targets may call this machine and private networks.")
    ] = False,
    policies: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON: role ARN -> IAM policy; what tasks may call.  [default: everything]"),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="STEPWELL_MQTT",
            help="MQTT broker whose messages topic rules get: mqtt[s]://[USER:PASSWORD@]HOST[:PORT].",
        ),
    ] = None,
    smtp: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The server that takes the mail of topics.  [default: mail is kept, not sent]")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="The console only looks; SDKs are not bound by it.")] = False,
) -> None:
    """Serve the AWS Step Functions API over HTTP, and a console at /, until SIGTERM or Ctrl-C."""
    words = (port, functions, region, account, credentials, allow_host or [], log_format.value, log_level.value, log_sink, retention_days)
    more = (aws_endpoint or [], allow_aws, allow_private, policies, mqtt, smtp)
    _do(lambda c: c.serve(db, host, *words, console, read_only, *more), "serve")


@app.command()
def env(
    endpoint: Annotated[str, typer.Option(metavar="URL", help="Where the server is.")] = "http://127.0.0.1:8083",
    region: Annotated[str | None, typer.Option(help="Region that clients sign for.  [default: as set, else us-east-1]")] = None,
    shell: Annotated[Shell, typer.Option(case_sensitive=False, help="Whose words.")] = Shell.SH,
    every: Annotated[bool, typer.Option("--all", help="Functions, queues, topics, events ... too.  [default: Step Functions]")] = False,
) -> None:
    """Print the variables that point AWS SDKs and the aws command at a server: eval "$(stepwell env)"."""
    _do(lambda c: c.env(endpoint, region, shell.value, every), "serve")


@app.command()
def inspect(
    execution: Execution,
    state: Annotated[str, typer.Argument(metavar="STATE", help="Name of a state.")],
    visit: Annotated[int | None, typer.Option(min=1, help="Which visit, from 1.  [default: the last]")] = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show the data flow of a state: each stage, before and after."""
    _do(lambda c: c.inspect(execution, state, visit, db, json))


@app.command()
def render(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A state machine; may be left out with --execution.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT", help="File to write; its suffix tells the format.  [default: stdout]")
    ] = None,
    format: Annotated[Picture | None, typer.Option(case_sensitive=False, help="Format.  [default: as OUT's suffix, else svg]")] = None,
    theme: Annotated[Colours, typer.Option(case_sensitive=False, help="Colours; auto: as the reader's system is set.")] = Colours.AUTO,
    direction: Annotated[Direction, typer.Option(case_sensitive=False, help="Downwards, or to the right.")] = Direction.TB,
    collapse: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Draw a Parallel or Map without its inside; repeatable.")
    ] = None,
    execution: Annotated[
        str | None, typer.Option(metavar="EXECUTION", help="Draw how this execution went: name, MACHINE/NAME or ARN.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same from a file of history events, ours or exported from AWS.")
    ] = None,
    param: Params = None,
    db: Db = None,
) -> None:
    """Draw a state machine, as an SVG, PNG or PDF picture, DOT, Mermaid or a text outline."""
    look = {"theme": theme.value, "direction": direction.value, "collapse": collapse or []}
    _do(lambda c: c.render(file, output, format and format.value, look, execution, history, param or [], db), "render")


@executions.command("list")
def list_(
    machine: Annotated[str | None, typer.Option(metavar="NAME", help="Only those of this state machine.")] = None,
    status: Annotated[Status | None, typer.Option(case_sensitive=False, help="Only those with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    db: Db = None,
    json: Json = False,
) -> None:
    """List executions, the newest first."""
    _do(lambda c: c.list_executions(machine, status.value if status else None, limit, db, json))


@executions.command()
def show(execution: Execution, db: Db = None, json: Json = False) -> None:
    """Show an execution: status, input, output, and what its states did when."""
    _do(lambda c: c.show(execution, db, json))


@executions.command()
def history(
    execution: Execution,
    reverse: Annotated[bool, typer.Option("--reverse", help="The last event first.")] = False,
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
    """Stop an execution for good: it ends as ABORTED."""
    _do(lambda c: c.stop(execution, error, cause, db))


@activity.command("poll")
def poll(
    name: Annotated[str, typer.Argument(metavar="ACTIVITY", help="Name or ARN of the activity.")],
    worker: Annotated[str | None, typer.Option(metavar="NAME", help="Your name, for the history.")] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for a task.")] = 60,
    db: Db = None,
) -> None:
    """Wait for a task; prints {"taskToken", "input"}, or nothing and exit code 3."""
    _do(lambda c: c.poll(name, worker, timeout, db))


Token = Annotated[str, typer.Argument(metavar="TOKEN", help="The task token.")]


@task.command()
def succeed(
    token: Token,
    output: Annotated[str, typer.Option("--output", "-o", metavar="JSON|@FILE|-", help="The result of the task.")] = "{}",
    db: Db = None,
) -> None:
    """The task is done: this is its result."""
    _do(lambda c: c.succeed(token, output, db))


@task.command()
def fail(
    token: Token,
    error: Annotated[str | None, typer.Option(help="Error name, for Retry and Catch.")] = None,
    cause: Annotated[str | None, typer.Option(help="What went wrong.")] = None,
    db: Db = None,
) -> None:
    """The task cannot be done."""
    _do(lambda c: c.answer(token, db, "send_task_failure", error, cause))


@task.command()
def heartbeat(token: Token, db: Db = None) -> None:
    """The task is still being worked on."""
    _do(lambda c: c.answer(token, db, "send_task_heartbeat"))


@database.command()
def check(db: Db = None, json: Json = False) -> None:
    """List what is damaged in a database, and what to do. Exit code 1 if anything is. May run beside a server."""
    _do(lambda c: c.check_database(db, json), "database_check")


def main() -> None:
    """The console script."""
    try:
        " ".join(sys.argv).encode()
    except UnicodeEncodeError:
        print("stepwell: an argument is not UTF-8 text", file=sys.stderr)
        sys.exit(USAGE)
    app(prog_name="stepwell")


if __name__ == "__main__":
    main()
