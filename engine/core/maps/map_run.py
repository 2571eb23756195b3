"""Map Runs: the distributed Map, whose children are executions of their own.

Failures of children are counted and compared with the tolerance here. The items come from
map_state.py, or from the ItemReader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.program import Reader, Writer
from stepwell.engine import messages
from stepwell.engine.core import model
from stepwell.engine.core.environment import entropy
from stepwell.engine.core.events import (
    CancelTask,
    ChildClosed,
    ChildrenClosed,
    Command,
    ItemsRead,
    RunTask,
    StartChild,
    TaskFailed,
    TaskSucceeded,
    UpdateMapRun,
)
from stepwell.engine.core.history import CODES
from stepwell.engine.core.maps.bit_sets import bits, zeros
from stepwell.engine.core.maps.items import add_chunk, forget_inputs, item_count
from stepwell.engine.core.maps.rows import ChildOutputs
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


def start(run: Run, frame: Frame) -> None:
    """Start the Map Run of a frame whose limits, reader and writer are evaluated."""
    spec, children = frame.state.map, frame.running_children
    assert spec is not None
    uuid = _dashed(entropy(run, frame)())
    label = spec.label or _dashed(
        hashlib.blake2b(f"{run.x.machine_arn}/{frame.state.name}".encode(), digest_size=16).digest()
    )
    none = (0,) * len(model.CHILD_STATUSES)
    state = children.map_run = children.map_run._replace(
        label=label, uuid=uuid, event=run.next_id(), started=run.now, children=none, items=none
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
    slots = range(len(children.items))
    items = item_count(frame, slots)
    children.map_run = children.map_run.added(model.PENDING, len(slots), items)
    return _start_children(run, frame)


# --- ItemReader and ResultWriter ------------------------------------------------------------------


def _call(run: Run, frame: Frame, phase: Phase) -> None:
    """Let the ItemReader read, or the ResultWriter write."""
    frame.phase = phase
    run.note_map_run(frame)
    run.commands.append(call_command(run.x, frame))


def call_command(x: Execution, frame: Frame, again: bool = False) -> RunTask:
    """The effect of a Map Run that reads or writes, from its stored state alone. The ResultWriter
    gets Results that are not in rows, in the order of the items.
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
    """All of the dataset at once: {"Items": array or object, "Source": as the Context object shows
    it}.
    """
    dataset: Any = event.output.value
    items, keys = dataset["Items"], None
    if isinstance(items, dict):
        keys, items = list(items), list(items.values())
    payloads = [Payload(each) for each in items]
    chunk_read(run, frame, ItemsRead(frame.id, frame.seq, payloads, keys, None, dataset["Source"]))


def chunk_read(run: Run, frame: Frame, event: ItemsRead) -> None:
    """Children of the items are started as far as the concurrency allows."""
    children = frame.running_children
    if frame.phase == Phase.CHILDREN and not (children.stream and children.stream.asked):
        return None
    try:
        count, items = add_chunk(run, frame, event)
    except EVALUATION_ERRORS as exception:
        error, cause, _ = shown_error(run, frame, exception)
        return _fail_children(run, frame, error, cause)
    frame.phase = Phase.CHILDREN
    state = children.map_run.added(model.PENDING, count, items)
    if event.cursor is None:
        state = state._replace(reader=None)
    children.map_run = state
    if event.cursor is None and children.failures and _fail_beyond_tolerance(run, frame):
        return None  # all items are known now, of which it is a percentage
    return _start_children(run, frame)


def _read_on(run: Run, frame: Frame) -> None:
    """Read the next chunk of the dataset when few children are left that have not begun."""
    children = frame.running_children
    stream = children.stream
    if stream is None or stream.cursor is None or stream.asked:
        return
    if stream.children - children.next_item < run.limits.children_ahead:
        children.stream = stream._replace(asked=True)
        run.commands.append(call_command(run.x, frame))


def results_written(run: Run, frame: Frame, event: TaskSucceeded) -> None:
    """The location of the results, as the ResultWriter answers it, is the result."""
    run.note_map_run(frame, model.SUCCEEDED)
    succeeded = run.add((MAP_SUCCEEDED, run.add((RUN_SUCCEEDED, frame.prev))))
    frame.children = None
    return complete(run, frame, event.output, succeeded)


def call_failed(run: Run, frame: Frame, event: TaskFailed) -> None:
    """The ItemReader or ResultWriter failed."""
    error = asl_messages.ITEM_READER_FAILED
    if frame.phase == Phase.WRITE:
        error = asl_messages.RESULT_WRITER_FAILED
        snapshot_for_redrive(run, frame)  # a redrive writes again
    return _fail_children(run, frame, *clipped(run.limits, error, event.cause))


# --- children -------------------------------------------------------------------------------------


def _start_children(run: Run, frame: Frame) -> None:
    """Start those that have not begun in this round, as far as the concurrency allows. The Map Run
    succeeds if none is left.
    """
    children = frame.running_children
    state, count = children.map_run, children.count
    room = max(0, state.concurrency - children.live)
    pending = (
        zeros(children.succeeded, count, children.next_item)
        if state.round
        else iter(range(children.next_item, count))
    )
    slots = list(islice(pending, room))
    if room:
        children.next_item = slots[-1] + 1 if len(slots) == room else count
    for before, some in (
        (model.PENDING_REDRIVE, [slot for slot in slots if slot < state.begun]),
        (model.PENDING, [slot for slot in slots if slot >= state.begun]),
    ):
        if some:
            state = state.moved(before, model.RUNNING, len(some), item_count(frame, some))
    children.map_run = state
    children.open = children.open.union(slots)
    children.live = len(children.open)
    run.commands.extend([_start_child(frame, slot) for slot in slots])
    _read_on(run, frame)
    if not children.live and children.next_item == count and children.all_known:
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
        children.items[slot] if children.stream is None else None,
        spec.express,
        state.round,
        item_count(frame, (slot,)),
    )


