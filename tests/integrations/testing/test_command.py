"""`stepwell test`: scenario files and mock files, what differs, reports, and exit codes."""

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest
from tests.conftest import ROOT, Command

from stepwell.integrations.cli.commands.testing import test as command_module
from stepwell.integrations.testing.scenarios import runs

EXAMPLE = ROOT / "examples" / "testing"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the example's machine, in the current folder."""
    shutil.copy(EXAMPLE / "checkout.asl.json", tmp_path)
    monkeypatch.chdir(tmp_path)
    runs.forget()
    return tmp_path


def run(*paths: str, **options: Any) -> int:
    """The command in this process."""
    given: dict[str, Any] = {
        **dict.fromkeys(("keyword", "jobs", "junit_file", "params", "cov_report", "cov_min")),
        **dict.fromkeys(("fail_fast", "json", "quiet", "watch", "cov"), False),
        "param": [],
        "input": "{}",
        **options,
    }
    order = ("keyword", "fail_fast", "jobs", "junit_file", "json", "quiet", "watch")
    order += ("cov", "cov_report", "cov_min", "param", "params", "input")
    return command_module.test([Path(each) for each in paths], *(given[name] for name in order))


def scenario(text: str, **members: Any) -> str:
    """A scenario file whose tasks are mocked. YAML has JSON within."""
    mocks = {
        "Charge": {"Payload": {"chargeId": "c"}},
        "Hand over": "t",
        "Tell the customer": {"MessageId": "m"},
    }
    extra = "".join(f"{name}: {json.dumps(value)}\n" for name, value in members.items())
    return f"{extra}mocks: {json.dumps(mocks)}\nscenarios:\n{text}"


def test_the_scenarios_of_the_example_pass(command: Command) -> None:
    ran = command("test", EXAMPLE)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stderr.splitlines()
    assert lines[0].startswith(f"ok {EXAMPLE}/checkout.test.yaml:8 An order with two parcels  1 d")
    assert "passed" in lines[-1]
    assert ran.stdout == ""


def test_what_differs_is_shown_with_its_place(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "checkout.test.yaml").write_text(
        scenario(
            """
  - name: wrong output
    input: {orderId: "7", amount: 1, parcels: [a]}
    expect:
      output: {orderId: "8", tracking: [t], paid: true}
      visited: [Charge, Ship, Hand over, Done]
      states: {Charge: {attempts: 2, visits: 2}, Nowhere: {attempts: 1}}
      duration: 3
  - name: wrong error
    input: {orderId: "7", amount: 1}
    mocks: {Charge: {error: CardDeclined, cause: none}}
    expect:
      error: Other
      cause_contains: blue
      not_visited: [Charge]
      visited_contains: [Declined, Charge]
  - name: wrong status
    input: {orderId: "7", amount: 1, parcels: []}
    expect: {status: TIMED_OUT}
""",
        )
    )
    assert run() == 1
    shown = capsys.readouterr().err
    assert (
        """
    checkout.test.yaml:7:7: output differs
      $.orderId: expected "8", got "7"
      $.paid: missing, expected true
    checkout.test.yaml:8:7: visited differs
        Charge
      + Cooling-off
        Ship
        Hand over
        Done
    checkout.test.yaml:10:7: duration: expected 3 s, got 86400 s (1 d)
    checkout.test.yaml:9:25: Charge: attempts differs
      expected 2, got 1
    checkout.test.yaml:9:38: Charge: expected 2 visits, got 1
    checkout.test.yaml:9:50: there is no state 'Nowhere'"""
        in shown
    )
    assert (
        """
    checkout.test.yaml:15:7: error differs
      expected "Other", got "Declined"
    checkout.test.yaml:16:7: cause differs
      expected it to contain 'blue'
      got 'The card was declined.'
    checkout.test.yaml:18:7: not visited in this order: Charge
    checkout.test.yaml:17:21: visited, but should not be: Charge
    checkout FAILED: Declined: The card was declined.
    failed at: Declined
    its input: {"MessageId":"m"}
    visited: Charge (caught CardDeclined) → Tell the customer → Declined
"""
        in shown
    )
    assert "21:14: status: expected TIMED_OUT, got SUCCEEDED" in shown
    assert "\n3 failed  in " in shown


