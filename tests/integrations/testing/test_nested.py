"""Executions that a workflow under test starts: their definitions, mocks, times and results."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.testing.test_command import run

from stepwell import workflow
from stepwell.integrations.testing.errors import UnansweredTaskError, WorkflowTestError
from stepwell.integrations.testing.results import observers
from stepwell.integrations.testing.scenarios import runs

MACHINE = "arn:aws:states:eu-west-1:111122223333:stateMachine:"
DAY = 24 * 3600


def task(function: str, **fields: Any) -> dict[str, Any]:
    arn = f"arn:aws:lambda:eu-west-1:111122223333:function:{function}"
    return {"Type": "Task", "Resource": arn, "End": True, **fields}


def starts(machine: str, pattern: str = ".sync:2", **fields: Any) -> dict[str, Any]:
    resource = f"arn:aws:states:::states:startExecution{pattern}"
    parameters = {"StateMachineArn": machine, "Input.$": "$"}
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True, **fields}


def machine(**states: Any) -> dict[str, Any]:
    for state, following in zip(list(states.values()), list(states)[1:], strict=False):
        if state.pop("End", None):
            state["Next"] = following
    return {"StartAt": next(iter(states)), "States": states}


PAYMENT = machine(
    Charge=task(
        "charge", Retry=[{"ErrorEquals": ["Busy"], "IntervalSeconds": 60}], ResultPath="$.charge"
    ),
    Settle={"Type": "Wait", "Seconds": DAY, "End": True},
)
PARENT = machine(Price=task("price", ResultPath="$.price"), Pay=starts(MACHINE + "Payment"))


def parent(**options: Any) -> Any:
    tested = workflow(PARENT, machines={"Payment": PAYMENT}, **options)
    return tested.mock("Price", 7).mock("Payment/Charge", {"id": "c-1"})


def test_a_child_runs_in_the_same_time_with_mocks_of_its_own() -> None:
    result = parent().run({"order": 1})
    assert result.output["Output"] == {"order": 1, "price": 7, "charge": {"id": "c-1"}}
    assert (result.output["Status"], result.duration) == ("SUCCEEDED", DAY)
    assert result.visited == ["Price", "Pay"]  # the child is an execution of its own
    child = result.execution("Payment")
    assert child.visited == ["Charge", "Settle"]
    assert child.input == {"order": 1, "price": 7}
    assert child.state("Charge").result == {"id": "c-1"}
    assert child.output == result.output["Output"]
    assert (child.duration, result.executions, result.unused) == (DAY, [child], [])
    events = [each["type"] for each in result.history]
    assert events[events.index("TaskScheduled") :][:4] == [
        "TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded",
    ]  # fmt: skip


def test_a_child_that_fails() -> None:
    declined = parent().mock("Payment/Charge", error="Declined", cause="no money")
    failed = declined.run({})
    failed.assert_failed("States.TaskFailed")
    cause = json.loads(failed.cause)  # as AWS has it
    assert (cause["Error"], cause["Cause"], cause["Status"]) == ("Declined", "no money", "FAILED")
    assert "Output" not in cause
    assert [line for line in str(failed).splitlines() if "Payment" in line][1:] == [
        "the execution of Payment that it started:",
        "  Payment FAILED: Declined: no money",
    ]
    busy = parent().mock("Payment/Charge", error="Busy", times=2)
    assert busy.mock("Payment/Charge", 1).run().execution("Payment").duration == 60 + 120 + DAY


def test_responses_are_for_the_calls_of_all_executions_of_a_child() -> None:
    pay = starts(MACHINE + "Payment", Retry=[{"ErrorEquals": ["States.ALL"]}])
    tested = workflow(machine(Pay=pay), machines={"Payment": machine(Charge=task("charge"))})
    twice = tested.mock("Payment/Charge", error="Broken", times=1).mock("Payment/Charge", 1).run()
    assert twice.state("Pay").attempts == 2
    assert [each.status for each in twice.executions] == ["FAILED", "SUCCEEDED"]
    each = {"Type": "Map", "ItemProcessor": machine(Pay=pay), "End": True}
    paid = workflow(machine(Each=each), machines={"Payment": PAYMENT})
    all_busy = paid.mock("Payment/Charge", error="Busy", times=1).mock("Payment/Charge", 1)
    result = all_busy.run([{}, {}])
    assert result.unused == []
    assert sorted(each.state("Charge").attempts for each in result.executions) == [1, 2]
    few = paid.mock("Payment/Charge", {"call": 1}, {"call": 2}).run([{}, {}, {}])
    calls = [each["Output"]["charge"]["call"] for each in few.output]
    assert calls == [1, 2, 1]  # where none is left, each execution counts its own


def test_mocks_of_the_state_that_starts_a_child() -> None:
    mocked = parent().mock("Pay", {"Output": 1, "Status": "SUCCEEDED"}).run()
    assert mocked.output["Output"] == 1
    assert mocked.executions == []
    assert mocked.unused == ["state 'Payment/Charge' of test case 'mocks' was not run"]
    with pytest.raises(LookupError, match="no execution of 'Payment'; no task has started one"):
        mocked.execution("Payment")


def test_a_child_that_nothing_waits_for_ends_after_its_parent() -> None:
    tell = starts("${TellArn}", "")
    told = machine(Wait={"Type": "Wait", "Seconds": DAY, "End": True}, Send=task("send"))
    tested = workflow(machine(Tell=tell), machines={"TellArn": told})
    result = tested.mock("TellArn/Send", "sent").run()
    assert result.duration == 0
    assert (result.execution("TellArn").duration, result.execution("TellArn").output) == (
        DAY,
        "sent",
    )
    with pytest.raises(UnansweredTaskError, match=r"mock it with \.mock\('TellArn/Send', RESULT\)"):
        tested.run()


@pytest.mark.parametrize("resource", ["aws-sdk:sfn:startSyncExecution", "states:startExecution"])
def test_an_express_child_beside_time_that_passes(resource: str) -> None:
    look = starts(MACHINE + "Fast", Resource=f"arn:aws:states:::{resource}")
    look["Parameters"]["Input.$"] = "States.JsonToString($)"
    both = {
        "Type": "Parallel",
        "End": True,
        "Branches": [
            machine(Look=look),
            machine(Rest={"Type": "Wait", "Seconds": DAY, "End": True}),
        ],
    }
    fast = workflow(machine(See=task("see")), type="express").mock("See", {"seen": 1})
    result = workflow(machine(Both=both), machines={"Fast": fast}).run({"a": 1})
    assert result.execution("Fast").state("See").input == {"a": 1}
    assert result.state("Look").duration == 0
    if resource.endswith("Sync"):
        assert json.loads(result.output[0]["Output"]) == {"seen": 1}


def test_callbacks_functions_and_grandchildren() -> None:
    child = machine(
        Work=starts(MACHINE + "Grandchild"),
        Answer=task(
            "",
            Resource="arn:aws:states:::aws-sdk:sfn:sendTaskSuccess",
            Parameters={"TaskToken.$": "$$.Execution.Input.token", "Output": '{"done": true}'},
        ),
    )
    ask = starts(MACHINE + "Child", ".waitForTaskToken")
    ask["Parameters"]["Input"] = {"token.$": "$$.Task.Token"}
    del ask["Parameters"]["Input.$"]
    tested = workflow(
        machine(Ask=ask),
        machines={
            "Child": workflow(child, machines={"Grandchild": machine(Double=task("double"))})
        },
        functions={"double": lambda event: "not that of the child"},
    )
    with pytest.raises(UnansweredTaskError, match="'Grandchild/Double' calls the function double"):
        tested.run()
    result = tested.mock("Grandchild/Double", 4).run()
    assert result.output == {"done": True}
    assert [each.run.machine for each in result.executions] == ["Child", "Grandchild"]
    called = workflow(
        machine(Work=starts(MACHINE + "Grandchild")),
        machines={"Grandchild": machine(Double=task("double"))},
        functions={"double": lambda event: 2 * event["n"]},
    )
    assert called.run({"n": 4}).output["Output"] == 8


def test_what_is_not_at_hand() -> None:
    tested = workflow(PARENT).mock("Price", 7)
    with pytest.raises(UnansweredTaskError) as raised:
        tested.run()
    assert str(raised.value) == (
        "the state 'Pay' starts the state machine 'Payment', which is not at hand: mock it with "
        ".mock('Pay', RESULT) or pass machines={'Payment': FILE}"
    )
    with pytest.raises(WorkflowTestError, match="did you mean 'Payment/Charge'"):
        parent().mock("Paymnt/Charge", 1)


TEMPLATE = """
Resources:
  Parent:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: parent-flow
      DefinitionUri: parent.asl.json
      DefinitionSubstitutions: {PaymentArn: !GetAtt Payment.Arn}
  Payment:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: payment-flow
      Type: EXPRESS
      Definition: CHILD
  Broken:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition: {StartAt: A, States: {}}
