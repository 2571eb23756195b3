"""What the commands do that change executions: start, stop and redrive, one or many at once; and
their time: fire and advance.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from stepwell.asl.timestamps import iso_milliseconds
from stepwell.engine.arns import split_case
from stepwell.engine.errors import ApiError
from stepwell.engine.search import durations
from stepwell.engine.search.queries import is_condition
from stepwell.integrations.cli import exit_codes, lookup
from stepwell.integrations.cli.clients import selection
from stepwell.integrations.cli.clients.base import SEVERAL, Client
from stepwell.integrations.cli.clients.choosing import Where, using
from stepwell.integrations.cli.errors import with_where
from stepwell.integrations.cli.output import screen
from stepwell.integrations.cli.output.text import command, count, ndjson, printable, when
from stepwell.integrations.cli.parsing import inputs
from stepwell.integrations.errors import UsageError

PROGRESS_EVERY: Final = 50  # executions, where standard error is no terminal
Act = Callable[[Client, Mapping[str, Any]], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What `stop` and `redrive` do to executions.

    verb, done  "stop", "stopped"
    statuses    executions with others are not changed
    act         changes one
    """

    verb: str
    done: str
    statuses: tuple[str, ...]
    act: Act


# --- start ----------------------------------------------------------------------------------------


@with_where
def start(machine: str, input: str, name: str | None, json: bool, where: Where) -> int:
    text = inputs.read_json(input, "--input", where.limits)

    async def work(client: Client) -> None:
        plain, case = split_case(machine)
        arn = await lookup.machine_arn(client, plain) + (f"#{case}" if case else "")
        # a name of its own: a request that is sent again starts nothing twice
        chosen = name or secrets.token_hex(6)
        answer = await client.call(
            "start_execution", state_machine_arn=arn, name=chosen, input=text
        )
        print(ndjson(answer) if json else answer["executionArn"])
        if not await client.runs():
            proposed = command("resume", chosen, *client.words)
            print(f"no process works on {client.where}; run it with: {proposed}", file=sys.stderr)

    return using(*where, work)


@with_where
def fire(execution: str, state: str | None, where: Where) -> int:
    async def work(client: Client) -> None:
        arn = (await lookup.find(client, execution))["executionArn"]
        answer = await client.call("fire_timer", execution_arn=arn, state_name=state)
        for each in answer["fired"]:
            name, due = printable(each["stateName"]), when(each["dueDate"], exact=True)
            print(f"{name} waits no longer; it was due {due}", file=sys.stderr)

    return using(*where, work)


# --- time -----------------------------------------------------------------------------------------


def seconds(duration: str) -> float:
    """Of 30d, 1h30m, or a number of seconds. Raises UsageError."""
    found = durations.seconds(f"{duration}s" if duration.isdecimal() else duration)
    if found is None:
        raise UsageError(f"{duration}: not a duration such as 30d, 1h30m or 45s")
    return found


@with_where
def advance(duration: str | None, until: str | None, where: Where) -> int:
    if (duration is None) == (until is None):
        raise UsageError("either a duration or --until is needed")
    asked = None if duration is None else seconds(duration)

    async def work(client: Client) -> None:
        answer = await client.call("advance_time", seconds=asked, until=until)
        print(iso_milliseconds(answer["now"]))

    return using(*where, work)


# --- stop, redrive --------------------------------------------------------------------------------


@with_where
def stop(
    named: Sequence[str],
    wanted: Mapping[str, str | None],
    error: str | None,
    cause: str | None,
    *,
    where: Where,
    **bulk: bool,
) -> int:
    """bulk: dry_run and yes."""

    async def act(client: Client, execution: Mapping[str, Any]) -> None:
        arn = execution["executionArn"]
        await client.call("stop_execution", execution_arn=arn, error=error, cause=cause)

    change = Change(verb="stop", done="stopped", statuses=("RUNNING",), act=act)
    return using(*where, partial(_change, change, named, wanted, bulk))


@with_where
def redrive(
    named: Sequence[str],
    wanted: Mapping[str, str | None],
    *,
    where: Where,
    **bulk: bool,
) -> int:
    async def act(client: Client, execution: Mapping[str, Any]) -> None:
        token = secrets.token_hex(16)  # a request that is sent again redrives nothing twice
        arn = execution["executionArn"]
        await client.call("redrive_execution", execution_arn=arn, client_token=token)

    change = Change(verb="redrive", done="redriven", statuses=selection.FAILED, act=act)
    return using(*where, partial(_change, change, named, wanted, bulk))


