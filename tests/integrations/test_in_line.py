"""The time limits of a task begin when it gets its thread, process or connection."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.engine.engine_fixture import DAY, LAMBDA

from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.limits import Limits
from stepwell.integrations.tasks.registry import Registry

LIMITS = Limits(function_threads=1, function_workers=1, outbound_connections=1, aws_threads=1)
FUNCTION = """
import pathlib, time

def handler(event, context):
    folder = pathlib.Path({folder!r})
    (folder / f"begun {{event}}").touch()
    while not (folder / f"end {{event}}").exists():
        time.sleep(0.01)
    return event
"""


class Work:
    """The work of four kinds of tasks: it begins, and continues until it is allowed to end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "file.py").write_text(FUNCTION.format(folder=str(folder)))
        work = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"] or 0))
                name = self.path.split("/")[2]
                if not name.startswith("job"):
                    work.blocks(name)
                self.answers({"RunId": name})

            def do_GET(self) -> None:  # the status of a job
                self.answers(
                    {"State": "SUCCEEDED" if (work.folder / "end jobs").exists() else "RUNNING"}
                )

            def answers(self, body: dict[str, str]) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def blocks(self, name: str) -> str:
        (self.folder / f"begun {name}").touch()
        while not (self.folder / f"end {name}").exists():
            threading.Event().wait(0.01)
        return name

    def begun(self, name: str) -> bool:
        return (self.folder / f"begun {name}").exists()

    def end(self, *names: str) -> None:
        for name in names:
            (self.folder / f"end {name}").touch()

    def task(self, kind: str, name: str) -> dict[str, Any]:
        resource, parameters = {
            "thread": (LAMBDA + "thread", name),
            "process": (LAMBDA + "file", name),
            "http": (
                "arn:aws:states:::http:invoke",
                {"ApiEndpoint": f"{self.url}/jobs/{name}", "Method": "POST", "RequestBody": {}},
            ),
            "aws": ("arn:aws:states:::aws-sdk:databrew:startJobRun", {"Name": name}),
            "job": ("arn:aws:states:::databrew:startJobRun.sync", {"Name": name}),
        }[kind]
        field = {"Parameters": parameters} if isinstance(parameters, dict) else {}
        return {
            "Type": "Task",
            "Resource": resource,
            "TimeoutSeconds": 300 if kind == "job" else 30,
            "End": True,
            **field,
        }


@pytest.fixture
def work(tmp_path: Path):
    made = Work(tmp_path)
    yield made
    made.end("first", "second")
    made.server.shutdown()
    made.server.server_close()


@asynccontextmanager
async def opened(work: Work, clock: ManualClock, limits: Limits = LIMITS) -> AsyncIterator[Engine]:
    outside = Outside(endpoints={"databrew": work.url}, allow_private=True, limits=limits)
    tasks = Registry(
        {"thread": work.blocks}, functions_folder=work.folder, limits=limits, outside=outside
    )
    async with Engine(work.folder / "line.db", tasks=tasks, clock=clock, limits=limits) as engine:
        yield engine
        work.end("first", "second")


async def eventually(ask: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not ask():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def started(engine: Engine, work: Work, kind: str, name: str) -> str:
    definition = json.dumps({"StartAt": "T", "States": {"T": work.task(kind, name)}})
    machine = (await engine.create_state_machine(f"{kind}-{name}", definition))["stateMachineArn"]
    return str((await engine.start_execution(machine, input=json.dumps(name)))["executionArn"])


async def passes(clock: ManualClock, seconds: int) -> None:
    clock.advance(1000 * seconds)
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("kind", ["thread", "process", "http", "aws"])
async def test_a_task_that_waits_for_its_resource_does_not_time_out(work: Work, kind: str):
    clock = ManualClock()
    async with opened(work, clock) as engine:
        hog = await started(engine, work, kind, "first")
        await eventually(lambda: work.begun("first"))
        waits = await started(engine, work, kind, "second")
        await eventually(lambda: in_line(engine))
        await passes(clock, 29)
        assert (await engine.inspect_execution(hog))["status"] == "RUNNING"
        await passes(clock, DAY)  # the first one times out; its thread is in use until it returns
        assert (await engine.wait(hog, timeout=30))["error"] == "States.Timeout"
        assert (await engine.inspect_execution(waits))["status"] == "RUNNING"
        work.end("first")
        await eventually(lambda: work.begun("second"))
        await eventually(lambda: not in_line(engine))
        await passes(clock, 29)
        assert (await engine.inspect_execution(waits))["status"] == "RUNNING"
        await passes(clock, 1)
        assert (await engine.wait(waits, timeout=30))["error"] == "States.Timeout"


def in_line(engine: Engine) -> bool:
    return any(live.x.queued for live in engine.worker.live.values())


async def test_it_does_not_time_out_after_a_restart_either(work: Work):
    clock = ManualClock()
    async with opened(work, clock) as engine:
        await started(engine, work, "thread", "first")
        await eventually(lambda: work.begun("first"))
        waits = await started(engine, work, "thread", "second")
        await eventually(lambda: in_line(engine))
    (work.folder / "end second").unlink()
    assert not work.begun("second")
    clock.advance(1000 * DAY)
    async with opened(work, clock) as engine:
        await eventually(lambda: work.begun("second"))
        await passes(clock, 29)
        assert (await engine.inspect_execution(waits))["status"] == "RUNNING"
        work.end("second")
        assert (await engine.wait(waits, timeout=30))["output"] == '"second"'


async def test_running_jobs_hold_no_slot(work: Work):
    """There is one slot and one thread of calls here: a job holds them only while its status is
    requested.
    """
    clock = ManualClock()
    async with opened(work, clock, Limits(effects_in_flight=1, aws_threads=1)) as engine:
        arns = [await started(engine, work, "job", f"job{number}") for number in range(5)]

        def submitted() -> bool:
            frames = [
                frame for live in engine.worker.live.values() for frame in live.x.frames.values()
            ]
            return len(frames) == 5 and all(
                frame.attempt is not None and frame.attempt.submitted for frame in frames
            )

        await eventually(submitted)
        await eventually(lambda: not engine.worker.effects.pools["calls"].taken)
        await passes(clock, 5)
        assert {(await engine.inspect_execution(arn))["status"] for arn in arns} == {"RUNNING"}
        (work.folder / "end jobs").touch()
        for _ in range(100):
            await passes(clock, 1)
            if {(await engine.inspect_execution(arn))["status"] for arn in arns} == {"SUCCEEDED"}:
                break
        assert {(await engine.inspect_execution(arn))["status"] for arn in arns} == {"SUCCEEDED"}


async def test_slow_deliveries_do_not_take_the_connections_of_tasks(work: Work):
    clock = ManualClock()
    async with opened(work, clock) as engine:
        outside = engine.tasks.host.outside  # type: ignore[attr-defined]
        delivery = asyncio.create_task(
            outside.deliveries.send("POST", f"{work.url}/jobs/first", {}, b"{}")
        )
        await eventually(lambda: work.begun("first"))
        arn = await started(engine, work, "http", "second")
        await eventually(lambda: work.begun("second"))
        work.end("second")
        assert (await engine.wait(arn, timeout=30))["status"] == "SUCCEEDED"
        work.end("first")
        assert (await delivery).status == 200
