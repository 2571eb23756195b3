"""The sinks of execution logs: real files, an engine that writes to them, and what happens when
they cannot keep up.
"""

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stepwell.engine import Engine
from stepwell.engine.runtime.execution_logs import LogEvent
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.log_sink import LogFile, LogGroups, Sink, StandardOutput, append, parse

PASS = '{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}'


def event(text: str = "x", group: str = "g") -> LogEvent:
    return LogEvent(
        group,
        "states/m/2024-01-01-00-00/00000000",
        1_700_000_000_000,
        json.dumps({"text": text}).encode(),
    )


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def run(sink: Sink, group: str = "/stepwell/m") -> None:
    """One execution of a machine that is logged."""
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{group}:*"
    destinations = [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}]
    configuration = {"level": "ALL", "includeExecutionData": True, "destinations": destinations}
    async with Engine(log_sink=sink) as engine:
        machine = await engine.create_state_machine(
            "m", PASS, type="EXPRESS", logging_configuration=configuration
        )
        await engine.start_sync_execution(machine["stateMachineArn"])


async def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "executions.log"
    await run(LogFile(path))
    path.chmod(0o644)
    await run(LogFile(path))
    assert [each["type"] for each in lines(path)] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ] * 2
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_rotated_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    limits = replace(DEFAULT_LIMITS, log_file_bytes=10, log_files=2)
    path = tmp_path / "log"
    for name in ("log", "log.1", "log.2"):
        (tmp_path / name).write_text("of an earlier version\n")
        (tmp_path / name).chmod(0o644)
    append(path, b"new\n", limits)
    assert {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == dict.fromkeys(
        ("log", "log.1", "log.2"), 0o600
    )


def test_a_file_behind_a_device_keeps_its_mode(tmp_path: Path) -> None:
    """`stepwell serve --log-sink /dev/stderr 2>FILE`: the file is the shell's."""
    path = tmp_path / "redirected"
    path.touch()
    path.chmod(0o644)
    code = (
        "import pathlib; from stepwell.integrations.log_sink import append, DEFAULT_LIMITS as "
        "limits; "
    )
    code += "append(pathlib.Path('/dev/stderr'), b'line\\n', limits)"
    with path.open("ab") as file:
        subprocess.run([sys.executable, "-c", code], stderr=file, check=True)
    assert path.read_text() == "line\n" and path.stat().st_mode & 0o777 == 0o644


async def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    await run(StandardOutput())
    assert [json.loads(line)["id"] for line in capfdbinary.readouterr().out.splitlines()] == [
        "1",
        "2",
        "3",
        "4",
    ]


async def test_the_file_of_a_log_group(tmp_path: Path) -> None:
    await run(LogGroups(tmp_path), "/aws/vendedlogs/states/m")
    document = lines(tmp_path / "%2Faws%2Fvendedlogs%2Fstates%2Fm.ndjson")
    assert [set(each) for each in document] == [{"logStreamName", "timestamp", "message"}] * 4
    assert [json.loads(str(each["message"]))["id"] for each in document] == ["1", "2", "3", "4"]
    assert len({each["logStreamName"] for each in document}) == 1


@pytest.mark.parametrize("group", ["../../escape", "..", "a" * 512, "/" * 512, "a/b"])
async def test_no_group_leaves_the_folder(tmp_path: Path, group: str) -> None:
    sink = LogGroups(tmp_path / "logs")
    sink.write([event(group=group), event(group=group + "!")])
    await sink.close()
    assert (
        sink.written == 2
        and len(list((tmp_path / "logs").iterdir())) == 2
        and len(list(tmp_path.iterdir())) == 1
    )


async def test_rotation(tmp_path: Path) -> None:
    """No file exceeds the limit, no line is split, and the oldest files are deleted."""
    limits = Limits(log_file_bytes=200, log_files=3)
    path = tmp_path / "log"
    for number in range(100):
        sink = LogFile(path, limits)
        sink.write([event(str(number))])
        await sink.close()
    files = [path, *(Path(f"{path}.{number}") for number in (1, 2, 3))]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(each.stat().st_size <= 200 for each in files)
    kept = [int(str(line["text"])) for each in reversed(files) for line in lines(each)]
    assert kept == list(range(100 - len(kept), 100)) and len(kept) > 30


class Slow(Sink):
    """A sink that writes when the test allows it."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.gate = threading.Event()
        self.batches: list[int] = []

    def put(self, events: Sequence[LogEvent]) -> None:
        assert self.gate.wait(60)
        self.batches.append(len(events))


async def test_records_that_do_not_fit_are_dropped_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Slow(Limits(log_buffer_bytes=10 * len(event().message)))
    for _ in range(50):
        sink.write([event()])
        await asyncio.sleep(0)  # never held up
    assert sink.dropped == 40
    sink.gate.set()
    await sink.close()
    assert sink.written == sum(sink.batches) == 10 and len(sink.batches) <= 2
    assert "40 log records were dropped so far" in caplog.text
    sink.write([event()])
    await sink.close()
    assert (sink.written, sink.dropped) == (11, 40) and caplog.text.count("dropped") == 1


async def test_a_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It delays nothing, and is logged once."""
    caplog.set_level(logging.ERROR)
    (tmp_path / "file").write_text("")
    sink = LogFile(tmp_path / "file" / "log")
    for _ in range(3):
        sink.write([event(), event()])
        await sink.close()
    assert (sink.written, sink.dropped) == (0, 6)
    assert caplog.text.count("log records cannot be written") == 1
    await run(sink)
    assert sink.dropped == 10


def test_options() -> None:
    assert isinstance(parse("-"), StandardOutput)
    assert isinstance(parse("logs/"), LogGroups)
    assert isinstance(parse("logs/executions.log"), LogFile)