def test_mistakes_in_a_scenario(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "checkout.test.yaml").write_text(
        """
mock_file: mocks.json
scenarios:
  - name: nothing answers
    input: {orderId: "7", amount: 1}
  - name: no such state
    mocks: {Charg: 1}
  - name: no such file
    input_file: none.json
  - name: no such case
    case: Other
  - name: exhausted
    input: {orderId: "7", amount: 1}
    mocks: {Charge: [{error: BankBusy}]}
  - name: unused
    input: {orderId: "7", amount: 1, parcels: []}
    mocks: {Charge: [{Payload: {chargeId: c}}, 2], Hand over: 1}
  - name: unused in a failure
    input: {orderId: "7", amount: 1, parcels: []}
    mocks: {Charge: [{Payload: {chargeId: c}}, 2], Hand over: 1}
    expect: {output: 1}
  - name: later
    skip: not yet
"""
    )
    (project / "mocks.json").write_text(
        '{"StateMachines": {"Checkout": {"TestCases": {"Happy": {}}}}, "MockedResponses": {}}'
    )
    assert run() == 1
    shown = capsys.readouterr().err
    for line in (
        "checkout.test.yaml:4:5: the state 'Charge' calls the function charge-card, which nothing "
        "answers: add it to mocks, as in {Charge: RESULT} or write functions/charge-card.py",
        "checkout.test.yaml:7:13: checkout has no state 'Charg': did you mean 'Charge'?",
        "checkout.test.yaml:9:5: none.json: No such file or directory",
        "checkout.test.yaml:11:5: mocks.json has no test case 'Other' of the state machine "
        "'Checkout'; there are 'Happy'",
        "12:5: State 'Charge' has no mocked response for attempt 1",
        "    checkout.test.yaml:17:13: response 1 of state 'Charge' in test case 'unused' was",
        ": state 'Hand over' of test case 'unused' was not run",
        ": mocks not used: 'Hand over', 'Charge' response 1\n",
        "skipped checkout.test.yaml:22 later  not yet",
    ):
        assert line in shown
    assert "6 failed, 1 passed, 1 skipped, 2 with warnings  in " in shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- name: a", "1:1: the file must have members, such as scenarios: [...]"),
        ("scenarios: {a: 1}", "1:1: scenarios must be a list, such as [A, B]"),
        ("scenarios: []", "1:1: scenarios must not be empty"),
        ("scenarios: [{name: 7}]", "1:14: name must be text; write a number, true or null in qu"),
        ("scenarios: [{name: a, start: soon}]", "1:23: start must be a time such as 2026-01-31T"),
        (
            "scenarios: [{name: a, expect: {status: failed}}]",
            "1:32: status must be 'SUCCEEDED', 'FAILED', 'TIMED_OUT' or 'ABORTED'",
        ),
        ("scenarios: [{name: a, expect: {states: {Charge: 1}}}]", "1:41: Charge must have names"),
        ("scenarios: [{name: a, expect: {duration: 1h}}]", "1:32: duration must be a number"),
    ],
)
def test_members_of_another_type(
    text: str, problem: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "checkout.test.yaml").write_text(text + "\n")
    assert run(".") == 2
    assert capsys.readouterr().err.startswith(f"checkout.test.yaml:{problem}")


