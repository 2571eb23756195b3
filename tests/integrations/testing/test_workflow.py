"""workflow(...): executions with mocks, in virtual time, and what a test sees of them."""

import json
from typing import Any

import pytest
from tests.conftest import ROOT

from stepwell import workflow
from stepwell.integrations.testing.errors import (
    InvalidDefinitionError,
    UnansweredTaskError,
    WorkflowTestError,
)

EXAMPLES = ROOT / "examples"
ORDER: dict[str, Any] = json.loads((EXAMPLES / "order.json").read_text())
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"
DAY = 24 * 3600
MOCKS: dict[str, Any] = {
    "Reserve the stock": {"units": 6, "reservationId": "r-1"},
    "Charge the card": {"Payload": {"chargeId": "c-1", "amount": 1140, "attempts": 1}},
    "Pack": {"parcels": 2},
    "Print the label": {"tracking": "t-1"},
}


def order() -> Any:
    machine = workflow(EXAMPLES / "order.asl.json")
    for state, result in MOCKS.items():
        machine = machine.mock(state, result)
    return machine


def task(name: str = "charge", **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": FUNCTION + name, "End": True, **fields}


def machine(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def test_an_order_with_mocks() -> None:
    result = order().run({**ORDER, "vanSeconds": 30 * DAY}, name="order-1")
    assert result.status == "SUCCEEDED"
    assert result.output["shipment"] == {"parcels": 2, "tracking": "t-1"}
    assert result.duration == 30 * DAY
    assert result.path[-4:] == ["Ship", "Wait for the van", "Confirm", "Fulfilled"]
    assert result.visited[4:8] == [
        "Ship",
        "Ship[0]/Pack",
        "Ship[1]/Which carrier?",
        "Ship[1]/Print the label",
    ]
    charge = result.state("Charge the card")
    assert charge.arguments["Payload"]["total"] == 1140
    assert charge.result == MOCKS["Charge the card"]
    assert charge.output["charge"]["chargeId"] == "c-1"
    assert charge.attempts == 1
    assert result.state("Ship[0]/Pack").input["reservation"]["units"] == 6
    assert result.state("Price the order").assigned == {"orderId": "1042", "total": 1140}
    assert result.state("Confirm").arguments["status"] == "FULFILLED"
    assert result.history[0]["type"] == "ExecutionStarted"
    assert result.history[0]["timestamp"] == 1_767_225_600  # 2026-01-01T00:00:00Z
    assert result.unused == []
    assert result.assert_succeeded().assert_visited("Pack", "Confirm") is result


def test_functions_beside_the_definition_are_called() -> None:
    result = workflow(EXAMPLES / "order.asl.json").run(ORDER)
    assert result.output["charge"] == {"chargeId": "chg-1042", "amount": 1140, "attempts": 2}


def test_errors_and_retries() -> None:
    base = order()
    busy = base.mock("Charge the card", error="BankBusy", times=2)
    result = busy.mock("Charge the card", MOCKS["Charge the card"]).run(ORDER)
    assert result.state("Charge the card").attempts == 3
    assert result.duration == 1 + 2 + ORDER["vanSeconds"]  # the backoffs, the Wait
    declined = base.mock("Charge the card", error="Declined", cause="no money")
    failed = declined.mock("Release the stock", None).run(ORDER)
    assert failed.status == "FAILED"
    assert (failed.error, failed.failed_at) == ("Declined", "Order failed")
    assert failed.state("Charge the card").status == "caught"
    assert "Order 1042 was undone: no money" in str(failed.cause)
    failed.assert_failed("Declined", "no money")
    with pytest.raises(AssertionError, match="expected FAILED with Other\norder FAILED: Declined"):
        failed.assert_failed("Other")
    assert base.run(ORDER).status == "SUCCEEDED"  # a Workflow does not change
    with pytest.raises(AssertionError) as raised:
        failed.assert_succeeded()
    assert str(raised.value).splitlines()[:3] == [
        "expected SUCCEEDED",
        "order FAILED: Declined: Order 1042 was undone: no money",
        "failed at: Order failed",
    ]
    assert "→ Charge the card (caught Declined) → Release the stock → Order failed" in str(failed)
    with pytest.raises(AssertionError, match="expected a visit of 'Pack' in this order"):
        failed.assert_visited("Pack")


def test_one_result_for_each_call() -> None:
    loop = machine(
        Poll=task("poll", Next="Done?", ResultPath="$.status", **{"End": None}),
    )
    del loop["States"]["Poll"]["End"]
    choice = {"Variable": "$.status", "StringEquals": "DONE", "Next": "Yes"}
    loop["States"] |= {
        "Done?": {"Type": "Choice", "Choices": [choice], "Default": "Wait"},
        "Wait": {"Type": "Wait", "Seconds": DAY, "Next": "Poll"},
        "Yes": {"Type": "Succeed"},
    }
    polled = workflow(loop).mock("Poll", "RUNNING", "RUNNING", "DONE").run()
    assert (polled.status, polled.duration) == ("SUCCEEDED", 2 * DAY)
    assert [each.result for each in polled.state("Poll").visits] == ["RUNNING", "RUNNING", "DONE"]
    early = workflow(loop).mock("Poll", "RUNNING", "DONE", "DONE").run()
    assert early.unused == ["response 2 of state 'Poll' in test case 'mocks' was not used"]
    with pytest.raises(UnansweredTaskError, match="'Poll' has no mocked response for attempt 1"):
        workflow(loop).mock("Poll", "RUNNING", times=1).run()


def test_a_mock_takes_time() -> None:
    token = {"Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken"}
    token["Parameters"] = {"MessageBody.$": "$$.Task.Token"}  # type: ignore[assignment]
    asked = workflow(machine(Ask=task(TimeoutSeconds=3 * DAY, HeartbeatSeconds=2 * DAY, **token)))
    answered = asked.mock("Ask", {"ok": True}, after=DAY + 0.5).run()
    assert (answered.output, answered.duration) == ({"ok": True}, DAY + 0.5)
    late = asked.mock("Ask", {"ok": True}, after=2 * DAY + 1).run()
    assert (late.error, late.duration) == ("States.Timeout", 2 * DAY)
    each = {"StartAt": "Work", "States": {"Work": task()}}
    two = {"Type": "Map", "MaxConcurrency": 2, "ItemProcessor": each, "End": True}
    mapped = workflow(machine(Two=two)).mock("Work", lambda event: event, after=10)
    result = mapped.run([1, 2, 3, 4, 5])
    assert (result.output, result.duration) == ([1, 2, 3, 4, 5], 30)
    assert mapped.run([1, 2, 3, 4, 5]).history == result.history
    other = {"StartAt": "Other", "States": {"Other": task()}}
    race = {"Type": "Parallel", "Branches": [each, other], "End": True}
    raced = workflow(machine(Race=race)).mock("Work", error="Late", after=5)
    assert raced.mock("Other", error="Early", after=4).run().error == "Early"
    with pytest.raises(WorkflowTestError, match="after is for the mocks of its tasks"):
        raced.mock("Race", error="E", after=1)
    with pytest.raises(WorkflowTestError, match="seconds, at least 0"):
        raced.mock("Other", error="E", after=-1)


def test_items_of_a_map() -> None:
    processor = machine(Resize=task("resize"))
    resize = {"Type": "Map", "ItemsPath": "$", "ItemProcessor": processor, "End": True}
    tested = workflow(machine(All=resize)).mock("Resize", lambda size: 2 * size)
    result = tested.mock("Resize", "small", item=1).run([1, 2, 3])
    assert result.output == [2, "small", 6]
    assert result.visited == ["All", "All[0]/Resize", "All[1]/Resize", "All[2]/Resize"]
    assert result.state("All[2]/Resize").input == 3
    broken = tested.mock("Resize", error="Broken", item=2).run([1, 2, 3])
    assert (broken.error, broken.failed_at) == ("Broken", "All[2]/Resize")
    assert tested.mock("Resize", 0, item="1-2").run([1, 2, 3]).output == [2, 0, 0]


def test_a_task_that_nothing_answers() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    tested = workflow(machine(Charge=task(Catch=catch), Caught={"Type": "Succeed"}))
    with pytest.raises(UnansweredTaskError) as raised:
        tested.run()
    assert str(raised.value) == (
        "the state 'Charge' calls the function charge, which nothing answers: mock it with "
        ".mock('Charge', RESULT), pass functions={'charge': CALLABLE} or write "
        "functions/charge.py"
    )
    called = workflow(machine(Charge=task()), functions={"charge": lambda event: event["id"]})
    assert called.run({"id": 7}).output == 7
    send = task(Resource="arn:aws:states:::sqs:sendMessage", Parameters={"MessageBody": "x"})
    with pytest.raises(UnansweredTaskError, match="calls arn:aws:states:::sqs:sendMessage, which"):
        workflow(machine(Send=send)).run()
    activity = task(Resource="arn:aws:states:us-east-1:123456789012:activity:hand")
    with pytest.raises(UnansweredTaskError, match=r"mock it with .mock\('Approve', RESULT\)$"):
        workflow(machine(Approve=activity)).run()
    assert workflow(machine(Approve=activity)).mock("Approve", "yes").run().output == "yes"


def test_a_mock_must_fit_the_service() -> None:
    send = task(Resource="arn:aws:states:::sqs:sendMessage", Parameters={"MessageBody": "x"})
    with pytest.raises(UnansweredTaskError, match="'MessageId' must be a string"):
        workflow(machine(Send=send)).mock("Send", {"MessageId": 7}).run()


def test_a_callback_without_an_answer_says_what_it_waited_for() -> None:
    ask = task(
        Resource="arn:aws:states:::lambda:invoke.waitForTaskToken",
        Parameters={"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}},
        TimeoutSeconds=DAY,
    )
    result = workflow(machine(Ask=ask), functions={"ask": lambda event: None}).run()
    assert (result.error, result.duration) == ("States.Timeout", DAY)
    assert workflow(machine(Ask=ask)).mock("Ask", {"approved": True}).run().output["approved"]


def test_express_and_async_and_params() -> None:
    text = json.dumps(machine(Charge=task("${Name}", TimeoutSeconds=3)))
    tested = workflow(text, params={"Name": "charge"}, type="express")
    assert tested.mock("Charge", 1).run().output == 1


async def test_run_on_the_loop_of_an_async_test() -> None:
    async def charge(event: Any) -> Any:
        return event["id"]

    tested = workflow(machine(Charge=task()), functions={"charge": charge})
    assert (await tested.run_async({"id": 7})).output == 7
    assert tested.run({"id": 8}).output == 8  # on a loop of its own
    assert (await tested.state("Charge").run_async({"id": 9})).output == 9


def test_the_same_test_has_the_same_history() -> None:
    assert order().run(ORDER).history == order().run(ORDER).history
    wait = {"Type": "Wait", "Timestamp": "2030-01-01T00:00:00Z", "End": True}
    later = workflow(machine(Wait=wait), start="2029-12-31T00:00:00Z").run()
    assert later.duration == DAY


def test_a_snapshot_has_no_times_and_ids() -> None:
    text = {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $uuid() %}", "End": True}
    events = json.loads(workflow(machine(Id=text)).run({"a": 1}).snapshot())
    assert [each["type"] for each in events][:2] == ["ExecutionStarted", "PassStateEntered"]
    assert events[1] == {
        "id": 2,
        "previous": 0,
        "seconds": 0.0,
        "type": "PassStateEntered",
        "name": "Id",
        "input": {"a": 1},
    }
    assert events[2]["output"] == "uuid-1"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: order().mock("Charge", 1), "order has no state 'Charge': did you mean 'Charge th"),
        (
            lambda: order().mock("Ship", []),
            "the Parallel 'Ship' is mocked with an array of 2 outpu",
        ),
        (lambda: order().mock("Ship", {}), "the Parallel 'Ship' is mocked with an array: the out"),
        (lambda: order().mock("Ship", len), "'Ship' is mocked with its result, not a callable"),
        (lambda: order().mock("Ship", error="E", item=1), "item is for the mocks of its tasks"),
        (lambda: order().mock("Fulfilled", 1), "is a Succeed: only a Task, a Parallel or a Map c"),
        (lambda: order().mock("Ship.ItemReader", []), "order has no state 'Ship.ItemReader'"),
        (lambda: order().mock("Pack"), "mock\\(\\) takes results or an error"),
        (lambda: order().mock("Pack", 1, error="E"), "mock\\(\\) takes results or an error"),
        (lambda: order().mock("Pack", 1, cause="E"), "mock\\(cause=...\\) needs an error"),
        (lambda: order().mock("Pack", 1, times=0), "mock\\(times=0\\): at least 1"),
        (lambda: workflow("none.asl.json"), "none.asl.json: No such file or directory"),
        (
            lambda: workflow(EXAMPLES / "order.asl.json", functions="none"),
            "there is no such folder",
        ),
        (lambda: workflow("{}", type="FAST"), "type='FAST': use 'STANDARD' or 'EXPRESS'"),
        (lambda: order().state("Nowhere"), "order has no state 'Nowhere'"),
    ],
)
def test_mistakes_of_a_test(make: Any, message: str) -> None:
    with pytest.raises(WorkflowTestError, match=message):
        make()


