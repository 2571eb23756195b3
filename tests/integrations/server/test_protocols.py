"""The wire protocols against botocore's own serializers and parsers: every operation of the
services, with any input and output.
"""

import base64
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.credentials import Credentials
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integrations.server.asgi import Answer, Call

from stepwell.engine.errors import ApiError
from stepwell.integrations.server.app import App, Hooks
from stepwell.integrations.server.protocols.aws_json import (
    Operation,
    Reply,
    Request,
    service_model,
    status_of,
)
from stepwell.integrations.server.protocols.table import protocols

SERVICES = ("stepfunctions", "sqs", "sns", "lambda", "events", "scheduler")
MODELS = {name: service_model(name) for name in SERVICES}
PROTOCOLS = protocols(SERVICES)
STREAMS = ("InvokeWithResponseStream",)  # answers with an event stream, which nothing here speaks
OPERATIONS = [
    (service, name)
    for service, model in MODELS.items()
    for name in model.operation_names
    if name not in STREAMS
]

TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=8
)
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
SCALARS = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**53), 2**53),
    "float": st.floats(-1e9, 1e9, width=32),
    "double": st.floats(-1e9, 1e9),
    "timestamp": st.integers(0, 2**32).map(float),
    "blob": st.binary(max_size=8),
}


def values(shape: Shape, depth: int = 3) -> st.SearchStrategy[Any]:
    """What a client may pass for a shape, and a service may answer with."""
    if isinstance(shape, StructureShape):
        if shape.is_document_type:
            return st.just({})
        inner = shape.members.items() if depth else ()
        required = {
            name: value(member, depth - 1)
            for name, member in inner
            if name in shape.required_members or at_path(member)
        }
        optional = {
            name: value(member, depth - 1) for name, member in inner if name not in required
        }
        return st.fixed_dictionaries(required, optional=optional)
    if isinstance(shape, ListShape):
        return (
            st.lists(value(shape.member, depth - 1), min_size=1, max_size=2)
            if depth
            else st.just([])
        )
    if isinstance(shape, MapShape):
        return (
            st.dictionaries(
                TEXT.filter(bool), value(shape.value, depth - 1), min_size=1, max_size=2
            )
            if depth
            else st.just({})
        )
    return SCALARS.get(shape.type_name, TEXT)


