"""Commands that read definitions."""

from typing import Annotated

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.parsing.declaring import Group, Option

top = Group()

State = Annotated[str | None, Option(metavar="NAME", help="The state.  [default: the first one]")]
Context = Annotated[
    str | None, Option(metavar="JSON|@FILE|-", help="Context object.  [default: a generated one]")
]
Variables = Annotated[
    str | None, Option(metavar="JSON|@FILE|-", help="Variables that states before have assigned.")
]
TaskResult = Annotated[
    str | None,
    Option(metavar="JSON|@FILE|-", help="Result of the task, the branches or the iterations."),
]
Errors = Annotated[
    list[str] | None,
    Option(
        "--error",
        metavar="NAME",
        help="Error of an attempt; repeatable, in order. Without --result the last one repeats.",
    ),
]
Check = Annotated[
    bool, Option("--check", help="Write nothing; exit code 1 if a file is not formatted.")
]
Diff = Annotated[bool, Option("--diff", help="As --check, and print what would change.")]
Cause = Annotated[str | None, Option(metavar="TEXT", help="Cause of the errors.")]


@top.command(section=o.DEFINITIONS)
def validate(
    files: o.DefinitionFiles,
    param: o.Params = None,
    params: o.ParamsFile = None,
    type: o.WorkflowType = None,
    json: o.Json = False,
    limits: o.LimitsFile = None,
) -> None:
    """Report all problems of definitions, with their places."""
    call("validate.validate", files, param or [], params, type, json, limits=limits)


@top.command(section=o.DEFINITIONS)
def format(
    files: o.DefinitionFiles,
    check: Check = False,
    diff: Diff = False,
    limits: o.LimitsFile = None,
) -> None:
    """Put the fields of definitions in one order and indent them. YAML is left as it is.

    Exit code: 0 done, 1 a file is not formatted (--check, --diff), 2 a file is not JSON.
    """
    call("editing.format", files, check, diff, limits=limits)


@top.command(section=o.DEFINITIONS)
def schema() -> None:
    """Print the JSON Schema of definitions, for editors."""
    call("editing.schema")


@top.command("language-server", section=o.DEFINITIONS)
def language_server() -> None:
    """Serve an editor over standard input and output: the Language Server Protocol."""
    call("editing.language_server")


@top.command(section=o.DEFINITIONS)
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
    params: o.ParamsFile = None,
    server: o.Server = None,
    db: o.Db = None,
    limits: o.LimitsFile = None,
) -> None:
    """Draw a state machine or an execution, as SVG, text and others."""
    look = {"theme": theme.value, "direction": direction.value, "collapse": collapse or []}
    kind = format and format.value
    call(
        *("render.render", file, output, kind, look, execution, history, param or [], params),
        *(server, db),
        limits=limits,
    )


@top.command(section=o.DEFINITIONS)
def explain(
    file: o.DefinitionFile,
    state: State = None,
    input: o.Input = "{}",
    context: Context = None,
    variables: Variables = None,
    result: TaskResult = None,
    error: Errors = None,
    cause: Cause = None,
    param: o.Params = None,
    params: o.ParamsFile = None,
    json: o.Json = False,
    limits: o.LimitsFile = None,
) -> None:
    """Show what a state does with an input, stage by stage, and why a value is missing. Nothing is
    called.
    """
    call(
        *("explain.explain", file, state, input, context, variables, result, error or [], cause),
        *(param or [], params, json),
        limits=limits,
    )