async def _change(
    change: Change,
    named: Sequence[str],
    options: Mapping[str, str | None],
    bulk: Mapping[str, bool],
    client: Client,
) -> int:
    query = [each for each in named if is_condition(each)]
    names = [each for each in named if each not in query]
    filtered = bool(query) or any(value is not None for value in options.values())
    if filtered == bool(names):
        raise UsageError(
            "name executions, or use a filter such as --machine NAME or customer=ada, but not both"
        )
    wanted = _wanted(change, options, query) if filtered else None
    if wanted is None:
        chosen = await _named(change, names, client)
    else:
        chosen = [each async for each in selection.executions(client, wanted)]
    if bulk["dry_run"]:
        for each in chosen:
            print(printable(lookup.full_name(each)))
        print(f"{_would(change, chosen)} (dry run)", file=sys.stderr)
        return exit_codes.SUCCEEDED
    if not chosen:
        if filtered:
            print(f"nothing to {change.verb}: no execution matches", file=sys.stderr)
        return exit_codes.SUCCEEDED
    if filtered and not bulk["yes"] and not _confirmed(change, chosen):
        print("nothing was changed", file=sys.stderr)
        return exit_codes.USAGE
    failed = await _carry_out(change, chosen, client)
    if failed < len(chosen) and not await client.runs() and change.verb == "redrive":
        proposed = command("resume", "--all", *client.words)
        print(f"no process works on {client.where}; run them with: {proposed}", file=sys.stderr)
    return exit_codes.FAILED if failed else exit_codes.SUCCEEDED


async def _named(change: Change, named: Sequence[str], client: Client) -> list[Mapping[str, Any]]:
    """Those that can be changed; the others are reported."""
    described = [await lookup.find(client, each) for each in dict.fromkeys(named)]
    chosen = []
    for each in described:
        name, status = printable(lookup.full_name(each)), each["status"]
        if change.verb == "stop" and status not in change.statuses:
            print(f"{name} has ended before: {status}", file=sys.stderr)
        else:  # whether it can be redriven, and why not, is said by the answer
            chosen.append(each)
    return chosen


def _wanted(
    change: Change, options: Mapping[str, str | None], query: Sequence[str]
) -> selection.Wanted:
    """Raises UsageError for statuses with which none can be changed."""
    wanted = selection.read(options, query)
    statuses = wanted.search().statuses
    for status in statuses:
        if status not in change.statuses:
            raise UsageError(
                f"status {status}: only executions that are {' or '.join(change.statuses)} can be "
                f"{change.done}"
            )
    return wanted if statuses else wanted._replace(statuses=change.statuses)


def _would(change: Change, chosen: Sequence[Mapping[str, Any]]) -> str:
    """stop 12 executions of 2 state machines."""
    machines = {each["stateMachineArn"] for each in chosen}
    whose = f" of {count(len(machines), 'state machine')}" if chosen else ""
    return f"{change.verb} {count(len(chosen), 'execution')}{whose}"


def _confirmed(change: Change, chosen: Sequence[Mapping[str, Any]]) -> bool:
    """Ask on the terminal. Raises UsageError without one."""
    if not sys.stdin.isatty():
        raise UsageError(
            f"this would {_would(change, chosen)}: use --yes to do so, --dry-run to list them"
        )
    print(f"{_would(change, chosen)}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _carry_out(change: Change, chosen: Sequence[Mapping[str, Any]], client: Client) -> int:
    """Change all, several at a time; report each failure and go on. The number of failures."""
    free, done, failed = asyncio.Semaphore(SEVERAL), 0, 0
    several = len(chosen) > 1
    bar = several and screen.fancy(sys.stderr)

    async def one(execution: Mapping[str, Any]) -> None:
        nonlocal done, failed
        name = printable(lookup.full_name(execution))
        async with free:
            try:
                await change.act(client, execution)
                line = "" if several else f"{change.done} {name}"
            except ApiError as fault:
                failed += 1
                line = f"{name}: {printable(fault.message or fault.code)}"
        done += 1
        if line:
            print(f"\r\x1b[K{line}" if bar else line, file=sys.stderr)
        if bar:
            print(f"\r\x1b[K{done:,} of {len(chosen):,}", end="", file=sys.stderr, flush=True)
        elif done % PROGRESS_EVERY == 0 and several:
            print(f"{done:,} of {len(chosen):,}", file=sys.stderr)

    results = await asyncio.gather(*map(one, chosen), return_exceptions=True)
    if bar:
        print("\r\x1b[K", end="", file=sys.stderr)
    if several:
        fine = f"{change.done} {count(done - failed, 'execution')}"
        print(f"{fine}, {failed:,} failed" if failed else fine, file=sys.stderr)
    for each in results:
        if isinstance(each, BaseException):
            raise each
    return failed
