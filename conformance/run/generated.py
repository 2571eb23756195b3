"""The check by generated examples: each is run on the endpoint and compared with the oracle.

    check(endpoint, areas, plan) -> for each area a Result for what passed, and one for each cause
    of failures

Examples are numbered: number n of a seed is always the same one. Of those that fail, one for each
cause is made small and, if a folder is given, kept there as a file that the next check tries first.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from botocore.exceptions import BotoCoreError

from stepwell.conformance.generate import AREAS as MACHINES
from stepwell.conformance.generate import generators
from stepwell.conformance.generate.generators import problems
from stepwell.conformance.generate.scripts import expected
from stepwell.conformance.oracle import Undetermined
from stepwell.conformance.report.features import features_of
from stepwell.conformance.report.results import Result, Verdict, cause
from stepwell.conformance.run.case import Case
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.endpoint import Endpoint
from stepwell.conformance.run.shrink import shrink
from stepwell.conformance.run.worker import Workers

__all__ = [
    "AREAS",
    "MACHINES",
    "Plan",
    "Runner",
    "Tally",
    "check",
    "expected",
    "numbered",
    "problems",
    "run_many",
]

AREAS: Final = (*generators.AREAS,)

THREADS: Final = 6
WAITING: Final = 32  # threads for machines that wait for a retry
MOST_SECONDS: Final = 4.0  # that a machine may wait in all; others are left out
MOST_FAILURES: Final = 30  # of one area: then it is enough
MOST_SMALL: Final = 3  # of a kind that are made small
SMALL_SECONDS: Final = 30.0  # for all that one area makes small
# what an answer that is not as the API has it makes of the code that reads it
_STRANGE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def _nobody(count: int) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """`examples` of each area, from a `seed`. `seconds`: the time of the whole check. `kept`: the
    folder of failing cases. `offers`: what the endpoint has of the things that areas need.
    `advance` is told how many examples are over."""

    examples: int
    seed: int = 0
    seconds: float | None = None
    kept: Path | None = None
    offers: frozenset[str] = frozenset()
    advance: Callable[[int], None] = _nobody


def check(endpoint: Endpoint, chosen: Sequence[str], plan: Plan) -> Iterator[Result]:
    """The Results of areas, one area after the other. Each may take its share of the time that is
    left.
    """
    until = None if plan.seconds is None else time.monotonic() + plan.seconds
    with Workers(endpoint) as workers, Runner(endpoint, workers.real) as runner:
        for place, name in enumerate(chosen):
            share = (
                None
                if until is None
                else time.monotonic() + max(0.0, until - time.monotonic()) / (len(chosen) - place)
            )
            began = time.monotonic()
            if missing := sorted(generators.AREAS[name].needs - plan.offers):
                yield Result(
                    name,
                    "generated",
                    Verdict.SKIPPED,
                    reason=f"needs {', '.join(missing)}",
                    count=plan.examples,
                )
                plan.advance(plan.examples)
                continue
            try:
                yield from _area(runner, name, plan, share)
            except BotoCoreError as error:
                # the endpoint was there, and is no longer: the areas that follow say so, too
                problem = f"the endpoint stopped answering: {error}"
                yield Result(
                    name, "generated", Verdict.FAILED, (problem,), seconds=time.monotonic() - began
                )


# --- many -----------------------------------------------------------------------------------------
@dataclass(slots=True)
class Tally:
    """Examples that were run, left out of them, and failed: `most` are enough. `failures`: for each
    kind of problem the first few cases.
    """

    most: int = MOST_FAILURES
    count: int = 0
    left_out: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    failures: dict[str, list[tuple[Case, list[str]]]] = field(default_factory=dict)

    @property
    def enough(self) -> bool:
        return sum(self.failed.values()) >= self.most

    def add(self, case: Case, found: list[str]) -> None:
        self.count += 1
        if found:
            kind = cause(found[0])
            self.failed[kind] = self.failed.get(kind, 0) + 1
            if self.failed[kind] <= MOST_SMALL:
                self.failures.setdefault(kind, []).append((case, found))


def numbered(seed: int, area: str, number: int) -> Case:
    """Example `number` of an area."""
    return generators.AREAS[area].make(Random(f"{seed}:{area}:{number}"))


def _area(runner: Runner, area: str, plan: Plan, until: float | None) -> Iterator[Result]:
    began = time.monotonic()
    tally = Tally()
    for case in kept_cases(plan.kept, area):
        tally.add(case, _found(runner, case))
    if not tally.enough:
        run_many(
            runner,
            lambda number: numbered(plan.seed, area, number),
            plan.examples,
            until,
            tally,
            plan.advance,
        )
    yield from _failures(runner, tally, plan.kept)
    passed = tally.count - sum(tally.failed.values())
    reason = (
        f"{tally.left_out} left out: the oracle cannot say, or they wait too long"
        if tally.left_out
        else ""
    )
    yield Result(
        area,
        "generated",
        Verdict.PASSED,
        reason=reason,
        seconds=time.monotonic() - began,
        count=passed,
    )


def _found(runner: Runner, case: Case) -> list[str]:
    """The problems of a case; one that the suite itself stumbles over is one, too."""
    try:
        return problems(runner, case)
    except _STRANGE as error:
        return [f"an answer that is not as the API has it: {type(error).__name__}: {error}"]


def run_many(
    runner: Runner,
    make: Callable[[int], Case],
    examples: int,
    until: float | None,
    tally: Tally,
    advance: Callable[[int], None] = _nobody,
) -> None:
    """Examples 0, 1, 2, ... until there are enough, the time is over or too many fail."""
    with ThreadPoolExecutor(THREADS) as quick, ThreadPoolExecutor(WAITING) as slow:

        def one(case: Case) -> tuple[Case, list[str]]:
            return case, _found(runner, case)

        def prepare(number: int) -> tuple[Case, list[str]] | Future[tuple[Case, list[str]]] | None:
            case = make(number)
            try:
                waits = (
                    max(way.seconds for way in expected(case))
                    if case.area in MACHINES
                    else float(generators.AREAS[case.area].waits)
                )
            except Undetermined:
                return None
            if waits > MOST_SECONDS:
                return None
            return slow.submit(one, case) if waits else one(case)

        numbers = iter(range(examples))
        open_: set[Future[Any]] = set()
        while True:
            while (
                len(open_) < 2 * THREADS + WAITING
                and not tally.enough
                and (until is None or time.monotonic() < until)
            ):
                number = next(numbers, None)
                if number is None:
                    break
                open_.add(quick.submit(prepare, number))
            if not open_:
                advance(sum(1 for _ in numbers))  # those that nobody will run
                return
            done, open_ = wait(open_, return_when=FIRST_COMPLETED)
            for future in done:
                found = future.result()
                if isinstance(found, Future):
                    open_.add(found)
                    continue
                advance(1)
                if found is None:
                    tally.left_out += 1
                else:
                    tally.add(*found)


def _failures(runner: Runner, tally: Tally, kept: Path | None) -> Iterator[Result]:
    for result in causes(tally, partial(fails, runner), partial(_found, runner)):
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            (kept / f"{result.area}-{result.name}.json").write_text(
                result.evidence + "\n", encoding="utf-8"
            )
        yield result


def fails(runner: Runner, case: Case, smaller: Case) -> bool:
    """Whether a smaller case asks the same and fails, too."""
    if smaller.kind != case.kind and case.area not in MACHINES:
        return False
    try:
        return generators.AREAS[case.area].same(case, smaller) and bool(problems(runner, smaller))
    except _STRANGE:
        return False  # it may be the case that is strange, and not the answer


def causes(
    tally: Tally, fails: Callable[[Case, Case], bool], found: Callable[[Case], Sequence[str]]
) -> Iterator[Result]:
    """A Result for each cause, with a case that was made small: what fails in the same way and uses
    the same features when it is small has the same cause. The Result's name is that of the small
    case, whenever and wherever it was found.
    """
    until = time.monotonic() + SMALL_SECONDS
    waiting = sum(map(len, tally.failures.values()))
    for kind, failures in tally.failures.items():
        results: dict[object, Result] = {}
        for case, first in failures:
            began = time.monotonic()
            small = shrink(case, partial(fails, case), (until - began) / waiting)
            waiting -= 1
            lines = found(small) or first
            name = hashlib.sha256(small.dumps().encode()).hexdigest()[:12]
            evidence, seconds = small.dumps(problems=lines), time.monotonic() - began
            result = Result(
                case.area, name, Verdict.FAILED, tuple(lines), evidence=evidence, seconds=seconds
            )
            results.setdefault((cause(lines[0]), frozenset(features_of(small.definition))), result)
        rest = tally.failed[kind] - len(
            results
        )  # those that were not made small count with the first
        yield from (
            replace(result, count=1 if place else 1 + rest)
            for place, result in enumerate(results.values())
        )


def kept_cases(folder: Path | None, area: str) -> list[Case]:
    """The cases of an area that a folder has. ValueError names a file that holds none."""
    found = []
    for file in sorted(folder.glob(f"{area}-*.json")) if folder and folder.is_dir() else ():
        try:
            found.append(Case.loads(file.read_text(encoding="utf-8")))
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{file} holds no example: {error!r}") from error
    return found