def test_errors_of_one_file_do_not_hide_the_others(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "good.test.yaml").write_text(
        scenario(
            "  - {name: good, input: {orderId: 1, amount: 1, parcels: []}}",
            machine="checkout.asl.json",
        )
    )
    (project / "a.test.yaml").write_text("scenarios: [{name: a}]")
    (project / "b.test.yaml").write_text("scenarios:\n  - name: a\n    name: b\n")
    (project / "checkout.test.yaml").write_text(
        """machin: x
scenarios:
  - nam: y
    expect: {outptu: 1, status: GOOD, states: {A: {inputs: 1}}}
  - name: z
    expect: {error: x, output: 1}
"""
    )
    (project / "c.test.json").write_text('{"scenarios": [}')
    (project / "MockConfigFile.json").write_text(
        '{"StateMachines": {"Other": {"TestCases": {"A": {"Charge": "None"}}}}}'
    )
    (project / "broken.asl.json").write_text(
        '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}'
    )
    (project / "broken.test.yaml").write_text("scenarios: [{name: a}, {name: b}]")
    assert run(junit_file=project / "report.xml") == 2
    report = xml.parse(project / "report.xml").getroot()
    suites = {suite.get("name"): suite for suite in report}
    assert (report.get("tests"), report.get("errors"), report.get("failures")) == ("13", "12", "0")
    assert suites["checkout.test.yaml"].attrib == {
        "name": "checkout.test.yaml",
        "tests": "7",
        "failures": "0",
        "errors": "7",
        "skipped": "0",
        "time": "0.000",
    }
    (case,) = suites["broken.asl.json"]
    assert (case.get("line"), case.get("file")) == ("1", "broken.asl.json")
    assert "MISSING_TRANSITION_TARGET Missing 'Next' target" in str(case[0].get("message"))
    shown = capsys.readouterr().err.splitlines()
    broken = [line for line in shown if line.startswith("broken")]
    assert broken == [  # once, and not for each scenario
        "broken.asl.json:1:51: ERROR MISSING_TRANSITION_TARGET Missing 'Next' target: B at "
        "/States/A/Next"
    ]
    for line in (
        "a.test.yaml:1:1: there is no definition a.asl.json",
        "b.test.yaml:3:5: duplicate key 'name', also at 2:5",
        "checkout.test.yaml:1:1: unknown member 'machin': did you mean 'machine'?",
        "checkout.test.yaml:3:5: the member 'name' is missing",
        "checkout.test.yaml:3:5: unknown member 'nam': did you mean 'name'?",
        "checkout.test.yaml:4:14: unknown member 'outptu': did you mean 'output'?",
        "checkout.test.yaml:4:52: unknown member 'inputs': did you mean 'input'?",
        "checkout.test.yaml:6:5: an execution that has FAILED has no output",
    ):
        assert line in shown
    assert any(line.startswith("c.test.json:1:17: ") for line in shown), shown
    assert any("MockedResponses has no 'None'" in line for line in shown)
    assert any(line.startswith("ok good.test.yaml") for line in shown)


def test_nothing_to_run_is_an_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert "no scenarios in .: write NAME.test.yaml beside NAME.asl.json" in capsys.readouterr().err
    shutil.copy(EXAMPLE / "checkout.test.yaml", project)
    assert run(keyword="nowhere") == 2
    assert "has 'nowhere' in its name (-k)" in capsys.readouterr().err
    assert run("missing") == 2
    assert capsys.readouterr().err.startswith("missing: there is no such file or folder")
    assert run("checkout.asl.json", keyword="TWO parcels") == 0
    assert "1 passed" in capsys.readouterr().err


