"""The data flow of a visit as a tree of lines: each stage with its field, what it changed, and the
value after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.explain import CAUSE, NOTE, WARNING, Hint
from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories.state_visits import Visit
from stepwell.engine.operations.data_flow import DataFlow, Stage
from stepwell.integrations.cli.output.machine import where
from stepwell.integrations.cli.output.text import (
    DIM,
    STATUS,
    Line,
    count,
    json_parts,
    printable,
    reason,
    took,
)

_VALUE_ROWS: Final = 60
_VALUE_DEPTH: Final = 20


def changes(before: Json, after: Json) -> Line:
    """What a stage did to its value, in a few words."""
    if before is MISSING or after is MISSING:
        return []
    if before == after:
        return [("unchanged", DIM)]
    if not (isinstance(before, dict) and isinstance(after, dict)):
        old, new = (_KINDS.get(type(each), "object") for each in (before, after))
        return [(f"{old} → {new}" if old != new else f"another {new}", "yellow")]
    added = [name for name in after if name not in before]
    removed = [name for name in before if name not in after]
    changed = [name for name in after if name in before and after[name] != before[name]]
    parts: Line = []
    for names, sign, style in (
        (added, "+", "green"),
        (removed, "−", "yellow"),
        (changed, "~", "yellow"),
    ):
        if names:
            few = ", ".join(printable(name, 24) for name in names)
            parts.append((f"{sign} {few if len(names) <= 4 else count(len(names), 'key')}", style))
    return parts


_KINDS: Final = {
    dict: "object",
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def lines(flow: DataFlow, width: int, stored: bool = True) -> list[Line]:
    """The tree of `inspect`: each stage with its field, what it changed, and the value after it.

    stored  whether the visit is one of an execution, with events and a duration
    """
    tree = [_heading(flow, stored)]
    fields = [_field(stage) for stage in flow.stages]
    widths = max(len(stage.name) for stage in flow.stages), max(map(len, fields))
    for place, (stage, field) in enumerate(zip(flow.stages, fields, strict=True)):
        last = place == len(flow.stages) - 1
        line: Line = [
            ("└── " if last else "├── ", DIM),
            (stage.name.ljust(widths[0]), "cyan"),
            (f"  {field.ljust(widths[1])}", DIM),
        ]
        for part, style in changes(stage.before, stage.value) + _note(stage, flow.visit):
            line += [("  ", ""), (part, style)]
        tree.append([*line[:-1], (line[-1][0].rstrip(), line[-1][1])])
        unchanged = stage.field is MISSING and stage.default and stage.before == stage.value
        if stage.value is not MISSING and not unchanged:
            bar = "    " if last else "│   "
            for row, parts in enumerate(json_lines(stage.value, width - 8)):
                tree.append([(bar + ("    " if row else "└── "), DIM), *parts])
    if flow.variables:
        variables = printable(json_text.dumps(dict(flow.variables)), 2_000)
        tree.append([("variables ", DIM), *json_parts(variables)])
    return tree + hint_lines(flow.hints)


def hint_lines(hints: Iterable[Hint]) -> list[Line]:
    """A line for each hint: why it failed, what is probably not meant, why a value is null."""
    return [
        [
            (f"{_LEVELS[hint.level][0]:<10}", _LEVELS[hint.level][1]),
            (f"{printable(hint.field, 80)}: " if hint.field else "", "cyan"),
            (printable(hint.text, 2_000), ""),
        ]
        for hint in hints
    ]


_LEVELS: Final = {
    CAUSE: ("why", "bold red"),
    WARNING: ("check", "bold yellow"),
    NOTE: ("note", DIM),
}


def _heading(flow: DataFlow, stored: bool) -> Line:
    """The state, its status, visit, attempt, duration and events; the next state of a trial."""
    visit = flow.visit
    if not stored:
        following = f" → {printable(visit.after.name)}" if visit.after else ""
        style = STATUS[visit.status][1]
        return [(where(visit), "bold"), ("  ", ""), (visit.status, style), (following, DIM)]
    facts = [f"visit {flow.number} of {flow.visits}"] if flow.visits > 1 else []
    if visit.attempts > 1 or (flow.attempts_allowed or 1) > 1:
        facts.append(f"attempt {visit.attempts} of {flow.attempts_allowed}")
    facts += [took(visit.end - visit.start)] if visit.end is not None else []
    first, last = visit.events[0], visit.events[-1]
    facts.append(f"events {first}–{last}" if len(visit.events) > 1 else f"event {first}")
    return [
        (where(visit), "bold"),
        ("  ", ""),
        (visit.status, STATUS[visit.status][1]),
        (f" · {' · '.join(facts)}", DIM),
    ]


def _field(stage: Stage) -> str:
    """The field's text in the definition, or the stage's default."""
    field = "" if stage.field is MISSING else stage.field
    text = printable(field if isinstance(field, str) else json_text.dumps(field), 40)
    return text or (f"{stage.default} (default)" if stage.default else "")


def _note(stage: Stage, visit: Visit) -> Line:
    if not stage.note:
        return []
    error, _, cause = stage.note.partition(": ")
    failed = stage.value is MISSING and visit.failing and visit.status != v.CAUGHT
    return [(reason(error, cause), "red" if failed else "yellow")]


def json_lines(value: Json, width: int) -> list[Line]:
    """A JSON value, indented where it does not fit on a line; cut if it is very long."""
    rows = list(_laid_out(value, "", "", width))
    left = len(rows) - _VALUE_ROWS
    cut: list[Line] = [[(f"…{left:,} more lines (--json shows all)", DIM)]] if left > 0 else []
    return [
        json_parts(printable(row, 2_000)) for row in rows[: _VALUE_ROWS if left > 0 else None]
    ] + cut


def _laid_out(value: Json, before: str, after: str, width: int, depth: int = 0) -> Iterator[str]:
    indent = "  " * depth
    line = indent + before + json_text.dumps(value) + after
    if (
        len(line) <= width
        or not value
        or not isinstance(value, dict | list)
        or depth == _VALUE_DEPTH
    ):
        yield line
        return
    opener, closer = "{}" if isinstance(value, dict) else "[]"
    yield indent + before + opener
    entries = (
        [(json_text.dumps(key) + ": ", each) for key, each in value.items()]
        if isinstance(value, dict)
        else [("", each) for each in value]
    )
    for place, (key, each) in enumerate(entries):
        yield from _laid_out(each, key, "," if place < len(entries) - 1 else "", width, depth + 1)
    yield indent + closer + after
