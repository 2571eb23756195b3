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
    Broke,
    Child,
    Events,
    Left,
    Variables,
    Visit,
)
from stepwell.conformance.oracle.timestamps import instant
from stepwell.conformance.oracle.values import (
    ANY,
    MISSING,
    Failure,
    Json,
    Undetermined,
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
    """Run a States block to its end: (output, its last event). Raises Broke."""
    following: str | None = block["StartAt"]
    while following is not None:
        execution.steps += 1
        if execution.steps > _MAX_STATES:
            raise Undetermined
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
) -> Left:
    """Enter a state, run it with its retries, and leave it. Raises Broke."""
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
        except Failure as failure:
            left = execution.failed(visit, failure)
    return left


# --- what each type of state does -----------------------------------------------------------------
def pass_(execution: Execution, visit: Visit) -> Left:
    scope = execution.scope(visit)
    constant = "Result" in visit.state and not visit.jsonata
    result = visit.state["Result"] if constant else execution.effective(visit, scope)
    output, assigned = execution.shaped(visit, result, scope)
    return execution.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)


def succeed(execution: Execution, visit: Visit) -> Left:
    scope = execution.scope(visit)
    output, assigned = execution.shaped(visit, execution.effective(visit, scope), scope)
    return execution.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)


def fail(execution: Execution, visit: Visit) -> Left | None:
    scope, found = execution.scope(visit), []
    for name in ("Error", "Cause"):
        if name + "Path" in visit.state:
            value = dynamic(visit.state[name + "Path"], name + "Path", visit.value, scope)
            if not isinstance(value, str):
                raise Undetermined
        elif name not in visit.state:
            value = None
        else:
            value = (
                typed(visit.state[name], name, "string", scope)
                if visit.jsonata
                else visit.state[name]
            )
        found.append(value)
    return execution.settle(visit, found[0], found[1])


def wait(execution: Execution, visit: Visit) -> Left:
    scope = execution.scope(visit)
    value = execution.effective(visit, scope)
    execution.seconds += delay(execution, visit, value, scope)
    output, assigned = execution.shaped(visit, value, scope)
    return execution.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)


def delay(execution: Execution, visit: Visit, value: Json, scope: Scope) -> float:
    """Seconds of a Wait state; timestamps of generated machines lie in the past."""
    state = visit.state
    if "Seconds" in state:
        seconds = (
            typed(state["Seconds"], "Seconds", "number", scope)
            if visit.jsonata
            else state["Seconds"]
        )
        if seconds < 0:
            raise Failure(QUERY, ANY, "Seconds")
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
            raise Failure(QUERY, shown + moment, "Timestamp")
        return 0.0
    name = "SecondsPath" if "SecondsPath" in state else "TimestampPath"
    path = state[name]
    found = scope.read(value)(path)
    shown = "" if found is MISSING else found if isinstance(found, str) else text(found)
    if name == "TimestampPath":
        if instant(found) is None:
            what = "does not reference a valid ISO-8601 extended offset date-time format string"
            raise Failure(
                RUNTIME,
                f"The TimestampPath parameter {what}: {path} == {shown}"
                if found is not MISSING
                else ANY,
            )
        return 0.0
    if found is MISSING:
        raise Failure(
            RUNTIME, f"The SecondsPath parameter does not reference an input value: {path}"
        )
    if isinstance(found, str):
        raise Undetermined
    if isinstance(found, bool) or not isinstance(found, int):
        raise Failure(
            RUNTIME,
            f"The SecondsPath parameter cannot be parsed as a long value: {path} == {shown}",
        )
    if found < 0:
        raise Failure(
            RUNTIME, f"The SecondsPath parameter references a negative value: {path} == {shown}"
        )
    return float(found)


def choose(execution: Execution, visit: Visit) -> Left:
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
        raise Failure(
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
) -> Left:
    def output() -> Json:
        if visit.jsonata:
            return jsonata(rule["Output"], "Output", scope) if "Output" in rule else value
        return selected(visit.state.get("OutputPath", "$"), value, scope)

    try:
        result, assigned = execution.both(
            output, lambda: execution.assigned(rule.get("Assign"), "Assign", visit, value, scope)
        )
    except Failure as failure:
        if (
            rule is not visit.state and failure.error == QUERY
        ):  # how the fields of a rule are named is not documented
            failure = Failure(QUERY, ANY, ANY)
        raise failure from None
    return execution.leave(visit, result, following, assigned, visit.tail)


def task(execution: Execution, visit: Visit) -> Left | None:
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
            known_limits[shown] = found = selected(state[f"{name}Path"], value, scope)
            if isinstance(found, bool) or not isinstance(found, int) or found <= 0:
                raise Undetermined
    scheduled = add("ActivityScheduled", visit.tail, input=value, **known_limits)
    started = add("ActivityStarted", (scheduled,))
    result = execution.tasks(state["Resource"], known(value))
    if result.timed_out:
        execution.seconds += state["TimeoutSeconds"]
        visit.tail = (add("ActivityTimedOut", (started,), error=TIMEOUT),)
        return execution.settle(visit, TIMEOUT, None)
    if result.output is MISSING:
        visit.tail = (add("ActivityFailed", (started,), error=result.error, cause=result.cause),)
        return execution.settle(visit, result.error, result.cause)
    visit.tail = (add("ActivitySucceeded", (started,), output=result.output),)
    return execution.complete(visit, result.output, visit.tail)