def recover(x: Execution, frame: Frame) -> list[Command]:
    """After a crash: read or write again, and start every child again that was started and has not
    reported its end.
    """
    children = frame.running_children
    commands: list[Command] = [_start_child(frame, slot) for slot in sorted(children.open)]
    if frame.phase != Phase.CHILDREN or (children.stream and children.stream.asked):
        commands.append(call_command(x, frame, again=True))
    return commands


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
    round, ended = children.map_run.round, dict[int, ChildClosed]()
    for report in reports:
        if report.slot not in children.open or report.slot in ended:
            continue
        if report.round != round and report.status != model.SUCCEEDED:
            run.commands.append(_start_child(frame, report.slot))
        else:
            ended[report.slot] = report
    if not ended:
        return
    by_status: dict[str, list[int]] = {}
    for slot, report in ended.items():
        # one whose output cannot be read has not succeeded
        lost = report.status == model.SUCCEEDED and report.output is None
        by_status.setdefault(model.FAILED if lost else report.status, []).append(slot)
    state, failures = children.map_run, children.failures
    for status, slots in by_status.items():
        items = item_count(frame, slots)
        state = state.moved(model.RUNNING, status, len(slots), items)
        if status not in (model.SUCCEEDED, model.ABORTED):
            children.failures += items
    children.map_run = state
    children.open = children.open.difference(ended)
    children.live = len(children.open)
    succeeded = sorted(by_status.get(model.SUCCEEDED, ()))
    outputs = [(slot, output) for slot in succeeded if (output := ended[slot].output) is not None]
    if _keep_outputs(run, frame, outputs) and not (
        children.failures > failures and _fail_beyond_tolerance(run, frame)
    ):
        _start_children(run, frame)


def _keep_outputs(run: Run, frame: Frame, outputs: list[tuple[int, Payload]]) -> bool:
    """The outputs of children: as rows for the ResultWriter, else here. False: they are too many
    for the output of the state, so that the Map Run has failed.
    """
    children, spec = frame.running_children, frame.state.map
    assert spec is not None
    run.size += sum([len(output.data) for _, output in outputs])
    before = children.succeeded
    children.succeeded |= bits([slot for slot, _ in outputs])
    if spec.writer is None:
        for slot, output in outputs:
            children.put(slot, output)
        if children.stream is not None and children.size > run.limits.payload_bytes:
            cause = asl_messages.RESULT_TOO_LARGE.format(name=frame.state.name)
            _fail_children(run, frame, asl_messages.DATA_LIMIT_EXCEEDED, cause)
            return False
    elif outputs:
        children.rows = True
        run.rows.append(ChildOutputs(frame.id, frame.seq, outputs))
    if children.stream is not None:
        forget_inputs(run, frame, before, [slot for slot, _ in outputs])
    return True


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
    state = children.map_run
    for status in (model.RUNNING, model.FAILED, model.TIMED_OUT, model.ABORTED):
        state = state.moved(status, model.PENDING_REDRIVE, *state.counts(status))
    state = children.map_run = state._replace(
        round=state.round + 1,
        redriven=run.now,
        begun=max(state.begun, children.next_item),
    )
    children.next_item = children.live = children.failures = 0
    children.open = frozenset()
    if children.stream is not None:
        children.stream = children.stream._replace(asked=False)
    frame.phase = Phase.CHILDREN
    frame.prev = run.add((RUN_REDRIVEN, state.event, state.arn(run.x.machine_arn), state.round))
    _start_children(run, frame)


# --- the end --------------------------------------------------------------------------------------


def exceeds(state: MapRunState, failed: int, total: int | None) -> bool:
    """Whether so many failed items of a total are too many: more than either threshold, or any if
    there is none. total: None: not known yet.
    """
    most, percentage = state.tolerated_count, state.tolerated_percentage
    if most is None and percentage is None:
        return failed > 0
    return (most is not None and failed > most) or (
        percentage is not None and total is not None and failed / total * 100 > percentage
    )


def _fail_beyond_tolerance(run: Run, frame: Frame) -> bool:
    """Whether more has failed than is tolerated; then the Map Run fails."""
    children = frame.running_children
    total = sum(children.map_run.items) if children.all_known else None
    if not exceeds(children.map_run, children.failures, total):
        return False
    _fail_children(run, frame, asl_messages.TOLERATED_FAILURE, messages.TOLERATED_EXCEEDED)
    return True


def _fail_children(run: Run, frame: Frame, error: str | None, cause: str | None) -> None:
    """The Map Run fails, with those of its children that run; a redrive resumes them."""
    if frame.phase == Phase.CHILDREN:
        run.commands.append(CancelTask(frame.id, frame.seq))
        snapshot_for_redrive(run, frame)
    _fail(run, frame, error, cause)


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
