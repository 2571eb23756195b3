"""Commands that show, start and change executions. Most are also in the group `executions`, where
they were before they had short names.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.parsing.declaring import Argument, Group, Option

top = Group()
executions = Group("The same as list, show, history, tail, stop and redrive.")


class Status(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"


StateName = Annotated[str, Argument(metavar="STATE", help="Name of a state.")]
Visit = Annotated[
    int | None, Option(min=1, help="Visit of the state, from 1.  [default: the last]")
]
Executions = Annotated[
    list[str] | None,
    Argument(
        metavar="[EXECUTION...]",
        help="Names, MACHINE/NAME or ARNs of executions.",
        complete=o.complete("executions"),
    ),
]
Chosen = Annotated[
    list[str] | None,
    Argument(
        metavar="[EXECUTION|QUERY...]",
        help="Names, MACHINE/NAME or ARNs of executions; or conditions such as customer=ada.",
        complete=o.complete("executions"),
    ),
]
Query = Annotated[
    list[str] | None,
    Argument(
        metavar="[QUERY...]",
        help="Conditions, such as customer=ada 'total>100' status=FAILED 'started>=2h'.",
    ),
]
Machine = Annotated[
    str,
    Argument(
        metavar="MACHINE",
        help="Name or ARN of a state machine; NAME:VERSION or NAME:ALIAS for one of those; "
        "NAME#CASE for a test case of the server's mock file.",
        complete=o.complete("machines"),
    ),
]
Filter = Annotated[
    str | None,
    Option(
        "--machine",
        metavar="NAME",
        help="Only executions of this state machine.",
        complete=o.complete("machines"),
    ),
]
StatusFilter = Annotated[Status | None, Option("--status", help="Only executions of this status.")]
Since = Annotated[
    str | None,
    Option(metavar="TIME", help=f"Only those that started since: {o.TIMES}"),
]
Until = Annotated[
    str | None, Option(metavar="TIME", help="Only those that started until then: as --since.")
]
ErrorFilter = Annotated[
    str | None, Option("--error", metavar="NAME", help="Only those that ended with this error.")
]
Attributes = Annotated[
    str | None,
    Option(
        metavar="NAMES",
        help="Show the values of these search attributes, such as customer,total.  [default: those "
        "of the query]",
    ),
]
MapRun = Annotated[
    str | None,
    Option(
        "--map-run",
        metavar="EXECUTION",
        help="List the children of its Map Runs, or of the Map Run with this ARN.",
        complete=o.complete("executions"),
    ),
]
Limit = Annotated[int, Option(min=1, help="Maximum number of executions.")]
Reverse = Annotated[bool, Option("--reverse", help="Last event first.")]
StopError = Annotated[str | None, Option("--error", help="Error name to record.")]
StopCause = Annotated[str | None, Option("--cause", help="Cause to record.")]
DryRun = Annotated[bool, Option("--dry-run", help="Only list what would be changed.")]
Follow = Annotated[
    bool, Option("--follow", "-f", help="Go on: print each event as it is committed.")
]
Lines = Annotated[
    int, Option("--lines", "-n", min=0, help="Events of the past to print, of each execution.")
]


FiredState = Annotated[
    str | None, Argument(metavar="STATE", help="The state that waits; needed if several do.")
]


def both(name: str, section: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a command at the top and in the group `executions`."""

    def declare(command: Callable[..., Any]) -> Callable[..., Any]:
        executions.command(name)(command)
        return top.command(name, section=section)(command)

    return declare


# --- shown ----------------------------------------------------------------------------------------


@both("list", o.EXECUTIONS)
def list_(
    query: Query = None,
    machine: Filter = None,
    status: StatusFilter = None,
    since: Since = None,
    until: Until = None,
    error: ErrorFilter = None,
    attributes: Attributes = None,
    map_run: MapRun = None,
    limit: Limit = 100,
    json: o.Json = False,
    utc: o.Utc = False,
    where: o.Where = o.WHERE,
) -> None:
    """List executions, newest first: all, or those that match."""
    wanted = {**_wanted(machine, status, since, until, error), "map_run": map_run}
    call(
        *("executions.lists.list_", query or [], wanted, attributes, limit, json, utc),
        where=where,
    )


