"""The IAM names of a task's call: its actions and resources.

    calls(request, home, host) -> [Call("sqs:SendMessage", {...},
    Subject("arn:aws:sqs:us-east-1:123456789012:orders"))]

A resource has several names: a queue has a URL, ARN and name, a function has a name, partial ARN or
alias. The embedded service resolves them to the ARN that IAM compares. A Deny must hold for every
name, so a Subject also has the other ARNs of the resource, and whether it could be resolved: if
not, a Deny of any resource matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from stepwell.asl.definition import ReaderConfig
from stepwell.asl.json_text import dumps
from stepwell.asl.resources import Resource
from stepwell.engine.arns import Home
from stepwell.engine.errors import ApiError
from stepwell.engine.map_runs.datasets import StreamRequest
from stepwell.engine.tasks import TaskRequest
from stepwell.integrations.aws.calls import embedded

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

SDK: Final = "aws-sdk:"
Request = TaskRequest | StreamRequest
ANY: Final = "*"
INVOKE: Final = "lambda:InvokeFunction"

# botocore's name of a service -> IAM's prefix, if it is not the signing name
_PREFIXES: Final = {
    "cloudwatch": "cloudwatch",
    "iot-data": "iot",
    "iot-jobs-data": "iotjobsdata",
    "resourcegroupstaggingapi": "tag",
}
_PARTIQL: Final = tuple(
    f"dynamodb:PartiQL{verb}" for verb in ("Select", "Insert", "Update", "Delete")
)
# botocore's service and operation -> IAM's actions, if they are not PREFIX:Operation
_ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "lambda.Invoke": (INVOKE,),
    "lambda.InvokeAsync": (INVOKE, "lambda:InvokeAsync"),
    "lambda.InvokeWithResponseStream": (INVOKE,),
    "sqs.SendMessageBatch": ("sqs:SendMessage",),
    "sqs.DeleteMessageBatch": ("sqs:DeleteMessage",),
    "sqs.ChangeMessageVisibilityBatch": ("sqs:ChangeMessageVisibility",),
    "sns.PublishBatch": ("sns:Publish",),
    "dynamodb.ExecuteStatement": _PARTIQL,
    "dynamodb.BatchExecuteStatement": _PARTIQL,
    "dynamodb.ExecuteTransaction": _PARTIQL,
    "secretsmanager.BatchGetSecretValue": (
        "secretsmanager:BatchGetSecretValue",
        "secretsmanager:GetSecretValue",
    ),
    "bedrock-runtime.Converse": ("bedrock:InvokeModel",),
    "bedrock-runtime.ConverseStream": ("bedrock:InvokeModelWithResponseStream",),
    "s3.HeadObject": ("s3:GetObject",),
    "s3.CopyObject": ("s3:PutObject",),
    "s3.CreateMultipartUpload": ("s3:PutObject",),
    "s3.UploadPart": ("s3:PutObject",),
    "s3.UploadPartCopy": ("s3:PutObject",),
    "s3.CompleteMultipartUpload": ("s3:PutObject",),
    "s3.DeleteObjects": ("s3:DeleteObject",),
    "s3.SelectObjectContent": ("s3:GetObject",),
    "s3.HeadBucket": ("s3:ListBucket",),
    "s3.ListObjects": ("s3:ListBucket",),
    "s3.ListObjectsV2": ("s3:ListBucket",),
    "s3.ListObjectVersions": ("s3:ListBucketVersions",),
    "s3.ListBuckets": ("s3:ListAllMyBuckets",),
}
# member of an item of a DynamoDB transaction -> action
_TRANSACTED: Final = {
    f"{each.removesuffix('Item')}": each
    for each in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem")
}
# optimised integration -> operation, if it is not the action with a capital
_OPERATIONS: Final = {
    "elasticmapreduce:createCluster": "RunJobFlow",
    "elasticmapreduce:terminateCluster": "TerminateJobFlows",
    "elasticmapreduce:addStep": "AddJobFlowSteps",
    "elasticmapreduce:cancelStep": "CancelSteps",
}
# calls without a model
_UNMODELLED: Final = {
    "http:invoke": "states:InvokeHTTPEndpoint",
    "apigateway:invoke": "execute-api:Invoke",
}
_BUCKET: Final = re.compile(r"[A-Za-z0-9._-]+")  # also for S3-compatible services
_FULL_SECRET: Final = re.compile(r"arn:[\w-]+:secretsmanager:[\w-]*:\d*:secret:.+-[A-Za-z0-9]{6}")


class Subject(NamedTuple):
    """arn: IAM's, also in error texts. also: other ARNs of the resource. resolved: whether these are
    all of its ARNs.
    """

    arn: str
    also: tuple[str, ...] = ()
    resolved: bool = True


class Call(NamedTuple):
    """action: IAM's name. spellings: this and other names of it, in lower case."""

    action: str
    spellings: frozenset[str]
    subject: Subject


