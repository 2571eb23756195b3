"""Generated examples, the files of failing ones, and crashes of the server.
test_features.py runs those of all areas.
"""

import json
import signal
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from tests.conformance.conftest import _environment
from tests.integrations.server.live import Live

from stepwell.asl.validate import validate
from stepwell.conformance.generate import case_of, cases
from stepwell.conformance.generate import generators as areas
from stepwell.conformance.oracle import UndeterminedError
from stepwell.conformance.report.results import Verdict
from stepwell.conformance.run import generated, metamorphic_checks
from stepwell.conformance.run.case import Case
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.crash import crash_problems, delayed
from stepwell.conformance.run.endpoint import Endpoint, Run
from stepwell.conformance.run.generated import Plan

SEED = 1


@given(cases())
def test_machines_are_well_formed(case: Case) -> None:
    found = validate(json.dumps(case.definition), case.kind)
    assert found.definition is not None, found.diagnostics


def test_some_machines_loop() -> None:
    """A state outside Maps is visited more than once."""
    again = 0
    for number in range(300):
        case = generated.numbered(SEED, "variables", number)
        with suppress(UndeterminedError):
            (first, *_) = generated.expected(case)
            entered = Counter(
                event.details["name"]
                for event in first.events
                if event.type.endswith("StateEntered")
            )
            again += any(entered[name] > 1 for name in case.definition["States"])
    assert again > 8


@pytest.mark.parametrize("area", areas.AREAS)
def test_examples_are_reproducible_and_can_be_saved(area: str) -> None:
    for number in range(20):
        case = generated.numbered(3, area, number)
        assert case == generated.numbered(3, area, number) == Case.loads(case.dumps())


def test_few_examples_are_left_out() -> None:
    left_out = 0
    for seed in range(500):
        try:
            generated.expected(case_of(Random(seed)))
        except UndeterminedError:
            left_out += 1
    assert left_out < 25


def test_failures_are_shrunk_kept_and_run_first(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong oracle instead of a wrong engine: it rejects every state with a Result."""
    sound = areas.AREAS["paths"]

    def wrong(runner: Runner, case: Case) -> list[str]:
        states = case.definition["States"].values()
        return (
            ["there is a Pass state with a Result"]
            if any("Result" in state for state in states)
            else []
        )

    monkeypatch.setitem(areas.AREAS, "paths", sound._replace(problems=wrong))
    failed, passed = generated.check(endpoint, ["paths"], Plan(200, SEED, kept=tmp_path))
    assert (failed.verdict, passed.verdict) == (
        Verdict.FAILED,
        Verdict.PASSED,
    ) and failed.count >= generated.MAX_FAILURES
    small = Case.loads(failed.evidence)
    (state,) = small.definition["States"].values()
    assert set(state) == {"Type", "Result", "End"}
    files = sorted(tmp_path.glob("paths-*.json"))
    assert [Case.loads(file.read_text()) for file in files] == [small]
    again, rest = generated.check(endpoint, ["paths"], Plan(0, SEED, kept=tmp_path))
    assert (again.name, again.count, rest.count) == (failed.name, 1, 0)


def test_an_invalid_machine_is_shrunk_too(endpoint: Endpoint) -> None:
    """For a validator that accepts a Next to a missing state, the example is minimal."""
    runner = Runner(endpoint, {})
    sound = runner.call

    def lenient(operation: str, **parameters: Any) -> dict[str, Any]:
        overlooked = (
            operation == "ValidateStateMachineDefinition"
            and '"Next": "nowhere"' in parameters["definition"]
        )
        return {"result": "OK", "diagnostics": []} if overlooked else sound(operation, **parameters)

    runner.call = lenient
    with runner:
        number = next(
            n
            for n in range(1000)
            if generated.numbered(SEED, "validator", n).note.startswith("Next is a state")
        )
        tally = generated.Tally(most=1)
        generated.run_many(
            runner, lambda _: generated.numbered(SEED, "validator", number), 1, None, tally
        )
        (result,) = generated.causes(
            tally, partial(generated.fails, runner), partial(areas.problems, runner)
        )
    small = Case.loads(result.evidence)
    assert (
        len(small.definition["States"]) == 1
        and "validated as OK: Next is a state in the state" in result.problems[0]
    )


def test_runs_are_compared_without_ids_of_events() -> None:
    def differences(one: str, other: str) -> list[str]:
        return list(
            metamorphic_checks.alike(
                *(Run("", "SUCCEEDED", json.dumps([text, 1]), None, None) for text in (one, other))
            )
        )

    assert differences("(entered at the event id #6)", "(entered at the event id #8)") == []
    assert differences(
        "(entered at the event id #6)", "(entered at the event id #6) x"
    ) and differences("#6", "#8")
    assert (
        list(
            metamorphic_checks.alike(
                Run("", "SUCCEEDED", '{"a":1,"b":2}', None, None),
                Run("", "SUCCEEDED", '{"b": 2.0, "a": 1}', None, None),
            )
        )
        == []
    )


def test_a_crash_changes_nothing(tmp_path: Path) -> None:
    environment = _environment(tmp_path)
    servers = [Live(environment, tmp_path / "db")]

    def restart() -> Runner:
        servers[-1].stop(signal.SIGKILL)
        servers.append(Live(environment, tmp_path / "db"))
        return Runner(Endpoint(servers[-1].url), {})

    try:
        areas = ("composites", "variables", "histories", "failures")
        lots = [
            [
                generated.numbered(SEED, area, number)
                for area in areas
                for number in range(lot, lot + 8)
            ]
            for lot in range(0, 24, 8)
        ]
        under_way = [
            [delayed(case) if number % 2 else case for number, case in enumerate(lot)]
            for lot in lots
        ]
        assert (
            crash_problems(Runner(Endpoint(servers[0].url), {}), under_way, restart, Random(SEED))
            == []
        )
        assert len(servers) == 4
    finally:
        for server in servers:
            server.close()


def test_an_endpoint_that_dies_fails_all_remaining_areas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while examples run: this area and those after it have failed, and nothing is
    raised.
    """
    live = Live(_environment(tmp_path), tmp_path / "db")
    sound, seen = areas.AREAS["paths"], 0

    def deadly(runner: Runner, case: Case) -> list[str]:
        nonlocal seen
        seen += 1
        if seen == 10:
            live.stop(signal.SIGKILL)
        return sound.problems(runner, case)

    monkeypatch.setitem(areas.AREAS, "paths", sound._replace(problems=deadly))
    try:
        found = list(
            generated.check(
                Endpoint(live.url),
                [name for name in generated.AREAS if name != "functions"],
                Plan(200, SEED),
            )
        )
    finally:
        live.close()
    assert [result.area for result in found] == [
        name for name in generated.AREAS if name != "functions"
    ]
    assert all(
        result.verdict is Verdict.FAILED
        and result.problems[0].startswith("the endpoint stopped answering: ")
        for result in found
    )
