"""The commands of examples/README.md have the results in examples/expected.json."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXPECTED: dict[str, dict[str, Any]] = json.loads((EXAMPLES / "expected.json").read_text())
DEFINITIONS = sorted(path.name for path in EXAMPLES.glob("*.asl.*"))
EXIT_CODES = {"SUCCEEDED": 0, "FAILED": 1, "TIMED_OUT": 3, "ABORTED": 4}


def params(case: dict[str, Any]) -> list[str]:
    return [
        word
        for name, value in case.get("params", {}).items()
        for word in ("--param", f"{name}={value}")
    ]


def contains(actual: Any, expected: Any) -> bool:
    """Whether `actual` has all that `expected` has; objects may have more members."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            key in actual and contains(actual[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(map(contains, actual, expected))
        )
    return bool(actual == expected) and isinstance(actual, bool) == isinstance(expected, bool)


def squeeze(text: str) -> str:
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("name", EXPECTED)
def test_outcome(name, command_here, tmp_path):
    case = EXPECTED[name]
    kind = ["--type", case["type"]] if "type" in case else []
    database = ["--db", tmp_path / "examples.db"]
    done = command_here(
        "run",
        EXAMPLES / case["definition"],
        "--input",
        EXAMPLES / case["input"],
        *database,
        *kind,
        *params(case),
    )
    assert done.returncode == EXIT_CODES[case["status"]], done.stderr
    if case["status"] == "SUCCEEDED":
        assert contains(json.loads(done.stdout), case["output"]), done.stdout
    else:
        assert done.stdout == ""
        assert case["error"] in done.stderr
        assert squeeze(case["cause"]) in squeeze(done.stderr)  # long lines may be folded


def eventually(ask: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true result of `ask`."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)
    return answer


def events(command: Any, name: str, kind: str) -> list[dict[str, Any]]:
    """The events of one type that are on disk, read beside the process that runs the execution."""
    done = command("executions", "history", name, "--json")
    return [
        event for line in done.stdout.splitlines() if (event := json.loads(line))["type"] == kind
    ]


def approval_input(**patience: int) -> str:
    return json.dumps(
        {
            "request": "A new laptop",
            "amount": 1800,
            "limit": 500,
            "patience": {"manager": 1, "onCall": 1, **patience},
        }
    )


def test_the_manager_approves_by_the_activity(command, start):
    running = start(
        "run",
        EXAMPLES / "approval.asl.json",
        "--name",
        "ask",
        "--input",
        approval_input(manager=60),
    )
    eventually(lambda: events(command, "ask", "ActivityScheduled"))
    task = json.loads(
        command("activity", "poll", "approve", "--worker", "grace", "--timeout", "20").stdout
    )
    assert json.loads(task["input"]) == {"request": "A new laptop", "amount": 1800}
    assert (
        command(
            "task", "succeed", task["taskToken"], "--output", '{"approved": true, "by": "grace"}'
        ).returncode
        == 0
    )
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert json.loads(output)["message"] == "A new laptop for 1800 is approved by grace."
    assert events(command, "ask", "ActivityStarted")[0]["activityStartedEventDetails"] == {
        "workerName": "grace"
    }


def test_the_person_on_call_refuses_by_the_callback(command, start):
    running = start(
        "run", EXAMPLES / "approval.asl.json", "--name", "ask", "--input", approval_input(onCall=60)
    )
    eventually(lambda: events(command, "ask", "TaskSubmitted"))
    scheduled = events(command, "ask", "TaskScheduled")[0]["taskScheduledEventDetails"]
    token = json.loads(scheduled["parameters"])["Payload"]["token"]
    assert command("task", "fail", token, "--error", "No", "--cause", "too dear").returncode == 0
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert json.loads(output)["approved"] is False
    assert events(command, "ask", "TaskFailed")[0]["taskFailedEventDetails"]["cause"] == "too dear"


def test_the_quick_tour_of_the_readme(command, start):
    # it takes 15 seconds, of which 12 are left: enough to find it running on a busy machine
    given = '{"report": "nightly", "everySeconds": 3, "needed": 5, "patience": 9}'
    running = start("run", EXAMPLES / "polling.asl.json", "--name", "tour", "--input", given)
    eventually(lambda: len(events(command, "tour", "WaitStateEntered")) >= 2)
    running.kill()
    running.wait()
    assert json.loads(command("executions", "show", "tour", "--json").stdout)["status"] == "RUNNING"
    before = command("executions", "history", "tour", "--json").stdout
    resumed = command("resume", "tour")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout) == {"jobId": "job-nightly", "polls": 5, "percent": 100}
    after = command("executions", "history", "tour", "--json").stdout
    assert after.startswith(before)
    assert [json.loads(line)["id"] for line in after.splitlines()] == list(
        range(1, after.count("\n") + 1)
    )
    assert after.count('"WaitStateExited"') == 5
    assert command("inspect", "tour", "Is it done?").returncode == 0


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_is_valid(definition, command_here):
    case = next(case for case in EXPECTED.values() if case["definition"] == definition)
    done = command_here("validate", EXAMPLES / definition, *params(case))
    assert done.returncode == 0, done.stdout + done.stderr


def members(node: Any) -> Iterator[tuple[str, Any]]:
    """Every (key, value) of a JSON tree."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value
            yield from members(value)
    elif isinstance(node, list):
        for value in node:
            yield from members(value)


def test_the_examples_use_the_whole_language():
    trees = [yaml.safe_load((EXAMPLES / name).read_text()) for name in DEFINITIONS]
    found = list(members(trees))
    text = json.dumps(trees)
    keys = {key for key, _ in found}
    assert {value for key, value in found if key == "Type"} == {
        "Pass",
        "Task",
        "Choice",
        "Wait",
        "Succeed",
        "Fail",
        "Parallel",
        "Map",
    }
    assert keys >= {
        "Retry",
        "Catch",
        "Assign",
        "MaxConcurrency",
        "JitterStrategy",
        "MaxDelaySeconds",
        "Condition",
        "ItemSelector",
    }
    assert "JSONata" in {value for key, value in found if key == "QueryLanguage"}
    assert any(key == "Variable" for key in keys), "JSONPath"
    assert len(set(re.findall(r"States\.[A-Z]\w+(?=\()", text))) >= 6, "intrinsic functions"
    for needle in (
        ":activity:",
        ".waitForTaskToken",
        "states:::lambda:invoke",
        "$$.State.RetryCount",
        "$partition(",
    ):
        assert needle in text


def test_every_file_is_used_and_listed():
    text = "".join((EXAMPLES / name).read_text() for name in DEFINITIONS)
    functions = {path.stem for path in (EXAMPLES / "functions").glob("*.py")}
    used = set(re.findall(r":function:([\w-]+)", text)) | set(
        re.findall(r'"FunctionName": "([\w-]+)"', text)
    )
    assert used == functions
    assert {case["definition"] for case in EXPECTED.values()} == set(DEFINITIONS)
    inputs = {path.name for path in EXAMPLES.glob("*.json")} - set(DEFINITIONS) - {"expected.json"}
    assert {case["input"] for case in EXPECTED.values()} == inputs
    table = (EXAMPLES / "README.md").read_text()
    assert [name for name in DEFINITIONS if name not in table] == []


def test_the_library_example():
    program = EXAMPLES / "library" / "activity_and_callback.py"
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.returncode) == ('{"approved":true}\n', 0), done.stderr
