"""What AWS's front end says of a request before an operation sees it. Texts without a mark were
recorded from the real service.
"""

from typing import Any

import pytest
from botocore.model import ShapeResolver, StructureShape
from tests.integrations.server.asgi import MODEL, call

from stepwell.engine.errors import ApiError
from stepwell.integrations.aws import validation
from stepwell.integrations.aws.validation import compile_input
from stepwell.integrations.server.app import App
from stepwell.integrations.server.protocols.aws_json import service_model
from stepwell.integrations.server.protocols.table import protocols
from stepwell.integrations.services.registry import TABLE
from stepwell.integrations.stack import OPERATIONS

ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
DETECTED = "1 validation error detected: "
ALIAS_PATTERN = (
    r"Member must satisfy regular expression pattern: ^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$"
)
ROUTE = [{"stateMachineVersionArn": f"{ARN}:1", "weight": 100}]
ROUTES = [
    {"stateMachineVersionArn": f"{ARN}:{number}", "weight": weight}
    for number, weight in ((1, 50), (2, 30), (3, 20))
]


class Echo:
    """Every operation keeps what it was given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        async def operation(**given: Any) -> dict[str, Any]:
            self.given = given
            return {"answerOfOurOwn": 1}

        return operation


@pytest.fixture
def app() -> App:
    return App({"stepfunctions": Echo()})


async def given(app: App, operation: str, body: Any, **headers: str) -> Any:
    """What the operation's method gets."""
    answer = await call(app, operation, body, **headers)
    assert (answer.status, answer.body) == (200, b"{}"), "what the model has not is left out"
    return app.services["stepfunctions"].given  # type: ignore[attr-defined]


def alias(name: str, routes: Any = ROUTE) -> dict[str, Any]:
    return {"name": name, "routingConfiguration": routes}


def broken(value: Any, at: str, rule: str) -> str:
    return f"{DETECTED}Value '{value}' at '{at}' failed to satisfy constraint: {rule}"


