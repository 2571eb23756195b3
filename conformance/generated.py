"""The check by generated examples: each is run on the endpoint and compared with the oracle.

    check(endpoint, area, examples, seed, seconds) -> a Result for each area

Examples are numbered: number n of a seed is always the same one. Those that fail are made small and, if a folder is given, kept there as files
that the next check tries first.
"""

import hashlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from botocore.exceptions import ClientError

from stepwell.conformance.case import EXPRESS, STANDARD, Case, changed
from stepwell.conformance.compare import differences
from stepwell.conformance.endpoint import Endpoint, Run, Unfinished, fresh_name, pauses
from stepwell.conformance.oracle import Outcome, Undetermined, outcomes
from stepwell.conformance.results import Result, Verdict
from stepwell.conformance.shrink import shrink
from stepwell.conformance.strategies import AREAS as MACHINES
from stepwell.conformance.strategies import case_of
from stepwell.conformance.strategies.machines import scripted
from stepwell.conformance.wire import Wire
from stepwell.conformance.worker import Workers

AREAS: Final = (*MACHINES,)

THREADS: Final = 6
WAITING: Final = 32  # threads for machines that wait for a retry
MOST_SECONDS: Final = 4.0  # that a machine may wait in all; others are left out
MOST_FAILURES: Final = 3  # of one area: then it is enough
_ENDS: Final = frozenset({"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"})


def check(
    endpoint: Endpoint, area: str | None, examples: int, seed: int, seconds: float | None = None, kept: Path | None = None
) -> Iterator[Result]:
    """Run `examples` of an area, or of each. `seconds`: the time of the whole check. `kept`: the folder of failing cases."""
    areas = AREAS if area is None else (area,)
    until = None if seconds is None else time.monotonic() + seconds
    with Workers(endpoint) as workers, Runner(endpoint, workers.real) as runner:
        for place, name in enumerate(areas):
            share = None if until is None else time.monotonic() + max(0.0, until - time.monotonic()) / (len(areas) - place)
            yield _machines(runner, name, examples, seed, share, kept)


# --- running one machine ----------------------------------------------------------------------------------------------
class Runner:
    """Runs cases on an endpoint, from several threads.

    A thread keeps one state machine of each type and updates it, which saves two calls of three; on AWS, where an update takes its time to
    reach everybody, each case gets a machine of its own.
    """

    def __init__(self, endpoint: Endpoint, resources: dict[str, str]) -> None:
        self.endpoint, self.resources = endpoint, resources
        self._free: dict[str, queue.SimpleQueue[str]] = {EXPRESS: queue.SimpleQueue(), STANDARD: queue.SimpleQueue()}
        self._machines: list[str] = []
        self._lock = threading.Lock()
        key, secret = endpoint.credentials
        near = endpoint.url and key and secret
        self._call = Wire(endpoint.url, endpoint.region, key, secret).call if near else endpoint.call

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *error: object) -> None:
        for arn in self._machines:
            self._call("DeleteStateMachine", stateMachineArn=arn)

    def run(self, case: Case) -> Run:
        """Run a case to its end; of STANDARD ones with the history. ClientError if the definition is refused."""
        definition = changed(case.definition, lambda text: self.resources.get(text, text))
        text = json.dumps(definition, ensure_ascii=False)
        arn = self._machine(case.kind, text)
        try:
            started = json.dumps(case.input, ensure_ascii=False, separators=(",", ":"))
            return self._sync(arn, started) if case.kind == EXPRESS else self._async(arn, started)
        finally:
            self._free[case.kind].put(arn)

    def _machine(self, kind: str, text: str) -> str:
        try:
            arn = self._free[kind].get_nowait() if self.endpoint.url else None
        except queue.Empty:
            arn = None
        if arn is not None:
            try:
                self._call("UpdateStateMachine", stateMachineArn=arn, definition=text)
            except ClientError:
                self._free[kind].put(arn)
                raise
            return arn
        made = self._call("CreateStateMachine", name=fresh_name(), definition=text, roleArn=self.endpoint.role, type=kind)
        with self._lock:
            self._machines.append(made["stateMachineArn"])
        return str(made["stateMachineArn"])

    def _sync(self, arn: str, text: str) -> Run:
        found = self._call("StartSyncExecution", stateMachineArn=arn, input=text)
        return Run(found["executionArn"], found["status"], found.get("output"), found.get("error"), found.get("cause"))

    def _async(self, arn: str, text: str, seconds: float = 30.0) -> Run:
        execution = self._call("StartExecution", stateMachineArn=arn, input=text)["executionArn"]
        for _ in pauses(seconds):
            events = tuple(self._events(execution))
            if events and events[-1]["type"] in _ENDS:
                found = self._call("DescribeExecution", executionArn=execution)
                return Run(execution, found["status"], found.get("output"), found.get("error"), found.get("cause"), events)
        raise Unfinished(f"not over after {seconds:g} s: {[event['type'] for event in events[-3:]]}")


    def _events(self, execution: str) -> Iterator[dict[str, Any]]:
        more: dict[str, str] = {}
        while True:
            page = self._call("GetExecutionHistory", executionArn=execution, maxResults=1000, **more)
            yield from page["events"]
            if not page.get("nextToken"):
                return
            more = {"nextToken": page["nextToken"]}