"""


def test_machines_of_a_template_and_beside_a_file_are_found(tmp_path: Path) -> None:
    child = machine(Charge=task("charge"))
    (tmp_path / "template.yaml").write_text(TEMPLATE.replace("CHILD", json.dumps(child)))
    first = machine(Pay=starts("${PaymentArn}", ""), Tell=starts(MACHINE + "TellAll"))
    (tmp_path / "parent.asl.json").write_text(json.dumps(first))
    (tmp_path / "tell-all.asl.json").write_text(json.dumps(machine(Send=task("send"))))
    tested = workflow(tmp_path / "template.yaml#Parent").mock("Payment/Charge", 1)
    result = tested.mock("TellAll/Send", 2).run()
    assert [each.run.machine for each in (result, *result.executions)] == [
        "parent-flow", "payment-flow", "TellAll",
    ]  # fmt: skip
    assert [each.run.type for each in result.executions] == ["EXPRESS", "STANDARD"]
    assert tested.notes == ()  # the reference has a value
    with pytest.raises(WorkflowTestError, match="Broken is not a valid state machine"):
        tested.mock("Broken/A", 1)


def test_results_of_children_reach_observers() -> None:
    seen: list[str] = []
    observe = lambda result: seen.append(result.run.machine)
    observers.append(observe)
    try:
        parent().run()
    finally:
        observers.remove(observe)
    assert seen == ["test", "Payment"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "parent.asl.json").write_text(json.dumps(PARENT))
    (tmp_path / "payments.asl.json").write_text(json.dumps(PAYMENT))
    monkeypatch.chdir(tmp_path)
    runs.forget()
    return tmp_path


def test_in_a_scenario(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "parent.test.yaml").write_text(
        """
