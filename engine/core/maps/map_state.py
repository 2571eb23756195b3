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
from stepwell.engine.core import mocked_attempts
from stepwell.engine.core.dataflow import as_payload, effective, select_item
from stepwell.engine.core.environment import environment
from stepwell.engine.core.events import ChildrenMocked
from stepwell.engine.core.history import CODES
from stepwell.engine.core.maps import map_run
from stepwell.engine.core.maps.items import child_inputs
from stepwell.engine.core.model import Children, Frame, MapRunState, Payload, Phase
from stepwell.engine.core.run import Run
from stepwell.engine.core.transitions import (
    EVALUATION_ERRORS,
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
    """Enter the state and start its work."""
    enter(run, frame, frame.state)
    attempt(run, frame)


def attempt(run: Run, frame: Frame) -> None:
    """Read the items and start the first children; a retry begins here again."""
    spec = frame.state.map
    assert spec is not None
    frame.seq += 1
    selecting = False
    try:
        env = environment(run, frame)
        value = effective(frame, env)
        source, concurrency = spec.items(value, env), spec.concurrency(value, env)
        keys = list(source) if isinstance(source, dict) else None
        items = [Payload(each) for each in (source.values() if keys is not None else source)]
        frame.prev = run.add((MAP_STARTED, frame.prev, 0 if spec.reader else len(items)))
        number = mocked_attempts.number(run, frame)[0] if "case" in run.x.extras else 0
        # tolerance, reader and writer are evaluated when the state has started, as recorded
        state = MapRunState(
            concurrency, spec.tolerated_count(value, env), spec.tolerated_percentage(value, env)
        )
        if not spec.mocked:
            reader, writer = (
                None if each is None else Payload(each.call(value, env))
                for each in (spec.reader, spec.writer)
            )
            state = state._replace(reader=reader, writer=writer)
        frame.data = as_payload(value, frame.raw)
        if state.reader is None and (spec.distributed or spec.mocked):
            selecting = True
            items = child_inputs(run, frame, items, keys, env)
    except EVALUATION_ERRORS as exception:
        if selecting and not (
            isinstance(exception, StateError) and exception.error != asl_messages.RUNTIME
        ):
            frame.prev = frame.entered
        return fail(run, frame, exception)
    if mocked_attempts.answered(run, frame, number, MAP_SUCCEEDED):
        return None
    frame.phase = Phase.CHILDREN
    frame.children = Children(0, items, state)
    if spec.mocked:
        return None
    if spec.distributed:
        return map_run.start(run, frame)
    if not items:
        return _succeed(run, frame)
    run.ready.extend(reversed(_start_iterations(run, frame, frame.prev)))
    return None


def _start_iterations(run: Run, frame: Frame, prev: int) -> list[Frame]:
    """Start iterations while the concurrency allows; `prev` is the event that they follow from.
    Empty if one cannot be started.
    """
    children, state = frame.running_children, frame.state
    assert state.map is not None
    items, concurrency = children.items, children.map_run.concurrency
    started: list[Frame] = []
    while children.live < concurrency and children.next_item < len(items):
        index = children.next_item
        item = (index, items[index], None)
        try:
            selected = select_item(run, frame, item)
        except EVALUATION_ERRORS as exception:
            fail(run, frame, exception)
            return []
        if too_large(run, frame, selected):
            return []
        child = Frame(run.x.next_frame, frame.id, index, state.map.block, selected, frame.scope, 0)
        child.prev = run.add((ITERATION_STARTED, prev, state.name, index))
        child.item = item
        children.next_item = index + 1
        children.live += 1
        run.spawn(child)
        started.append(child)
    return started


def iteration_ended(run: Run, frame: Frame, child: Frame) -> None:
    """An inline iteration succeeded; its result is already noted."""
    children = frame.running_children
    frame.prev = run.add((ITERATION_SUCCEEDED, child.prev, frame.state.name, child.slot))
    if children.next_item < len(children.items):
        run.postpone(_start_iterations(run, frame, child.prev))
    elif not children.live:
        _succeed(run, frame)


def _succeed(run: Run, frame: Frame) -> None:
    conclude(run, frame, run.add((MAP_SUCCEEDED, frame.prev)))


def children_mocked(run: Run, frame: Frame, event: ChildrenMocked) -> None:
    """The work of a Parallel or Map under test is over. Recorded: there, a Map without thresholds
    tolerates any number of failures.
    """
    state, iterations = frame.running_children.map_run, len(frame.running_children.items)
    frame.children = None
    judged = event.failures and (state.tolerated_count, state.tolerated_percentage) != (None, None)
    if judged and map_run.exceeds(state, event.failures, max(iterations, event.failures)):
        return retry_or_fail(
            run, frame, asl_messages.TOLERATED_FAILURE, messages.TOLERATED_EXCEEDED
        )
    if event.output is None:
        return retry_or_fail(run, frame, *clipped(run.limits, event.error, event.cause))
    return complete(run, frame, event.output, frame.prev)
