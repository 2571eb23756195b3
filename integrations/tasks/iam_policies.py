"""IAM policies of execution roles, evaluated before each call of a task. A role without policies
may do everything.

    policies = Policies.read(path)  # {"arn:aws:iam::123456789012:role/x": {"Statement": [...]}},
                                    # or a list of documents for a role
    policies.refusal(request)       # a TaskError in AWS's words, or None

Evaluated are Effect, Action, NotAction, Resource, NotResource and the operators in CONDITIONS; a
statement with another operator makes the policies invalid. A Deny takes precedence over every
Allow; without an Allow a call is denied.

The policies of embedded topics and queues are evaluated too: a role of another account needs an
Allow in both policies, a role of this account in one of them.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from stepwell.asl import messages as asl_messages
from stepwell.asl.json_text import JsonError, loads
from stepwell.engine.arns import Home
from stepwell.engine.tasks import TaskError, TaskRequest
from stepwell.integrations import requests
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.tasks import messages
from stepwell.integrations.tasks.iam_names import SDK, Call, Request, calls

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

_ANY: Final = "*"
_PORTS: Final = {"http": 80, "https": 443}
# ${aws:PrincipalAccount}; ${*}, ${?} and ${$} are these characters
_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_STAR, _MARK = "\ue000", "\ue001"  # in a pattern: the characters * and ?
_LITERAL: Final = {"*": _STAR, "?": _MARK, "$": "$"}
# service of an optimised integration -> (error, label in causes)
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


class PolicyError(ValueError):
    """Policies are invalid; the text says why."""


class Policies:
    """by_role: role ARN -> a policy document, or a list of them. Raises PolicyError."""

    def __init__(self, by_role: Mapping[str, Any], home: Home | None = None) -> None:
        self.home = home or Home()
        self.host: Host | None = None  # its services resolve names
        # ARN -> policy of an embedded topic or queue, "" without statements; None: not embedded
        self.of_resource: Callable[[str], str | None] = lambda arn: None
        self._statements: dict[str, list[Mapping[str, Any]]] = {}
        for role, documents in by_role.items():
            listed = documents if isinstance(documents, list) else [documents]
            self._statements[role] = [
                _checked(each, role) for document in listed for each in _statements(document, role)
            ]

    @classmethod
    def read(cls, path: Path, limits: Limits = DEFAULT_LIMITS) -> Policies:
        """Raises PolicyError."""
        try:
            by_role = loads(path.read_bytes())
        except (OSError, JsonError) as error:
            raise PolicyError(f"{path}: {error}") from None
        if not isinstance(by_role, dict):
            raise PolicyError(f"{path}: must be an object of role ARNs and their policies")
        return cls(by_role)

    def refusal(self, request: Request) -> TaskError | None:
        statements = self._statements.get(request.role_arn)
        if statements is None:
            return None
        context = self._context(request)
        for call in calls(request, self.home, self.host):
            own, policy = _denied(statements, call, context), self.of_resource(call.subject.arn)
            of_policy = (
                False if policy is None else _denied(_for(policy, request.role_arn), call, context)
            )
            foreign = (
                policy is not None
                and call.subject.arn.split(":")[4] != context["aws:principalaccount"]
            )
            allowed_by_none = own is False and of_policy is False
            for denied, kind in ((own, "identity"), (of_policy, "resource")):
                if denied or (denied is False and (foreign or allowed_by_none)):
                    return self._error(request, call.action, call.subject.arn, denied, kind)
        return None

    def _context(self, request: Request) -> dict[str, str]:
        return {
            "aws:requestedregion": self.home.region,
            "aws:principalarn": request.role_arn,
            "aws:principalaccount": request.role_arn.split(":")[4],
            "aws:sourcearn": request.machine_arn,
            "aws:sourceaccount": self.home.account,
            "states:httpmethod": _text(request.payload, "Method"),
            "states:httpendpoint": _text(request.payload, "ApiEndpoint"),
        }

    def _error(
        self, request: Request, action: str, resource: str, explicit: bool, kind: str
    ) -> TaskError:
        account, _, role = request.role_arn.split(":", 4)[4].partition(":role/")
        session = request.execution_arn.rpartition(":")[2]
        role_session = f"{role.rpartition('/')[2]}/{session}"
        user = f"arn:{self.home.partition}:sts::{account}:assumed-role/{role_session}"
        why = (messages.DENIED_EXPLICITLY if explicit else messages.DENIED_IMPLICITLY).format(
            article="an" if kind == "identity" else "a", kind=kind, action=action
        )
        text = messages.ACCESS_DENIED.format(user=user, action=action, resource=resource, why=why)
        name = request.resource.service
        if name == "s3":  # of a Map Run
            return TaskError(
                asl_messages.RESULT_WRITER_FAILED
                if request.resource.action == "putObject"
                else asl_messages.ITEM_READER_FAILED,
                text,
            )
        assert isinstance(request, TaskRequest)  # streams are those of Map Runs
        id = requests.request_id(request.token)
        if name.startswith(SDK):
            from stepwell.integrations.aws.models import java_name, model_of

            model = model_of(name.removeprefix(SDK))
            prefix = (
                java_name(str(model.service_id)) if model is not None else name.removeprefix(SDK)
            )
            cause = messages.SDK_FAULT.format(
                message=text, service=prefix, status=403, request=id, extended=""
            )
            return TaskError(f"{prefix}.{prefix}Exception", cause)
        if name not in _ERRORS:
            return TaskError(asl_messages.TASK_FAILED, text)
        error, label = _ERRORS[name]
        return requests.service_error(error, label, 403, "AccessDeniedException", text, id)


# --- evaluation -----------------------------------------------------------------------------------


def _denied(
    statements: Sequence[Mapping[str, Any]], call: Call, context: Mapping[str, str]
) -> bool | None:
    """None: allowed. True: denied by a statement; False: allowed by none."""
    effects = {
        each["Effect"] for each in statements if _APPLIES[each["Effect"]](each, call, context)
    }
    return True if "Deny" in effects else None if "Allow" in effects else False


def _allows(statement: Mapping[str, Any], call: Call, context: Mapping[str, str]) -> bool:
    """Whether an Allow applies: by IAM's names of action and resource."""
    named = _names(statement, "Action")(call.action.lower()) and _names(
        statement, "Resource", context
    )(call.subject.arn)
    return named and _fits(statement, context)


