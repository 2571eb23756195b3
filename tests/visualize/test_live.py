"""Changes of a running execution: merged, they equal the whole, however the events are batched."""

import asyncio
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.engine import Engine
from stepwell.visualize import Diagram, Overlay
from stepwell.visualize.live import EVENT, VISIT, Live

PASS = {"Type": "Pass", "End": True}
UNLUCKY = {
    "StartAt": "Which?",
    "States": {
        "Which?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$", "NumericEquals": 3, "Next": "Bad"}],
            "Default": "Good",
        },
        "Good": PASS,
        "Bad": {"Type": "Fail", "Error": "Unlucky"},
    },
}
MACHINES: dict[str, dict[str, Any]] = {
    "a loop": {
        "StartAt": "Count",
        "States": {
            "Count": {
                "Type": "Pass",
                "Parameters": {"n.$": "States.MathAdd($.n, 1)"},
                "Next": "Enough?",
            },
            "Enough?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericLessThan": 4, "Next": "Count"}],
                "Default": "Done",
            },
            "Done": {"Type": "Succeed"},
        },
    },
    "caught in a Map": {
        "StartAt": "Each",
        "States": {
            "Each": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemProcessor": UNLUCKY,
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Sorry"}],
                "Next": "Fine",
            },
            "Fine": {"Type": "Succeed"},
            "Sorry": {"Type": "Pass", "Next": "Fail"},
            "Fail": {"Type": "Fail", "Error": "Sorry"},
        },
    },
    "a Map in a Parallel, tried again": {
        "StartAt": "Both",
        "States": {
            "Both": {
                "Type": "Parallel",
                "Branches": [
                    {
                        "StartAt": "Left",
                        "States": {
                            "Left": {"Type": "Wait", "Seconds": 0, "Next": "After"},
                            "After": PASS,
                        },
                    },
                    {
                        "StartAt": "Inner",
                        "States": {
                            "Inner": {
                                "Type": "Map",
                                "ItemsPath": "$.items",
                                "ItemProcessor": UNLUCKY,
                                "End": True,
                            }
                        },
                    },
                ],
                "Retry": [
                    {
                        "ErrorEquals": ["Unlucky"],
                        "IntervalSeconds": 1,
                        "MaxAttempts": 1,
                        "BackoffRate": 1,
                    }
                ],
                "End": True,
            }
        },
    },
}


@cache
def history(name: str) -> list[dict[str, Any]]:
    """What an execution of the machine wrote, and its redrive if it failed."""

    async def run() -> list[dict[str, Any]]:
        async with Engine() as engine:
            machine = await engine.create_state_machine(
                "m", json.dumps(MACHINES[name]), "arn:aws:iam::123456789012:role/any"
            )
            text = json.dumps({"n": 0, "items": [1, 2, 3, 4]})
            arn = (await engine.start_execution(machine["stateMachineArn"], name="x", input=text))[
                "executionArn"
            ]
            if (await engine.wait(arn))["status"] == "FAILED":
                await engine.redrive_execution(arn)
                await engine.wait(arn)
            return [event async for event in engine.watch(arn)]

    return asyncio.run(run())


def put_together(
    changes: Iterable[dict[str, Any]],
) -> tuple[dict[str, Any], dict[int, list[Any]], set[str]]:
    states: dict[str, Any] = {}
    visits: dict[int, list[Any]] = {}
    taken: set[str] = set()
    for change in changes:
        states |= change["states"]
        visits |= {row[0]: row for row in change["visits"]}
        assert not taken & set(change["taken"]), "sent twice"
        taken |= set(change["taken"])
    return states, visits, taken


@pytest.mark.parametrize("name", MACHINES)
@given(data=st.data())
def test_the_merged_changes_are_the_whole(name: str, data: st.DataObject):
    events, graph = history(name), Diagram(MACHINES[name]).graph
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events)), max_size=8)) | {len(events)})
    live, changes, rows, before = Live(graph), list[dict[str, Any]](), list[list[Any]](), 0
    for cut in cuts:
        rows += live.feed(events[before:cut])
        changes.append(live.changes())
        before = cut
        states, visits, taken = put_together(changes)
        whole = Overlay(events[:cut], definition=graph.definition)
        assert {
            each: states.get(each, {"status": "not-run"})["status"] for each in graph.states
        } == {each: whole.status(each) for each in graph.states}
        edges = {edge.id for edge in graph.edges if edge.kind and whole.taken(edge)}
        assert taken & {edge.id for edge in graph.edges} == edges
        read = whole.visits
        wanted = [
            (each.entered, each.name, each.status, each.end, each.attempts, each.error)
            for each in read.all
        ]
        places = [
            VISIT.index(each) for each in ("entered", "name", "status", "end", "attempts", "error")
        ]
        assert [
            tuple(row[place] for place in places) for _, row in sorted(visits.items())
        ] == wanted
    assert [dict(zip(EVENT, row, strict=True))["type"] for row in rows] == [
        event["type"] for event in events
    ]
    states, visits, taken = put_together([live.everything()])
    assert (states, visits, taken) == put_together(changes)
    assert live.changes()["states"] == {}
