"""Functions from source files, in real processes: what they answer, how they fail, and that nothing of them is left behind."""

import ast
import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from stepwell.asl.limits import DEFAULT_LIMITS
from stepwell.integrations.local import bootstrap
from stepwell.integrations.local.functions import Answer, Call, Functions, Unavailable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

ID = "11111111-2222-4333-8444-555555555555"
CALL = Call(ID, "arn:aws:lambda:us-east-1:123456789012:function:f")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def until(condition: Callable[[], Any], seconds: float = 5) -> None:
    """Wait for something that must come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.01)


class Bench:
    """A folder of functions, and short ways to write and call them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: list[str] = []
        self.functions = Functions(folder, output=self.output)

    def output(self, name: str, text: str) -> None:
        self.printed.append(text)

    def limit(self, **limits: Any) -> None:
        self.functions = Functions(self.folder, limits=dataclasses.replace(DEFAULT_LIMITS, **limits), output=self.output)

    def write(self, name: str, source: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))

    async def __call__(self, name: str, event: Any = None, call: Call = CALL) -> Answer:
        function = self.functions.find(name)
        assert function is not None
        return await self.functions.invoke(function, event, call)

    async def value(self, name: str, event: Any = None) -> Any:
        answer = await self(name, event)
        assert not answer.failed, answer.text
        return answer.value

    async def error(self, name: str, event: Any = None) -> dict[str, Any]:
        answer = await self(name, event)
        assert answer.failed, answer.text
        return answer.value


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.functions.close()


# --- answers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1.5, "", [], {}, {"a": [1, {"b": None}]},
        2**63, -(2**64), 10**100, 0.1, 1e300,
        "Grüße, 世界 \U0001f600", {"ключ": "\u2028\x00\x1f\"\\/"}, "x" * 300_000, [[]] * 1000,
    ],
)  # fmt: skip
async def test_values_come_back_as_they_went(bench: Bench, value: Any) -> None:
    bench.write("echo.py", "def handler(event, context): return event")
    answer = await bench("echo", value)
    assert (answer.value, answer.failed, type(answer.value)) == (value, False, type(value))
    assert json.loads(answer.text) == value


async def test_the_text_is_spaced_as_the_service_writes_it(bench: Bench) -> None:
    bench.write("f.py", "def handler(event, context): return {'theAnswer': 42, 'ö': [1, None]}")
    assert (await bench("f")).text == '{"theAnswer": 42, "ö": [1, null]}'


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("b'abc'", "abc"),  # recorded: a function that returned bytes
        ("(1, 2)", [1, 2]),
        ("{1: 2, None: 3}", {"1": 2, "null": 3}),
        ("__import__('decimal').Decimal('12345678901234567890')", 12345678901234567890),
        ("__import__('decimal').Decimal('1.5')", 1.5),
    ],
)
async def test_python_values_that_have_a_json_form(bench: Bench, source: str, value: Any) -> None:
    bench.write("f.py", f"def handler(event, context): return {source}")
    assert await bench.value("f") == value


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{1}", "Unable to marshal response: Object of type set is not JSON serializable"),
        ("object()", "Unable to marshal response: Object of type object is not JSON serializable"),
        ("float('nan')", "Unable to marshal response: Out of range float values are not JSON compliant"),
        ("__import__('decimal').Decimal('NaN')", "Unable to marshal response: Out of range float values are not JSON compliant"),
        ("(lambda x: (x.append(x), x)[1])([])", "Unable to marshal response: Circular reference detected"),
        ("b'\\xff'", "Unable to marshal response: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("{(1, 2): 3}", "Unable to marshal response: keys must be str, int, float, bool or None, not tuple"),
        ("'\\ud800'", "Unable to marshal response: 'utf-8' codec can't encode character '\\ud800' in position 1: surrogates not allowed"),
    ],
)
async def test_what_has_no_json_form(bench: Bench, source: str, message: str) -> None:
    bench.write("f.py", f"def handler(event, context): return {source}")
    error = await bench.error("f")
    assert error["errorMessage"].startswith(message)
    assert {**error, "errorMessage": ""} == {"errorMessage": "", "errorType": "Runtime.MarshalError", "requestId": ID, "stackTrace": []}


async def test_a_result_nested_deeper_than_a_payload_may_be(bench: Bench) -> None:
    bench.write(
        "f.py",
        """
        import sys

        sys.setrecursionlimit(9000)

        def handler(event, context):
            nested = []
            for _ in range(1500):
                nested = [nested]
            return nested
        """,
    )
    error = await bench.error("f")
    assert (error["errorType"], error["errorMessage"]) == (
        "Runtime.MarshalError",
        "Unable to marshal response: Document nesting depth (1001) exceeds the maximum allowed (1000)",
    )


