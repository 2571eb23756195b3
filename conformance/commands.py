"""The commands of `stepwell conformance`; cli.py declares their options."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, TypeAlias

from botocore.exceptions import BotoCoreError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stepwell.conformance.report import report
from stepwell.conformance.report.results import Result
from stepwell.conformance.run import generated, generated_diff, suites, vectors
from stepwell.conformance.run.endpoint import Endpoint, UnreachableError
from stepwell.conformance.run.vectors import Vector

PASSED: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
AWS: Final = "aws"

Advance: TypeAlias = Callable[[int], None]  # called with the number of vectors or examples done


@dataclass(frozen=True, slots=True)
class Choice:
    """What to run: the options of the same names in cli.py."""

    areas: Sequence[str]
    match: str | None
    examples: int
    seed: int
    seconds: float | None
    vectors_only: bool
    threads: int
    vector_seconds: float
    kept: Path | None

    def vectors(self) -> list[Vector]:
        every = vectors.load()
        return [
            vector
            for vector in every
            if (not self.areas or vector.area in self.areas)
            and (self.match is None or fnmatchcase(vector.name, self.match))
        ]

    def generated(self) -> list[str]:
        """The areas of generated examples. Without new examples, kept ones are run."""
        if self.vectors_only or self.match is not None or not (self.examples or self.kept):
            return []
        return [area for area in generated.AREAS if not self.areas or area in self.areas]

    def problem(self) -> str | None:
        """Why the options are invalid; None if they are valid."""
        unknown = sorted(
            set(self.areas) - {vector.area for vector in vectors.load()} - set(generated.AREAS)
        )
        if unknown:
            return f"no such area: {', '.join(unknown)} (`stepwell conformance areas` lists them)"
        try:
            for area in generated.AREAS:
                generated.kept_cases(self.kept, area)
        except (OSError, ValueError) as error:
            return str(error)
        return None if self.vectors() or self.generated() else "nothing to run"


def run(
    url: str,
    region: str,
    choice: Choice,
    offers: frozenset[str],
    known: Path | None,
    files: dict[str, Path | None],
    quiet: bool,
) -> int:
    chosen, areas = choice.vectors(), choice.generated()
    endpoint = Endpoint(None if url == AWS else url, region, choice.threads)

    def results(advance: Advance) -> Iterator[Result]:
        yield from _advancing(
            suites.run_vectors(endpoint, chosen, offers, choice.threads, choice.vector_seconds),
            advance,
        )
        if areas:
            plan = generated.Plan(
                choice.examples, choice.seed, choice.seconds, choice.kept, offers, advance
            )
            yield from generated.check(endpoint, areas, plan)

    return _report(
        results, len(chosen) + len(areas) * choice.examples, choice, known, url, files, quiet
    )


def diff(
    url: str,
    other: str,
    region: str,
    choice: Choice,
    known: Path | None,
    files: dict[str, Path | None],
    quiet: bool,
) -> int:
    chosen = [vector for vector in choice.vectors() if not vector.needs]
    # the other areas compare runs of one endpoint
    areas = [area for area in choice.generated() if area in generated.MACHINES]
    one, two = (
        Endpoint(None if each == AWS else each, region, choice.threads) for each in (url, other)
    )

    def results(advance: Advance) -> Iterator[Result]:
        yield from _advancing(
            suites.compare_vectors(one, two, chosen, choice.threads, choice.vector_seconds), advance
        )
        if areas:
            yield from generated_diff.compare(
                one, two, areas, choice.examples, choice.seed, advance
            )

    label = f"{url} (here) and {other} (there)"
    return _report(
        results,
        len(chosen) + len(areas) * choice.examples,
        choice,
        known or suites.KNOWN,
        label,
        files,
        quiet,
    )


def _advancing(results: Iterable[Result], advance: Advance) -> Iterator[Result]:
    """The results; each advances the progress by one."""
    for result in results:
        yield result
        advance(1)


def areas() -> int:
    counts = Counter(vector.area for vector in vectors.load())
    for area in sorted({*counts, *generated.AREAS}):
        kinds = [f"{counts[area]} vectors"] if counts[area] else []
        kinds += ["generated examples"] if area in generated.AREAS else []
        print(f"{area:16} {', '.join(kinds)}")
    return PASSED


def _report(
    results: Callable[[Advance], Iterable[Result]],
    total: int,
    choice: Choice,
    known: Path | None,
    label: str,
    files: dict[str, Path | None],
    quiet: bool,
) -> int:
    """Collect the results, show and write them, those of an interrupted run included."""
    problem = choice.problem()
    if problem is not None:
        return _usage_error(problem)
    try:
        differences = suites.known_differences(known) if known else ()
    except (OSError, ValueError) as error:
        return _usage_error(str(error))
    console, found, interrupted = Console(), list[Result](), False
    try:
        with _progress(total, quiet) as advance:
            for result in results(advance):
                found.append(suites.excused(result, differences))
    except KeyboardInterrupt:
        interrupted = True
    except (UnreachableError, BotoCoreError) as error:
        return _usage_error(str(error))
    found.sort(key=lambda result: (result.area, result.name))
    about = report.About(
        label, {"suite": _version(), "seed": str(choice.seed), "examples": str(choice.examples)}
    )
    report.show(console, found, about)
    report.write(files, found, about)
    if interrupted:
        return INTERRUPTED
    return FAILED if report.failures(found) else PASSED


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Advance]:
    """A progress bar on standard error, if that is a terminal."""
    columns = (TextColumn("conformance"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown = not quiet and sys.stderr.isatty()
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not shown
    ) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)


def _version() -> str:
    try:
        return version("stepwell")
    except PackageNotFoundError:
        return "from a checkout"


def _usage_error(message: str) -> int:
    print(f"stepwell: {message}", file=sys.stderr)
    return USAGE
