"""The areas of generated examples: how an example is drawn, and what must hold of its runs."""

from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

from stepwell.conformance.generate import AREAS as MACHINES
from stepwell.conformance.generate import case_of
from stepwell.conformance.generate.scenarios import (
    declared,
    distributed_map,
    functions,
    invalid,
    nested,
    payload_limit,
    redrive,
    repeated,
    single_state,
    stopped,
    translated,
)
from stepwell.conformance.generate.scripts import expected
from stepwell.conformance.oracle import UndeterminedError
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.call_sequences import call_case, call_problems
from stepwell.conformance.run.case import Case
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.compare import differences
from stepwell.conformance.run.endpoint import UnfinishedError


def machine_problems(runner: Runner, case: Case) -> list[str]:
    """The execution ends as the oracle says, with the events that it says."""
    wanted = expected(case)
    run = runner.run(case)
    found = differences(wanted, run)
    return [*found, *metamorphic_checks.of_history(run.history)] if run.history else found


def always(case: Case, smaller: Case) -> bool:
    return True


def never(case: Case, smaller: Case) -> bool:
    return False


class Area(NamedTuple):
    """make: draws an example. problems: runs it and lists what is wrong; raises UndeterminedError.
    same: whether a smaller case still tests the same (some areas' expectations follow from how
    their examples are drawn). needs: what the endpoint must have beside the API itself. waits: most
    of the time is waiting, so many examples run at once."""

    make: Callable[[Random], Case]
    problems: Callable[[Runner, Case], list[str]]
    same: Callable[[Case, Case], bool] = always
    needs: frozenset[str] = frozenset()
    waits: bool = False


def _machines(name: str) -> Callable[[Random], Case]:
    return lambda r: case_of(r, name)


AREAS: Final[dict[str, Area]] = {
    **{name: Area(_machines(name), machine_problems) for name in MACHINES},
    "twins": Area(translated.twin_case, translated.twin_problems),
    "laws": Area(repeated.law_case, repeated.law_problems),
    "redrive": Area(redrive.redrive_case, redrive.redrive_problems, redrive.same_redrive),
    "validator": Area(invalid.broken_case, invalid.broken_problems),
    "calls": Area(call_case, call_problems),
    "distributed": Area(
        distributed_map.distributed_case,
        distributed_map.distributed_problems,
        distributed_map.same_map,
    ),
    "nested": Area(nested.nested_case, nested.nested_problems, waits=True),
    "stopped": Area(stopped.stopped_case, stopped.stopped_problems, never, waits=True),
    "limits": Area(payload_limit.limit_case, machine_problems),
    "single": Area(single_state.single_case, single_state.single_problems, single_state.same_state),
    "declared": Area(declared.declared_case, declared.declared_problems, never),
    "functions": Area(
        functions.function_case,
        functions.function_problems,
        never,
        frozenset({"lambda"}),
        waits=True,
    ),
}


def problems(runner: Runner, case: Case) -> list[str]:
    """What is wrong with a case; nothing where the language does not determine the result."""
    try:
        return AREAS[case.area].problems(runner, case)
    except UndeterminedError:
        return []
    except ClientError as error:
        details: dict[str, Any] = dict(error.response["Error"])
        return [
            f"refused: {error.operation_name}: {details.get('Code')} {details.get('Message', '')}"
        ]
    except UnfinishedError as error:
        return [str(error)]