async def test_the_size_of_a_result_is_limited(bench: Bench) -> None:
    bench.write("f.py", "import os\n\ndef handler(event, context): return [os.getpid(), 'x' * event]")
    first = await bench.value("f", 6_000_000)
    answer = await bench("f", 6_500_000)
    assert answer.failed
    message = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
    assert answer.text == f'{{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"{message}"}}'
    assert (await bench.value("f", 1))[0] == first[0], "the process is none the worse for it"


async def test_context(bench: Bench) -> None:
    bench.write(
        "f.py",
        """
        def handler(event, context):
            left = context.get_remaining_time_in_millis()
            names = ("aws_request_id", "function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "log_group_name",
                     "log_stream_name", "identity", "task_token")
            return {name: getattr(context, name) for name in names}, left, context.client_context.custom["a"]
        """,
    )
    call = Call(ID, "arn:aws:lambda:us-east-1:123456789012:function:f:live", seconds=20, token="t0k", client={"custom": {"a": 1}})
    attributes, left, custom = (await bench("f", None, call)).value
    assert attributes == {
        "aws_request_id": ID,
        "function_name": "f",
        "function_version": "$LATEST",
        "invoked_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:f:live",
        "memory_limit_in_mb": "128",
        "log_group_name": "/aws/lambda/f",
        "log_stream_name": "[$LATEST]11111111222243338444555555555555",
        "identity": None,
        "task_token": "t0k",
    }
    assert 15_000 < left <= 20_000
    assert custom == 1


# --- where functions are -----------------------------------------------------------------------------------------------------


async def test_layouts_of_a_folder(bench: Bench) -> None:
    bench.write("plain-name.py", "from common import word\n\ndef handler(event, context): return word")
    bench.write("common.py", "word = 'shared helper'")
    bench.write("own/handler.py", "from helper import word\n\ndef handler(event, context): return word")
    bench.write("own/helper.py", "word = 'own helper'")
    bench.write("aws/lambda_function.py", "def lambda_handler(event, context): return 'as in the console'")
    assert [await bench.value(name) for name in ("plain-name", "own", "aws")] == ["shared helper", "own helper", "as in the console"]
    for name in ("", "missing", "../" + bench.folder.name + "/own", "own/handler", "common.py", "a b"):
        assert bench.functions.find(name) is None


async def test_a_function_may_be_named_like_a_module_of_the_standard_library(bench: Bench) -> None:
    bench.write("email.py", "import email.message\n\ndef handler(event, context): return email.message.__name__")
    bench.write("string.py", "def handler(event, context): return __name__")
    assert await bench.value("email") == "email.message"
    assert await bench.value("string") == "function_string"


async def test_added_functions(bench: Bench, tmp_path: Path) -> None:
    source = "import os\n\ndef run(event, context): return os.environ['COLOUR'], os.getcwd(), os.environ['TZ']"
    bench.write("src/pkg/mod.py", source)
    bench.functions.add("elsewhere", tmp_path / "src", "pkg/mod.run", {"COLOUR": "blau"})
    assert await bench.value("elsewhere") == ["blau", str(tmp_path / "src"), ":UTC"]
    with pytest.raises(ValueError, match="not a function name"):
        bench.functions.add("a/b", tmp_path, "x.y")


async def test_source_that_is_gone(bench: Bench, tmp_path: Path) -> None:
    bench.functions.add("gone", tmp_path / "nowhere", "handler.handler")
    with pytest.raises(Unavailable, match="FileNotFoundError") as refused:
        await bench("gone")
    assert not refused.value.throttled


async def test_an_edited_file_is_loaded_anew(bench: Bench) -> None:
    bench.write("f.py", "def handler(event, context): return 'old'")
    assert await bench.value("f") == "old"
    bench.write("f.py", "def handler(event, context): return 'newer'")
    assert await bench.value("f") == "newer"


# --- errors -----------------------------------------------------------------------------------------------------------------


async def test_an_exception_has_the_recorded_shape(bench: Bench) -> None:
    bench.write("handler.py", 'def handler(event, context):\n    raise Exception("Some exception was raised.")\n')
    answer = await bench("handler")
    trace = '["  File \\"/var/task/handler.py\\", line 2, in handler\\n    raise Exception(\\"Some exception was raised.\\")\\n"]'
    assert answer.failed
    assert answer.text == (
        f'{{"errorMessage": "Some exception was raised.", "errorType": "Exception", "requestId": "{ID}", "stackTrace": {trace}}}'
    )


