"""Invariants of decide() and its callers, over random machines.

The driver asserts two more at each decision: the execution that is passed in does not change, and
the same call returns the same decision again.
"""

import asyncio
import json
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.core.driver import LAMBDA, Driver, Fails, Later, Silent, begin, run, snapshot
from tests.simulation import histories

from stepwell.asl.program import Retrier
from stepwell.engine.core import model, transitions
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import (
    ChildClosed,
    Continue,
    Decision,
    Event,
    Heartbeat,
    Start,
    Stop,
    TaskFailed,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    Tick,
)
from stepwell.engine.core.model import Payload, Phase
from stepwell.engine.limits import Limits
from stepwell.engine.store.base import Unit
from stepwell.engine.store.sqlite.store import SqliteStore

SLOW = settings(
    max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
INPUT = {"n": 3, "l": [4, 5, 6, 7], "s": "text", "deep": {"m": [1]}, "long": "x" * 1500}
RETRY = [{"ErrorEquals": ["E"], "IntervalSeconds": 1, "MaxAttempts": 2, "BackoffRate": 2}]


# --- machines -------------------------------------------------------------------------------------


def _task(draw: Any, last: str) -> dict[str, Any]:
    state = {
        "Type": "Task",
        "Resource": LAMBDA,
        "Parameters": {"n.$": "$.n", "l.$": "$.l"},
        "ResultPath": "$.r",
    }
    state |= draw(st.sampled_from([{}, {"Retry": RETRY}, {"TimeoutSeconds": 9}]))
    return state | draw(
        st.sampled_from(
            [{}, {"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": last}]}]
        )
    )


@st.composite
def blocks(draw: Any, names: Any, depth: int) -> dict[str, Any]:
    """A chain of states whose inputs all have the shape of INPUT."""
    chain = [f"S{next(names)}" for _ in range(draw(st.integers(1, 3)))]
    kinds = ["Pass", "Task", "Wait", "Choice"] + (["Parallel", "Map", "Map"] if depth else [])
    states: dict[str, Any] = {}
    for place, name in enumerate(chain):
        kind = draw(st.sampled_from(kinds[: 3 if place + 1 == len(chain) else None]))
        following = {"Next": chain[place + 1]} if place + 1 < len(chain) else {"End": True}
        if kind == "Pass":
            state = {"Type": kind, "Result": {"p": place}, "ResultPath": "$.p", **following}
        elif kind == "Task":
            state = {**_task(draw, chain[-1] if place + 1 < len(chain) else "Caught"), **following}
        elif kind == "Wait":
            state = {"Type": kind, "Seconds": draw(st.integers(0, 5)), **following}
        elif kind == "Choice":
            state = {
                "Type": kind,
                "Choices": [{"Variable": "$.n", "NumericEquals": 3, "Next": chain[place + 1]}],
                "Default": chain[-1],
            }
        elif kind == "Parallel":
            inner = [draw(blocks(names, depth - 1)) for _ in range(draw(st.integers(1, 3)))]
            state = {"Type": kind, "Branches": inner, "ResultPath": "$.b", **following}
        else:
            selector = {"n.$": "$$.Map.Item.Value", "l.$": "$.l", "s.$": "$.s", "long.$": "$.long"}
            state = {
                "Type": kind,
                "ItemsPath": "$.l",
                "ItemSelector": selector,
                "ResultPath": "$.m",
                **following,
            }
            state |= {
                "ItemProcessor": draw(blocks(names, depth - 1)),
                "MaxConcurrency": draw(st.integers(0, 3)),
            }
        states[name] = state
    if any(
        catcher["Next"] == "Caught"
        for state in states.values()
        for catcher in state.get("Catch", ())
    ):
        caught = f"S{next(names)}"
        states[caught] = {"Type": "Succeed"}
        states = json.loads(json.dumps(states).replace('"Caught"', f'"{caught}"'))
    return {"StartAt": chain[0], "States": states}


