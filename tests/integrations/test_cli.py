"""The command as its users see it: a process, what it writes where, and its exit code."""

import contextlib
import inspect
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepwell.integrations.cli import files
from stepwell.integrations.cli.parsing import inputs
from stepwell.integrations.errors import UsageError

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:"
SLOW = """
import os, time

def handler(event, context):
    with open(event["log"], "a") as log:
        log.write(f"begin {event['n']}\\n")
    while not os.path.exists(event["go"]):
        time.sleep(0.02)
    with open(event["log"], "a") as log:
        log.write(f"end {event['n']}\\n")
    return event["n"]
"""


@pytest.fixture
def home(home: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As everywhere; compiled code is kept for the next process, also where the tests themselves
    do not.
    """
    kept = {
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(tmp_path_factory.getbasetemp() / "compiled"),
    }
    return home | kept


def task(number: int, **more: Any) -> dict[str, Any]:
    parameters = {"n": number, "log.$": "$.log", "go.$": f"$.go{number}"}
    return {
        "Type": "Task",
        "Resource": LAMBDA + "slow",
        "Parameters": parameters,
        "ResultPath": None,
        **more,
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(name, definition or text): a file of the test's folder."""

    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return path

    return write


def one(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"StartAt": "Only", "States": {"Only": state}, **more}


PASS = one({"Type": "Pass", "End": True})
WAIT = one({"Type": "Wait", "Seconds": 600, "End": True})
APPROVE = one({"Type": "Task", "Resource": ACTIVITY + "approve", "End": True})


def eventually(ask: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.03)
    return answer


def has_line(process: "subprocess.Popen[str]", words: str) -> str:
    """Read standard error up to the line with these words."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without {words!r}")


# --- the command itself ---------------------------------------------------------------------------


def fastest(work, enough, tries=10):
    """Processor seconds of child processes, the lowest of several tries: the machine is shared."""
    taken = []
    while len(taken) < tries and min(taken, default=enough) >= enough:
        began = sum(os.times()[2:4])
        work()
        taken.append(sum(os.times()[2:4]) - began)
    return min(taken)


def test_help_is_fast_and_imports_nothing_heavy(home):
    program = "from stepwell.integrations.cli.main import main; main()"
    words = [sys.executable, "-X", "importtime", "-c", program, "--help"]
    done = subprocess.run(words, env=home, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert all(
        name in done.stdout
        for name in ("run", "validate", "executions", "inspect", "resume", "activity", "task")
    )
    imported = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, re.MULTILINE))
    assert "stepwell.integrations.cli.main" in imported
    heavy = {
        "stepwell.engine",
        "stepwell.asl",
        "pydantic",
        "lark",
        "rich",
        "asyncio",
        "yaml",
        "aiosqlite",
        "msgspec",
    }
    assert imported & heavy == set()

    def measure() -> None:
        subprocess.run(
            [sys.executable, "-c", program, "--help"],
            env=home,
            capture_output=True,
            timeout=60,
            check=True,
        )

    assert fastest(measure, 0.3) < 0.3


def test_version_and_usage(command):
    assert re.fullmatch(
        r"stepwell (\d+\.\d+\.\d+\S*|\(not installed\))\n", command("--version").stdout
    )
    for words in (
        [],
        ["nope"],
        ["run"],
        ["run", "x", "--nope"],
        ["resume", "a", "--all"],
        ["run", "x", "--type", "slow"],
    ):
        done = command(*words)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr


def test_an_argument_that_is_not_utf_8(home):
    words = [sys.executable, "-m", "stepwell.integrations.cli.main", "executions", "show", b"\xff"]
    done = subprocess.run(words, env=home, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "stepwell: an argument is not UTF-8 text\n")


def test_as_a_module(home, write):
    words = [
        sys.executable,
        "-m",
        "stepwell.integrations.cli.main",
        "run",
        str(write("m.asl.json", PASS)),
        "--input",
        "[1]",
    ]
    done = subprocess.run(words, env=home, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "[1]\n")


@pytest.mark.parametrize("debug", ["", "1"])
def test_an_internal_error_is_one_line_and_exit_code_70(home, debug):
    program = (
        "from stepwell.integrations.cli import main; "
        "from stepwell.integrations.cli.commands import validate; validate.validate = lambda *a, "
        "**o: 1 / 0; main.main()"
    )
    words = [sys.executable, "-c", program, "validate", "x"]
    done = subprocess.run(
        words,
        env=home | {"STEPWELL_DEBUG": debug},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 70
    assert done.stderr.endswith(
        "stepwell: internal error: ZeroDivisionError: division by zero (STEPWELL_DEBUG=1 "
        "shows the traceback)\n"
    )
    assert ("Traceback" in done.stderr) == bool(debug)
    assert debug or done.stderr.count("\n") == 1


def test_a_full_disk_is_exit_code_70_and_the_execution_can_be_resumed(
    home, command, slow, tmp_path
):
    machine, given, log = slow
    full = f"""
import errno, os
from stepwell.engine.store.sqlite.store import SqliteStore
commit = SqliteStore.commit
async def fail(self, units):
    if os.path.exists({str(tmp_path / "go1")!r}):
        raise OSError(errno.ENOSPC, "No space left on device")
    await commit(self, units)
SqliteStore.commit = fail
from stepwell.integrations.cli.main import main; main()
"""
    words = [
        sys.executable,
        "-c",
        full,
        "run",
        str(machine),
        "--input",
        given,
        "--name",
        "full",
        "--quiet",
    ]
    process = subprocess.Popen(
        words, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        eventually(lambda: "begin 1" in logged(log))
        allow(tmp_path, 1, 2, 3)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, output) == (70, ""), errors
    assert "No space left on device" in errors
    assert "Traceback" not in errors
    assert command("resume", "full", "-q").returncode == 0


# --- run ------------------------------------------------------------------------------------------


def test_run_writes_the_output_and_nothing_else_to_standard_output(command, write):
    definition = {
        "StartAt": "First",
        "States": {
            "First": {"Type": "Pass", "Next": "Rest"},
            "Rest": {"Type": "Wait", "Seconds": 0, "Next": "Which?"},
            "Which?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.big", "IsPresent": True, "Next": "Done"}],
                "Default": "Done",
            },
            "Done": {"Type": "Succeed", "OutputPath": "$.big"},
        },
    }
    given = '{"big": 123456789012345678901234567890, "text": "ü"}'
    done = command(
        "run", write("my machine.asl.json", definition), "--input", given, "--name", "r1"
    )
    assert (done.returncode, done.stdout) == (0, "123456789012345678901234567890\n")
    lines = done.stderr.splitlines()
    assert lines[0] == "my-machine  run r1  standard · JSONPath · 4 states"
    assert [re.sub(r"^ +[\d.]+ s  |, \d+ ms|\d+ ms", "", line) for line in lines[1:]] == [
        "ok        First  (Pass)",
        "started   Rest  (Wait 0 s)",
        "ok        Rest  (Wait 0 s)",
        "ok        Which?  (Choice)",
        "ok        Done  (Succeed)",
        "✔ SUCCEEDED   · 10 events · 4 transitions",
    ]
    assert "\x1b" not in done.stderr

    quiet = command("run", write("my machine.asl.json", definition), "--input", given, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, done.stdout, "")


def test_run_json_streams_the_events(command, write):
    done = command("run", write("m.asl.json", PASS), "--input", '{ "a": 1 }', "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    assert events[0]["executionStartedEventDetails"]["input"] == '{ "a": 1 }', "as it was given"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", events[0]["timestamp"])
    assert (done.returncode, done.stderr) == (0, "")


def test_a_failure_names_the_error_the_place_and_the_next_commands(command_here, write, tmp_path):
    definition = {
        "StartAt": "Try it",
        "States": {
            "Try it": {
                "Type": "Task",
                "Resource": LAMBDA + "broken",
                "Catch": [{"ErrorEquals": ["Broken"], "Next": "Give up"}],
                "End": True,
            },
            "Give up": {"Type": "Fail", "Error": "GaveUp", "Cause": "it is broken"},
        },
    }
    write(
        "functions/broken.py",
        (
            "class Broken(Exception): pass\ndef handler(event, context):\n print('trying')\n "
            "raise Broken('no')\n"
        ),
    )
    file = write("m.asl.json", definition)
    done = command_here("run", file, "--name", "bad one".replace(" ", "-"))
    assert (done.returncode, done.stdout) == (1, "")
    line = next(
        number
        for number, text in enumerate(file.read_text().splitlines(), 1)
        if '"Give up": {' in text
    )
    assert "broken | trying" in done.stderr
    assert done.stderr.splitlines()[-4].startswith("✘ FAILED  GaveUp: it is broken  ")
    assert done.stderr.splitlines()[-3:] == [
        "  at Try it (caught Broken) → Give up",
        f"  {file}:{line}",
        "  next: stepwell inspect bad-one 'Give up' · stepwell inspect bad-one 'Try it' · "
        "stepwell history bad-one"
        " · stepwell render --execution bad-one -o bad-one.svg",
    ]
    shown = command_here("executions", "show", "bad-one").stdout
    assert f"  {file}:{line}" in shown
    file.write_text(file.read_text().replace("it is broken", "it is not"))
    assert f"{file}:" not in command_here("executions", "show", "bad-one").stdout, (
        "a changed file has other lines"
    )


def test_exit_codes_of_timeouts(command, write):
    slow = one({"Type": "Wait", "Seconds": 600, "End": True}, TimeoutSeconds=1)
    done = command("run", write("limited.asl.json", slow))
    assert (done.returncode, done.stdout) == (3, "")
    assert "✘ TIMED_OUT  States.Timeout" in done.stderr

    done = command("run", write("patient.asl.json", WAIT), "--name", "w", "--timeout", "0.2")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.endswith(
        "still running after 0.2 s at Only; continue with: stepwell resume w\n"
    )
    assert json.loads(command("executions", "show", "w", "--json").stdout)["status"] == "RUNNING"


def test_express(command_here, write):
    done = command_here("run", write("m.asl.json", PASS), "--type", "express", "--input", "5")
    assert (done.returncode, done.stdout) == (0, "5\n")
    assert done.stderr.startswith("m-express  run ")
    assert "express ·" in done.stderr
    done = command_here(
        "run", write("f.asl.json", one({"Type": "Fail", "Error": "No"})), "--type", "EXPRESS"
    )
    assert done.returncode == 1
    assert "stepwell executions" not in done.stderr, "its history is not kept"


def test_five_ways_to_pass_the_input(command, home, write, tmp_path):
    machine = write("m.asl.json", PASS)
    given = write("in.json", '{"from": "file"}')
    for option in (f"@{given}", str(given)):
        assert command("run", machine, "-q", "--input", option).stdout == '{"from":"file"}\n'
    assert command("run", machine, "-q").stdout == "{}\n"
    words = [
        sys.executable,
        "-m",
        "stepwell.integrations.cli.main",
        "run",
        str(machine),
        "-q",
        "--input",
        "-",
    ]
    assert (
        subprocess.run(
            words, env=home, input="[ 1 ]", capture_output=True, text=True, timeout=60, check=False
        ).stdout
        == "[1]\n"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "{file}:1:1: not JSON: "),
        (b'{"a":\n [1, 2', "{file}:2:7: not JSON: "),
        (b'{"a": NaN}', "{file}:1:10: not JSON: Non-standard token 'NaN'"),
        (b"\xff\xfe", "{file}: not UTF-8 text"),
        (b"[" * 100_000, "{file}:1:1002: not JSON: Document nesting depth (1001) exceeds"),
        (
            b'"' + b"x" * 262_143 + b'"',
            "{file}: 262,145 bytes of JSON, more than 262,144",
        ),
        (b'"' + b"x" * 10_485_760 + b'"', "{file}: larger than 4,194,304 bytes"),
    ],
)
def test_invalid_inputs(write, content, words):
    file = write("input.json", content)
    began = time.process_time()
    with pytest.raises(UsageError, match="^" + re.escape(words.format(file=file))):
        inputs.read_json(f"@{file}")
    assert time.process_time() - began < 1


def test_invalid_inputs_of_the_command(command_here, write, tmp_path):
    machine = write("m.asl.json", PASS)
    for option, words in (
        ('{"a": NaN}', "--input: not JSON: Non-standard token 'NaN'"),
        ("no-such-file", "--input: not JSON: Unrecognized token 'no'"),
        ("@no-such-file", "no-such-file: No such file or directory"),
        (str(tmp_path), f"{tmp_path}: it is a folder, not a file"),
    ):
        done = command_here("run", machine, "--input", option)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"stepwell: {words}"), done.stderr
        assert done.stderr.count("\n") == 1
    assert (
        "nor is there a file 'no-such-file'"
        in command_here("run", machine, "--input", "no-such-file").stderr
    )


def test_other_usage_errors(command_here, write, tmp_path):
    machine = write("m.asl.json", PASS)
    text = write(
        "text.db", "this is no database, but it is long enough to be taken for the head of one" * 20
    )
    for words, said in (
        (["--param", "x"], "--param x: not KEY=VALUE"),
        (["--functions", "nowhere"], "--functions nowhere: no such folder"),
        (["--name", "a b"], "Invalid Name: 'a b'"),
        (["--db", tmp_path], f"{tmp_path} is a folder, not a database"),
        (["--db", text], "cannot be read as a database"),
        (["--db", text / "below"], f"{text}: "),
        (
            ["--db", "mysql://me@host/db"],
            "no store for mysql: give a path, or postgresql://...",
        ),
    ):
        done = command_here("run", machine, *words)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert said in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_a_url_is_not_a_database_file(command_here, write, tmp_path):
    machine = write("m.asl.json", PASS)
    url = ["--db", "mysql://me@host/db"]
    for words in (
        ["run", machine],
        ["serve", "--port", "0"],
        ["executions", "list"],
        ["executions", "stop", "x"],
        ["render", "--execution", "x"],
    ):
        done = command_here(*words, *url)
        assert (done.returncode, done.stdout) == (
            2,
            "",
        ) and "no store for mysql: give a path, or postgresql://..." in done.stderr, done.stderr
    assert not any("mysql" in each.name for each in tmp_path.rglob("*"))


def test_a_name_is_used_once(command_here, write):
    machine = write("m.asl.json", PASS)
    assert command_here("run", machine, "--name", "n", "-q").returncode == 0
    done = command_here("run", machine, "--name", "n", "-q")
    assert (done.returncode, done.stderr.startswith("stepwell: Execution Already Exists: ")) == (
        2,
        True,
    )


def test_names_of_machines():
    for name, machine in {
        "order.asl.json": "order",
        "order.ASL.YAML": "order",
        "a.b.json": "a-b",
        "wörld of.yml": "w-rld-of",
        "…": "machine",
        "x" * 200: "x" * 80,
    }.items():
        assert files.machine_name(Path("/some") / name, "STANDARD", {}) == machine
    assert files.machine_name(Path("x" * 200), "EXPRESS", {}) == "x" * 72 + "-express"


def test_placeholders_yaml_and_functions_of_another_folder(command_here, write, tmp_path):
    write("elsewhere/hello.py", "def handler(event, context):\n return 'hello ' + event['who']\n")
    machine = write(
        "m.asl.yaml",
        "StartAt: A\nStates:\n  A:\n    Type: Task\n    Resource: ${Arn}\n    End: true\n",
    )
    assert "no value for ${Arn}" in command_here("run", machine).stderr
    words = ["--param", f"Arn={LAMBDA}hello", "--input", '{"who": "you"}']
    assert (
        command_here("run", machine, *words, "--functions", tmp_path / "elsewhere", "-q").stdout
        == '"hello you"\n'
    )
    assert command_here("run", machine, *words, "-q").returncode == 1


def test_characters_that_the_encoding_lacks_are_escaped(home, write):
    words = [
        sys.executable,
        "-m",
        "stepwell.integrations.cli.main",
        "run",
        str(write("m.asl.json", PASS)),
        "--input",
        '"ü→"',
    ]
    done = subprocess.run(
        words,
        env=home | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == '"\\xfc\\u2192"\n'


# --- validate -------------------------------------------------------------------------------------


def test_validate_reports_all_problems_of_all_files(command_here, write, tmp_path):
    bad = write(
        "bad.asl.json",
        (
            '{"StartAt":"A",\n "States":{"A":{"Type":"Pas","End":true},\n  "B":{"Type":"Pass",'
            '"Next":"C"}}}'
        ),
    )
    yaml = write("bad.asl.yaml", "StartAt: A\nStates:\n  A:\n    Type: Succeed\n    Next: B\n")
    broken = write("broken.asl.json", '{"StartAt": }')
    many = [
        write("good.asl.json", PASS), bad, yaml, broken, write("empty.asl.json", ""),
        write("binary.asl.json", bytes(range(256))),
        write("nan.asl.json", '{"StartAt": NaN}'), write("big.asl.json", "[" * 10_485_760),
        tmp_path / "none.json",
    ]  # fmt: skip
    done = command_here("validate", *many)
    assert (done.returncode, done.stderr) == (
        2,
        f"9 files: {done.stdout.count(' ERROR ')} errors\n",
    )
    lines = done.stdout.splitlines()
    assert (
        f"{bad}:2:17: ERROR SCHEMA_VALIDATION_FAILED The field 'Type' should have one of "
        "these values"
    ) in done.stdout
    assert any(
        line.startswith(f"{bad}:3:") and line.endswith("at /States/B/Next") for line in lines
    )
    assert any(line.startswith(f"{yaml}:5:5: ERROR") for line in lines)
    assert any(
        line.startswith(
            f"{broken}:1:14: ERROR INVALID_JSON_DESCRIPTION Unexpected character ('}}' (code 125))"
        )
        for line in lines
    )
    assert {line.partition(":")[0] for line in lines} == {str(path) for path in many[1:]}
    assert all(re.match(r"[^:]+:\d+:\d+: (ERROR|WARNING) [A-Z_]+ \S", line) for line in lines)

    as_json = [
        json.loads(line) for line in command_here("validate", "--json", *many).stdout.splitlines()
    ]
    assert len(as_json) == len(lines)
    found = next(each for each in as_json if each["location"] == "/States/B/Next")
    assert (found["file"], found["line"], found["severity"], found["code"]) == (
        str(bad),
        3,
        "ERROR",
        "MISSING_TRANSITION_TARGET",
    )

    for path in many[1:]:
        done = command_here("run", path)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_validate_knows_the_functions_beside_a_file(command_here, write):
    machine = write("m.asl.json", one({"Type": "Task", "Resource": "hello", "End": True}))
    assert command_here("validate", machine).returncode == 2
    write("functions/hello.py", "def handler(event, context):\n return 'hello'\n")
    assert command_here("validate", machine).returncode == 0
    assert command_here("run", machine, "-q").stdout == '"hello"\n'


def test_a_hundred_machines_take_less_than_two_seconds(command, write, root):
    text = (root / "examples" / "order.asl.json").read_text()
    many = [write(f"m{number}.asl.json", text) for number in range(100)]

    def validate() -> None:
        done = command("validate", *many)
        assert (done.returncode, done.stderr) == (0, "100 files: valid\n")

    assert fastest(validate, 2) < 2


# --- list, show, history, inspect -----------------------------------------------------------------


@pytest.fixture
def executions(command_here, write):
    """The command, with the executions one/same, two/same and two/other in its database."""
    for name in ("one", "two"):
        machine = write(
            f"{name}.asl.json",
            one({"Type": "Pass", "Parameters": {"n.$": "$.n"}, "ResultPath": "$.r", "End": True}),
        )
        command_here("run", machine, "--name", "same", "--input", '{ "n": 1 }', "-q")
    failing = write("two.asl.json", one({"Type": "Fail", "Error": "E"}))
    command_here("run", failing, "--name", "other")
    return command_here


def test_list_shows_executions_newest_first(executions):
    rows = [line.split() for line in executions("executions", "list").stdout.splitlines()]
    assert [row[:3] for row in rows] == [
        ["name", "machine", "status"],
        ["other", "two", "FAILED"],
        ["same", "two", "SUCCEEDED"],
        ["same", "one", "SUCCEEDED"],
    ]
    assert [
        json.loads(line)["name"]
        for line in executions("executions", "list", "--json", "--limit", "1").stdout.splitlines()
    ] == ["other"]
    assert executions("executions", "list", "--machine", "one").stdout.count("same") == 1
    assert executions("executions", "list", "--status", "failed").stdout.count("FAILED") == 1
    assert executions("executions", "list", "--machine", "none").returncode == 2


def test_show_describes_one_execution(executions):
    done = executions("executions", "show", "same")
    assert (done.returncode, done.stderr) == (
        2,
        "stepwell: several executions are called same: one/same, two/same\n",
    )
    assert executions("executions", "show", "none").returncode == 2
    described = json.loads(executions("executions", "show", "two/same", "--json").stdout)
    assert (described["status"], described["output"], described["input"]) == (
        "SUCCEEDED",
        '{"n":1,"r":{"n":1}}',
        '{ "n": 1 }',
    )
    shown = executions("executions", "show", described["executionArn"]).stdout
    assert shown.startswith("two  run same  standard · JSONPath · 1 state\n✔ SUCCEEDED  ")
    assert 'input    {"n":1}\n' in shown
    assert re.search(r"^Only +Pass +succeeded +1 +0\.000 ", shown, re.MULTILINE)


def test_history_shows_events_in_both_directions(executions):
    table = executions("executions", "history", "one/same").stdout.splitlines()
    assert [line.split()[3] for line in table[1:]] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    backwards = executions("executions", "history", "one/same", "--json", "--reverse").stdout
    assert [json.loads(line)["id"] for line in backwards.splitlines()] == [4, 3, 2, 1]


def test_inspect_shows_the_stages_of_a_state(executions):
    tree = executions("inspect", "one/same", "Only").stdout.splitlines()
    assert tree[0].startswith("Only  succeeded · ")
    assert any(re.fullmatch(r"├── ResultPath +\$\.r +\+ r", line) for line in tree)
    done = executions("inspect", "one/same", "Only", "--visit", "1", "--json")
    assert [stage["name"] for stage in json.loads(done.stdout)["stages"]] == [
        "State input",
        "InputPath",
        "Parameters",
        "ResultPath",
        "OutputPath",
    ]
    for words in (["Only", "--visit", "2"], ["Nope"]):
        done = executions("inspect", "one/same", *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_commands_without_a_database_or_an_execution(command_here, write, tmp_path):
    empty = write("empty.db", "")
    text = write("text.db", "no database" * 100)
    for words in (
        ["executions", "list"],
        ["executions", "show", "x", "--db", tmp_path / "none.db"],
        ["inspect", "x", "y"],
        ["resume"],
        ["executions", "stop", "x"],
        ["task", "succeed", "x"],
        ["activity", "poll", "x"],
        ["executions", "list", "--db", empty],
        ["executions", "list", "--db", text],
        ["executions", "list", "--db", tmp_path],
    ):
        done = command_here(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert re.fullmatch(r"stepwell: [^\n]+\n", done.stderr), done.stderr
    assert not (tmp_path / "data").exists(), "looking makes nothing"


def test_a_closed_pipe_is_not_an_error(home, write, command):
    machine = write("m.asl.json", PASS)
    command(
        "run",
        machine,
        "--name",
        "r",
        "--input",
        write("long.json", json.dumps("x" * 200_000)),
        "-q",
    )
    words = [
        sys.executable,
        "-m",
        "stepwell.integrations.cli.main",
        "executions",
        "history",
        "r",
        "--json",
    ]
    process = subprocess.Popen(
        words, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(20) == 141


# --- resume ---------------------------------------------------------------------------------------


@pytest.fixture
def slow(write, tmp_path) -> tuple[Path, str, Path]:
    """A machine of three tasks, each of which waits for a file; its input; the log of what the
    tasks did.
    """
    write("functions/slow.py", SLOW)
    machine = {
        "StartAt": "A",
        "States": {"A": task(1, Next="B"), "B": task(2, Next="C"), "C": task(3, End=True)},
    }
    given = {
        "log": str(tmp_path / "log"),
        **{f"go{number}": str(tmp_path / f"go{number}") for number in (1, 2, 3)},
    }
    return write("slow.asl.json", machine), json.dumps(given), tmp_path / "log"


def allow(tmp_path: Path, *numbers: int) -> None:
    for number in numbers:
        (tmp_path / f"go{number}").touch()


def logged(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_a_killed_run_is_resumed_with_no_event_lost_or_repeated(command, start, slow, tmp_path):
    machine, given, log = slow
    allow(tmp_path, 1)
    process = start("run", machine, "--input", given, "--name", "k")
    eventually(lambda: "begin 2" in logged(log))
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = command("executions", "history", "k", "--json").stdout
    assert json.loads(before.splitlines()[-1])["type"] == "LambdaFunctionStarted"
    allow(tmp_path, 2, 3)
    done = command("resume", "k")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(given)
    assert (
        done.stderr.splitlines()[0]
        == "slow  run k  standard · JSONPath · 3 states · continues after event 9"
    )
    assert "  A  (" not in done.stderr, "what was shown before is not shown again"
    after = command("executions", "history", "k", "--json").stdout
    assert after.startswith(before)
    events = [json.loads(line) for line in after.splitlines()]
    assert [event["id"] for event in events] == list(range(1, 18))
    assert [
        event["stateEnteredEventDetails"]["name"]
        for event in events
        if event["type"] == "TaskStateEntered"
    ] == ["A", "B", "C"]
    assert logged(log) == ["begin 1", "end 1", "begin 2", "begin 2", "end 2", "begin 3", "end 3"], (
        "only what was in flight is sent again"
    )
    again = command("resume", "k")
    assert (again.returncode, again.stdout) == (0, done.stdout), (
        "resuming what has ended shows its end"
    )
    assert command("resume").stderr == "nothing to resume: no execution is running\n"


def test_ctrl_c_prints_the_command_that_resumes_the_execution(command, start, slow, tmp_path):
    machine, given, log = slow
    allow(tmp_path, 1)
    db = tmp_path / "my own.db"
    process = start("run", machine, "--input", given, "--name", "c", "--db", db)
    eventually(lambda: "begin 2" in logged(log))
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert (
        errors.splitlines()[-1] == f"interrupted at B; continue with: stepwell resume c --db '{db}'"
    )
    allow(tmp_path, 2, 3)
    assert command("resume", "c", "--db", db, "-q").returncode == 0


def test_a_second_ctrl_c_quits_at_once(home, slow, tmp_path):
    machine, given, log = slow
    hang = (
        "import asyncio; from stepwell.engine.engine import Engine\nasync def close(self): await "
        "asyncio.sleep(600)\nEngine.close = close\n"
    )
    words = [
        sys.executable,
        "-c",
        hang + "from stepwell.integrations.cli.main import main; main()",
        "run",
        str(machine),
        "--input",
        given,
    ]
    process = subprocess.Popen(
        words, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        eventually(lambda: "begin 1" in logged(log))
        process.send_signal(signal.SIGINT)
        has_line(process, "interrupted at A")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.communicate()


def test_other_executions_are_held_until_they_are_resumed(command, start, slow, write, tmp_path):
    machine, given, log = slow
    process = start("run", machine, "--input", given, "--name", "first")
    eventually(lambda: "begin 1" in logged(log))
    process.kill()
    process.wait()
    waiting = start("run", write("approve.asl.json", APPROVE), "--name", "second")
    has_line(waiting, "waiting")
    time.sleep(0.5)
    assert logged(log) == ["begin 1"], "run second does nothing for first"
    waiting.kill()
    waiting.wait()
    allow(tmp_path, 1, 2, 3)
    done = command("resume")
    assert done.returncode == 2
    assert (
        "several executions are running: name one, or use --all (approve/second, slow/first)"
        in done.stderr
    )
    assert command("resume", "first", "-q").returncode == 0
    assert logged(log)[1] == "begin 1"
    taken = json.loads(command("activity", "poll", "approve").stdout)
    assert command("task", "succeed", taken["taskToken"], "--output", "[7]").returncode == 0
    assert command("resume", "second", "-q").stdout == "[7]\n"


def test_a_changed_definition_is_for_new_executions_only(command, start, slow, tmp_path):
    machine, given, log = slow
    process = start("run", machine, "--input", given, "--name", "old")
    eventually(lambda: "begin 1" in logged(log))
    process.kill()
    process.wait()
    machine.write_text(json.dumps(one({"Type": "Pass", "Result": "new", "End": True})))
    assert command("run", machine, "--name", "new", "-q").stdout == '"new"\n'
    allow(tmp_path, 1, 2, 3)
    assert json.loads(command("resume", "old", "-q").stdout) == json.loads(given)
    assert logged(log)[-1] == "end 3"


def test_resume_all(command, start, write, tmp_path):
    machine = write("approve.asl.json", APPROVE)
    for name in ("a", "b"):
        process = start("run", machine, "--name", name)
        has_line(process, "waiting")
        process.kill()
        process.wait()
    process = start("resume", "--all")
    has_line(process, "continues after")
    for _ in range(2):
        taken = json.loads(command("activity", "poll", "approve", "--timeout", "20").stdout)
        assert command("task", "fail", taken["taskToken"], "--error", "No").returncode == 0
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    for name in ("a", "b"):
        assert re.search(rf"^{name}  ✘ FAILED  No ", errors, re.MULTILINE)


@pytest.mark.parametrize("named", [True, False])
def test_a_nested_execution_resumes_with_the_one_that_waits_for_it(
    command, start, slow, write, tmp_path, named
):
    machine, given, log = slow
    allow(tmp_path, 1, 2, 3)
    assert command("run", machine, "--input", given, "-q").returncode == 0
    (tmp_path / "go2").unlink()
    inner = {
        "StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:slow",
        "Input.$": "$",
    }
    outer = one(
        {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": inner,
            "OutputPath": "$.Status",
            "End": True,
        }
    )
    process = start("run", write("outer.asl.json", outer), "--input", given, "--name", "o")
    eventually(lambda: logged(log)[-1] == "begin 2" and len(logged(log)) == 9)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    allow(tmp_path, 2)
    done = command("resume", *(["outer/o"] if named else []), "-q")
    assert (done.returncode, done.stdout) == (0, '"SUCCEEDED"\n'), done.stderr


# --- two processes --------------------------------------------------------------------------------


def test_commands_during_a_run(command, start, write, tmp_path):
    process = start("run", write("wait.asl.json", WAIT), "--name", "w")
    has_line(process, "started   Only")
    refused = command("run", write("m.asl.json", PASS))
    assert refused.returncode == 2
    assert f"is in use by process {process.pid}" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert command("resume", "w").returncode == 2
    assert json.loads(command("executions", "list", "--json").stdout)["status"] == "RUNNING"
    assert "next: stepwell tail -f w" in command("executions", "show", "w").stdout
    assert "└── Seconds" in command("inspect", "w", "Only").stdout
    stopped = command("executions", "stop", "w", "--error", "Enough", "--cause", "by hand")
    assert (stopped.returncode, stopped.stderr) == (0, "stopped wait/w\n")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (4, "")
    assert "■ ABORTED  Enough: by hand" in errors
    assert command("executions", "stop", "w").stderr == "wait/w has ended before: ABORTED\n"
    assert list((tmp_path / "data" / "stepwell").glob("*.sock")) == []


def test_stop_an_execution_without_a_running_process(command, start, write):
    process = start("run", write("wait.asl.json", WAIT), "--name", "w")
    has_line(process, "started   Only")
    process.kill()
    process.wait()
    assert command("executions", "stop", "w").returncode == 0
    described = json.loads(command("executions", "show", "w", "--json").stdout)
    assert (described["status"], "error" in described) == ("ABORTED", False)


def test_invalid_task_results(command, start, write):
    process = start("run", write("approve.asl.json", APPROVE))
    has_line(process, "waiting")
    assert command("activity", "poll", "none").stderr.startswith(
        "stepwell: Activity Does Not Exist"
    )
    taken = json.loads(command("activity", "poll", ACTIVITY + "approve").stdout)
    none = command("activity", "poll", "approve", "--timeout", "0.1")
    assert (none.returncode, none.stdout, none.stderr) == (
        3,
        "",
        "no task for approve within 0.1 s\n",
    )
    assert command("task", "heartbeat", taken["taskToken"]).returncode == 0
    for words in (["nonsense"], [taken["taskToken"], "--output", "{"]):
        done = command("task", "succeed", *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert command("task", "succeed", taken["taskToken"], "--output", "1").returncode == 0
    assert process.communicate(timeout=60)[0] == "1\n"
    assert command("task", "succeed", taken["taskToken"]).returncode == 2


# --- on a terminal --------------------------------------------------------------------------------


# Makes standard input the controlling terminal, so that Ctrl-C is a signal to all of the
# foreground, and does what the script does.
ON_TERMINAL = (
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from "
    "stepwell.integrations.cli.main import main; main()"
)


def on_terminal(
    arguments: list[str], env: dict[str, str], until: str, key: bytes
) -> tuple[int, str, str]:
    """Run with a terminal as standard error, press a key when it shows `until`; exit code, standard
    output, what the terminal got.
    """
    ours, theirs = pty.openpty()
    words = [sys.executable, "-c", ON_TERMINAL, *arguments]
    process = subprocess.Popen(
        words,
        env=env,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed when the process has ended
        while select.select([ours], [], [], 30)[0]:
            shown += os.read(ours, 65536)
            if key and until.encode() in shown:
                os.write(ours, key)
                key = b""
    output = process.communicate(timeout=60)[0]
    os.close(ours)
    return process.returncode, output, shown.decode()


def test_the_live_board_and_ctrl_c_at_the_keyboard(home, command, slow, tmp_path):
    machine, given, _ = slow
    allow(tmp_path, 1)
    env = {name: value for name, value in home.items() if name != "NO_COLOR"} | {
        "TERM": "xterm-256color",
        "COLUMNS": "100",
        "LINES": "20",
    }
    words = ["run", str(machine), "--input", given, "--name", "t"]
    code, output, shown = on_terminal(words, env, "Lambda: slow", b"\x03")
    assert (code, output) == (130, "")
    assert "Ctrl-C stops (resume: stepwell resume t)" in shown
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is back"
    assert "interrupted at " in shown.splitlines()[-1]
    assert "FAILED" not in command("executions", "list").stdout, (
        "the key reached the function's process too, had it been in the foreground"
    )
    allow(tmp_path, 2, 3)
    code, output, shown = on_terminal(["resume", "t"], env, "", b"")
    assert (code, json.loads(output)) == (0, json.loads(given))
    assert "✔ SUCCEEDED" in shown


def test_a_map_run_is_shown_with_its_final_counts(command_here, write):
    body = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Rest",
        "States": {
            "Rest": {"Type": "Wait", "Seconds": 2, "Next": "Which?"},
            "Which?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$", "NumericEquals": 3, "Next": "Bad"}],
                "Default": "Good",
            },
            "Bad": {"Type": "Fail", "Error": "Unlucky"},
            "Good": {"Type": "Succeed"},
        },
    }
    each = {"Type": "Map", "ToleratedFailureCount": 3, "ItemProcessor": body, "End": True}
    file = write("m.asl.json", {"StartAt": "Each", "States": {"Each": each}})
    done = command_here("run", file, "--name", "counted", "--input", "[1, 2, 3, 4]")
    assert json.loads(done.stdout) == [1, 2, 4]
    line = next(line for line in done.stderr.splitlines() if " ok " in line)
    assert line.endswith("3/4, 1 failed)")
    assert "3/4 · 1 failed" in command_here("executions", "show", "counted").stdout


def test_the_options_of_serve_are_the_settings_of_the_server():
    """Each option reaches its field, and both have the same default."""
    from stepwell.integrations.cli.commands import serve
    from stepwell.integrations.cli.declarations import running
    from stepwell.integrations.settings import Settings

    options = inspect.signature(running.serve).parameters.values()
    values = {option.name: option.default for option in options if option.name != "limits"}
    settings = serve.settings(**values)
    assert settings == Settings(db=settings.db)