async def test_exceptions_of_all_sorts(bench: Bench) -> None:
    bench.write(
        "f.py",
        """
        import json

        class Odd(Exception):
            def __str__(self):
                raise RuntimeError("no words")

        def deep(n):
            return deep(n + 1)

        def handler(event, context):
            return {
                "key": lambda: {}["Schlüssel"],
                "odd": lambda: (_ for _ in ()).throw(Odd()),
                "library": lambda: json.loads("nope"),
                "surrogate": lambda: (_ for _ in ()).throw(ValueError("\\ud800")),
                "deep": lambda: deep(0),
                "stop": lambda: next(iter(())),
                "memory": lambda: bytearray(1 << 62),
            }[event]()
        """,
    )
    errors = {kind: await bench.error("f", kind) for kind in ("key", "odd", "library", "surrogate", "deep", "stop", "memory")}
    assert {kind: (error["errorType"], error["errorMessage"]) for kind, error in errors.items()} == {
        "key": ("KeyError", "'Schlüssel'"),
        "odd": ("Odd", "<RuntimeError in __str__>"),
        "library": ("JSONDecodeError", "Expecting value: line 1 column 1 (char 0)"),
        "surrogate": ("ValueError", "?"),
        "deep": ("RecursionError", "maximum recursion depth exceeded"),
        "stop": ("StopIteration", ""),
        "memory": ("MemoryError", ""),
    }
    assert [line.split(",")[0] for line in errors["library"]["stackTrace"]][:2] == ['  File "/var/task/f.py"'] * 2
    assert "json/decoder.py" in errors["library"]["stackTrace"][-1]
    assert any("Previous line repeated" in line for line in errors["deep"]["stackTrace"])


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import no_such_module\n", "Runtime.ImportModuleError", "Unable to import module 'f': No module named 'no_such_module'"),
        ("def other(): pass\n", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'f'"),
        ("def handler(:\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'f': invalid syntax (f.py, line 1)"),
        ("x = 1 / 0\n", "ZeroDivisionError", "division by zero"),
    ],
)
async def test_a_function_that_cannot_be_loaded(bench: Bench, source: str, kind: str, message: str) -> None:
    bench.write("f.py", source)
    for _ in range(2):
        error = await bench.error("f")
        assert (error["errorType"], error["errorMessage"], error["requestId"]) == (kind, message, "")
    bench.write("f.py", "def handler(event, context): return 'mended'")
    assert await bench.value("f") == "mended"


async def test_a_handler_without_a_dot(bench: Bench, tmp_path: Path) -> None:
    bench.functions.add("f", tmp_path, "handler")
    error = await bench.error("f")
    assert (error["errorType"], error["errorMessage"]) == (
        "Runtime.MalformedHandlerName",
        "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
    )


@pytest.mark.parametrize(
    ("source", "how"),
    [
        ("sys.exit(3)", "exited with error: exit status 3"),
        ("sys.exit()", "exited without providing a reason"),
        ("os._exit(1)", "exited with error: exit status 1"),
        ("os.kill(os.getpid(), 9)", "exited with error: signal: killed"),
        ("os.kill(os.getpid(), 11)", "exited with error: signal: segmentation fault"),
        ("os.closerange(3, 99)", "exited with error: exit status 1"),
        ("exec('raise KeyboardInterrupt')", "exited with error: signal: interrupt"),
    ],
)
async def test_a_process_that_ends(bench: Bench, source: str, how: str) -> None:
    bench.write("f.py", f"import os, sys\n\ndef handler(event, context):\n    if event: {source}\n    return 'well'")
    began = time.monotonic()
    answer = await bench("f", True)
    assert time.monotonic() - began < 2
    assert answer.text == f'{{"errorType":"Runtime.ExitError","errorMessage":"RequestId: {ID} Error: Runtime {how}"}}'
    assert await bench.value("f", False) == "well"


async def test_a_function_that_talks_on_our_channel(bench: Bench) -> None:
    """It may write to every file that it finds open: the call fails, no other is disturbed, and the process is gone."""
    bench.write(
        "f.py",
        """
        import os

        def handler(event, context):
            for fd in range(3, 20):
                try:
                    os.write(fd, b"\\x00\\x00\\x00\\x30" + b"0" * 36 + b"=" + b"1" * 11)
                except OSError:
                    pass
            return os.getpid()
        """,
    )
    assert (await bench.error("f"))["errorType"] == "Runtime.ExitError"


async def test_standard_input_is_empty(bench: Bench) -> None:
    bench.write("f.py", "import sys\n\ndef handler(event, context): return sys.stdin.read()")
    assert await bench.value("f") == ""


