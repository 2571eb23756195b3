"""The processes of functions: reuse, limits, end of the process group, printed output."""

import ast
import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integrations.bench import CALL, ID, Bench, alive, until

from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.services.runtime import bootstrap
from stepwell.integrations.services.runtime.folder import Functions, UnavailableError
from stepwell.integrations.services.runtime.output import Printer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

# --- processes ------------------------------------------------------------------------------------

PID = """
import os, time

count = 0

def handler(event, context):
    global count
    count += 1
    time.sleep(event or 0)
    return os.getpid(), count
"""


BUSY = """
import time

def handler(event, context):
    open({begun!r}, "w").close()
    time.sleep(600)
"""


async def test_a_warm_process_is_reused(bench: Bench) -> None:
    bench.write("f.py", PID)
    answers = [await bench.value("f") for _ in range(3)]
    assert len({pid for pid, _ in answers}) == 1
    assert [count for _, count in answers] == [1, 2, 3]


async def test_calls_run_at_the_same_time(bench: Bench) -> None:
    event = bench.meeting("f.py", 4)
    async with asyncio.timeout(60):
        pids = await asyncio.gather(*(bench.value("f", event) for _ in range(4)))
    assert len(set(pids)) == 4


async def test_processes_are_limited_and_calls_wait(bench: Bench) -> None:
    bench.limit(function_workers=2, function_queue=4)
    event = bench.meeting("f.py", 2)
    calls = [asyncio.create_task(bench.value("f", event)) for _ in range(6)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError) as refused:
        await bench("f")
    assert refused.value.code == "TooManyRequestsException"
    async with asyncio.timeout(60):
        assert len(set(await asyncio.gather(*calls))) == 2


async def test_an_idle_process_is_ended_for_another_function(bench: Bench) -> None:
    bench.limit(function_workers=1)
    bench.write("f.py", PID)
    bench.write("g.py", PID)
    first, _ = await bench.value("f")
    second, _ = await bench.value("g")
    await until(lambda: not alive(first))
    assert alive(second)


