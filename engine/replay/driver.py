"""decide() with the results of a recording: one frame at a time, in the recorded order and at the
recorded times. Pure.

    the frame whose next event was recorded first --> Step, or the recorded report --> Decision

A frame whose next event is not recorded runs at once if the recording continues elsewhere, and last
if the recording stops there. A task whose result is not recorded stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Set
from dataclasses import replace
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.diff.shapes import ADDED, CHANGED, REMOVED, Change
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.histories.state_visits import FAILED
from stepwell.asl.program import MAP, Program
from stepwell.engine.arns import machine_name
from stepwell.engine.core import events, model
from stepwell.engine.core.decide import decide
from stepwell.engine.core.history import TABLE, to_aws
from stepwell.engine.core.model import (
    SLEEPING,
    Execution,
    Frame,
    Payload,
    Phase,
    copy_execution,
    copy_frame,
)
from stepwell.engine.limits import Limits
from stepwell.engine.replay import shapes as s
from stepwell.engine.replay.comparison import Tracked, Trail
from stepwell.engine.replay.map_results import map_result
from stepwell.engine.replay.recording import Attempt, Place, Recording, Report
from stepwell.engine.replay.time_limits import is_heartbeat, overrun, too_early

NOW, RECORDED, LAST = range(3)  # when a frame's turn comes
_NEVER: Final = (LAST + 1, 0)
_ANY_ROOM: Final = 1 << 40  # events: ids are those of the recording
_COMPOSITE_STARTS: Final = ("ParallelStateStarted", "MapStateStarted")


class _Every(Container[str]):
    """The activities that exist: all."""

    def __contains__(self, name: object) -> bool:
        return True


class Driver:
    """A replay of one recording with one definition.

    renamed     old name -> name in this definition: for the states that followed
    definition  the fields of the old definition's Maps by name, to read results of Map Runs
    """

    def __init__(
        self,
        program: Program,
        recording: Recording,
        renamed: Mapping[str, str],
        maps: Mapping[str, Mapping[str, Json]],
        limits: Limits,
    ) -> None:
        self.program, self.recording, self.renamed, self.maps = program, recording, renamed, maps
        self.most = limits.replay_unrecorded_states
        self.limits = replace(limits, unit_transitions=0, history_events=_ANY_ROOM)
        longest = limits.express_seconds if recording.express else limits.standard_seconds
        self.seconds = min(program.timeout or longest, longest)
        self.deadline = recording.started + self.seconds * 1000
        self.now = recording.started
        self.trail = Trail()
        self.known = True
        self.redriven: Report | None = None
        self.last: Tracked | None = None  # the visit that was advanced last
        self.tracked: dict[int, Tracked] = {}  # the last visit of each frame
        self.counts: Counter[tuple[Place, int | None, str]] = Counter()
        self.types = {name: state.type for name, state in program.states().items()}
        self.marks = list(recording.marks)
        self.x = self._execution()

    def _execution(self) -> Execution:
        recording = self.recording
        extras = model.ExecutionExtras()
        if recording.version is not None:
            extras["version"] = recording.version
        if recording.alias is not None:
            extras["alias"] = recording.alias
        return Execution(
            id=recording.id,
            uuid=recording.uuid,
            arn=recording.arn,
            name=recording.name,
            machine_arn=recording.machine_arn,
            machine_name=machine_name(recording.machine_arn),
            role_arn=recording.role_arn,
            express=recording.express,
            input=recording.input,
            started=recording.started,
            deadline=None,
            extras=extras,
        )

    def run(self) -> Trail:
        """Replay to the end, or as far as the recording is known."""
        self._decide(events.Start(accept=True), 0)
        beyond = 0
        while True:
            (rank, number), frame = self._next()
            mark = self.marks[0] if self.marks else None
            if mark is not None and (
                rank > RECORDED or (rank == RECORDED and mark.number < number)
            ):
                self._mark(self.marks.pop(0))
            elif frame is None or (rank == LAST and self.recording.status == model.RUNNING):
                break
            elif rank == RECORDED:
                self._recorded(frame)
            else:
                beyond += 1
                if beyond > self.most:
                    self.known = False
                    break
                self._decide(events.Step(frame.id), None, frame)
        self._finish()
        return self.trail

    # --- whose turn it is -------------------------------------------------------------------------

    def _next(self) -> tuple[tuple[int, int], Frame | None]:
        """((rank, id of the recorded event), frame) of the frame to advance."""
        best, chosen = _NEVER, None
        for frame in self.x.frames.values():
            turn = self._turn(frame)
            if turn < best:
                best, chosen = turn, frame
        return best, chosen

    def _turn(self, frame: Frame) -> tuple[int, int]:
        if frame.phase == Phase.RUN:
            return self._entry(frame)
        at = self.tracked[frame.id]
        report = self._report(frame, at)
        if report is not None:
            return RECORDED, report.number
        if frame.phase == Phase.TIMER:  # of a new state, or cut off
            return (NOW if at.recorded is None else LAST), frame.id
        return _NEVER

    def _entry(self, frame: Frame) -> tuple[int, int]:
        place = self._place(frame)
        recorded = self.recording.visits.get(place)
        if recorded is not None:
            return RECORDED, recorded.visit.entered
        before = self.tracked.get(frame.id)
        if before is not None and not before.left:  # redriven, and cut off
            return LAST, frame.id
        if before is None:  # the first state of a block
            names: Set[str] = self.recording.scopes.get((place[:-1], place[-1][0]), frozenset())
            return (LAST if names.isdisjoint(frame.block.states) else NOW), frame.id
        if before.recorded is None or before.recorded.visit.after is not None:
            return NOW, frame.id
        failed = before.recorded.visit.status == FAILED
        return (NOW if failed else LAST), frame.id

    def _place(self, frame: Frame) -> Place:
        """Of the visit that begins when the frame's state is entered."""
        around: Place = ()
        index = None
        if frame.parent:
            parent = self.tracked[frame.parent]
            around = parent.place
            index = frame.slot if self.types[parent.name] == MAP else None
        name = frame.state.name
        return (*around, (index, name, self.counts[around, index, name] + 1))

    def _attempt(self, at: Tracked, number: int) -> Attempt | None:
        """A recorded attempt, from 1."""
        known = at.recorded.attempts if at.recorded is not None else ()
        return known[number - 1] if 0 < number <= len(known) else None

    def _report(self, frame: Frame, at: Tracked) -> Report | None:
        """The recorded event that ends what a frame waits for; None: there is none."""
        if at.recorded is None:
            return None
        if frame.phase == Phase.TIMER:
            return at.recorded.left
        if frame.phase == Phase.RETRY:
            return self._repeated(frame, at)
        if frame.phase == Phase.TASK:
            attempt = self._attempt(at, at.attempts)
            if attempt is None or at.read >= len(attempt.reports):
                return None
            report = attempt.reports[at.read]
            return None if too_early(frame, attempt, report) else report
        if frame.in_map_run:
            return at.recorded.map_run_end
        return None

    def _repeated(self, frame: Frame, at: Tracked) -> Report | None:
        """The event that begins the next attempt; after a redrive, also of one that could not."""
        attempt = self._attempt(at, at.attempts + 1)
        if attempt is not None and attempt.scheduled.number < self._next_redrive():
            return attempt.scheduled
        redriven = self.redriven
        if redriven is None or frame.due != redriven.at or at.recorded is None:
            return None
        own = [number for number in at.recorded.visit.events if number > redriven.number]
        if own and own[0] < self._next_redrive():
            return Report(own[0], redriven.at, {})
        mark = self.marks[0] if self.marks else None
        return mark if mark is not None and mark.kind == "ExecutionFailed" else None

    def _next_redrive(self) -> int:
        """The id of its event."""
        return next((each.number for each in self.marks if _redrive(each)), _ANY_ROOM)

    # --- one step ---------------------------------------------------------------------------------

    def _recorded(self, frame: Frame) -> None:
        """Advance a frame by its next recorded event."""
        if frame.phase == Phase.RUN:
            entered = self.recording.visits[self._place(frame)].entered
            return self._at(frame, entered, events.Step(frame.id))
        at = self.tracked[frame.id]
        report = self._report(frame, at)
        assert report is not None
        if frame.phase == Phase.TASK:
            return self._deliver(frame, at, report)
        if frame.in_map_run:
            return self._map_run(frame, at, report)
        return self._at(frame, report, events.Step(frame.id))

    def _at(self, frame: Frame, report: Report, event: events.Event) -> None:
        """One decision at the time and with the ids of a recorded event."""
        if report.at > self.deadline:
            self._time_out(self.deadline, report.number)
            return
        self.now = report.at
        self._decide(event, report.number - 1, frame)

    def _deliver(self, frame: Frame, at: Tracked, report: Report) -> None:
        """What was recorded of an attempt of a Task."""
        attempt = self._attempt(at, at.attempts)
        assert attempt is not None
        number, seq, details = at.attempts, frame.seq, report.details
        at.read += 1
        event: events.Event
        over = overrun(frame, attempt, report)
        if over is not None:
            what = f"attempt {number} takes {(report.at - attempt.scheduled.at) / 1000:g} s"
            change = Change(CHANGED, what, report.kind, f"times out after {over} s")
            self.trail.add(s.TIME_LIMIT, at, change)
        if over is not None or report.kind.endswith("TimedOut"):
            beat = over is None and is_heartbeat(attempt, report)
            now = report.at
            self._amend(frame, due=None if beat else now, heartbeat_due=now if beat else None)
            event = events.Step(frame.id)
        elif report.kind == "ActivityStarted":
            event = events.TaskStarted(frame.id, seq, details.get("workerName"))
        elif report.kind == "TaskSubmitted":
            event = events.TaskSubmitted(frame.id, seq, _payload(details))
        elif report.kind.endswith("Succeeded"):
            event = events.TaskSucceeded(frame.id, seq, _payload(details))
        else:
            event = events.TaskFailed(frame.id, seq, details.get("error"), details.get("cause"))
        self._at(frame, report, event)
        if report.kind.endswith(("Failed", "TimedOut")):
            self._failed(frame.id, at, number)

    def _failed(self, frame_id: int, at: Tracked, number: int) -> None:
        """After a recorded failure: is it retried as it was?"""
        frame = self.x.frames.get(frame_id)
        if frame is not None and frame.phase == Phase.RETRY:
            return
        again = self._attempt(at, number + 1)
        if again is not None and again.scheduled.number < self._next_redrive():
            self.trail.add(s.RETRY, at, Change(REMOVED, f"attempt {number + 1}", "made"))

    def _map_run(self, frame: Frame, at: Tracked, report: Report) -> None:
        """The end of a Map Run, whose children are executions of their own."""
        self._amend(frame, phase=Phase.CHILDREN)
        if report.kind == "MapRunFailed":
            error, cause = report.details.get("error"), report.details.get("cause")
            event = events.ChildrenMocked(frame.id, frame.seq, None, error, cause)
        else:
            assert at.recorded is not None
            fields = self.maps.get(at.name, {"Output": None})
            result = map_result(self.recording, at.recorded, fields)
            if result is MISSING:
                self._unknown(at, "the results of its Map Run")
                self._amend(frame, phase=Phase.TASK, attempt=model.TaskAttempt())
                at.recorded = None
                return
            event = events.ChildrenMocked(frame.id, frame.seq, Payload(result))
        self._at(frame, report, event)

    def _mark(self, mark: Report) -> None:
        """The execution was stopped, redriven, or over its time limit."""
        self.now = mark.at
        if _redrive(mark):
            if self.x.status != model.RUNNING and self.x.snapshot is not None:
                self.deadline, self.redriven = mark.at + self.seconds * 1000, mark
                again = self._begins_again(mark)
                redrive = events.Redrive(None, model.ExecutionExtras(), again)
                self._decide(redrive, mark.number - 1)
        elif self.x.status != model.RUNNING:
            return
        elif mark.kind == "ExecutionAborted":
            stop = events.Stop(mark.details.get("error"), mark.details.get("cause"))
            self._decide(stop, mark.number - 1)
        elif mark.kind == "ExecutionTimedOut" and self.deadline <= mark.at:
            self._time_out(mark.at, mark.number)

    def _begins_again(self, redriven: Report) -> bool:
        """Whether this is a child of a Map Run with Express children: a redrive runs it anew."""
        if "/" not in self.recording.machine_arn:
            return False
        places = iter(self.recording.visits)
        first: Place = next(places, ())
        for place in places:
            if self.recording.visits[place].visit.entered == redriven.number + 1:
                return len(place) == 1 and place[0][1] == first[0][1]
        return False

    def _time_out(self, now: int, number: int) -> None:
        """The execution's own time limit is over."""
        self.now = now
        self.x = copy_execution(self.x)
        self.x.deadline, self.x.surveyed = 0, None
        self._decide(events.Tick(), number - 1)

    def _amend(self, frame: Frame, **fields: Any) -> None:
        """Replace fields of a frame."""
        changed = copy_frame(frame)
        for name, value in fields.items():
            setattr(changed, name, value)
        self.x = copy_execution(self.x)
        self.x.frames = {**self.x.frames, frame.id: changed}
        self.x.index = self.x.surveyed = None

    # --- what follows from it ---------------------------------------------------------------------

    def _decide(self, event: events.Event, base: int | None, frame: Frame | None = None) -> None:
        """base: the id before the first event that it writes; None: it is not recorded."""
        if base is not None:
            self.x = copy_execution(self.x)
            self.x.events = base
        decision = decide(self.program, self.x, event, self.now, self.limits, True, _Every(), None)
        self.trail.order += 1
        self.x = decision.execution
        for number, each in enumerate(decision.history, decision.first):
            self._take(to_aws(each, number, self.now), TABLE[each[0]], frame)
        self.last = None if frame is None else self.tracked.get(frame.id)
        for number in () if frame is None else decision.touched:
            after = self.x.frames.get(number)
            if after is not None and after.due is not None and after.phase in SLEEPING:
                at = self.tracked[number]
                kind = s.WAIT if after.phase == Phase.TIMER else s.DELAY
                self.trail.fact(kind, at, at.attempts, (after.due - self.now) / 1000)

    def _take(
        self,
        event: Mapping[str, Any],
        row: tuple[str, ...],
        frame: Frame | None,
    ) -> None:
        """One history event of the replay."""
        if frame is None:
            return
        kind, details = row[0], event.get(row[1], {}) if len(row) > 1 else {}
        if kind.endswith("StateEntered"):
            self._enter(frame)
        elif kind.endswith("StateExited"):
            at = self._visit(frame.id, details["name"])
            if at is not None:
                self.trail.left(at, details)
        elif kind.endswith("Scheduled"):
            at = self.tracked[frame.id]
            at.attempts, at.read = at.attempts + 1, 0
            self.trail.scheduled(at, details)
            if self._attempt(at, at.attempts) is None:
                self._unknown(at, f"the result of attempt {at.attempts}")
        elif kind in _COMPOSITE_STARTS:
            at = self.tracked[frame.id]
            at.attempts += 1
            self.trail.started(at, details.get("length"))
            now = self.x.frames.get(frame.id)
            if now is not None and now.children is not None and now.state.type == MAP:
                concurrency = now.children.map_run.concurrency
                self.trail.fact(s.CONCURRENCY, at, at.attempts, concurrency)

    def _enter(self, frame: Frame) -> None:
        place = self._place(frame)
        before = self.tracked.get(frame.id)
        at = Tracked(place, self.recording.visits.get(place), frame.id, frame.parent)
        index, name, number = place[-1]
        self.counts[place[:-1], index, name] = number
        self.tracked[frame.id] = at
        if before is None or not before.left:
            if at.recorded is None:
                self.trail.add(s.NEXT, at, Change(ADDED, "first state", MISSING, name))
        elif before.recorded is not None:
            known = self._follower(before)
            if known != name:
                change = Change(CHANGED, f"after {before.name}", known, name)
                self.trail.add(s.NEXT, at, change)

    def _follower(self, before: Tracked) -> Json:
        """The state that followed in the recording."""
        assert before.recorded is not None
        visit = before.recorded.visit
        if visit.after is not None:
            return self.renamed.get(visit.after.name, visit.after.name)
        return f"failed: {visit.error}" if visit.status == FAILED else "the end"

    def _visit(self, frame_id: int, name: str) -> Tracked | None:
        """The visit of a state, of this frame or of one around it."""
        at = self.tracked.get(frame_id)
        while at is not None and at.name != name:
            at = self.tracked.get(at.parent)
        return at

    def _unknown(self, at: Tracked, what: str) -> None:
        self.known = False
        self.trail.add(s.UNKNOWN, at, Change(ADDED, what))

    def _finish(self) -> None:
        """Compare the ends, or say what was missing."""
        self.trail.order += 1
        if self.x.status == model.RUNNING and self.recording.status == model.RUNNING:
            return
        if self.x.status != model.RUNNING:
            self.trail.ended(self.x, self.recording, self.last)
            return
        self.known = False
        for frame in self.x.frames.values():
            at = self.tracked.get(frame.id)
            if at is None or at.recorded is None:
                continue
            if frame.phase == Phase.RETRY:
                change = Change(ADDED, f"attempt {at.attempts + 1}", MISSING, "would be made")
                self.trail.add(s.RETRY, at, change)
            elif frame.phase == Phase.TASK:
                self._unknown(at, "how the task would end")


def _redrive(mark: Report) -> bool:
    return mark.kind == "ExecutionRedriven"


def _payload(details: Mapping[str, Any]) -> Payload:
    text = details.get("output", "null")
    return Payload(json_text.loads(text), text.encode())
