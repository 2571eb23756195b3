"""From stored rows to the API's answers: names and casing of AWS, times in epoch seconds, payloads
as JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.validate import Validation
from stepwell.asl.variables import variable_references
from stepwell.engine import messages
from stepwell.engine.core import model
from stepwell.engine.core.environment import iso
from stepwell.engine.core.model import Execution, Payload
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.machines import configuration as configurations
from stepwell.engine.machines import machine_parts
from stepwell.engine.store.base import DefinitionRow, ExecutionRow, MachineRow

_QUALIFIERS: Final = (("version", "stateMachineVersionArn"), ("alias", "stateMachineAliasArn"))
_EXTRAS: Final = (*_QUALIFIERS, ("trace", "traceHeader"))
_BILLED_MS: Final = 100
_BILLED_MB: Final = 64


def _text(payload: Payload | bytes | None) -> str:
    assert payload is not None
    return (payload.data if isinstance(payload, Payload) else payload).decode()


def execution(row: ExecutionRow | Execution) -> dict[str, Any]:
    """DescribeExecution."""
    answer: dict[str, Any] = {
        "executionArn": row.arn,
        "stateMachineArn": row.machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": row.started / 1000,
        **(
            {"inputDetails": {"included": False}}
            if row.input is None
            else {"input": _text(row.input), "inputDetails": {"included": True}}
        ),
        **_redrives(row),
    }
    if row.extras:
        extras: Mapping[str, object] = row.extras
        answer |= {name: extras[key] for key, name in _EXTRAS if key in extras}
    if row.stopped is not None:
        answer["stopDate"] = row.stopped / 1000
    if row.output is not None:
        answer |= {"output": _text(row.output), "outputDetails": {"included": True}}
    if row.status != model.TIMED_OUT:  # there the service tells the error in the history only
        answer |= {
            name: value
            for name, value in (("error", row.error), ("cause", row.cause))
            if value is not None
        }
    reason = not_redrivable(row)
    if reason is not None:
        answer |= {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": reason}
    else:
        answer["redriveStatus"] = "REDRIVABLE" if row.parent is None else "REDRIVABLE_BY_MAP_RUN"
    return answer


def _redrives(row: ExecutionRow | Execution) -> dict[str, Any]:
    if "redrives" not in row.extras:
        return {"redriveCount": 0}
    at: Any = row.extras["redriven"]
    return {"redriveCount": row.extras["redrives"], "redriveDate": at / 1000}


def not_redrivable(
    row: ExecutionRow | Execution, now: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> str | None:
    """Why an execution cannot be redriven, as far as its row tells; None: it can. `now`: whether it
    still can, ms.
    """
    if row.status in (model.RUNNING, model.SUCCEEDED):
        return messages.NOT_REDRIVABLE.format(status=row.status)
    if row.events >= limits.history_events - 1:
        return messages.REDRIVE_HISTORY_FULL
    if now is not None and now - row.started >= limits.standard_seconds * 1000:
        return messages.REDRIVE_OPEN_TOO_LONG
    if now is not None and now - (row.stopped or now) > limits.redrive_seconds * 1000:
        return messages.REDRIVE_TOO_LATE
    return None


def sync(x: Execution) -> dict[str, Any]:
    """StartSyncExecution, of an execution that has ended.

    Billed: the time, rounded up to 100 ms, and 64 MB, the least that AWS bills; how it measures
    more is not known.
    """
    left_out = ("redrive", "stateMachineVersion", "stateMachineAlias")
    answer = {name: value for name, value in execution(x).items() if not name.startswith(left_out)}
    assert x.stopped is not None
    steps = max(1, -(-(x.stopped - x.started) // _BILLED_MS))
    answer["billingDetails"] = {
        "billedDurationInMilliseconds": steps * _BILLED_MS,
        "billedMemoryUsedInMB": _BILLED_MB,
    }
    return answer | {"outputDetails": {"included": True}}


def without_data(answer: dict[str, Any]) -> dict[str, Any]:
    """A description of an execution for those who want nothing decrypted."""
    hidden = {"input", "output", "error", "cause"}
    excluded = {
        name: {"included": False} for name in ("inputDetails", "outputDetails") if name in answer
    }
    return {name: value for name, value in answer.items() if name not in hidden} | excluded


def result_of_child(x: ExecutionRow | Execution) -> Payload | None:
    """What a child gives to its Map Run: its output, or its description if the ResultWriter wants
    executions (Transformation NONE).
    """
    if x.output is None:
        return None
    if "whole" not in x.extras:
        return (
            x.output
            if isinstance(x.output, Payload)
            else Payload(json_text.loads(x.output), x.output)
        )
    return Payload(exported(x))


def exported(x: ExecutionRow | Execution) -> dict[str, Any]:
    """An ended child as a ResultWriter shows it."""
    described = execution(x) | {
        name: {"Included": True} for name in ("inputDetails", "outputDetails")
    }
    described |= {"startDate": iso(x.started), "stopDate": iso(x.stopped or x.started)}
    return {name[0].upper() + name[1:]: described[name] for name in sorted(described)}


def execution_item(row: ExecutionRow | Execution) -> dict[str, Any]:
    """An item of ListExecutions."""
    item: dict[str, Any] = {
        "executionArn": row.arn,
        "stateMachineArn": row.machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": row.started / 1000,
        **_redrives(row),
    }
    if row.extras:
        extras: Mapping[str, object] = row.extras
        item |= {name: extras[key] for key, name in _QUALIFIERS if key in extras}
    return item if row.stopped is None else item | {"stopDate": row.stopped / 1000}


def machine(row: MachineRow) -> dict[str, Any]:
    """DescribeStateMachine; `extras` is ours: what the creator wanted kept with the machine."""
    return {
        "stateMachineArn": row.arn,
        "name": row.name,
        "status": row.status,
        "definition": row.definition,
        "roleArn": row.role_arn,
        "type": row.type,
        "creationDate": row.created / 1000,
        "extras": machine_parts.own_extras(row),
        **_revision(row.revision, row.definition, row.configuration),
    }


def machine_version(row: MachineRow, number: str, pinned: DefinitionRow) -> dict[str, Any]:
    """DescribeStateMachine of a version."""
    version = machine_parts.part(row, "versions")[number]
    answer = {
        "stateMachineArn": machine_parts.version_arn(row, number),
        "name": row.name,
        "status": row.status,
        "definition": pinned.definition,
        "roleArn": pinned.role_arn,
        "type": pinned.type,
        "creationDate": version["created"] / 1000,
        **_revision(pinned.revision, pinned.definition, pinned.configuration),
    }
    return answer | ({"description": version["description"]} if "description" in version else {})


def machine_of_execution(row: ExecutionRow | Execution, pinned: DefinitionRow) -> dict[str, Any]:
    """DescribeStateMachineForExecution, of one that no Map Run started."""
    return {
        "stateMachineArn": row.machine_arn,
        "name": row.machine_name,
        "definition": pinned.definition,
        "roleArn": pinned.role_arn,
        "updateDate": pinned.created / 1000,
        **_revision(pinned.revision, pinned.definition, pinned.configuration),
    }


def _revision(revision: str, definition: str, configuration: dict[str, Any]) -> dict[str, Any]:
    """What descriptions say of a revision; of one that no update made, not its id."""
    references = variable_references(json_text.loads(definition))
    return (
        configurations.shown(configuration)
        | ({"revisionId": revision} if revision != machine_parts.INITIAL else {})
        | ({"variableReferences": references} if references else {})
    )


def alias(row: MachineRow, name: str) -> dict[str, Any]:
    """DescribeStateMachineAlias."""
    found = machine_parts.part(row, "aliases")[name]
    answer = {
        "stateMachineAliasArn": f"{row.arn}:{name}",
        "name": name,
        "routingConfiguration": [
            {"stateMachineVersionArn": f"{row.arn}:{number}", "weight": weight}
            for number, weight in found["routes"]
        ],
        "creationDate": found["created"] / 1000,
        "updateDate": found["updated"] / 1000,
    }
    return answer | ({"description": found["description"]} if "description" in found else {})


def without_texts(answer: dict[str, Any]) -> dict[str, Any]:
    """A description of a state machine for those who want nothing decrypted."""
    return {
        name: value
        for name, value in answer.items()
        if name not in ("description", "variableReferences")
    } | {"definition": "{}"}


def machine_item(row: MachineRow) -> dict[str, Any]:
    return {
        "stateMachineArn": row.arn,
        "name": row.name,
        "type": row.type,
        "creationDate": row.created / 1000,
    }


def validation(
    found: Validation, limits: Limits, severity: str, max_results: int
) -> dict[str, Any]:
    """ValidateStateMachineDefinition: with the severity ERROR warnings are left out."""
    asked = [
        each for each in found.diagnostics if severity == "WARNING" or each.severity == "ERROR"
    ]
    shown = asked[: max_results or limits.diagnostics]
    diagnostics = [
        {
            "severity": each.severity,
            "code": each.code,
            "message": each.message,
            **({"location": each.location} if each.location else {}),
        }
        for each in shown
    ]
    failed = any(each.severity == "ERROR" for each in found.diagnostics)
    return {
        "result": "FAIL" if failed else "OK",
        "diagnostics": diagnostics,
        "truncated": len(asked) > len(shown),
    }
