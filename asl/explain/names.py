"""The rules about names: a value that is there under another name or in another place. Rules as in
missing.py.
"""

from __future__ import annotations

from typing import Final

from stepwell.asl.evaluation import MISSING
from stepwell.asl.explain.readings import Ending, Reading
from stepwell.asl.explain.subject import Subject
from stepwell.asl.explain.values import (
    DYNAMODB,
    PARSED,
    Found,
    follow,
    near,
    plain,
    search,
    spelled,
)


def close_case(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """A name that differs in case, `_` or `-` only, and leads to a value."""
    text = _alike(reading, ending, strong=True)
    return text if text and _same_letters(ending) else None


def _same_letters(ending: Ending) -> bool:
    value = ending.value[0] if isinstance(ending.value, list) and ending.value else ending.value
    return isinstance(value, dict) and any(plain(n) == plain(str(ending.key)) for n in value)


def close_path(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """A name that differs by a letter, and leads to a value."""
    return _alike(reading, ending, strong=True)


def close_name(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    return _alike(reading, ending, strong=False)


def _alike(reading: Reading, ending: Ending, strong: bool) -> str | None:
    value = ending.value
    for end in range(len(ending.rest), 1, -1) if isinstance(value, dict) else ():
        name = ".".join(map(str, ending.rest[:end]))
        if name in value:
            path = spelled(ending.reached, (name, *ending.rest[end:]), reading.jsonata)
            return f"The name has a dot in it: write `{path}`."
    if isinstance(value, list) and value:  # JSONata reads the member of each item
        value = value[0]
    if not isinstance(value, dict) or not isinstance(ending.key, str):
        return None
    meant = near(ending.key, value)
    if meant is None:
        return None
    if strong and follow(value, (meant, *ending.rest[1:])) is MISSING:
        return None
    path = spelled(ending.reached, (meant, *ending.rest[1:]), reading.jsonata)
    case = meant.lower() == ending.key.lower()
    return f"Did you mean `{path}`?" + (" Names are case-sensitive." if case else "")


def deeper(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """The value is further down, or without the first step."""
    if (
        reading.source in ("variable", "nothing") and reading.document is MISSING
    ) or not ending.rest:
        return None
    whole = reading.keys
    found = search(ending.value, ending.rest)
    if found is not None:
        return _elsewhere(reading, ending.reached, found, subject)
    for drop in range(1, len(whole)):
        if all(isinstance(key, int) for key in whole[drop:]):
            break
        if follow(reading.document, whole[drop:]) is not MISSING:
            path = spelled(reading.root, whole[drop:], reading.jsonata)
            why = ""
            if whole[0] == "Payload":
                why = "The result has no Payload: only `states:::lambda:invoke` wraps it so. "
            return f"{why}`{path}` exists: write that."
        found = search(reading.document, whole[drop:])
        if found is not None and (drop < len(whole) - 1 or len(whole) <= 2):
            return _elsewhere(reading, reading.root, found, subject)
    return None


def exact(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """The whole rest of the path leads to a value further down."""
    if not ending.rest or ending.value is MISSING:
        return None
    found = search(ending.value, ending.rest, exactly=True)
    return found and _elsewhere(reading, ending.reached, found, subject)


def one_too_many(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """The path leads to a value without the step at which it ends."""
    if len(ending.rest) < 2 or isinstance(ending.rest[1], int):
        return None
    if follow(ending.value, ending.rest[1:]) is MISSING:
        return None
    path = spelled(ending.reached, ending.rest[1:], reading.jsonata)
    why = ""
    if ending.key == "Payload" and ending.reached == reading.root:
        why = "The result has no Payload: only `states:::lambda:invoke` wraps it so. "
    return f"{why}Without that step the path leads to a value: write `{path}`."


def part(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """A name that is a part of another one, or the reverse: `body` for `ResponseBody`."""
    value, key = ending.value, ending.key
    if not isinstance(value, dict) or not isinstance(key, str) or len(key) < _SHORTEST_PART:
        return None
    meant = [
        spelled(ending.reached, (name, *ending.rest[1:]), reading.jsonata)
        for name in value
        if _overlap(name.lower(), key.lower())
        and follow(value, (name, *ending.rest[1:])) is not MISSING
    ]
    if not 1 <= len(meant) <= _MOST_PARTS:
        return None
    return f"Did you mean {' or '.join(f'`{each}`' for each in meant)}?"


_SHORTEST_PART: Final = 3
_MOST_PARTS: Final = 3


def _overlap(left: str, right: str) -> bool:
    return len(left) >= _SHORTEST_PART and (left in right or right in left)


def _elsewhere(reading: Reading, root: str, found: Found, subject: Subject) -> str:
    if found.in_text:
        place = found.trail.index(PARSED)
        text = spelled(root, found.trail[:place], reading.jsonata)
        inside = spelled("", found.trail[place + 1 :], reading.jsonata).lstrip(".")
        return f"`{text}` is JSON as text, with `{inside}` in it: {parse_call(reading, text)}."
    path = spelled(root, found.trail, reading.jsonata)
    why = ""
    if "Payload" in found.trail and "Payload" not in reading.keys:
        why = "`lambda:invoke` returns the function's result in Payload: "
    elif found.trail[-1] in DYNAMODB:
        why = "It is an attribute value of DynamoDB: "
    return f"{why}{'w' if why else 'W'}rite `{path}`."


def parse_call(reading: Reading, path: str) -> str:
    if reading.jsonata:
        return f"write `$parse({path})`"
    return f"parse it in a Pass state before, with `States.StringToJson({path})`"