def parallel(execution: Execution, visit: Visit) -> Left | None:
    value = execution.effective(visit, execution.scope(visit))
    execution.limited(visit, value, visit.tail)
    started = execution.history.add("ParallelStateStarted", visit.tail)
    visit.tail = (started,)
    children = []
    for branch in visit.state["Branches"]:
        children.append(
            run_child(execution, branch, value, visit.variables, visit.item, (started,))
        )
    broken = [child for child in children if child.broke]
    if broken:
        first = broken[execution.pick(len(broken)) if len(broken) > 1 else 0]
        return child_failed(
            execution, visit, first, [child for child in children if child is not first]
        )
    last = tuple(event for child in children for event in child.tail)
    return children_done(execution, visit, [child.output for child in children], last)


def children_done(execution: Execution, visit: Visit, outputs: list[Json], last: Events) -> Left:
    """Succeeded and Exited both follow from the last event of the child that ended last."""
    succeeded = execution.history.add(f"{visit.state['Type']}StateSucceeded", last)
    visit.tail, visit.past = (succeeded,), True
    try:
        return execution.complete(visit, outputs, last)
    except Failure:
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
    """A branch or iteration, in a scope of its own."""
    start = len(execution.history.events)
    try:
        output, tail = run_block(execution, block, value, dict(variables), item, after)
    except Broke as broke:
        return Child(start, len(execution.history.events), MISSING, broke.at, broke)
    return Child(start, len(execution.history.events), output, tail, None)


def child_failed(
    execution: Execution, visit: Visit, child: Child, others: list[Child]
) -> Left | None:
    """The first failure ends the state; the others may be anywhere by then."""
    broke = child.broke
    assert broke is not None
    for other in others:
        execution.history.excuse(other.start, other.end)
    if broke.fatal:
        raise broke
    visit.tail, visit.past = broke.at, False
    return execution.settle(visit, broke.error, broke.cause, broken=True)


def map_(execution: Execution, visit: Visit) -> Left | None:
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
        running = [child for child in children if child.broke]
        if len(running) >= most:
            break  # these would never make room
        ended = tuple(event for child in children if not child.broke for event in child.tail)
        after = (started,) if index < most else children[-1].tail if most == 1 else ended
        children.append(iteration(execution, visit, index, item, value, after, started))
    broken = [child for child in children if child.broke]
    if broken:
        first = broken[execution.pick(len(broken)) if len(broken) > 1 else 0]
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
    shown = {"Index": index, "Value": item}
    selector = state.get("ItemSelector", state.get("Parameters", MISSING))
    start, given = len(execution.history.events), item
    if selector is not MISSING:
        scope = execution.scope(visit, item=shown)
        try:
            given = (
                jsonata(selector, "ItemSelector", scope)
                if visit.jsonata
                else template(selector, value, scope)
            )
        except Failure as failure:
            return not_selected(execution, visit, failure, start, (*after, started))
    execution.limited(visit, given, after)
    details = {"name": visit.name, "index": index}
    begun = execution.history.add("MapIterationStarted", after, **details)
    processor = state["ItemProcessor" if "ItemProcessor" in state else "Iterator"]
    child = run_child(execution, processor, given, visit.variables, shown, (begun,))
    if child.broke is None:
        succeeded = execution.history.add("MapIterationSucceeded", child.tail, **details)
    elif not child.broke.fatal:
        execution.history.add("MapIterationFailed", child.tail, **details)
    return child._replace(
        start=start, end=len(execution.history.events), succeeded=None if child.broke else succeeded
    )


def not_selected(
    execution: Execution, visit: Visit, failure: Failure, start: int, after: Events
) -> Child:
    """ItemSelector failed for an item: the state fails, not an iteration."""
    cause = execution.explained(visit, failure)
    tail = (visit.entered, *after)
    if failure.error == QUERY:
        event = execution.evaluation_failed(visit, failure, cause)
        event.after = (*event.after, *after)
        tail = (event,)
    return Child(
        start, len(execution.history.events), MISSING, tail, Broke(failure.error, cause, tail)
    )


def items_of(execution: Execution, visit: Visit, value: Json, scope: Scope) -> list[Json]:
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
            raise Failure(
                RUNTIME,
                f'Reference path "{path.replace("$$", "$", 1)}" must point to array.',
                bare=True,
            )
    return list(found)


def concurrency(execution: Execution, visit: Visit, value: Json, scope: Scope) -> int:
    """Iterations at a time."""
    state = visit.state
    if "MaxConcurrencyPath" in state:
        path = state["MaxConcurrencyPath"]
        found = selected(path, value, scope)
        if isinstance(found, bool) or not isinstance(found, int):
            if isinstance(found, str) and found.lstrip("+-").isdigit():
                raise Undetermined
            shown = found if isinstance(found, str) else text(found)
            raise Failure(
                RUNTIME,
                (
                    f'The MaxConcurrencyPath field refers to value "{shown}" which is not a '
                    f"valid integer: {path}"
                ),
            )
    else:
        found = state.get("MaxConcurrency", 0)
        if is_expression(found):
            found = int(typed(found, "MaxConcurrency", "number", scope))
    if found < 0:
        raise Failure(RUNTIME, ANY)
    return min(found or CONCURRENCY, CONCURRENCY)


WORK: Final[dict[str, Callable[[Execution, Visit], Left | None]]] = {
    "Pass": pass_,
    "Succeed": succeed,
    "Fail": fail,
    "Wait": wait,
    "Choice": choose,
    "Task": task,
    "Parallel": parallel,
    "Map": map_,
}
