"""Generated machines on two endpoints: what they disagree about, made small."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from botocore.exceptions import BotoCoreError, ClientError

from stepwell.conformance.case import STANDARD, Case
from stepwell.conformance.compare import differences
from stepwell.conformance.endpoint import Endpoint, Run, Unfinished
from stepwell.conformance.generated import MACHINES, Runner, expected, numbered
from stepwell.conformance.matching import parsed, show
from stepwell.conformance.oracle import Undetermined
from stepwell.conformance.results import Result, Verdict
from stepwell.conformance.shrink import shrink
from stepwell.conformance.worker import Workers

_MOST = 5  # disagreements of one area: then it is enough
_SHRINK_SECONDS = 10.0


def compare(one: Endpoint, other: Endpoint, area: str | None, examples: int, seed: int, threads: int = 6) -> Iterator[Result]:
    """A Result for each disagreement, with a case that was made small, and one that counts the examples that agree."""
    with Workers(one) as here, Workers(other) as there, Runner(one, here.real) as left, Runner(other, there.real) as right:
        for name in MACHINES if area is None else (area,):
            yield from _area(left, right, name, examples, seed, threads)


def _area(left: Runner, right: Runner, area: str, examples: int, seed: int, threads: int) -> Iterator[Result]:
    begun, agreed, found = time.monotonic(), 0, 0
    numbers = iter(range(examples))
    with ThreadPoolExecutor(threads) as pool:
        while found < _MOST and (batch := list(islice(numbers, 4 * threads))):
            for number, lines in zip(batch, pool.map(lambda number: _disagreement(left, right, numbered(seed, area, number)), batch)):
                if not lines:
                    agreed += 1
                elif found < _MOST:
                    found += 1
                    yield _shrunk(left, right, area, number, numbered(seed, area, number), lines)
    yield Result(area, "generated machines", Verdict.PASSED, seconds=time.monotonic() - begun, count=agreed)


def _shrunk(left: Runner, right: Runner, area: str, number: int, case: Case, lines: tuple[str, ...]) -> Result:
    begun = time.monotonic()
    small = replace(shrink(case, lambda candidate: bool(_disagreement(left, right, candidate)), _SHRINK_SECONDS), kind=STANDARD)
    lines = _disagreement(left, right, small) or lines
    return Result(area, f"generated {number}", Verdict.FAILED, lines, evidence=small.dumps(), seconds=time.monotonic() - begun)


def _disagreement(left: Runner, right: Runner, case: Case) -> tuple[str, ...]:
    """What two endpoints do differently with a case. Values that may differ from run to run are none: the oracle knows those.

    Every case is run as STANDARD: that is what all engines have, and it leaves a history.
    """
    case = replace(case, kind=STANDARD)
    here, there = _outcome(left, case), _outcome(right, case)
    if here == there:
        return ()
    if isinstance(here, Run) and isinstance(there, Run):
        try:
            ways = expected(case)
        except Undetermined:
            return ()
        if not differences(ways, here) and not differences(ways, there):
            return ()
        lines: tuple[str, ...] = ()
        for names in (("status", "output", "error"), ("cause",), ("events",)):  # the first that differ: others follow from those
            pairs = [(name, _value(here, name), _value(there, name)) for name in names]
            lines = lines or tuple(f"{name}: here {show(one)}, there {show(other)}" for name, one, other in pairs if one != other)
        return lines
    return (f"here {_word(here)}, there {_word(there)}",)


def _outcome(runner: Runner, case: Case) -> Run | str:
    try:
        return runner.run(case)
    except ClientError as error:
        return f"refused: {error.response['Error']['Code']}"
    except (BotoCoreError, Unfinished) as error:
        return f"{type(error).__name__}: {error}"


def _value(run: Run, name: str) -> object:
    if name == "events":
        return [f"{event['type']}<{event['previousEventId']}" for event in run.history]
    return parsed(run.output) if name == "output" else getattr(run, name)


def _word(outcome: Run | str) -> str:
    return outcome if isinstance(outcome, str) else f"{outcome.status} {outcome.error or ''}".strip()
