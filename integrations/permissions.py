"""What an execution's role may do: IAM policy documents by role, asked before each task's call. A role that has none may do everything.

    policies = Policies.read(path)      # {"arn:aws:iam::123456789012:role/x": {"Statement": [...]} or a list of such}
    policies.refusal(request)           # a TaskError in AWS's words, or None

Evaluated are Effect, Action, NotAction, Resource, NotResource and the operators in CONDITIONS; a statement with another operator is refused
when the policies are read, since nobody could say what it means here. A Deny goes before every Allow; what nothing allows is denied.

The policy of a topic or queue here is asked, too: a role of another account needs its Allow besides its own, one of this account either.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from stepwell.asl import messages
from stepwell.asl.jsontext import JsonFault, loads
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.resources import Resource
from stepwell.engine.arns import Home
from stepwell.engine.tasks import TaskError, TaskRequest
from stepwell.integrations import service

_SDK: Final = "aws-sdk:"
_ANY: Final = "*"
# call -> IAM's action, where it is not SERVICE:Operation
_ACTIONS: Final = {
    "lambda:invoke": "lambda:InvokeFunction",
    "http:invoke": "states:InvokeHTTPEndpoint",
    "apigateway:invoke": "execute-api:Invoke",
    "elasticmapreduce:createCluster": "elasticmapreduce:RunJobFlow",
    "elasticmapreduce:terminateCluster": "elasticmapreduce:TerminateJobFlows",
    "elasticmapreduce:addStep": "elasticmapreduce:AddJobFlowSteps",
    "elasticmapreduce:cancelStep": "elasticmapreduce:CancelSteps",
}
# service of an optimised integration -> (error, as causes call it)
_ERRORS: Final = {
    "lambda": ("Lambda.AWSLambdaException", "AWSLambda"),
    "sns": ("SNS.AuthorizationErrorException", "AmazonSNS"),
    "sqs": ("SQS.AmazonSQSException", "AmazonSQS"),
    "events": ("EventBridge.AmazonEventBridgeException", "AmazonEventBridge"),
    "states": ("StepFunctions.AWSStepFunctionsException", "AWSStepFunctions"),
    "dynamodb": ("DynamoDB.AmazonDynamoDBException", "AmazonDynamoDBv2"),
    "ecs": ("ECS.AccessDeniedException", "AmazonECS"),
    "batch": ("Batch.AWSBatchException", "AWSBatch"),
    "glue": ("Glue.AccessDeniedException", "AWSGlue"),
    "sagemaker": ("SageMaker.AmazonSageMakerException", "AmazonSageMaker"),
}
# parameters whose value names the resource: as an ARN, or a name that _ARNS completes
_NAMED: Final = (
    "FunctionName", "TopicArn", "TargetArn", "QueueUrl", "StateMachineArn", "ExecutionArn", "ActivityArn", "TableName", "SecretId",
    "Bucket", "JobDefinition", "TaskDefinition", "ResourceArn",
)  # fmt: skip
_ARNS: Final = {
    "TableName": "arn:{partition}:dynamodb:{region}:{account}:table/{name}",
    "FunctionName": "arn:{partition}:lambda:{region}:{account}:function:{name}",
    "QueueUrl": "arn:{partition}:sqs:{region}:{account}:{name}",
    "Bucket": "arn:{partition}:s3:::{name}",
    "SecretId": "arn:{partition}:secretsmanager:{region}:{account}:secret:{name}",
}


class PolicyFault(ValueError):
    """Why policies cannot be used."""


class Policies:
    """given: role ARN -> a policy document, or a list of them. Raises PolicyFault."""

    def __init__(self, given: Mapping[str, Any], home: Home | None = None) -> None:
        self.home = home or Home()
        self.of_resource: Callable[[str], str | None] = lambda arn: None  # the policy of a topic or queue here, "" without statements
        self._statements: dict[str, list[Mapping[str, Any]]] = {}
        for role, documents in given.items():
            listed = documents if isinstance(documents, list) else [documents]
            self._statements[role] = [_checked(each, role) for document in listed for each in _statements(document, role)]

    @classmethod
    def read(cls, path: Path, limits: Limits = DEFAULT_LIMITS) -> Policies:
        """Raises PolicyFault."""
        try:
            given = loads(path.read_bytes())
        except (OSError, JsonFault) as fault:
            raise PolicyFault(f"{path}: {fault}") from None
        if not isinstance(given, dict):
            raise PolicyFault(f"{path}: must be an object of role ARNs and their policies")
        return cls(given)

    def refusal(self, request: TaskRequest) -> TaskError | None:
        statements = self._statements.get(request.role_arn)
        if statements is None:
            return None
        action, resources, context = action_of(request.resource), self._resources(request), self._context(request)
        for resource in resources:
            own, policy = _denied(statements, action, resource, context), self.of_resource(resource)
            theirs = False if policy is None else _denied(_for(policy, request.role_arn), action, resource, context)
            foreign = policy is not None and resource.split(":")[4] != context["aws:principalaccount"]
            neither = own is False and theirs is False
            for denied, kind in ((own, "identity"), (theirs, "resource")):
                if denied or (denied is False and (foreign or neither)):
                    return self._error(request, action, resource, denied, kind)
        return None

    def _context(self, request: TaskRequest) -> dict[str, str]:
        return {
            "aws:requestedregion": self.home.region,
            "aws:principalarn": request.role_arn,
            "aws:principalaccount": request.role_arn.split(":")[4],
            "aws:sourcearn": request.machine_arn,
            "aws:sourceaccount": self.home.account,
            "states:httpmethod": _text(request.payload, "Method"),
            "states:httpendpoint": _text(request.payload, "ApiEndpoint"),
        }

    def _resources(self, request: TaskRequest) -> list[str]:
        """ARNs that a call is about; "*" if nothing here knows."""
        resource, payload = request.resource, request.payload
        if resource.kind in ("lambda", "local"):
            return [resource.text]
        if resource.service == "http":
            return [request.machine_arn]
        if resource.service == "events" and isinstance(payload, dict):
            entries = payload.get("Entries")
            buses = {_text(each, "EventBusName") or "default" for each in entries} if isinstance(entries, list) else {"default"}
            return sorted(
                bus if bus.startswith("arn:") else self._arn("arn:{partition}:events:{region}:{account}:event-bus/{name}", bus)
                for bus in buses
            )
        for name in _NAMED:
            value = _text(payload, name)
            if value and name == "QueueUrl":
                value = value.rpartition("/")[2]
            if value:
                return [value if value.startswith("arn:") or name not in _ARNS else self._arn(_ARNS[name], value)]
        return [_ANY]

    def _arn(self, form: str, name: str) -> str:
        return form.format(partition=self.home.partition, region=self.home.region, account=self.home.account, name=name)

    def _error(self, request: TaskRequest, action: str, resource: str, explicit: bool, kind: str) -> TaskError:
        account, _, role = request.role_arn.split(":", 4)[4].partition(":role/")
        session = request.execution_arn.rpartition(":")[2]
        user = f"arn:{self.home.partition}:sts::{account}:assumed-role/{role.rpartition('/')[2]}/{session}"
        why = (messages.DENIED_EXPLICITLY if explicit else messages.DENIED_IMPLICITLY).format(
            article="an" if kind == "identity" else "a", kind=kind, action=action
        )
        text = messages.ACCESS_DENIED.format(user=user, action=action, resource=resource, why=why)
        id, name = service.request_id(request.token), request.resource.service
        if name.startswith(_SDK):
            from stepwell.integrations.models import java_name, model_of

            model = model_of(name.removeprefix(_SDK))
            prefix = java_name(str(model.service_id)) if model is not None else name.removeprefix(_SDK)
            cause = messages.SDK_FAULT.format(message=text, service=prefix, status=403, request=id, extended="")
            return TaskError(f"{prefix}.{prefix}Exception", cause)
        if name not in _ERRORS:
            return TaskError(messages.TASK_FAILED, text)
        error, label = _ERRORS[name]
        return service.service_error(error, label, 403, "AccessDeniedException", text, id)


def action_of(resource: Resource) -> str:
    """states:StartExecution, as IAM calls what a Resource does."""
    if resource.kind in ("lambda", "local"):
        return _ACTIONS["lambda:invoke"]
    call = f"{resource.service}:{resource.action}"
    if call in _ACTIONS:
        return _ACTIONS[call]
    operation = resource.action[:1].upper() + resource.action[1:]
    if not resource.service.startswith(_SDK):
        return f"{resource.service}:{operation}"
    from stepwell.integrations.models import model_of, operation_of

    name = resource.service.removeprefix(_SDK)
    model, found = model_of(name), operation_of(name, resource.action)
    return f"{model.signing_name if model else name}:{found.name if found else operation}"


# --- evaluation --------------------------------------------------------------------------------------------------------------


def _denied(statements: Sequence[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str]) -> bool | None:
    """None: allowed. True: a statement denies it; False: none allows it."""
    effects = {each["Effect"] for each in statements if _applies(each, action, resource, context)}
    return True if "Deny" in effects else None if "Allow" in effects else False


def _for(policy: str, role_arn: str) -> list[Mapping[str, Any]]:
    """The statements of a resource's policy that are about a role. What cannot be evaluated here allows nothing, and denies."""
    account = role_arn.split(":")[4]
    names = {_ANY, account, role_arn, f"{':'.join(role_arn.split(':')[:4])}:{account}:root"}
    found: list[Mapping[str, Any]] = []
    given = loads(policy) if policy else {}
    for statement in _listed_objects(given.get("Statement") if isinstance(given, dict) else None):
        principal = statement.get("Principal")
        if names.isdisjoint(_listed(principal.get("AWS", []) if isinstance(principal, dict) else principal)):
            continue
        try:
            found.append(_checked(statement, role_arn))
        except PolicyFault:
            if statement.get("Effect") == "Deny":
                found.append({"Effect": "Deny", "Action": _ANY, "Resource": _ANY})
    return found


