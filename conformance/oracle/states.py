"""What each type of state does, in the reference interpreter."""

from collections.abc import Callable
from typing import Any, Final

from stepwell.conformance.oracle import choice
from stepwell.conformance.oracle.execution import Execution
from stepwell.conformance.oracle.expressions import (
    Scope,
    dynamic,
    is_expression,
    jsonata,
    selected,
    template,
    typed,
)
from stepwell.conformance.oracle.history import Event
from stepwell.conformance.oracle.model import (
    QUERY,
    RUNTIME,
    TIMEOUT,
    BlockError,
    Child,
    Events,
    StateExit,
    Variables,
    Visit,
)
from stepwell.conformance.oracle.timestamps import instant
from stepwell.conformance.oracle.values import (
    ANY,
    MISSING,
    FieldError,
    Json,
    UndeterminedError,
    known,
    text,
)

CONCURRENCY: Final = 40  # of an inline Map
_MAX_STATES: Final = 3_000  # visits: more than generated machines need


# --- states in a row ------------------------------------------------------------------------------
def run_block(
    execution: Execution,
    block: dict[str, Any],
    value: Json,
    variables: Variables,
    item: Json,
    tail: Events,
) -> tuple[Json, Events]:
    """Run a States block to its end: (output, its last event). Raises BlockError."""
    following: str | None = block["StartAt"]
    while following is not None:
        execution.steps += 1
        if execution.steps > _MAX_STATES:
            raise UndeterminedError
        state = block["States"][following]
        left = visit_state(execution, following, state, value, variables, item, tail)
        value, variables, following, tail = left
    return value, tail


def visit_state(
    execution: Execution,
    name: str,
    state: dict[str, Any],
    value: Json,
    variables: Variables,
    item: Json,
    tail: Events,
) -> StateExit:
    """Enter a state, run it with its retries, and leave it. Raises BlockError."""
    language = state.get("QueryLanguage", execution.definition.get("QueryLanguage", "JSONPath"))
    entered = execution.history.add(f"{state['Type']}StateEntered", tail, name=name, input=value)
    visit = Visit(
        name, state, language == "JSONata", value, variables, item, tail, entered, (entered,)
    )
    work = WORK[state["Type"]]
    left = None
    while left is None:
        try:
            left = work(execution, visit)
        except FieldError as failure:
            left = execution.failed(visit, failure)
    return left


# --- what each type of state does -----------------------------------------------------------------
def pass_(execution: Execution, visit: Visit) -> StateExit:
    scope = execution.scope(visit)
    constant = "Result" in visit.state and not visit.jsonata
    result = visit.state["Result"] if constant else execution.effective(visit, scope)
    output, assigned = execution.shaped(visit, result, scope)
    return execution.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)


def succeed(execution: Execution, visit: Visit) -> StateExit:
    scope = execution.scope(visit)
    output, assigned = execution.shaped(visit, execution.effective(visit, scope), scope)
    return execution.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)


def fail(execution: Execution, visit: Visit) -> StateExit | None:
    scope, texts = execution.scope(visit), []
    for name in ("Error", "Cause"):
        if name + "Path" in visit.state:
            value = dynamic(visit.state[name + "Path"], name + "Path", visit.value, scope)
            if not isinstance(value, str):
                raise UndeterminedError
        elif name not in visit.state:
            value = None
        else:
            value = (
                typed(visit.state[name], name, "string", scope)
                if visit.jsonata
                else visit.state[name]
            )
        texts.append(value)
    return execution.retry_or_catch(visit, texts[0], texts[1])


def wait(execution: Execution, visit: Visit) -> StateExit:
    scope = execution.scope(visit)
    value = execution.effective(visit, scope)
    execution.seconds += delay(execution, visit, value, scope)
    output, assigned = execution.shaped(visit, value, scope)
    return execution.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)


