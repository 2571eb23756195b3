"""One execution in the reference interpreter: its history, the data flow of a state, retries and
catchers.

JSONPath:  raw input -> InputPath -> Parameters -> work -> ResultSelector -> ResultPath (into the
           raw input) -> OutputPath
JSONata:   raw input -> Arguments -> work -> Output
Assign:    in both, evaluated over the variables as they were when the state was entered
"""

from collections.abc import Callable
from typing import Any, Final

from stepwell.conformance.oracle import paths
from stepwell.conformance.oracle.expressions import Scope, jsonata, selected, template
from stepwell.conformance.oracle.history import Event, Recorder
from stepwell.conformance.oracle.model import (
    QUERY,
    RUNTIME,
    TIMEOUT,
    BlockError,
    Events,
    StateExit,
    Tasks,
    Variables,
    Visit,
)
from stepwell.conformance.oracle.values import (
    ANY,
    MISSING,
    FieldError,
    Json,
    UndeterminedError,
    size,
)

PAYLOAD_BYTES: Final = 262_144
TOO_LARGE: Final = (
    "The state/task '{}' returned a result with a size exceeding the maximum number of bytes "
    "service limit."
)


class Execution:
    """One execution. `picks` says which of several failures comes first, for each time that this
    matters; `taken` collects (pick, number of failures).
    """

    def __init__(
        self, definition: dict[str, Any], value: Json, tasks: Tasks, express: bool, picks: list[int]
    ) -> None:
        self.definition, self.input, self.tasks = definition, value, tasks
        self.express, self.picks = express, picks
        self.history = Recorder()
        self.taken: list[tuple[int, int]] = []
        self.seconds = 0.0
        self.expression_errors = 0
        self.steps = 0

    def pick(self, count: int) -> int:
        place = len(self.taken)
        taken = self.picks[place] if place < len(self.picks) else 0
        self.taken.append((taken, count))
        return taken

    def scope(self, visit: Visit, **more: Json) -> Scope:
        execution = {"Id": ANY, "Input": self.input, "Name": ANY, "RoleArn": ANY, "StartTime": ANY}
        if not self.express:
            execution["RedriveCount"] = 0
        state: dict[str, Json] = {"Name": visit.name, "EnteredTime": ANY}
        if visit.state["Type"] in ("Task", "Parallel", "Map"):
            state["RetryCount"] = sum(visit.retries)
        context: dict[str, Json] = {
            "Execution": execution,
            "StateMachine": {"Id": ANY, "Name": ANY},
            "State": state,
        }
        item = more.pop("item", visit.item)
        if item is not MISSING:
            context["Map"] = {"Item": item}
        return Scope(visit.value, visit.variables, context, **more)

    def leave(
        self, visit: Visit, output: Json, following: str | None, assigned: Variables, tail: Events
    ) -> StateExit:
        """Exit a state. An output over the limit ends the execution: no catcher applies."""
        self.limited(visit, output, tail)
        details = {"assignedVariables": assigned} if assigned else {}
        exited = self.history.add(
            f"{visit.state['Type']}StateExited", tail, name=visit.name, output=output, **details
        )
        return StateExit(output, {**visit.variables, **assigned}, following, (exited,))

    def limited(self, visit: Visit, value: Json, tail: Events) -> None:
        if size(value) > PAYLOAD_BYTES:
            raise BlockError(
                "States.DataLimitExceeded", TOO_LARGE.format(visit.name), tail, fatal=True
            )

    # --- the data flow ----------------------------------------------------------------------------

    def effective(self, visit: Visit, scope: Scope) -> Json:
        """The input after InputPath and Parameters, or Arguments."""
        state = visit.state
        if visit.jsonata:
            return (
                jsonata(state["Arguments"], "Arguments", scope)
                if "Arguments" in state
                else visit.value
            )
        value = selected(state.get("InputPath", "$"), visit.value, scope)
        return (
            template(state["Parameters"], value, scope)
            if "Parameters" in state and state["Type"] != "Map"
            else value
        )

    def shaped(self, visit: Visit, result: Json, scope: Scope) -> tuple[Json, Variables]:
        """(output, assigned variables). If both fail, either error may be reported."""
        state = visit.state
        output, assigned = self.both(
            lambda: self.output(visit, result, scope),
            lambda: self.assigned(state.get("Assign"), "Assign", visit, result, scope),
        )
        return output, assigned

    def both(self, *parts: Callable[[], Json]) -> Any:
        """The values of parts that may be evaluated in any order."""
        values, failures = [], []
        for part in parts:
            try:
                values.append(part())
            except FieldError as failure:
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

    def assigned(
        self, assign: Json, where: str, visit: Visit, value: Json, scope: Scope
    ) -> Variables:
        if not assign:
            return {}
        values = jsonata(assign, where, scope) if visit.jsonata else template(assign, value, scope)
        if sum(map(size, values.values())) > PAYLOAD_BYTES:
            raise UndeterminedError  # its error is not documented
        return dict(values)

    def complete(self, visit: Visit, result: Json, tail: Events) -> StateExit:
        """Leave a state with the result of its work."""
        output, assigned = self.shaped(visit, result, self.scope(visit, result=result))
        return self.leave(visit, output, visit.state.get("Next"), assigned, tail)

    # --- failures ---------------------------------------------------------------------------------

    def failed(self, visit: Visit, failure: FieldError) -> StateExit | None:
        """Handle the failure of an expression or field."""
        cause = self.cause(visit, failure)
        if failure.error == QUERY:
            visit.tail = (self.evaluation_failed(visit, failure, cause),)
        return self.retry_or_catch(visit, failure.error, cause)

    def cause(self, visit: Visit, failure: FieldError) -> str | None:
        """The full cause of a failure, which is counted."""
        self.expression_errors += 1
        if failure.cause is None or failure.bare or failure.cause == ANY:
            return failure.cause
        cause = (
            f"An error occurred while executing the state '{visit.name}' (entered at the event "
            f"id #{ANY}). {failure.cause}"
        )
        return cause if len(cause) < 30_000 else ANY

    def evaluation_failed(self, visit: Visit, failure: FieldError, cause: str | None) -> Event:
        """EvaluationFailed follows from Entered or, in older recordings, from its predecessor."""
        location = {} if failure.location is None else {"location": failure.location}
        after = (*visit.tail, *(visit.before or ()))
        event = self.history.add(
            "EvaluationFailed",
            after,
            error=failure.error,
            cause=cause,
            state=visit.name,
            **location,
        )
        if not visit.before:
            event.after = (*event.after, _START)
        return event

    def retry_or_catch(
        self, visit: Visit, error: str | None, cause: str | None, broken: bool = False
    ) -> StateExit | None:
        """Retry (None), catch, or raise BlockError. `broken`: a branch or iteration failed."""
        if error == RUNTIME:
            raise BlockError(error, cause, visit.tail)
        if self.retried(visit, error):
            return None
        if visit.state["Type"] in ("Parallel", "Map"):
            # recorded where a child or Items failed; for other failures there is no recording
            recorded = broken or (error == QUERY and not visit.children_done)
            failed = self.history.add(f"{visit.state['Type']}StateFailed", visit.tail)
            failed.optional = not recorded
            visit.tail = (failed,) if recorded else (failed, *visit.tail)
        for place, catcher in enumerate(visit.state.get("Catch", ())):
            if matches(catcher["ErrorEquals"], error):
                return self.caught(visit, place, catcher, error, cause)
        raise BlockError(error, cause, visit.tail)

    def retried(self, visit: Visit, error: str | None) -> bool:
        retriers = visit.state.get("Retry", ())
        used = visit.retries = visit.retries or [0] * len(retriers)
        for place, retrier in enumerate(retriers):
            if matches(retrier["ErrorEquals"], error):
                if used[place] >= retrier.get("MaxAttempts", 3):
                    return False  # the first retrier that matches decides
                delay = (
                    retrier.get("IntervalSeconds", 1)
                    * retrier.get("BackoffRate", 2.0) ** used[place]
                )
                self.seconds += min(delay, retrier.get("MaxDelaySeconds", delay))
                used[place] += 1
                visit.children_done = False
                return True
        return False

    def caught(
        self,
        visit: Visit,
        place: int,
        catcher: dict[str, Any],
        error: str | None,
        cause: str | None,
    ) -> StateExit:
        shown_cause = "" if cause is None and error == TIMEOUT else cause
        error_output: Json = {"Error": error, "Cause": shown_cause}
        scope, where = self.scope(visit, error_output=error_output), f"Catch[{place}]"

        def output() -> Json:
            if visit.jsonata:
                return (
                    jsonata(catcher["Output"], f"{where}/Output", scope)
                    if "Output" in catcher
                    else error_output
                )
            return merged(catcher.get("ResultPath", "$"), visit.value, error_output)

        try:
            value, assigned = self.both(
                output,
                lambda: self.assigned(
                    catcher.get("Assign"), f"{where}/Assign", visit, error_output, scope
                ),
            )
        except FieldError as failure:
            cause = self.cause(visit, failure)
            if failure.error == QUERY:
                visit.tail = (self.evaluation_failed(visit, failure, cause),)
            raise BlockError(failure.error, cause, visit.tail) from None
        return self.leave(visit, value, catcher["Next"], assigned, visit.tail)


_START: Final = Event("start")  # id 0, which is before the first event


def merged(path: str | None, raw: Json, result: Json) -> Json:
    """ResultPath: null keeps the raw input."""
    return raw if path is None else paths.put(paths.parse(path), raw, result)


def matches(names: list[str], error: str | None) -> bool:
    """Whether ErrorEquals matches an error."""
    if "States.ALL" in names or error in names:
        return True
    if "States.TaskFailed" in names:
        if error in (None, "States.DataLimitExceeded"):
            raise UndeterminedError
        return error != TIMEOUT
    if "States.HeartbeatTimeout" in names and error == TIMEOUT:
        # a missed heartbeat is recorded under one name and documented under the other
        raise UndeterminedError
    return False
