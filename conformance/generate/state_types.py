"""What is generated for each type of state without inner states: Pass, Succeed, Fail, Wait, Choice,
Task.
"""

from collections.abc import Callable
from typing import Final

from stepwell.conformance.generate.jsonpath import rule, written
from stepwell.conformance.generate.scripts import ACTIVITIES, ACTIVITY
from stepwell.conformance.generate.state_fields import CAUSES, ERRORS, Draft, Fields, State
from stepwell.conformance.generate.values import (
    INSTANTS,
    NO_INSTANTS,
    chance,
    kind_of,
    nodes,
    value,
)
from stepwell.conformance.oracle.values import Json

TASK_LIMITS: Final = {"limit": 60, "beat": 50}  # input members: timeout and heartbeat in seconds


def pass_(fields: Fields, draft: Draft) -> None:
    r, state, data, block = fields.r, draft.state, draft.data, draft.block
    draft.end_or_next()
    if draft.jsonata:
        fields.output(state, fields.expressions(data, block), 0.75)
        fields.assign(state, data, block, True)
        return
    fields.select(state, "InputPath", data, block)
    if chance(r, 0.15):
        state["Result"] = value(r)
    if chance(r, 0.55):
        source = fields.source(fields.selected_input(draft), block)
        state["Parameters"] = source.template(2, fields.profile.calls)
    fields.result_path(state, data)
    fields.assign(state, fields.selected_input(draft), block, False)


def succeed(fields: Fields, draft: Draft) -> None:
    if draft.jsonata:
        fields.output(draft.state, fields.expressions(draft.data, draft.block))
    else:
        fields.select(draft.state, "InputPath", draft.data, draft.block)


def fail(fields: Fields, draft: Draft) -> None:
    r, state, data, block = fields.r, draft.state, draft.data, draft.block
    for name, texts in (("Error", ERRORS), ("Cause", CAUSES)):
        if chance(r, 0.15):
            continue
        if draft.jsonata and chance(r, 0.3):
            state[name] = fields.expressions(data, block).expression("string")
        elif not draft.jsonata and chance(r, 0.2):
            path = fields.source(data, block).reference("string")
            state[name + "Path"] = path or "States.Format('{}-{}', 'a', 1)"
        else:
            state[name] = r.choice(texts)


def wait(fields: Fields, draft: Draft) -> None:
    """No wait takes time: seconds are 0, timestamps have passed."""
    draft.end_or_next()
    if draft.jsonata:
        _wait_jsonata(fields, draft)
    else:
        _wait_jsonpath(fields, draft)


def _wait_jsonata(fields: Fields, draft: Draft) -> None:
    r, state = fields.r, draft.state
    if chance(r, 0.5):
        state["Seconds"] = r.choice(
            (0, "{% 0 %}", "{% 1 - 1 %}", "{% 'a' %}" if chance(r, 0.2) else "{% 0 %}")
        )
    else:
        no_instant = "{% '" + r.choice(NO_INSTANTS) + "' %}"
        state["Timestamp"] = r.choice((*INSTANTS, "{% '2001-02-03T04:05:06Z' %}", no_instant))
    fields.output(state, fields.expressions(draft.data, draft.block), 0.3)
    fields.assign(state, draft.data, draft.block, True)


def _wait_jsonpath(fields: Fields, draft: Draft) -> None:
    r, state, data = fields.r, draft.state, draft.data
    kind = r.randrange(4)
    if kind == 0:
        state["Seconds"] = 0
    elif kind == 1:
        state["Timestamp"] = r.choice(INSTANTS)
    elif kind == 2:
        due = [keys for keys, each in nodes(data) if not _delays(each) and keys]
        state["SecondsPath"] = written(r, r.choice(due)) if due else "$.missing"
    else:
        texts = [
            keys
            for keys, each in nodes(data)
            if kind_of(each) == "string" and each in (*INSTANTS, *NO_INSTANTS)
        ]
        state["TimestampPath"] = written(r, r.choice(texts)) if texts and chance(r, 0.9) else "$.s"
    if kind < 2:
        fields.select(state, "InputPath", data, draft.block)
    fields.assign(state, fields.selected_input(draft), draft.block, False)


