"""The checkout as pytest tests it: pytest examples/testing"""

from pathlib import Path

import pytest

from stepwell import workflow

DAY = 24 * 3600
ORDER = {"orderId": "7", "amount": 30, "parcels": ["small", "large"]}


@pytest.fixture
def checkout():
    """The workflow, with mocks of all tasks."""
    return (
        workflow(Path(__file__).with_name("checkout.asl.json"))
        .mock("Charge", {"Payload": {"chargeId": "ch-1"}})
        .mock("Hand over", lambda parcel: {"tracking": f"t-{parcel}"})
        .mock("Tell the customer", {"MessageId": "m-1"})
    )


def test_an_order_is_shipped_after_a_day(checkout):
    result = checkout.run(ORDER)
    assert result.status == "SUCCEEDED"
    assert result.output["tracking"] == [{"tracking": "t-small"}, {"tracking": "t-large"}]
    assert result.duration == DAY
    assert result.state("Charge").arguments["Payload"] == {"orderId": "7", "amount": 30}


@pytest.mark.parametrize(("busy", "seconds"), [(1, 60), (2, 60 + 120)])
def test_a_busy_bank_is_asked_again(checkout, busy, seconds):
    paid = {"Payload": {"chargeId": "ch-2"}}
    result = checkout.mock("Charge", error="BankBusy", times=busy).mock("Charge", paid).run(ORDER)
    assert result.state("Charge").attempts == busy + 1
    assert result.duration == DAY + seconds


def test_a_declined_card(checkout):
    result = checkout.mock("Charge", error="CardDeclined", cause="no money").run(ORDER)
    result.assert_failed("Declined").assert_visited("Charge", "Tell the customer")
    assert "Ship" not in result.visited


def test_the_message_of_a_declined_card(checkout):
    failure = {"Error": "CardDeclined", "Cause": "no money"}
    publish = checkout.state("Tell the customer").run({"failure": failure})
    assert publish.arguments["Message"] == "no money"
    assert publish.next_state == "Declined"
