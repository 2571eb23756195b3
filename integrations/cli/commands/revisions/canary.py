"""What `stepwell canary` does: route a part of new executions to another version, show the numbers
of both, and promote it or roll back.
"""

from __future__ import annotations

import sys

from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.clients import selection
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.clients.choosing import Where, using
from stepwell.integrations.cli.errors import with_where
from stepwell.integrations.cli.output import screen
from stepwell.integrations.cli.output.text import count, ndjson, printable, took, when
from stepwell.integrations.cli.versions import canary
from stepwell.integrations.cli.versions.canary import Alias, Numbers
from stepwell.integrations.cli.versions.statistics import percentile, wilson
from stepwell.integrations.errors import UsageError


@with_where
def start(machine: str, alias: str, to: str | None, percent: int, where: Where) -> int:
    async def work(client: Client) -> int:
        found = await canary.find(client, machine, alias)
        arn = found.arn.rpartition(":")[0]
        version = f"{arn}:{to}" if to is not None else await _newest(client, arn)
        await canary.route(client, found, canary.begun(found, version, percent))
        _say(f"{alias}: {percent} % of new executions to version {version.rpartition(':')[2]}")
        return exit_codes.SUCCEEDED

    return using(*where, work)


async def _newest(client: Client, arn: str) -> str:
    answer = await client.call("list_state_machine_versions", state_machine_arn=arn)
    versions = answer["stateMachineVersions"]
    if not versions:
        raise UsageError(f"{arn} has no version: publish one")
    return str(versions[0]["stateMachineVersionArn"])


@with_where
def end(machine: str, alias: str, promoted: bool, where: Where) -> int:
    async def work(client: Client) -> int:
        found = await canary.find(client, machine, alias)
        kept, routes = canary.ended(found, promoted)
        await canary.route(client, found, routes)
        _say(f"{alias}: all new executions to version {kept.rpartition(':')[2]}")
        return exit_codes.SUCCEEDED

    return using(*where, work)


def _say(words: str) -> None:
    print(printable(words), file=sys.stderr)


@with_where
def status(
    machine: str, alias: str, since: str | None, limit: int, json: bool, utc: bool, where: Where
) -> int:
    """Exit code 1 if the new version fails more often or is slower."""
    begin = selection.read({"since": since}).since

    async def work(client: Client) -> int:
        found = await canary.find(client, machine, alias)
        start = found.updated if begin is None else begin
        each = await canary.numbers(client, found, start, limit)
        decided = canary.verdict(each[0], each[1]) if len(each) > 1 else None
        if json:
            verdict = {} if decided is None else {"verdict": decided[0], "why": decided[1]}
            versions = [canary.as_json(of) for of in each]
            print(ndjson({"alias": found.arn, "since": start, "versions": versions, **verdict}))
        else:
            _show(found, when(start, utc=utc), each, decided)
        worse = decided is not None and decided[0] in (canary.WORSE, canary.SLOWER)
        return exit_codes.FAILED if worse else exit_codes.SUCCEEDED

    return using(*where, work)


def _show(alias: Alias, since: str, each: list[Numbers], decided: tuple[str, str] | None) -> None:
    name = printable(alias.arn.split(":stateMachine:")[1])
    screen.write([[(f"{name}  executions since {since}", "bold")]], sys.stdout)
    columns = ["version", "weight", "executions", "running", "failed", "95 %", "p50", "p95", "p99"]
    rows = [_row(of) for of in each]
    screen.table([*columns, "transitions"], rows, sys.stdout)
    lines = [
        [(f"version {of.number}: {number:,} × {printable(error)}", "")]
        for of in each
        for error, number in of.errors.most_common(10)
    ]
    if decided is not None:
        style = {"worse": "red", "slower": "yellow", "better": "green"}.get(decided[0], "bold")
        lines.append([(decided[1], style)])
    else:
        lines.append([("no canary runs", "")])
    screen.write(lines, sys.stdout)


def _row(of: Numbers) -> list[str]:
    low, high = wilson(of.failed, of.ended)
    spread = f"{low:.1%} to {high:.1%}" if of.ended else ""
    times = [took(percentile(of.seconds, each)) if of.seconds else "" for each in (50, 95, 99)]
    mean = sum(of.transitions) / len(of.transitions) if of.transitions else None
    failed = f"{of.failed:,} ({of.rate:.1%})" if of.ended else "0"
    stopped = of.statuses["ABORTED"]
    executions = f"{of.statuses.total():,}" + (f", {count(stopped, 'stop')}" if stopped else "")
    return [
        of.number,
        f"{of.weight} %",
        executions,
        f"{of.statuses['RUNNING']:,}",
        failed,
        spread,
        *times,
        "" if mean is None else f"{mean:.1f}",
    ]
