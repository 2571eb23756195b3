"""The console on a phone, and what a page links to."""

import json
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.console.conftest import Shoot
from tests.console.test_console import ORDER, create, ended, go, rule, sell, start, state
from tests.integrations.server.live import Live, eventually

CALLBACK = {
    "StartAt": "Ask the manager of the warehouse",
    "States": {
        "Ask the manager of the warehouse": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl.$": "$.queue", "MessageBody": {"token.$": "$$.Task.Token"}},
            "Next": "Nested",
        },
        "Nested": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": {
                "StateMachineArn.$": "$$.Execution.Input.machine",
                "Input": {"n": 1, "lines": ["pen"]},
            },
            "End": True,
        },
    },
}
MANY = {
    "StartAt": "Each of the many parcels",
    "States": {
        "Each of the many parcels": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ToleratedFailureCount": 10,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Which?",
                "States": {
                    "Which?": {
                        "Type": "Choice",
                        "Choices": [{"Variable": "$", "NumericEquals": 3, "Next": "Bad"}],
                        "Default": "Good",
                    },
                    "Good": {"Type": "Pass", "End": True},
                    "Bad": {"Type": "Fail", "Error": "Unlucky", "Cause": "three"},
                },
            },
            "End": True,
        }
    },
}
PHONE = {"width": 390, "height": 844}


def too_wide(page: Page) -> list[str]:
    """Elements that reach over the right edge of the page, other than those in something that
    scrolls by itself.
    """
    found: list[str] = page.evaluate(
        """() => [...document.body.querySelectorAll("*")].filter((each) => {
          const box = each.getBoundingClientRect();
          if (!box.width || !box.height || box.right <= innerWidth + 1) return false;
          if (each.closest("svg, .unseen")) return false;
          for (let up = each.parentElement; up && up !== document.body; up = up.parentElement) {
            const cuts = /auto|scroll|hidden/.test(getComputedStyle(up).overflowX);
            if (cuts && up.getBoundingClientRect().right <= innerWidth + 1) return false;
          }
          return true;
        }).map((each) => each.outerHTML.slice(0, 120))"""
    )
    wider = page.evaluate(
        "[document.documentElement.scrollWidth, "
        "document.querySelector('main').scrollWidth].some((each) => each > innerWidth)"
    )
    return [*found, *(["the page itself"] if wider else [])]


@pytest.fixture
def things(live: Live) -> dict[str, str]:
    """One page of each kind, by the parts of its address."""
    queue = live.client("sqs").create_queue(QueueName="answers-of-the-managers")["QueueUrl"]
    order = create(live, "order-of-a-customer", ORDER)
    waits = start(
        live, create(live, "callback", CALLBACK), "waits", {"queue": queue, "machine": order}
    )
    many = start(live, create(live, "many", MANY), "many", {"items": list(range(9))})
    rule(
        live,
        "sold",
        live.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])[
            "Attributes"
        ]["QueueArn"],
    )
    sell(live)
    assert ended(live, many)["status"] == "SUCCEEDED"
    run = live.client().list_map_runs(executionArn=many)["mapRuns"][0]["mapRunArn"]
    return {"order": order, "waits": waits, "many": many, "run": run, "queue": queue}


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_no_page_is_wider_than_a_phone(
    page: Page, live: Live, things: dict[str, str], shoot: Shoot, colours: Any
):
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme=colours)
    places = {
        "machines": ("",), "machine": ("m", things["order"]),
        "diagram": ("m", things["order"], "Diagram"),
        "definition": ("m", things["order"], "Definition"),
        "versions": ("m", things["order"], "Versions and aliases"),
        "details": ("m", things["order"], "Details"), "executions": ("executions",),
        "graph": ("x", things["waits"]),
        "table": ("x", things["many"], "Table"), "timeline": ("x", things["many"], "Timeline"),
        "events": ("x", things["many"], "Events"),
        "state": ("x", things["many"], "Graph", "Each of the many parcels"),
        "map-run": ("r", things["run"]),
        "queues": ("s", "sqs"), "rules": ("s", "events"), "functions": ("s", "lambda"),
    }  # fmt: skip
    for name, place in places.items():
        go(page, live, *place)
        expect(page.locator("main h1, main .tabs").first).to_be_attached()
        page.wait_for_timeout(400)
        assert too_wide(page) == [], name
        for picture in page.locator(".picture-view").all():
            assert picture.bounding_box()["height"] > 250, name  # type: ignore[index]
        shoot(f"phone-{name}-{colours}")
    go(page, live, "m", things["order"])
    page.get_by_role("button", name="New execution").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert too_wide(page) == []
    shoot(f"phone-dialog-{colours}")
    page.keyboard.press("Escape")


