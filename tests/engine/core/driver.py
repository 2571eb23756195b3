"""Runs a machine through decide() alone: virtual time, scripted task answers, no engine and no
store.

    # state T fails, then succeeds; a task that is not scripted answers its payload
    trace = run(machine, {"n": 1}, T=(Fails("E"), {"ok": True}))
    assert trace.lines == lines('''
        1<0 ExecutionStarted {"n":1}
        2<0 TaskStateEntered T {"n":1}
        ...
    ''')

Every decision is made twice and compared, and must leave its arguments unchanged. Every history
must be well formed.
"""

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from itertools import count
from typing import Any, NamedTuple

from stepwell.asl.compiler import compile_machine
from stepwell.asl.program import Program
from stepwell.asl.validate import validate
from stepwell.engine.core import model
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import (
    CancelTask,
    ChildClosed,
    Command,
    Continue,
    Decision,
    Event,
    Heartbeat,
    Redrive,
    RunTask,
    Start,
    StartChild,
    Stop,
    TaskFailed,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    Tick,
)
from stepwell.engine.core.history import to_aws
from stepwell.engine.core.maps.rows import ChildInputs, ChildOutputs
from stepwell.engine.core.model import SLEEPING, WITH_CHILDREN, Execution, Payload, Phase
from stepwell.engine.limits import DEFAULT_LIMITS, Limits

START_MS = 1_700_000_000_000  # 2023-11-14T22:13:20Z
STARTED = "2023-11-14T22:13:20.000Z"
HOME = "us-east-1:123456789012"
LAMBDA = f"arn:aws:lambda:{HOME}:function:f"
INVOKE = "arn:aws:states:::lambda:invoke"
CALLBACK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
SYNC = "arn:aws:states:::states:startExecution.sync:2"
ACTIVITY = f"arn:aws:states:{HOME}:activity:A"
TERMINAL = {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}


# --- answers --------------------------------------------------------------------------------------
class Fails(NamedTuple):
    """The attempt fails. runtime: with States.Runtime, without an event of its own."""

    error: str | None = None
    cause: str | None = None
    runtime: bool = False


class Later(NamedTuple):
    """The answer comes after some seconds."""

    seconds: float
    answer: Any


class Submits(NamedTuple):
    """The service accepts the call of a .sync or callback task, then the answer comes."""

    output: Any
    answer: Any


class Taken(NamedTuple):
    """A worker takes the activity task, then answers."""

    worker: str | None
    answer: Any


class Ends(NamedTuple):
    """How a child of a Map Run ends."""

    status: str
    output: Any = None


class Silent:
    """No answer ever comes."""


# --- machines -------------------------------------------------------------------------------------
def machine(
    start: str, language: str | None = None, timeout: int | None = None, **states: dict[str, Any]
) -> dict[str, Any]:
    """A States block. A state without Next gets End."""
    ended = {}
    for name, state in states.items():
        last = state["Type"] in ("Succeed", "Fail", "Choice") or "Next" in state
        ended[name] = state if last else {**state, "End": True}
    extra = {"QueryLanguage": language, "TimeoutSeconds": timeout}
    return {
        **{key: value for key, value in extra.items() if value is not None},
        "StartAt": start,
        "States": ended,
    }


def only(
    state: dict[str, Any], language: str | None = None, **more: dict[str, Any]
) -> dict[str, Any]:
    """A machine that starts with the state S."""
    return machine("S", language, S=state, **more)


def jsonata(state: dict[str, Any], **more: dict[str, Any]) -> dict[str, Any]:
    return only(state, "JSONata", **more)


PASS = {"Type": "Pass"}
TASK = {"Type": "Task", "Resource": INVOKE, "Parameters": {"FunctionName": "f", "Payload.$": "$"}}
PLAIN = {"Type": "Task", "Resource": LAMBDA}  # its payload is the state input
WAIT_FOR_TOKEN = {
    "Type": "Task",
    "Resource": CALLBACK,
    "Parameters": {"QueueUrl": "q", "MessageBody.$": "$"},
}
JOB = {"Type": "Task", "Resource": SYNC, "Parameters": {"StateMachineArn": "m"}}
WORK = {"Type": "Task", "Resource": ACTIVITY}


def wait(seconds: int, **rest: Any) -> dict[str, Any]:
    return {"Type": "Wait", "Seconds": seconds, **rest}


def fail(error: str | None = None, cause: str | None = None) -> dict[str, Any]:
    fields = {"Error": error, "Cause": cause}
    return {"Type": "Fail", **{key: value for key, value in fields.items() if value is not None}}


