"""Results: one for each vector, each cause of failures in generated examples, each comparison."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Parts in which problems of the same kind may differ: JSON, names (except of errors), numbers,
# values
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
    # the endpoint lacks something that the vector needs, or the difference is a known one
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """`area`: its row in the table; `count`: the number of examples (1 for a vector); `problems`: a
    line for each difference; `reason`: why it was skipped; `evidence`: JSON text that reproduces a
    failure.
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
    """The part of a problem that all problems of its kind have in common."""
    return " ".join(_VALUES.sub(_kept, _JSON.sub("_", problem)).split())[:120]


def _kept(found: re.Match[str]) -> str:
    return found[1] or "_"


def by_cause(results: Iterable[Result]) -> list[tuple[str, list[Result]]]:
    """The failures, grouped by the cause of their first problem: the largest groups first, in each
    the shortest evidence first.
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
