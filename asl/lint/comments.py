"""What Comment fields say to the linter.

"Comment": "... stepwell:ignore W201 the function raises it"    suppresses W201 in the object
"Comment": "... stepwell:input {\\"id\\": 1}"                      an example of the input
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from stepwell.asl.evaluation import Json
from stepwell.asl.inference.machine import Machine, texts
from stepwell.asl.lint.rule import Finding

_IGNORE: Final = re.compile(r"stepwell:ignore((?:[\s,]+[A-Z][A-Z0-9_]+\b)+)")
_INPUT: Final = "stepwell:input"
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]+")
_COMMENT: Final = "/Comment"


class Suppression(NamedTuple):
    """code: suppressed in the object at `scope`; location: of the Comment."""

    code: str
    scope: str
    location: str

    def covers(self, finding: Finding) -> bool:
        inside = finding.location.removeprefix(self.scope)
        return finding.code == self.code and (
            self.scope == "" or inside == "" or (inside != finding.location and inside[0] in "/[")
        )


def suppressions(machine: Machine) -> tuple[Suppression, ...]:
    """In the order of the text."""
    found = [
        Suppression(code, where.removesuffix(_COMMENT), where)
        for key, text, where in texts(machine.fields, "/")
        if key == "Comment"
        for match in _IGNORE.finditer(text)
        for code in _CODE.findall(match[1])
    ]
    return tuple(reversed(found))


def examples(machine: Machine) -> Iterator[Json]:
    """The inputs in the Comment of a machine; what is not JSON is no example."""
    comment = machine.fields.get("Comment")
    at = comment.find(_INPUT) if isinstance(comment, str) else -1
    while isinstance(comment, str) and at >= 0:
        rest = comment[at + len(_INPUT) :].lstrip()
        try:
            yield json.JSONDecoder().raw_decode(rest)[0]
        except (ValueError, RecursionError):
            return
        at = comment.find(_INPUT, at + 1)
