"""What a task's call is called in IAM: its actions, and the resources that it is about.

    calls(request, home, host) -> [Call("sqs:SendMessage", {...},
    Subject("arn:aws:sqs:us-east-1:123456789012:orders"))]

A resource can be spelled in many ways: a queue by URL, ARN or name, a function by name, partial ARN
or alias. Each spelling is resolved as the service that serves it here resolves it; what IAM
compares is the ARN that comes of it. A Deny must hold for every spelling, so a Subject also has the
other ARNs of the same thing, and says if it could not be resolved: then a Deny of any resource
matches.
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
from stepwell.engine.tasks import TaskRequest
from stepwell.integrations.aws.calls import embedded

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

SDK: Final = "aws-sdk:"
ANY: Final = "*"
INVOKE: Final = "lambda:InvokeFunction"

# botocore's name of a service -> IAM's prefix, where that is not the name in its signatures
_PREFIXES: Final = {
    "cloudwatch": "cloudwatch",
    "iot-data": "iot",
    "iot-jobs-data": "iotjobsdata",
    "resourcegroupstaggingapi": "tag",
}
_PARTIQL: Final = tuple(
    f"dynamodb:PartiQL{verb}" for verb in ("Select", "Insert", "Update", "Delete")
)
# botocore's service, and operation -> IAM's actions, where that is not PREFIX:Operation
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
# DynamoDB's members of one item of a transaction -> its action
_TRANSACTED: Final = {
    f"{each.removesuffix('Item')}": each
    for each in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem")
}
# an optimised integration -> its operation, where that is not the action with a capital
_OPERATIONS: Final = {
    "elasticmapreduce:createCluster": "RunJobFlow",
    "elasticmapreduce:terminateCluster": "TerminateJobFlows",
    "elasticmapreduce:addStep": "AddJobFlowSteps",
    "elasticmapreduce:cancelStep": "CancelSteps",
}
# Calls that no model has.
_UNMODELLED: Final = {
    "http:invoke": "states:InvokeHTTPEndpoint",
    "apigateway:invoke": "execute-api:Invoke",
}
_BUCKET: Final = re.compile(r"[A-Za-z0-9._-]+")  # any S3 of others included
_FULL_SECRET: Final = re.compile(r"arn:[\w-]+:secretsmanager:[\w-]*:\d*:secret:.+-[A-Za-z0-9]{6}")


class Subject(NamedTuple):
    """arn: as IAM names it, also in refusals. also: other ARNs of the same thing. resolved: whether
    these are all that it can be.
    """

    arn: str
    also: tuple[str, ...] = ()
    resolved: bool = True


class Call(NamedTuple):
    """action: in IAM's words. spellings: these and what else it may be called, in small letters."""

    action: str
    spellings: frozenset[str]
    subject: Subject


UNRESOLVED: Final = Subject(ANY, (), False)