RECORDED = [
    (
        "ListExecutions",
        {"maxResults": 1001},
        broken(1001, "maxResults", "Member must have value less than or equal to 1000"),
    ),
    (
        "ListExecutions",
        {"statusFilter": "succeeded"},
        broken(
            "succeeded",
            "statusFilter",
            (
                "Member must satisfy enum value set: [SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, "
                "ABORTED, FAILED, RUNNING]"
            ),
        ),
    ),
    (
        "ListExecutions",
        {"nextToken": "t" * 3097},
        broken("t" * 3097, "nextToken", "Member must have length less than or equal to 3096"),
    ),
    (
        "ListActivities",
        {"nextToken": "t" * 1025},
        broken("t" * 1025, "nextToken", "Member must have length less than or equal to 1024"),
    ),
    ("CreateStateMachineAlias", alias("!INVALID"), broken("!INVALID", "name", ALIAS_PATTERN)),
    ("CreateStateMachineAlias", alias("123"), broken("123", "name", ALIAS_PATTERN)),
    (
        "CreateStateMachineAlias",
        alias("A" * 81),
        broken("A" * 81, "name", "Member must have length less than or equal to 80"),
    ),
    (
        "CreateStateMachineAlias",
        alias("a", [{"stateMachineVersionArn": ARN, "weight": 101}]),
        broken(
            101,
            "routingConfiguration.1.member.weight",
            "Member must have value less than or equal to 100",
        ),
    ),
    (
        "CreateStateMachineAlias",
        alias("a", ROUTES),
        broken(
            f"[RoutingConfigurationListItem(stateMachineVersionArn={ARN}:1, weight=50), "
            f"RoutingConfigurationListItem(stateMachineVersionArn={ARN}:2, weight=30), "
            f"RoutingConfigurationListItem(stateMachineVersionArn={ARN}:3, weight=20)]",
            "routingConfiguration",
            "Member must have length less than or equal to 2",
        ),
    ),
]
# The same words; that this service uses them here is unconfirmed.
INFERRED = [
    (
        "DescribeActivity",
        {},
        (
            f"{DETECTED}Value null at 'activityArn' failed to satisfy constraint: Member must "
            "not be null"
        ),
    ),
    (
        "DescribeActivity",
        {"activityArn": None},
        (
            f"{DETECTED}Value null at 'activityArn' failed to satisfy constraint: Member must "
            "not be null"
        ),
    ),
    (
        "DescribeActivity",
        {"activityArn": ""},
        broken("", "activityArn", "Member must have length greater than or equal to 1"),
    ),
    (
        "UpdateMapRun",
        {"mapRunArn": "a", "maxConcurrency": -1},
        broken(-1, "maxConcurrency", "Member must have value greater than or equal to 0"),
    ),
    (
        "UpdateMapRun",
        {"mapRunArn": "a", "toleratedFailurePercentage": 1e10},
        broken(
            "1.0E10",
            "toleratedFailurePercentage",
            "Member must have value less than or equal to 100",
        ),
    ),
    (
        "UntagResource",
        {"resourceArn": "a", "tagKeys": ["fine", ""]},
        broken(
            "[fine, ]",
            "tagKeys",
            "Member must satisfy constraint: "
            "[Member must have length less than or equal to 128, Member must have length "
            "greater than or equal to 1]",
        ),
    ),
    (
        "TagResource",
        {"resourceArn": "a", "tags": [None]},
        (
            f"{DETECTED}Value null at 'tags.1.member' failed to satisfy constraint: Member must "
            "not be null"
        ),
    ),
    (
        "StartExecution",
        {"stateMachineArn": ARN, "traceHeader": "é"},
        broken("é", "traceHeader", r"Member must satisfy regular expression pattern: \p{ASCII}*"),
    ),
    (
        "StartExecution",
        {"stateMachineArn": "", "name": "n" * 81},
        "2 validation errors detected: Value '' at 'stateMachineArn' failed to satisfy "
        "constraint: Member must have length greater than or "
        f"equal to 1; Value '{'n' * 81}' at 'name' failed to satisfy constraint: Member must "
        "have length less than or equal to 80",
    ),
    (
        "SendTaskSuccess",  # a sensitive value is not printed
        {"taskToken": "t", "output": "secret" * 50_000},
        (
            f"{DETECTED}Value at 'output' failed to satisfy constraint: Member must have length "
            "less than or equal to 262144"
        ),
    ),
    (
        "RedriveExecution",  # a text that ends in a line break matches as a whole or not at all
        {"executionArn": ARN, "clientToken": "a\n"},
        broken("a\n", "clientToken", "Member must satisfy regular expression pattern: [!-~]+"),
    ),
]


@pytest.mark.parametrize(("operation", "body", "text"), RECORDED + INFERRED)
async def test_a_broken_constraint(app: App, operation: str, body: Any, text: str) -> None:
    answer = await call(app, operation, body)
    assert (answer.status, answer.code) == (400, "ValidationException")
    assert answer.message == text


