"""What the page, a picture, the command and the API say of an execution is the same, and what its
history says. Of generated executions.

Machines of every kind of state run on the real engine under a clock of the test, with tasks that
fail by the draw, callbacks that are or are not answered, stops and redrives. Beside the comparison
stand counts that are made in another, simpler way from the events themselves.
"""

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.engine.engine_fixture import ASK, LAMBDA, EngineFixture

from stepwell.asl import json_text
from stepwell.asl.compiler import compile_machine
from stepwell.asl.definition import StateMachine
from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories import summaries
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.items import Items
from stepwell.asl.histories.reevaluation import Reevaluation
from stepwell.asl.histories.state_visits import details
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import ApiError
from stepwell.engine.operations.data_flow import as_json, data_flow
from stepwell.integrations.cli.output import outcome, progress
from stepwell.integrations.cli.output import text as terminal
from stepwell.integrations.cli.output.machine import machine
from stepwell.visualize import Diagram
from stepwell.visualize.live import VISIT, WAITING, Live
from stepwell.visualize.overlay import STATUS, Overlay
from stepwell.visualize.words import executions as words

HOUR = 3_600_000
API = {
    v.RUNNING: "RUNNING",
    v.SUCCEEDED: "SUCCEEDED",
    v.FAILED: "FAILED",
    v.ABORTED: "ABORTED",
    v.TIMED_OUT: "TIMED_OUT",
}
RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2}]

ENTRIES = ("TaskStateEntered", "ParallelStateEntered", "MapStateEntered")

# --- machines and what is done to them ------------------------------------------------------------

leaves = st.sampled_from(
    [
        {"Type": "Task", "Resource": LAMBDA + "sometimes", "ResultPath": None},
        {"Type": "Task", "Resource": LAMBDA + "sometimes", "ResultPath": None},
        {"Type": "Pass"},
        {"Type": "Wait", "Seconds": 3},
        {"Type": "Wait", "SecondsPath": "$.wait"},
        {"Type": "Fail", "Error": "Refused", "Cause": "as written"},
        {"Type": "Fail", "ErrorPath": "$.why"},
        {
            "Type": "Fail",
            "QueryLanguage": "JSONata",
            "Error": "{% 'E' & $string($states.input.wait) %}",
            "Cause": "{% $states.input.why %}",
        },
        {"Type": "Fail"},
        {**{name: value for name, value in ASK.items() if name != "End"}, "ResultPath": None},
    ]
)
ITEM = {
    "ItemsPath": "$.items",
    "ItemSelector": {"items": [1, 2], "wait": 1, "why": "Item"},
    "ResultPath": None,
}
DISTRIBUTED = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}


