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
    ChildrenClosed,
    RunTask,
    StartChild,
    TaskFailed,
    TaskSucceeded,
    UpdateMapRun,
)
from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import Execution, Frame, MapRunState, Payload, Phase
from stepwell.engine.core.run import Run
from stepwell.engine.core.transitions import (
    EVALUATION_ERRORS,
    clipped,
    complete,
    conclude,
    retry_or_fail,
    shown_error,
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
    """The inputs of the children: items as ItemSelector makes them, one by one or in batches."""
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


def start(run: Run, frame: Frame) -> None:
    """Start the Map Run of a frame whose limits, reader and writer are evaluated."""
    spec, children = frame.state.map, frame.running_children
    assert spec is not None
    uuid = _dashed(entropy(run, frame)())
    label = spec.label or _dashed(
        hashlib.blake2b(f"{run.x.machine_arn}/{frame.state.name}".encode(), digest_size=16).digest()
    )
    state = children.map_run = children.map_run._replace(
        label=label, uuid=uuid, event=run.next_id(), started=run.now, **_counts([])
    )
    frame.prev = run.add((RUN_STARTED, frame.prev, state.arn(run.x.machine_arn)))
    return _start_first(run, frame) if state.reader is None else _call(run, frame, Phase.READ)


def _dashed(value: bytes) -> str:
    """16 bytes in the form of a UUID."""
    digits = value.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _start_first(run: Run, frame: Frame) -> None:
    """The inputs of the children are known."""
    children = frame.running_children
    count = len(children.items)
    pending = (model.PENDING, count, _item_count(frame, range(count)))
    children.map_run = children.map_run._replace(**_counts([pending]))
    return _start_children(run, frame) if count else _succeed(run, frame)


# --- ItemReader and ResultWriter ------------------------------------------------------------------


def _call(run: Run, frame: Frame, phase: Phase) -> None:
    """Let the ItemReader read, or the ResultWriter write."""
    frame.phase = phase
    run.note_map_run(frame)
    run.commands.append(call_command(run.x, frame))


def call_command(x: Execution, frame: Frame, again: bool = False) -> RunTask:
    """The effect of a frame in phase READ or WRITE, from its stored state alone. The ResultWriter
    gets the outputs in the order of the items.
    """
    spec, children = frame.state.map, frame.running_children
    assert spec is not None
    state = children.map_run
    called: Reader | Writer | None = spec.reader
    payload = state.reader
    if frame.phase == Phase.WRITE:
        assert state.writer is not None
        results = {
            "MapRunArn": state.arn(x.machine_arn),
            "Results": [output.value for output in children.outputs()],
        }
        called = spec.writer
        payload = Payload({**state.writer.value, **results}, b"")  # its text is never read
    assert called is not None and payload is not None
    return RunTask(
        frame.id, frame.seq, frame.state, called.resource, payload, None, None, None, again
    )


def items_read(run: Run, frame: Frame, event: TaskSucceeded) -> None:
    """The dataset: {"Items": array or object, "Source": as the Context object shows it}."""
    dataset: Any = event.output.value
    items, keys, children = dataset["Items"], None, frame.running_children
    if isinstance(items, dict):
        keys, items = list(items), list(items.values())
    children.map_run = children.map_run._replace(reader=None)
    try:
        env = environment(run, frame)
        children.items = child_inputs(
            run, frame, [Payload(each) for each in items], keys, env, dataset["Source"]
        )
    except EVALUATION_ERRORS as exception:
        error, cause, _ = shown_error(run, frame, exception)
        return _fail(run, frame, error, cause)
    frame.phase = Phase.CHILDREN
    return _start_first(run, frame)


def results_written(run: Run, frame: Frame, event: TaskSucceeded) -> None:
    """The location of the results, as the ResultWriter answers it, is the result."""
    run.note_map_run(frame, model.SUCCEEDED)
    succeeded = run.add((MAP_SUCCEEDED, run.add((RUN_SUCCEEDED, frame.prev))))
    frame.children = None
    return complete(run, frame, event.output, succeeded)


def call_failed(run: Run, frame: Frame, event: TaskFailed) -> None:
    """The ItemReader or ResultWriter failed."""
    if frame.phase == Phase.READ:
        error = asl_messages.ITEM_READER_FAILED
    else:
        error = asl_messages.RESULT_WRITER_FAILED
        snapshot_for_redrive(run, frame)  # a redrive writes again
    return _fail(run, frame, *clipped(run.limits, error, event.cause))


# --- children -------------------------------------------------------------------------------------


def _start_children(run: Run, frame: Frame) -> None:
    """Start those that have not begun in this round, as far as the concurrency allows. The Map Run
    succeeds if none is left.
    """
    children = frame.running_children
    state, count = children.map_run, len(children.items)
    room = max(0, state.concurrency - children.live)
    pending = (
        zeros(state.closed, count, children.next_item)
        if state.round
        else iter(range(children.next_item, count))
    )
    slots = list(islice(pending, room))
    if room:
        children.next_item = slots[-1] + 1 if len(slots) == room else count
    children.live += len(slots)
    for before, some in (
        (model.PENDING_REDRIVE, [slot for slot in slots if slot < state.begun]),
        (model.PENDING, [slot for slot in slots if slot >= state.begun]),
    ):
        if some:
            state = state.moved(before, model.RUNNING, len(some), _item_count(frame, some))
    children.map_run = state
    run.commands.extend(_start_child(frame, slot) for slot in slots)
    if not children.live and children.next_item == count:
        return _succeed(run, frame)
    return run.note_map_run(frame)


def _start_child(frame: Frame, slot: int) -> StartChild:
    spec, children = frame.state.map, frame.running_children
    assert spec is not None
    state = children.map_run
    return StartChild(
        frame.id,
        frame.seq,
        slot,
        spec.block,
        state.label,
        children.items[slot],
        spec.express,
        state.round,
        _item_count(frame, [slot]),
    )


def recover(frame: Frame) -> list[StartChild]:
    """After a crash: start every child again that was started and has not reported its end."""
    children = frame.running_children
    open_slots = zeros(children.map_run.closed, children.next_item)
    return [_start_child(frame, slot) for slot in open_slots]


def zeros(bits: int, count: int, start: int = 0) -> Iterator[int]:
    """The places of a bit set, from `start` and below `count`, whose bit is 0. It reads bytes: to
    test a bit of an integer takes time in proportion to its length.
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


def _item_count(frame: Frame, slots: Sequence[int]) -> int:
    """How many items children have: those of all of their batches."""
    assert frame.state.map is not None
    if not frame.state.map.batch:
        return len(slots)
    items = frame.running_children.items
    return sum(len(items[slot].value["Items"]) for slot in slots)


def _counts(parts: list[tuple[str, int, int]]) -> dict[str, Any]:
    """The fields `children` and `items` of a MapRunState, from (status, children, items)."""
    children, items = [0] * len(model.CHILD_STATUSES), [0] * len(model.CHILD_STATUSES)
    for status, *counts in parts:
        place = model.CHILD_STATUSES.index(status)
        children[place], items[place] = counts
    return {"children": tuple(children), "items": tuple(items)}


def child_closed(run: Run, frame: Frame, event: ChildClosed) -> None:
    """A child reports its end."""
    _report(run, frame, [event])


def children_closed(run: Run, frame: Frame, event: ChildrenClosed) -> None:
    """Some children report their ends."""
    _report(run, frame, event.reports)


def _report(run: Run, frame: Frame, reports: Sequence[ChildClosed]) -> None:
    """Count the ends of children; others start in their places. A repeated report changes nothing,
    nor does one from an earlier round: unless it succeeded, the child is redriven.
    """
    children = frame.running_children
    state, failures, known = children.map_run, children.failures, children.live
    for report in reports:
        slot = report.slot
        if state.closed >> slot & 1 or slot >= children.next_item:
            continue
        if report.round != state.round and report.status != model.SUCCEEDED:
            run.commands.append(_start_child(frame, slot))
            continue
        items = _item_count(frame, [slot])
        state = state.moved(model.RUNNING, report.status, 1, items)
        state = state._replace(closed=state.closed | 1 << slot)
        children.live -= 1
        if report.status == model.SUCCEEDED and report.output is not None:
            children.put(slot, report.output)
        elif report.status != model.ABORTED:
            children.failures += items
    children.map_run = state
    if children.failures > failures and _fail_beyond_tolerance(run, frame):
        return
    if children.live < known:
        _start_children(run, frame)


def update(run: Run, frame: Frame, event: UpdateMapRun) -> None:
    """UpdateMapRun. Less concurrency stops no child; a tolerance that is exceeded already fails the
    Map Run.
    """
    limits: dict[str, Any] = dict(zip(event._fields[2:], event[2:], strict=True))
    changed = {name: value for name, value in limits.items() if value is not None}
    children = frame.running_children
    children.map_run = children.map_run._replace(**changed)
    if frame.phase != Phase.CHILDREN:
        run.note_map_run(frame)
    elif not _fail_beyond_tolerance(run, frame):
        _start_children(run, frame)


def redrive(run: Run, frame: Frame) -> None:
    """The same Map Run resumes: children that succeeded stay, those that failed or were aborted are
    redriven, those that had not begun are started.
    """
    children = frame.running_children
    state, count = children.map_run, len(children.items)
    begun = max(state.begun, children.next_item)
    succeeded = [slot for slot, _ in children.results[: children.ended]]
    every, done, old = (
        _item_count(frame, slots) for slots in (range(count), succeeded, range(begun))
    )
    counts = _counts(
        [
            (model.SUCCEEDED, len(succeeded), done),
            (model.PENDING_REDRIVE, begun - len(succeeded), old - done),
            (model.PENDING, count - begun, every - old),
        ]
    )
    closed = bytearray(count // 8 + 1)
    for slot in succeeded:
        closed[slot >> 3] |= 1 << (slot & 7)
    state = children.map_run = state._replace(
        round=state.round + 1,
        redriven=run.now,
        begun=begun,
        closed=int.from_bytes(closed, "little"),
        **counts,
    )
    children.next_item = children.live = children.failures = 0
    frame.phase = Phase.CHILDREN
    frame.prev = run.add((RUN_REDRIVEN, state.event, state.arn(run.x.machine_arn), state.round))
    _start_children(run, frame)


# --- the end --------------------------------------------------------------------------------------


def exceeds(state: MapRunState, failed: int, total: int) -> bool:
    """Whether so many failed items of a total are too many: more than either threshold, or any if
    there is none.
    """
    most, percentage = state.tolerated_count, state.tolerated_percentage
    if most is None and percentage is None:
        return failed > 0
    return (most is not None and failed > most) or (
        percentage is not None and failed / total * 100 > percentage
    )


def _fail_beyond_tolerance(run: Run, frame: Frame) -> bool:
    """Whether more has failed than is tolerated; then the Map Run fails."""
    children = frame.running_children
    if not exceeds(children.map_run, children.failures, sum(children.map_run.items)):
        return False
    run.commands.append(CancelTask(frame.id, frame.seq))
    snapshot_for_redrive(run, frame)
    _fail(run, frame, asl_messages.TOLERATED_FAILURE, messages.TOLERATED_EXCEEDED)
    return True


def _succeed(run: Run, frame: Frame) -> None:
    """MapStateExited follows MapRunStarted, as in the service's recordings since late 2024."""
    spec, children = frame.state.map, frame.running_children
    assert spec is not None
    if spec.writer is not None:
        return _call(run, frame, Phase.WRITE)
    run.note_map_run(frame, model.SUCCEEDED)
    if spec.transformation == "FLATTEN":
        children.results = [
            (slot, item)
            for slot, output in children.results[: children.ended]
            for item in _flat(output)
        ]
        children.ended = len(children.results)
    return conclude(run, frame, run.add((MAP_SUCCEEDED, run.add((RUN_SUCCEEDED, frame.prev)))))


def _flat(output: Payload) -> list[Payload]:
    return [Payload(item) for item in output.value] if isinstance(output.value, list) else [output]


def _fail(run: Run, frame: Frame, error: str | None, cause: str | None) -> None:
    run.note_map_run(frame, model.FAILED)
    frame.prev = run.add((RUN_FAILED, frame.prev, error, cause))
    retry_or_fail(run, frame, error, cause)
