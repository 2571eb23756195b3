"""Checks of mocked results against the models of services, as TestState's fieldValidationMode does,
and of test cases against a definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource, parse_resource
from stepwell.engine.tasks import ITEM_READER, RESULT_WRITER, part_key
from stepwell.integrations.mocks import messages
from stepwell.integrations.mocks.cases import Responses, Return, Step, TestCase

PARTS: Final = (ITEM_READER, RESULT_WRITER)


class Validation(StrEnum):
    """STRICT: members that the service always returns must exist. PRESENT: only what exists is
    checked. WARN: as PRESENT, but a result that does not fit is used, as in Step Functions Local,
    and reported. NONE: nothing is checked.
    """

    STRICT = "STRICT"
    PRESENT = "PRESENT"
    WARN = "WARN"
    NONE = "NONE"


def problem(resource: Resource, result: Json, validation: Validation) -> str | None:
    """The error of a result that the model of its service does not allow, or None. Times may be
    numbers, which the results of real tasks have.
    """
    if validation == Validation.NONE:
        return None
    from stepwell.integrations.tasks import mocks  # imported late: it imports botocore

    return mocks.fault(resource, result, validation == Validation.STRICT, numeric_times=True)


def against(
    case: TestCase, states: Mapping[str, Mapping[str, Json]], validation: Validation
) -> tuple[list[str], list[str]]:
    """(errors, warnings) of a test case of a definition, each with its place: results that do not
    fit the models of the services (with WARN they are warnings), and responses that do not exist;
    states that are not there or call nothing, which Step Functions Local ignores.

    states  all states of the definition, by name
    """
    errors: list[str] = []
    warnings: list[str] = []
    known = answerable(states)
    for state, responses in case.all():
        found, place = states.get(state), f"{responses.place}: " if responses.place else ""
        if state in known and responses.undefined:
            text = messages.NO_RESPONSE_NAMED.format(name=responses.name, hint="")
            errors.append(f"{place}{text}")
            continue
        if state in known and found is None:  # an ItemReader or ResultWriter: it has no model
            continue
        outer, _, part = state.rpartition(".")
        if found is None and outer in states and part in PARTS:
            text = messages.NO_PART.format(state=outer, part=part, case=case.name)
            warnings.append(f"{place}{text}")
        elif found is None:
            hint = messages.meant(state, states)
            text = messages.NO_STATE.format(state=state, case=case.name, hint=hint)
            warnings.append(f"{place}{text}")
        elif found.get("Type") != "Task":
            text = messages.NO_TASK.format(state=state, type=found.get("Type"))
            warnings.append(f"{place}{text}")
        else:
            faults = _faults(state, str(found.get("Resource")), responses, validation)
            (warnings if validation == Validation.WARN else errors).extend(faults)
    return list(dict.fromkeys(errors)), list(dict.fromkeys(warnings))


def answerable(states: Mapping[str, Mapping[str, Json]]) -> set[str]:
    """What a test case may answer for: tasks, and the ItemReader and ResultWriter of Maps."""
    tasks = {name for name, state in states.items() if state.get("Type") == "Task"}
    return tasks | {
        part_key(name, part) for name, state in states.items() for part in PARTS if part in state
    }


def _faults(state: str, text: str, responses: Responses, validation: Validation) -> Iterator[str]:
    resource = parse_resource(text)
    for step in responses.steps:
        if resource is not None and isinstance(step.response, Return):
            fault = problem(resource, step.response.value, validation)
            if fault is not None:
                warns = validation == Validation.WARN
                yield invalid(step, responses, state, fault, "warning: " if warns else "")


def invalid(step: Step, responses: Responses, state: str, fault: str, severity: str = "") -> str:
    """The text on a result of a mocked state that does not fit, with its place."""
    return messages.INVALID_RESPONSE.format(
        place=f"{step.place}: " if step.place else "",
        responses=named(responses),
        state=state,
        problem=fault,
        severity=severity,
    )


def named(responses: Responses | None) -> str:
    return f"response {responses.name!r}" if responses and responses.name else "the response"