machines: {Payment: payments.asl.json}
mocks: {Price: 7}
scenarios:
  - name: paid
    mocks: {Payment/Charge: [{error: Busy}, {id: c-1}]}
    expect:
      visited: [Price, Pay]
      machines: {Payment: {visited: [Charge, Settle], states: {Charge: {attempts: 2}}}}
  - name: declined
    mocks: {Payment/Charge: {error: Declined}}
    expect:
      error: States.TaskFailed
      machines: {Payment: {error: Declined, cause: none}}
  - name: wrong
    mocks: {Payment/Charge: 1, Payment/Nowhere: 2}
  - name: mocked
    mocks: {Pay: {Output: 1}, Payment/Charge: 1}
    expect: {machines: {Payment: {}}}
"""
    )
    assert run(".", keyword="paid", json=True) == 0
    (line,) = capsys.readouterr().out.splitlines()
    (child,) = json.loads(line)["result"]["executions"]
    assert (child["machine"], child["status"]) == ("Payment", "SUCCEEDED")
    assert run(".", cov=True) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith("ok ")] == [
        "ok parent.test.yaml:5 paid"
    ]
    text = "\n".join(lines)
    assert "parent.test.yaml:14:45: Payment: cause differs" in text
    assert "parent.test.yaml:16:32: Payment has no state 'Nowhere'" in text
    assert "parent.test.yaml:19:25: there is no execution of 'Payment'" in text
    assert "mocks not used: 'Payment/Charge'" in text
    covered = [line for line in lines if ".asl.json" in line and "%" in line]
    assert [line.split()[0] for line in covered] == ["parent.asl.json", "payments.asl.json"]


def test_in_a_mock_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The child has the test case of the same name, or the one that the ARN names."""
    other = machine(Pay=starts(MACHINE + "payments#Poor"))
    (project / "other.asl.json").write_text(json.dumps(other))
    cases = {
        "parent": {"Happy": {"Price": "Seven"}, "Lost": {"Price": "Seven"}},
        "payments": {"Happy": {"Charge": "Paid"}, "Poor": {"Charge": "Declined"}},
        "other": {"Any": {}},
    }
    mocks = {
        "StateMachines": {name: {"TestCases": each} for name, each in cases.items()},
        "MockedResponses": {
            "Seven": {"0": {"Return": 7}},
            "Paid": {"0": {"Return": {"id": 1}}},
            "Declined": {"0": {"Throw": {"Error": "Declined", "Cause": "poor"}}},
        },
    }
    text = PARENT | {"States": PARENT["States"] | {"Pay": starts(MACHINE + "payments")}}
    (project / "parent.asl.json").write_text(json.dumps(text))
    (project / "MockConfigFile.json").write_text(json.dumps(mocks))
    assert run("MockConfigFile.json") == 1
    lines = capsys.readouterr().err.splitlines()
    passed = [line.split("  ")[0].rpartition(" ")[2] for line in lines if line.startswith("ok ")]
    assert passed == ["parent#Happy", "payments#Happy", "payments#Poor", "other#Any"]
    assert "the state 'payments/Charge' calls the function charge" in "\n".join(lines)
    case = workflow("other.asl.json").mocks("MockConfigFile.json", "Any").run()
    assert json.loads(case.cause)["Error"] == "Declined"


def test_watch_sees_a_change_of_a_child(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of one that is found beside the definition."""
    (project / "payments.asl.json").rename("payment.asl.json")
    mocks = "{Price: 7, Payment/Charge: 1}"
    (project / "parent.test.yaml").write_text(f"mocks: {mocks}\nscenarios: [{{name: paid}}]\n")
    waits, run_one = [], runs.run

    def change_then_end(job: runs.Job, settings: runs.Settings) -> runs.Outcome:
        outcome = run_one(job, settings)
        waits.append(outcome.simulated)
        if len(waits) == 2:
            raise KeyboardInterrupt
        text = json.dumps(PAYMENT).replace(str(DAY), "60")
        (project / "payment.asl.json").write_text(text)
        return outcome

    monkeypatch.setattr(runs, "run", change_then_end)
    assert run(".", watch=True) == 0
    assert waits == [DAY, 60]


def test_mistakes_in_the_names_of_files(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "parent.test.yaml").write_text(
        "machines: {Payment: payment.asl.json}\nscenarios: [{name: a}]\n"
    )
    assert run(".") == 2
    problem = "parent.test.yaml:1:12: there is no definition payment.asl.json\n"
    assert problem in capsys.readouterr().err
