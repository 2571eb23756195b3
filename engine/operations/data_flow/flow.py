"""The data flow of one visit of a state, stage by stage: from its input to its output, as it was or
as far as it came.

    data_flow(program, definition, machine, execution, events, "Charge the card") -> DataFlow

Pure: everything comes from the committed history and the compiled Program. What the history holds
(state input, input and result of a task, output, variables) is taken from there; the stages between
are evaluated again. So an expression whose value differs each time (States.UUID, $random, $now) may
differ in a stage between; the last stage is always the recorded one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from stepwell.asl.evaluation import MISSING, StateError
from stepwell.asl.explain import CAUSE, Hint, Subject, explain
from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.reevaluation import Reevaluation
from stepwell.asl.histories.state_visits import Event, Visit
from stepwell.asl.program import Program
from stepwell.engine.operations.data_flow import why
from stepwell.engine.operations.data_flow.past import PastExecution
from stepwell.engine.operations.data_flow.shapes import DataFlow, Given, Stage
from stepwell.engine.operations.data_flow.walk import Walk


def data_flow(
    program: Program,
    definition: Mapping[str, Any],
    execution: Mapping[str, Any],
    events: Iterable[Event],
    state_name: str,
    number: int | None = None,
    given: Given | None = None,
) -> DataFlow:
    """The data flow of visit `number` (from 1; None: the last) of a state.

    definition  the machine's, as JSON
    execution   DescribeExecution's answer
    given       of a state that runs alone (trial.py)
    events      its history from the first event

    Raises LookupError, whose text is for people, if the state does not exist or was not visited
    that often.
    """
    known = program.states()
    if state_name not in known:
        raise LookupError(
            f"the machine has no state called {state_name!r}; it has {', '.join(map(repr, known))}"
        )
    history = list(events)
    seen = Visits(history, Reevaluation(program.definition, program.limits))
    every = seen.all
    visits = [visit for visit in every if visit.name == state_name]
    if not visits:
        raise LookupError(f"the state {state_name!r} was not visited")
    if number is not None and number > len(visits):
        times = "once" if len(visits) == 1 else f"{len(visits)} times"
        raise LookupError(f"the state {state_name!r} was visited {times}: it has no visit {number}")
    number = len(visits) if number is None else number
    past = PastExecution(program, definition, execution, history, every, given)
    visit = visits[number - 1]
    failure = (seen.error, seen.cause) if seen.culprit is visit else (visit.error, visit.cause)
    return _flow(past, visit, number, len(visits), failure)


def _flow(
    past: PastExecution,
    visit: Visit,
    number: int,
    visits: int,
    failure: tuple[str | None, str | None],
) -> DataFlow:
    state, frame = past.states[visit.name], past.frame(visit)
    allowed = (
        1 + max((retrier.max_attempts for retrier in state.retriers), default=0)
        if visit.attempts
        else None
    )
    flow = DataFlow(visit, number, visits, allowed, state.jsonata, frame.scope.values)
    walk = Walk(past, visit, state, frame, past.definitions[visit.name], flow.stages)
    try:
        walk.walk()
    except StateError as fault:
        failed = walk.fields.get(walk.at, MISSING)
        flow.stages.append(Stage(walk.at, failed, note=f"{fault.error}: {fault.cause}"))
        if failure[0] is None:  # of a Fail state, whose error is the execution's
            failure = (fault.error, fault.cause)
    if not visit.failing and visit.status in (v.RUNNING, v.SUCCEEDED):
        failure = (None, None)
    about = why.subject(past, visit, frame, flow.stages, failure)
    hints = explain(about)
    flow.stages.extend(_failing(flow.stages, hints, about))
    return replace(flow, hints=hints, failure=failure)


def _failing(stages: list[Stage], hints: tuple[Hint, ...], about: Subject) -> Iterator[Stage]:
    """The stage of a field that failed and is not among the stages: Assign, TimeoutSecondsPath."""
    if not hints or hints[0].level != CAUSE or about.error is None:
        return
    name = hints[0].field.partition("/")[0].partition("[")[0]
    if name not in about.fields or name in ("Retry", "Catch", "Choices"):
        return
    if all(stage.name != name for stage in stages):
        yield Stage(name, about.fields[name], note=f"{about.error}: {about.cause}")