# --- processes --------------------------------------------------------------------------------------------------------------

PID = """
import os, time

count = 0

def handler(event, context):
    global count
    count += 1
    time.sleep(event or 0)
    return os.getpid(), count
"""


async def test_a_warm_process_is_used_again(bench: Bench) -> None:
    bench.write("f.py", PID)
    answers = [await bench.value("f") for _ in range(3)]
    assert len({pid for pid, _ in answers}) == 1
    assert [count for _, count in answers] == [1, 2, 3]


async def test_calls_run_side_by_side(bench: Bench) -> None:
    bench.write("f.py", PID)
    began = time.monotonic()
    answers = await asyncio.gather(*(bench.value("f", 1) for _ in range(4)))
    assert time.monotonic() - began < 3
    assert len({pid for pid, _ in answers}) == 4


async def test_processes_are_limited_and_calls_wait(bench: Bench) -> None:
    bench.limit(function_workers=2, function_queue=4)
    bench.write("f.py", PID)
    calls = [asyncio.create_task(bench.value("f", 0.2)) for _ in range(6)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await bench("f")
    assert refused.value.throttled
    assert len({pid for pid, _ in await asyncio.gather(*calls)}) == 2


async def test_an_idle_process_makes_room_for_another_function(bench: Bench) -> None:
    bench.limit(function_workers=1)
    bench.write("f.py", PID)
    bench.write("g.py", PID)
    first, _ = await bench.value("f")
    second, _ = await bench.value("g")
    await until(lambda: not alive(first))
    assert alive(second)


async def test_a_call_that_gives_up_waiting_leaves_no_trace(bench: Bench) -> None:
    bench.limit(function_workers=1)
    bench.write("f.py", PID)
    busy = asyncio.create_task(bench.value("f", 0.3))
    waiting = asyncio.create_task(bench.value("f"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    assert [await busy, await bench.value("f")] == [[pid := (await bench.value("f"))[0], 1], [pid, 2]]


async def test_idle_processes_end(bench: Bench) -> None:
    bench.limit(function_idle_seconds=0.2)
    bench.write("f.py", PID)
    pid, _ = await bench.value("f")
    assert alive(pid)
    await until(lambda: not alive(pid))
    assert (await bench.value("f"))[1] == 1


async def test_a_process_that_dies_idle_is_replaced(bench: Bench) -> None:
    bench.write("f.py", PID)
    pid, _ = await bench.value("f")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{pid}").exists())  # reaped, too
    assert (await bench.value("f"))[1] == 1


async def test_close_ends_all(bench: Bench) -> None:
    bench.write("f.py", PID)
    pids = [pid for pid, _ in await asyncio.gather(*(bench.value("f", 0.1) for _ in range(3)))]
    before = len(os.listdir("/proc/self/fd"))
    await bench.functions.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert len(os.listdir("/proc/self/fd")) == before - 4 * 3


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


async def test_a_cancelled_call_takes_its_whole_family_along(bench: Bench, tmp_path: Path) -> None:
    bench.write("f.py", FAMILY)
    call = asyncio.create_task(bench("f", str(tmp_path / "pids")))
    await until((tmp_path / "pids").exists)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(map(alive, pids))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not any(map(alive, pids)))


async def test_nothing_survives_us(bench: Bench, tmp_path: Path) -> None:
    """We are killed without a word while a function, its helper and its copy are busy, and while another process is idle."""
    bench.write("f.py", FAMILY)
    bench.write("idle.py", PID)
    program = f"""
        import asyncio
        from stepwell.integrations.local.functions import Call, Functions

        async def main():
            functions = Functions({str(tmp_path)!r})
            call = Call("0" * 36, "arn")
            print((await functions.invoke(functions.find("idle"), 0, call)).value[0], flush=True)
            await functions.invoke(functions.find("f"), {str(tmp_path / "pids")!r}, call)

        asyncio.run(main())
    """
    arguments = (sys.executable, "-c", textwrap.dedent(program))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE, env=environment)
    try:
        await until((tmp_path / "pids").exists, 20)
    finally:
        process.kill()
        printed, _ = await process.communicate()
    pids = [int(printed), *map(int, (tmp_path / "pids").read_text().split())]
    await until(lambda: not any(map(alive, pids)))


async def test_a_time_limit_of_the_function_itself(bench: Bench, tmp_path: Path) -> None:
    bench.write("src/f.py", PID)
    bench.functions.add("f", tmp_path / "src", "f.handler", seconds=0.5)
    answer = await bench("f", 30)
    assert answer.text == f'{{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: {ID} Error: Task timed out after 0.50 seconds"}}'
    assert (await bench.value("f"))[1] == 1


async def test_a_module_that_hangs_while_it_is_loaded(bench: Bench, tmp_path: Path) -> None:
    bench.write("f.py", f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)")
    call = asyncio.create_task(bench("f"))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not alive(int((tmp_path / "pid").read_text())))