def test_a_definition_with_errors() -> None:
    with pytest.raises(InvalidDefinitionError) as raised:
        workflow({"StartAt": "A", "States": {"B": {"Type": "Pass", "End": True}}})
    assert "definition:1:2: ERROR MISSING_TRANSITION_TARGET" in str(raised.value)


def test_results_of_states_that_were_not_visited() -> None:
    result = order().run(ORDER)
    with pytest.raises(LookupError, match="'Refund the card' was not visited; visited: Is it an"):
        result.state("Refund the card")
    with pytest.raises(LookupError, match="no state 'Packs': did you mean 'Pack'"):
        result.state("Packs")


# --- one state ------------------------------------------------------------------------------------


def test_one_state() -> None:
    charge = order().state("Charge the card")
    result = charge.run({"card": "tok-1"}, variables={"orderId": "7", "total": 5})
    assert (result.status, result.next_state) == ("SUCCEEDED", "Ship")
    assert result.arguments["Payload"] == {
        "orderId": "7",
        "card": "tok-1",
        "total": 5,
        "attempt": 0,
    }
    assert result.output["charge"]["chargeId"] == "c-1"
    assert result.result == MOCKS["Charge the card"]
    variables = {"orderId": "7", "total": 5}
    busy = charge.run({"card": "x"}, variables=variables, error="BankBusy")
    assert (busy.status, busy.inspection["errorDetails"]["retryIndex"]) == ("RETRIABLE", 0)
    last = charge.run({"card": "x"}, variables=variables, error="BankBusy", retries=3)
    assert (last.status, last.next_state) == ("CAUGHT_ERROR", "Release the stock")
    assert "CAUGHT_ERROR" in repr(last)
    real = workflow(EXAMPLES / "order.asl.json").state("Pack")  # its function is called
    assert real.run({"reservation": {"units": 6}}).output == {"parcels": 2}
    price = order().state("Price the order").run(ORDER)
    assert price.variables == {"orderId": "1042", "total": 1140}
    with pytest.raises(WorkflowTestError, match="the state 'Ship': "):
        order().state("Ship").run({})
    with pytest.raises(UnansweredTaskError, match="'A' calls the function charge"):
        workflow(machine(A=task())).state("A").run({})