WRONG_TYPES = [
    ("StartExecution", {"stateMachineArn": 5}, "NUMBER_VALUE can not be converted to a String"),
    ("StartExecution", {"stateMachineArn": True}, "TRUE_VALUE can not be converted to a String"),
    (
        "StartExecution",
        {"stateMachineArn": ARN, "input": {"a": 1}},
        "Start of structure or map found where not expected.",
    ),
    (
        "StartExecution",
        {"stateMachineArn": ARN, "input": []},
        "Start of list found where not expected",
    ),
    ("ListExecutions", {"maxResults": "5"}, "STRING_VALUE can not be converted to an Integer"),
    ("ListExecutions", {"maxResults": 1.5}, "NUMBER_VALUE can not be converted to an Integer"),
    ("ListExecutions", {"maxResults": False}, "FALSE_VALUE can not be converted to an Integer"),
    ("ListExecutions", {"maxResults": 2**31}, "NUMBER_VALUE can not be converted to an Integer"),
    (
        "UpdateMapRun",
        {"mapRunArn": "a", "toleratedFailureCount": 2**63},
        "NUMBER_VALUE can not be converted to a Long",
    ),
    (
        "UpdateMapRun",
        {"mapRunArn": "a", "toleratedFailurePercentage": "1"},
        "STRING_VALUE can not be converted to a Float",
    ),
    (
        "UpdateMapRun",
        {"mapRunArn": "a", "toleratedFailurePercentage": int("9" * 400)},
        "NUMBER_VALUE can not be converted to a Float",
    ),
    (
        "GetExecutionHistory",
        {"executionArn": ARN, "reverseOrder": "true"},
        "STRING_VALUE can not be converted to a Boolean",
    ),
    (
        "TagResource",
        {"resourceArn": ARN, "tags": {}},
        "Start of structure or map found where not expected.",
    ),
    ("TagResource", {"resourceArn": ARN, "tags": "a"}, "Expected list or null"),
    ("TagResource", {"resourceArn": ARN, "tags": ["a"]}, "Expected structure or null"),
]


@pytest.mark.parametrize(("operation", "body", "text"), WRONG_TYPES)
async def test_a_wrong_type(app: App, operation: str, body: Any, text: str) -> None:
    answer = await call(app, operation, body)
    assert (answer.status, answer.code) == (400, "SerializationException")
    assert answer.json["__type"] == "com.amazon.coral.service#SerializationException"
    assert answer.message == text


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"not json",
        b'{"maxResults": NaN}',
        b'{"maxResults": 1e999}',
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a": "\\ud800"}',
        b"\x00",
    ],
)
async def test_what_is_no_json(app: App, body: bytes) -> None:
    answer = await call(app, "ListActivities", body)
    assert (answer.status, answer.json) == (
        400,
        {"__type": "com.amazon.coral.service#SerializationException"},
    )


async def test_what_is_no_object(app: App) -> None:
    for body in (b"[]", b"1", b'"a"', b"true", b"null"):
        assert (await call(app, "ListActivities", body)).code == "SerializationException"


async def test_an_empty_body_is_an_empty_object(app: App) -> None:
    assert (await call(app, "ListActivities", b"")).json == {}


async def test_arguments_are_what_the_model_knows(app: App) -> None:
    """Unknown members and null are as if they were not there, at any depth; names are Python's at
    the top and AWS's below.
    """
    logging = {
        "level": "ALL",
        "includeExecutionData": None,
        "unknown": 1,
        "destinations": [{"cloudWatchLogsLogGroup": {"x": 1}}],
    }
    body = {
        "stateMachineArn": ARN,
        "publish": True,
        "roleArn": None,
        "unknown": {"a": []},
        "loggingConfiguration": logging,
    }
    assert await given(app, "UpdateStateMachine", body) == {
        "state_machine_arn": ARN,
        "publish": True,
        "logging_configuration": {"level": "ALL", "destinations": [{"cloudWatchLogsLogGroup": {}}]},
    }


async def test_numbers_come_as_the_model_has_them(app: App) -> None:
    whole = await given(app, "ListExecutions", {"maxResults": 5.0})
    fraction = await given(app, "UpdateMapRun", {"mapRunArn": "a", "toleratedFailurePercentage": 5})
    assert repr(whole) == "{'max_results': 5}"
    assert repr(fraction) == "{'map_run_arn': 'a', 'tolerated_failure_percentage': 5.0}"


async def test_lengths_are_letters_and_not_bytes(app: App) -> None:
    assert (await call(app, "CreateActivity", {"name": "ä" * 80})).status == 200
    assert (await call(app, "CreateActivity", {"name": "ä" * 81})).code == "ValidationException"