def test_test_cases_of_a_mock_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = {"A": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage"}}
    states["A"] |= {"Parameters": {"MessageBody": "x"}, "End": True}  # type: ignore[dict-item]
    definition = {"StartAt": "A", "States": states}
    (project / "SendIt.asl.json").write_text(json.dumps(definition))
    cases = {"Happy": {"A": "Sent"}, "Fails": {"A": "Fails"}, "Empty": {}}
    responses = {
        "Sent": {"0": {"Return": {"MessageId": "m"}}},
        "Fails": {"0": {"Throw": {"Error": "Sqs.Broken", "Cause": "c"}}},
    }
    mocks = {
        "StateMachines": {
            "send-it": {"TestCases": cases},
            "Checkout": {"TestCases": {"No input": {}}},
        },
        "MockedResponses": responses,
    }
    (project / "MockConfigFile.json").write_text(json.dumps(mocks, indent=1))
    assert run() == 1
    shown = capsys.readouterr().err
    assert "ok MockConfigFile.json:5 send-it#Happy" in shown
    assert "ok MockConfigFile.json:8 send-it#Fails" in shown  # its error may be what is tested
    assert "the state 'A' calls arn:aws:states:::sqs:sendMessage, which nothing answers" in shown
    assert "it ended with States.Runtime" in shown
    hint = "it ran with the input {}; for another one, use --input, or write checkout.test.json: {"
    assert hint in shown
    content = {"mock_file": "MockConfigFile.json", "scenarios": [{"name": "a", "case": "Happy"}]}
    (project / "SendIt.test.json").write_text(json.dumps(content))
    assert run() == 1  # the scenario file is for its state machine alone
    shown = capsys.readouterr().err
    assert "ok SendIt.test.json:1 a" in shown
    assert "send-it#Fails" not in shown
    assert "FAILED MockConfigFile.json:16 Checkout#No input" in shown
    (project / "order.json").write_text('{"orderId": "7", "amount": 1, "parcels": []}')
    charge = {"0": {"Return": {"Payload": {"chargeId": "c"}}}}
    mocks["MockedResponses"] = {**responses, "Charged": charge}
    mocks["StateMachines"]["Checkout"] = {"TestCases": {"Paid": {"Charge": "Charged"}}}
    (project / "MockConfigFile.json").write_text(json.dumps(mocks))
    runs.forget()
    assert run(input="@order.json", keyword="Paid") == 0


def test_reports_are_json_and_junit(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "checkout.test.yaml").write_text(
        scenario(
            """
  - {name: good, input: {orderId: 1, amount: 1, parcels: []}}
  - {name: "bad \\u0001", input: {orderId: 1, amount: 1, parcels: []}, expect: {output: 1}}
  - {name: later, skip: not yet}
"""
        )
    )
    assert run(json=True, junit_file=Path("junit.xml")) == 1
    printed = capsys.readouterr()
    good, bad, later = map(json.loads, printed.out.splitlines())
    assert (good["status"], bad["status"], later["status"]) == ("passed", "failed", "skipped")
    assert good["simulatedSeconds"] == 86400
    assert good["result"]["visited"] == ["Charge", "Cooling-off", "Ship", "Done"]
    assert bad["failures"][0][0] == "checkout.test.yaml:5:80: output differs"
    root = xml.parse(project / "junit.xml").getroot()
    assert root.attrib["tests"] == "3"
    suite = root[0]
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("1", "1")
    assert [case.attrib["line"] for case in suite] == ["4", "5", "6"]
    failure = suite[1].find("failure")
    assert failure is not None and "checkout SUCCEEDED with" in str(failure.text)


def test_in_processes_and_fail_fast(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = "\n".join(
        f"  - {{name: 'n{number}', input: {{orderId: {number}, amount: 1, parcels: []}}, expect: "
        f"{{output_contains: {{orderId: {number if number != 6 else 0}}}}}}}"
        for number in range(12)
    )
    (project / "checkout.test.yaml").write_text(scenario(many))
    assert run(jobs=2) == 1
    lines = capsys.readouterr().err.splitlines()
    shown = [line.split("  ")[0].split()[-1] for line in lines if line[:1] != " "]
    assert [each for each in shown if each.startswith("n")] == [f"n{each}" for each in range(12)]
    assert run(jobs=2, fail_fast=True, quiet=True) == 1
    assert "1 failed, 6 passed, 5 not run" in capsys.readouterr().err


def test_placeholders_and_functions(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "checkout.asl.json").read_text().replace("86400", "${Days}")
    (project / "checkout.asl.json").write_text(text)
    (project / "own").mkdir()
    (project / "own" / "charge-card.py").write_text(
        "def handler(event, context):\n    return {'chargeId': event['orderId']}\n"
    )
    (project / "checkout.test.yaml").write_text(
        """
params: {Days: 60}
functions: own
scenarios:
  - name: own function
    input: {orderId: c-7, amount: 1, parcels: []}
    expect: {duration: 60, states: {Charge: {output_contains: {charge: {id: c-7}}}}}
  - name: other days
    params: {Days: 61}
    start: 2026-03-01 12:00:00
    input: {orderId: c-7, amount: 1, parcels: []}
    expect: {duration: 61}
"""
    )
    assert run() == 0, capsys.readouterr().err


def test_placeholders_without_a_value(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "checkout.asl.json").read_text()
    text = text.replace(
        "arn:aws:lambda:us-east-1:123456789012:function:hand-over-parcel", "${Hand}"
    )
    (project / "checkout.asl.json").write_text(text)
    one = "  - {name: %s, input: {orderId: 1, amount: 1, parcels: [p]}, expect: %s}"
    good = one % ("a", "{output_contains: {tracking: [t]}}")
    (project / "checkout.test.yaml").write_text(scenario(f"{good}\n{one % ('b', '{}')}"))
    assert run() == 0
    shown = capsys.readouterr().err
    assert shown.count("NOTE UNFILLED no value yet for ${Hand}") == 1


def test_watch_runs_what_changed(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project / "checkout.test.yaml"
    file.write_text(scenario("  - {name: first, input: {orderId: 1, amount: 1, parcels: []}}"))
    other = project / "other.test.yaml"
    other.write_text(
        scenario(
            "  - {name: other, input: {orderId: 1, amount: 1, parcels: []}}",
            machine="checkout.asl.json",
        )
    )
    shown = []
    watching = threading.Event()

    def end_after_a_change(*arguments: Any) -> Any:
        shown.append(capsys.readouterr().err)
        if watching.is_set():
            raise KeyboardInterrupt
        watching.set()
        file.write_text(file.read_text().replace("first", "second"))
        time.sleep(0)
        return changed(*arguments)

    changed = command_module.watching.changed
    monkeypatch.setattr(command_module.watching, "changed", end_after_a_change)
    assert run(watch=True) == 0
    assert "first" in shown[0] and "other" in shown[0]
    assert "second" in shown[1] and "other" not in shown[1]


def test_watch_sees_a_change_during_the_first_run(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project / "checkout.test.yaml"
    file.write_text(scenario("  - {name: first, input: {orderId: 1, amount: 1, parcels: []}}"))
    run_one = runs.run

    def change_then_end(job: runs.Job, settings: runs.Settings) -> runs.Outcome:
        if job.name == "second":
            raise KeyboardInterrupt
        file.write_text(file.read_text().replace("first", "second"))
        return run_one(job, settings)

    monkeypatch.setattr(runs, "run", change_then_end)
    assert run(watch=True) == 0
    assert "waiting for changes" in capsys.readouterr().err


def test_coverage_is_shown_and_has_a_threshold(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = "  - {name: good%d, input: {orderId: 1, amount: 1, parcels: [a]}}"
    (project / "checkout.test.yaml").write_text(scenario("\n".join(good % n for n in range(9))))
    assert run(cov=True, jobs=2) == 0
    shown = capsys.readouterr().err
    # by hand: 5 of 7 states, the branch of the Map; not the catcher, not the retrier
    assert "checkout.asl.json     5/7      -       1/1       0/1       0/1     60 %" in shown
    assert 'checkout.asl.json:35: not covered: state "Tell the customer"' in shown
    assert run(cov_min=61.0, cov_report=Path("cov.html")) == 1
    assert "60 % are covered, less than the 61 % of --cov-min" in capsys.readouterr().err
    assert "<svg" in (project / "cov.html").read_text()
    assert run(cov_min=60.0, cov_report=Path("cov.json"), json=True) == 0
    counted = json.loads((project / "cov.json").read_text())
    assert (counted["covered"], counted["machines"][0]["executions"]) == (6, 9)
    assert run(cov_report=Path("cov.txt")) == 2
    assert "cov.txt: a report of coverage is .html or .json" in capsys.readouterr().err


def test_a_mock_file_beside_others(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is named runs alone, also if it has no test case, or is not JSON."""
    machines = {"checkout": {"TestCases": {"Any": {"Charge": "Busy"}}}, "empty": {}}
    mocks = {"StateMachines": machines, "MockedResponses": {"Busy": {"0": {"Throw": {}}}}}
    (project / "first.json").write_text(json.dumps(mocks))
    (project / "second.json").write_text(json.dumps(mocks))
    (project / "third.json").write_text('// mocks\n{"StateMachines": {}}')
    assert run("first.json", input='{"orderId": "7", "amount": 1}') == 0
    err = capsys.readouterr().err
    assert "first.json:1:76: warning: there is no 'TestCases'" in err
    assert [line.split(" ")[1] for line in err.splitlines() if line.startswith("ok ")] == [
        "first.json:1"
    ]
    assert run("third.json") == 2
    assert "third.json:1:2: not JSON" in capsys.readouterr().err


TEMPLATE = """
Resources:
  Orders:
    Type: AWS::Serverless::StateMachine
    Properties: {Name: order-flow, Type: EXPRESS, DefinitionUri: statemachine/orders.asl.json}
  Refunds:
    Type: AWS::StepFunctions::StateMachine
    Properties: {DefinitionString: '{"StartAt": "Give back", "States": {"Give back": TASK}}'}
"""


def test_machines_of_a_template_have_their_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"}
    text = TEMPLATE.replace("TASK", json.dumps({**task, "End": True}))
    (tmp_path / "template.yaml").write_text(text)
    (tmp_path / "statemachine").mkdir()
    orders = {"Charge": {**task, "Next": "Never"}, "Never": {"Type": "Fail"}}
    file = tmp_path / "statemachine" / "orders.asl.json"
    file.write_text(json.dumps({"StartAt": "Charge", "States": orders}))
    (tmp_path / "orders.test.yaml").write_text(
        "machine: template.yaml#Orders\nmock_file: MockConfigFile.json\n"
        "scenarios: [{name: busy, case: Busy, expect: {error: Busy}}]\n"
    )
    (tmp_path / "MockConfigFile.json").write_text(
        json.dumps(
            {
                "StateMachines": {
                    "order-flow": {"TestCases": {"Busy": {"Charge": "Busy"}}},
                    "Refunds": {"TestCases": {"Done": {"Give back": "Done"}}},
                },
                "MockedResponses": {
                    "Busy": {"0": {"Throw": {"Error": "Busy"}}},
                    "Done": {"0": {"Return": 1}},
                },
            }
        )
    )
    monkeypatch.chdir(tmp_path)
    runs.forget()
    for paths in [(".",), ("template.yaml", "MockConfigFile.json")]:
        assert run(*paths, junit_file=Path("report.xml"), cov=True) == 0
        err = capsys.readouterr().err
        assert "ok orders.test.yaml:3 busy" in err
        assert "ok MockConfigFile.json:1 Refunds#Done" in err
        assert "\nRefunds (template.yaml)        1/1" in err
        assert "\norder-flow (template.yaml)     1/2" in err
        assert '\nstatemachine/orders.asl.json:1: not covered: state "Never"' in err
    (tmp_path / "orders.test.yaml").unlink()
    for name in ("orders", "order-flow", "Any"):  # by its file, by its name, or the only one
        only = TEMPLATE.partition("  Refunds")[0]
        (tmp_path / "template.yaml").write_text(only.replace("Type: EXPRESS", "Type: STANDARD"))
        mocks = {"StateMachines": {name: {"TestCases": {"A": {"Charge": "B"}}}}}
        mocks["MockedResponses"] = {"B": {"0": {"Throw": {"Error": "Busy"}}}}
        (tmp_path / "MockConfigFile.json").write_text(json.dumps(mocks))
        runs.forget()
        assert run(".", cov=True) == 0
        assert "order-flow (template.yaml)" in capsys.readouterr().err
    (tmp_path / "template.yaml").write_text(text)
    cases = xml.parse("report.xml").getroot().findall("testsuite/testcase")
    assert [each.get("classname") for each in cases] == ["order-flow", "Refunds"]
    assert run("template.yaml#Refunds", "template.yaml#Nowhere") == 2
    problem = "template.yaml#Nowhere: the template has no state machine Nowhere; it has Orders, Re"
    assert problem in capsys.readouterr().err
