"""From stored state machines, and the outcome of their validation, to the answers of the API
(results.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from stepwell.asl import json_text
from stepwell.asl.variables import variable_references
from stepwell.engine.core.model import Execution
from stepwell.engine.limits import Limits
from stepwell.engine.machines import configuration as configurations
from stepwell.engine.machines import machine_parts
from stepwell.engine.operations.results import (
    DescribeStateMachineAliasOutput,
    DescribeStateMachineForExecutionOutput,
    DescribeStateMachineOutput,
    StateMachineListItem,
    ValidateStateMachineDefinitionDiagnostic,
    ValidateStateMachineDefinitionOutput,
)
from stepwell.engine.store.base import DefinitionRow, ExecutionRow, MachineRow

if TYPE_CHECKING:
    from stepwell.asl.checks import Diagnostic
    from stepwell.asl.validate import Validation


def machine(row: MachineRow) -> DescribeStateMachineOutput:
    """DescribeStateMachine, with `extras` that the library's user keeps with the machine."""
    answer: DescribeStateMachineOutput = {
        "stateMachineArn": row.arn,
        "name": row.name,
        "status": row.status,
        "definition": row.definition,
        "roleArn": row.role_arn,
        "type": row.type,
        "creationDate": row.created / 1000,
        "extras": machine_parts.own_extras(row),
    }
    _add_revision(answer, row.revision, row.definition, row.configuration)
    return answer


def machine_version(
    row: MachineRow, number: str, pinned: DefinitionRow
) -> DescribeStateMachineOutput:
    """DescribeStateMachine of a version."""
    version = machine_parts.part(row, "versions")[number]
    answer: DescribeStateMachineOutput = {
        "stateMachineArn": machine_parts.version_arn(row, number),
        "name": row.name,
        "status": row.status,
        "definition": pinned.definition,
        "roleArn": pinned.role_arn,
        "type": pinned.type,
        "creationDate": version["created"] / 1000,
    }
    _add_revision(answer, pinned.revision, pinned.definition, pinned.configuration)
    if "description" in version:
        answer["description"] = version["description"]
    return answer


def machine_of_execution(
    row: ExecutionRow | Execution, pinned: DefinitionRow
) -> DescribeStateMachineForExecutionOutput:
    """DescribeStateMachineForExecution, of one that no Map Run started."""
    answer: DescribeStateMachineForExecutionOutput = {
        "stateMachineArn": row.machine_arn,
        "name": row.machine_name,
        "definition": pinned.definition,
        "roleArn": pinned.role_arn,
        "updateDate": pinned.created / 1000,
    }
    _add_revision(answer, pinned.revision, pinned.definition, pinned.configuration)
    return answer


def _add_revision(
    answer: DescribeStateMachineOutput | DescribeStateMachineForExecutionOutput,
    revision: str,
    definition: str,
    configuration: dict[str, Any],
) -> None:
    """The members that describe a revision. Its id only if an update made it."""
    shown = configurations.shown(configuration)
    answer["loggingConfiguration"] = shown["loggingConfiguration"]
    answer["tracingConfiguration"] = shown["tracingConfiguration"]
    answer["encryptionConfiguration"] = shown["encryptionConfiguration"]
    if revision != machine_parts.INITIAL:
        answer["revisionId"] = revision
    references = variable_references(json_text.loads(definition))
    if references:
        answer["variableReferences"] = references


def alias(row: MachineRow, name: str) -> DescribeStateMachineAliasOutput:
    """DescribeStateMachineAlias."""
    found = machine_parts.part(row, "aliases")[name]
    answer: DescribeStateMachineAliasOutput = {
        "stateMachineAliasArn": f"{row.arn}:{name}",
        "name": name,
        "routingConfiguration": [
            {"stateMachineVersionArn": f"{row.arn}:{number}", "weight": weight}
            for number, weight in found["routes"]
        ],
        "creationDate": found["created"] / 1000,
        "updateDate": found["updated"] / 1000,
    }
    if "description" in found:
        answer["description"] = found["description"]
    return answer


DescribedMachine = TypeVar(
    "DescribedMachine", DescribeStateMachineOutput, DescribeStateMachineForExecutionOutput
)


def without_texts(answer: DescribedMachine) -> DescribedMachine:
    """A description of a state machine for callers that do not want data decrypted."""
    hidden = ("description", "variableReferences")
    shown = {name: value for name, value in answer.items() if name not in hidden}
    return cast(DescribedMachine, shown | {"definition": "{}"})


def machine_item(row: MachineRow) -> StateMachineListItem:
    """An item of ListStateMachines."""
    return {
        "stateMachineArn": row.arn,
        "name": row.name,
        "type": row.type,
        "creationDate": row.created / 1000,
    }


def validation(
    found: Validation, limits: Limits, severity: str, max_results: int
) -> ValidateStateMachineDefinitionOutput:
    """ValidateStateMachineDefinition: with the severity ERROR warnings are left out."""
    wanted = [
        each for each in found.diagnostics if severity == "WARNING" or each.severity == "ERROR"
    ]
    shown = wanted[: max_results or limits.diagnostics]
    failed = any(each.severity == "ERROR" for each in found.diagnostics)
    return {
        "result": "FAIL" if failed else "OK",
        "diagnostics": [_diagnostic(each) for each in shown],
        "truncated": len(wanted) > len(shown),
    }


def _diagnostic(each: Diagnostic) -> ValidateStateMachineDefinitionDiagnostic:
    shown: ValidateStateMachineDefinitionDiagnostic = {
        "severity": each.severity,
        "code": each.code,
        "message": each.message,
    }
    if each.location:
        shown["location"] = each.location
    return shown