async def test_a_hundred_thousand_errors_are_not_all_listed(app: App) -> None:
    answer = await call(app, "TagResource", {"resourceArn": ARN, "tags": [{"key": ""}] * 100_000})
    assert answer.code == "ValidationException"
    assert answer.message.startswith("100 validation errors detected: ")


async def test_the_trace_header_may_come_as_a_header(app: App) -> None:
    body = {"stateMachineArn": ARN}
    assert (await given(app, "StartExecution", body, x_amzn_trace_id="Root=1"))[
        "trace_header"
    ] == "Root=1"
    assert (
        await given(app, "StartExecution", body | {"traceHeader": "own"}, x_amzn_trace_id="Root=1")
    )["trace_header"] == "own"
    assert "trace_header" not in await given(
        app, "DescribeStateMachine", body, x_amzn_trace_id="Root=1"
    )
    assert (
        await call(app, "StartExecution", body, x_amzn_trace_id="r" * 257)
    ).code == "ValidationException"


def test_shapes_that_contain_themselves_are_read() -> None:
    """No operation of Step Functions has one; DynamoDB's values do."""
    shapes = {
        "Value": {
            "type": "structure",
            "members": {
                "L": {"shape": "Values"},
                "M": {"shape": "Map"},
                "S": {"shape": "Text"},
                "B": {"shape": "Blob"},
            },
        },
        "Values": {"type": "list", "member": {"shape": "Value"}, "max": 2},
        "Map": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Value"}},
        "Text": {"type": "string", "max": 3},
        "Blob": {"type": "blob"},
    }
    read = compile_input(StructureShape("Value", shapes["Value"], ShapeResolver(shapes)))
    assert read({"L": [{"M": {"a": {"S": "b", "X": 1}}}, {"B": "aGk="}]}) == {
        "l": [{"M": {"a": {"S": "b"}}}, {"B": b"hi"}]
    }
    deep: Any = {"S": "x"}
    for _ in range(100_000):
        deep = {"L": [deep]}
    for wrong, text in (
        ({"L": [{}, {"L": [{"S": "long"}]}]}, "Value 'long' at 'l.2.member.l.1.member.s'"),
        (
            {"M": {"long": {}}},
            "Map keys must satisfy constraint: [Member must have length less than or equal to 3]",
        ),
        ({"L": [{}] * 3}, "Value '[Value(L=null, M=null, S=null, B=null), "),
        ({"B": "*"}, "STRING_VALUE can not be converted to a Blob"),
        ({"B": "é"}, "STRING_VALUE can not be converted to a Blob"),
        (deep, "SerializationException"),
    ):
        with pytest.raises(ApiError) as refused:
            read(wrong)
        assert text in str(refused.value)


def test_every_operation_is_found_by_its_target() -> None:
    (protocol,) = protocols(["stepfunctions"])
    own = {"AdvanceTime", "FireTimer", "SearchExecutions"}
    own |= {"IndexExecutions", "DescribeExecutionIndex", "ListParkedExecutions"}
    assert own < {*MODEL.operation_names}
    assert len(MODEL.operation_names) == 37 + len(own)
    assert sorted(protocol._targets) == sorted(
        f"AWSStepFunctions.{name}".encode() for name in MODEL.operation_names
    )  # type: ignore[attr-defined]


def test_services_of_unknown_protocols_are_refused() -> None:
    with pytest.raises(ValueError, match="no such protocol: rest-xml"):
        protocols(["s3"])


@pytest.mark.parametrize("service", [OPERATIONS, *TABLE])
def test_every_pattern_of_a_served_service_is_checked(service: str) -> None:
    """Java's regular expressions; those that Python has not are translated in JAVA_CLASSES."""
    model = service_model(service)
    shapes = [model.shape_for(name) for name in model.shape_names]
    patterns = {shape.metadata["pattern"] for shape in shapes if "pattern" in shape.metadata}
    assert [pattern for pattern in patterns if validation._pattern(pattern)[1] == ""] == []
