"""The console's lists of the embedded services, over HTTP: what there is, what is in it, and what
was delivered lately.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import ACCOUNT, PASS, REGION, ROLE, Live, eventually
from tests.integrations.server.test_console import ask, create

from stepwell.integrations.console.lists import LISTINGS
from stepwell.integrations.services.registry import TABLE

GONE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:gone"
FROM, TO, OUTCOME, ATTEMPT, ERROR = 1, 2, 4, 5, 6


def rule(live: Live, name: str, *targets: str, bus: str = "default") -> str:
    events = live.client("events")
    arn = str(
        events.put_rule(Name=name, EventBusName=bus, EventPattern='{"source": ["shop"]}')["RuleArn"]
    )
    if targets:
        events.put_targets(
            Rule=name,
            EventBusName=bus,
            Targets=[{"Id": f"t{number}", "Arn": each} for number, each in enumerate(targets)],
        )
    return arn


def sell(live: Live) -> None:
    live.client("events").put_events(
        Entries=[{"Source": "shop", "DetailType": "sold", "Detail": "{}"}]
    )


def delivered(live: Live, service: str, most: int = 1, **query: Any) -> list[list[Any]]:
    """At least so many deliveries, the newest first."""
    found: list[list[Any]] = eventually(
        lambda: (
            rows
            if len(rows := ask(live, "deliveries", service=service, **query)["rows"]) >= most
            else None
        )
    )
    return found


def test_rules_of_all_buses_up_to_the_limit(serve: Serve):
    live = serve(console_listed=60)
    live.client("events").create_event_bus(Name="shop")
    rule(live, "first", bus="shop")
    for number in range(59):
        rule(live, f"rule-{number:02}")
    found = ask(live, "listing", service="events")
    assert (found["title"], found["columns"][:3], found["more"]) == (
        "Rules",
        ["Rule", "Bus", "State"],
        False,
    )
    assert [row["cells"][:3] for row in found["rows"]][-2:] == [
        ["rule-58", "default", "ENABLED"],
        ["first", "shop", "ENABLED"],
    ]
    rule(live, "rule-59")
    found = ask(live, "listing", service="events")
    assert (len(found["rows"]), found["more"]) == (60, True)
    assert ask(live, "listing", service="stepfunctions") == (404, "NotFound")


def test_a_rule_with_its_targets_and_deliveries(serve: Serve):
    live = serve()
    machine = create(live, definition=PASS)
    arn, other = rule(live, "orders", machine, GONE), rule(live, "more", machine)
    thing = ask(live, "thing", service="events", arn=arn)
    assert json.loads(thing["facts"])["EventPattern"] == '{"source": ["shop"]}'
    (targets,) = thing["parts"]
    assert (targets["title"], [row[:2] for row in targets["rows"]]) == (
        "Targets",
        [["t0", machine], ["t1", GONE]],
    )
    assert ask(live, "thing", service="events", arn=arn + "x") == (404, "NotFound")

    sell(live)
    rows = delivered(live, "events", 2, arn=arn)
    assert {(row[FROM], row[TO], row[OUTCOME], row[ATTEMPT]) for row in rows} == {
        (arn, machine, "delivered", 1),
        (arn, GONE, "given up", 1),  # instead of "failed": nothing else comes after it
    }
    assert [row[ERROR].partition(":")[0] for row in rows if row[ERROR]] == ["NO_RESOURCE"]
    assert {row[FROM] for row in delivered(live, "events", 3)} == {arn, other}
    assert ask(live, "deliveries", service="scheduler")["rows"] == []


def test_schedules_and_functions_with_their_calls(serve: Serve, tmp_path: Path):
    folder = tmp_path / "functions"
    folder.mkdir()
    (folder / "divide.py").write_text("def handler(event, context):\n    return 1 / event['by']\n")
    live = serve("--functions", folder)
    function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:divide"
    target = {"Arn": function, "RoleArn": ROLE, "Input": '{"by": 2}'}
    schedule = {"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": {"Mode": "OFF"}}
    arn = live.client("scheduler").create_schedule(Name="once", Target=target, **schedule)[
        "ScheduleArn"
    ]
    (row,) = ask(live, "listing", service="scheduler")["rows"]
    assert row == {"arn": arn, "cells": ["once", "default", "ENABLED", "rate(1 hour)", function]}
    (row,) = ask(live, "listing", service="lambda")["rows"]
    assert (row["arn"], row["cells"][0]) == (function, "divide")

    live.client("lambda").invoke(FunctionName="divide", Payload=b'{"by": 0}')
    rows = delivered(live, "lambda", 3, arn=function)
    assert {(row[FROM], row[OUTCOME], row[ERROR].partition(":")[0]) for row in rows} == {
        (arn, "delivered", ""),
        ("", "ran", ""),
        ("", "failed", "ZeroDivisionError"),
    }
    assert [
        part["rows"] for part in ask(live, "thing", service="lambda", arn=function)["parts"]
    ] == [[], []]


def test_the_delivery_log_is_bounded(serve: Serve):
    live = serve(deliveries_remembered=5)
    rule(live, "orders", create(live, definition=PASS))
    for _ in range(9):
        sell(live)
    assert len(delivered(live, "events", 5)) == 5


@pytest.mark.parametrize("name", sorted(LISTINGS.keys() & TABLE.keys()))
def test_every_operation_of_a_list_exists(name: str):
    listing = LISTINGS[name]
    for each in filter(
        None,
        (
            listing.items,
            listing.over,
            listing.also,
            listing.about,
            *(part.source for part in listing.parts),
        ),
    ):
        if (each.service or name) in TABLE:
            module, service = TABLE[each.service or name]
            assert hasattr(
                getattr(import_module(f"stepwell.integrations.services.{module}"), service),
                each.method,
            ), each


def test_topics_and_queues_with_their_deliveries(serve: Serve):
    live = serve()
    topics, queues = live.client("sns"), live.client("sqs")
    gone, orders, dead = (
        f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}" for name in ("gone", "orders", "dead")
    )
    queues.create_queue(QueueName="dead")
    redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 3})
    url = queues.create_queue(QueueName="orders", Attributes={"RedrivePolicy": redrive})["QueueUrl"]
    arn = topics.create_topic(Name="sold")["TopicArn"]
    for endpoint in (orders, gone):
        topics.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=endpoint)
    for number in range(3):
        topics.publish(TopicArn=arn, Message=f"{number}")
    rows = delivered(live, "sns", 6, arn=arn)
    assert {(row[FROM], row[TO], row[OUTCOME], row[ATTEMPT]) for row in rows} == {
        (arn, orders, "delivered", 1),
        (arn, gone, "given up", 1),
    }
    assert len(rows) == 6
    assert {row[FROM] for row in delivered(live, "sqs", 3, arn=orders)} == {arn}
    assert ask(live, "listing", service="sns")["rows"] == [
        {"arn": arn, "cells": [arn, "2", "0", ""]}
    ]
    (part,) = ask(live, "thing", service="sns", arn=arn)["parts"]
    assert sorted(row[:2] for row in part["rows"]) == [["sqs", gone], ["sqs", orders]]

    queues.receive_message(QueueUrl=url)
    found = ask(live, "listing", service="sqs")
    assert (found["columns"], [row["cells"] for row in found["rows"]]) == (
        ["Queue", "Messages", "In flight", "Delayed"],
        [[dead, "0", "0", "0"], [orders, "2", "1", "0"]],
    )
    parts = {
        part["title"]: part["rows"] for part in ask(live, "thing", service="sqs", arn=dead)["parts"]
    }
    assert parts == {"Read by": [], "Dead letters of": [[url]]}
