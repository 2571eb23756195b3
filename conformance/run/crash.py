"""Crash recovery: executions that run while their server is killed end as they would without the
crash, and none that was accepted is lost.

For engines that the suite can restart, as tests/conformance/test_generated.py does with stepwell.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from stepwell.conformance.generate.scripts import expected
from stepwell.conformance.oracle import Outcome, UndeterminedError
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.case import STANDARD, Case
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.compare import differences
from stepwell.conformance.run.endpoint import fresh_name

_THREADS: Final = 4


def delayed(case: Case, seconds: int = 1) -> Case:
    """The case with a Wait state in front, so that it runs for at least so long."""
    first = {"Type": "Wait", "Seconds": seconds, "Next": case.definition["StartAt"]}
    return replace(
        case,
        definition={
            **case.definition,
            "StartAt": "Before",
            "States": {"Before": first, **case.definition["States"]},
        },
    )


@dataclass(slots=True)
class _Started:
    """A case with a unique name and its possible outcomes. `execution`: its ARN, once the endpoint
    has answered.
    """

    name: str
    case: Case
    ways: list[Outcome]
    execution: str = ""


def crash_problems(
    runner: Runner, lots: Iterable[Iterable[Case]], restart: Callable[[], Runner], r: Random
) -> list[str]:
    """Start each lot of cases, kill the server at a random moment meanwhile, and list what is wrong
    with the ends of all executions.

    Starts that were not answered are repeated under the same name: nothing may start twice.
    `restart` kills the server, starts it again and returns a runner for it.
    """
    every = []
    for lot in (list(_determined(cases)) for cases in lots):
        with ThreadPoolExecutor(_THREADS) as pool:
            starts = [pool.submit(_try, runner, each) for each in lot]
            for _ in islice(as_completed(starts), r.randrange(1, len(lot))):
                pass
            runner = restart()
        for each in lot:
            if not each.execution:
                _start(runner, each)
        every += lot
    found = []
    for each in every:
        run = runner.ended(each.execution)
        found += [
            f"{line}\n{each.case.dumps()}"
            for line in (*differences(each.ways, run), *metamorphic_checks.of_history(run.history))
        ]
    return found


def _determined(cases: Iterable[Case]) -> Iterator[_Started]:
    for case in cases:
        standard = replace(case, kind=STANDARD)
        with suppress(UndeterminedError):
            yield _Started(fresh_name(), standard, expected(standard))


def _try(runner: Runner, each: _Started) -> None:
    with suppress(BotoCoreError):
        _start(runner, each)


def _start(runner: Runner, each: _Started) -> None:
    """Start a case unless it was started before: both calls are idempotent."""
    definition, case_input = json.dumps(each.case.definition), json.dumps(each.case.input)
    machine = runner.call(
        "CreateStateMachine", name=each.name, definition=definition, roleArn=runner.endpoint.role
    )["stateMachineArn"]
    try:
        each.execution = runner.call(
            "StartExecution", stateMachineArn=machine, name=each.name, input=case_input
        )["executionArn"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
        each.execution = (
            # it has ended already
            f"{machine.replace(':stateMachine:', ':execution:')}:{each.name}"
        )