def value(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    location = shape.serialization.get("location")
    if location == "statusCode":
        return st.integers(200, 299)
    if location in ("uri", "header") and shape.type_name == "string":
        return PRINTABLE
    return values(shape, max(depth, 0))


def at_path(shape: Shape) -> bool:
    return shape.serialization.get("location") in ("uri", "statusCode")


def serialized(
    service: str, operation: OperationModel, given: dict[str, Any], signed: bool = True
) -> tuple[dict[str, Any], bytes]:
    """The scope and body of the request that botocore makes."""
    made = create_serializer(
        MODELS[service].protocol, include_validation=False
    ).serialize_to_request(given, operation)
    query = made["query_string"]
    url = "http://localhost:8083" + made["url_path"]
    if query:
        pairs = query.items() if isinstance(query, dict) else query
        url += ("&" if "?" in url else "?") + urlencode(list(pairs), doseq=True)
    body = made["body"]
    data = (
        urlencode(body, doseq=True, encoding="utf-8").encode() if isinstance(body, dict) else body
    )
    data = data.encode() if isinstance(data, str) else data
    request = AWSRequest(
        made["method"], url, {key: str(value) for key, value in made["headers"].items()}, data
    )
    if signed:
        SigV4Auth(Credentials("key", "secret"), MODELS[service].signing_name, "us-east-1").add_auth(
            request
        )
    parts = urlsplit(url)
    headers = [
        (name.lower().encode(), value.encode("latin-1")) for name, value in request.headers.items()
    ]
    scope = {
        "type": "http",
        "method": made["method"],
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "headers": headers,
    }
    return {**scope, "query_string": parts.query.encode()}, data


def plain(shape: Shape, value: Any) -> Any:
    """Timestamps as seconds, blobs as bytes, floats rounded as far as texts of them agree."""
    if isinstance(value, dict):
        inner = (
            shape.members
            if isinstance(shape, StructureShape)
            else dict.fromkeys(value, getattr(shape, "value", shape))
        )
        return {
            name: plain(inner[name], each)
            for name, each in value.items()
            if each != {} or shape.type_name == "structure"
        }
    if isinstance(value, list):
        return [plain(shape.member, each) for each in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).timestamp()
    if shape.type_name == "blob":
        return (
            value
            if isinstance(value, bytes)
            else value.read()
            if hasattr(value, "read")
            else base64.b64decode(value)
        )
    if shape.type_name in ("float", "double") and value:
        return round(value, 6 - math.ceil(math.log10(abs(value))))
    return float(value) if shape.type_name == "timestamp" else value


def without_empty(value: Any) -> Any:
    """Forms and XML do not tell an empty list or map from one that is not there, nor an empty
    payload.
    """
    if isinstance(value, dict):
        return {
            name: each
            for name, each in ((name, without_empty(each)) for name, each in value.items())
            if each not in ({}, [], b"", "")
        }
    return [without_empty(each) for each in value] if isinstance(value, list) else value


SETTINGS = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
@SETTINGS
@given(data=st.data())
def test_what_botocore_sends_arrives(service: str, name: str, data: st.DataObject) -> None:
    operation = MODELS[service].operation_model(name)
    sent = data.draw(values(operation.input_shape)) if operation.input_shape else {}
    scope, body = serialized(service, operation, sent)
    request = Request(scope, "id")
    early = next((found for protocol in PROTOCOLS if (found := protocol.find(request))), None)
    assert (early is None) == (MODELS[service].protocol == "query")
    request.body, request.read = body, True
    found = next(found for protocol in PROTOCOLS if (found := protocol.find(request)))
    assert (found.service, found.name) == (service, name)
    shape = operation.input_shape
    if shape is not None:
        arrived = found.protocol.arguments(replace(found, read=lambda body: body), request)
        assert without_empty(plain(shape, arrived)) == without_empty(plain(shape, sent))


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
@SETTINGS
@given(data=st.data())
def test_botocore_reads_what_is_answered(service: str, name: str, data: st.DataObject) -> None:
    operation = MODELS[service].operation_model(name)
    shape = operation.output_shape
    output = data.draw(values(shape)) if shape else {}
    payload = shape.serialization.get("payload", "") if shape else ""
    if payload in output:
        output[payload] = data.draw(TEXT).encode()
    request, found = _request(service, name)
    reply = found.protocol.answer(found, request, {**output, "ForCallersInPython": 1})
    assert found.service == service
    parsed = parse(service, operation, reply)
    assert parsed.pop("ResponseMetadata")["HTTPStatusCode"] == reply.status
    expected = (
        {} if reply.status == 204 and shape is not None else plain(shape, output) if shape else {}
    )
    if reply.status != 204:
        if isinstance(parsed.get(payload), str):  # botocore decodes it
            parsed[payload] = parsed[payload].encode()
        assert without_empty(plain(shape, parsed) if shape else parsed) == without_empty(expected)


def parse(service: str, operation: OperationModel, reply: Reply) -> dict[str, Any]:
    headers = HeadersDict(
        {
            "x-amzn-requestid": "id",
            **{name.decode(): value.decode("latin-1") for name, value in reply.headers},
        }
    )
    response = {
        "status_code": reply.status,
        "headers": headers,
        "body": reply.body,
        "context": {"operation_name": operation.name},
    }
    parsed: dict[str, Any] = create_parser(MODELS[service].protocol).parse(
        response, operation.output_shape
    )
    return parsed


def _request(service: str, name: str) -> tuple[Request, Operation]:
    operation = MODELS[service].operation_model(name)
    shape = operation.input_shape
    members = shape.members.items() if shape else ()
    needed = {
        member: "1" if inner.type_name == "string" else 1
        for member, inner in members
        if at_path(inner)
    }
    scope, body = serialized(service, operation, needed)
    request = Request(scope, "id")
    request.body, request.read = body, True
    return request, next(found for protocol in PROTOCOLS if (found := protocol.find(request)))


@pytest.mark.parametrize(
    ("service", "name", "code", "seen", "status"),
    [
        ("sqs", "SendMessage", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400),
        ("sqs", "SendMessage", "InvalidParameterValue", "InvalidParameterValue", 400),
        ("sns", "Publish", "NotFoundException", "NotFound", 404),
        ("sns", "Publish", "InvalidParameterValueException", "ParameterValueInvalid", 400),
        ("sns", "Publish", "ThrottlingException", "Throttling", 400),
        ("lambda", "Invoke", "ResourceNotFoundException", "ResourceNotFoundException", 404),
        ("lambda", "Invoke", "ServiceException", "ServiceException", 500),
        ("events", "PutRule", "ResourceNotFoundException", "ResourceNotFoundException", 400),
        ("scheduler", "GetSchedule", "ConflictException", "ConflictException", 409),
    ],
)
def test_botocore_reads_errors(service: str, name: str, code: str, seen: str, status: int) -> None:
    request, found = _request(service, name)
    request.operation = found
    error = ApiError(code, "What <is> wrong & why")
    reply = found.protocol.error(error, status_of(error, request), request)
    parsed = parse(service, MODELS[service].operation_model(name), reply)
    assert (reply.status, parsed["Error"]["Code"], parsed["Error"]["Message"]) == (
        status,
        seen,
        "What <is> wrong & why",
    )


class Recorder:
    """Every operation answers with what it got."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        async def operation(**given: Any) -> dict[str, Any]:
            self.calls.append((name, given))
            return {}

        return operation


async def ask(app: App, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    raw, _, query = path.partition("?")
    pairs = [
        (name.replace("_", "-").encode(), text.encode())
        for name, text in {"host": "localhost", **headers}.items()
    ]
    scope = {
        "type": "http",
        "method": method,
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": pairs,
    }
    return await Call(app, scope, body).answer()


FORM = "application/x-www-form-urlencoded"


async def test_a_link_confirms_a_subscription() -> None:
    service = Recorder()
    answer = await ask(
        App({"sns": service}), "GET", "/?Action=ConfirmSubscription&TopicArn=arn&Token=a%2Bb"
    )
    assert (answer.status, service.calls) == (
        200,
        [("confirm_subscription", {"topic_arn": "arn", "token": "a+b"})],
    )
    assert (
        b"<ConfirmSubscriptionResult></ConfirmSubscriptionResult><ResponseMetadata><RequestId>"
        in answer.body
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"Action=Nothing&Version=2010-03-31", b"InvalidAction"),
        (b"", b"InvalidAction"),
        (b"Action=CreateTopic", b"ValidationError"),
        (b"Action=CreateTopic&Name=a&Tags=b", b""),
        (b"Action=CreateTopic&Name=a&Tags.member.1=b", b"MalformedInput"),
        (b"Action=CreateTopic&Name.b=a", b"MalformedInput"),
        (b"Action=CreateTopic&Name=%ff", b""),
        (b"Action=CreateTopic&Name=\xff", b"MalformedInput"),
        (b"&".join(b"a%d=" % number for number in range(10_001)), b"MalformedInput"),
        (b"Action=CreateTopic&Name=a&" + b"a." * 100_000 + b"=1", b""),
        (b"Action=CreateTopic&Name=a&Tags.member.99999999999999999999.Key=1", b""),
    ],
)
async def test_forms_that_are_wrong(body: bytes, code: bytes) -> None:
    answer = await ask(
        App({"stepfunctions": Recorder(), "sns": Recorder()}), "POST", "/", body, content_type=FORM
    )
    assert (answer.status, b"<Code>%s</Code>" % code in answer.body) == (
        (400, True) if code else (200, False)
    ), answer.body


async def test_two_services_at_one_path_are_distinguished_by_the_signature() -> None:
    """/tags/{ResourceArn} is Scheduler's and Pipes'."""
    scheduler, pipes = Recorder(), Recorder()
    app = App({"pipes": pipes, "scheduler": scheduler})
    for service in ("scheduler", "pipes"):
        credential = (
            f"AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/{service}/aws4_request, "
            "SignedHeaders=host, Signature=0"
        )
        arn = f"arn%3Aaws%3A{service}%3Aus-east-1%3A123456789012%3A" + (
            "schedule-group%2Fa" if service == "scheduler" else "pipe%2Fa"
        )
        assert (await ask(app, "GET", f"/tags/{arn}", authorization=credential)).status == 200
    assert (
        [name for name, _ in scheduler.calls]
        == [name for name, _ in pipes.calls]
        == ["list_tags_for_resource"]
    )


async def test_paths_that_are_none() -> None:
    app = App({"lambda": Recorder()})
    for path in (
        "/2015-03-31/functions//invocations",
        "/2015-03-31/functions/a/b",
        "/" * 10_000,
        "/{}",
        "/2015-03-31",
    ):
        answer = await ask(app, "POST", path, b"{}")
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (
            404,
            "UnknownOperationException",
        )


async def test_the_payload_of_a_function_is_longer_than_other_requests() -> None:
    service = Recorder()
    app, payload = (
        App({"lambda": service, "stepfunctions": service}),
        b'"' + b"a" * 6_000_000 + b'"',
    )
    size = {"content_length": str(len(payload))}
    assert (
        await ask(app, "POST", "/2015-03-31/functions/f/invocations", payload, **size)
    ).status == 200
    assert service.calls == [("invoke", {"function_name": "f", "payload": payload})]
    target = {"x_amz_target": "AWSStepFunctions.StartExecution"}
    assert (await ask(app, "POST", "/", payload, **size, **target)).code == "RequestEntityTooLarge"


async def test_sqs_may_be_called_at_the_url_of_a_queue() -> None:
    service = Recorder()
    app = App({"sqs": service, "stepfunctions": service}, hooks=Hooks())
    assert (
        await ask(app, "POST", "/123456789012/q", b"{}", x_amz_target="AmazonSQS.ListQueues")
    ).status == 200
    assert (
        await ask(
            app, "POST", "/123456789012/q", b"{}", x_amz_target="AWSStepFunctions.ListActivities"
        )
    ).status == 404
