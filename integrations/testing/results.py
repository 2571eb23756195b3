"""What a test sees of an execution: Result, and of each state StateResult. Pure: made from the
definition and the history.

    result = workflow("order.asl.json").run({"orderId": 7})
    result.status, result.output, result.visited, result.state("Charge").arguments
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.blocks import every_state
from stepwell.asl.compiler import compile_machine
from stepwell.asl.definition import StateMachine
from stepwell.asl.evaluation import Json
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.reevaluation import Reevaluation
from stepwell.asl.histories.state_visits import CAUGHT, TIMED_OUT, Event, Visit
from stepwell.engine.operations.data_flow import causes, data_flow
from stepwell.integrations.definitions.other_machines import plain
from stepwell.integrations.mocks.answers import Unused, summary
from stepwell.integrations.testing import snapshots
from stepwell.integrations.testing.errors import is_expected, suggestion

__tracebackhide__: Final = is_expected
_SHOWN_STATES: Final = 12
_SHOWN_CHARS: Final = 300
# called with each result of this process, however its workflow was made: pytest --stepwell-cov
observers: Final[list[Callable[[Result], object]]] = []


class Status(str):
    """The status of an execution: a str that pytest can explain when a comparison fails."""

    result: Result

    def __new__(cls, text: str, result: Result) -> Status:
        status = super().__new__(cls, text)
        status.result = result
        return status


@dataclass(frozen=True, slots=True)
class Child:
    """A child of a Map Run that has ended.

    slot       the index of its item, or of its batch
    execution  DescribeExecution's answer
    """

    map_run: str
    slot: int
    execution: Mapping[str, Any]
    history: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Run:
    """One execution that has ended, as the engine described it.

    definition  JSON text with its parameters filled in
    parameters  the values of its ${Placeholders}
    mocked      the results of whole Parallels and Maps, as Mocks.whole() has them
    execution   DescribeExecution's answer
    history     events of the execution, in boto3's shapes
    children    the executions of its Map Runs that have histories: all but Express ones
    warnings    sentences on mocks of a mock file
    unused      the mocks that answered no call
    nested      the executions that its tasks, and theirs, have started, in order
    """

    machine: str
    type: str
    definition: str
    parameters: Mapping[str, Json]
    execution: Mapping[str, Any]
    history: Sequence[Event]
    children: Sequence[Child] = ()
    warnings: Sequence[str] = ()
    unused: Sequence[Unused] = ()
    mocked: Mapping[str, Sequence[Mapping[str, Json]]] = field(default_factory=dict)
    file: str | None = None
    nested: Sequence[Run] = ()


class Seen(NamedTuple):
    """A visit, its place, and the execution that it belongs to."""

    visit: Visit
    place: str
    visits: Visits
    execution: Mapping[str, Any]
    history: Sequence[Event]


class MockedFailures(Reevaluation):
    """Also the failures of Parallels and Maps that are mocked as a whole: no event has them."""

    def __init__(
        self, definition: StateMachine, mocked: Mapping[str, Sequence[Mapping[str, Json]]]
    ) -> None:
        super().__init__(definition)
        self._mocked, self._attempts = mocked, Counter[str]()

    def see(self, event: Event, visit: Visit | None) -> None:
        super().see(event, visit)
        if visit is not None and event["type"].endswith("StateStarted"):
            self._attempts[visit.name] += 1

    def failure(self, visit: Visit) -> tuple[str | None, str | None]:
        if visit.name not in self._mocked:
            return super().failure(visit)
        number = self._attempts[visit.name] - 1
        for step in self._mocked[visit.name]:
            if step["last"] is None or number <= step["last"]:
                return step.get("error"), step.get("cause")
        return None, None


class Result:
    """An execution that has ended.

    status     "SUCCEEDED", "FAILED", "TIMED_OUT" or "ABORTED"
    output     a Python value; None unless it has succeeded
    error, cause
    visited    the places of all visits, in order: "Charge", "Ship[0]/Pack" in the first branch of a
               Parallel, "Resize[3]/Convert" in the fourth iteration of a Map or child of a Map Run
    path       the names of the top-level states in order
    history    its events, as GetExecutionHistory returns them
    duration   seconds, in the time of the execution: a Wait of a day counts as a day
    executions  Results of the executions that its tasks, and theirs, have started, in order
    unused     sentences on mocks that answered no call
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.definition, self.parameters, self.history = run.definition, run.parameters, run.history
        self.unused = [*run.warnings, *(each.text for each in run.unused)]
        execution = run.execution
        self.status = Status(execution["status"], self)
        self.input: Json = json_text.loads(execution["input"])
        text = execution.get("output")
        self.output: Json = None if text is None else json_text.loads(text)
        self.error: str | None = execution.get("error")
        self.cause: str | None = execution.get("cause")
        self.duration: float = round(execution["stopDate"] - execution["startDate"], 3)
        self.executions = [Result(each) for each in run.nested]

    def execution(self, machine: str) -> Result:
        """The last execution of another state machine that a task has started. Raises
        LookupError.
        """
        found = [each for each in self.executions if plain(each.run.machine) == plain(machine)]
        if not found:
            known = list(dict.fromkeys(each.run.machine for each in self.executions))
            hint = suggestion(machine, known) if known else "; no task has started one"
            raise LookupError(f"there is no execution of {machine!r}{hint}")
        return found[-1]

    @property
    def arn(self) -> str:
        return str(self.run.execution["executionArn"])

    @property
    def histories(self) -> list[Sequence[Event]]:
        """Its history and those of the executions of its Map Runs."""
        return [self.history, *(child.history for child in self.run.children)]

    @cached_property
    def machine(self) -> StateMachine:
        return StateMachine.model_validate(json_text.loads(self.definition))

    @cached_property
    def visits(self) -> Visits:
        return Visits(self.history, self.source())

    def source(self) -> Reevaluation:
        """What the events of one of its histories leave out."""
        return MockedFailures(self.machine, self.run.mocked)

    @cached_property
    def seen(self) -> list[Seen]:
        """All visits in order; those of the children of a Map Run follow that of the Map."""
        return list(self._seen(self.visits, self.run.execution, self.history, ""))

    def _seen(
        self, visits: Visits, execution: Mapping[str, Any], history: Sequence[Event], outer: str
    ) -> Iterator[Seen]:
        for visit in visits.all:
            at = outer + place(visit, self._branches)
            yield Seen(visit, at, visits, execution, history)
            children = [child for child in self.run.children if child.map_run == visit.map_run]
            for child in sorted(children, key=lambda each: each.slot):
                inner = Visits(child.history, self.source())
                yield from self._seen(inner, child.execution, child.history, f"{at}[{child.slot}]/")

    @property
    def visited(self) -> list[str]:
        return [each.place for each in self.seen]

    @property
    def path(self) -> list[str]:
        return [visit.name for visit in self.visits.all if visit.parent is None]

    @cached_property
    def _branches(self) -> dict[str, int]:
        """State -> the index of the branch of a Parallel that it is directly in."""
        return dict(_branch_indexes(json_text.loads(self.definition)))

    @property
    def failed_at(self) -> str | None:
        """The place of the state that made the execution fail."""
        culprit = self.visits.culprit
        return None if culprit is None else place(culprit, self._branches)

    @property
    def why(self) -> str | None:
        """Why it failed, and what to change, in a sentence: a path that finds nothing, and so on.
        None if nothing more is known than the cause says.
        """
        if not causes.explainable(self.visits):
            return None
        program, definition = compile_machine(self.machine), json_text.loads(self.definition)
        execution = self.run.execution
        found = causes.likely_cause(program, definition, execution, self.history, self.visits)
        if found is None:
            return None
        visit, hint = found
        return hint.text if visit is self.visits.culprit else f"{visit.name}: {hint.text}"

    def state(self, name: str) -> StateResult:
        """A state that was visited, by name ("Pack") or place ("Ship[0]/Pack"). Raises LookupError.

        Its fields are those of the last visit; `visits` has all.
        """
        found = [each for each in self.seen if name in (each.visit.name, each.place)]
        if not found:
            known = [name for name, _ in every_state(json_text.loads(self.definition))]
            if name in known:
                raise LookupError(f"the state {name!r} was not visited; {self._way()}")
            raise LookupError(f"there is no state {name!r}{suggestion(name, known)}")
        states = [self._state(each) for each in found]
        states[-1].visits = states
        return states[-1]

    def _state(self, seen: Seen) -> StateResult:
        visit = seen.visit
        return StateResult(
            name=visit.name,
            place=seen.place,
            type=visit.type,
            status=visit.status,
            input=_value(visit.input),
            arguments=self._arguments(seen),
            result=_value(visit.result),
            output=_value(visit.output),
            error=visit.error,
            cause=visit.cause,
            attempts=visit.attempts,
            assigned={name: _value(text) for name, text in (visit.assigned or {}).items()},
            duration=round(visit.seconds(visit.start), 3),
        )

    def _arguments(self, seen: Seen) -> Json:
        """The effective input: what a task was called with, or what the state worked on."""
        visit = seen.visit
        text = visit.scheduled.get("parameters", visit.scheduled.get("input"))
        if text is not None:
            return json_text.loads(text)
        number = seen.visits.named[visit.name].index(visit) + 1
        program = compile_machine(self.machine)
        definition = json_text.loads(self.definition)
        flow = data_flow(program, definition, seen.execution, seen.history, visit.name, number)
        stages = {stage.name: stage.value for stage in flow.stages}
        for name in ("Arguments", "Parameters", "InputPath"):
            if name in stages:
                return stages[name]
        return _value(visit.input)

    # --- texts ---

    def snapshot(self) -> str:
        """Its history as JSON text, without what differs from run to run."""
        return snapshots.snapshot(self.history)

    def _way(self) -> str:
        names = [
            f"{at} (caught {visit.error or 'an error'})" if visit.status == CAUGHT else at
            for visit, at, *_ in self.seen
        ]
        cut = "… → " if len(names) > _SHOWN_STATES else ""
        return f"visited: {cut}{' → '.join(names[-_SHOWN_STATES:]) or 'no state'}"

    def _ending(self) -> str:
        """The status, and why."""
        if self.status == "SUCCEEDED":
            return f"SUCCEEDED with {shorten(json_text.dumps(self.output))}"
        why = ": ".join(filter(None, (self.error, self.cause and shorten(self.cause))))
        return f"{self.status}{': ' * bool(why)}{why}"

    def explanation(self, others: Sequence[Result] | None = None) -> list[str]:
        """What happened, a line each: the ending, the state that failed, its input, the path.

        others  the executions that it may have started; None: all that it knows
        """
        others = self.executions if others is None else others
        lines = [f"{self.run.machine} {self._ending()}"]
        if (at := self.failed_at) is not None:
            state = self.state(at)
            attempts = f", attempt {state.attempts}" if state.attempts > 1 else ""
            lines.append(f"failed at: {at}{attempts}")
            lines.append(f"its input: {shorten(json_text.dumps(state.input))}")
            inside = [each for each in self.seen if each.place.startswith(f"{at}[")]
            for each in [each for each in inside if each.visits.culprit is each.visit][:1]:
                error = ": ".join(filter(None, (each.visit.error, each.visit.cause)))
                lines.append(f"first failure in it: {each.place}: {shorten(error)}")
            for other in [other for other in others if other.arn in (state.cause or "")][:1]:
                lines.append(f"the execution of {other.run.machine} that it started:")
                lines += ["  " + line for line in other.explanation(others)]
        if (why := self.why) is not None:
            lines.append(f"why: {why}")
        open_at = [each.place for each in self.seen if each.visit.status == TIMED_OUT]
        if open_at:
            lines.append(f"it waited at: {', '.join(open_at)} (a mock answers a task)")
        lines.append(self._way())
        return lines

    def __repr__(self) -> str:
        at = f" at {self.failed_at}" if self.failed_at else ""
        return f"<{self.run.machine} {self._ending()}{at}; {self._way()}>"

    def __str__(self) -> str:
        return "\n".join([*self.explanation(), *self.run.warnings, *summary(self.run.unused)])

    # --- assertions ---

    def assert_succeeded(self) -> Result:
        """Returns itself. Raises AssertionError that tells what happened."""
        if self.status != "SUCCEEDED":
            raise AssertionError("expected SUCCEEDED\n" + str(self))
        return self

    def assert_failed(self, error: str | None = None, cause: str | None = None) -> Result:
        """error: its name; cause: its whole text, or a part. Returns itself."""
        wanted = " ".join(
            [
                "FAILED",
                *([f"with {error}"] if error else []),
                *([f"and {cause!r}"] if cause else []),
            ]
        )
        if (
            self.status != "FAILED"
            or (error is not None and self.error != error)
            or (cause is not None and cause not in (self.cause or ""))
        ):
            raise AssertionError(f"expected {wanted}\n{self}")
        return self

    def assert_visited(self, *states: str) -> Result:
        """The states, by name or place, were visited in this order; others may be between them."""
        missing = first_missing(states, self)
        if missing is not None:
            raise AssertionError(f"expected a visit of {missing!r} in this order\n{self}")
        return self