async def test_a_handler_that_forks_answers_once(bench: Bench) -> None:
    bench.write("f.py", "import os\n\ndef handler(event, context):\n    child = os.fork()\n    return event, child")
    for event in range(3):
        value, child = await bench.value("f", event)
        assert (value, child > 0) == (event, True)


@pytest.mark.parametrize("own_group", [False, True])
async def test_a_copy_that_outlives_the_function_does_not_hold_up_the_answer(bench: Bench, tmp_path: Path, own_group: bool) -> None:
    pid = tmp_path / "pid"
    bench.write(
        "f.py",
        f"""
        import os, time

        def handler(event, context):
            if os.fork() == 0:
                {"os.setsid()" if own_group else "pass"}
                open({str(pid)!r}, "w").write(str(os.getpid()))
                time.sleep(600)
            while not os.path.exists({str(pid)!r}):
                pass
            os._exit(7)
        """,
    )
    began = time.monotonic()
    assert (await bench.error("f"))["errorMessage"].endswith("exit status 7")
    assert time.monotonic() - began < 2
    if own_group:  # what leaves the group on purpose is beyond us
        os.kill(int(pid.read_text()), signal.SIGKILL)
    await until(lambda: not alive(int(pid.read_text())))


async def test_where_the_system_does_not_tell_that_a_process_has_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
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


# --- what functions print ---------------------------------------------------------------------------------------------------


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
    assert (start, lines[:3]) == (f"START RequestId: {ID} Version: $LATEST", ["loading", "Grüße", "oh"])
    assert lines[3].startswith(f"no newlineEND RequestId: {ID}")
    assert lines[4].startswith(f"REPORT RequestId: {ID}\tDuration: ")
    assert "loading" not in (await bench("f")).log.decode()


async def test_a_flood_of_output(bench: Bench) -> None:
    """100 MB: bounded in what is passed on and kept, and other work goes on meanwhile."""
    bench.write("f.py", "def handler(event, context):\n    for n in range(1000): print('x' * 100_000)\n    return 'dry'")
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
    assert bench.printed[-1] == f"\n[f: {1000 * 100_001 - DEFAULT_LIMITS.function_log_bytes} more bytes of output left out]\n"


async def test_nobody_reads_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    (tmp_path / "f.py").write_text("def handler(event, context): print('hello')")
    functions = Functions(tmp_path)
    function = functions.find("f")
    assert function is not None
    monkeypatch.setattr(sys, "stderr", broken := os.fdopen(writing, "w"))
    answer = await functions.invoke(function, None, CALL)
    monkeypatch.undo()
    with pytest.raises(BrokenPipeError):
        broken.close()
    assert (answer.value, answer.failed) == (None, False)
    await functions.close()


async def test_output_of_a_killed_function_is_seen(bench: Bench) -> None:
    bench.write("f.py", "import time\n\ndef handler(event, context):\n    print('so far')\n    time.sleep(600)")
    call = asyncio.create_task(bench("f"))
    await until(lambda: "".join(bench.printed) == "so far\n")
    call.cancel()
    await asyncio.wait([call])
    assert "".join(bench.printed) == "so far\n"


async def test_output_goes_to_standard_error_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "f.py").write_text("def handler(event, context): print('hello')")
    functions = Functions(tmp_path)
    function = functions.find("f")
    assert function is not None
    await functions.invoke(function, None, CALL)
    await functions.close()
    assert capsys.readouterr() == ("", "hello\n")


# --- the bootstrap ------------------------------------------------------------------------------------------------------------


async def test_the_process_holds_nothing_of_ours(bench: Bench) -> None:
    names = "sorted(name for name in sys.modules if name.split('.')[0] in event)"
    bench.write("f.py", f"import sys\n\ndef handler(event, context): return {names}, sys.path[0]")
    loaded, first = await bench.value("f", ["stepwell", "msgspec", "asyncio", "subprocess", "socket", "functions", "process"])
    assert loaded == []
    assert Path(first) != Path(bootstrap.__file__).parent


def test_the_bootstrap_imports_only_the_standard_library() -> None:
    source = Path(bootstrap.__file__).read_text()
    nodes = list(ast.walk(ast.parse(source)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= set(sys.stdlib_module_names)
