"""The rules about the root of a path: `$`, `$$`, `$states` and variables, written where they mean
something else, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stepwell.asl.definition import DISTRIBUTED
from stepwell.asl.evaluation import MISSING
from stepwell.asl.explain import services
from stepwell.asl.explain.readings import Ending, Reading
from stepwell.asl.explain.subject import WORKING, Earlier, Subject, scopes, states
from stepwell.asl.explain.values import follow, near, spelled

_STATES: Final = ("input", "result", "context", "errorOutput")  # members of $states
_SECTIONS: Final = ("Execution", "State", "StateMachine", "Task", "Map")  # of the Context object


def dollar_in_jsonata(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if reading.source != "nothing" or reading.root != "$":
        return None
    rest = reading.text[1:]
    if rest.startswith(tuple(f".{name}" for name in _SECTIONS)) and reading.keys[0] not in (
        subject.documents.get("input") or ()
    ):
        return f"In JSONata the Context object is `$states.context`: write `$states.context{rest}`."
    return f"In JSONata `$` is not the state input: write `$states.input{rest}`."


def double_dollar(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if reading.source != "nothing" or reading.root != "$$":
        return None
    return f"In JSONata the Context object is `$states.context{reading.text[2:]}`."


def no_member(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if not reading.root.startswith("$states"):
        return None
    member = reading.root.partition(".")[2]
    if member == "result" and reading.document is MISSING:
        when = (
            "exists only in Output and Assign, after the work"
            if subject.type in WORKING
            else f"does not exist in a {subject.type} state, which calls nothing"
        )
        return f"`$states.result` {when}: read `$states.input`."
    if member == "errorOutput" and reading.document is MISSING:
        return "`$states.errorOutput` exists only in the Output and Assign of a Catch."
    if reading.source != "nothing":
        return None
    if member in subject.variables:
        return f"`{member}` is a variable: write `${reading.text.removeprefix('$states.')}`."
    meant = near(member, _STATES) or next((n for n in _STATES if n.startswith(member)), None)
    has = "`$states` has input, result, context and errorOutput"
    return f"{has}: did you mean `$states.{meant}`?" if meant else f"{has}."


def variable(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if reading.source != "variable" or reading.document is not MISSING:
        return None
    name = reading.root[1:]
    if name == "states" and not reading.jsonata:
        rest = reading.text.removeprefix("$states")
        for part, dollar in (("input", "$"), ("context", "$$"), ("result", "$")):
            if rest.startswith(f".{part}"):
                return f"`$states` exists in JSONata only: write `{dollar}{rest[len(part) + 1 :]}`."
        return "`$states` exists in JSONata only."
    everywhere = states(subject.machine)
    assigning = [each for each, state in everywhere.items() if name in _assigned(state)]
    if not assigning:
        known = {each for state in everywhere.values() for each in _assigned(state)}
        if meant := near(name, {*known, *subject.variables}):
            return f"No state assigns `${name}`: did you mean `${meant}`?"
        value = subject.documents.get("input")
        if isinstance(value, dict) and (name in value or near(name, value)):
            root = "$states.input" if reading.jsonata else "$"
            member = name if name in value else near(name, value)
            return f"No state assigns `${name}`; the input has it: write `{root}.{member}`."
        if reading.jsonata and name.lower() in ("input", "result", "context"):
            return f"No state assigns `${name}`: write `$states.{name.lower()}`."
        return f"No state assigns `${name}`."
    if assigning == [subject.name]:
        return (
            f"`{subject.name}` itself assigns `${name}`, and a new value is visible only from the "
            "next state on: read the value itself here."
        )
    scope = scopes(subject.machine)
    outside = [each for each in assigning if scope[each] and not _within(scope, subject.name, each)]
    if outside:
        return (
            f"`${name}` is assigned in `{outside[0]}`, inside `{scope[outside[0]][-1]}`: a "
            "variable does not leave the branch or iteration that assigns it. Return it as output."
        )
    if subject.alone:
        return f"`{assigning[0]}` assigns `${name}`: give its value with --variables."
    ran = [each for each in subject.earlier if each.name in assigning and not each.around]
    if ran:
        return _not_by_this_way(name, ran[-1])
    if shut := _distributed(subject, name, everywhere):
        return shut
    return f"`{assigning[0]}` assigns `${name}`, but did not run before this state."


def _not_by_this_way(name: str, earlier: Earlier) -> str:
    """A state that ran assigns a variable, but in another way out than the one it left by."""
    fields, state = earlier.fields, f"`{earlier.name}`"
    if earlier.caught:
        return (
            f"{state} failed, and its Assign is for its success: give the Catch that took the "
            f"error an Assign with `{name}`."
        )
    if fields.get("Type") == "Choice":
        return (
            f"{state} assigns `${name}` in another rule than the one that was taken (the Assign "
            "of the state itself is for Default): assign it in every rule, or in a state before."
        )
    return (
        f"{state} assigns `${name}` in its Catch only, and it did not fail: assign it there, too."
    )


def _distributed(subject: Subject, name: str, everywhere: Mapping[str, Any]) -> str | None:
    """A variable outside of a Distributed Map, whose iterations are executions of their own."""
    for around in scopes(subject.machine).get(subject.name, ()):
        processor = everywhere[around].get("ItemProcessor", {})
        if processor.get("ProcessorConfig", {}).get("Mode") == DISTRIBUTED:
            return (
                f"`{subject.name}` runs in an execution of its own, as `{around}` is a Distributed "
                f"Map: it does not see `${name}`. Pass the value in the ItemSelector."
            )
    return None


def _assigned(state: Mapping[str, Any]) -> set[str]:
    parts = [state, *state.get("Choices", ()), *state.get("Catch", ())]
    return {
        name.removesuffix(".$")
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("Assign"), dict)
        for name in part["Assign"]
    }


def _within(scope: Mapping[str, tuple[str, ...]], name: str, other: str) -> bool:
    """Whether a state sees the variables of the block of another state."""
    return bool(scope.get(name, ())[: len(scope[other])] == scope[other])


def context_dollar(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if reading.jsonata or reading.root != "$" or not reading.keys:
        return None
    first = reading.keys[0]
    if first not in _SECTIONS or follow(reading.document, (first,)) is not MISSING:
        return None
    return f"It is in the Context object, which is `$$`: write `${reading.text}`."


def not_in_context(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if reading.source != "context" or not reading.keys:
        return None
    keys, root = reading.keys, "$states.input" if reading.jsonata else "$"
    if keys[0] == "Map" and "Map" not in subject.env(reading.field).context():
        return "`Map.Item` exists only in the ItemSelector and the iterations of a Map."
    if keys[:2] == ("Task", "Token"):
        if subject.type != "Task":
            return "Only a Task has a task token, whose Resource ends in `.waitForTaskToken`."
        return (
            "There is a task token only if the Resource ends in `.waitForTaskToken`: write "
            f"`{subject.fields['Resource']}.waitForTaskToken`."
        )
    if meant := services.in_context(keys, reading.jsonata):
        return f"Write `{meant}`."
    selected = subject.documents.get("selected", subject.documents.get("input"))
    if keys[0] not in _SECTIONS and follow(selected, keys) is not MISSING:
        return f"The input has it: write `{spelled(root, keys)}`."
    if keys[0] not in _SECTIONS and not near(str(keys[0]), subject.context):
        path = "$states.context.Execution.Input" if reading.jsonata else "$$.Execution.Input"
        return f"The execution's input is `{path}`, the state's is `{root}`."
    return None
