"""What `stepwell diff` does: what a change of a definition means, as text, JSON or a picture."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stepwell.asl.definition import StateMachine
from stepwell.asl.diff import Difference, compare
from stepwell.asl.diff.shapes import ADDED, CHANGED, MOVED, REMOVED, RENAMED
from stepwell.integrations.cli import exit_codes, files, revisions
from stepwell.integrations.cli.clients.choosing import Where
from stepwell.integrations.cli.errors import with_where
from stepwell.integrations.cli.output import screen
from stepwell.integrations.cli.output.text import DIM, Line, ndjson, printable
from stepwell.integrations.cli.revisions import Revision
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.visualize import RenderError
from stepwell.visualize.changes import picture
from stepwell.visualize.changes import texts as changes

_STYLES: Final = {
    ADDED: "green",
    REMOVED: "red",
    CHANGED: "yellow",
    MOVED: "blue",
    RENAMED: "blue",
}


@with_where
def diff(
    old: str,
    new: str,
    param: Sequence[str],
    params: Path | None,
    json: bool,
    output: Path | None,
    theme: str,
    direction: str,
    where: Where,
) -> int:
    given = files.parameters(param, params, where.limits)
    before, after = (revisions.read(name, given, where) for name in (old, new))
    found = compare(before.definition, after.definition)
    if output is not None:
        _draw(output, before, after, found, theme, direction)
    if json:
        print(ndjson({"old": old, "new": new, **changes.as_json(found)}))
    else:
        screen.write(_lines(found, old, new), sys.stdout)
    return exit_codes.FAILED if found else exit_codes.SUCCEEDED


def _draw(
    output: Path,
    old: Revision,
    new: Revision,
    difference: Difference,
    theme: str,
    direction: str,
) -> None:
    """Write the picture of both. Raises UsageError."""
    format = picture.SUFFIXES.get(output.suffix.lower())
    if format is None:
        raise UsageError(f"{output}: use one of the suffixes {', '.join(picture.SUFFIXES)}")
    sides = [(each.name, _model(each)) for each in (old, new)]
    try:
        drawn = picture.picture(sides[0], sides[1], difference, format, theme, direction)
    except RenderError as fault:
        raise UsageError(str(fault)) from None
    try:
        output.write_bytes(drawn)
    except OSError as fault:
        raise UsageError(file_fault(output, fault)) from None


def _model(revision: Revision) -> StateMachine:
    try:
        return StateMachine.model_validate(revision.definition)
    except ValueError:
        raise UsageError(
            f"{revision.name}: cannot be drawn before its placeholders have values: use --param"
        ) from None


def _lines(difference: Difference, old: str, new: str) -> list[Line]:
    head = f"{printable(old)} → {printable(new)}: {changes.total(difference)}"
    lines: list[Line] = [[(head, "bold")]]
    if difference:
        lines.append([])
    if difference.machine:
        lines.append([("~ the machine", "yellow")])
        lines += [[(f"    {changes.text(each)}", "")] for each in difference.machine]
    for each in difference.states:
        name = f"{changes.SIGNS[each.kind]} {changes.headline(each)}"
        lines.append([(name, _STYLES[each.kind]), (f"  {each.kind} {each.type}", DIM)])
        lines += [[(f"    {changes.text(change)}", "")] for change in each.changes]
    notes = changes.notes(difference)
    return lines + [[]] * bool(notes) + [[(f"note: {each}", DIM)] for each in notes]
