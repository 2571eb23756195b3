"""Map: its items, and inline iterations, which are frames of the same execution. The children of a
Map Run are executions of their own: see map_run.py.

Both: items are fixed when the state starts; at most `concurrency` children live at once; the next
one starts when one ends; results are in item order. The first failure of an inline iteration fails
the state (transitions.py).
"""

from __future__ import annotations

from typing import Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import StateError
from stepwell.engine import messages
from stepwell.engine.core import map_run
from stepwell.engine.core.dataflow import as_payload, effective, select_item
from stepwell.engine.core.environment import environment
from stepwell.engine.core.events import ChildrenMocked
from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import Bounds, Frame, Payload, Phase
from stepwell.engine.core.run import Run
from stepwell.engine.core.transitions import (
    FAULTS,
    clipped,
    complete,
    conclude,
    enter,
    fail,
    retry_or_fail,
    too_large,
)

MAP_STARTED: Final = CODES["MapStateStarted"]
MAP_SUCCEEDED: Final = CODES["MapStateSucceeded"]
ITERATION_STARTED: Final = CODES["MapIterationStarted"]
ITERATION_SUCCEEDED: Final = CODES["MapIterationSucceeded"]


def start(run: Run, frame: Frame) -> None:
    enter(run, frame, frame.state)
    attempt(run, frame)


def attempt(run: Run, frame: Frame) -> None:
    """Read the items and start the first children; a retry comes through here again."""
    spec = frame.state.map
    assert spec is not None
    frame.seq += 1
    selecting = False
    try:
        env = environment(run, frame)
        value = effective(frame, env)
        found, concurrency = spec.items(value, env), spec.concurrency(value, env)
        keys = list(found) if isinstance(found, dict) else None
        items = [Payload(each) for each in (found.values() if isinstance(found, dict) else found)]
        frame.prev = run.add((MAP_STARTED, frame.prev, 0 if spec.reader else len(items)))
        # what the Map Run is to tolerate, read and write is judged when the state has started, as
        # recorded
        bounds = Bounds(
            concurrency, spec.most_failed(value, env), spec.most_failed_percent(value, env)
        )
        if not spec.mocked:
            reader, writer = (
                None if each is None else Payload(each.call(value, env))
                for each in (spec.reader, spec.writer)
            )
            bounds = bounds._replace(reader=reader, writer=writer)
        frame.data = as_payload(value, frame.raw)
        if bounds.reader is None and (spec.distributed or spec.mocked):
            selecting = True
            items = map_run.child_inputs(run, frame, items, keys, env)
    except FAULTS as fault:
        if selecting and not (
            isinstance(fault, StateError) and fault.error != asl_messages.RUNTIME
        ):
            frame.prev = frame.entered
        return fail(run, frame, fault)
    frame.phase, frame.parked, frame.items, frame.extra = (
        Phase.CHILDREN,
        not spec.distributed,
        items,
        bounds,
    )
    frame.results, frame.done, frame.next_item, frame.live, frame.failures = None, 0, 0, 0, 0
    if spec.mocked:
        return None
    if spec.distributed:
        return map_run.start(run, frame, bounds)
    if not items:
        return _succeed(run, frame)
    run.ready.extend(reversed(_refill(run, frame, frame.prev)))
    return None


def _refill(run: Run, frame: Frame, prev: int) -> list[Frame]:
    """Start iterations while the concurrency allows; `prev` is the event that they follow from.
    Empty if one cannot be started.
    """
    items, bounds, state = frame.items or [], frame.extra, frame.state
    assert state.map is not None
    children: list[Frame] = []
    while frame.live < bounds.concurrency and frame.next_item < len(items):
        index = frame.next_item
        item = (index, items[index], None)
        try:
            selected = select_item(run, frame, item)
        except FAULTS as fault:
            fail(run, frame, fault)
            return []
        if too_large(run, frame, selected):
            return []
        child = Frame(run.x.next_frame, frame.id, index, state.map.block, selected, frame.scope, 0)
        child.prev = run.add((ITERATION_STARTED, prev, state.name, index))
        child.item = item
        frame.next_item, frame.live = index + 1, frame.live + 1
        run.spawn(child)
        children.append(child)
    return children


def iteration_ended(run: Run, frame: Frame, child: Frame) -> None:
    """An inline iteration succeeded; its result is already noted."""
    frame.prev = run.add((ITERATION_SUCCEEDED, child.prev, frame.state.name, child.slot))
    if frame.next_item < len(frame.items or ()):
        run.postpone(_refill(run, frame, child.prev))  # after those that were started before
    elif not frame.live:
        _succeed(run, frame)


def _succeed(run: Run, frame: Frame) -> None:
    conclude(run, frame, run.add((MAP_SUCCEEDED, frame.prev)))


def children_mocked(run: Run, frame: Frame, event: ChildrenMocked) -> None:
    """The work of a Parallel or Map under test is over. Recorded: there, a Map without thresholds
    tolerates any number of failures.
    """
    bounds, iterations = frame.extra or Bounds(0, None, None), len(frame.items or ())
    frame.items = frame.extra = None
    judged = event.failures and (bounds.most_failed, bounds.most_failed_percent) != (None, None)
    if judged and map_run.exceeded(bounds, event.failures, max(iterations, event.failures)):
        return retry_or_fail(
            run, frame, asl_messages.TOLERATED_FAILURE, messages.TOLERATED_EXCEEDED
        )
    if event.output is None:
        return retry_or_fail(run, frame, *clipped(run.limits, event.error, event.cause))
    return complete(run, frame, event.output, frame.prev)
