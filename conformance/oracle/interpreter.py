"""The reference interpreter: what an execution of a definition comes to, and the events that its history must have.

Written to be read next to the language's definition: nothing is compiled, branches run one after the other to their ends, no time passes.
Where several of them fail, any could have been the first: `outcomes` gives every way in which that can go.

JSONPath:  raw input -> InputPath -> Parameters -> work -> ResultSelector -> ResultPath (into the raw input) -> OutputPath
JSONata:   raw input -> Arguments -> work -> Output;   Assign in both, over the variables as they were when the state was entered
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from stepwell.conformance.oracle import choice, paths
from stepwell.conformance.oracle.expressions import Scope, dynamic, is_expression, jsonata, selected, template, typed
from stepwell.conformance.oracle.history import Event, Recorder
from stepwell.conformance.oracle.timestamps import instant
from stepwell.conformance.oracle.values import ANY, MISSING, Failure, Json, Undetermined, known, size, text

PAYLOAD_BYTES: Final = 262_144
CONCURRENCY: Final = 40  # of an inline Map
_STEPS: Final = 3_000  # more than generated machines need
_WAYS: Final = 24  # outcomes looked at
RUNTIME: Final = "States.Runtime"
TIMEOUT: Final = "States.Timeout"
QUERY: Final = "States.QueryEvaluationError"
TOO_LARGE: Final = "The state/task '{}' returned a result with a size exceeding the maximum number of bytes service limit."

Variables = dict[str, Json]
Events = tuple[Event, ...]


class TaskResult(NamedTuple):
    """What a task answers: an output, or an error. `seconds`: what it takes until it times out."""

    output: Json = MISSING
    error: str | None = None
    cause: str | None = None
    timed_out: bool = False


Tasks = Callable[[str, Json], TaskResult]  # (resource, input) -> result


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ends. `seconds` are those that it waits; in its texts ANY stands for what is not determined."""

    status: str
    output: Json
    error: str | None
    cause: str | None
    events: list[Event]
    seconds: float
    faults: int = 0  # failures of expressions and fields, caught ones too


class Broke(Exception):
    """A state failed and nothing in its block caught it. `at`: the event the failure follows from; `fatal`: nothing further up will."""

    def __init__(self, error: str | None, cause: str | None, at: Events, fatal: bool = False) -> None:
        super().__init__(error, cause)
        self.error, self.cause, self.at, self.fatal = error, cause, at, fatal or error == RUNTIME


def outcomes(definition: dict[str, Any], value: Json, tasks: Tasks | None = None, express: bool = False) -> Iterator[Outcome]:
    """Every way in which an execution may end. Raises Undetermined."""
    picks: list[int] = []
    for _ in range(_WAYS):
        run = Run(definition, value, tasks or no_tasks, express, picks)
        yield run.outcome()
        taken = run.taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        picks = [pick for pick, _ in taken]
        picks[-1] += 1
    raise Undetermined


def no_tasks(resource: str, value: Json) -> TaskResult:
    raise Undetermined


@dataclass(eq=False, slots=True)
class Visit:
    """One state being visited. `tail`: the events that what comes next may follow from."""

    name: str
    state: dict[str, Any]
    jsonata: bool
    value: Json
    variables: Variables
    item: Json  # of the innermost Map around
    before: Events
    entered: Event
    tail: Events
    retries: list[int] = field(default_factory=list)
    past: bool = False  # the work of a Parallel or Map was done


class Left(NamedTuple):
    """A state was left: its output, the variables from now on, the next state's name or None, its last event."""

    output: Json
    variables: Variables
    next: str | None
    tail: Events


