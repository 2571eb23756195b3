"""Map: inline iterations, which are frames of the same execution, and Map Runs, whose children are
executions of their own.

Both: items are fixed when the state starts; at most `concurrency` children live at once; the next
one starts when one ends; results are in item order. Inline: the first failure fails the state
(failure.py). Map Run: failures are counted and judged against the tolerance here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Env, StateError
from stepwell.engine import messages
from stepwell.engine.core import environment, failure, model, states
from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import Bounds, Execution, Frame, Payload, Phase, RunTask, StartChild

if TYPE_CHECKING:
    from stepwell.asl.program import Reader, Writer
    from stepwell.engine.core.decide import Run

MAP_STARTED: Final = CODES["MapStateStarted"]
MAP_SUCCEEDED: Final = CODES["MapStateSucceeded"]
ITERATION_STARTED: Final = CODES["MapIterationStarted"]
ITERATION_SUCCEEDED: Final = CODES["MapIterationSucceeded"]
RUN_STARTED: Final = CODES["MapRunStarted"]
RUN_SUCCEEDED: Final = CODES["MapRunSucceeded"]
RUN_FAILED: Final = CODES["MapRunFailed"]
RUN_REDRIVEN: Final = CODES["MapRunRedriven"]
PENDING, RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, PENDING_REDRIVE = range(
    len(model.CHILD_STATES)
)


def attempt(run: Run, frame: Frame) -> None:
    """Read the items and start the first children; a retry comes through here again."""
    spec = frame.state.map
    assert spec is not None
    frame.seq += 1
    selecting = False
    try:
        env = environment.environment(run, frame)
        value = states.effective(frame, env)
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
        frame.data = states.as_payload(value, frame.raw)
        if bounds.reader is None and (spec.distributed or spec.mocked):
            selecting = True
            items = _inputs(run, frame, items, keys, env)
    except failure.FAULTS as fault:
        if selecting and not (
            isinstance(fault, StateError) and fault.error != asl_messages.RUNTIME
        ):
            frame.prev = frame.entered
        return failure.fail(run, frame, fault)
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
        return _start_map_run(run, frame, bounds)
    if not items:
        return _succeed(run, frame)
    run.ready.extend(reversed(_refill(run, frame, frame.prev)))
    return None


def _select(
    run: Run,
    frame: Frame,
    item: tuple[int, Payload, Payload | None],
    source: str = model.STATE_DATA,
) -> Payload:
    """The child's input: the item, or what ItemSelector makes of it."""
    selector = frame.state.map.selector if frame.state.map else None
    if selector is None:
        return item[1]
    env = environment.environment(run, frame)
    env.context = partial(environment.context, run.x, frame, item, source)
    assert frame.data is not None
    return states.as_payload(selector(frame.data.value, env), item[1], frame.data)


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
        run.postpone(_refill(run, frame, child.prev))  # after those that were started before
    elif not frame.live:
        _succeed(run, frame)
    if frame.phase == Phase.RUN:
        run.ready.append(frame)


def _succeed(run: Run, frame: Frame) -> None:
    states.conclude(run, frame, run.add((MAP_SUCCEEDED, frame.prev)))


# --- Map Runs -------------------------------------------------------------------------------------


def _inputs(
    run: Run,
    frame: Frame,
    items: list[Payload],
    keys: list[str] | None,
    env: Env,
    source: str = model.STATE_DATA,
) -> list[Payload]:
    """What the children are started with: items as ItemSelector makes them, one by one or in
    batches.
    """
    spec = frame.state.map
    assert spec is not None and frame.data is not None
    named = [None if keys is None else Payload(keys[index]) for index in range(len(items))]
    inputs = [
        _select(run, frame, (index, item, named[index]), source) for index, item in enumerate(items)
    ]
    if spec.batch is not None:
        inputs = spec.batch(inputs, frame.data.value, env)
    if any(len(each.data) > run.limits.payload_bytes for each in inputs):
        raise StateError(
            asl_messages.DATA_LIMIT_EXCEEDED,
            asl_messages.RESULT_TOO_LARGE.format(name=frame.state.name),
            bare=True,
        )
    return inputs


