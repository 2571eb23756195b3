"""Map: inline iterations, which are frames of the same execution, and Map Runs, whose children are executions of their own.

Both: items are fixed when the state starts; at most `concurrency` children live at once; the next one starts when one ends; results are in
item order. Inline: the first failure fails the state (failure.py). Map Run: failures are counted and judged against the tolerance here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl import messages
from stepwell.asl.evaluation import Env, StateError
from stepwell.engine.core import failure, model, states
from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import Bounds, Execution, Frame, Payload, Phase, StartChild

if TYPE_CHECKING:
    from stepwell.engine.core.decide import Run

MAP_STARTED: Final = CODES["MapStateStarted"]
MAP_SUCCEEDED: Final = CODES["MapStateSucceeded"]
ITERATION_STARTED: Final = CODES["MapIterationStarted"]
ITERATION_SUCCEEDED: Final = CODES["MapIterationSucceeded"]
RUN_STARTED: Final = CODES["MapRunStarted"]
RUN_SUCCEEDED: Final = CODES["MapRunSucceeded"]
RUN_FAILED: Final = CODES["MapRunFailed"]


def attempt(run: Run, frame: Frame) -> None:
    """Read the items and start the first children; a retry comes through here again."""
    spec = frame.state.map
    assert spec is not None
    frame.seq += 1
    started = False
    try:
        env = states.environment(run, frame)
        value = states.effective(frame, env)
        found = spec.items(value, env)
        bounds = Bounds(spec.concurrency(value, env), spec.most_failed(value, env), spec.most_failed_percent(value, env))
        keys = list(found) if isinstance(found, dict) else None
        items = [Payload(each) for each in (found.values() if isinstance(found, dict) else found)]
        frame.prev = run.add((MAP_STARTED, frame.prev, 0 if spec.reader else len(items)))
        started = True
        frame.data = states.as_payload(value, frame.raw)
        if spec.distributed:
            items = _inputs(run, frame, items, keys, env)
    except failure.FAULTS as fault:
        if started and not (isinstance(fault, StateError) and fault.error != messages.RUNTIME):
            frame.prev = frame.entered
        return failure.fail(run, frame, fault)
    frame.phase, frame.parked, frame.items, frame.extra = Phase.CHILDREN, not spec.distributed, items, bounds
    frame.results, frame.done, frame.next_item, frame.live, frame.failures = None, 0, 0, 0, 0
    if spec.distributed:
        return _start_map_run(run, frame, bounds)
    if not items:
        return _succeed(run, frame)
    run.ready.extend(reversed(_refill(run, frame, frame.prev)))
    return None


def _select(run: Run, frame: Frame, item: tuple[int, Payload, Payload | None]) -> Payload:
    """The child's input: the item, or what ItemSelector makes of it."""
    selector = frame.state.map.selector if frame.state.map else None
    if selector is None:
        return item[1]
    env = states.environment(run, frame)
    env.context = partial(states.context, run.x, frame, item)
    assert frame.data is not None
    return states.as_payload(selector(frame.data.value, env), item[1], frame.data)


def _refill(run: Run, frame: Frame, prev: int) -> list[Frame]:
    """Start iterations while the concurrency allows; `prev` is the event that they follow from. Empty if one cannot be started."""
    items, bounds, state = frame.items or [], frame.extra, frame.state
    assert state.map is not None
    children: list[Frame] = []
    while frame.live < bounds.concurrency and frame.next_item < len(items):
        index = frame.next_item
        item = (index, items[index], None)
        try:
            selected = _select(run, frame, item)
        except failure.FAULTS as fault:
            failure.fail(run, frame, fault)
            return []
        if states.too_large(run, frame, selected):
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
        run.ready[:0] = reversed(_refill(run, frame, child.prev))  # after those that were started before
    elif not frame.live:
        _succeed(run, frame)
    if frame.phase == Phase.RUN:
        run.ready.append(frame)


def _succeed(run: Run, frame: Frame) -> None:
    states.conclude(run, frame, run.add((MAP_SUCCEEDED, frame.prev)))


# --- Map Runs ------------------------------------------------------------------------------------------------------------