def test_a_callback_is_shown_and_can_be_answered(
    page: Page, live: Live, things: dict[str, str], shoot: Shoot
):
    go(page, live, "x", things["waits"])
    expect(page.locator(".execution-bar .waits")).to_have_text("waiting for a callback")
    message = eventually(
        lambda: live.client("sqs").receive_message(QueueUrl=things["queue"]).get("Messages")
    )[0]
    token = json.loads(message["Body"])["token"]
    expect(page.locator(".side .waiting")).to_contain_text(token)
    expect(state(page, "Ask the manager of the warehouse").locator(".pill")).to_have_attribute(
        "data-text", "waiting for a callback"
    )
    shoot("callback-light")
    page.get_by_role("button", name="Answer").click()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(state(page, "Ask the manager of the warehouse")).to_have_class(r"state task succeeded")
    child = state(page, "Nested")
    child.click()
    page.locator(".side-head a").click()  # its child
    expect(page.locator(".execution-bar")).to_contain_text("order-of-a-customer")


def test_the_graph_the_page_and_the_map_run_show_the_same_counts(
    page: Page, live: Live, things: dict[str, str], shoot: Shoot
):
    go(page, live, "x", things["many"])
    expect(state(page, "Each of the many parcels").locator(".pill")).to_have_attribute(
        "data-text", "8/9 · 1 failed"
    )
    page.locator(".side").get_by_role("link", name="Each of the many parcels").click()
    expect(page.locator("main")).to_contain_text("9 items · 8 succeeded · 1 failed")
    page.locator(".crumbs").get_by_role("link", name="many").first.click()
    expect(page.locator("h1")).to_have_text("many")


def test_fit_shows_all_of_a_long_machine(page: Page, live: Live):
    names = [f"Step {number}" for number in range(40)]
    states = {name: {"Type": "Pass", "Next": after} for name, after in pairwise(names)}
    arn = create(
        live, "long", {"StartAt": names[0], "States": {**states, names[-1]: {"Type": "Succeed"}}}
    )
    go(page, live, "m", arn, "Diagram")
    expect(page.locator(".picture-view g.state")).to_have_count(40)
    page.get_by_role("button", name="Fit").click()
    fits = (
        "(view) => [view.scrollHeight <= view.clientHeight, view.scrollWidth <= view.clientWidth]"
    )
    assert page.locator(".picture-view").evaluate(fits) == [True, True]


def test_an_express_execution_has_a_graph(page: Page, live: Live, shoot: Shoot):
    create(
        live,
        "quick",
        {
            "StartAt": "P",
            "States": {
                "P": {"Type": "Pass", "Result": 7, "Next": "F"},
                "F": {"Type": "Fail", "Error": "Quick"},
            },
        },
        type="EXPRESS",
    )
    page.get_by_role("button", name="Refresh").click()
    page.get_by_role("link", name="quick").click()
    page.get_by_role("button", name="New execution").click()
    page.get_by_role("button", name="Start").click()
    expect(state(page, "P")).to_have_class("state pass succeeded")
    expect(state(page, "F")).to_have_class("state fail failed")
    expect(page.locator(".facts")).to_contain_text("Quick")
    state(page, "P").click()
    expect(page.locator(".side")).to_contain_text("7")
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    shoot("express-light")


def test_the_page_and_the_command_print_the_same_times(
    page: Page, live: Live, things: dict[str, str], command: Any, tmp_path: Any
):
    shown = command("executions", "show", "many", "--db", tmp_path / "served.db").stdout
    started = next(
        line.split(None, 1)[1] for line in shown.splitlines() if line.startswith("started")
    )
    assert started.endswith(" UTC")
    go(page, live, "x", things["many"])
    expect(page.locator(".facts")).to_contain_text(started)
    listed = command("executions", "list", "--db", tmp_path / "served.db").stdout
    assert f"{started[:19]} UTC" in listed
    page.get_by_role("link", name="Executions").click()
    link = page.get_by_role("link", name="many", exact=True)  # not its Map Run's executions
    expect(page.locator(".row").filter(has=link)).to_contain_text(f"{started[:19]} UTC")


def test_a_target_that_is_a_state_machine_is_a_link(page: Page, live: Live, things: dict[str, str]):
    arn = rule(live, "to-a-machine", things["order"])
    go(page, live, "s", "events", arn)
    page.get_by_role("tab", name="Targets").click()
    page.locator(".side").get_by_role("link", name="order-of-a-customer").click()
    expect(page.locator("h1")).to_have_text("order-of-a-customer")