class Run:
    """One run. `picks` say which of several failures comes first, each time that it matters; `taken` lists (pick, of how many)."""

    def __init__(self, definition: dict[str, Any], value: Json, tasks: Tasks, express: bool, picks: list[int]) -> None:
        self.definition, self.input, self.tasks, self.express, self.picks = definition, value, tasks, express, picks
        self.history = Recorder()
        self.taken: list[tuple[int, int]] = []
        self.seconds = 0.0
        self.faults = 0
        self.steps = 0

    def pick(self, count: int) -> int:
        place = len(self.taken)
        taken = self.picks[place] if place < len(self.picks) else 0
        self.taken.append((taken, count))
        return taken

    def outcome(self) -> Outcome:
        add = self.history.add
        add("ExecutionStarted", (), input=self.input)
        try:
            output, tail = self.block(self.definition, self.input, {}, MISSING, ())
        except Broke as broke:
            add("ExecutionFailed", broke.at, error=broke.error, cause=broke.cause)
            return Outcome("FAILED", MISSING, broke.error, broke.cause, self.history.events, self.seconds, self.faults)
        add("ExecutionSucceeded", tail, output=output)
        return Outcome("SUCCEEDED", output, None, None, self.history.events, self.seconds, self.faults)

    # --- states in a row -----------------------------------------------------------------------------------------------

    def block(self, block: dict[str, Any], value: Json, variables: Variables, item: Json, tail: Events) -> tuple[Json, Events]:
        """Run a States block to its end: (output, its last event). Raises Broke."""
        following: str | None = block["StartAt"]
        while following is not None:
            self.steps += 1
            if self.steps > _STEPS:
                raise Undetermined
            left = self.visit(following, block["States"][following], value, variables, item, tail)
            value, variables, following, tail = left
        return value, tail

    def visit(self, name: str, state: dict[str, Any], value: Json, variables: Variables, item: Json, tail: Events) -> Left:
        language = state.get("QueryLanguage", self.definition.get("QueryLanguage", "JSONPath"))
        entered = self.history.add(f"{state['Type']}StateEntered", tail, name=name, input=value)
        visit = Visit(name, state, language == "JSONata", value, variables, item, tail, entered, (entered,))
        work = _WORK[state["Type"]]
        left = None
        while left is None:
            try:
                left = work(self, visit)
            except Failure as failure:
                left = self.failed(visit, failure)
        return left

    def scope(self, visit: Visit, **more: Json) -> Scope:
        execution = {"Id": ANY, "Input": self.input, "Name": ANY, "RoleArn": ANY, "StartTime": ANY}
        if not self.express:
            execution["RedriveCount"] = 0
        state: dict[str, Json] = {"Name": visit.name, "EnteredTime": ANY}
        if visit.state["Type"] in ("Task", "Parallel", "Map"):
            state["RetryCount"] = sum(visit.retries)
        context: dict[str, Json] = {"Execution": execution, "StateMachine": {"Id": ANY, "Name": ANY}, "State": state}
        item = more.pop("item", visit.item)
        if item is not MISSING:
            context["Map"] = {"Item": item}
        return Scope(visit.value, visit.variables, context, **more)

    def leave(self, visit: Visit, output: Json, following: str | None, assigned: Variables, tail: Events) -> Left:
        """Exited. An output beyond the limit ends the execution: nothing catches that."""
        self.limited(visit, output, tail)
        details = {"assignedVariables": assigned} if assigned else {}
        exited = self.history.add(f"{visit.state['Type']}StateExited", tail, name=visit.name, output=output, **details)
        return Left(output, {**visit.variables, **assigned}, following, (exited,))

    def limited(self, visit: Visit, value: Json, tail: Events) -> None:
        if size(value) > PAYLOAD_BYTES:
            raise Broke("States.DataLimitExceeded", TOO_LARGE.format(visit.name), tail, fatal=True)

    # --- the data flow -------------------------------------------------------------------------------------------------

    def effective(self, visit: Visit, scope: Scope) -> Json:
        """InputPath, Parameters; Arguments."""
        state = visit.state
        if visit.jsonata:
            return jsonata(state["Arguments"], "Arguments", scope) if "Arguments" in state else visit.value
        value = selected(state.get("InputPath", "$"), visit.value, scope)
        return template(state["Parameters"], value, scope) if "Parameters" in state and state["Type"] != "Map" else value

    def shaped(self, visit: Visit, result: Json, scope: Scope) -> tuple[Json, Variables]:
        """(output, variables assigned). Both read the same: if both fail, either may be told."""
        state = visit.state
        output, assigned = self.both(
            lambda: self.output(visit, result, scope),
            lambda: self.assigned(state.get("Assign"), "Assign", visit, result, scope),
        )
        return output, assigned

    def both(self, *parts: Callable[[], Json]) -> Any:
        """The values of parts that are evaluated in no given order."""
        values, failures = [], []
        for part in parts:
            try:
                values.append(part())
            except Failure as failure:
                failures.append(failure)
        if failures:
            raise failures[self.pick(len(failures)) if len(failures) > 1 else 0]
        return tuple(values)

    def output(self, visit: Visit, result: Json, scope: Scope) -> Json:
        state = visit.state
        if visit.jsonata:
            return jsonata(state["Output"], "Output", scope) if "Output" in state else result
        if "ResultSelector" in state:
            result = template(state["ResultSelector"], result, scope)
        if "ResultPath" in state:
            result = merged(state["ResultPath"], visit.value, result)
        return selected(state.get("OutputPath", "$"), result, scope)

    def assigned(self, assign: Json, where: str, visit: Visit, value: Json, scope: Scope) -> Variables:
        if not assign:
            return {}
        values = jsonata(assign, where, scope) if visit.jsonata else template(assign, value, scope)
        if sum(map(size, values.values())) > PAYLOAD_BYTES:
            raise Undetermined  # its error is not documented
        return dict(values)

    def complete(self, visit: Visit, result: Json, tail: Events) -> Left:
        """The work of a state is done: from its result to its output."""
        output, assigned = self.shaped(visit, result, self.scope(visit, result=result))
        return self.leave(visit, output, visit.state.get("Next"), assigned, tail)

    # --- failures ------------------------------------------------------------------------------------------------------

    def failed(self, visit: Visit, failure: Failure) -> Left | None:
        """An expression or field failed."""
        cause = self.explained(visit, failure)
        if failure.error == QUERY:
            visit.tail = (self.evaluation_failed(visit, failure, cause),)
        return self.settle(visit, failure.error, cause)

    def explained(self, visit: Visit, failure: Failure) -> str | None:
        self.faults += 1
        if failure.cause is None or failure.bare or failure.cause == ANY:
            return failure.cause
        cause = f"An error occurred while executing the state '{visit.name}' (entered at the event id #{ANY}). {failure.cause}"
        return cause if len(cause) < 30_000 else ANY

    def evaluation_failed(self, visit: Visit, failure: Failure, cause: str | None) -> Event:
        """It follows from Entered, or, as older recordings have it, from what Entered follows from."""
        location = {} if failure.location is None else {"location": failure.location}
        after = (*visit.tail, *(visit.before or ()))
        event = self.history.add("EvaluationFailed", after, error=failure.error, cause=cause, state=visit.name, **location)
        if not visit.before:
            event.after = (*event.after, _START)
        return event

    def settle(self, visit: Visit, error: str | None, cause: str | None, broken: bool = False) -> Left | None:
        """Retry (None: again), Catch, or raise Broke. `broken`: a branch or iteration failed."""
        if error == RUNTIME:
            raise Broke(error, cause, visit.tail)
        if self.retried(visit, error):
            return None
        if visit.state["Type"] in ("Parallel", "Map"):
            # recorded where a child failed, or Items; for other failures nobody has seen it
            recorded = broken or (error == QUERY and not visit.past)
            over = self.history.add(f"{visit.state['Type']}StateFailed", visit.tail)
            over.optional = not recorded
            visit.tail = (over,) if recorded else (over, *visit.tail)
        for place, catcher in enumerate(visit.state.get("Catch", ())):
            if matches(catcher["ErrorEquals"], error):
                return self.caught(visit, place, catcher, error, cause)
        raise Broke(error, cause, visit.tail)

    def retried(self, visit: Visit, error: str | None) -> bool:
        retriers = visit.state.get("Retry", ())
        used = visit.retries = visit.retries or [0] * len(retriers)
        for place, retrier in enumerate(retriers):
            if matches(retrier["ErrorEquals"], error):
                if used[place] >= retrier.get("MaxAttempts", 3):
                    return False  # the first that matches decides
                delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** used[place]
                self.seconds += min(delay, retrier.get("MaxDelaySeconds", delay))
                used[place] += 1
                visit.past = False
                return True
        return False

    def caught(self, visit: Visit, place: int, catcher: dict[str, Any], error: str | None, cause: str | None) -> Left:
        found: Json = {"Error": error, "Cause": "" if cause is None and error == TIMEOUT else cause}
        scope, where = self.scope(visit, error_output=found), f"Catch[{place}]"

        def output() -> Json:
            if visit.jsonata:
                return jsonata(catcher["Output"], f"{where}/Output", scope) if "Output" in catcher else found
            return merged(catcher.get("ResultPath", "$"), visit.value, found)

        try:
            value, assigned = self.both(output, lambda: self.assigned(catcher.get("Assign"), f"{where}/Assign", visit, found, scope))
        except Failure as failure:
            cause = self.explained(visit, failure)
            if failure.error == QUERY:
                visit.tail = (self.evaluation_failed(visit, failure, cause),)
            raise Broke(failure.error, cause, visit.tail) from None
        return self.leave(visit, value, catcher["Next"], assigned, visit.tail)

    # --- what each type does -------------------------------------------------------------------------------------------

    def pass_(self, visit: Visit) -> Left:
        scope = self.scope(visit)
        constant = "Result" in visit.state and not visit.jsonata
        result = visit.state["Result"] if constant else self.effective(visit, scope)
        output, assigned = self.shaped(visit, result, scope)
        return self.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)

    def succeed(self, visit: Visit) -> Left:
        scope = self.scope(visit)
        output, assigned = self.shaped(visit, self.effective(visit, scope), scope)
        return self.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)

    def fail(self, visit: Visit) -> Left | None:
        scope, found = self.scope(visit), []
        for name in ("Error", "Cause"):
            if name + "Path" in visit.state:
                value = dynamic(visit.state[name + "Path"], name + "Path", visit.value, scope)
                if not isinstance(value, str):
                    raise Undetermined
            elif name not in visit.state:
                value = None
            else:
                value = typed(visit.state[name], name, "string", scope) if visit.jsonata else visit.state[name]
            found.append(value)
        return self.settle(visit, found[0], found[1])

    def wait(self, visit: Visit) -> Left:
        scope = self.scope(visit)
        value = self.effective(visit, scope)
        self.seconds += self.delay(visit, value, scope)
        output, assigned = self.shaped(visit, value, scope)
        return self.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)

    def delay(self, visit: Visit, value: Json, scope: Scope) -> float:
        """Seconds of a Wait state; timestamps of generated machines lie in the past."""
        state = visit.state
        if "Seconds" in state:
            seconds = typed(state["Seconds"], "Seconds", "number", scope) if visit.jsonata else state["Seconds"]
            if seconds < 0:
                raise Failure(QUERY, ANY, "Seconds")
            return float(int(seconds))
        if "Timestamp" in state:
            moment = typed(state["Timestamp"], "Timestamp", "string", scope) if visit.jsonata else state["Timestamp"]
            if instant(moment) is None:
                shown = "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: "
                raise Failure(QUERY, shown + moment, "Timestamp")
            return 0.0
        name = "SecondsPath" if "SecondsPath" in state else "TimestampPath"
        path = state[name]
        found = scope.read(value)(path)
        shown = "" if found is MISSING else found if isinstance(found, str) else text(found)
        if name == "TimestampPath":
            if instant(found) is None:
                what = "does not reference a valid ISO-8601 extended offset date-time format string"
                raise Failure(RUNTIME, f"The TimestampPath parameter {what}: {path} == {shown}" if found is not MISSING else ANY)
            return 0.0
        if found is MISSING:
            raise Failure(RUNTIME, f"The SecondsPath parameter does not reference an input value: {path}")
        if isinstance(found, str):
            raise Undetermined
        if isinstance(found, bool) or not isinstance(found, int):
            raise Failure(RUNTIME, f"The SecondsPath parameter cannot be parsed as a long value: {path} == {shown}")
        if found < 0:
            raise Failure(RUNTIME, f"The SecondsPath parameter references a negative value: {path} == {shown}")
        return float(found)

    def choose(self, visit: Visit) -> Left:
        state, scope = visit.state, self.scope(visit)
        value = self.effective(visit, scope)
        read = choice.reader(value, lambda root: scope.root(root, value))
        for rule in state["Choices"]:
            holds = typed(rule["Condition"], "Condition", "boolean", scope) if visit.jsonata else choice.holds(rule, read)
            if holds:
                return self.chosen(visit, rule, rule["Next"], value, scope)
        if "Default" not in state:
            raise Failure(RUNTIME, "Failed to transition out of the state. The state does not point to a next state.")
        return self.chosen(visit, state, state["Default"], value, scope)

    def chosen(self, visit: Visit, rule: dict[str, Any], following: str, value: Json, scope: Scope) -> Left:
        def output() -> Json:
            if visit.jsonata:
                return jsonata(rule["Output"], "Output", scope) if "Output" in rule else value
            return selected(visit.state.get("OutputPath", "$"), value, scope)

        try:
            result, assigned = self.both(output, lambda: self.assigned(rule.get("Assign"), "Assign", visit, value, scope))
        except Failure as failure:
            if rule is not visit.state and failure.error == QUERY:  # how the fields of a rule are named is not documented
                failure = Failure(QUERY, ANY, ANY)
            raise failure from None
        return self.leave(visit, result, following, assigned, visit.tail)

    def task(self, visit: Visit) -> Left | None:
        state, scope = visit.state, self.scope(visit)
        value = self.effective(visit, scope)
        self.limited(visit, value, visit.tail)
        add, known_limits = self.history.add, {}
        for name, shown in (("TimeoutSeconds", "timeoutInSeconds"), ("HeartbeatSeconds", "heartbeatInSeconds")):
            if name in state:
                known_limits[shown] = state[name]
            elif f"{name}Path" in state:
                known_limits[shown] = found = selected(state[f"{name}Path"], value, scope)
                if isinstance(found, bool) or not isinstance(found, int) or found <= 0:
                    raise Undetermined
        scheduled = add("ActivityScheduled", visit.tail, input=value, **known_limits)
        started = add("ActivityStarted", (scheduled,))
        result = self.tasks(state["Resource"], known(value))
        if result.timed_out:
            self.seconds += state["TimeoutSeconds"]
            visit.tail = (add("ActivityTimedOut", (started,), error=TIMEOUT),)
            return self.settle(visit, TIMEOUT, None)
        if result.output is MISSING:
            visit.tail = (add("ActivityFailed", (started,), error=result.error, cause=result.cause),)
            return self.settle(visit, result.error, result.cause)
        visit.tail = (add("ActivitySucceeded", (started,), output=result.output),)
        return self.complete(visit, result.output, visit.tail)

    def parallel(self, visit: Visit) -> Left | None:
        value = self.effective(visit, self.scope(visit))
        self.limited(visit, value, visit.tail)
        started = self.history.add("ParallelStateStarted", visit.tail)
        visit.tail = (started,)
        runs = []
        for branch in visit.state["Branches"]:
            runs.append(self.child(branch, value, visit.variables, visit.item, (started,)))
        broken = [run for run in runs if run.broke]
        if broken:
            first = broken[self.pick(len(broken)) if len(broken) > 1 else 0]
            return self.child_failed(visit, first, [run for run in runs if run is not first])
        last = tuple(event for run in runs for event in run.tail)
        return self.children_done(visit, [run.output for run in runs], last)

    def children_done(self, visit: Visit, outputs: list[Json], last: Events) -> Left:
        """Succeeded and Exited both follow from the last event of the child that ended last."""
        succeeded = self.history.add(f"{visit.state['Type']}StateSucceeded", last)
        visit.tail, visit.past = (succeeded,), True
        try:
            return self.complete(visit, outputs, last)
        except Failure:
            visit.tail = (succeeded, *last)
            raise

    def child(self, block: dict[str, Any], value: Json, variables: Variables, item: Json, after: Events) -> Child:
        """A branch or iteration, in a scope of its own."""
        start = len(self.history.events)
        try:
            output, tail = self.block(block, value, dict(variables), item, after)
        except Broke as broke:
            return Child(start, len(self.history.events), MISSING, broke.at, broke)
        return Child(start, len(self.history.events), output, tail, None)

    def child_failed(self, visit: Visit, child: Child, others: list[Child]) -> Left | None:
        """The first failure ends the state; the others may be anywhere by then."""
        broke = child.broke
        assert broke is not None
        for other in others:
            self.history.excuse(other.start, other.end)
        if broke.fatal:
            raise broke
        visit.tail, visit.past = broke.at, False
        return self.settle(visit, broke.error, broke.cause, broken=True)

    def map(self, visit: Visit) -> Left | None:
        scope = self.scope(visit)
        value = self.effective(visit, scope)
        items, most = self.both(lambda: self.items(visit, value, scope), lambda: self.concurrency(visit, value, scope))
        started = self.history.add("MapStateStarted", visit.tail, length=len(items))
        visit.tail = (started,)
        runs: list[Child] = []
        for index, item in enumerate(items):
            running = [run for run in runs if run.broke]
            if len(running) >= most:
                break  # these would never make room
            ended = tuple(event for run in runs if not run.broke for event in run.tail)
            after = (started,) if index < most else runs[-1].tail if most == 1 else ended
            runs.append(self.iteration(visit, index, item, value, after, started))
        broken = [run for run in runs if run.broke]
        if broken:
            first = broken[self.pick(len(broken)) if len(broken) > 1 else 0]
            others = [run for run in runs if run is not first]
            return self.child_failed(visit, first, others if most > 1 else [])
        last = tuple(run.succeeded for run in (runs if most > 1 else runs[-1:]) if run.succeeded) or (started,)
        return self.children_done(visit, [run.output for run in runs], last)

    def iteration(self, visit: Visit, index: int, item: Json, value: Json, after: Events, started: Event) -> Child:
        state = visit.state
        shown = {"Index": index, "Value": item}
        selector = state.get("ItemSelector", state.get("Parameters", MISSING))
        start, given = len(self.history.events), item
        if selector is not MISSING:
            scope = self.scope(visit, item=shown)
            try:
                given = jsonata(selector, "ItemSelector", scope) if visit.jsonata else template(selector, value, scope)
            except Failure as failure:
                return self.not_selected(visit, failure, start, (*after, started))
        self.limited(visit, given, after)
        details = {"name": visit.name, "index": index}
        begun = self.history.add("MapIterationStarted", after, **details)
        processor = state["ItemProcessor" if "ItemProcessor" in state else "Iterator"]
        run = self.child(processor, given, visit.variables, shown, (begun,))
        if run.broke is None:
            succeeded = self.history.add("MapIterationSucceeded", run.tail, **details)
        elif not run.broke.fatal:
            self.history.add("MapIterationFailed", run.tail, **details)
        return run._replace(start=start, end=len(self.history.events), succeeded=None if run.broke else succeeded)

    def not_selected(self, visit: Visit, failure: Failure, start: int, after: Events) -> Child:
        """ItemSelector failed for an item: the state fails, not an iteration."""
        cause = self.explained(visit, failure)
        tail = (visit.entered, *after)
        if failure.error == QUERY:
            event = self.evaluation_failed(visit, failure, cause)
            event.after = (*event.after, *after)
            tail = (event,)
        return Child(start, len(self.history.events), MISSING, tail, Broke(failure.error, cause, tail))

    def items(self, visit: Visit, value: Json, scope: Scope) -> list[Json]:
        state = visit.state
        if visit.jsonata and "Items" in state:
            found = typed(state["Items"], "Items", "array", scope)
        elif visit.jsonata:
            if not isinstance(value, list):
                raise Failure(QUERY, f"Map state input must be an array but was: {text(value)}")
            found = value
        else:
            path = state.get("ItemsPath", "$")
            found = selected(path, value, scope)
            if not isinstance(found, list):
                raise Failure(RUNTIME, f'Reference path "{path.replace("$$", "$", 1)}" must point to array.', bare=True)
        return list(found)

    def concurrency(self, visit: Visit, value: Json, scope: Scope) -> int:
        """Iterations at a time."""
        state = visit.state
        if "MaxConcurrencyPath" in state:
            path = state["MaxConcurrencyPath"]
            found = selected(path, value, scope)
            if isinstance(found, bool) or not isinstance(found, int):
                if isinstance(found, str) and found.lstrip("+-").isdigit():
                    raise Undetermined
                shown = found if isinstance(found, str) else text(found)
                raise Failure(RUNTIME, f'The MaxConcurrencyPath field refers to value "{shown}" which is not a valid integer: {path}')
        else:
            found = state.get("MaxConcurrency", 0)
            if is_expression(found):
                found = int(typed(found, "MaxConcurrency", "number", scope))
        if found < 0:
            raise Failure(RUNTIME, ANY)
        return min(found or CONCURRENCY, CONCURRENCY)


