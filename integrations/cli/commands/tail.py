"""What `stepwell tail` does: the last events of executions, and those that follow."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from stepwell.engine.errors import ApiError
from stepwell.integrations.cli import exit_codes, lookup
from stepwell.integrations.cli.clients import selection
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.clients.choosing import Where, using
from stepwell.integrations.cli.errors import with_where
from stepwell.integrations.cli.output.events import summary
from stepwell.integrations.cli.output.screen import width
from stepwell.integrations.cli.output.text import ndjson, printable, when

FOLLOWED: Final = 100  # executions that are followed at the same time
SAID: Final = 100  # characters of an event's details; LEAST: on a terminal
LEAST: Final = 25
LOOK_SECONDS: Final = 1.0  # between two looks for new executions


class Format(NamedTuple):
    """How events are printed.

    lines  events of the past to print, of each execution
    names  each line has the name of its execution
    """

    lines: int
    json: bool
    utc: bool
    names: bool

    def show(self, execution: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        if self.json:
            print(ndjson({"executionArn": execution["executionArn"], **event}), flush=True)
            return
        parts = [when(event["timestamp"], True, self.utc)]
        parts += [printable(lookup.full_name(execution))] if self.names else []
        parts += [f"{event['id']:>4}", event["type"]]
        line = "  ".join(parts)
        room = width() - len(line) - 2 if sys.stdout.isatty() else SAID
        print(f"{line}  {summary(event, max(LEAST, room))}".rstrip(), flush=True)


@with_where
def tail(
    named: Sequence[str],
    machine: str | None,
    since: str | None,
    *,
    follow: bool,
    lines: int,
    json: bool,
    utc: bool,
    where: Where,
) -> int:
    """Without names: all executions of a machine, or all, that run or started since then."""
    wanted = selection.read({"machine": machine, "since": since})
    format = Format(lines, json, utc, len(named) != 1)

    async def work(client: Client) -> int:
        if named:
            found = [await lookup.find(client, each) for each in dict.fromkeys(named)]
        else:
            found = await _present(client, wanted)
        client.patient = follow
        if not follow:
            await _print_past(client, found, format)
        elif named:
            await asyncio.gather(*(_follow(client, each, format) for each in found))
        else:
            await _follow_all(client, found, wanted, format)
        return exit_codes.SUCCEEDED

    return using(*where, work)


async def _present(client: Client, wanted: selection.Wanted) -> list[Mapping[str, Any]]:
    """Those that run, or started since; the newest first."""
    if wanted.since is None:
        wanted = wanted._replace(statuses=("RUNNING",))
    return [each async for each in selection.executions(client, wanted, FOLLOWED)]


async def _last(
    client: Client, execution: Mapping[str, Any], lines: int
) -> list[Mapping[str, Any]]:
    """Its last events, oldest first; at least one."""
    page = await client.call(
        "get_execution_history",
        execution_arn=execution["executionArn"],
        reverse_order=True,
        max_results=min(max(lines, 1), 1000),
    )
    return list(page["events"][::-1])


async def _print_past(
    client: Client, executions: Sequence[Mapping[str, Any]], format: Format
) -> None:
    """The last events of all, in the order of their times."""
    shown = []
    for each in executions:
        events = await _last(client, each, format.lines)
        shown += [
            (event["timestamp"], each, event) for event in events[-format.lines or len(events) :]
        ]
    for _, execution, event in sorted(shown, key=lambda each: each[0]):
        format.show(execution, event)


# --- following ------------------------------------------------------------------------------------


async def _follow(client: Client, execution: Mapping[str, Any], format: Format) -> None:
    """Print its last events, and each new one until it closes."""
    past = await _last(client, execution, format.lines)
    for event in past[len(past) - format.lines if format.lines < len(past) else 0 :]:
        format.show(execution, event)
    async for event in client.watch(execution["executionArn"], past[-1]["id"] if past else 0):
        format.show(execution, event)


async def _follow_all(
    client: Client,
    found: Sequence[Mapping[str, Any]],
    wanted: selection.Wanted,
    format: Format,
) -> None:
    """Follow those, and each execution that starts from now on. Ends only with the process."""
    began, full = client.now(), False
    seen = {each["executionArn"] for each in found}
    running = {asyncio.ensure_future(_follow(client, each, format)) for each in found}
    # an execution that has started meanwhile is shown from its first event on
    whole = format._replace(lines=1000)
    while True:
        for task in [task for task in running if task.done()]:
            running.discard(task)
            await _result(task)
        # one that started while the last list was made has an earlier time than that
        recent = wanted._replace(since=max(wanted.since or 0.0, began - 5), statuses=())
        async for each in selection.executions(client, recent):
            if each["executionArn"] in seen:
                continue
            if len(running) >= FOLLOWED:
                if not full:
                    print(f"more than {FOLLOWED} run: the others are left out", file=sys.stderr)
                full = True
                break
            seen.add(each["executionArn"])
            running.add(asyncio.ensure_future(_follow(client, each, whole)))
        await asyncio.sleep(LOOK_SECONDS)


async def _result(task: asyncio.Future[None]) -> None:
    """Raises what the task raised, but for an execution that was deleted meanwhile."""
    try:
        await task
    except ApiError as fault:
        if fault.code != "ExecutionDoesNotExist":
            raise
