"""What each type of state does, in the reference interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from stepwell.conformance.oracle import choice
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

if TYPE_CHECKING:
    from stepwell.conformance.oracle.interpreter import Run

CONCURRENCY: Final = 40  # of an inline Map


def pass_(run: Run, visit: Visit) -> Left:
    scope = run.scope(visit)
    constant = "Result" in visit.state and not visit.jsonata
    result = visit.state["Result"] if constant else run.effective(visit, scope)
    output, assigned = run.shaped(visit, result, scope)
    return run.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)


def succeed(run: Run, visit: Visit) -> Left:
    scope = run.scope(visit)
    output, assigned = run.shaped(visit, run.effective(visit, scope), scope)
    return run.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)


def fail(run: Run, visit: Visit) -> Left | None:
    scope, found = run.scope(visit), []
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
    return run.settle(visit, found[0], found[1])


def wait(run: Run, visit: Visit) -> Left:
    scope = run.scope(visit)
    value = run.effective(visit, scope)
    run.seconds += delay(run, visit, value, scope)
    output, assigned = run.shaped(visit, value, scope)
    return run.leave(visit, output, visit.state.get("Next"), assigned, visit.tail)


def delay(run: Run, visit: Visit, value: Json, scope: Scope) -> float:
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


def choose(run: Run, visit: Visit) -> Left:
    state, scope = visit.state, run.scope(visit)
    value = run.effective(visit, scope)
    read = choice.reader(value, lambda root: scope.root(root, value))
    for rule in state["Choices"]:
        holds = (
            typed(rule["Condition"], "Condition", "boolean", scope)
            if visit.jsonata
            else choice.holds(rule, read)
        )
        if holds:
            return chosen(run, visit, rule, rule["Next"], value, scope)
    if "Default" not in state:
        raise Failure(
            RUNTIME,
            "Failed to transition out of the state. The state does not point to a next state.",
        )
    return chosen(run, visit, state, state["Default"], value, scope)


def chosen(
    run: Run, visit: Visit, rule: dict[str, Any], following: str, value: Json, scope: Scope
) -> Left:
    def output() -> Json:
        if visit.jsonata:
            return jsonata(rule["Output"], "Output", scope) if "Output" in rule else value
        return selected(visit.state.get("OutputPath", "$"), value, scope)

    try:
        result, assigned = run.both(
            output, lambda: run.assigned(rule.get("Assign"), "Assign", visit, value, scope)
        )
    except Failure as failure:
        if (
            rule is not visit.state and failure.error == QUERY
        ):  # how the fields of a rule are named is not documented
            failure = Failure(QUERY, ANY, ANY)
        raise failure from None
    return run.leave(visit, result, following, assigned, visit.tail)


def task(run: Run, visit: Visit) -> Left | None:
    state, scope = visit.state, run.scope(visit)
    value = run.effective(visit, scope)
    run.limited(visit, value, visit.tail)
    add, known_limits = run.history.add, {}
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
    result = run.tasks(state["Resource"], known(value))
    if result.timed_out:
        run.seconds += state["TimeoutSeconds"]
        visit.tail = (add("ActivityTimedOut", (started,), error=TIMEOUT),)
        return run.settle(visit, TIMEOUT, None)
    if result.output is MISSING:
        visit.tail = (add("ActivityFailed", (started,), error=result.error, cause=result.cause),)
        return run.settle(visit, result.error, result.cause)
    visit.tail = (add("ActivitySucceeded", (started,), output=result.output),)
    return run.complete(visit, result.output, visit.tail)


def parallel(run: Run, visit: Visit) -> Left | None:
    value = run.effective(visit, run.scope(visit))
    run.limited(visit, value, visit.tail)
    started = run.history.add("ParallelStateStarted", visit.tail)
    visit.tail = (started,)
    children = []
    for branch in visit.state["Branches"]:
        children.append(run_child(run, branch, value, visit.variables, visit.item, (started,)))
    broken = [child for child in children if child.broke]
    if broken:
        first = broken[run.pick(len(broken)) if len(broken) > 1 else 0]
        return child_failed(run, visit, first, [child for child in children if child is not first])
    last = tuple(event for child in children for event in child.tail)
    return children_done(run, visit, [child.output for child in children], last)


def children_done(run: Run, visit: Visit, outputs: list[Json], last: Events) -> Left:
    """Succeeded and Exited both follow from the last event of the child that ended last."""
    succeeded = run.history.add(f"{visit.state['Type']}StateSucceeded", last)
    visit.tail, visit.past = (succeeded,), True
    try:
        return run.complete(visit, outputs, last)
    except Failure:
        visit.tail = (succeeded, *last)
        raise


def run_child(
    run: Run, block: dict[str, Any], value: Json, variables: Variables, item: Json, after: Events
) -> Child:
    """A branch or iteration, in a scope of its own."""
    start = len(run.history.events)
    try:
        output, tail = run.block(block, value, dict(variables), item, after)
    except Broke as broke:
        return Child(start, len(run.history.events), MISSING, broke.at, broke)
    return Child(start, len(run.history.events), output, tail, None)


def child_failed(run: Run, visit: Visit, child: Child, others: list[Child]) -> Left | None:
    """The first failure ends the state; the others may be anywhere by then."""
    broke = child.broke
    assert broke is not None
    for other in others:
        run.history.excuse(other.start, other.end)
    if broke.fatal:
        raise broke
    visit.tail, visit.past = broke.at, False
    return run.settle(visit, broke.error, broke.cause, broken=True)


def map_(run: Run, visit: Visit) -> Left | None:
    scope = run.scope(visit)
    value = run.effective(visit, scope)
    items, most = run.both(
        lambda: items_of(run, visit, value, scope), lambda: concurrency(run, visit, value, scope)
    )
    started = run.history.add("MapStateStarted", visit.tail, length=len(items))
    visit.tail = (started,)
    children: list[Child] = []
    for index, item in enumerate(items):
        running = [child for child in children if child.broke]
        if len(running) >= most:
            break  # these would never make room
        ended = tuple(event for child in children if not child.broke for event in child.tail)
        after = (started,) if index < most else children[-1].tail if most == 1 else ended
        children.append(iteration(run, visit, index, item, value, after, started))
    broken = [child for child in children if child.broke]
    if broken:
        first = broken[run.pick(len(broken)) if len(broken) > 1 else 0]
        others = [child for child in children if child is not first]
        return child_failed(run, visit, first, others if most > 1 else [])
    last = tuple(
        child.succeeded for child in (children if most > 1 else children[-1:]) if child.succeeded
    ) or (started,)
    return children_done(run, visit, [child.output for child in children], last)


def iteration(
    run: Run, visit: Visit, index: int, item: Json, value: Json, after: Events, started: Event
) -> Child:
    state = visit.state
    shown = {"Index": index, "Value": item}
    selector = state.get("ItemSelector", state.get("Parameters", MISSING))
    start, given = len(run.history.events), item
    if selector is not MISSING:
        scope = run.scope(visit, item=shown)
        try:
            given = (
                jsonata(selector, "ItemSelector", scope)
                if visit.jsonata
                else template(selector, value, scope)
            )
        except Failure as failure:
            return not_selected(run, visit, failure, start, (*after, started))
    run.limited(visit, given, after)
    details = {"name": visit.name, "index": index}
    begun = run.history.add("MapIterationStarted", after, **details)
    processor = state["ItemProcessor" if "ItemProcessor" in state else "Iterator"]
    child = run_child(run, processor, given, visit.variables, shown, (begun,))
    if child.broke is None:
        succeeded = run.history.add("MapIterationSucceeded", child.tail, **details)
    elif not child.broke.fatal:
        run.history.add("MapIterationFailed", child.tail, **details)
    return child._replace(
        start=start, end=len(run.history.events), succeeded=None if child.broke else succeeded
    )


def not_selected(run: Run, visit: Visit, failure: Failure, start: int, after: Events) -> Child:
    """ItemSelector failed for an item: the state fails, not an iteration."""
    cause = run.explained(visit, failure)
    tail = (visit.entered, *after)
    if failure.error == QUERY:
        event = run.evaluation_failed(visit, failure, cause)
        event.after = (*event.after, *after)
        tail = (event,)
    return Child(start, len(run.history.events), MISSING, tail, Broke(failure.error, cause, tail))


def items_of(run: Run, visit: Visit, value: Json, scope: Scope) -> list[Json]:
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


def concurrency(run: Run, visit: Visit, value: Json, scope: Scope) -> int:
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


WORK: Final[dict[str, Callable[[Run, Visit], Left | None]]] = {
    "Pass": pass_,
    "Succeed": succeed,
    "Fail": fail,
    "Wait": wait,
    "Choice": choose,
    "Task": task,
    "Parallel": parallel,
    "Map": map_,
}