# --- mock files -----------------------------------------------------------------------------------


def test_a_test_case_of_a_mock_file(tmp_path: Any) -> None:
    responses = {"Paid": {"0": {"Return": "paid"}}, "Busy": {"0-1": {"Throw": {"Error": "Busy"}}}}
    cases = {"Happy": {"Charge": "Paid"}, "Busy": {"Charge": "Busy"}}
    file = tmp_path / "MockConfigFile.json"
    file.write_text(
        json.dumps(
            {"StateMachines": {"Orders": {"TestCases": cases}}, "MockedResponses": responses}
        )
    )
    tested = workflow(machine(Charge=task()))
    assert tested.mocks(file, case="Happy").run().output == "paid"
    assert tested.mocks(file, case="Busy").run().error == "Busy"
    assert tested.mocks(file, case="Busy").mock("Charge", "own").run().output == "own"
    with pytest.raises(WorkflowTestError, match=r"no test case 'Hapy' .*did you mean 'Happy'"):
        tested.mocks(file, case="Hapy")
    with pytest.raises(WorkflowTestError, match="no state machine 'Order': did you mean 'Orders'"):
        tested.mocks(file, case="Happy", machine="Order")
    sloppy = {"Resource": "arn:aws:states:::sns:publish", "Parameters": {"Message": "m"}}
    published = workflow(machine(Charge={**task(), **sloppy})).mocks(file, case="Happy")
    result = published.run()
    assert (result.output, published.state("Charge").run().output) == ("paid", "paid")
    assert result.unused[0].endswith(
        "warning: response 'Paid' of state 'Charge': Mocked result must be a JSON object."
    )
    other = workflow(machine(Other=task())).mocks(file, case="Happy").mock("Other", 1).run()
    assert other.status == "SUCCEEDED"  # Step Functions Local ignores such a mock, too
    assert "the definition has no state 'Charge', which test case 'Happy' mocks" in other.unused[0]


def test_a_failure_says_why() -> None:
    lost = {
        "StartAt": "Fetch",
        "States": {
            "Fetch": {"Type": "Pass", "Result": {"stock": 5}, "Next": "Read"},
            "Read": {"Type": "Pass", "Parameters": {"id.$": "$.order.id"}, "End": True},
        },
    }
    result = workflow(lost).run({"order": {"id": 1}})
    assert result.why is not None and "`Fetch` had `$.order.id` in its input" in result.why
    assert f"why: {result.why}" in result.explanation()
    with pytest.raises(AssertionError, match="dropped it: its ResultPath is"):
        result.assert_succeeded()
    failed = workflow({"StartAt": "No", "States": {"No": {"Type": "Fail", "Error": "No"}}}).run({})
    assert failed.why is None and not any("why" in line for line in failed.explanation())