def _denies(statement: Mapping[str, Any], call: Call, context: Mapping[str, str]) -> bool:
    """Whether a Deny applies: by all names of action and resource; an unresolved resource may be
    any.
    """
    actions, resources, subject = (
        _names(statement, "Action"),
        _names(statement, "Resource", context),
        call.subject,
    )
    spelled = [call.action.lower()] if "NotAction" in statement else call.spellings
    also = () if "NotResource" in statement else subject.also
    named = any(map(actions, spelled)) and (
        not subject.resolved or any(map(resources, (subject.arn, *also)))
    )
    return named and (_fits(statement, context) or _fits(statement, _normalised(context)))


_APPLIES: Final = {"Allow": _allows, "Deny": _denies}


def _for(policy: str, role_arn: str) -> list[Mapping[str, Any]]:
    """The statements of a resource's policy that apply to a role. A statement that cannot be
    evaluated allows nothing; as a Deny it denies everything.
    """
    account = role_arn.split(":")[4]
    names = {_ANY, account, role_arn, f"{':'.join(role_arn.split(':')[:4])}:{account}:root"}
    sessions = (
        f"arn:{role_arn.split(':')[1]}:sts::{account}:assumed-role/{role_arn.rpartition('/')[2]}/"
    )
    applying: list[Mapping[str, Any]] = []
    document = loads(policy) if policy else {}
    for statement in _listed_objects(
        document.get("Statement") if isinstance(document, dict) else None
    ):
        excludes = statement.get("Effect") == "Deny" and "NotPrincipal" in statement
        principal = statement.get("NotPrincipal" if excludes else "Principal")
        listed = _listed(principal.get("AWS", []) if isinstance(principal, dict) else principal)
        session = (
            any(each.startswith(sessions) for each in listed) and statement.get("Effect") == "Deny"
        )  # the session is unknown
        if (role_arn in listed) if excludes else (names.isdisjoint(listed) and not session):
            continue
        try:
            applying.append(_checked(statement, role_arn))
        except PolicyError:
            if statement.get("Effect") == "Deny":
                applying.append({"Effect": "Deny", "Action": _ANY, "Resource": _ANY})
    return applying


