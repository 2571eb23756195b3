"""Runs vectors against one endpoint, or against two to compare them; known differences."""

import fnmatch
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from stepwell.conformance.report.results import Result, Verdict, cause
from stepwell.conformance.run import vectors
from stepwell.conformance.run.endpoint import Endpoint
from stepwell.conformance.run.vectors import Vector

KNOWN: Final = Path(__file__).parents[1] / "known_differences.toml"
THREADS: Final = 12


@dataclass(frozen=True, slots=True)
class Known:
    """A known difference: failures of vectors that match the glob `vector` with a problem that
    contains `problem` are skipped.
    """

    vector: str
    problem: str
    reason: str

    def names(self, vector: str) -> bool:
        return fnmatch.fnmatchcase(vector, self.vector)

    def covers(self, result: Result) -> bool:
        return self.names(result.name) and any(self.problem in line for line in result.problems)


def known_differences(path: Path) -> tuple[Known, ...]:
    """The [[difference]] tables of a file: vector (a glob, default *), problem (a part of a line,
    default any), reason (required).

    ValueError says what is wrong with the file.
    """
    found = []
    for number, table in enumerate(tomllib.loads(path.read_text("utf-8")).get("difference", ()), 1):
        unknown = set(table) - {"vector", "problem", "reason"}
        if (
            unknown
            or not str(table.get("reason", "")).strip()
            or not ({"vector", "problem"} & set(table))
        ):
            raise ValueError(
                f"{path}: difference {number} needs a reason and a vector or a problem, and "
                "has no other members"
            )
        found.append(Known(table.get("vector", "*"), table.get("problem", ""), table["reason"]))
    return tuple(found)


def excused(result: Result, known: Iterable[Known]) -> Result:
    """The result; a failure that is a known difference becomes skipped."""
    if result.verdict is Verdict.FAILED:
        for each in known:
            if each.covers(result):
                return replace(
                    result, verdict=Verdict.SKIPPED, reason=f"known difference: {each.reason}"
                )
    return result


def run_vectors(
    endpoint: Endpoint,
    chosen: Sequence[Vector],
    offers: frozenset[str] = frozenset(),
    threads: int = THREADS,
    seconds: float = vectors.SECONDS,
) -> Iterator[Result]:
    """A Result for each vector, in the order of their ends. `offers`: the optional features that
    the endpoint has, of those that vectors need.
    """

    def one(vector: Vector) -> Result:
        missing = sorted(vector.needs - offers)
        if missing:
            return Result(
                vector.area, vector.name, Verdict.SKIPPED, reason=f"needs {', '.join(missing)}"
            )
        return vectors.run(endpoint, vector, seconds)

    _ = endpoint.account  # raises UnreachableError before any vector is run
    yield from _each(one, chosen, threads)


def _each(
    work: Callable[[Vector], Result], chosen: Sequence[Vector], threads: int
) -> Iterator[Result]:
    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(work, vector) for vector in chosen]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:  # Ctrl-C, or the caller stopped iterating
            for future in running:
                future.cancel()


# --- two endpoints --------------------------------------------------------------------------------
def compare_vectors(
    one: Endpoint,
    other: Endpoint,
    chosen: Sequence[Vector],
    threads: int = THREADS,
    seconds: float = vectors.SECONDS,
) -> Iterator[Result]:
    """Each vector on both endpoints: a Result that has the problems which only one of them has."""

    def both(vector: Vector) -> Result:
        here, there = vectors.run(one, vector, seconds), vectors.run(other, vector, seconds)
        lines = tuple(
            f"only here: {line}"
            for line in here.problems
            if cause(line) not in set(map(cause, there.problems))
        )
        lines += tuple(
            f"only there: {line}"
            for line in there.problems
            if cause(line) not in set(map(cause, here.problems))
        )
        verdict = Verdict.FAILED if lines else Verdict.PASSED
        return replace(
            here,
            verdict=verdict,
            problems=lines,
            evidence=here.evidence or there.evidence,
            seconds=here.seconds + there.seconds,
        )

    for endpoint in (one, other):
        _ = endpoint.account
    yield from _each(both, chosen, threads)