def expected(case: Case) -> list[Outcome]:
    """What a case may come to. Raises Undetermined."""
    return list(outcomes(case.definition, case.input, scripted, case.kind == EXPRESS))


def problems(runner: Runner, case: Case, ways: list[Outcome] | None = None) -> list[str]:
    """What is wrong with the run of a case; none if nothing is, or if nobody can say."""
    try:
        ways = expected(case) if ways is None else ways
        run = runner.run(case)
    except Undetermined:
        return []
    except ClientError as error:
        return [f"refused: {error.response['Error']['Code']} {error.response['Error'].get('Message', '')}"]
    except Unfinished as error:
        return [str(error)]
    return differences(ways, run)


# --- many -------------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Tally:
    count: int = 0
    left_out: int = 0
    failures: list[tuple[Case, list[str]]] = field(default_factory=list)


def numbered(seed: int, area: str, number: int) -> Case:
    """Example `number` of an area."""
    return case_of(Random(f"{seed}:{area}:{number}"), area)


def _machines(runner: Runner, area: str, examples: int, seed: int, until: float | None, kept: Path | None) -> Result:
    began = time.monotonic()
    tally = _Tally()
    for case in _kept(kept, area):
        found = problems(runner, case)
        tally.count += 1
        if found:
            tally.failures.append((case, found))
    if len(tally.failures) < MOST_FAILURES:
        run_many(runner, lambda number: numbered(seed, area, number), examples, until, tally)
    return _result(runner, area, tally, began, kept)


def run_many(runner: Runner, make: Callable[[int], Case], examples: int, until: float | None, tally: _Tally) -> None:
    """Examples 0, 1, 2, ... until there are enough, the time is over or too many fail."""
    with ThreadPoolExecutor(THREADS) as quick, ThreadPoolExecutor(WAITING) as slow:

        def one(case: Case, ways: list[Outcome]) -> tuple[Case, list[str]]:
            return case, problems(runner, case, ways)

        def prepare(number: int) -> tuple[Case, list[str]] | Future[tuple[Case, list[str]]] | None:
            case = make(number)
            try:
                ways = expected(case)
            except Undetermined:
                return None
            waits = max(way.seconds for way in ways)
            if waits > MOST_SECONDS:
                return None
            return slow.submit(one, case, ways) if waits else one(case, ways)

        numbers = iter(range(examples))
        open_: set[Future[Any]] = set()
        while True:
            while len(open_) < 2 * THREADS + WAITING and len(tally.failures) < MOST_FAILURES and (until is None or time.monotonic() < until):
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
                elif found[1] and len(tally.failures) < MOST_FAILURES:
                    tally.failures.append(found)


def _result(runner: Runner, area: str, tally: _Tally, began: float, kept: Path | None) -> Result:
    lines: list[str] = []
    evidence = ""
    for case, _ in tally.failures:
        small = shrink(case, lambda candidate: bool(problems(runner, candidate)))
        found = problems(runner, small) or ["it failed once, and then no more"]
        text = small.dumps(problems=found)
        if kept is not None:
            _keep(kept, area, text)
        evidence = evidence or text
        lines += [line for line in found if line not in lines]
    verdict = Verdict.FAILED if tally.failures else Verdict.PASSED
    reason = f"{tally.left_out} left out" if tally.left_out else ""
    return Result(area, "generated machines", verdict, tuple(lines), reason, evidence, time.monotonic() - began, tally.count)


def _keep(folder: Path, area: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{area}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json").write_text(text + "\n", encoding="utf-8")


def _kept(folder: Path | None, area: str) -> Iterator[Case]:
    for file in sorted(folder.glob(f"{area}-*.json")) if folder and folder.is_dir() else ():
        yield Case.loads(file.read_text(encoding="utf-8"))