def delay(execution: Execution, visit: Visit, value: Json, scope: Scope) -> float:
    """Seconds of a Wait state; 0 for timestamps, which have passed in generated machines."""
    state = visit.state
    if "Seconds" in state:
        seconds = (
            typed(state["Seconds"], "Seconds", "number", scope)
            if visit.jsonata
            else state["Seconds"]
        )
        if seconds < 0:
            raise FieldError(QUERY, ANY, "Seconds")
        return float(int(seconds))
    if "Timestamp" in state:
        moment = (
            typed(state["Timestamp"], "Timestamp", "string", scope)
            if visit.jsonata
            else state["Timestamp"]
        )
        if instant(moment) is None:
            shown = (
                "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time "
                "format string: "
            )
            raise FieldError(QUERY, shown + moment, "Timestamp")
        return 0.0
    name = "SecondsPath" if "SecondsPath" in state else "TimestampPath"
    path = state[name]
    moment = scope.read(value)(path)
    shown = "" if moment is MISSING else moment if isinstance(moment, str) else text(moment)
    if name == "TimestampPath":
        if instant(moment) is None:
            what = "does not reference a valid ISO-8601 extended offset date-time format string"
            raise FieldError(
                RUNTIME,
                f"The TimestampPath parameter {what}: {path} == {shown}"
                if moment is not MISSING
                else ANY,
            )
        return 0.0
    if moment is MISSING:
        raise FieldError(
            RUNTIME, f"The SecondsPath parameter does not reference an input value: {path}"
        )
    if isinstance(moment, str):
        raise UndeterminedError
    if isinstance(moment, bool) or not isinstance(moment, int):
        raise FieldError(
            RUNTIME,
            f"The SecondsPath parameter cannot be parsed as a long value: {path} == {shown}",
        )
    if moment < 0:
        raise FieldError(
            RUNTIME, f"The SecondsPath parameter references a negative value: {path} == {shown}"
        )
    return float(moment)


def choose(execution: Execution, visit: Visit) -> StateExit:
    state, scope = visit.state, execution.scope(visit)
    value = execution.effective(visit, scope)
    read = choice.reader(value, lambda root: scope.root(root, value))
    for rule in state["Choices"]:
        holds = (
            typed(rule["Condition"], "Condition", "boolean", scope)
            if visit.jsonata
            else choice.holds(rule, read)
        )
        if holds:
            return chosen(execution, visit, rule, rule["Next"], value, scope)
    if "Default" not in state:
        raise FieldError(
            RUNTIME,
            "Failed to transition out of the state. The state does not point to a next state.",
        )
    return chosen(execution, visit, state, state["Default"], value, scope)


def chosen(
    execution: Execution,
    visit: Visit,
    rule: dict[str, Any],
    following: str,
    value: Json,
    scope: Scope,
) -> StateExit:
    def output() -> Json:
        if visit.jsonata:
            return jsonata(rule["Output"], "Output", scope) if "Output" in rule else value
        return selected(visit.state.get("OutputPath", "$"), value, scope)

    try:
        result, assigned = execution.both(
            output, lambda: execution.assigned(rule.get("Assign"), "Assign", visit, value, scope)
        )
    except FieldError as failure:
        if rule is not visit.state and failure.error == QUERY:
            failure = FieldError(QUERY, ANY, ANY)  # the location in a rule is not documented
        raise failure from None
    return execution.leave(visit, result, following, assigned, visit.tail)


def task(execution: Execution, visit: Visit) -> StateExit | None:
    state, scope = visit.state, execution.scope(visit)
    value = execution.effective(visit, scope)
    execution.limited(visit, value, visit.tail)
    add, known_limits = execution.history.add, {}
    for name, shown in (
        ("TimeoutSeconds", "timeoutInSeconds"),
        ("HeartbeatSeconds", "heartbeatInSeconds"),
    ):
        if name in state:
            known_limits[shown] = state[name]
        elif f"{name}Path" in state:
            known_limits[shown] = seconds = selected(state[f"{name}Path"], value, scope)
            if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds <= 0:
                raise UndeterminedError
    scheduled = add("ActivityScheduled", visit.tail, input=value, **known_limits)
    started = add("ActivityStarted", (scheduled,))
    result = execution.tasks(state["Resource"], known(value))
    if result.timed_out:
        execution.seconds += state["TimeoutSeconds"]
        visit.tail = (add("ActivityTimedOut", (started,), error=TIMEOUT),)
        return execution.retry_or_catch(visit, TIMEOUT, None)
    if result.output is MISSING:
        visit.tail = (add("ActivityFailed", (started,), error=result.error, cause=result.cause),)
        return execution.retry_or_catch(visit, result.error, result.cause)
    visit.tail = (add("ActivitySucceeded", (started,), output=result.output),)
    return execution.complete(visit, result.output, visit.tail)


