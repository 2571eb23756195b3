"""Commands that show and stop executions."""

import typer

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import PLAIN, call

top = typer.Typer(**PLAIN)
executions = typer.Typer(help="List, show and stop executions.", **PLAIN)


@top.command()
def inspect(
    execution: o.Execution,
    state: o.StateName,
    visit: o.Visit = None,
    db: o.Db = None,
    json: o.Json = False,
    limits: o.LimitsFile = None,
) -> None:
    """Show each stage of the data flow of a state."""
    call("executions.inspect", execution, state, visit, db, json, limits=limits)


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
    call("executions.list_", machine, status and status.value, limit, db, json, limits=limits)


@executions.command()
def show(
    execution: o.Execution, db: o.Db = None, json: o.Json = False, limits: o.LimitsFile = None
) -> None:
    """Show the status, input, output and states of an execution."""
    call("executions.show", execution, db, json, limits=limits)


@executions.command()
def history(
    execution: o.Execution,
    reverse: o.Reverse = False,
    db: o.Db = None,
    json: o.Json = False,
    limits: o.LimitsFile = None,
) -> None:
    """Show the history events of an execution."""
    call("executions.history", execution, reverse, db, json, limits=limits)


@executions.command()
def stop(
    execution: o.Execution,
    error: o.StopError = None,
    cause: o.StopCause = None,
    db: o.Db = None,
    limits: o.LimitsFile = None,
) -> None:
    """Stop an execution. It ends as ABORTED."""
    call("executions.stop", execution, error, cause, db, limits=limits)


@executions.command()
def fire(
    execution: o.Execution,
    state: o.FiredState = None,
    db: o.Db = None,
    limits: o.LimitsFile = None,
) -> None:
    """End a wait now: of a Wait state, or before a retry."""
    call("executions.fire", execution, state, db, limits=limits)
