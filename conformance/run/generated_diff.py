"""Generated machines on two endpoints: the differences, each with a shrunk example."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice

from botocore.exceptions import BotoCoreError, ClientError

from stepwell.conformance.oracle import UndeterminedError
from stepwell.conformance.report.results import Result, Verdict
from stepwell.conformance.run.case import STANDARD, Case
from stepwell.conformance.run.compare import differences
from stepwell.conformance.run.endpoint import Endpoint, Run, UnfinishedError
from stepwell.conformance.run.generated import Runner, Tally, causes, expected, numbered
from stepwell.conformance.run.matching import parsed, show
from stepwell.conformance.run.worker import Workers


def compare(
    one: Endpoint,
    other: Endpoint,
    areas: Sequence[str],
    examples: int,
    seed: int,
    advance: Callable[[int], None],
    threads: int = 6,
) -> Iterator[Result]:
    """For each area a Result for each cause of differences, with a shrunk case, and one that counts
    the examples without.

    Every case is run as STANDARD, which all engines support and which has a history. `advance` is
    called with the number of examples that are done.
    """
    with (
        Workers(one) as here,
        Workers(other) as there,
        Runner(one, here.real) as left,
        Runner(other, there.real) as right,
    ):
        for area in areas:
            cases = [
                replace(numbered(seed, area, number), kind=STANDARD) for number in range(examples)
            ]
            yield from _area(left, right, cases, advance, threads)


def _area(
    left: Runner, right: Runner, cases: Sequence[Case], advance: Callable[[int], None], threads: int
) -> Iterator[Result]:
    begun, tally = time.monotonic(), Tally()
    waiting = iter(cases)
    with ThreadPoolExecutor(threads) as pool:
        while not tally.enough and (batch := list(islice(waiting, 4 * threads))):
            for case, lines in zip(
                batch, pool.map(lambda case: _differences(left, right, case), batch)
            ):
                tally.add(case, list(lines))
            advance(len(batch))
    advance(len(cases) - tally.count)  # the rest is not run
    found = partial(_differences, left, right)
    yield from causes(
        tally, lambda case, smaller: smaller.kind == STANDARD and bool(found(smaller)), found
    )
    agreed = tally.count - sum(tally.failed.values())
    yield Result(
        cases[0].area, "generated", Verdict.PASSED, seconds=time.monotonic() - begun, count=agreed
    )


def _differences(left: Runner, right: Runner, case: Case) -> tuple[str, ...]:
    """The differences between two endpoints for a case. Values that may differ between runs do not
    count: the oracle knows them.
    """
    try:
        ways = expected(case)
    except UndeterminedError:
        return ()
    here, there = _outcome(left, case), _outcome(right, case)
    if here == there:
        return ()
    if isinstance(here, Run) and isinstance(there, Run):
        if not differences(ways, here) and not differences(ways, there):
            return ()
        lines: tuple[str, ...] = ()
        # only the first group that differs: differences in the later ones follow from it
        for names in (("status", "output", "error"), ("cause",), ("events",)):
            pairs = [(name, _value(here, name), _value(there, name)) for name in names]
            lines = lines or tuple(
                f"{name}: here {show(one)}, there {show(other)}"
                for name, one, other in pairs
                if one != other
            )
        return lines
    return (f"here {_word(here)}, there {_word(there)}",)


def _outcome(runner: Runner, case: Case) -> Run | str:
    try:
        return runner.run(case)
    except ClientError as error:
        return f"refused: {error.response['Error']['Code']}"
    except (BotoCoreError, UnfinishedError) as error:
        return f"{type(error).__name__}: {error}"


def _value(run: Run, name: str) -> object:
    if name == "events":
        return [f"{event['type']}<{event['previousEventId']}" for event in run.history]
    return parsed(run.output) if name == "output" else getattr(run, name)


def _word(outcome: Run | str) -> str:
    return (
        outcome if isinstance(outcome, str) else f"{outcome.status} {outcome.error or ''}".strip()
    )