def _start_map_run(run: Run, frame: Frame, bounds: Bounds) -> None:
    spec = frame.state.map
    assert spec is not None and frame.items is not None
    run_id = _dashed(environment.entropy(run, frame)())
    label = spec.label or _dashed(
        hashlib.blake2b(f"{run.x.machine_arn}/{frame.state.name}".encode(), digest_size=16).digest()
    )
    bounds = bounds._replace(
        label=label, uuid=run_id, event=run.next_id(), started=run.now, **_tally([])
    )
    frame.prev = run.add((RUN_STARTED, frame.prev, bounds.arn(run.x.machine_arn)))
    frame.extra = bounds
    return _first(run, frame) if bounds.reader is None else _call(run, frame, Phase.READ)


def _dashed(value: bytes) -> str:
    """16 bytes in the form of a UUID."""
    digits = value.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _first(run: Run, frame: Frame) -> None:
    """The inputs of the children are known: start the first ones."""
    assert frame.items is not None
    pending = [(PENDING, len(frame.items), _weight(frame, range(len(frame.items))))]
    frame.extra = frame.extra._replace(**_tally(pending))
    return _dispatch(run, frame) if frame.items else _run_succeeded(run, frame)


# --- what comes from elsewhere, and goes there ----------------------------------------------------


def _call(run: Run, frame: Frame, phase: Phase) -> None:
    """Let the ItemReader read, or the ResultWriter write."""
    frame.phase = phase
    frame.items = frame.items or None
    note(run, frame)
    run.commands.append(call_command(run.x, frame))


def call_command(x: Execution, frame: Frame, again: bool = False) -> RunTask:
    """The effect of a frame in phase READ or WRITE, from its stored state alone. To write are the
    outputs, in the order of the items.
    """
    spec, bounds = frame.state.map, frame.extra
    assert spec is not None
    called: Reader | Writer | None = spec.reader
    payload = bounds.reader
    if frame.phase == Phase.WRITE:
        outputs = sorted((frame.results or [])[: frame.done], key=lambda pair: pair[0])
        results = {
            "MapRunArn": bounds.arn(x.machine_arn),
            "Results": [payload.value for _, payload in outputs],
        }
        called, payload = (
            spec.writer,
            Payload({**bounds.writer.value, **results}, b""),
        )  # whose text would be for nobody
    assert called is not None
    return RunTask(
        frame.id, frame.seq, frame.state, called.resource, payload, None, None, None, again
    )


def items_read(run: Run, frame: Frame, event: model.TaskSucceeded) -> None:
    """The dataset: {"Items": array or object, "Source": as the Context object shows it}."""
    found: Any = event.output.value
    items, keys = found["Items"], None
    if isinstance(items, dict):
        keys, items = list(items), list(items.values())
    frame.extra = frame.extra._replace(reader=None)
    try:
        env = environment.environment(run, frame)
        frame.items = _inputs(
            run, frame, [Payload(each) for each in items], keys, env, found["Source"]
        )
    except failure.FAULTS as fault:
        error, cause, _ = failure.explained(run, frame, fault)
        return _run_failed(run, frame, error, cause)
    frame.phase = Phase.CHILDREN
    return _first(run, frame)


def results_written(run: Run, frame: Frame, event: model.TaskSucceeded) -> None:
    """Where the results are is the result."""
    note(run, frame, model.SUCCEEDED)
    succeeded = run.add((MAP_SUCCEEDED, run.add((RUN_SUCCEEDED, frame.prev))))
    frame.items = frame.results = frame.extra = None
    frame.done = 0
    return states.complete(run, frame, event.output, succeeded)


def call_failed(run: Run, frame: Frame, event: model.TaskFailed) -> None:
    reading = frame.phase == Phase.READ
    if not reading:
        failure.keep(run, frame)  # a redrive writes again
    error, cause = failure.clipped(
        run.limits,
        asl_messages.ITEM_READER_FAILED if reading else asl_messages.RESULT_WRITER_FAILED,
        event.cause,
    )
    return _run_failed(run, frame, error, cause)