@both("show", o.EXECUTIONS)
def show(
    execution: o.Execution, json: o.Json = False, utc: o.Utc = False, where: o.Where = o.WHERE
) -> None:
    """Show the status, input, output and states of an execution."""
    call("executions.details.show", execution, json, utc, where=where)


@both("history", o.EXECUTIONS)
def history(
    execution: o.Execution, reverse: Reverse = False, json: o.Json = False, where: o.Where = o.WHERE
) -> None:
    """Show the history events of an execution."""
    call("executions.lists.history", execution, reverse, json, where=where)


@both("tail", o.EXECUTIONS)
def tail(
    execution: Executions = None,
    follow: Follow = False,
    machine: Filter = None,
    since: Since = None,
    lines: Lines = 10,
    json: o.Json = False,
    utc: o.Utc = False,
    where: o.Where = o.WHERE,
) -> None:
    """Print the last events of executions, and with -f the next ones.

    Without a name: of all that run.
    """
    options: dict[str, Any] = {"follow": follow, "lines": lines, "json": json, "utc": utc}
    call(*("tail.tail", execution or [], machine, since), **options, where=where)


@top.command(section=o.EXECUTIONS)
def inspect(
    execution: o.Execution,
    state: StateName,
    visit: Visit = None,
    json: o.Json = False,
    where: o.Where = o.WHERE,
) -> None:
    """Show each stage of the data flow of a state."""
    call("executions.details.inspect", execution, state, visit, json, where=where)


# --- started and changed --------------------------------------------------------------------------


@top.command(section=o.RUNNING)
def start(
    machine: Machine,
    input: o.Input = "{}",
    name: o.ExecutionName = None,
    json: o.Json = False,
    where: o.Where = o.WHERE,
) -> None:
    """Start an execution of a state machine, and print its ARN."""
    call("changes.start", machine, input, name, json, where=where)


@both("stop", o.RUNNING)
def stop(
    execution: Chosen = None,
    machine: Filter = None,
    status: StatusFilter = None,
    since: Since = None,
    until: Until = None,
    error: StopError = None,
    cause: StopCause = None,
    dry_run: DryRun = False,
    yes: o.Yes = False,
    where: o.Where = o.WHERE,
) -> None:
    """Stop executions: named ones, or all that match.

    They end as ABORTED.
    """
    wanted = _wanted(machine, status, since, until)
    bulk: dict[str, Any] = {"dry_run": dry_run, "yes": yes}
    call(
        *("changes.stop", execution or [], wanted, error, cause),
        **bulk,
        where=where,
    )


@both("redrive", o.RUNNING)
def redrive(
    execution: Chosen = None,
    machine: Filter = None,
    status: StatusFilter = None,
    since: Since = None,
    until: Until = None,
    error: ErrorFilter = None,
    dry_run: DryRun = False,
    yes: o.Yes = False,
    where: o.Where = o.WHERE,
) -> None:
    """Redrive executions that failed: named ones, or all that match."""
    wanted = _wanted(machine, status, since, until, error)
    bulk: dict[str, Any] = {"dry_run": dry_run, "yes": yes}
    call("changes.redrive", execution or [], wanted, **bulk, where=where)


@both("fire", o.RUNNING)
def fire(execution: o.Execution, state: FiredState = None, where: o.Where = o.WHERE) -> None:
    """End a wait now: of a Wait state, or before a retry."""
    call("changes.fire", execution, state, where=where)


def _wanted(
    machine: str | None,
    status: Status | None,
    since: str | None,
    until: str | None,
    error: str | None = None,
) -> dict[str, str | None]:
    """The fields of selection.Wanted, as options."""
    return {
        "machine": machine,
        "status": status and status.value,
        "since": since,
        "until": until,
        "error": error,
    }