async def test_a_cancelled_waiting_call_has_no_effect(bench: Bench) -> None:
    bench.limit(function_workers=1)
    bench.write("f.py", PID)
    busy = asyncio.create_task(bench.value("f", 0.3))
    waiting = asyncio.create_task(bench.value("f"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    assert [await busy, await bench.value("f")] == [
        [pid := (await bench.value("f"))[0], 1],
        [pid, 2],
    ]


async def test_idle_processes_end(bench: Bench) -> None:
    bench.limit(function_idle_seconds=0.2)
    bench.write("f.py", PID)
    pid, _ = await bench.value("f")
    assert alive(pid)
    await until(lambda: not alive(pid))
    assert (await bench.value("f"))[1] == 1


async def test_a_process_that_has_just_got_its_call_is_not_taken_for_idle(bench: Bench) -> None:
    """Here the idle ones are ended in each iteration of the event loop. Regression: a process that
    a waiting call had got was neither busy nor new until that call went on, and could be killed.
    """
    bench.limit(function_idle_seconds=0)
    bench.write("f.py", PID)
    begun = bench.folder / "begun"
    bench.write("busy.py", BUSY.format(begun=str(begun)))
    busy = asyncio.create_task(bench("busy"))  # as long as there are processes, idle ones are ended
    await until(begun.exists)
    for _ in range(3):
        pid, count = await bench.value("f")
        assert count == 1
        await until(lambda pid=pid: not alive(pid))
    assert not busy.done()
    busy.cancel()
    await asyncio.wait([busy])


async def test_a_process_that_cannot_be_started_fails_its_call_only(
    bench: Bench,
) -> None:
    """An environment variable with a NUL. Regression: its calls, and after four of them all calls,
    waited forever.
    """
    bench.limit(function_starts=2)
    bench.write("f.py", PID)
    bench.functions.add("bad", bench.folder, "f.handler", {"NAME": "a\0b"})
    for _ in range(3):
        with pytest.raises(UnavailableError, match="ValueError: embedded null byte") as refused:
            await asyncio.wait_for(bench("bad"), 60)
        assert refused.value.code == "ServiceException"
    assert (await bench.value("f"))[1] == 1
    assert bench.functions.pool.supervisor.loops["function_processes"].faults == 3


async def test_an_idle_process_that_ends_is_replaced(bench: Bench) -> None:
    bench.write("f.py", PID)
    pid, _ = await bench.value("f")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{pid}").exists())  # reaped, too
    assert (await bench.value("f"))[1] == 1


async def test_close_ends_all(bench: Bench) -> None:
    event = bench.meeting("f.py", 3)
    async with asyncio.timeout(60):
        pids = await asyncio.gather(*(bench.value("f", event) for _ in range(3)))
    before = open_files()
    await bench.functions.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert len(before - open_files()) >= 4 * 3


def open_files() -> set[tuple[str, str]]:
    """(number, what it is) of this process's files. One that lists them is not among them."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


FAMILY = """
import os, signal, subprocess, sys, time

def handler(event, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    copy = os.fork()
    if copy == 0:
        time.sleep(600)
    with open(event + ".new", "w") as file:
        file.write(f"{os.getpid()} {helper.pid} {copy}")
    os.rename(event + ".new", event)
    while True:
        pass
"""


async def test_cancelling_a_call_kills_the_process_group(bench: Bench, tmp_path: Path) -> None:
    bench.write("f.py", FAMILY)
    call = asyncio.create_task(bench("f", str(tmp_path / "pids")))
    await until((tmp_path / "pids").exists)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(map(alive, pids))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not any(map(alive, pids)))


async def test_no_process_survives_the_engine(bench: Bench, tmp_path: Path) -> None:
    """The engine is killed while a function, its child and its fork are busy, and another process
    is idle.
    """
    bench.write("f.py", FAMILY)
    bench.write("idle.py", PID)
    program = f"""
        import asyncio
        from stepwell.integrations.services.runtime.folder import Call, Functions

        async def main():
            functions = Functions({str(tmp_path)!r})
            call = Call("0" * 36, "arn")
            print((await functions.invoke(functions.find("idle"), 0, call)).value[0], flush=True)
            await functions.invoke(functions.find("f"), {str(tmp_path / "pids")!r}, call)

        asyncio.run(main())
    """
    arguments = (sys.executable, "-c", textwrap.dedent(program))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=subprocess.PIPE, env=environment
    )
    try:
        await until((tmp_path / "pids").exists)
    finally:
        process.kill()
        printed, _ = await process.communicate()
    pids = [int(printed), *map(int, (tmp_path / "pids").read_text().split())]
    await until(lambda: not any(map(alive, pids)))


async def test_a_time_limit_of_the_function_itself(bench: Bench, tmp_path: Path) -> None:
    bench.write("src/f.py", PID)
    bench.functions.add("f", tmp_path / "src", "f.handler", seconds=2)
    answer = await bench("f", 30)
    assert answer.text == (
        f'{{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: {ID} Error: Task timed '
        f'out after 2.00 seconds"}}'
    )
    assert (await bench.value("f"))[1] == 1


async def test_a_module_that_does_not_finish_loading(bench: Bench, tmp_path: Path) -> None:
    bench.write(
        "f.py",
        (
            f"import os, time\nopen({str(tmp_path / 'pid')!r}, "
            "'w').write(str(os.getpid()))\ntime.sleep(600)"
        ),
    )
    call = asyncio.create_task(bench("f"))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not alive(int((tmp_path / "pid").read_text())))


async def test_a_handler_that_forks_responds_once(bench: Bench) -> None:
    bench.write(
        "f.py",
        "import os\n\ndef handler(event, context):\n    child = os.fork()\n    return event, child",
    )
    for event in range(3):
        value, child = await bench.value("f", event)
        assert (value, child > 0) == (event, True)


@pytest.mark.parametrize("own_group", [False, True])
async def test_a_fork_that_outlives_the_function_does_not_delay_the_answer(
    bench: Bench, tmp_path: Path, own_group: bool
) -> None:
    pid = tmp_path / "pid"
    bench.write(
        "f.py",
        f"""
        import os, time

        def handler(event, context):
            if os.fork() == 0:
                {"os.setsid()" if own_group else "pass"}
                open({str(pid)!r} + "~", "w").write(str(os.getpid()))
                os.rename({str(pid)!r} + "~", {str(pid)!r})
                time.sleep(600)
            while not os.path.exists({str(pid)!r}):
                pass
            os._exit(7)
        """,
    )
    assert (await bench.error("f"))["errorMessage"].endswith("exit status 7")  # and not a time-out
    if own_group:  # a process that leaves the group is not in it
        os.kill(int(pid.read_text()), signal.SIGKILL)
    await until(lambda: not alive(int(pid.read_text())))


async def test_a_system_without_pidfds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError("not here")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    bench.limit(function_idle_seconds=0.3)
    bench.write("f.py", PID)
    bench.write("exit.py", "import os\n\ndef handler(event, context): os._exit(3)")
    pid, count = await bench.value("f")
    assert (await bench.value("f"), count) == ([pid, 2], 1)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not alive(pid))
    second, count = await bench.value("f")
    assert (second != pid, count) == (True, 1), "its death was noticed before the call"
    assert (await bench.error("exit"))["errorMessage"].endswith("exit status 3")
    await until(lambda: not Path(f"/proc/{second}").exists())  # idle for too long, and reaped
    call = asyncio.create_task(bench.value("f", 60))
    await asyncio.sleep(0.2)
    call.cancel()
    await asyncio.wait([call])
    await bench.functions.close()
    assert not any(Path(f"/proc/{each}").exists() for each in (pid, second))


# --- printed output -------------------------------------------------------------------------------


async def test_output_is_passed_on_and_its_tail_kept(bench: Bench) -> None:
    bench.write(
        "f.py",
        """
        import sys

        print("loading")

        def handler(event, context):
            print("Grüße")
            print("oh", file=sys.stderr)
            sys.stdout.write("no newline")
        """,
    )
    answer = await bench("f")
    assert "".join(bench.printed) == "loading\nGrüße\noh\nno newline"
    start, *lines = answer.log.decode().split("\n")
    assert (start, lines[:3]) == (
        f"START RequestId: {ID} Version: $LATEST",
        ["loading", "Grüße", "oh"],
    )
    assert lines[3].startswith(f"no newlineEND RequestId: {ID}")
    assert lines[4].startswith(f"REPORT RequestId: {ID}\tDuration: ")
    assert "loading" not in (await bench("f")).log.decode()


async def test_a_flood_of_output(bench: Bench) -> None:
    """100 MB: the output is limited, and other work continues."""
    bench.write(
        "f.py",
        (
            "def handler(event, context):\n    for n in range(1000): print('x' * 100_000)\n    "
            "return 'dry'"
        ),
    )
    ticks, done = 0, False

    async def tick() -> None:
        nonlocal ticks
        while not done:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    answer = await bench("f")
    done = True
    await ticking
    assert (answer.value, len(answer.log), ticks > 20) == ("dry", 4096, True)
    assert sum(map(len, bench.printed)) < DEFAULT_LIMITS.function_log_bytes + 100
    assert bench.printed[-1] == (
        f"\n[f: {1000 * 100_001 - DEFAULT_LIMITS.function_log_bytes} more bytes of output "
        "left out]\n"
    )


@pytest.mark.parametrize("separator", ["\n", "\x0b"])
async def test_a_flood_of_lines(bench: Bench, separator: str) -> None:
    """Each line is a line of the log."""
    bench.limit(function_log_lines=100)
    bench.write(
        "f.py",
        (
            f"import sys\n\ndef handler(event, context):\n    sys.stdout.write({separator!r} * "
            "262_144)\n    return 'dry'"
        ),
    )
    for _ in range(2):
        bench.printed.clear()
        assert (await bench("f")).value == "dry"
        printed = "".join(bench.printed)
        if separator == "\n":
            assert printed == "\n" * 100 + f"\n[f: {262_144 - 100} more bytes of output left out]\n"
        else:
            assert printed == separator * 262_144


async def test_a_blocked_reader_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard error is a full pipe: calls and other work continue."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as full:
        (tmp_path / "f.py").write_text(
            "def handler(event, context):\n    print('x' * 200_000)\n    return event"
        )
        functions = Functions(tmp_path)
        function = functions.find("f")
        assert function is not None
        monkeypatch.setattr(sys, "stderr", full)
        answers = [await functions.invoke(function, n, CALL) for n in range(3)]
        assert [answer.value for answer in answers] == [0, 1, 2]
        closing = asyncio.create_task(functions.close())
        read = 0
        while read < 600_000:
            read += len(await asyncio.to_thread(os.read, reading, 1 << 16))
        await closing
        monkeypatch.undo()
    os.close(reading)


async def test_output_beyond_the_buffer_is_dropped_and_counted() -> None:
    written: list[str] = []
    go = threading.Event()

    def write(name: str, text: str) -> None:
        go.wait(30)
        written.append(f"{name}: {text}")

    printer = Printer(write, Limits(function_output_bytes=100))
    for n in range(20):
        printer("f", f"{n:9}\n")
    go.set()
    await printer.close()
    assert written[0] == f"f: {0:9}\n" and len(written) == 11
    assert "f: [100 characters of the output of functions were dropped]\n" in written


async def test_closed_standard_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    (tmp_path / "f.py").write_text("def handler(event, context): print('hello')")
    functions = Functions(tmp_path)
    function = functions.find("f")
    assert function is not None
    monkeypatch.setattr(sys, "stderr", broken := os.fdopen(writing, "w"))
    answer = await functions.invoke(function, None, CALL)
    await functions.close()
    monkeypatch.undo()
    with pytest.raises(BrokenPipeError):
        broken.close()
    assert (answer.value, answer.failed) == (None, False)


async def test_output_of_a_killed_function_is_seen(bench: Bench) -> None:
    bench.write(
        "f.py",
        "import time\n\ndef handler(event, context):\n    print('so far')\n    time.sleep(600)",
    )
    call = asyncio.create_task(bench("f"))
    await until(lambda: "".join(bench.printed) == "so far\n")
    call.cancel()
    await asyncio.wait([call])
    assert "".join(bench.printed) == "so far\n"


async def test_output_goes_to_standard_error_by_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f.py").write_text("def handler(event, context): print('hello')")
    functions = Functions(tmp_path)
    function = functions.find("f")
    assert function is not None
    await functions.invoke(function, None, CALL)
    await functions.close()
    assert capsys.readouterr() == ("", "hello\n")


# --- the bootstrap --------------------------------------------------------------------------------


async def test_the_process_has_no_modules_of_the_package(bench: Bench) -> None:
    names = "sorted(name for name in sys.modules if name.split('.')[0] in event)"
    bench.write("f.py", f"import sys\n\ndef handler(event, context): return {names}, sys.path[0]")
    loaded, first = await bench.value(
        "f", ["stepwell", "msgspec", "asyncio", "subprocess", "socket", "functions", "process"]
    )
    assert loaded == []
    assert Path(first) != Path(bootstrap.__file__).parent


def test_the_bootstrap_imports_only_the_standard_library() -> None:
    source = Path(bootstrap.__file__).read_text()
    nodes = list(ast.walk(ast.parse(source)))
    imported = {
        alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= set(sys.stdlib_module_names)