def calls(request: TaskRequest, home: Home, host: Host | None) -> list[Call]:
    """All that IAM has to allow. host: None if there is nothing that could resolve names."""
    about = _about(request.resource)
    if about.service == "" and request.resource.service == "http":
        return [
            Call(action, about.spellings, Subject(request.machine_arn)) for action in about.actions
        ]
    found = _SERVICES.get(about.service, _unknown)(_Names(home, host, request, about))
    return [
        Call(action, about.spellings if own is None else frozenset({action.lower()}), subject)
        for own, subject in found
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
    found = None if call in _UNMODELLED else operation_of(name, operation)
    if found is None:
        own = _UNMODELLED.get(call, f"{name}:{operation}")
        return _About("", "", (own,), frozenset({own.lower()}))
    model = found.service_model
    service, signing = model.service_name, str(model.signing_name)
    prefix = _PREFIXES.get(service, signing)
    plain = (
        f"{prefix}:{found.http['method']}" if prefix == "apigateway" else f"{prefix}:{found.name}"
    )
    actions = _ACTIONS.get(f"{service}.{found.name}", (plain,))
    prefixes = {
        prefix,
        name,
        service,
        signing,
        str(model.endpoint_prefix),
        str(model.service_id).replace(" ", ""),
    }
    spellings = (*actions, *(f"{each}:{found.name}" for each in prefixes))
    return _About(service, found.name, actions, frozenset(each.lower() for each in spellings))


# --- resources: [(an action of its own or None, subject), ...] by service -------------------------

Found = list[tuple[str | None, Subject]]


class _Names:
    """The parameters of a call, and how its service makes an ARN of a name."""

    def __init__(self, home: Home, host: Host | None, request: TaskRequest, about: _About) -> None:
        self.home, self.request, self.about = home, request, about
        self.host = host
        self.here = host is not None and embedded(host, about.service)
        self.service = (
            host.services.opened(about.service)
            if host is not None and self.here and about.service in host.services
            else None
        )

    def text(self, *members: str) -> list[str]:
        """The values of parameters, in any capitals and as texts, as they are sent: of what is
        given twice any may count.
        """
        return [each for member in members for each in _texts(self.request.payload, member)]

    def arn(self, service: str, name: str) -> str:
        return self.home.service_arn(service, name)

    def own(self, arn: str) -> str:
        """An ARN as this account and region would have it."""
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


def _one_or_more(found: Iterable[Subject]) -> Found:
    return [(None, each) for each in found] or [(None, UNRESOLVED)]


def _functions(names: _Names) -> Found:
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
    """A qualified ARN is another than that of the function, and than that of the versions behind an
    alias: a Deny of each holds.
    """
    if names.host is None:
        return Subject(reference, (), False)
    functions = names.host.functions
    name, given = functions.parse(reference, qualifier)
    here = functions.find(reference, qualifier) is not None
    if name is None:
        return Subject(reference, (), here)  # a callable that was registered under this very text
    whole, own = functions.arn(reference, qualifier), names.arn("lambda", f"function:{name}")
    stored = names.service.store.functions.get(name) if names.service is not None else None
    alias = stored.aliases.get(given, {}) if stored is not None else {}
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    versions = [each for each in (alias.get("FunctionVersion"), *weights) if each]
    local = names.request.resource.kind == "local"
    primary = reference if local else f"{own}:{given}" if here and given else own if here else whole
    plain = whole.removesuffix(f":{given}") if given else whole
    others = (whole, plain, own, *(f"{own}:{each}" for each in (given or "$LATEST", *versions)))
    return names.subject(
        primary, *others, resolved=here or reference == name or reference.startswith("arn:")
    )


def _queues(names: _Names) -> Found:
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


def _topics(names: _Names) -> Found:
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


def _machines(names: _Names) -> Found:
    """Of a version or an alias the machine counts."""
    machines = ("StateMachineArn", "StateMachineVersionArn", "StateMachineAliasArn")
    found = []
    for each in names.text(*machines, "ExecutionArn", "ActivityArn", "MapRunArn", "ResourceArn"):
        machine = ":".join(each.split(":")[:7]) if ":stateMachine:" in each else each
        found.append(names.subject(machine, each))
    return _one_or_more(found)


def _buses(names: _Names) -> Found:
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
    """The service takes what is behind the last slash, whatever is before it."""
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


def _tables(names: _Names) -> Found:
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


def _objects(names: _Names) -> Found:
    if not names.request.resource.service.startswith(SDK):
        return _datasets(names)
    keys = names.text("Key")
    found: Found = [
        (None, _object(names, bucket, key))
        for bucket in names.text("Bucket")
        for key in keys or [""]
    ]
    found += [("s3:GetObject", _object(names, *_source(each))) for each in names.text("CopySource")]
    if names.about.operation == "DeleteObjects":
        found = [(own, subject._replace(resolved=False)) for own, subject in found]
    return found or [(None, UNRESOLVED)]


def _datasets(names: _Names) -> Found:
    """What a Map Run reads and writes (s3.py). Which files a manifest or a listing names is not
    known before it is read.
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
    found: Found = [(None, _object(names, bucket, key))]
    config = ReaderConfig.model_validate(next(_values(names.request.payload, "ReaderConfig")))
    if (
        config.transformation == "LOAD_AND_FLATTEN"
        or config.input_type == "MANIFEST"
        or config.manifest_type == "ATHENA_DATA"
    ):
        file = _object(names, bucket, key or f"{''.join(names.text('Prefix'))}*")
        found.append(("s3:GetObject", file._replace(resolved=False)))
    return found


def _object(names: _Names, bucket: str, key: str) -> Subject:
    """An access point, by ARN or alias, leads to a bucket that nothing here knows."""
    resolved = _BUCKET.fullmatch(bucket) is not None and not bucket.endswith(
        ("-s3alias", "--ol-s3")
    )
    return Subject(
        f"arn:{names.home.partition}:s3:::{bucket}{'/' if key else ''}{key}", (), resolved
    )


def _source(text: str) -> tuple[str, str]:
    bucket, _, key = unquote(text.partition("?versionId=")[0]).removeprefix("/").partition("/")
    return bucket, key


def _secrets(names: _Names) -> Found:
    """AWS adds six letters to the name, which a name or part of an ARN leaves out."""
    ids = names.text("SecretId")
    arns = [
        each if each.startswith("arn:") else names.arn("secretsmanager", f"secret:{each}")
        for each in ids
    ]
    return _one_or_more(
        names.subject(arn, resolved=bool(_FULL_SECRET.fullmatch(each)))
        for arn, each in zip(arns, ids)
    )


# parameters whose value may name the resource of a call of another service
_NAMED: Final = ("TopicArn", "TargetArn", "JobDefinition", "TaskDefinition", "ResourceArn")


def _unknown(names: _Names) -> Found:
    found: Sequence[str] = names.text(*_NAMED)
    return [(None, Subject(found[0] if found else ANY, (), False))]


_SERVICES: Final[Mapping[str, Callable[[_Names], Found]]] = {
    "lambda": _functions,
    "sqs": _queues,
    "sns": _topics,
    "stepfunctions": _machines,
    "events": _buses,
    "dynamodb": _tables,
    "s3": _objects,
    "secretsmanager": _secrets,
}