UNRESOLVED: Final = Subject(ANY, (), False)


def calls(request: Request, home: Home, host: Host | None) -> list[Call]:
    """All calls that IAM must allow. host: None: names cannot be resolved."""
    about = _about(request.resource)
    if about.service == "" and request.resource.service == "http":
        return [
            Call(action, about.spellings, Subject(request.machine_arn)) for action in about.actions
        ]
    resources = _SERVICES.get(about.service, _unknown)(_Names(home, host, request, about))
    return [
        Call(action, about.spellings if own is None else frozenset({action.lower()}), subject)
        for own, subject in resources
        for action in (about.actions if own is None else (own,))
    ]


# --- actions --------------------------------------------------------------------------------------


class _About(NamedTuple):
    """service, operation: botocore's, "" if it knows none."""

    service: str
    operation: str
    actions: tuple[str, ...]
    spellings: frozenset[str]


@lru_cache(maxsize=1024)
def _about(resource: Resource) -> _About:
    if resource.kind in ("lambda", "local"):
        return _About("lambda", "Invoke", (INVOKE,), frozenset({INVOKE.lower()}))
    from stepwell.integrations.aws.models import operation_of  # botocore is imported late

    call = f"{resource.service}:{resource.action}"
    name, action = resource.service.removeprefix(SDK), resource.action
    operation = _OPERATIONS.get(call, action[:1].upper() + action[1:])
    api = None if call in _UNMODELLED else operation_of(name, operation)
    if api is None:
        own = _UNMODELLED.get(call, f"{name}:{operation}")
        return _About("", "", (own,), frozenset({own.lower()}))
    model = api.service_model
    service, signing = model.service_name, str(model.signing_name)
    prefix = _PREFIXES.get(service, signing)
    plain = f"{prefix}:{api.http['method']}" if prefix == "apigateway" else f"{prefix}:{api.name}"
    actions = _ACTIONS.get(f"{service}.{api.name}", (plain,))
    prefixes = {
        prefix,
        name,
        service,
        signing,
        str(model.endpoint_prefix),
        str(model.service_id).replace(" ", ""),
    }
    spellings = (*actions, *(f"{each}:{api.name}" for each in prefixes))
    return _About(service, api.name, actions, frozenset(each.lower() for each in spellings))


# --- resources: [(an action of its own or None, subject), ...] by service -------------------------

Resources = list[tuple[str | None, Subject]]


class _Names:
    """The parameters of a call, and how its service makes an ARN of a name."""

    def __init__(self, home: Home, host: Host | None, request: Request, about: _About) -> None:
        self.home, self.request, self.about = home, request, about
        self.host = host
        self.here = host is not None and embedded(host, about.service)
        self.service = (
            host.services.opened(about.service)
            if host is not None and self.here and about.service in host.services
            else None
        )

    def text(self, *members: str) -> list[str]:
        """The values of parameters as texts, with names in any case: if a parameter is repeated,
        each value counts.
        """
        return [each for member in members for each in _texts(self.request.payload, member)]

    def arn(self, service: str, name: str) -> str:
        return self.home.service_arn(service, name)

    def own(self, arn: str) -> str:
        """An ARN with this account and region."""
        parts, home = arn.split(":", 5), self.home
        if len(parts) < 6:
            return arn
        return ":".join(
            (
                "arn",
                home.partition,
                parts[2],
                parts[3] and home.region,
                parts[4] and home.account,
                parts[5],
            )
        )

    def subject(self, arn: str, *also: str, resolved: bool = True) -> Subject:
        others = dict.fromkeys((*also, *map(self.own, (arn, *also))))
        others.pop(arn, None)
        return Subject(arn, tuple(others), resolved)


def _values(payload: Any, member: str) -> Iterator[Any]:
    if isinstance(payload, Mapping):
        yield from (
            value
            for name, value in payload.items()
            if name.lower() == member.lower() and value is not None
        )


def _texts(payload: Any, member: str) -> Iterator[str]:
    for value in _values(payload, member):
        yield value if isinstance(value, str) else dumps(value)


def _one_or_more(found: Iterable[Subject]) -> Resources:
    return [(None, each) for each in found] or [(None, UNRESOLVED)]


def _functions(names: _Names) -> Resources:
    if names.request.resource.kind in ("lambda", "local"):
        return [(None, _function(names, names.request.resource.text, ""))]
    mappings = [
        names.subject(names.arn("lambda", f"event-source-mapping:{each}"))
        for each in names.text("UUID")
    ]
    qualifiers = names.text("Qualifier") or [""]
    return _one_or_more(
        [
            *mappings,
            *(
                _function(names, each, qualifier)
                for each in names.text("FunctionName", "Resource")
                for qualifier in qualifiers
            ),
        ]
    )