class Child(NamedTuple):
    """A branch or iteration that was run; its events are those from `start` to `end`."""

    start: int
    end: int
    output: Json
    tail: Events
    broke: Broke | None
    succeeded: Event | None = None


_START: Final = Event("start")  # id 0, which is before the first event


_WORK: Final[dict[str, Callable[[Run, Visit], Left | None]]] = {
    "Pass": Run.pass_,
    "Succeed": Run.succeed,
    "Fail": Run.fail,
    "Wait": Run.wait,
    "Choice": Run.choose,
    "Task": Run.task,
    "Parallel": Run.parallel,
    "Map": Run.map,
}


def merged(path: str | None, raw: Json, result: Json) -> Json:
    """ResultPath: null keeps the raw input."""
    return raw if path is None else paths.put(paths.parse(path), raw, result)


def matches(names: list[str], error: str | None) -> bool:
    """Whether ErrorEquals covers an error."""
    if "States.ALL" in names or error in names:
        return True
    if "States.TaskFailed" in names:
        if error in (None, "States.DataLimitExceeded"):
            raise Undetermined
        return error != TIMEOUT
    if "States.HeartbeatTimeout" in names and error == TIMEOUT:
        raise Undetermined  # which of the two names a missed heartbeat has is recorded and documented differently
    return False
