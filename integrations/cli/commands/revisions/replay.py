"""What `stepwell replay` does: run recorded histories with another definition, and say what would
differ.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.blocks import every_state
from stepwell.asl.diff import compare
from stepwell.asl.histories.state_visits import details
from stepwell.engine.errors import ApiError
from stepwell.engine.replay import Divergence, Replayed, Replayer
from stepwell.engine.replay.children import Family, most_alike, plain, processor, with_children
from stepwell.engine.replay.shapes import as_json
from stepwell.integrations.cli import exit_codes, files, lookup, recordings, revisions
from stepwell.integrations.cli.clients import choosing, selection
from stepwell.integrations.cli.clients.choosing import Where
from stepwell.integrations.cli.errors import with_where
from stepwell.integrations.cli.output import screen
from stepwell.integrations.cli.output.text import DIM, Line, count, ndjson, printable
from stepwell.integrations.cli.recordings import Recorded
from stepwell.integrations.cli.revisions import Revision
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import Limits
from stepwell.visualize.changes import texts

_IN_FILE: Final = "a file does not have them: export them as files of their own"
_EXPRESS: Final = "Express children without a stored history"
PROGRESS_EVERY: Final = 100  # children
_SHOWN: Final = 20  # executions whose differences are listed
_REPLAYERS: Final = 16  # old definitions that are kept compiled


@with_where
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
    json: bool,
    where: Where,
) -> int:
    """Exit code 1 if an execution would differ, 2 if one cannot be replayed."""
    if not executions and machine is None:
        raise UsageError("name executions or files of histories, or a state machine by --machine")
    given = files.parameters(param, params, where.limits)
    new = revisions.read(definition, given, where)
    known = None if old is None else revisions.read(old, given, where)
    summary = _Summary(json)
    chosen = _Chosen(executions, machine, status, selection.read({"since": since}).since, limit)
    asyncio.run(_replay(chosen, _Replayers(new, known, where.limits), summary, where))
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

    async def each(self, where: Where) -> AsyncGenerator[Recorded, None]:
        """One after the other, so that only one history is in memory."""
        for file in self.files:
            for one in recordings.in_file(file):
                yield one
        if not self.names and self.machine is None:
            return
        async with choosing.opened(*where) as client:
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
    """A Replayer for each old definition, and for the children of each Map; the least recently used
    is dropped.
    """

    def __init__(self, new: Revision, old: Revision | None, limits: Limits) -> None:
        self._new, self._old, self._limits = new, old, limits
        self._made: OrderedDict[tuple[str, ...], Replayer] = OrderedDict()

    def of(self, one: Recorded) -> Replayer:
        """Raises UsageError for a definition that is not valid, NoMapError."""
        text = self._old.text if self._old is not None else one.definition or ""
        if one.child_of is not None:
            return self._kept((text, one.child_of), lambda: self._of_map(text, one.child_of or ""))
        if one.label is not None:
            states = self._states(one)
            key = text, one.label, *states
            return self._kept(key, lambda: self._most_alike(text, states, one.label))
        return self._kept((text,), lambda: self._replayer(_machine(text), self._new.definition))

    def _kept(self, key: tuple[str, ...], make: Callable[[], Replayer]) -> Replayer:
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = make()
            if len(self._made) > _REPLAYERS:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return found

    def _of_map(self, text: str, name: str) -> Replayer:
        """For the children of a Map, which may have another name in the new definition."""
        old = _machine(text)
        renamed = {} if old is None else compare(old, self._new.definition).renamed
        new = processor(self._new.definition, renamed.get(name, name))
        if new is None:
            raise NoMapError(f"{renamed.get(name, name)} is no distributed Map of {self._new.name}")
        return self._replayer(None if old is None else processor(old, name), new)

    def _most_alike(self, text: str, states: Sequence[str], label: str | None) -> Replayer:
        """For a child whose Map is not known: its own definition says which states it has."""
        new = most_alike(self._new.definition, states, label)
        if new is None:
            raise NoMapError(f"no distributed Map of {self._new.name} has states of this child")
        old = _machine(text)
        if old is not None:
            old = plain(old) if self._old is None else most_alike(old, states, label)
        return self._replayer(old, new)

    def _states(self, one: Recorded) -> list[str]:
        if one.definition is not None:
            return [name for name, _ in every_state(json_text.loads(one.definition))]
        named = (details(each).get("name") for each in one.events)
        return sorted({name for name in named if isinstance(name, str)})

    def _replayer(self, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> Replayer:
        try:
            return Replayer(old, new, self._limits)
        except ValueError as fault:
            raise UsageError(f"{self._new.name}: {fault}") from None


class NoMapError(ValueError):
    """The new definition has no such Map."""


def _machine(text: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json_text.loads(text) if text else None
    return found


async def _replay(
    chosen: _Chosen,
    replayers: _Replayers,
    summary: _Summary,
    where: Where,
) -> None:
    async with aclosing(chosen.each(where)) as recorded:
        async for one in recorded:
            try:
                result = _one(one, replayers.of(one))
            except ValueError as fault:
                summary.skip(one.name, str(fault))
                continue
            family = Family()
            await _children(one, replayers, family)
            summary.add(one.name, result, family)


def _one(one: Recorded, replayer: Replayer) -> Replayed:
    return replayer.replay(one.description, one.events, one.id, one.uuid, one.map_results)


async def _children(one: Recorded, replayers: _Replayers, family: Family) -> None:
    """Replay the children of its Map Runs, and theirs."""
    client = one.client
    for map_run, state in one.map_runs.items():
        if client is None:
            family.skip(_IN_FILE)
            continue
        replayed = known = 0
        async for child in recordings.children(client, one, map_run):
            try:
                result = _one(child, replayers.of(child))
            except ValueError as fault:
                family.skip(str(fault))
                break
            inner = Family()
            await _children(child, replayers, inner)
            family.add(state, child.name, with_children(result, inner))
            family.join(inner)
            replayed += 1
            _progress(one.name, replayed)
        else:
            counts = (await client.call("describe_map_run", map_run_arn=map_run))["executionCounts"]
            known = counts["total"] - counts["pending"]
            if known > replayed:
                family.skip(_EXPRESS, known - replayed)
    _progress(one.name, 0)


def _progress(name: str, replayed: int) -> None:
    """How many children of an execution, on a terminal."""
    if screen.fancy(sys.stderr) and replayed % PROGRESS_EVERY == 0:
        text = f"{printable(name)}: {replayed:,} children" if replayed else ""
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


class _Summary:
    """Counts results, and prints them as they come."""

    def __init__(self, json: bool) -> None:
        self.json = json
        self.total = self.differ = self.unknown = self.failed = self.unrepeatable = 0
        self.children = Family()
        self.groups: Counter[tuple[str, str, str]] = Counter()
        self.examples: dict[tuple[str, str, str], tuple[str, Divergence]] = {}
        self.unlisted = 0

    def skip(self, name: str, reason: str) -> None:
        self.failed += 1
        print(f"stepwell: {printable(name)}: {printable(reason)}", file=sys.stderr)

    def add(self, name: str, own: Replayed, family: Family) -> None:
        result = with_children(own, family)
        self.children.count(family)
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
            counts["children"] = self.children.as_json()
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
        lines += [[(line, DIM)] for line in _of_children(self.children)]
        if self.unknown:
            text = f"{self.unknown:,} could not be replayed to the end: a result is not recorded"
            lines.append([(text, DIM)])
        if self.unrepeatable:
            text = "what differs with the old definition too is left out of "
            lines.append([(text + count(self.unrepeatable, "execution"), DIM)])
        screen.write(lines, sys.stdout)


def _of_children(family: Family) -> list[str]:
    lines = []
    if family.replayed:
        same = family.replayed - family.differ
        replayed = count(family.replayed, "child")
        lines.append(f"{replayed} of Map Runs: {same:,} same, {family.differ:,} differ")
    for reason, (runs, children) in family.not_compared.items():
        whose = count(runs, "Map Run")
        what = count(children, "child") if children else "children"
        lines.append(f"not compared: {what} of {whose}: {printable(reason)}")
    return lines


def _text(each: Divergence) -> str:
    if each.children:
        whose = f"{count(each.children, 'child')} of {printable(each.map)}"
        return f"{whose}: {_text(each._replace(children=0))}"
    state = f"{printable(each.state)}: " if each.state else ""
    visit = f" (visit {each.visit})" if each.visit > 1 else ""
    return f"{each.kind}{visit}: {state}{texts.text(each.change, 100)}"


def _first(each: Divergence) -> Line:
    return [(f"  {_text(each)}", "")]
