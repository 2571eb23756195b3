"""What a check found: a Result for each vector, kind of generated example or comparison. What runs
makes them, the report shows them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# What two problems of the same kind may differ in: JSON, names (but not those of errors), numbers
# and values
_JSON: Final = re.compile(
    r"(?<= )(?:[\[{].*?[\]}]|null|true|false|nothing)(?=, got |, expected |, there | follows |$)",
    re.DOTALL,
)
_VALUES: Final = re.compile(
    r"(\"States\.\w+\")|'[^']*'|\"(?:[^\"\\]|\\.)*\"|<[^>]*>|arn:\S+|"
    r"[0-9a-f]{8}-[0-9a-f-]{27}|-?\d+(?:\.\d+)?"
)


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    # the endpoint lacks something that the vector needs, or the difference is an agreed one
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """`area` is the row of the table that it counts in; `count` is how many examples stand behind
    it (1 for a vector).

    `problems` say in a line each what differs; `reason` says why something was skipped; `evidence`
    is JSON text that reproduces a failure.
    """

    area: str
    name: str
    verdict: Verdict
    problems: tuple[str, ...] = ()
    reason: str = ""
    evidence: str = ""
    seconds: float = 0.0
    count: int = 1


def cause(problem: str) -> str:
    """What problems of the same kind have in common."""
    return " ".join(_VALUES.sub(_kept, _JSON.sub("_", problem)).split())[:120]


def _kept(found: re.Match[str]) -> str:
    return found[1] or "_"


def by_cause(results: Iterable[Result]) -> list[tuple[str, list[Result]]]:
    """The failures, those with the same first problem together; the greatest groups first, the
    shortest evidence first in each.
    """
    groups: dict[str, list[Result]] = {}
    for result in results:
        if result.verdict is Verdict.FAILED:
            groups.setdefault(cause(result.problems[0]) if result.problems else "", []).append(
                result
            )
    for group in groups.values():
        group.sort(key=lambda result: len(result.evidence))
    return sorted(groups.items(), key=lambda each: -len(each[1]))
