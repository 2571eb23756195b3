"""The texts of what differs between two definitions, for the command and for pictures. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

from stepwell.asl import json_text
from stepwell.asl.diff.shapes import (
    ADDED,
    CHANGED,
    KINDS,
    MOVED,
    REMOVED,
    RENAMED,
    Change,
    Difference,
    StateChange,
)
from stepwell.asl.evaluation import MISSING, Json
from stepwell.visualize.words.states import condition_text
from stepwell.visualize.words.texts import count, printable

SIGNS: Final = {ADDED: "+", REMOVED: "-", CHANGED: "~", MOVED: ">", RENAMED: "="}
_SHOWN: Final = 200  # characters of a value
KEEPS: Final = (
    "executions that run, and redrives of earlier ones, keep the old definition: "
    "a fix does not reach them"
)


def value(shown: Json, limit: int = _SHOWN) -> str:
    """A JSON value in one line: strings without quotes, the condition of a rule as text."""
    if isinstance(shown, str):
        return printable(shown, limit) or '""'
    if isinstance(shown, dict) and ({"Variable", "And", "Or", "Not", "Condition"} & shown.keys()):
        target = f" → {shown['Next']}" if "Next" in shown else ""
        return printable(condition_text(shown) + target, limit)
    if isinstance(shown, dict) and "ErrorEquals" in shown and "Next" in shown:
        return printable(f"→ {shown['Next']}", limit)
    if isinstance(shown, dict) and "ErrorEquals" in shown:
        rest = {name: each for name, each in shown.items() if name != "ErrorEquals"}
        return printable(json_text.dumps(rest), limit) if rest else "with the defaults"
    return printable(json_text.dumps(shown), limit)


def text(change: Change, limit: int = _SHOWN) -> str:
    """One line: "Retry BankBusy · MaxAttempts: 3 → 5", "added OutputPath: $.total"."""
    if change.kind == ADDED:
        return f"added {printable(change.what)}: {value(change.new, limit)}"
    if change.kind == REMOVED:
        return f"removed {printable(change.what)}: {value(change.old, limit)}"
    what = "moved" if change.what == "place" else printable(change.what)
    return f"{what}: {value(change.old, limit)} → {value(change.new, limit)}"


def headline(change: StateChange) -> str:
    """The name of a state, both names of a renamed one."""
    if change.kind == RENAMED:
        return f"{printable(str(change.old_name))} → {printable(change.shown)}"
    return printable(change.shown)


def total(difference: Difference) -> str:
    """1 state added, 2 states changed."""
    kinds = Counter(each.kind for each in difference.states)
    parts = [f"{count(kinds[kind], 'state')} {kind}" for kind in KINDS if kinds[kind]]
    if difference.machine:
        parts.append(f"{count(len(difference.machine), 'field')} of the machine changed")
    return ", ".join(parts) or "no change"


def notes(difference: Difference) -> list[str]:
    """What running executions feel of it."""
    if not difference:
        return []
    found = [KEEPS]
    for resource, states in difference.dropped.items():
        found.append(
            f"needed until executions of the old definition have ended: {printable(resource)} "
            f"(of {', '.join(map(printable, states))})"
        )
    return found


def as_json(difference: Difference) -> dict[str, Json]:
    """A Difference as JSON: old and new are left out where there is none."""

    def shown(change: Change) -> dict[str, Json]:
        sides = {"old": change.old, "new": change.new}
        present = {name: each for name, each in sides.items() if each is not MISSING}
        return {"kind": change.kind, "what": change.what, **present}

    return {
        "changed": bool(difference),
        "machine": [shown(each) for each in difference.machine],
        "states": [
            {
                "name": each.name,
                "oldName": each.old_name,
                "path": each.path,
                "oldPath": each.old_path,
                "kind": each.kind,
                "type": each.type,
                "changes": [shown(change) for change in each.changes],
            }
            for each in difference.states
        ],
        "renamed": dict(difference.renamed),
        "notes": notes(difference),
    }