def _function(names: _Names, reference: str, qualifier: str) -> Subject:
    """The ARNs of a function, of its qualifier, and of the versions of an alias: a Deny of each of
    them holds.
    """
    if names.host is None:
        return Subject(reference, (), False)
    functions = names.host.functions
    name, qualified = functions.parse(reference, qualifier)
    here = functions.find(reference, qualifier) is not None
    if name is None:
        return Subject(reference, (), here)  # a registered callable of this name
    whole, own = functions.arn(reference, qualifier), names.arn("lambda", f"function:{name}")
    stored = names.service.store.functions.get(name) if names.service is not None else None
    alias = stored.aliases.get(qualified, {}) if stored is not None else {}
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    versions = [each for each in (alias.get("FunctionVersion"), *weights) if each]
    local = names.request.resource.kind == "local"
    primary = (
        reference
        if local
        else f"{own}:{qualified}"
        if here and qualified
        else own
        if here
        else whole
    )
    plain = whole.removesuffix(f":{qualified}") if qualified else whole
    others = (whole, plain, own, *(f"{own}:{each}" for each in (qualified or "$LATEST", *versions)))
    return names.subject(
        primary, *others, resolved=here or reference == name or reference.startswith("arn:")
    )


def _queues(names: _Names) -> Resources:
    named = [names.subject(names.arn("sqs", each)) for each in names.text("QueueName")]
    arns = [names.subject(each) for each in names.text("SourceArn", "DestinationArn")]
    return _one_or_more([*named, *arns, *(_queue(names, each) for each in names.text("QueueUrl"))])


def _queue(names: _Names, url: str) -> Subject:
    if names.service is not None:
        try:
            return names.subject(names.arn("sqs", names.service.find(url).name))
        except ApiError:
            return Subject(url, (), False)
    if url.startswith("arn:"):
        return names.subject(url)
    *_, account, name = ["", *url.rstrip("/").split("/")]
    arn = names.home.service_arn("sqs", name, account or None)
    return names.subject(arn, resolved=bool(account) and not names.here)


def _topics(names: _Names) -> Resources:
    subscriptions = [
        names.subject(each, each.rpartition(":")[0]) for each in names.text("SubscriptionArn")
    ]
    phones = [Subject(each) for each in names.text("PhoneNumber")]
    topics = [
        names.subject(each)
        for each in names.text(
            "TopicArn", "TargetArn", "ResourceArn", "EndpointArn", "PlatformApplicationArn"
        )
    ]
    return _one_or_more([*topics, *subscriptions, *phones])


def _machines(names: _Names) -> Resources:
    """The state machine, also for a version or an alias."""
    machines = ("StateMachineArn", "StateMachineVersionArn", "StateMachineAliasArn")
    subjects = []
    for each in names.text(*machines, "ExecutionArn", "ActivityArn", "MapRunArn", "ResourceArn"):
        machine = ":".join(each.split(":")[:7]) if ":stateMachine:" in each else each
        subjects.append(names.subject(machine, each))
    return _one_or_more(subjects)


def _buses(names: _Names) -> Resources:
    if names.about.operation == "PutEvents":
        entries = [
            each
            for listed in _values(names.request.payload, "Entries")
            if isinstance(listed, list)
            for each in listed
        ]
        named = [
            bus for entry in entries for bus in ([*_texts(entry, "EventBusName")] or ["default"])
        ]
        return _one_or_more(dict.fromkeys(_bus(names, each) for each in named))
    rules = names.text("Rule") or (
        names.text("Name") if names.about.operation.endswith("Rule") else []
    )
    buses = [_bus(names, each) for each in names.text("EventBusName") or ["default"]]
    return _one_or_more(
        names.subject(
            names.arn("events", f"rule/{rule}" if name == "default" else f"rule/{name}/{rule}"),
            resolved=bus.resolved,
        )
        for rule in rules
        for bus in buses
        for name in [bus.arn.rpartition("/")[2]]
    )


def _bus(names: _Names, text: str) -> Subject:
    """The service uses only the part after the last slash."""
    whole = (
        text if text.startswith("arn:") else names.arn("events", f"event-bus/{text or 'default'}")
    )
    if names.service is None:
        return names.subject(whole, resolved=not names.here)
    try:
        return names.subject(
            names.arn("events", f"event-bus/{names.service.bus_name(text)}"), whole
        )
    except ApiError:
        return names.subject(whole, resolved=False)


