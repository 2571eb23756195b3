"""What would happen in a state: it runs alone, by the interpreter, in virtual time; its work is
replaced by the outcomes of the caller.

    trial(program, definition, Given("Charge", input, result={"ok": True})) -> DataFlow

Pure. The history of the run is explained as that of an execution is (flow.py). Attempts and their
delays are stages of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from stepwell.asl.error_matching import matches
from stepwell.asl.evaluation import MISSING
from stepwell.asl.histories.state_visits import Event
from stepwell.asl.program import MAP, PARALLEL, TASK, Program, State
from stepwell.engine.arns import Home
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import ChildrenMocked, Continue, TaskFailed, TaskSucceeded, Tick
from stepwell.engine.core.events import Event as CoreEvent
from stepwell.engine.core.history import to_aws
from stepwell.engine.core.model import Execution, Frame, Payload, Phase, Scope
from stepwell.engine.core.probe import Probe
from stepwell.engine.operations.data_flow.flow import data_flow
from stepwell.engine.operations.data_flow.shapes import DataFlow, Given, Stage

WORKING: Final = (TASK, PARALLEL, MAP)
_FRAME: Final = 1
_ATTEMPTS: Final = 12  # that are shown of one retrier; MaxAttempts may be 99,999,999
_STOPPED: Final = "not given: use --result or --error"


class _Every:
    """All activities."""

    def __contains__(self, arn: object) -> bool:
        return True


@dataclass(slots=True)
class _Trial:
    """One state while it runs. attempts: the stages of its failed attempts."""

    program: Program
    probe: Probe
    x: Execution
    given: Given
    now: int
    events: list[Event] = field(default_factory=list)
    attempts: list[Stage] = field(default_factory=list)
    failed: int = 0

    def run(self) -> None:
        event: CoreEvent | None = Continue()
        while event is not None:
            self.decide(event)
            event = self.following()

    def decide(self, event: CoreEvent) -> None:
        every = _Every()
        decision = decide(self.program, self.x, event, self.now, self.program_limits, True, every)
        for each in decision.history:
            self.events.append(to_aws(each, len(self.events) + 1, self.now))
        self.x = decision.execution

    @property
    def program_limits(self) -> Any:
        return self.given.limits

    def following(self) -> CoreEvent | None:
        """The next event of the state; None: it has ended, or no outcome is given."""
        frame = self.x.frames.get(_FRAME)
        if frame is None:
            return None
        if frame.phase in (Phase.RETRY, Phase.TIMER):
            due = self.x.wake_at()
            if due is None:
                return None
            if frame.phase == Phase.RETRY:
                if self.failed > _ATTEMPTS:
                    return None
                self.retried(frame, due - self.now)
            self.now = due
            return Tick()
        return self.outcome(frame)

    def retried(self, frame: Frame, delay_ms: int) -> None:
        """Add the stage of an attempt that a retrier took."""
        error = self.error
        for index, retrier in enumerate(frame.state.retriers):
            if matches(retrier.errors, error):
                used = frame.retries[index]
                jitter = "up to " if self.given.state_retry(index).get("JitterStrategy") else ""
                note = (
                    f"{error}: attempt {self.failed} failed; waits {jitter}{delay_ms / 1000:g} s, "
                    f"retry {used} of {retrier.max_attempts}"
                )
                field = self.given.state_retry(index)
                self.attempts.append(Stage(f"Retry[{index}]", field, note=note))
                return

    @property
    def error(self) -> str | None:
        errors = self.given.errors
        return errors[min(self.failed, len(errors)) - 1] if errors else None

    def outcome(self, frame: Frame) -> CoreEvent | None:
        """The given outcome of this attempt: an error, the result, or the last error again."""
        given, children = self.given, frame.phase != Phase.TASK
        more = self.failed < len(given.errors) or (given.errors and given.result is MISSING)
        if more:
            self.failed += 1
            if children:
                return ChildrenMocked(_FRAME, frame.seq, None, self.error, given.cause)
            return TaskFailed(_FRAME, frame.seq, self.error, given.cause)
        if given.result is MISSING:
            return None
        result = Payload(given.result)
        if children:
            return ChildrenMocked(_FRAME, frame.seq, result)
        return TaskSucceeded(_FRAME, frame.seq, result)


def trial(program: Program, definition: Mapping[str, Any], given: Given) -> DataFlow:
    """The data flow of a state with these data and outcomes.

    Raises LookupError if the state does not exist, whose text is for people.
    """
    state = program.states().get(given.state)
    if state is None:
        names = ", ".join(map(repr, program.states()))
        raise LookupError(f"the machine has no state called {given.state!r}; it has {names}")
    probe = Probe(state, given.input)
    x = _execution(probe.state, given)
    run = _Trial(program, probe, x, given, given.now_ms)
    run.events.append(_started(x, given))
    run.run()
    execution = {
        "executionArn": x.arn,
        "name": x.name,
        "stateMachineArn": x.machine_arn,
        "input": x.input.data.decode(),
        "startDate": given.now_ms / 1000,
    }
    flow = data_flow(program, definition, execution, run.events, given.state, 1, given)
    stages = list(_stages(flow.stages, run))
    return replace(flow, stages=stages, attempts_allowed=None)


def _stages(stages: Iterable[Stage], run: _Trial) -> Iterable[Stage]:
    """The stages with the attempts, the inputs of iterations, and what was not given."""
    inputs = run.probe.seen.get("afterItemSelector", MISSING)
    for stage in stages:
        if stage.name in ("Task result", "Branch results", "Iteration results"):
            if inputs is not MISSING:
                selector = run.given.definition.get(
                    "ItemSelector", run.given.definition.get("Parameters", MISSING)
                )
                yield Stage("ItemSelector", selector, value=inputs)
            yield from run.attempts
            if stage.value is MISSING and not run.given.errors and run.given.result is MISSING:
                stage = replace(stage, note=_STOPPED)
        yield stage


def _execution(state: State, given: Given) -> Execution:
    """An execution that is about to enter the state."""
    home, input = Home(), Payload(given.input)
    scope = Scope({name: Payload(value) for name, value in given.variables.items()})
    frame = Frame(_FRAME, 0, 0, state.block, Payload(given.input), scope, 0)
    frame.state = state
    return Execution(
        id=0,
        uuid="explain",
        arn=home.arn("execution", "explain", "explain"),
        name="explain",
        machine_arn=home.arn("stateMachine", "explain"),
        machine_name="explain",
        role_arn=home.role,
        express=False,
        input=input,
        started=given.now_ms,
        deadline=None,
        events=1,  # as if ExecutionStarted were written
        next_frame=_FRAME + 1,
        frames={_FRAME: frame},
        extras={} if given.context is None else {"context": dict(given.context)},
    )


def _started(x: Execution, given: Given) -> Event:
    return {
        "id": 1,
        "previousEventId": 0,
        "type": "ExecutionStarted",
        "timestamp": given.now_ms / 1000,
        "executionStartedEventDetails": {
            "input": x.input.data.decode(),
            "roleArn": x.role_arn,
        },
    }
