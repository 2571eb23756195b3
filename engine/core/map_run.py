"""Map Runs: the distributed Map, whose children are executions of their own.

Failures of children are counted and compared with the tolerance here. The items come from
map_state.py, or from the ItemReader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Env, StateError
from stepwell.asl.program import Reader, Writer
from stepwell.engine import messages
from stepwell.engine.core import model
from stepwell.engine.core.dataflow import select_item
from stepwell.engine.core.environment import entropy, environment
from stepwell.engine.core.events import (
    CancelTask,
    ChildClosed,
    RunTask,
    StartChild,
    TaskFailed,
    TaskSucceeded,
    UpdateMapRun,
)
from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import Bounds, Execution, Frame, Payload, Phase
from stepwell.engine.core.run import Run
from stepwell.engine.core.transitions import (
    FAULTS,
    clipped,
    complete,
    conclude,
    explained,
    retry_or_fail,
    snapshot_for_redrive,
)

MAP_SUCCEEDED: Final = CODES["MapStateSucceeded"]
RUN_STARTED: Final = CODES["MapRunStarted"]
RUN_SUCCEEDED: Final = CODES["MapRunSucceeded"]
RUN_FAILED: Final = CODES["MapRunFailed"]
RUN_REDRIVEN: Final = CODES["MapRunRedriven"]


def child_inputs(
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
        select_item(run, frame, (index, item, named[index]), source)
        for index, item in enumerate(items)
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


def start(run: Run, frame: Frame, bounds: Bounds) -> None:
    spec = frame.state.map
    assert spec is not None and frame.items is not None
    run_id = _dashed(entropy(run, frame)())
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
    pending = [(model.PENDING, len(frame.items), _weight(frame, range(len(frame.items))))]
    frame.extra = frame.extra._replace(**_tally(pending))
    return _dispatch(run, frame) if frame.items else _run_succeeded(run, frame)


# --- what comes from elsewhere, and goes there ----------------------------------------------------


def _call(run: Run, frame: Frame, phase: Phase) -> None:
    """Let the ItemReader read, or the ResultWriter write."""
    frame.phase = phase
    frame.items = frame.items or None
    run.note_map_run(frame)
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


def items_read(run: Run, frame: Frame, event: TaskSucceeded) -> None:
    """The dataset: {"Items": array or object, "Source": as the Context object shows it}."""
    found: Any = event.output.value
    items, keys = found["Items"], None
    if isinstance(items, dict):
        keys, items = list(items), list(items.values())
    frame.extra = frame.extra._replace(reader=None)
    try:
        env = environment(run, frame)
        frame.items = child_inputs(
            run, frame, [Payload(each) for each in items], keys, env, found["Source"]
        )
    except FAULTS as fault:
        error, cause, _ = explained(run, frame, fault)
        return _run_failed(run, frame, error, cause)
    frame.phase = Phase.CHILDREN
    return _first(run, frame)


def results_written(run: Run, frame: Frame, event: TaskSucceeded) -> None:
    """Where the results are is the result."""
    run.note_map_run(frame, model.SUCCEEDED)
    succeeded = run.add((MAP_SUCCEEDED, run.add((RUN_SUCCEEDED, frame.prev))))
    frame.items = frame.results = frame.extra = None
    frame.done = 0
    return complete(run, frame, event.output, succeeded)


def call_failed(run: Run, frame: Frame, event: TaskFailed) -> None:
    reading = frame.phase == Phase.READ
    if not reading:
        snapshot_for_redrive(run, frame)  # a redrive writes again
    error, cause = clipped(
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
            (model.SUCCEEDED, len(succeeded), done),
            (model.PENDING_REDRIVE, begun - len(succeeded), old - done),
            (model.PENDING, count - begun, every - old),
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


def _tally(parts: list[tuple[str, int, int]]) -> dict[str, Any]:
    """The fields `children` and `items` of Bounds, from (status, children, items)."""
    children, items = [0] * len(model.CHILD_STATES), [0] * len(model.CHILD_STATES)
    for status, count, weight in parts:
        place = model.CHILD_STATES.index(status)
        children[place], items[place] = count, weight
    return {"children": tuple(children), "items": tuple(items)}


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
        (model.PENDING_REDRIVE, [slot for slot in slots if slot < bounds.begun]),
        (model.PENDING, [slot for slot in slots if slot >= bounds.begun]),
    ):
        if some:
            bounds = bounds.moved(before, model.RUNNING, len(some), _weight(frame, some))
    frame.extra = bounds
    run.commands.extend(_start_child(frame, slot) for slot in slots)
    if not frame.live and frame.next_item == len(frame.items):
        return _run_succeeded(run, frame)
    return run.note_map_run(frame)


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


def child_closed(run: Run, frame: Frame, event: ChildClosed) -> None:
    bounds: Bounds = frame.extra
    if bounds.closed >> event.slot & 1 or event.slot >= frame.next_item:
        return
    if (
        event.round != bounds.round and event.status != model.SUCCEEDED
    ):  # it fell with an earlier round
        run.commands.append(_start_child(frame, event.slot))
        return
    weight = _weight(frame, [event.slot])
    bounds = bounds.moved(model.RUNNING, event.status, 1, weight)
    frame.extra = bounds._replace(closed=bounds.closed | 1 << event.slot)
    frame.live -= 1
    if event.status == model.SUCCEEDED and event.output is not None:
        frame.put_result(event.slot, event.output)
    elif event.status != model.ABORTED:
        frame.failures += weight
        if _failed(run, frame):
            return
    _dispatch(run, frame)


def update(run: Run, frame: Frame, event: UpdateMapRun) -> None:
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
        run.note_map_run(frame)
    elif not _failed(run, frame):
        _dispatch(run, frame)


def _failed(run: Run, frame: Frame) -> bool:
    """Whether more has failed than is tolerated; then the Map Run does."""
    bounds: Bounds = frame.extra
    if not exceeded(bounds, frame.failures, sum(bounds.items)):
        return False
    run.commands.append(CancelTask(frame.id, frame.seq))
    snapshot_for_redrive(run, frame)
    _run_failed(run, frame, asl_messages.TOLERATED_FAILURE, messages.TOLERATED_EXCEEDED)
    return True


def _weight(frame: Frame, slots: Sequence[int]) -> int:
    """How many items children count for: all of their batches."""
    assert frame.items is not None and frame.state.map is not None
    if not frame.state.map.batch:
        return len(slots)
    return sum(len(frame.items[slot].value["Items"]) for slot in slots)


def exceeded(bounds: Bounds, failed: int, total: int) -> bool:
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
    run.note_map_run(frame, model.SUCCEEDED)
    if frame.state.map.transformation == "FLATTEN":
        frame.results = [
            (slot, item)
            for slot, output in (frame.results or [])[: frame.done]
            for item in _flat(output)
        ]
        frame.done = len(frame.results)
    return conclude(run, frame, run.add((MAP_SUCCEEDED, run.add((RUN_SUCCEEDED, frame.prev)))))


def _flat(output: Payload) -> list[Payload]:
    return [Payload(item) for item in output.value] if isinstance(output.value, list) else [output]


def _run_failed(run: Run, frame: Frame, error: str | None, cause: str | None) -> None:
    run.note_map_run(frame, model.FAILED)
    frame.prev = run.add((RUN_FAILED, frame.prev, error, cause))
    retry_or_fail(run, frame, error, cause)