def composites(blocks: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[Any]:
    """A state is (its fields, the blocks in it, whether it retries, whether it catches); a block is
    a list of states.
    """
    return st.one_of(
        st.tuples(
            st.just({"Type": "Parallel", "ResultPath": None}),
            st.lists(blocks, min_size=1, max_size=3),
        ),
        st.tuples(
            st.builds(
                lambda most: {"Type": "Map", **ITEM, **({"MaxConcurrency": most} if most else {})},
                st.sampled_from([0, 1, 2]),
            ),
            st.lists(blocks, min_size=1, max_size=1),
        ),
        st.tuples(
            st.builds(
                lambda most: {"Type": "Map", **ITEM, "ToleratedFailureCount": most},
                st.integers(0, 2),
            ),
            st.lists(blocks, min_size=1, max_size=1),
        ),
    )


def blocks(states: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.tuples(states, st.booleans(), st.booleans()), min_size=1, max_size=3)


plain = blocks(st.tuples(leaves, st.just([])))
nested = blocks(st.one_of(st.tuples(leaves, st.just([])), composites(plain)))
machines = blocks(st.one_of(st.tuples(leaves, st.just([])), composites(nested), composites(plain)))
steps = st.lists(st.sampled_from(["answer", "refuse", "stop", "redrive", "redrive"]), max_size=4)


def written(block: list[Any], numbers: Iterator[int]) -> dict[str, Any]:
    """A block as the language has it; its states have names of their own."""
    names = [f"S{next(numbers)}" for _ in block]
    states: dict[str, Any] = {}
    for place, ((fields, inner), retries, catches) in enumerate(block):
        kind, following = fields["Type"], names[place + 1] if place + 1 < len(names) else None
        state = json.loads(json.dumps(fields))
        if kind != "Fail":
            state |= {"Next": following} if following else {"End": True}
        if kind in ("Task", "Parallel", "Map"):
            state |= {"Retry": RETRY} if retries else {}
            state |= (
                {
                    "Catch": [
                        {"ErrorEquals": ["States.ALL"], "ResultPath": "$.caught", "Next": following}
                    ]
                }
                if catches and following
                else {}
            )
        if kind == "Parallel":
            state["Branches"] = [written(each, numbers) for each in inner]
        elif kind == "Map":
            state["ItemProcessor"] = written(inner[0], numbers) | (
                DISTRIBUTED if "ToleratedFailureCount" in state else {}
            )
        states[names[place]] = state
        if kind == "Fail" and following:  # or the states after it could not be reached
            states[f"To {names[place]}"] = {
                "Type": "Choice",
                "Choices": [{"Variable": "$.caught", "IsPresent": True, "Next": names[place]}],
                "Default": following,
            }
    for state in states.values():
        for step in (state, *state.get("Catch", ())):
            step |= {
                field: f"To {step[field]}"
                for field in ("Next", "Default")
                if f"To {step.get(field)}" in states
            }
    return {
        "StartAt": f"To {names[0]}" if f"To {names[0]}" in states else names[0],
        "States": states,
    }


class Ran:
    """An execution, and everything that is known of it."""

    definition: dict[str, Any]
    described: dict[str, Any]
    events: list[dict[str, Any]]
    map_runs: dict[str, Any]
    tokens: list[str]
    now: float


async def settled(life: EngineFixture, arn: str) -> str:
    """Run it until it ends, or for an hour: then it waits for a callback."""
    until = life.clock.now() + HOUR
    while True:
        await life.calm()
        due, status = life.clock.next_alarm(), await life.status(arn)
        if status != "RUNNING" or due is None or due > until:
            return status
        life.clock.advance(max(0, due - life.clock.now()))


async def run(definition: dict[str, Any], failing: set[int], doing: list[str], folder: Path) -> Ran:
    life, calls = EngineFixture(folder / "stepwell.db"), iter(range(10_000))
    life.bad = lambda payload: next(calls) in failing
    await life.open()
    try:
        machine = (await life.engine.create_state_machine("m", json.dumps(definition)))[
            "stateMachineArn"
        ]
        value = {"items": [1, 2, 3], "wait": 2, "why": "Said"}
        arn = (await life.engine.start_execution(machine, name="x", input=json.dumps(value)))[
            "executionArn"
        ]
        status = await settled(life, arn)
        for each in doing:
            try:
                if each == "redrive":
                    await life.engine.redrive_execution(arn)
                elif each == "stop":
                    await life.engine.stop_execution(arn, error="Stopped")
                elif life.tokens and each == "answer":
                    await life.engine.send_task_success(life.tokens[-1], "{}")
                elif life.tokens:
                    await life.engine.send_task_failure(life.tokens[-1], error="No", cause="thanks")
            except ApiError:
                continue  # not while it stands so
            status = await settled(life, arn)
        ran = Ran()
        ran.definition, ran.described, ran.events, ran.tokens = (
            definition,
            await life.engine.describe_execution(arn),
            await life.events(arn),
            life.tokens,
        )
        runs = dict.fromkeys(
            found for event in ran.events if (found := details(event).get("mapRunArn"))
        )
        ran.map_runs = {each: await life.engine.describe_map_run(each) for each in runs}
        ran.now = life.clock.now() / 1000
        assert ran.described["status"] == status
        return ran
    finally:
        await life.engine.close()


# --- the places -----------------------------------------------------------------------------------


def page(ran: Ran) -> dict[str, Any]:
    """What the page shows after it has received all events."""
    live = Live(Diagram(ran.definition).graph)
    told: dict[str, Any] = {"states": {}, "visits": {}}
    for at in range(0, len(ran.events), 7):
        live.feed(ran.events[at : at + 7])
        change = live.changes()
        told = {
            **change,
            "states": told["states"] | change["states"],
            "visits": told["visits"] | {each[0]: each for each in change["visits"]},
        }
    for arn in live.uncounted():
        live.count(arn, ran.map_runs[arn])
    told["states"] |= live.changes()["states"]
    return told


def compare(ran: Ran) -> None:
    model = StateMachine.model_validate(ran.definition)
    told, picture = page(ran), Overlay(ran.events, ran.now, ran.map_runs, model)
    about = machine("m", "STANDARD", ran.definition)
    shown = about.visits(ran.events)
    for arn, answer in ran.map_runs.items():
        shown.count(arn, Items.of_map_run(answer))
    program = compile_machine(model, payload=Payload)

    # the execution
    stands, described = summaries.execution(shown, ran.now), ran.described
    assert API[told["status"]] == API[stands.status] == described["status"]
    assert told["redrives"] == stands.redrives == described["redriveCount"]
    assert (
        (stands.start, stands.end)
        == (described["startDate"], described.get("stopDate"))
        == (told["start"], told["end"])
    )
    assert stands.seconds == (described.get("stopDate", ran.now) - described["startDate"])
    assert stands.events == told["events"] == len(ran.events)
    conclusion = "".join(text for text, _ in outcome.conclusion(shown, ran.now))
    assert terminal.took(stands.seconds) in conclusion
    assert described["status"] in conclusion
    assert ("redrive" in conclusion) == (described["redriveCount"] > 0)
    if stands.failure is not None:
        assert described["status"] == "FAILED"
        assert (stands.failure.error, stands.failure.cause) == (
            described.get("error"),
            described.get("cause"),
        )
        assert stands.failure.visit.entered == told["failure"]
        assert outcome.suspects(shown)[0] == told["visits"][told["failure"]][VISIT.index("name")]
    else:
        assert described["status"] != "FAILED"

    # its states
    rows = {row.name: row for row in progress.rows(shown, about, ran.now) if not row.depth}
    for name in Diagram(ran.definition).graph.states:
        state = picture.state(name)
        row = told["states"].get(name)
        if row is None:
            assert (state.status, picture.badge(name)) == (summaries.NOT_RUN, "")
            continue
        assert row["status"] == STATUS[state.status] == picture.status(name)
        assert [row[each] for each in ("visits", "active", "retries", "redrives", "error")] == [
            state.visits, state.active, state.retries, state.redrives, state.error,
        ]  # fmt: skip
        assert row["items"] == (None if state.items is None else state.items._asdict())
        assert row["seconds"] == (None if state.active else state.seconds)
        said = [each.text for each in words.remarks(state, ran.now)]
        assert all(text in picture.badge(name) for text in said)
        if name in rows:
            assert (rows[name].status, rows[name].seconds) == (state.status, state.seconds)
            assert [text for text, _ in rows[name].notes] == said
        flow = as_json(data_flow(program, ran.definition, described, ran.events, name))
        last = shown.named[name][-1]
        assert told["visits"][last.entered] == [
            last.entered, name, last.type, flow["status"], flow["start"], flow["end"],
            last.parent and last.parent.entered, last.index,
            flow["attempts"], flow["error"], last.resource or None, last.map_run, None,
            flow["retries"], flow["redrives"],
        ]  # fmt: skip
        assert last.error == flow["error"]

    # what it waits for
    waiting = [dict(zip(WAITING, each, strict=True)) for each in told["waiting"]]
    assert [(each["kind"], each["token"], each["until"]) for each in waiting] == [
        (each.kind, each.token, each.until) for each in stands.waiting
    ]
    assert all(each["token"] in ran.tokens for each in waiting if each["kind"] == v.CALLBACK)
    text = "\n".join(
        "".join(part for part, _ in line) for line in outcome.waits(shown, ran.now, most=99)
    )
    assert all(each["token"] in text for each in waiting if each["token"])


def recount(ran: Ran) -> None:
    """The figures again, from the events alone and without any tree of visits."""
    visits = Visits(ran.events, Reevaluation(StateMachine.model_validate(ran.definition)))
    kinds = {event["id"]: event["type"] for event in ran.events}
    tried = [
        event
        for event in ran.events
        if event["type"].endswith(("Scheduled", "MapStateStarted", "ParallelStateStarted"))
    ]
    assert sum(each.attempts for each in visits.all) == len(tried)
    again = [event for event in tried if kinds[event["previousEventId"]] not in ENTRIES]
    assert sum(each.retries for each in visits.all) == len(again), (
        "what follows from an entry is a first attempt, or one of a redrive"
    )
    assert visits.transitions == sum(kind.endswith("StateEntered") for kind in kinds.values())
    ends = Counter(
        details(event)["name"] for event in ran.events if event["type"] == "MapIterationFailed"
    )
    for name, every in visits.named.items():
        for visit in every:
            if visit.items is not None:
                assert sum(visit.items[1:]) == visit.items.total == visit.length
                assert not visit.items.running or visit.status == v.RUNNING
        if every[0].type == "Map" and ends[name]:
            assert any(
                each.retries or each.redrives or (each.items and each.items.failed)
                for each in every
            )
    for visit in visits.all:  # what was caught is in the output
        if visit.status == v.CAUGHT and visit.output:
            caught = json_text.loads(visit.output)["caught"]
            assert (visit.error, visit.cause) == (caught.get("Error"), caught.get("Cause"))
    for arn, answer in ran.map_runs.items():
        if (found := visits.count(arn, Items.of_map_run(answer))) is not None:
            assert found.items is not None
            assert found.items.failed == answer["itemCounts"]["failed"]
            assert found.items.aborted == answer["itemCounts"]["aborted"]


SAGA = [
    (({"Type": "Task", "Resource": LAMBDA + "sometimes", "ResultPath": None}, []), True, True),
    (({"Type": "Fail", "Error": "R"}, []), False, False),
]

TRIED = ({"Type": "Task", "Resource": LAMBDA + "sometimes", "ResultPath": None}, [])
MAP = {"Type": "Map", **ITEM}
MAP_IN_MAP = [((MAP, [[((MAP, [[(TRIED, False, False)]]), False, False)]]), False, False)]


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(block=machines, failing=st.sets(st.integers(0, 12), max_size=8), doing=steps)
@example(block=SAGA, failing={0, 1, 2}, doing=["redrive"])
@example(block=MAP_IN_MAP, failing={0}, doing=[])
def test_all_places_say_the_same(block: list[Any], failing: set[int], doing: list[str]) -> None:
    definition = written(block, iter(range(1_000)))
    with tempfile.TemporaryDirectory() as folder:
        ran = asyncio.run(run(definition, failing, doing, Path(folder)))
    compare(ran)
    recount(ran)
