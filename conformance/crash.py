"""Crash = no crash: executions that are under way when their server is killed end as if nothing had been.

For engines that the suite may restart; ours is one (tests/conformance/test_crash.py).
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace

from stepwell.conformance import laws
from stepwell.conformance.areas import expected
from stepwell.conformance.case import STANDARD, Case, changed
from stepwell.conformance.compare import differences
from stepwell.conformance.endpoint import fresh_name
from stepwell.conformance.oracle import Undetermined
from stepwell.conformance.running import Runner


def delayed(case: Case, seconds: int = 1) -> Case:
    """The case with a wait in front, so that it is under way for so long."""
    first = {"Type": "Wait", "Seconds": seconds, "Next": case.definition["StartAt"]}
    definition = {**case.definition, "StartAt": "Before", "States": {"Before": first, **case.definition["States"]}}
    return replace(case, definition=definition, kind=STANDARD)


def crash_problems(runner: Runner, cases: Iterable[Case], restart: Callable[[], Runner]) -> list[str]:
    """Start all cases, restart the server, and compare how they end. `restart`: kills the server; a runner for the one that follows."""
    started = []
    for case in map(delayed, cases):
        try:
            ways = expected(case)
        except Undetermined:
            continue
        text = json.dumps(changed(case.definition, lambda each: runner.resources.get(each, each)))
        made = runner.call("CreateStateMachine", name=fresh_name(), definition=text, roleArn=runner.endpoint.role)
        started.append((case, ways, runner.start(made["stateMachineArn"], json.dumps(case.input))))
    runner = restart()
    found = []
    for case, ways, execution in started:
        run = runner.ended(execution)
        found += [f"{line}\n{case.dumps()}" for line in (*differences(ways, run), *laws.of_history(run.history))]
    return found