def _tables(names: _Names) -> Resources:
    payload, table = names.request.payload, partial(_table, names)
    if names.about.operation.startswith("Transact"):
        listed = [
            each
            for items in _values(payload, "TransactItems")
            if isinstance(items, list)
            for each in items
        ]
        return [
            (f"dynamodb:{action}", table(each))
            for item in listed
            for kind, action in _TRANSACTED.items()
            for about in _values(item, kind)
            for each in _texts(about, "TableName")
        ] or [(None, UNRESOLVED)]
    if names.about.operation.startswith("Batch"):
        return _one_or_more(
            table(each)
            for items in _values(payload, "RequestItems")
            if isinstance(items, Mapping)
            for each in items
        )
    if names.text("IndexName"):
        return _one_or_more(
            table(each, f"/index/{index}")
            for each in names.text("TableName")
            for index in names.text("IndexName")
        )
    return _one_or_more(table(each) for each in names.text("TableName"))


def _table(names: _Names, text: str, index: str = "") -> Subject:
    arn = text if text.startswith("arn:") else names.arn("dynamodb", f"table/{text}")
    return names.subject(arn + index, arn)


def _objects(names: _Names) -> Resources:
    if not names.request.resource.service.startswith(SDK):
        return _datasets(names)
    keys = names.text("Key")
    resources: Resources = [
        (None, _object(names, bucket, key))
        for bucket in names.text("Bucket")
        for key in keys or [""]
    ]
    resources += [
        ("s3:GetObject", _object(names, *_source(each))) for each in names.text("CopySource")
    ]
    if names.about.operation == "DeleteObjects":
        resources = [(own, subject._replace(resolved=False)) for own, subject in resources]
    return resources or [(None, UNRESOLVED)]


def _datasets(names: _Names) -> Resources:
    """The objects that a Map Run reads and writes. The files of a manifest or a listing are
    unknown before it is read.
    """
    (bucket, *_), key = [*names.text("Bucket"), ""], "".join(names.text("Key"))
    if names.request.resource.action == "putObject":
        folder = "/".join(
            filter(
                None,
                (
                    "".join(names.text("Prefix")).strip("/"),
                    names.text("MapRunArn")[0].rpartition(":")[2],
                ),
            )
        )
        files = (
            "manifest.json",
            *(
                f"{status}_0.{end}"
                for status in ("SUCCEEDED", "FAILED")
                for end in ("json", "jsonl")
            ),
        )
        return [(None, _object(names, bucket, f"{folder}/{each}")) for each in files]
    resources: Resources = [(None, _object(names, bucket, key))]
    config = ReaderConfig.model_validate(next(_values(names.request.payload, "ReaderConfig")))
    if (
        config.transformation == "LOAD_AND_FLATTEN"
        or config.input_type == "MANIFEST"
        or config.manifest_type == "ATHENA_DATA"
    ):
        file = _object(names, bucket, key or f"{''.join(names.text('Prefix'))}*")
        resources.append(("s3:GetObject", file._replace(resolved=False)))
    return resources


def _object(names: _Names, bucket: str, key: str) -> Subject:
    """An access point, by ARN or alias, has an unknown bucket."""
    resolved = _BUCKET.fullmatch(bucket) is not None and not bucket.endswith(
        ("-s3alias", "--ol-s3")
    )
    return Subject(
        f"arn:{names.home.partition}:s3:::{bucket}{'/' if key else ''}{key}", (), resolved
    )


def _source(text: str) -> tuple[str, str]:
    bucket, _, key = unquote(text.partition("?versionId=")[0]).removeprefix("/").partition("/")
    return bucket, key


def _secrets(names: _Names) -> Resources:
    """AWS adds six letters to the name in the ARN, which the parameter may lack."""
    ids = names.text("SecretId")
    arns = [
        each if each.startswith("arn:") else names.arn("secretsmanager", f"secret:{each}")
        for each in ids
    ]
    return _one_or_more(
        names.subject(arn, resolved=bool(_FULL_SECRET.fullmatch(each)))
        for arn, each in zip(arns, ids)
    )


# parameters that may name the resource in calls of other services
_NAMED: Final = ("TopicArn", "TargetArn", "JobDefinition", "TaskDefinition", "ResourceArn")


def _unknown(names: _Names) -> Resources:
    arns: Sequence[str] = names.text(*_NAMED)
    return [(None, Subject(arns[0] if arns else ANY, (), False))]


_SERVICES: Final[Mapping[str, Callable[[_Names], Resources]]] = {
    "lambda": _functions,
    "sqs": _queues,
    "sns": _topics,
    "stepfunctions": _machines,
    "events": _buses,
    "dynamodb": _tables,
    "s3": _objects,
    "secretsmanager": _secrets,
}