MACHINES = st.deferred(lambda: blocks(count(), 2))
ANSWERS = st.lists(
    st.one_of(
        st.just({"ok": True}),
        st.builds(Later, st.integers(1, 12), st.just([1, 2])),
        st.builds(Fails, st.sampled_from(["E", "E", "F"])),
        st.just({"big": "y" * 2000}),
    ),
    min_size=1,
    max_size=3,
).map(tuple)


def names(block: dict[str, Any]) -> Iterator[str]:
    for name, state in block["States"].items():
        yield name
        for inner in (*state.get("Branches", ()), *filter(None, [state.get("ItemProcessor")])):
            yield from names(inner)


def drawn_answers(data: st.DataObject, machine: dict[str, Any]) -> dict[str, Any]:
    return {name: data.draw(ANSWERS) for name in names(machine)}


# --- what is stored -------------------------------------------------------------------------------


class Forgetful(Driver):
    """Commits every decision to a real store, and continues from the row that is read there."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.loop, self.store = asyncio.new_event_loop(), SqliteStore()
        self.loop.run_until_complete(self.store.open())
        super().__init__(*arguments, **options)

    def _decide(self, event: Event) -> Decision:
        created = not self.x.events
        decision = super()._decide(event)
        self.loop.run_until_complete(
            self._keep(
                Unit(decision.execution, decision.first, decision.history, self.now, created)
            )
        )
        return decision

    async def _keep(self, unit: Unit) -> None:
        await self.store.commit([unit])
        self.store.forget(self.x.id)
        loaded = await self.store.load(self.x.id)
        assert (loaded is None) == (self.x.status != model.RUNNING and self.x.snapshot is None)
        if loaded is not None:
            self.x = loaded.decode(self.program)

    def close(self) -> None:
        stored = self.loop.run_until_complete(self.store.history(self.x.id, limit=100_000))
        self.loop.run_until_complete(self.store.close())
        self.loop.close()
        assert [number for number, _, _ in stored] == list(range(1, len(self.events) + 1))


@SLOW
@given(data=st.data(), machine=MACHINES, budget=st.integers(1, 6))
def test_store_between_any_two_decisions(
    data: st.DataObject, machine: dict[str, Any], budget: int
) -> None:
    """What is read back after each unit leads to the same history as what was never stored, to the
    letter.
    """
    answers, limits = drawn_answers(data, machine), Limits(unit_transitions=budget)
    kept = Driver(machine, INPUT, answers=answers, limits=limits).run()
    stored = Forgetful(machine, INPUT, answers=answers, limits=limits)
    try:
        stored.run()
    finally:
        stored.close()
    assert stored.events == kept.events
    assert (stored.status, stored.x.output) == (kept.status, kept.x.output)


# --- stale events ---------------------------------------------------------------------------------


class Pestered(Driver):
    """After each decision it gets every event that does not apply, and must not change."""

    def _decide(self, event: Event) -> Decision:
        decision = super()._decide(event)
        payload = Payload({"late": True})
        attempts = [
            (frame.id, seq)
            for frame in self.x.frames.values()
            for seq in (frame.seq - 1, frame.seq + 1)
        ]
        attempts += [
            (frame.id, frame.seq)
            for frame in self.x.frames.values()
            if frame.phase not in (Phase.TASK, Phase.CHILDREN)
        ]
        attempts += [
            (frame_id, seq)
            for frame_id in range(self.x.next_frame + 1)
            if frame_id not in self.x.frames
            for seq in (0, 1, 2)
        ]
        before = snapshot(self.x)
        for frame, seq in attempts:
            for late in (
                TaskSucceeded(frame, seq, payload),
                TaskFailed(frame, seq, "Late", None),
                TaskSubmitted(frame, seq, payload),
                TaskStarted(frame, seq, None),
                Heartbeat(frame, seq),
                ChildClosed(frame, seq, 0, model.SUCCEEDED, payload),
            ):
                unchanged = decide(self.program, self.x, late, self.now, self.limits)
                assert (unchanged.history, unchanged.commands, unchanged.more) == ([], [], False)
                assert snapshot(unchanged.execution) == before
        if self.x.status != model.RUNNING:
            for late in (Tick(), Continue(), Stop("E", None), Start()):
                closed = decide(self.program, self.x, late, self.now + 10**9, self.limits)
                assert (closed.history, closed.commands, snapshot(closed.execution)) == (
                    [],
                    [],
                    before,
                )
        return decision


@SLOW
@given(data=st.data(), machine=MACHINES)
def test_stale_events_change_nothing(data: st.DataObject, machine: dict[str, Any]) -> None:
    pestered = Pestered(machine, INPUT, answers=drawn_answers(data, machine)).run()
    assert pestered.status != model.RUNNING


# --- order ----------------------------------------------------------------------------------------


def finish(driver: Driver, data: st.DataObject) -> Driver:
    """Answer what is open in any order, each task by its input."""
    while driver.status == model.RUNNING:
        waiting = sorted(
            frame.id for frame in driver.x.frames.values() if frame.phase == Phase.TASK
        )
        if not waiting:
            driver.now = driver.x.wake_at() or 0
            driver.send(Tick())
            continue
        frame = driver.x.frames[data.draw(st.sampled_from(waiting))]
        assert frame.data is not None
        driver.send(TaskSucceeded(frame.id, frame.seq, Payload({"did": frame.data.value})))
    return driver


@SLOW
@given(data=st.data(), machine=MACHINES, budgets=st.tuples(st.integers(1, 5), st.integers(6, 256)))
def test_order_of_results_and_size_of_units_do_not_matter(
    data: st.DataObject, machine: dict[str, Any], budgets: tuple[int, int]
) -> None:
    """Branches and iterations may end in any order, and a unit may be cut anywhere: the outcome and
    each branch's history are the same.
    """
    answers = dict.fromkeys(names(machine), Silent)
    machine = json.loads(
        json.dumps(machine).replace('"TimeoutSeconds": 9', '"TimeoutSeconds": 9999')
    )
    one, other = (
        finish(begin(machine, INPUT, limits=Limits(unit_transitions=budget), **answers), data)
        for budget in budgets
    )
    assert one.output == other.output
    assert histories.canonical(one.events) == histories.canonical(other.events)


# --- the two query languages ----------------------------------------------------------------------

FIELDS = ("n", "l", "s", "deep.m")


def path(field: str) -> str:
    return f"$.{field}"


def expression(field: str) -> str:
    return f"{{% $states.input.{field} %}}"


def merged(name: str, value: str) -> dict[str, Any]:
    return {"Output": f"{{% $merge([$states.input, {{'{name}': {value}}}]) %}}"}


@st.composite
def twins(draw: Any, names: Any, depth: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """(in JSONPath, in JSONata): the same machine twice."""
    chain = [f"S{next(names)}" for _ in range(draw(st.integers(1, 3)))]
    kinds = ["pick", "task", "wait", "choice", *(["parallel", "map"] if depth else [])]
    both: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for place, name in enumerate(chain):
        kind, field = draw(st.sampled_from(kinds)), draw(st.sampled_from(FIELDS))
        following = {"Next": chain[place + 1]} if place + 1 < len(chain) else {"End": True}
        if kind == "pick":
            left: dict[str, Any] = {
                "Type": "Pass",
                "Parameters": {"x.$": path(field), "k": 1},
                "ResultPath": "$.p",
            }
            right: dict[str, Any] = {
                "Type": "Pass",
                **merged("p", f"{{'x': $states.input.{field}, 'k': 1}}"),
            }
        elif kind == "task":
            left = {
                "Type": "Task",
                "Resource": LAMBDA,
                "Parameters": {"x.$": path(field)},
                "ResultPath": "$.t",
            }
            right = {
                "Type": "Task",
                "Resource": LAMBDA,
                "Arguments": {"x": expression(field)},
                **merged("t", "$states.result"),
            }
        elif kind == "wait":
            left, right = (
                {"Type": "Wait", "SecondsPath": "$.n"},
                {"Type": "Wait", "Seconds": expression("n")},
            )
        elif kind == "choice":
            most, targets = draw(st.integers(2, 4)), {"Next": following.get("Next", "Last")}
            left = {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericLessThan": most, **targets}],
                "Default": "Last",
            }
            condition = f"{{% $states.input.n < {most} %}}"
            right = {
                "Type": "Choice",
                "Choices": [{"Condition": condition, **targets}],
                "Default": "Last",
            }
            following = {}
        elif kind == "parallel":
            inner = [draw(twins(names, depth - 1)) for _ in range(draw(st.integers(1, 2)))]
            left = {"Type": "Parallel", "Branches": [one for one, _ in inner], "ResultPath": "$.b"}
            right = {
                "Type": "Parallel",
                "Branches": [other for _, other in inner],
                **merged("b", "$states.result"),
            }
        else:
            one, other = draw(twins(names, depth - 1))
            selector = {"n.$": "$$.Map.Item.Value", "l.$": "$.l", "s.$": "$.s", "deep.$": "$.deep"}
            left = {
                "Type": "Map",
                "ItemsPath": "$.l",
                "ItemSelector": selector,
                "ItemProcessor": one,
                "ResultPath": "$.m",
            }
            values = {"n": "{% $states.context.Map.Item.Value %}"} | {
                key: expression(key) for key in ("l", "s", "deep")
            }
            right = {
                "Type": "Map",
                "Items": expression("l"),
                "ItemSelector": values,
                "ItemProcessor": other,
            }
            right |= merged("m", "$states.result")
        both[0][name], both[1][name] = {**left, **following}, {**right, **following}
    last = f"S{next(names)}"
    blocks = tuple(
        {
            "StartAt": chain[0],
            "States": json.loads(
                json.dumps({**states, "Last": {"Type": "Succeed"}}).replace('"Last"', f'"{last}"')
            ),
        }
        for states in both
    )
    if not any(f'"{last}"' in json.dumps(state) for state in blocks[0]["States"].values()):
        for block in blocks:
            del block["States"][last]
    return blocks[0], blocks[1]


def parsed(events: list[dict[str, Any]]) -> list[Any]:
    """Events with their payloads as values: the languages need not agree on the order of keys."""
    shown = []
    for event in events:
        details = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
        values = {
            key: json.loads(value) if key in ("input", "output", "parameters") else value
            for key, value in details.items()
        }
        shown.append(
            (event["id"], event["previousEventId"], event["type"], event["timestamp"], values)
        )
    return shown


@SLOW
@given(pair=st.deferred(lambda: twins(count(), 2)))
def test_the_languages_agree(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    left, right = pair
    one, other = run(left, INPUT), run({**right, "QueryLanguage": "JSONata"}, INPUT)
    assert one.status == other.status == model.SUCCEEDED
    assert parsed(one.events) == parsed(other.events)


# --- retriers -------------------------------------------------------------------------------------


@given(
    interval=st.integers(1, 99_999_999),
    backoff=st.floats(1, 1e6) | st.sampled_from([1.0, 2.0, 3.0]),
    most=st.integers(1, 31_622_400),
    attempt=st.integers(0, 99_999_999),
    fraction=st.floats(0, 1, exclude_max=True),
)
def test_retry_delay(
    interval: int, backoff: float, most: float, attempt: int, fraction: float
) -> None:
    """interval * backoff**attempt, never more than the most, never less than the one before; with
    jitter a part of it.
    """
    steady = Retrier(frozenset(), interval, 3, backoff, most, False)
    jittery = Retrier(frozenset(), interval, 3, backoff, most, True)
    whole = transitions.delay_ms(steady, attempt, fraction)
    assert whole == transitions.delay_ms(steady, attempt, 0.0)
    assert whole <= most * 1000
    assert transitions.delay_ms(steady, 0, fraction) == int(min(interval, most) * 1000)
    assert attempt == 0 or transitions.delay_ms(steady, attempt - 1, fraction) <= whole
    if attempt < 5 and backoff == int(backoff):
        assert whole == int(min(interval * backoff**attempt, most) * 1000)
    assert 0 <= transitions.delay_ms(jittery, attempt, fraction) <= whole
    assert transitions.delay_ms(jittery, attempt, 0.0) == 0


@given(
    interval=st.integers(1, 20),
    backoff=st.sampled_from([1, 1.5, 2, 3]),
    most=st.none() | st.integers(21, 60),
    attempts=st.integers(0, 5),
)
def test_attempts_follow_the_law(
    interval: int, backoff: float, most: int | None, attempts: int
) -> None:
    """The machine waits exactly that long before each attempt, makes as many as it may, and fails
    with the last error.
    """
    retrier = {
        "ErrorEquals": ["E"],
        "IntervalSeconds": interval,
        "BackoffRate": backoff,
        "MaxAttempts": attempts,
    }
    retrier |= {"MaxDelaySeconds": most} if most else {}
    machine = {
        "StartAt": "T",
        "States": {"T": {"Type": "Task", "Resource": LAMBDA, "Retry": [retrier], "End": True}},
    }
    driver = run(machine, T=Fails("E"))
    starts = driver.times("LambdaFunctionScheduled")
    assert driver.failure == ("E", None) and len(starts) == attempts + 1
    waited = [round((after - before) * 1000) for before, after in pairwise(starts)]
    assert waited == [
        int(min(interval * backoff**number, most or 10**9) * 1000) for number in range(attempts)
    ]


# --- redrive --------------------------------------------------------------------------------------


def _echo(value: Any) -> Any:
    return value


@SLOW
@given(MACHINES, st.data())
def test_what_failed_once_and_is_redriven_ends_like_an_undisturbed_run(
    machine: dict[str, Any], data: st.DataObject
) -> None:
    """Failures that nothing catches, one task after the other; with stops and whatever the size of
    a unit.
    """
    limits = Limits(unit_transitions=data.draw(st.integers(1, 9)))
    undisturbed = run(machine, INPUT)
    drawn = {
        name: (Fails("X", "c", runtime=True), _echo)
        for name in names(machine)
        if data.draw(st.booleans())
    }
    trace = begin(machine, INPUT, limits=limits, **drawn)
    for _ in range(2 * len(drawn) + 3):
        trace.run(until=trace.elapsed + data.draw(st.sampled_from([0, 2, 5, 1_000_000])))
        if trace.status == model.RUNNING:
            trace.stop()
        if trace.status == model.SUCCEEDED:
            break
        trace.redrive(data.draw(st.integers(0, 9)))
    trace.run()
    while trace.status == model.FAILED:
        trace.redrive().run()
    assert (trace.status, trace.output) == (undisturbed.status, undisturbed.output)


@SLOW
@given(MACHINES, st.data())
def test_what_is_redriven_goes_on_from_the_disk_as_from_memory(
    machine: dict[str, Any], data: st.DataObject
) -> None:
    answers = drawn_answers(data, machine)
    moments = data.draw(st.lists(st.integers(0, 20), max_size=3))
    traces = []
    for kind in (Driver, Forgetful):
        trace = kind(machine, INPUT, answers=answers)
        for moment in moments:
            trace.run(until=trace.elapsed + moment)
            if trace.status == model.RUNNING:
                trace.stop("S")
            if trace.x.snapshot is not None:
                trace.redrive(1)
        trace.run()
        traces.append(trace)
    memory, disk = traces
    assert memory.lines == disk.lines
    assert isinstance(disk, Forgetful)
    disk.close()