def _listed_objects(value: Any) -> list[dict[str, Any]]:
    return [
        each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)
    ]


def _fits(statement: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    return all(
        CONDITIONS[operator.removesuffix("IfExists")](
            context.get(key.lower()), _listed(wanted), operator.endswith("IfExists")
        )
        for operator, keys in (statement.get("Condition") or {}).items()
        for key, wanted in keys.items()
    )


def _names(
    statement: Mapping[str, Any], name: str, variables: Mapping[str, str] | None = None
) -> Callable[[str], bool]:
    """Whether a statement's (Not)Action or (Not)Resource matches a value. variables: of IAM; None
    for actions, which have none.
    """
    negated = f"Not{name}" in statement
    wanted = _listed(statement[f"Not{name}" if negated else name])
    if variables is None:
        patterns = [each.lower() for each in wanted]
    else:
        # an unknown variable makes a Deny match more, and an Allow less
        unknown = _ANY if (statement["Effect"] == "Deny") is not negated else None
        patterns = [
            each for text in wanted if (each := _filled(text, variables, unknown)) is not None
        ]
    return lambda value: any(_like(value, each) for each in patterns) is not negated


def _filled(text: str, variables: Mapping[str, str], unknown: str | None) -> str | None:
    """A pattern with its variables replaced; None if one has no value and `unknown` is None."""
    parts = _VARIABLE.split(text)
    values = [_LITERAL.get(each) or variables.get(each.lower()) or unknown for each in parts[1::2]]
    if None in values:
        return None
    parts[1::2] = map(str, values)
    return "".join(parts)


def _normalised(context: Mapping[str, str]) -> Mapping[str, str]:
    """The context with a normalised URL: host in lower case, no default port, no dots or escapes in
    the path.
    """
    parts = urlsplit(context["states:httpendpoint"])
    try:
        port = parts.port
    except ValueError:
        port = None
    host = (parts.hostname or "").rstrip(".")
    address = host if port in (None, _PORTS.get(parts.scheme)) else f"{host}:{port}"
    path = posixpath.normpath(unquote(parts.path)).replace("//", "/") + (
        "/" if parts.path.endswith("/") and parts.path != "/" else ""
    )
    query = f"?{parts.query}" if parts.query else ""
    return {
        **context,
        "states:httpendpoint": f"{parts.scheme}://{address}{path if parts.path else ''}{query}"
        if host
        else "",
    }


def _listed(value: Any) -> list[str]:
    return [
        str(each).lower() if isinstance(each, bool) else str(each)
        for each in (value if isinstance(value, list) else [value])
    ]


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(
        fnmatch.translate(text.replace("[", "[[]").replace(_STAR, "[*]").replace(_MARK, "[?]"))
    )


def _like(value: str, wanted: str) -> bool:
    """`*` matches any text, `?` one character."""
    return wanted in (value, _ANY) or _pattern(wanted).match(value) is not None


def _any(
    test: Callable[[str, str], bool], negated: bool = False
) -> Callable[[str | None, list[str], bool], bool]:
    """An operator. A missing key matches a negated one, and ...IfExists."""

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


# --- reading --------------------------------------------------------------------------------------


def _statements(document: Any, role: str) -> list[Any]:
    statements = document.get("Statement") if isinstance(document, dict) else None
    if isinstance(statements, dict):
        return [statements]
    if not isinstance(statements, list):
        raise PolicyError(f"{role}: a policy document has a Statement")
    return statements


def _checked(statement: Any, role: str) -> Mapping[str, Any]:
    if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"{role}: the Effect of a statement is Allow or Deny")
    for name in ("Action", "Resource"):
        if (name in statement) == (f"Not{name}" in statement):
            raise PolicyError(f"{role}: a statement has one of {name} and Not{name}")
    for operator in statement.get("Condition") or {}:
        if operator.removesuffix("IfExists") not in CONDITIONS:
            raise PolicyError(f"{role}: the condition operator {operator} is not evaluated here")
    return statement


def _text(payload: Any, name: str) -> str:
    value = payload.get(name) if isinstance(payload, dict) else None
    return value if isinstance(value, str) else ""