def parallel(execution: Execution, visit: Visit) -> StateExit | None:
    value = execution.effective(visit, execution.scope(visit))
    execution.limited(visit, value, visit.tail)
    started = execution.history.add("ParallelStateStarted", visit.tail)
    visit.tail = (started,)
    children = []
    for branch in visit.state["Branches"]:
        children.append(
            run_child(execution, branch, value, visit.variables, visit.item, (started,))
        )
    failed = [child for child in children if child.failure]
    if failed:
        first = failed[execution.pick(len(failed)) if len(failed) > 1 else 0]
        return child_failed(
            execution, visit, first, [child for child in children if child is not first]
        )
    last = tuple(event for child in children for event in child.tail)
    return children_done(execution, visit, [child.output for child in children], last)


def children_done(
    execution: Execution, visit: Visit, outputs: list[Json], last: Events
) -> StateExit:
    """All children succeeded: Succeeded and Exited both follow from the last event of the last
    child.
    """
    succeeded = execution.history.add(f"{visit.state['Type']}StateSucceeded", last)
    visit.tail, visit.children_done = (succeeded,), True
    try:
        return execution.complete(visit, outputs, last)
    except FieldError:
        visit.tail = (succeeded, *last)
        raise


def run_child(
    execution: Execution,
    block: dict[str, Any],
    value: Json,
    variables: Variables,
    item: Json,
    after: Events,
) -> Child:
    """Run a branch or iteration in its own scope of variables."""
    start = len(execution.history.events)
    try:
        output, tail = run_block(execution, block, value, dict(variables), item, after)
    except BlockError as failure:
        return Child(start, len(execution.history.events), MISSING, failure.at, failure)
    return Child(start, len(execution.history.events), output, tail, None)


def child_failed(
    execution: Execution, visit: Visit, child: Child, others: list[Child]
) -> StateExit | None:
    """The first failure ends the state; the events of the other children become optional."""
    failure = child.failure
    assert failure is not None
    for other in others:
        execution.history.make_optional(other.start, other.end)
    if failure.fatal:
        raise failure
    visit.tail, visit.children_done = failure.at, False
    return execution.retry_or_catch(visit, failure.error, failure.cause, broken=True)


def map_(execution: Execution, visit: Visit) -> StateExit | None:
    scope = execution.scope(visit)
    value = execution.effective(visit, scope)
    items, most = execution.both(
        lambda: items_of(execution, visit, value, scope),
        lambda: concurrency(execution, visit, value, scope),
    )
    started = execution.history.add("MapStateStarted", visit.tail, length=len(items))
    visit.tail = (started,)
    children: list[Child] = []
    for index, item in enumerate(items):
        running = [child for child in children if child.failure]
        if len(running) >= most:
            break  # all slots are taken by children that failed
        ended = tuple(event for child in children if not child.failure for event in child.tail)
        after = (started,) if index < most else children[-1].tail if most == 1 else ended
        children.append(iteration(execution, visit, index, item, value, after, started))
    failed = [child for child in children if child.failure]
    if failed:
        first = failed[execution.pick(len(failed)) if len(failed) > 1 else 0]
        others = [child for child in children if child is not first]
        return child_failed(execution, visit, first, others if most > 1 else [])
    last = tuple(
        child.succeeded for child in (children if most > 1 else children[-1:]) if child.succeeded
    ) or (started,)
    return children_done(execution, visit, [child.output for child in children], last)