def _inputs(run: Run, frame: Frame, items: list[Payload], keys: list[str] | None, env: Env) -> list[Payload]:
    """What the children are started with: items as ItemSelector makes them, one by one or in batches."""
    spec = frame.state.map
    assert spec is not None and frame.data is not None
    inputs = [_select(run, frame, (index, item, None if keys is None else Payload(keys[index]))) for index, item in enumerate(items)]
    if spec.batch is not None:
        inputs = spec.batch(inputs, frame.data.value, env)
    if any(len(each.data) > run.limits.payload_bytes for each in inputs):
        raise StateError(messages.DATA_LIMIT_EXCEEDED, messages.RESULT_TOO_LARGE.format(name=frame.state.name), bare=True)
    return inputs


def _start_map_run(run: Run, frame: Frame, bounds: Bounds) -> None:
    spec = frame.state.map
    assert spec is not None
    digits = states.entropy(run, frame)().hex()
    run_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    label = spec.label or run_id
    machine = run.x.machine_arn.replace(":stateMachine:", ":mapRun:")
    frame.prev = run.add((RUN_STARTED, frame.prev, f"{machine}/{label}:{run_id}"))
    frame.extra = bounds._replace(label=label)
    for unserved, error in ((spec.reader, messages.ITEM_READER_FAILED), (spec.writer, messages.RESULT_WRITER_FAILED)):
        if unserved:
            return _run_failed(run, frame, error, messages.NO_SERVICE.format(resource=unserved))
    if not frame.items:
        return _run_succeeded(run, frame)
    return _dispatch(run, frame)


def _dispatch(run: Run, frame: Frame) -> None:
    first = frame.next_item
    frame.next_item = min(len(frame.items or ()), first + frame.extra.concurrency - frame.live)
    frame.live += frame.next_item - first
    run.commands.extend(_start_child(frame, index) for index in range(first, frame.next_item))


def _start_child(frame: Frame, index: int) -> StartChild:
    spec = frame.state.map
    assert spec is not None and frame.items is not None
    return StartChild(frame.id, frame.seq, index, spec.block, frame.extra.label, frame.items[index], spec.express)


def commands(execution: Execution, frame: Frame) -> list[Any]:
    """After a crash: every child that was started and has not reported its end."""
    closed = frame.extra.closed
    return [_start_child(frame, index) for index in range(frame.next_item) if not closed >> index & 1]


def child_closed(run: Run, frame: Frame, event: model.ChildClosed) -> None:
    bounds: Bounds = frame.extra
    if bounds.closed >> event.slot & 1:
        return
    frame.extra = bounds = bounds._replace(closed=bounds.closed | 1 << event.slot)
    frame.live -= 1
    if event.status == model.SUCCEEDED and event.output is not None:
        frame.put_result(event.slot, event.output)
    elif event.status != model.ABORTED:
        frame.failures += _weight(frame, event.slot)
        if _exceeded(bounds, frame.failures, sum(_weight(frame, slot) for slot in range(len(frame.items or ())))):
            run.commands.append(model.CancelTask(frame.id, frame.seq))
            return _run_failed(run, frame, messages.TOLERATED_FAILURE, messages.TOLERATED_EXCEEDED)
    if frame.next_item < len(frame.items or ()):
        _dispatch(run, frame)
    elif not frame.live:
        _run_succeeded(run, frame)


def _weight(frame: Frame, slot: int) -> int:
    """How many items a child counts for: all of its batch."""
    assert frame.items is not None and frame.state.map is not None
    return len(frame.items[slot].value["Items"]) if frame.state.map.batch else 1


def _exceeded(bounds: Bounds, failed: int, total: int) -> bool:
    """Either threshold that was given is passed; with none given, one failure is too many."""
    most, percent = bounds.most_failed, bounds.most_failed_percent
    if most is None and percent is None:
        return failed > 0
    return (most is not None and failed > most) or (percent is not None and failed / total * 100 > percent)


def _run_succeeded(run: Run, frame: Frame) -> None:
    """MapStateExited follows MapRunStarted, as in the service's recordings since late 2024."""
    states.conclude(run, frame, run.add((MAP_SUCCEEDED, run.add((RUN_SUCCEEDED, frame.prev)))))


def _run_failed(run: Run, frame: Frame, error: str, cause: str) -> None:
    frame.prev = run.add((RUN_FAILED, frame.prev, error, cause))
    failure.settle(run, frame, error, cause)
