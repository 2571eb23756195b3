"""python -m benchmarks.long_history [--events N] [--state Pass|Task|Map] [--db PATH|URL]: one
execution with a history of a million events.

The engine is restarted in the middle, the execution fails at the end, is redriven, and stopped. No
figure should depend on N: processor time of each tenth, memory, the time to resume, pages.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.workloads import FUNCTION, Echo
from stepwell.asl.evaluation import Json
from stepwell.engine import Engine
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.tasks import TaskError, TaskRequest

ROUNDS = 5
EVENTS_OF_LOOP = {"Pass": 4, "Task": 7, "Map": 4}  # of the state and a Choice; of an iteration
POLL_SECONDS = 0.05


class Flaky(Echo):
    """The echo function, which fails where the state says so, until it is mended."""

    broken = True

    async def _answer(self, request: TaskRequest) -> Json:
        if self.broken and request.payload == "last":
            raise TaskError("Broken", "not mended yet")
        return request.payload


class Sample(NamedTuple):
    events: int
    cpu: float  # seconds of this process
    rss: int  # bytes


class Figures(NamedTuple):
    """tenths: µs of processor time for each event, by tenths of the history.

    grown      bytes of memory from the end of the first tenth to the end
    resume_ms  processor time of open(), in the middle of the history
    page_ms    place -> time of a page of 100 events
    """

    events: int
    tenths: list[float]
    grown: int
    resume_ms: float
    redrive_ms: float
    stop_ms: float
    page_ms: dict[str, float]


def definition(loops: int, state: str) -> str:
    """State "Map": a Map with a Pass, over the items of the input; else a loop with that state."""
    task = {"Type": "Task", "Resource": FUNCTION}
    count = task if state == "Task" else {"Type": "Pass"}
    parameters = {"Parameters": {"n.$": "States.MathAdd($.n, 1)"}}
    again = {"Variable": "$.n", "NumericLessThan": loops, "Next": "Count"}
    states: dict[str, Any] = {
        "Count": {**count, **parameters, "Next": "Again"},
        "Again": {"Type": "Choice", "Choices": [again], "Default": "Last"},
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}},
            "ResultPath": None,
            "Next": "Last",
        },
        "Last": {**task, "Parameters": "last", "Next": "Rest"},
        "Rest": {"Type": "Wait", "Seconds": 86_400, "End": True},
    }
    for name in ("Count", "Again") if state == "Map" else ("Each",):
        del states[name]
    return json.dumps({"StartAt": next(iter(states)), "States": states})


def _sample(events: int) -> Sample:
    resident = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(events, time.process_time(), resident * os.sysconf("SC_PAGE_SIZE"))


async def _newest(engine: Engine, arn: str) -> int:
    page = await engine.get_execution_history(arn, max_results=1, reverse_order=True)
    return int(page["events"][0]["id"])


async def _follow(engine: Engine, arn: str, until: int) -> list[Sample]:
    """Samples until so many events are committed, or the execution waits or has ended."""
    samples = [_sample(await _newest(engine, arn))]
    while samples[-1].events < until:
        await asyncio.sleep(POLL_SECONDS)
        newest = await _newest(engine, arn)
        status = (await engine.describe_execution(arn))["status"]
        samples.append(_sample(newest))
        if status != "RUNNING":
            break
    return samples


def _tenths(samples: list[Sample]) -> list[float]:
    """µs of processor time for each event, in ten parts of the samples' events."""
    last, found = samples[-1].events, []
    for part in range(10):
        inside = [each for each in samples if part * last <= 10 * each.events <= (part + 1) * last]
        if len(inside) > 1 and inside[-1].events > inside[0].events:
            spent = inside[-1].cpu - inside[0].cpu
            found.append(spent / (inside[-1].events - inside[0].events) * 1e6)
    return found


async def _timed(engine: Engine, arn: str, **options: Any) -> float:
    """ms of the quickest of several pages."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await engine.get_execution_history(arn, max_results=100, **options)
        taken.append(time.perf_counter() - began)
    return min(taken) * 1000


async def _pages(engine: Engine, arn: str, events: int) -> dict[str, float]:
    """ms of pages by their places."""
    question = ["GetExecutionHistory", arn]

    def at(event: int, reverse: bool) -> dict[str, Any]:
        token = engine.pages.token([*question, reverse], event)
        return {"next_token": token, "reverse_order": reverse}

    places = {
        "first": {},
        "middle": at(events // 2, False),
        "last": at(events - 100, False),
        "newest": {"reverse_order": True},
        "middle, reverse": at(events // 2, True),
        "oldest, reverse": at(101, True),
    }
    return {name: await _timed(engine, arn, **options) for name, options in places.items()}


async def measure(db: str, events: int, state: str = "Pass") -> Figures:
    tasks, loops = Flaky(), events // EVENTS_OF_LOOP[state]
    text = json.dumps({"n": 0, "items": list(range(loops)) if state == "Map" else []})
    most = max(DEFAULT_LIMITS.payload_bytes, len(text))
    limits = replace(DEFAULT_LIMITS, history_events=2 * events, payload_bytes=most)
    async with Engine(db, tasks=tasks, limits=limits) as engine:
        machine = await engine.create_state_machine("long", definition(loops, state))
        started = await engine.start_execution(machine["stateMachineArn"], input=text)
        arn = started["executionArn"]
        first = await _follow(engine, arn, events // 2)
    engine, began = Engine(db, tasks=tasks, limits=limits), time.process_time()
    async with engine:
        resume_ms = (time.process_time() - began) * 1000
        second = await _follow(engine, arn, 2 * events)
        described = await engine.describe_execution(arn)
        assert (described["status"], described.get("error")) == ("FAILED", "Broken"), described
        assert described["redriveStatus"] == "REDRIVABLE"
        tasks.broken, began = False, time.process_time()
        await engine.redrive_execution(arn)
        last = second[-1].events
        await _follow(engine, arn, last + 6)  # up to the Wait
        redrive_ms, began = (time.process_time() - began) * 1000, time.process_time()
        await engine.stop_execution(arn)
        assert (await engine.wait(arn))["status"] == "ABORTED"
        stop_ms, total = (time.process_time() - began) * 1000, await _newest(engine, arn)
        page_ms = await _pages(engine, arn, total)
    whole = [*first, *(sample for sample in second if sample.events > first[-1].events)]
    tenth = next(sample for sample in whole if 10 * sample.events >= last)
    return Figures(
        total, _tenths(first) + _tenths(second), second[-1].rss - tenth.rss, resume_ms,
        redrive_ms, stop_ms, page_ms,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.long_history",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--state", choices=sorted(EVENTS_OF_LOOP), default="Pass")
    parser.add_argument("--db", help="a new database; default: a file that is deleted again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = arguments.db or os.path.join(folder, "long.db")
        found = asyncio.run(measure(db, arguments.events, arguments.state))
    tenths = ", ".join(f"{each:.0f}" for each in found.tenths)
    print(f"{found.events:,} events\n")
    print(f"  µs of processor time for each event, by parts of the history: {tenths}")
    print(
        f"  memory, from the first tenth to the end                     {found.grown / 1e6:8.1f} MB"
    )
    for name, value in (
        ("open() in the middle", found.resume_ms),
        ("redrive", found.redrive_ms),
        ("stop", found.stop_ms),
        *((f"100 events, {place}", value) for place, value in found.page_ms.items()),
    ):
        print(f"  {name:60}{value:8.2f} ms")


if __name__ == "__main__":
    main()
