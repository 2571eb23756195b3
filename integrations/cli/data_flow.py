"""The data flow of a visit as a tree of lines: each stage with its field, what it changed, and the
value after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stepwell.asl import json_text
from stepwell.asl import state_visits as v
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.state_visits import Visit
from stepwell.engine.operations.data_flow import DataFlow, Stage
from stepwell.integrations.cli.text import DIM, STATUS, Line, count, printable, reason, took, where

_VALUE_ROWS: Final = 60
_VALUE_DEPTH: Final = 20
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?|[-+0-9.eE]+|true|false|null|[{}\[\],:]')
_BRACKETS: Final = "{}[]"


def json_parts(text: str) -> Line:
    """JSON text with the styles of its tokens."""
    parts: Line = []
    end = 0
    for found in _TOKEN.finditer(text):
        token, key = found[0], found[1]
        style = (
            "bold blue"
            if key
            else "green"
            if token[0] == '"'
            else "bold"
            if token in _BRACKETS
            else ""
            if token in ",:"
            else "cyan"
        )
        parts += (
            [(text[end : found.start()], ""), (token, style)]
            if found.start() > end
            else [(token, style)]
        )
        end = found.end()
    return [*parts, (text[end:], "")] if end < len(text) else parts


def changes(before: Json, after: Json) -> Line:
    """What a stage did to its value, in a few words."""
    if before is MISSING or after is MISSING:
        return []
    if before == after:
        return [("unchanged", DIM)]
    if not (isinstance(before, dict) and isinstance(after, dict)):
        kinds = [_KINDS.get(type(each), "object") for each in (before, after)]
        return [
            (
                f"{kinds[0]} → {kinds[1]}" if kinds[0] != kinds[1] else f"another {kinds[1]}",
                "yellow",
            )
        ]
    gone, new = (
        [name for name in before if name not in after],
        [name for name in after if name not in before],
    )
    other = [name for name in after if name in before and after[name] != before[name]]
    found: Line = []
    for names, sign, style in ((new, "+", "green"), (gone, "−", "yellow"), (other, "~", "yellow")):
        if names:
            few = len(names) <= 4
            shown = (
                ", ".join(printable(name, 24) for name in names)
                if few
                else count(len(names), "key")
            )
            found.append((f"{sign} {shown}", style))
    return found


_KINDS: Final = {
    dict: "object",
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def lines(flow: DataFlow, width: int) -> list[Line]:
    """The tree of `inspect`: each stage with its field, what it changed, and the value after it."""
    visit = flow.visit
    about = [f"visit {flow.number} of {flow.visits}"] if flow.visits > 1 else []
    if visit.attempts > 1 or (flow.attempts_allowed or 1) > 1:
        about.append(f"attempt {visit.attempts} of {flow.attempts_allowed}")
    about += [took(visit.end - visit.start)] if visit.end is not None else []
    about.append(
        f"events {visit.events[0]}–{visit.events[-1]}"
        if len(visit.events) > 1
        else f"event {visit.events[0]}"
    )
    found: list[Line] = [
        [
            (where(visit), "bold"),
            ("  ", ""),
            (visit.status, STATUS[visit.status][1]),
            (f" · {' · '.join(about)}", DIM),
        ]
    ]
    fields = [_field(stage) for stage in flow.stages]
    widths = max(len(stage.name) for stage in flow.stages), max(map(len, fields))
    for place, stage in enumerate(flow.stages):
        last = place == len(flow.stages) - 1
        line: Line = [
            ("└── " if last else "├── ", DIM),
            (stage.name.ljust(widths[0]), "cyan"),
            (f"  {fields[place].ljust(widths[1])}", DIM),
        ]
        for part, style in changes(stage.before, stage.value) + _note(stage, visit):
            line += [("  ", ""), (part, style)]
        found.append([*line[:-1], (line[-1][0].rstrip(), line[-1][1])])
        unchanged = stage.field is MISSING and stage.default and stage.before == stage.value
        if stage.value is not MISSING and not unchanged:
            bar = "    " if last else "│   "
            for row, parts in enumerate(json_lines(stage.value, width - 8)):
                found.append([(bar + ("    " if row else "└── "), DIM), *parts])
    if flow.variables:
        found.append(
            [
                ("variables ", DIM),
                *json_parts(printable(json_text.dumps(dict(flow.variables)), 2_000)),
            ]
        )
    return found


def _field(stage: Stage) -> str:
    field = (
        stage.field
        if isinstance(stage.field, str)
        else ""
        if stage.field is MISSING
        else json_text.dumps(stage.field)
    )
    return printable(field, 40) or (f"{stage.default} (default)" if stage.default else "")


def _note(stage: Stage, visit: Visit) -> Line:
    if not stage.note:
        return []
    error, _, cause = stage.note.partition(": ")
    return [
        (
            reason(error, cause),
            "red"
            if stage.value is MISSING and visit.failing and visit.status != v.CAUGHT
            else "yellow",
        )
    ]


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