def parallel(*branches: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"Type": "Parallel", "Branches": list(branches), **rest}


def each(processor: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": processor, **rest}


def distributed(processor: dict[str, Any], **rest: Any) -> dict[str, Any]:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    return {
        "Type": "Map",
        "Label": "L",
        "ItemProcessor": {"ProcessorConfig": config, **processor},
        **rest,
    }


def catch(*errors: str, next: str = "C", **rest: Any) -> list[dict[str, Any]]:
    return [{"ErrorEquals": list(errors) or ["States.ALL"], "Next": next, **rest}]


def retry(*errors: str, **rest: Any) -> list[dict[str, Any]]:
    return [{"ErrorEquals": list(errors) or ["States.ALL"], **rest}]


def in_state(text: str, state: str = "S", event: int = 2) -> str:
    """The cause that a failing expression gives."""
    return (
        f"An error occurred while executing the state '{state}' (entered at the event id "
        f"#{event}). {text}"
    )


# --- running --------------------------------------------------------------------------------------
def compiled(
    definition: dict[str, Any], limits: Limits = DEFAULT_LIMITS, express: bool = False
) -> Program:
    checked = validate(definition, "EXPRESS" if express else "STANDARD")
    assert checked.definition is not None, checked.errors
    return compile_machine(checked.definition, limits, Payload)


class Driver:
    """One execution, its clock, and its commands.

    lines      its history, see line()
    tasks      (state, payload value) of every task that was started
    cancelled  states whose effect was cancelled
    elapsed    seconds since its start
    """

    def __init__(
        self,
        definition: dict[str, Any] | Program,
        input: Any = None,
        *,
        text: str | None = None,
        answers: dict[str, Any] | None = None,
        child: Callable[[int, Any], Any] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        express: bool = False,
        activities: Iterable[str] = (ACTIVITY,),
        block: int = 0,
        now: int = START_MS,
        extras: dict[str, Any] | None = None,
        attempts: Counter[str] | None = None,
        pause: bool = False,
    ) -> None:
        self.program = (
            definition if isinstance(definition, Program) else compiled(definition, limits, express)
        )
        self.limits, self.now, self.activities, self.pause = (
            limits,
            now,
            frozenset(activities),
            pause,
        )
        self.answers, self.child = answers or {}, child
        value = {} if input is None and text is None else input
        payload = Payload(value) if text is None else Payload(json.loads(text), text.encode())
        longest = limits.express_seconds if express else limits.standard_seconds
        self.x = Execution(
            id=1,
            uuid="0" * 32,
            arn=f"arn:aws:states:{HOME}:execution:M:E",
            name="E",
            machine_arn=f"arn:aws:states:{HOME}:stateMachine:M",
            machine_name="M",
            role_arn="arn:aws:iam::123456789012:role/R",
            express=express,
            input=payload,
            started=now,
            deadline=now + 1000 * min(self.program.timeout or longest, longest),
            block=block,
            extras=extras or {},
        )
        self.events: list[dict[str, Any]] = []
        self.commands: list[Command] = []
        self.tasks: list[tuple[str, Any]] = []
        self.cancelled: list[str] = []
        self.units: list[int] = []  # events of each decision
        self.peak = 0  # most frames, or children of a Map Run, alive at once
        self._attempts: Counter[str] = Counter() if attempts is None else attempts
        self._queue: list[tuple[int, int, Event]] = []
        self._order = count()
        self._effects: dict[tuple[int, int], str] = {}
        self._inputs: dict[tuple[int, int], list[Payload]] = {}  # the rows of Map Runs
        self._outputs: dict[tuple[int, int], dict[int, Payload]] = {}
        self._running: set[tuple[int, int, int]] = set()
        self.send(Start())

    # --- what a test reads ------------------------------------------------------------------------
    @property
    def lines(self) -> list[str]:
        return [line(event) for event in self.events]

    @property
    def status(self) -> str:
        return self.x.status

    @property
    def output(self) -> Any:
        assert self.x.output is not None, (self.x.status, self.x.error, self.x.cause)
        return self.x.output.value

    @property
    def failure(self) -> tuple[str | None, str | None]:
        assert self.x.status != model.SUCCEEDED, str(self.lines)[:2000]
        return self.x.error, self.x.cause

    @property
    def elapsed(self) -> float:
        return (self.now - self.x.started) / 1000

    def times(self, type: str) -> list[float]:
        """When events of a type were written, in seconds since the start."""
        return [
            event["timestamp"] - self.x.started / 1000
            for event in self.events
            if event["type"] == type
        ]

    def frame(self, state: str) -> model.Frame:
        return next(frame for frame in self.x.frames.values() if frame.state.name == state)

    # --- what a test does -------------------------------------------------------------------------
    def send(self, event: Event) -> Decision:
        """One decision, and the Continues that follow it. In an Express run, which only its time
        bounds, each takes a second.
        """
        first = decision = self._decide(event)
        while decision.more and not self.pause:
            self.now += 1_000 * self.x.express
            late = self.x.deadline is not None and self.x.deadline <= self.now
            decision = self._decide(Tick() if late else Continue())
        return first

    def _decide(self, event: Event) -> Decision:
        before = snapshot(self.x)
        decision = decide(self.program, self.x, event, self.now, self.limits, True, self.activities)
        again = decide(self.program, self.x, event, self.now, self.limits, True, self.activities)
        assert snapshot(self.x) == before, "decide() changed its argument"
        assert (_comparable(decision), decision.commands, decision[4:]) == (
            _comparable(again),
            again.commands,
            again[4:],
        )
        assert snapshot(decision.execution) == snapshot(again.execution)
        self.x = decision.execution
        check_tree(self.x, decision.more)
        for rows in decision.rows:
            if isinstance(rows, ChildInputs):
                inputs = self._inputs.setdefault((rows.frame, rows.seq), [])
                assert len(inputs) == rows.first
                inputs.extend(rows.inputs)
            elif isinstance(rows, ChildOutputs):
                self._outputs.setdefault((rows.frame, rows.seq), {}).update(rows.outputs)
        self.events += [
            to_aws(event, number, self.now)
            for number, event in enumerate(decision.history, decision.first)
        ]
        assert self.x.events == len(self.events)
        for command in decision.commands:
            self._carry_out(command)
        self.peak = max(self.peak, len(self.x.frames) - 1, len(self._running))
        if self.x.status != model.RUNNING:
            assert not self.x.frames and not decision.more
            check_history(self.events, self.x.status)
        self.units.append(len(decision.history))
        return decision

    def run(self, until: float | None = None) -> "Driver":
        """Deliver answers and fire timers until the execution is closed, `until` (seconds) is over,
        or nothing is due any more.
        """
        last = None if until is None else self.x.started + round(until * 1000)
        while self.x.status == model.RUNNING:
            answer, timer = (self._queue[0][0] if self._queue else None), self.x.wake_at()
            at = min((each for each in (answer, timer) if each is not None), default=None)
            if at is None or (last is not None and at > last):
                break
            self.now = max(self.now, at)
            if answer == at:
                self.now += 1_000 * self.x.express
                _, _, event = heapq.heappop(self._queue)
                if isinstance(event, ChildClosed):
                    self._running.discard((event.frame, event.seq, event.slot))
                self.send(event)
            else:
                before = len(self.events)
                self.send(Tick())
                assert len(self.events) > before or self.x.wake_at() != timer, (
                    "a timer fired without effect"
                )
        if last is not None and self.x.status == model.RUNNING:
            self.now = last
        return self

    def stop(self, error: str | None = None, cause: str | None = None) -> "Driver":
        self.send(Stop(error, cause))
        return self

    def redrive(self, seconds: float = 0, whole: bool = False) -> "Driver":
        """Some time after its end."""
        self.now += round(seconds * 1000)
        self._queue.clear()
        self._running.clear()
        longest = self.limits.standard_seconds
        self.send(
            Redrive(self.now + 1000 * min(self.program.timeout or longest, longest), {}, whole)
        )
        return self

    def answer(self, state: str, answer: Any, seq: int | None = None) -> "Driver":
        """Answer the attempt that a state is at, now; `seq`: another attempt of the same frame."""
        frame = self.frame(state)
        self._schedule(frame.id, frame.seq if seq is None else seq, answer, self.now)
        while self._queue and self._queue[0][0] <= self.now:
            self.send(heapq.heappop(self._queue)[2])
        return self

    def beat(self, state: str) -> Decision:
        frame = self.frame(state)
        return self.send(Heartbeat(frame.id, frame.seq))

    # --- commands ---------------------------------------------------------------------------------
    def _carry_out(self, command: Command) -> None:
        place = command.frame, command.seq
        if isinstance(command, StartChild) and command.payload is None:
            command = command._replace(payload=self._inputs[place][command.slot])
        elif isinstance(command, RunTask) and place in self._outputs:
            outputs = [output.value for _, output in sorted(self._outputs[place].items())]
            payload: Any = command.payload.value
            command = command._replace(payload=Payload({**payload, "Results": outputs}))
        self.commands.append(command)
        if isinstance(command, RunTask):
            name = command.state.name
            self.tasks.append((name, command.payload.value))
            self._effects[command.frame, command.seq] = name
            answer = self.answers.get(name, lambda value: value)
            if isinstance(answer, tuple) and type(answer) is tuple:
                answer = answer[min(self._attempts[name], len(answer) - 1)]
            self._attempts[name] += 1
            self._schedule(command.frame, command.seq, answer, self.now, command.payload.value)
        elif isinstance(command, StartChild):
            self._running.add((command.frame, command.seq, command.slot))
            self._start_child(command)
        else:
            assert isinstance(command, CancelTask)
            self.cancelled.append(self._effects.get((command.frame, command.seq), "?"))

    def _schedule(self, frame: int, seq: int, answer: Any, at: int, value: Any = None) -> None:
        match answer:
            case Later(seconds, later):
                self._schedule(frame, seq, later, at + round(seconds * 1000), value)
            case Submits(output, later):
                self._push(at, TaskSubmitted(frame, seq, Payload(output)))
                self._schedule(frame, seq, later, at, value)
            case Taken(worker, later):
                self._push(at, TaskStarted(frame, seq, worker))
                self._schedule(frame, seq, later, at, value)
            case Fails(error, cause, runtime):
                self._push(at, TaskFailed(frame, seq, error, cause, runtime))
            case _ if answer is Silent:
                pass
            case _:
                self._push(
                    at,
                    TaskSucceeded(
                        frame, seq, Payload(answer(value) if callable(answer) else answer)
                    ),
                )

    def _start_child(self, command: StartChild) -> None:
        assert command.payload is not None
        ended, seconds = None, 0.0
        if self.child is not None:
            ended = self.child(command.slot, command.payload.value)
            if isinstance(ended, Later):
                seconds, ended = ended
        if ended is Silent:
            return
        if ended is None:
            options: dict[str, Any] = {
                "answers": self.answers,
                "attempts": self._attempts,
                "limits": self.limits,
            }
            inner = Driver(
                self.program, command.payload.value, block=command.block.index, **options
            ).run()
            seconds, ended = (
                inner.elapsed,
                Ends(inner.status, None if inner.x.output is None else inner.output),
            )
        output = None if ended.output is None else Payload(ended.output)
        event = ChildClosed(
            command.frame, command.seq, command.slot, ended.status, output, command.round
        )
        self._push(self.now + round(seconds * 1000), event)

    def _push(self, at: int, event: Event) -> None:
        heapq.heappush(self._queue, (at, next(self._order), event))


def run(definition: dict[str, Any] | Program, input: Any = None, **options: Any) -> Driver:
    """A whole run; keywords that name a state (they begin with a capital) are its answers."""
    answers = {name: options.pop(name) for name in list(options) if name[0].isupper()}
    return Driver(definition, input, answers=answers, **options).run()


def begin(definition: dict[str, Any] | Program, input: Any = None, **options: Any) -> Driver:
    """The execution after its first decision; keywords as for run()."""
    answers = {name: options.pop(name) for name in list(options) if name[0].isupper()}
    return Driver(definition, input, answers=answers, **options)


def snapshot(x: Execution) -> list[Any]:
    """All values of an execution, to compare."""
    own = [
        getattr(x, each.name)
        for each in fields(Execution)
        if each.compare and each.name not in ("frames", "snapshot")
    ]
    every = [*x.frames.values(), *(x.snapshot or {}).values()]
    frames = [
        [_value(frame, name) for name in model.Frame.__slots__ if name != "touched"]
        for frame in every
    ]
    return [*own, *frames]


def _value(frame: model.Frame, name: str) -> Any:
    value = getattr(frame, name)
    if isinstance(value, model.Children):
        fields = {each: getattr(value, each) for each in value.__slots__}
        return fields | {"results": value.results[: value.ended]}
    return value.payloads if isinstance(value, model.Scope) else value


def _comparable(decision: Decision) -> list[tuple[Any, ...]]:
    return [
        tuple(each.payloads if isinstance(each, model.Scope) else each for each in event)
        for event in decision.history
    ]


# --- history as text ------------------------------------------------------------------------------
_BARE = ("name", "input", "output", "parameters", "length", "state")
_HIDDEN = (
    "roleArn",
    "region",
    "resourceType",
    "resource",
    "inputDetails",
    "outputDetails",
    "assignedVariablesDetails",
)


def line(event: dict[str, Any]) -> str:
    """`5<4 TaskFailed error=E cause=text`: id, previousEventId, type, then the details that differ
    between events.
    """
    parts = [f"{event['id']}<{event['previousEventId']} {event['type']}"]
    details = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
    for name, value in details.items():
        if name == "assignedVariables":
            parts += [f"{variable}:={text}" for variable, text in value.items()]
        elif name == "index":
            parts.append(f"[{value}]")
        elif name not in _HIDDEN:
            parts.append(str(value) if name in _BARE else f"{name}={value}")
    return " ".join(parts)


def lines(text: str) -> list[str]:
    return [each.strip() for each in text.strip().splitlines()]


def check_tree(x: Execution, more: bool) -> None:
    """What holds for the frames of every execution."""
    assert (x.wake_at(), x.wake()) == (
        replace(x, surveyed=None).wake_at(),
        replace(x, surveyed=None).wake(),
    )
    if x.index is not None:
        for parent, children in x.index.children.items():
            assert (
                list(children)
                == [frame.id for frame in x.frames.values() if frame.parent == parent]
                != []
            )
    assert not more or any(frame.phase == Phase.RUN for frame in x.frames.values())
    for frame in x.frames.values():
        below = [each for each in x.frames.values() if each.parent == frame.id]
        assert frame.phase != Phase.ENDED and (more or frame.phase != Phase.RUN)
        assert frame.parent == 0 or x.frames[frame.parent].phase == Phase.CHILDREN
        assert (frame.due is not None) or frame.phase not in SLEEPING
        timed = frame.due is not None or frame.heartbeat_due is not None
        assert not timed or frame.phase in (*SLEEPING, Phase.TASK)
        assert (frame.attempt is not None) == (frame.phase == Phase.TASK)
        assert (frame.children is not None) == (frame.phase in WITH_CHILDREN)
        if frame.children is None:
            assert below == []
            continue
        live, map_run = frame.children.live, frame.children.map_run
        if frame.phase == Phase.READ:
            assert (below, live) == ([], 0) and map_run.reader is not None
        elif frame.phase == Phase.WRITE:
            assert (below, live) == ([], 0) and map_run.writer is not None
        elif frame.in_map_run:
            assert below == [] and live == len(frame.children.open) <= frame.children.next_item
            assert live or not frame.children.all_known
        else:
            assert live == len(below) > 0
            assert frame.state.map is None or live <= map_run.concurrency


def check_history(events: list[dict[str, Any]], status: str) -> None:
    """What holds for every history of a closed execution."""
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    for event, following in zip(events, [*events[1:], None]):
        assert (event["type"] in TERMINAL) == (
            following is None or following["type"] == "ExecutionRedriven"
        )
    redrives = sum(event["type"] == "ExecutionRedriven" for event in events)
    fallen: Counter[tuple[str, int]] = Counter()
    entered: Counter[str] = Counter()
    iterations: Counter[tuple[str, int]] = Counter()
    for event in events:
        kind, previous = event["type"], event["previousEventId"]
        assert 0 <= previous < event["id"]
        assert (
            previous
            or kind in ("ExecutionStarted", "ExecutionAborted", "EvaluationFailed")
            or event["id"] == 2
        )
        assert (
            previous == 0
            or events[previous - 1]["type"] not in TERMINAL
            or kind == "ExecutionRedriven"
        )
        details = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
        if kind.endswith("StateEntered"):
            entered[details["name"]] += 1
        elif kind.endswith("StateExited"):
            entered[details["name"]] -= 1
            assert entered[details["name"]] >= 0, f"{details['name']} left more often than entered"
        elif kind.startswith("MapIteration"):
            key = details["name"], details["index"]
            iterations[key] += 1 if kind.endswith("Started") else -1
            assert iterations[key] >= 0, f"iteration {key} ended twice"
            fallen[key] += kind.endswith(("Failed", "Aborted"))
        elif kind == "ExecutionRedriven":  # branches may resume without a new start
            iterations += fallen
            fallen.clear()
    kinds = Counter(event["type"] for event in events)
    for family in ("ParallelState", "MapState", "MapRun"):
        ends = kinds[family + "Succeeded"] + kinds[family + "Failed"] + kinds[family + "Aborted"]
        if family == "MapRun":
            assert ends <= kinds["MapRunStarted"] + kinds["MapRunRedriven"]
        if status == model.SUCCEEDED and family == "MapRun":
            assert ends == kinds["MapRunStarted"] + kinds["MapRunRedriven"] or redrives
    if status == model.SUCCEEDED and not redrives:
        assert not +iterations, "an iteration without an end"