def _delays(seconds: Json) -> bool:
    """Whether SecondsPath to such a value would take time, or is not specified (a string)."""
    return isinstance(seconds, str) or (
        isinstance(seconds, (int, float))
        and not isinstance(seconds, bool)
        and seconds > 0
        and seconds == int(seconds)
    )


def choice(fields: Fields, draft: Draft) -> None:
    r, state, block, later = fields.r, draft.state, draft.block, draft.later
    expressions = fields.expressions(draft.data, block)
    if not draft.jsonata:
        fields.select(state, "InputPath", draft.data, block, 0.12)
    data = fields.selected_input(draft)
    rules: list[State] = []
    for _ in range(r.randrange(1, 4)):
        if draft.jsonata:
            constant = chance(r, 0.1)
            condition = r.choice((True, False)) if constant else expressions.expression("boolean")
            rule_: State = {"Condition": condition}
            fields.output(rule_, expressions, 0.3)
        else:
            rule_ = rule(fields.source(data, block))
        fields.assign(rule_, data, block, draft.jsonata)
        rules.append({**rule_, "Next": r.choice(later)})
    state["Choices"] = rules
    rules[-1]["Next"] = later[0]  # the next state must be reachable
    if chance(r, 0.9):
        state["Default"] = r.choice(later)
    if draft.jsonata:
        fields.output(state, expressions, 0.2)
    fields.assign(state, data, block, draft.jsonata)


def task(fields: Fields, draft: Draft) -> None:
    """A task of a scripted activity (scripts.py)."""
    r, state = fields.r, draft.state
    draft.end_or_next()
    state["Resource"] = ACTIVITY.format(r.randrange(ACTIVITIES))
    steps = _script(fields)
    if any(step.get("silent") for step in steps):
        state["TimeoutSeconds"], fields.waits = 1, True
    elif chance(r, 0.15):
        state["TimeoutSeconds"] = 60
        if chance(r, 0.5):
            state["HeartbeatSeconds"] = 50
    _task_input(fields, draft, steps)
    fields.retry_and_catch(draft)
    fields.result_fields(draft, steps[0].get("output", draft.data))


def _script(fields: Fields) -> list[State]:
    r, steps = fields.r, list[State]()
    for _ in range(r.randrange(1, 3)):
        if chance(r, 0.45):
            failed = {"error": r.choice(ERRORS), "cause": r.choice(CAUSES)}
            steps.append({name: text for name, text in failed.items() if chance(r, 0.9)})
        else:
            steps.append({"output": value(r)})
    if chance(r, 0.01):
        steps[0] = {"silent": True}
    return steps


def _task_input(fields: Fields, draft: Draft, steps: list[State]) -> None:
    r, state, data, block = fields.r, draft.state, draft.data, draft.block
    if draft.jsonata and chance(r, 0.75):
        state["Arguments"] = {
            "script": steps,
            "turn": "{% $states.context.State.RetryCount %}",
            "v": fields.expressions(data, block).value(1),
        }
    elif not draft.jsonata and chance(r, 0.75):
        fields.select(state, "InputPath", data, block, 0.15)
        source = fields.source(fields.selected_input(draft), block)
        state["Parameters"] = {
            "script": steps,
            "turn.$": "$$.State.RetryCount",
            **{f"p_{name}": each for name, each in source.template(1).items()},
        }
    elif (
        not draft.jsonata
        and "TimeoutSeconds" not in state
        and isinstance(data, dict)
        and data.get("limit") == TASK_LIMITS["limit"]
    ):
        state["TimeoutSecondsPath"] = "$.limit" if chance(r, 0.9) else "$.missing"
        if chance(r, 0.5) and data.get("beat") == TASK_LIMITS["beat"]:
            state["HeartbeatSecondsPath"] = "$.beat"


STATES: Final[dict[str, Callable[[Fields, Draft], None]]] = {
    "Pass": pass_,
    "Succeed": succeed,
    "Fail": fail,
    "Wait": wait,
    "Choice": choice,
    "Task": task,
}
