"""The pytest plugin, in runs of the real pytest."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from tests.conftest import ROOT

pytest_plugins = ["pytester"]
PLUGIN = "stepwell.integrations.testing.plugin"
INSTALLED = any(each.value == PLUGIN for each in entry_points(group="pytest11"))
# playwright's plugin does not support a run within a run
ARGUMENTS = (
    "-p",
    "no:cacheprovider",
    "-p",
    "no:playwright",
    *(() if INSTALLED else ("-p", PLUGIN)),
)
ORDER = {
    "StartAt": "Charge",
    "States": {
        "Charge": {
            "Type": "Task",
            "Resource": "arn:aws:lambda:us-east-1:123456789012:function:charge",
            "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 60, "MaxAttempts": 5}],
            "Next": "Wait",
        },
        "Wait": {"Type": "Wait", "Seconds": 3600, "End": True},
    },
}


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a definition and a function in its root, and tests/ in it."""
    pytester.makefile(".asl.json", order=json.dumps(ORDER))
    pytester.makefile(".ini", pytest="[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.mkdir("functions")
    function = pytester.path / "functions" / "charge.py"
    function.write_text("def handler(event, context):\n    return {'charged': event['id']}\n")
    pytester.mkdir("tests")
    return pytester


def run(project: pytest.Pytester, test: str, *arguments: str) -> pytest.RunResult:
    (project.path / "tests" / "test_order.py").write_text(test)
    return project.runpytest_inprocess(*ARGUMENTS, *arguments)


def run_alone(project: pytest.Pytester, test: str, *arguments: str) -> pytest.RunResult:
    """In a process of its own: a run in this one imports some modules twice."""
    (project.path / "tests" / "test_order.py").write_text(test)
    return project.runpytest_subprocess(*ARGUMENTS, *arguments)


def test_workflows(project: pytest.Pytester) -> None:
    ran = run(
        project,
        """
def test_mock(workflow):
    result = workflow("order.asl.json").mock("Charge", error="Busy", times=2).mock(
        "Charge", {"charged": 7}).run({"id": 7})
    assert result.status == "SUCCEEDED"
    assert result.output == {"charged": 7}
    assert result.duration == 60 + 120 + 3600

def test_function(workflow):
    assert workflow("order.asl.json").run({"id": 8}).output == {"charged": 8}

def test_callable(workflow):
    tested = workflow("order.asl.json", functions={"charge": lambda event: "own"})
    assert tested.run({"id": 8}).output == "own"

def test_engine(stepwell_engine, stepwell_clock):
    import json
    definition = json.load(open("order.asl.json"))
    before = stepwell_clock.now()
    assert stepwell_engine.run(definition, {"id": 9}) == {"charged": 9}
    assert stepwell_clock.now() - before >= 3_600_000
""",
    )
    ran.assert_outcomes(passed=4)


def test_definitions_of_a_template_and_other_machines(project: pytest.Pytester) -> None:
    """Paths are those of the test's file, or of the project."""
    project.makefile(
        ".yaml",
        template="""
Resources:
  Orders: {Type: AWS::StepFunctions::StateMachine, Properties: {DefinitionUri: order.asl.json}}
""",
    )
    start = {"StateMachineArn": "${Orders}", "Input.$": "$"}
    resource = "arn:aws:states:::states:startExecution.sync:2"
    task = {"Type": "Task", "Resource": resource, "Parameters": start, "End": True}
    project.makefile(".asl.json", outer=json.dumps({"StartAt": "Go", "States": {"Go": task}}))
    ran = run_alone(
        project,
        """
def test_template(workflow):
    assert workflow("template.yaml#Orders").mock("Charge", 1).run({}).output == 1

def test_other(workflow):
    outer = workflow("outer.asl.json", machines={"Orders": "order.asl.json"})
    result = outer.run({"id": 7})
    assert result.execution("Orders").output == {"charged": 7}

def test_lost(workflow):
    workflow("outer.asl.json", machines={"Orders": "orders.asl.json"})
""",
    )
    ran.assert_outcomes(passed=2, failed=1)
    ran.stdout.fnmatch_lines(["*there is no file orders.asl.json in *"])


def test_definitions_in_the_folders_around_a_test(project: pytest.Pytester) -> None:
    """Without a pytest.ini, the folder that is named is pytest's rootdir."""
    (project.path / "pytest.ini").unlink()
    test = """
def test_around(workflow):
    assert workflow("order.asl.json").run({"id": 7}).output
    assert workflow("order.asl.json").mocks("mocks.json", "Paid").run({}).output == 7
    assert workflow("order.asl.json", params="mocks.json").plan.parameters["MockedResponses"]
"""
    mocks = {
        "StateMachines": {"order": {"TestCases": {"Paid": {"Charge": "Paid"}}}},
        "MockedResponses": {"Paid": {"0": {"Return": 7}}},
    }
    (project.path / "tests" / "mocks.json").write_text(json.dumps(mocks))
    (project.path / "tests" / "test_order.py").write_text(test)
    project.runpytest_inprocess(*ARGUMENTS, "tests").assert_outcomes(passed=1)


def test_a_failure_explains_itself(project: pytest.Pytester) -> None:
    ran = run(
        project,
        """
def test_status(workflow):
    result = workflow("order.asl.json").mock("Charge", error="Declined", cause="no money").run()
    assert result.status == "SUCCEEDED"

def test_unmocked(workflow):
    workflow("order.asl.json", functions={"other": print}).state("Charge").run()

def test_output(workflow):
    assert workflow("order.asl.json").mock("Charge", 1).run().output == 2
""",
    )
    ran.assert_outcomes(failed=2, passed=1)
    ran.stdout.fnmatch_lines(
        [
            "*AssertionError: assert 'FAILED' == 'SUCCEEDED'",
            "*order FAILED: Declined: no money",
            "*failed at: Charge",
            "*its input: {}",
            "*visited: Charge",
            "*assert 1 == 2*",
            "*where 1 = <order SUCCEEDED with 1; visited: Charge → Wait>.output",
        ]
    )


def test_mistakes_are_shown_at_the_line_of_the_test(project: pytest.Pytester) -> None:
    ran = run(
        project,
        """
def test_state(workflow):
    workflow("order.asl.json").mock("Chargee", 1)

def test_file(workflow):
    workflow("ordr.asl.json")

def test_visit(workflow):
    workflow("order.asl.json").mock("Charge", 1).run().state("Wayt")

def test_alone(workflow):
    workflow("order.asl.json", functions={"other": print}).state("Charge").run(mok=1)

def test_assertion(workflow):
    workflow("order.asl.json").mock("Charge", 1).run().assert_failed("Declined")
""",
    )
    ran.assert_outcomes(failed=5)
    ran.stdout.fnmatch_lines(
        [
            "E*WorkflowTestError: order has no state 'Chargee': did you mean 'Charge'[?]",
            f"E*there is no file ordr.asl.json in {project.path}/tests or the folders around it",
            "E*LookupError: there is no state 'Wayt': did you mean 'Wait'[?]",
            "E*TypeError:*'mok'",
            "E*AssertionError: expected FAILED with Declined",
        ]
    )
    shown = [line for line in ran.outlines if ".py:" in line and "test_order.py:" not in line]
    assert [line for line in shown if "state_tests.py" not in line] == []  # of the TypeError


def test_snapshots(project: pytest.Pytester) -> None:
    test = """
def test_history(workflow, stepwell_snapshot):
    stepwell_snapshot(workflow("order.asl.json").mock("Charge", %s).run())
"""
    missing = run(project, test % 1)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(
        ["there is no snapshot *test_history.json: `pytest --stepwell-up*"]
    )
    run(project, test % 1, "--stepwell-update").assert_outcomes(passed=1)
    kept = project.path / "tests" / "snapshots" / "test_order" / "test_history.json"
    assert json.loads(kept.read_text())[-1]["seconds"] == 3600
    run(project, test % 1).assert_outcomes(passed=1)
    changed = run(project, test % 2)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(
        ["the history differs from its snapshot; *", '-    "output": 1*', '+    "output": 2*']
    )


def test_server_and_client(project: pytest.Pytester) -> None:
    pytest.importorskip("boto3")
    (project.path / "tests" / "conftest.py").write_text(
        """
import pytest

@pytest.fixture(scope="session")
def stepwell_server_options():
    return ["--functions", "functions"]
"""
    )
    ran = run(
        project,
        """
import boto3, json

WAIT = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}

def test_client(stepwell_client):
    made = stepwell_client.create_state_machine(
        name="m", definition=json.dumps(WAIT), roleArn="arn:aws:iam::123456789012:role/r")
    assert made["stateMachineArn"].endswith(":m")

def test_environment(stepwell_environment):
    assert len(boto3.client("stepfunctions").list_state_machines()["stateMachines"]) == 1
    assert boto3.client("sqs").create_queue(QueueName="q")["QueueUrl"]

def test_url(stepwell_server):
    import urllib.request
    assert urllib.request.urlopen(stepwell_server.url + "/ready").status == 200
""",
    )
    ran.assert_outcomes(passed=3)


def test_a_task_without_an_answer_is_shown_at_the_line_of_the_test(
    project: pytest.Pytester,
) -> None:
    (project.path / "functions" / "charge.py").unlink()
    test = """
def test_paid(workflow):
    workflow("order.asl.json").run()
"""
    ran = run_alone(project, test)
    ran.stdout.fnmatch_lines([">*workflow(*run()", "E *UnansweredTaskError: *'Charge'*"])
    assert "background.py" not in ran.stdout.str()


def test_coverage(project: pytest.Pytester) -> None:
    test = """
def test_paid(workflow):
    assert workflow("order.asl.json").mock("Charge", 1).run().output == 1
"""
    ran = run_alone(project, test, "--stepwell-cov=cov.html", "--stepwell-cov-min=70")
    ran.assert_outcomes(passed=1)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines(
        [
            "*coverage of state machines*",
            "order.asl.json     2/2      -         -         -       0/1     66 %",
            'order.asl.json:1: not covered: retrier 1 (Busy) of "Charge"',
            "66 % are covered, less than the 70 % of --stepwell-cov-min",
        ]
    )
    assert "<svg" in (project.path / "cov.html").read_text()
    assert run_alone(project, test, "--stepwell-cov").ret == 0
    wrong = run_alone(project, test, "--stepwell-cov=cov.txt")
    wrong.stderr.fnmatch_lines(["ERROR: --stepwell-cov cov.txt: a report of coverage is *"])


def test_coverage_without_the_fixture_and_of_several_processes(project: pytest.Pytester) -> None:
    test = """
import stepwell

def test_paid():
    assert stepwell.workflow("order.asl.json").mock("Charge", 1).run().output == 1

def test_busy():
    busy = stepwell.workflow("order.asl.json").mock("Charge", error="Busy", times=1)
    assert busy.mock("Charge", 1).run().output == 1
"""
    every = "order.asl.json     2/2      -         -         -       1/1    100 %"
    for options in ((), ("-p", "xdist", "-n", "2")):
        wanted = ("--stepwell-cov", "--stepwell-cov-min=100", *options)
        ran = run_alone(project, test, *wanted)
        assert ran.ret == 0
        ran.stdout.fnmatch_lines([every])


def test_async_tests(project: pytest.Pytester) -> None:
    ran = run(
        project,
        """
import pytest

@pytest.mark.asyncio
async def test_both(workflow):
    tested = workflow("order.asl.json").mock("Charge", "paid")
    assert (await tested.run_async()).output == "paid"
    assert tested.run().output == "paid"
""",
    )
    ran.assert_outcomes(passed=1)


def test_nothing_is_imported_where_it_is_not_used() -> None:
    code = (
        f"import sys, pytest, {PLUGIN}\n"
        "loaded = [name for name in sys.modules if name.startswith('stepwell')]\n"
        "print(sorted(loaded))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout.strip() == str(
        sorted(["stepwell", "stepwell.integrations", "stepwell.integrations.testing", PLUGIN])
    )
