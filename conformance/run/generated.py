"""Generated examples, run on an endpoint and compared with the oracle.

    check(endpoint, areas, plan) -> for each area a Result that counts what passed, and one for each
    cause of failures

Examples are numbered: number n of a seed is always the same one. One failing example of each cause
is shrunk and, with Plan.kept, saved as a file, which the next check runs first.
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
from stepwell.conformance.oracle import UndeterminedError
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
WAITING_THREADS: Final = 32  # for machines that wait, such as for a retry
MAX_WAIT_SECONDS: Final = 4.0  # of one machine in all; others are left out
MAX_FAILURES: Final = 30  # an area stops after so many
MAX_SHRUNK: Final = 3  # of one kind of problem
SHRINK_SECONDS: Final = 30.0  # for all failures of an area
# raised by the suite's own code when an answer has not the shape of the API's model
_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def _ignore(count: int) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """`examples` of each area, from a `seed`. `seconds`: time limit of the whole check. `kept`:
    folder of failing cases. `offers`: the optional features that the endpoint has, of those that
    areas need. `advance` is called with the number of examples that are done."""

    examples: int
    seed: int = 0
    seconds: float | None = None
    kept: Path | None = None
    offers: frozenset[str] = frozenset()
    advance: Callable[[int], None] = _ignore


def check(endpoint: Endpoint, chosen: Sequence[str], plan: Plan) -> Iterator[Result]:
    """The Results of areas, one area after the other. Each has an equal share of the remaining
    time.
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
                # the areas that follow will report the same
                problem = f"the endpoint stopped answering: {error}"
                yield Result(
                    name, "generated", Verdict.FAILED, (problem,), seconds=time.monotonic() - began
                )


# --- many -----------------------------------------------------------------------------------------
@dataclass(slots=True)
class Tally:
    """Counts of examples. `most`: failures after which to stop; `failed`: kind of problem -> count;
    `failures`: kind of problem -> the first few cases with their problems.
    """

    most: int = MAX_FAILURES
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
            if self.failed[kind] <= MAX_SHRUNK:
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
    """The problems of a case; a malformed answer is one."""
    try:
        return problems(runner, case)
    except _MALFORMED as error:
        return [f"an answer does not have the shape of the API: {type(error).__name__}: {error}"]


def run_many(
    runner: Runner,
    make: Callable[[int], Case],
    examples: int,
    until: float | None,
    tally: Tally,
    advance: Callable[[int], None] = _ignore,
) -> None:
    """Run examples 0, 1, 2, ... until all are done, the time is up or too many fail."""
    with ThreadPoolExecutor(THREADS) as quick, ThreadPoolExecutor(WAITING_THREADS) as slow:

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
            except UndeterminedError:
                return None
            if waits > MAX_WAIT_SECONDS:
                return None
            return slow.submit(one, case) if waits else one(case)

        numbers = iter(range(examples))
        open_: set[Future[Any]] = set()
        while True:
            while (
                len(open_) < 2 * THREADS + WAITING_THREADS
                and not tally.enough
                and (until is None or time.monotonic() < until)
            ):
                number = next(numbers, None)
                if number is None:
                    break
                open_.add(quick.submit(prepare, number))
            if not open_:
                advance(sum(1 for _ in numbers))  # the rest is not run
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
    """Whether a smaller case tests the same and fails, too."""
    if smaller.kind != case.kind and case.area not in MACHINES:
        return False
    try:
        return generators.AREAS[case.area].same(case, smaller) and bool(problems(runner, smaller))
    except _MALFORMED:
        return False  # perhaps the case is malformed, not the answer


def causes(
    tally: Tally, fails: Callable[[Case, Case], bool], found: Callable[[Case], Sequence[str]]
) -> Iterator[Result]:
    """A Result for each cause, with a shrunk case: cases that fail in the same way and use the same
    features once they are shrunk have the same cause. The Result's name is a hash of the shrunk
    case, so it is the same in every run.
    """
    until = time.monotonic() + SHRINK_SECONDS
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
        rest = tally.failed[kind] - len(results)  # those not shrunk count with the first
        yield from (
            replace(result, count=1 if place else 1 + rest)
            for place, result in enumerate(results.values())
        )


def kept_cases(folder: Path | None, area: str) -> list[Case]:
    """The cases of an area in a folder. ValueError names a file that is no case."""
    found = []
    for file in sorted(folder.glob(f"{area}-*.json")) if folder and folder.is_dir() else ():
        try:
            found.append(Case.loads(file.read_text(encoding="utf-8")))
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{file} holds no example: {error!r}") from error
    return found