def _listed_objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    named = _among(statement, "Action", action.lower(), str.lower) and _among(statement, "Resource", resource, str)
    return named and all(
        CONDITIONS[operator.removesuffix("IfExists")](context.get(key.lower()), _listed(wanted), operator.endswith("IfExists"))
        for operator, keys in (statement.get("Condition") or {}).items()
        for key, wanted in keys.items()
    )


def _among(statement: Mapping[str, Any], name: str, value: str, fold: Callable[[str], str]) -> bool:
    if f"Not{name}" in statement:
        return not any(_like(value, fold(each)) for each in _listed(statement[f"Not{name}"]))
    return any(_like(value, fold(each)) for each in _listed(statement[name]))


def _listed(value: Any) -> list[str]:
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in (value if isinstance(value, list) else [value])]


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(text.replace("[", "[[]")))


def _like(value: str, wanted: str) -> bool:
    """`*` and `?` stand for any letters and for one."""
    return wanted in (value, _ANY) or _pattern(wanted).match(value) is not None


def _any(test: Callable[[str, str], bool], negated: bool = False) -> Callable[[str | None, list[str], bool], bool]:
    """A key that is not there fits a negated operator, and ...IfExists."""

    def fits(value: str | None, wanted: list[str], if_exists: bool) -> bool:
        if not value:
            return if_exists or negated
        return any(test(value, each) for each in wanted) is not negated

    return fits


