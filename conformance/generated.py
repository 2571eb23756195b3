"""The check by generated examples: each is run on the endpoint and compared with the oracle.

    check(endpoint, area, examples, seed, seconds) -> a Result for each area

Examples are numbered: number n of a seed is always the same one. Those that fail are made small and, if a folder is given, kept there as
files that the next check tries first.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from botocore.exceptions import BotoCoreError

from stepwell.conformance import areas
from stepwell.conformance.areas import expected, problems
from stepwell.conformance.case import Case
from stepwell.conformance.endpoint import Endpoint
from stepwell.conformance.oracle import Undetermined
from stepwell.conformance.results import Result, Verdict
from stepwell.conformance.running import Runner
from stepwell.conformance.shrink import shrink
from stepwell.conformance.strategies import AREAS as MACHINES
from stepwell.conformance.worker import Workers

__all__ = ["AREAS", "MACHINES", "Runner", "Tally", "check", "expected", "numbered", "problems", "run_many"]

AREAS: Final = (*areas.AREAS,)

THREADS: Final = 6
WAITING: Final = 32  # threads for machines that wait for a retry
MOST_SECONDS: Final = 4.0  # that a machine may wait in all; others are left out
MOST_FAILURES: Final = 3  # of one area: then it is enough


def check(
    endpoint: Endpoint, area: str | None, examples: int, seed: int, seconds: float | None = None, kept: Path | None = None
) -> Iterator[Result]:
    """Run `examples` of an area, or of each. `seconds`: the time of the whole check. `kept`: the folder of failing cases."""
    chosen = AREAS if area is None else (area,)
    until = None if seconds is None else time.monotonic() + seconds
    with Workers(endpoint) as workers, Runner(endpoint, workers.real) as runner:
        for place, name in enumerate(chosen):
            share = None if until is None else time.monotonic() + max(0.0, until - time.monotonic()) / (len(chosen) - place)
            began = time.monotonic()
            try:
                yield _area(runner, name, examples, seed, share, kept)
            except BotoCoreError as error:  # the endpoint was there, and is no longer: the areas that follow say so, too
                problem = f"the endpoint stopped answering: {error}"
                yield Result(name, "generated examples", Verdict.FAILED, (problem,), seconds=time.monotonic() - began)


# --- many -------------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Tally:
    """Examples that were run, left out of them, and failures, of which `most` are enough."""

    most: int = MOST_FAILURES
    count: int = 0
    left_out: int = 0
    failures: list[tuple[Case, list[str]]] = field(default_factory=list)


def numbered(seed: int, area: str, number: int) -> Case:
    """Example `number` of an area."""
    return areas.AREAS[area].make(Random(f"{seed}:{area}:{number}"))


def _area(runner: Runner, area: str, examples: int, seed: int, until: float | None, kept: Path | None) -> Result:
    began = time.monotonic()
    tally = Tally()
    for case in _kept(kept, area):
        found = problems(runner, case)
        tally.count += 1
        if found:
            tally.failures.append((case, found))
    if len(tally.failures) < tally.most:
        run_many(runner, lambda number: numbered(seed, area, number), examples, until, tally)
    return _result(runner, area, tally, began, kept)


def run_many(runner: Runner, make: Callable[[int], Case], examples: int, until: float | None, tally: Tally) -> None:
    """Examples 0, 1, 2, ... until there are enough, the time is over or too many fail."""
    with ThreadPoolExecutor(THREADS) as quick, ThreadPoolExecutor(WAITING) as slow:

        def one(case: Case) -> tuple[Case, list[str]]:
            return case, problems(runner, case)

        def prepare(number: int) -> tuple[Case, list[str]] | Future[tuple[Case, list[str]]] | None:
            case = make(number)
            try:
                waits = max(way.seconds for way in expected(case)) if case.area in MACHINES else 0.0
            except Undetermined:
                return None
            if waits > MOST_SECONDS:
                return None
            return slow.submit(one, case) if waits else one(case)

        numbers = iter(range(examples))
        open_: set[Future[Any]] = set()
        while True:
            while len(open_) < 2 * THREADS + WAITING and len(tally.failures) < tally.most and (until is None or time.monotonic() < until):
                number = next(numbers, None)
                if number is None:
                    break
                open_.add(quick.submit(prepare, number))
            if not open_:
                return
            done, open_ = wait(open_, return_when=FIRST_COMPLETED)
            for future in done:
                found = future.result()
                if isinstance(found, Future):
                    open_.add(found)
                    continue
                tally.count += 1
                if found is None:
                    tally.left_out += 1
                elif found[1] and len(tally.failures) < tally.most:
                    tally.failures.append(found)


def _result(runner: Runner, area: str, tally: Tally, began: float, kept: Path | None) -> Result:
    lines: list[str] = []
    evidence = ""
    for case, first in tally.failures:
        small = shrink(case, lambda candidate: bool(problems(runner, candidate))) if areas.AREAS[area].shrinks else case
        found = problems(runner, small) or first
        text = small.dumps(problems=found)
        if kept is not None:
            _keep(kept, area, text)
        evidence = evidence or text
        lines += [line for line in found if line not in lines]
    verdict = Verdict.FAILED if tally.failures else Verdict.PASSED
    reason = f"{tally.left_out} left out" if tally.left_out else ""
    return Result(area, "generated examples", verdict, tuple(lines), reason, evidence, time.monotonic() - began, tally.count)


def _keep(folder: Path, area: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{area}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json").write_text(text + "\n", encoding="utf-8")


def _kept(folder: Path | None, area: str) -> Iterator[Case]:
    for file in sorted(folder.glob(f"{area}-*.json")) if folder and folder.is_dir() else ():
        yield Case.loads(file.read_text(encoding="utf-8"))