def redrive(run: Run, frame: Frame) -> None:
    """The same Map Run goes on: what succeeded stays, what failed or was given up is redriven, what
    had not begun begins.
    """
    bounds: Bounds = frame.extra
    assert frame.items is not None
    count, begun = len(frame.items), max(bounds.begun, frame.next_item)
    succeeded = [slot for slot, _ in (frame.results or [])[: frame.done]]
    every, done, old = (_weight(frame, slots) for slots in (range(count), succeeded, range(begun)))
    tally = _tally(
        [
            (SUCCEEDED, len(succeeded), done),
            (PENDING_REDRIVE, begun - len(succeeded), old - done),
            (PENDING, count - begun, every - old),
        ]
    )
    closed = bytearray(count // 8 + 1)
    for slot in succeeded:
        closed[slot >> 3] |= 1 << (slot & 7)
    bounds = bounds._replace(
        round=bounds.round + 1,
        redriven=run.now,
        begun=begun,
        closed=int.from_bytes(closed, "little"),
    )
    frame.extra = bounds._replace(**tally)
    frame.next_item = frame.live = frame.failures = 0
    frame.phase = Phase.CHILDREN
    frame.prev = run.add((RUN_REDRIVEN, bounds.event, bounds.arn(run.x.machine_arn), bounds.round))
    _dispatch(run, frame)


def _tally(parts: list[tuple[int, int, int]]) -> dict[str, Any]:
    """The fields `children` and `items` of Bounds, from (state, children, items) of some states."""
    children, items = [0] * len(model.CHILD_STATES), [0] * len(model.CHILD_STATES)
    for state, count, weight in parts:
        children[state], items[state] = count, weight
    return {"children": tuple(children), "items": tuple(items)}


def _moved(bounds: Bounds, before: int, after: int, count: int, weight: int) -> Bounds:
    """So many children, which stand for so many items, have changed their state."""
    children, items = list(bounds.children), list(bounds.items)
    for tally, number in ((children, count), (items, weight)):
        tally[before] -= number
        tally[after] += number
    return bounds._replace(children=tuple(children), items=tuple(items))


def note(run: Run, frame: Frame, status: str = model.RUNNING) -> None:
    """Tell those who describe Map Runs how far this one is. When one is given up, so are its
    children.
    """
    bounds: Bounds = frame.extra
    if not bounds.uuid:
        return  # a state under test
    if status in (model.ABORTED, model.FAILED):
        bounds = _moved(bounds, RUNNING, ABORTED, bounds.children[RUNNING], bounds.items[RUNNING])
    if run.map_runs is None:
        run.map_runs = {}
    stopped = None if status == model.RUNNING else run.now
    known = bounds._replace(closed=0, reader=None, writer=None)
    run.map_runs[bounds.event] = model.MapRun(frame.id, frame.seq, status, stopped, known)


def _dispatch(run: Run, frame: Frame) -> None:
    """Start children while the concurrency allows, if any have not begun in this round; else see
    whether it is over.
    """
    bounds: Bounds = frame.extra
    assert frame.items is not None
    count, room = len(frame.items), max(0, bounds.concurrency - frame.live)
    pending = (
        zeros(bounds.closed, count, frame.next_item)
        if bounds.round
        else iter(range(frame.next_item, count))
    )
    slots = list(islice(pending, room))
    if room:
        frame.next_item = slots[-1] + 1 if len(slots) == room else count
    frame.live += len(slots)
    for before, some in (
        (PENDING_REDRIVE, [slot for slot in slots if slot < bounds.begun]),
        (PENDING, [slot for slot in slots if slot >= bounds.begun]),
    ):
        if some:
            bounds = _moved(bounds, before, RUNNING, len(some), _weight(frame, some))
    frame.extra = bounds
    run.commands.extend(_start_child(frame, slot) for slot in slots)
    if not frame.live and frame.next_item == len(frame.items):
        return _run_succeeded(run, frame)
    return note(run, frame)


def _start_child(frame: Frame, index: int) -> StartChild:
    spec = frame.state.map
    assert spec is not None and frame.items is not None
    known = (spec.block, frame.extra.label, frame.items[index], spec.express, frame.extra.round)
    return StartChild(frame.id, frame.seq, index, *known, _weight(frame, [index]))


def commands(execution: Execution, frame: Frame) -> list[Any]:
    """After a crash: every child that was started and has not reported its end."""
    return [_start_child(frame, index) for index in zeros(frame.extra.closed, frame.next_item)]


def zeros(bits: int, count: int, start: int = 0) -> Iterator[int]:
    """The places from `start` and below `count` at which a bit set has none. To ask an integer for
    a bit costs its whole length.
    """
    data = bits.to_bytes(max(count, bits.bit_length()) // 8 + 1, "little")
    for place in range(start // 8, count // 8 + 1):
        if data[place] != 255:
            first = place * 8
            yield from (
                index
                for index in range(max(start, first), min(first + 8, count))
                if not data[place] >> (index & 7) & 1
            )


def child_closed(run: Run, frame: Frame, event: model.ChildClosed) -> None:
    bounds: Bounds = frame.extra
    if bounds.closed >> event.slot & 1 or event.slot >= frame.next_item:
        return
    if (
        event.round != bounds.round and event.status != model.SUCCEEDED
    ):  # it fell with an earlier round
        run.commands.append(_start_child(frame, event.slot))
        return
    weight, after = _weight(frame, [event.slot]), model.CHILD_STATES.index(event.status)
    frame.extra = _moved(bounds, RUNNING, after, 1, weight)._replace(
        closed=bounds.closed | 1 << event.slot
    )
    frame.live -= 1
    if after == SUCCEEDED and event.output is not None:
        frame.put_result(event.slot, event.output)
    elif after != ABORTED:
        frame.failures += weight
        if _failed(run, frame):
            return
    _dispatch(run, frame)


def update(run: Run, frame: Frame, event: model.UpdateMapRun) -> None:
    """UpdateMapRun. Less concurrency stops no child; a tolerance that is exceeded already fails the
    Map Run.
    """
    given = {
        name: value
        for name, value in zip(event._fields[2:], event[2:], strict=True)
        if value is not None
    }
    frame.extra = frame.extra._replace(**given)
    if frame.phase != Phase.CHILDREN:
        note(run, frame)
    elif not _failed(run, frame):
        _dispatch(run, frame)


def _failed(run: Run, frame: Frame) -> bool:
    """Whether more has failed than is tolerated; then the Map Run does."""
    bounds: Bounds = frame.extra
    if not _exceeded(bounds, frame.failures, sum(bounds.items)):
        return False
    run.commands.append(model.CancelTask(frame.id, frame.seq))
    failure.keep(run, frame)
    _run_failed(run, frame, asl_messages.TOLERATED_FAILURE, messages.TOLERATED_EXCEEDED)
    return True


def children_mocked(run: Run, frame: Frame, event: model.ChildrenMocked) -> None:
    """The work of a Parallel or Map under test is over. Recorded: there, a Map without thresholds
    tolerates any number of failures.
    """
    bounds, iterations = frame.extra or Bounds(0, None, None), len(frame.items or ())
    frame.items = frame.extra = None
    judged = event.failures and (bounds.most_failed, bounds.most_failed_percent) != (None, None)
    if judged and _exceeded(bounds, event.failures, max(iterations, event.failures)):
        return failure.settle(
            run, frame, asl_messages.TOLERATED_FAILURE, messages.TOLERATED_EXCEEDED
        )
    if event.output is None:
        return failure.settle(run, frame, *failure.clipped(run.limits, event.error, event.cause))
    return states.complete(run, frame, event.output, frame.prev)


def _weight(frame: Frame, slots: Sequence[int]) -> int:
    """How many items children count for: all of their batches."""
    assert frame.items is not None and frame.state.map is not None
    if not frame.state.map.batch:
        return len(slots)
    return sum(len(frame.items[slot].value["Items"]) for slot in slots)


def _exceeded(bounds: Bounds, failed: int, total: int) -> bool:
    """Either threshold that was given is passed; with none given, one failure is too many."""
    most, percent = bounds.most_failed, bounds.most_failed_percent
    if most is None and percent is None:
        return failed > 0
    return (most is not None and failed > most) or (
        percent is not None and failed / total * 100 > percent
    )


def _run_succeeded(run: Run, frame: Frame) -> None:
    """MapStateExited follows MapRunStarted, as in the service's recordings since late 2024."""
    assert frame.state.map is not None
    if frame.state.map.writer is not None:
        return _call(run, frame, Phase.WRITE)
    note(run, frame, model.SUCCEEDED)
    if frame.state.map.transformation == "FLATTEN":
        frame.results = [
            (slot, item)
            for slot, output in (frame.results or [])[: frame.done]
            for item in _flat(output)
        ]
        frame.done = len(frame.results)
    return states.conclude(
        run, frame, run.add((MAP_SUCCEEDED, run.add((RUN_SUCCEEDED, frame.prev))))
    )


def _flat(output: Payload) -> list[Payload]:
    return [Payload(item) for item in output.value] if isinstance(output.value, list) else [output]


def _run_failed(run: Run, frame: Frame, error: str | None, cause: str | None) -> None:
    note(run, frame, model.FAILED)
    frame.prev = run.add((RUN_FAILED, frame.prev, error, cause))
    failure.settle(run, frame, error, cause)
