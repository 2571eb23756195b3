"""The command `stepwell`: its subcommands and their options (options.py).

A subcommand passes its options to a function of the same package, which returns the exit code
(exit_codes.py). The module of that function is imported only then, so that --help stays fast.
"""

import os
import sys
from importlib import import_module
from typing import Annotated, Any, Final, NoReturn

import typer

from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.plugins import Commands

_PLAIN: Final[dict[str, Any]] = {
    "rich_markup_mode": None,
    "no_args_is_help": True,
    "context_settings": {"help_option_names": ["-h", "--help"]},
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


def _call(function: str, *arguments: Any, **options: Any) -> NoReturn:
    """Call MODULE.FUNCTION of this package and exit with its code. An unexpected exception is
    reported in one line, with exit code 70.
    """
    module, _, name = function.partition(".")
    try:
        command = getattr(import_module(f"stepwell.integrations.cli.{module}"), name)
        code = command(*arguments, **options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = exit_codes.INTERRUPTED
    except BrokenPipeError:  # `| head` has closed the pipe: no message, nor at the final flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = exit_codes.INTERRUPTED
    except Exception as error:
        if os.environ.get("STEPWELL_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        words = " ".join(str(error).split())
        print(
            f"stepwell: internal error: {type(error).__name__}: {words} (STEPWELL_DEBUG=1 "
            "shows the traceback)",
            file=sys.stderr,
        )
        code = exit_codes.INTERNAL
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
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # characters that its encoding lacks are escaped
            stream.reconfigure(errors="backslashreplace")


@app.command()
def run(
    file: o.DefinitionFile,
    input: o.Input = "{}",
    name: o.ExecutionName = None,
    type: o.WorkflowType = o.Type.STANDARD,
    functions: o.Functions = None,
    param: o.Params = None,
    db: o.Db = None,
    json: o.JsonEvents = False,
    quiet: o.Quiet = False,
    timeout: o.Timeout = None,
    limits: o.LimitsFile = None,
) -> None:
    """Run a state machine and print its output.

    Exit code: 0 succeeded, 1 failed, 2 bad usage or definition, 3 timed out, 4 aborted, 130
    interrupted, 70 internal error.
    """
    _call(
        *("run.run", file, input, name, type.value, functions, param or [], db),
        *(json, quiet, timeout),
        limits=limits,
    )


@app.command()
def validate(
    files: o.DefinitionFiles,
    param: o.Params = None,
    type: o.WorkflowType = o.Type.STANDARD,
    json: o.Json = False,
    limits: o.LimitsFile = None,
) -> None:
    """Report all problems of definitions, with file, line and column."""
    _call("validate.validate", files, param or [], type.value, json, limits=limits)


@app.command()
def resume(
    execution: o.OptionalExecution = None,
    all: o.All = False,
    functions: o.EarlierFunctions = None,
    db: o.Db = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    timeout: o.Timeout = None,
    limits: o.LimitsFile = None,
) -> None:
    """Resume an execution that was interrupted or killed."""
    _call("run.resume", execution, all, functions, db, json, quiet, timeout, limits=limits)


@app.command()
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
    limits: o.LimitsFile = None,
) -> None:
    """Serve the AWS API and a console page over HTTP, until SIGTERM or Ctrl-C."""
    _call("serve.serve", **locals())


@app.command()
def env(
    endpoint: o.Endpoint = "http://127.0.0.1:8083",
    region: o.ClientRegion = None,
    shell: o.ShellSyntax = o.Shell.SH,
    every: o.AllServices = False,
) -> None:
    """Print the variables that direct AWS clients to a server: eval "$(stepwell env)"."""
    _call("serve.env", endpoint, region, shell.value, every)


@app.command()
def inspect(
    execution: o.Execution,
    state: o.StateName,
    visit: o.Visit = None,
    db: o.Db = None,
    json: o.Json = False,
    limits: o.LimitsFile = None,
) -> None:
    """Show each stage of the data flow of a state."""
    _call("executions.inspect", execution, state, visit, db, json, limits=limits)


@app.command()
def render(
    file: o.OptionalFile = None,
    output: o.OutputFile = None,
    format: o.PictureFormatOption = None,
    theme: o.ThemeOption = o.Theme.AUTO,
    direction: o.DirectionOption = o.Direction.TB,
    collapse: o.Collapse = None,
    execution: o.DrawnExecution = None,
    history: o.HistoryFile = None,
    param: o.Params = None,
    db: o.Db = None,
    limits: o.LimitsFile = None,
) -> None:
    """Draw a state machine or an execution: SVG, PNG, PDF, DOT, Mermaid or text."""
    look = {"theme": theme.value, "direction": direction.value, "collapse": collapse or []}
    kind = format and format.value
    _call(
        *("render.render", file, output, kind, look, execution, history, param or [], db),
        limits=limits,
    )


@executions.command("list")
def list_(
    machine: o.MachineName = None,
    status: o.StatusFilter = None,
    limit: o.Limit = 100,
    db: o.Db = None,
    json: o.Json = False,
    limits: o.LimitsFile = None,
) -> None:
    """List executions, newest first."""
    _call("executions.list_", machine, status and status.value, limit, db, json, limits=limits)


@executions.command()
def show(
    execution: o.Execution, db: o.Db = None, json: o.Json = False, limits: o.LimitsFile = None
) -> None:
    """Show the status, input, output and states of an execution."""
    _call("executions.show", execution, db, json, limits=limits)


@executions.command()
def history(
    execution: o.Execution,
    reverse: o.Reverse = False,
    db: o.Db = None,
    json: o.Json = False,
    limits: o.LimitsFile = None,
) -> None:
    """Show the history events of an execution."""
    _call("executions.history", execution, reverse, db, json, limits=limits)


@executions.command()
def stop(
    execution: o.Execution,
    error: o.StopError = None,
    cause: o.StopCause = None,
    db: o.Db = None,
    limits: o.LimitsFile = None,
) -> None:
    """Stop an execution. It ends as ABORTED."""
    _call("executions.stop", execution, error, cause, db, limits=limits)


@activity.command("poll")
def poll(
    name: o.ActivityName,
    worker: o.WorkerName = None,
    timeout: o.PollTimeout = 60,
    db: o.Db = None,
    limits: o.LimitsFile = None,
) -> None:
    """Wait for a task and print {"taskToken", "input"}. Without a task: no output, exit code 3."""
    _call("tasks.poll", name, worker, timeout, db, limits=limits)


@task.command()
def succeed(
    token: o.Token, output: o.Result = "{}", db: o.Db = None, limits: o.LimitsFile = None
) -> None:
    """Report that a task succeeded."""
    _call("tasks.succeed", token, output, db, limits=limits)


@task.command()
def fail(
    token: o.Token,
    error: o.TaskError = None,
    cause: o.TaskCause = None,
    db: o.Db = None,
    limits: o.LimitsFile = None,
) -> None:
    """Report that a task failed."""
    _call("tasks.fail", token, error, cause, db, limits=limits)


@task.command()
def heartbeat(token: o.Token, db: o.Db = None, limits: o.LimitsFile = None) -> None:
    """Report that a task is still in progress."""
    _call("tasks.heartbeat", token, db, limits=limits)


@database.command()
def check(db: o.Db = None, json: o.Json = False, limits: o.LimitsFile = None) -> None:
    """List damaged records of a database, and what to do. Exit code 1 if there are any. A server
    may be running.
    """
    _call("database_check.check_database", db, json, limits=limits)


@database.command()
def migrate(db: o.Db = None, limits: o.LimitsFile = None) -> None:
    """Bring the tables of a database to this version, as each start does. Nothing may use it."""
    _call("database_copy.migrate", db, limits=limits)


@database.command()
def backup(file: o.NewFile, db: o.Db = None, limits: o.LimitsFile = None) -> None:
    """Copy a database to a new SQLite file, on one state of it. A server may be running."""
    _call("database_copy.copy_database", db, file, limits=limits)


@database.command()
def copy(source: o.Source, target: o.Target, limits: o.LimitsFile = None) -> None:
    """Copy a database to a new one, such as from a SQLite file to PostgreSQL or back. Stop the
    server of the first one before, and start it on the second one.
    """
    _call("database_copy.copy_database", source, target, limits=limits)


def main() -> None:
    """The entry point of the installed command."""
    try:
        " ".join(sys.argv).encode()
    except UnicodeEncodeError:
        print("stepwell: an argument is not UTF-8 text", file=sys.stderr)
        sys.exit(exit_codes.USAGE)
    app(prog_name="stepwell")


if __name__ == "__main__":
    main()