def iteration(
    execution: Execution,
    visit: Visit,
    index: int,
    item: Json,
    value: Json,
    after: Events,
    started: Event,
) -> Child:
    state = visit.state
    context_item = {"Index": index, "Value": item}
    selector = state.get("ItemSelector", state.get("Parameters", MISSING))
    start, child_input = len(execution.history.events), item
    if selector is not MISSING:
        scope = execution.scope(visit, item=context_item)
        try:
            child_input = (
                jsonata(selector, "ItemSelector", scope)
                if visit.jsonata
                else template(selector, value, scope)
            )
        except FieldError as failure:
            return not_selected(execution, visit, failure, start, (*after, started))
    execution.limited(visit, child_input, after)
    details = {"name": visit.name, "index": index}
    iteration_started = execution.history.add("MapIterationStarted", after, **details)
    processor = state["ItemProcessor" if "ItemProcessor" in state else "Iterator"]
    child = run_child(
        execution, processor, child_input, visit.variables, context_item, (iteration_started,)
    )
    if child.failure is None:
        succeeded = execution.history.add("MapIterationSucceeded", child.tail, **details)
    elif not child.failure.fatal:
        execution.history.add("MapIterationFailed", child.tail, **details)
    return child._replace(
        start=start,
        end=len(execution.history.events),
        succeeded=None if child.failure else succeeded,
    )


def not_selected(
    execution: Execution, visit: Visit, failure: FieldError, start: int, after: Events
) -> Child:
    """ItemSelector failed for an item: the state fails, not an iteration."""
    cause = execution.cause(visit, failure)
    tail = (visit.entered, *after)
    if failure.error == QUERY:
        event = execution.evaluation_failed(visit, failure, cause)
        event.after = (*event.after, *after)
        tail = (event,)
    return Child(
        start, len(execution.history.events), MISSING, tail, BlockError(failure.error, cause, tail)
    )


def items_of(execution: Execution, visit: Visit, value: Json, scope: Scope) -> list[Json]:
    state = visit.state
    if visit.jsonata and "Items" in state:
        items = typed(state["Items"], "Items", "array", scope)
    elif visit.jsonata:
        if not isinstance(value, list):
            raise FieldError(QUERY, f"Map state input must be an array but was: {text(value)}")
        items = value
    else:
        path = state.get("ItemsPath", "$")
        items = selected(path, value, scope)
        if not isinstance(items, list):
            raise FieldError(
                RUNTIME,
                f'Reference path "{path.replace("$$", "$", 1)}" must point to array.',
                bare=True,
            )
    return list(items)


def concurrency(execution: Execution, visit: Visit, value: Json, scope: Scope) -> int:
    """The number of concurrent iterations."""
    state = visit.state
    if "MaxConcurrencyPath" in state:
        path = state["MaxConcurrencyPath"]
        limit = selected(path, value, scope)
        if isinstance(limit, bool) or not isinstance(limit, int):
            if isinstance(limit, str) and limit.lstrip("+-").isdigit():
                raise UndeterminedError
            shown = limit if isinstance(limit, str) else text(limit)
            raise FieldError(
                RUNTIME,
                (
                    f'The MaxConcurrencyPath field refers to value "{shown}" which is not a '
                    f"valid integer: {path}"
                ),
            )
    else:
        limit = state.get("MaxConcurrency", 0)
        if is_expression(limit):
            limit = int(typed(limit, "MaxConcurrency", "number", scope))
    if limit < 0:
        raise FieldError(RUNTIME, ANY)
    return min(limit or CONCURRENCY, CONCURRENCY)


WORK: Final[dict[str, Callable[[Execution, Visit], StateExit | None]]] = {
    "Pass": pass_,
    "Succeed": succeed,
    "Fail": fail,
    "Wait": wait,
    "Choice": choose,
    "Task": task,
    "Parallel": parallel,
    "Map": map_,
}