@dataclass(slots=True)
class StateResult:
    """The last visit of a state.

    place      "Charge", "Ship[0]/Pack", "Resize[3]/Convert"
    status     "succeeded", "caught", "failed", "aborted" or "timed out"
    input      of the state
    arguments  its effective input: after InputPath and Parameters, or Arguments
    result     of its task, before ResultSelector; None if it has none
    output     of the state; None if it did not end by itself
    attempts   of its task
    assigned   variables
    duration   seconds, in the time of the execution
    visits     all of its visits, in order
    """

    name: str
    place: str
    type: str
    status: str
    input: Json
    arguments: Json
    result: Json
    output: Json
    error: str | None
    cause: str | None
    attempts: int
    assigned: dict[str, Json]
    duration: float
    visits: list[StateResult] = field(default_factory=list, repr=False)


def first_missing(wanted: Sequence[str], result: Result) -> str | None:
    """The first of the states that was not visited after those before it; None: all were."""
    ways = iter(names(result))
    return next((each for each in wanted if not any(each in way for way in ways)), None)


def names(result: Result) -> list[tuple[str, str]]:
    """(name, place) of each visit."""
    return [(each.visit.name, each.place) for each in result.seen]


def place(visit: Visit, branches: Mapping[str, int]) -> str:
    """ "Ship[0]/Pack", "Resize[3]/Convert": with the indexes of branches and iterations."""
    path = [*visit.around(), visit]
    parts = []
    for outer, inner in zip(path, [*path[1:], None], strict=True):
        if inner is None:
            parts.append(outer.name)
            continue
        index = branches.get(inner.name) if outer.type == "Parallel" else inner.index
        parts.append(outer.name if index is None else f"{outer.name}[{index}]")
    return "/".join(parts)


def _branch_indexes(block: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for _, state in every_state(block):
        for index, branch in enumerate(state.get("Branches", ())):
            for name in branch["States"]:
                yield name, index


def shorten(text: str, most: int = _SHOWN_CHARS) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def _value(text: str | None) -> Json:
    return None if text is None else json_text.loads(text)
