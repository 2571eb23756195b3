"""What `stepwell replay` does: run recorded histories with another definition, and say what would
differ.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.engine.errors import ApiError
from stepwell.engine.replay import Divergence, Replayed, Replayer
from stepwell.engine.replay.shapes import as_json
from stepwell.integrations.cli import exit_codes, files, lookup, recordings, revisions
from stepwell.integrations.cli.clients import choosing, selection
from stepwell.integrations.cli.errors import with_limits
from stepwell.integrations.cli.output import screen
from stepwell.integrations.cli.output.text import DIM, Line, count, ndjson, printable
from stepwell.integrations.cli.recordings import Recorded
from stepwell.integrations.cli.revisions import Revision
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits
from stepwell.visualize.changes import texts

_SHOWN: Final = 20  # executions whose differences are listed
_REPLAYERS: Final = 16  # old definitions that are kept compiled


@with_limits
def replay(
    definition: str,
    executions: Sequence[str],
    machine: str | None,
    status: str | None,
    since: str | None,
    limit: int,
    old: str | None,
    param: Sequence[str],
    params: Path | None,
    db: str | None,
    server: str | None,
    json: bool,
    limits: Limits,
) -> int:
    """Exit code 1 if an execution would differ, 2 if one cannot be replayed."""
    if not executions and machine is None:
        raise UsageError("name executions or files of histories, or a state machine by --machine")
    given = files.parameters(param, params, limits)
    new = revisions.read(definition, given, server, db, limits)
    known = None if old is None else revisions.read(old, given, server, db, limits)
    summary = _Summary(json)
    chosen = _Chosen(executions, machine, status, selection.read({"since": since}).since, limit)
    asyncio.run(_replay(chosen, _Replayers(new, known, limits), summary, db, server, limits))
    summary.show()
    if summary.failed or not summary.total:
        return exit_codes.USAGE
    return exit_codes.FAILED if summary.differ else exit_codes.SUCCEEDED


class _Chosen:
    """The executions that the user named."""

    def __init__(
        self,
        names: Sequence[str],
        machine: str | None,
        status: str | None,
        since: float | None,
        limit: int,
    ) -> None:
        self.files = [Path(name) for name in names if os.path.exists(name)]
        self.names = [name for name in names if not os.path.exists(name)]
        self.machine, self.status, self.since, self.limit = machine, status, since, limit

    async def each(
        self, db: str | None, server: str | None, limits: Limits
    ) -> AsyncIterator[Recorded]:
        """One after the other, so that only one history is in memory."""
        for file in self.files:
            for one in recordings.in_file(file):
                yield one
        if not self.names and self.machine is None:
            return
        async with choosing.opened(server, db, limits) as client:
            for name in self.names:
                arn = (await lookup.find(client, name))["executionArn"]
                yield await recordings.recorded(client, arn)
            if self.machine is not None:
                async for arn in recordings.of_machine(
                    client, self.machine, self.status, self.since, self.limit
                ):
                    try:
                        yield await recordings.recorded(client, arn)
                    except ApiError as fault:
                        if fault.code != "ExecutionDoesNotExist":  # deleted meanwhile
                            raise


class _Replayers:
    """A Replayer for each old definition; the least recently used is dropped."""

    def __init__(self, new: Revision, old: Revision | None, limits: Limits) -> None:
        self._new, self._old, self._limits = new, old, limits
        self._made: OrderedDict[str, Replayer] = OrderedDict()

    def of(self, definition: str | None) -> Replayer:
        text = self._old.text if self._old is not None else definition or ""
        found = self._made.get(text)
        if found is None:
            old = json_text.loads(text) if text else None
            try:
                found = Replayer(old, self._new.definition, self._limits)
            except ValueError as fault:
                raise UsageError(f"{self._new.name}: {fault}") from None
            self._made[text] = found
            if len(self._made) > _REPLAYERS:
                self._made.popitem(last=False)
        self._made.move_to_end(text)
        return found


async def _replay(
    chosen: _Chosen,
    replayers: _Replayers,
    summary: _Summary,
    db: str | None,
    server: str | None,
    limits: Limits,
) -> None:
    async for one in chosen.each(db, server, limits):
        try:
            replayer = replayers.of(one.definition)
            result = replayer.replay(one.description, one.events, one.id, one.uuid, one.map_results)
        except ValueError as fault:
            summary.skip(one.name, str(fault))
        else:
            summary.add(one.name, result)


class _Summary:
    """Counts results, and prints them as they come."""

    def __init__(self, json: bool) -> None:
        self.json = json
        self.total = self.differ = self.unknown = self.failed = self.unrepeatable = 0
        self.groups: Counter[tuple[str, str, str]] = Counter()
        self.examples: dict[tuple[str, str, str], tuple[str, Divergence]] = {}
        self.unlisted = 0

    def skip(self, name: str, reason: str) -> None:
        self.failed += 1
        print(f"stepwell: {printable(name)}: {printable(reason)}", file=sys.stderr)

    def add(self, name: str, result: Replayed) -> None:
        self.total += 1
        self.unknown += not result.known
        self.unrepeatable += bool(result.unrepeatable)
        if self.json:
            print(ndjson({"execution": name, **as_json(result)}))
        if result.same:
            return
        self.differ += 1
        first = result.divergences[0]
        group = (first.kind, first.state, first.change.what)
        self.groups[group] += 1
        self.examples.setdefault(group, (name, first))
        if self.json:
            return
        if self.differ > _SHOWN:
            self.unlisted += 1
            return
        more = len(result.divergences) - 1
        lines: list[Line] = [[(f"≠ {printable(name)}", "yellow"), *_first(first)]]
        if more:
            lines.append([(f"    and {count(more, 'difference')} after it", DIM)])
        screen.write(lines, sys.stdout)

    def show(self) -> None:
        """The counts; groups of executions whose first difference is of the same kind."""
        same = self.total - self.differ
        if self.json:
            groups = [
                {
                    "kind": kind,
                    "state": state or None,
                    "what": what,
                    "executions": number,
                    "example": self.examples[kind, state, what][0],
                }
                for (kind, state, what), number in self.groups.most_common()
            ]
            counts: dict[str, Any] = {"executions": self.total, "same": same}
            counts |= {"differ": self.differ, "unknown": self.unknown, "failed": self.failed}
            print(ndjson({"summary": {**counts, "groups": groups}}))
            return
        lines: list[Line] = []
        if self.unlisted:
            lines.append([(f"… {self.unlisted:,} more", DIM)])
        if self.total > 1 and self.groups:
            lines.append([])
            for (kind, state, what), number in self.groups.most_common(_SHOWN):
                name, first = self.examples[kind, state, what]
                example = f", such as {printable(name)}" if number > 1 else ""
                lines.append([(f"{number:>7,}  {_text(first)}", ""), (example, DIM)])
            lines.append([])
        words = f"{count(self.total, 'execution')}: {same:,} same, {self.differ:,} differ"
        lines.append([(words, "bold")])
        if self.unknown:
            text = f"{self.unknown:,} could not be replayed to the end: a result is not recorded"
            lines.append([(text, DIM)])
        if self.unrepeatable:
            text = "what differs with the old definition too is left out of "
            lines.append([(text + count(self.unrepeatable, "execution"), DIM)])
        screen.write(lines, sys.stdout)


def _text(each: Divergence) -> str:
    state = f"{printable(each.state)}: " if each.state else ""
    visit = f" (visit {each.visit})" if each.visit > 1 else ""
    return f"{each.kind}{visit}: {state}{texts.text(each.change, 100)}"


def _first(each: Divergence) -> Line:
    return [(f"  {_text(each)}", "")]