def _in_network(value: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


CONDITIONS: Final[Mapping[str, Callable[[str | None, list[str], bool], bool]]] = {
    "StringEquals": _any(str.__eq__),
    "StringNotEquals": _any(str.__eq__, True),
    "StringEqualsIgnoreCase": _any(lambda value, wanted: value.lower() == wanted.lower()),
    "StringNotEqualsIgnoreCase": _any(lambda value, wanted: value.lower() == wanted.lower(), True),
    "StringLike": _any(_like),
    "StringNotLike": _any(_like, True),
    "ArnEquals": _any(_like),
    "ArnLike": _any(_like),
    "ArnNotEquals": _any(_like, True),
    "ArnNotLike": _any(_like, True),
    "Bool": _any(str.__eq__),
    "IpAddress": _any(_in_network),
    "NotIpAddress": _any(_in_network, True),
    "Null": lambda value, wanted, if_exists: (not value) == (wanted == ["true"]),
}


# --- reading -----------------------------------------------------------------------------------------------------------------


def _statements(document: Any, role: str) -> list[Any]:
    statements = document.get("Statement") if isinstance(document, dict) else None
    if isinstance(statements, dict):
        return [statements]
    if not isinstance(statements, list):
        raise PolicyFault(f"{role}: a policy document has a Statement")
    return statements


def _checked(statement: Any, role: str) -> Mapping[str, Any]:
    if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyFault(f"{role}: the Effect of a statement is Allow or Deny")
    for name in ("Action", "Resource"):
        if (name in statement) == (f"Not{name}" in statement):
            raise PolicyFault(f"{role}: a statement has one of {name} and Not{name}")
    for operator in statement.get("Condition") or {}:
        if operator.removesuffix("IfExists") not in CONDITIONS:
            raise PolicyFault(f"{role}: the condition operator {operator} is not evaluated here")
    return statement


def _text(payload: Any, name: str) -> str:
    value = payload.get(name) if isinstance(payload, dict) else None
    return value if isinstance(value, str) else ""
