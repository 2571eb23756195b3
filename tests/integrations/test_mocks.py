"""Mocked results against the models of the services: what fits passes, what does not is named."""

from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.asl.resources import ACTIONS, parse_resource
from stepwell.integrations.aws import models
from stepwell.integrations.tasks import mocks

SDK = "aws-sdk:"


def fault(resource: str, result: Any, strict: bool = True) -> str | None:
    parsed = parse_resource(f"arn:aws:states:::{resource}")
    assert parsed is not None, resource
    text = mocks.fault(parsed, result, strict)
    return text and text.removeprefix("Mock result schema validation error: ")


LOG = {"StackEvents": [{"StackId": "s", "EventId": "e", "StackName": "n", "Timestamp": "2024"}]}
EXECUTION = {
    "ExecutionArn": "e",
    "StateMachineArn": "m",
    "Status": "SUCCEEDED",
    "StartDate": "2024",
}


@pytest.mark.parametrize(
    ("resource", "result", "text"),
    [
        ("states:startExecution", {"ExecutionArn": "a", "StartDate": "2024"}, None),
        (
            "states:startExecution",
            {"StartDate": "2024"},
            "Required field 'ExecutionArn' is missing",
        ),
        (
            "states:startExecution",
            {"ExecutionArn": None, "StartDate": "2024"},
            "Required field 'ExecutionArn' is missing",
        ),
        (
            "states:startExecution",
            {"executionArn": "a", "StartDate": "2024"},
            "Required field 'ExecutionArn' is missing",
        ),
        (
            "states:startExecution",
            {"ExecutionArn": 1, "StartDate": "2024"},
            "Field 'ExecutionArn' must be a string",
        ),
        (
            "states:startExecution",
            {"ExecutionArn": "a", "StartDate": 17},
            "Field 'StartDate' must be a string",
        ),
        (
            "states:startExecution.sync",
            {"ExecutionArn": "a", "StartDate": "2024"},
            "Required field 'StateMachineArn' is missing",
        ),
        ("states:startExecution.sync", EXECUTION, None),
        (
            "states:startExecution.sync",
            {**EXECUTION, "Status": "DONE"},
            "Field 'Status' is not an expected value",
        ),
        (
            "states:startExecution.sync",
            {**EXECUTION, "Output": {}},
            "Field 'Output' must be a string",
        ),
        ("states:startExecution.sync:2", {**EXECUTION, "Output": {}}, None),
        (
            "states:startExecution.sync",
            {**EXECUTION, "InputDetails": {"Included": 1}},
            "Field 'Included' must be a boolean",
        ),
        ("states:startExecution.waitForTaskToken", "anything", None),
        ("events:putEvents", {"Entries": {}}, "Field 'Entries' must be an array"),
        ("events:putEvents", {"Entries": [{"EventId": 1}]}, "Field 'EventId' must be a string"),
        ("events:putEvents", {"Entries": ["x"]}, "Field 'Entries' must be an object"),
        ("lambda:invoke", {"StatusCode": "200"}, "Field 'StatusCode' must be a number"),
        ("lambda:invoke", {"StatusCode": True}, "Field 'StatusCode' must be a number"),
        ("lambda:invoke", {"Payload": {"any": [1]}, "SdkHttpMetadata": 1, "StatusCode": 200}, None),
        ("bedrock:invokeModel", {"Body": {"any": 1}, "ContentType": "application/json"}, None),
        ("dynamodb:getItem", {"Item": {"id": {"S": "x"}, "n": {"L": [{"BOOL": True}]}}}, None),
        (
            "dynamodb:getItem",
            {"Item": {"id": {"L": [{"BOOL": "no"}]}}},
            "Field 'BOOL' must be a boolean",
        ),
        ("dynamodb:getItem", {"Item": []}, "Field 'Item' must be an object"),
        ("http:invoke", 7, None),
        ("apigateway:invoke", [], None),
        ("eks:call", "", None),
        ("eks:runJob.sync", "", None),
        ("eks:createCluster.sync", {"Cluster": []}, "Field 'Cluster' must be an object"),
        ("sns:publish", [], "Mocked result must be a JSON object."),
        (
            SDK + "lambda:getFunction",
            {"Configuration": {"MemorySize": 127}},
            "Field 'MemorySize' is less than the minimum value",
        ),
        (
            SDK + "lambda:getFunction",
            {"Configuration": {"MemorySize": 10241}},
            "Field 'MemorySize' exceeds the maximum value",
        ),
        (SDK + "lambda:getFunction", {"Configuration": {"MemorySize": 10240}}, None),
        (
            SDK + "kms:encrypt",
            {"CiphertextBlob": ""},
            "Field 'CiphertextBlob' is smaller than the minimum length",
        ),
        (
            SDK + "kms:encrypt",
            {"CiphertextBlob": "QQ" * 4096 + "Q"},
            "Field 'CiphertextBlob' exceeds the maximum length",
        ),
        (SDK + "kms:encrypt", {"CiphertextBlob": 1}, "Field 'CiphertextBlob' must be a string"),
        (
            SDK + "s3:getObject",
            {"StorageClass": "COLD"},
            "Field 'StorageClass' is not an expected value",
        ),
        (
            SDK + "s3:getObject",
            {"ContentLength": "1", "ETag": "e"},
            "Field 'ContentLength' must be a number",
        ),
        (SDK + "s3:getObject", {"Body": "text", "ETag": "e", "LastModified": "2024"}, None),
        (SDK + "s3:getObject", {"SsekmsKeyId": 1}, "Field 'SsekmsKeyId' must be a string"),
        (
            SDK + "rds:describeDBInstances",
            {"DbInstances": 1},
            "Field 'DbInstances' must be an array",
        ),
        (
            SDK + "rds:describeDbInstances",
            {"DBInstances": 1},
            "Field 'DBInstances' must be an array",
        ),
        (
            SDK + "sfn:startExecution",
            {"ExecutionArn": "a"},
            "Required field 'StartDate' is missing",
        ),
        (SDK + "cloudformation:describeStackEvents", LOG, None),
        (
            SDK + "cloudformation:describeStackEvents",
            {"StackEvents": [{}]},
            "Required field 'StackId' is missing",
        ),
        (
            SDK + "cloudwatchlogs:describeLogGroups",
            {"LogGroups": 1},
            "Field 'LogGroups' must be an array",
        ),
        (SDK + "nosuchservice:doIt", {"A": 1}, None),
        (SDK + "s3:noSuchOperation", {"A": 1}, None),
        (SDK + "s3:deleteBucket", {}, None),
    ],
)
def test_mocked_results(resource: str, result: Any, text: str | None) -> None:
    assert fault(resource, result) == text


def test_present_lets_members_be_missing() -> None:
    assert fault("states:startExecution", {}, strict=False) is None
    assert (
        fault("states:startExecution", {"StartDate": 1}, strict=False)
        == "Field 'StartDate' must be a string"
    )


def test_resources_that_are_no_service() -> None:
    for text in (
        "arn:aws:lambda:us-east-1:123456789012:function:f",
        "arn:aws:states:us-east-1:123456789012:activity:a",
    ):
        resource = parse_resource(text)
        assert resource is not None and mocks.fault(resource, 1, True) is None


UNMODELLED = {"http", "apigateway", "elasticmapreduce"}


def test_every_optimised_integration_has_its_model() -> None:
    """A job's model is the one of the operation that tells how it stands; a name that is mistyped
    in a table would have none.
    """
    without = set()
    for (service, action), patterns in sorted(ACTIONS.items()):
        for pattern in patterns:
            resource = parse_resource(f"arn:aws:states:::{service}:{action}{pattern}")
            assert resource is not None
            if not resource.callback and mocks._operation(resource) is None:
                without.add((service, action, pattern))
    assert {each for each in without if each[0] not in UNMODELLED} == {
        ("eks", "call", ""),
        ("eks", "runJob", ""),
        ("eks", "runJob", ".sync"),
    }
    assert not [each for each in without if each[0] == "elasticmapreduce" and each[2]]


def test_every_service_of_the_sdk_is_found() -> None:
    """By its name in a Resource: the service id of the model, lower case, letters and digits."""
    names = Loader().list_available_services("service-2")
    found = set(models._SERVICES.values()) & set(names)
    assert found == set(models._SERVICES.values())
    for name in ("dynamodb", "s3", "ec2"):
        model = models.model_of(name)
        assert model is not None and model.service_name == name


def test_few_models_are_kept() -> None:
    assert models.model_of.cache_info().maxsize == 4


# --- properties -----------------------------------------------------------------------------------

SAMPLES = [
    ("stepfunctions", SDK + "sfn"),
    ("dynamodb", SDK + "dynamodb"),
    ("kms", SDK + "kms"),
    ("events", SDK + "eventbridge"),
]
MODELS = {name: ServiceModel(Loader().load_service_model(name, "service-2")) for name, _ in SAMPLES}


def fitting(draw: Any, shape: Shape, depth: int = 0) -> Any:
    """A value of a shape, within its bounds."""
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 10**6)
    if isinstance(shape, StructureShape):
        return {
            name: fitting(draw, member, depth + 1)
            for name, member in shape.members.items()
            if name in shape.required_members or (depth < 3 and draw(st.booleans()))
        }
    if isinstance(shape, ListShape):
        return [
            fitting(draw, shape.member, depth + 1)
            for _ in range(max(least, draw(st.integers(0, 2)) if depth < 4 else 0))
        ]
    if isinstance(shape, MapShape):
        return {
            f"k{index}": fitting(draw, shape.value, depth + 1)
            for index in range(1 if depth < 4 else 0)
        }
    if shape.type_name == "boolean":
        return draw(st.booleans())
    if shape.type_name in ("integer", "long", "float", "double"):
        least = int(max(least, -9))
        return draw(st.integers(least, max(least, int(min(most, 99)))))
    if getattr(shape, "enum", None):
        return draw(st.sampled_from(shape.enum))
    return "A" * (max(least, 1) * (2 if shape.type_name == "blob" else 1))


def named(value: Any, shape: Shape) -> Any:
    """The same with the names of task results."""
    if isinstance(shape, StructureShape):
        return {
            models.java_name(name): named(each, shape.members[name]) for name, each in value.items()
        }
    if isinstance(shape, ListShape):
        return [named(each, shape.member) for each in value]
    return (
        {key: named(each, shape.value) for key, each in value.items()}
        if isinstance(shape, MapShape)
        else value
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_fits_the_model_passes_and_what_does_not_is_named(data: Any) -> None:
    service, prefix = data.draw(st.sampled_from(SAMPLES))
    model = MODELS[service]
    operation = model.operation_model(data.draw(st.sampled_from(model.operation_names)))
    shape = operation.output_shape
    if shape is None:
        return
    result = named(fitting(data.draw, shape), shape)
    resource = f"{prefix}:{operation.name[0].lower()}{operation.name[1:]}"
    assert fault(resource, result) is None
    if not result:
        return
    name = data.draw(st.sampled_from(sorted(result)))
    wrong = object()  # fits nothing
    assert str(fault(resource, {**result, name: wrong})).startswith(f"Field '{name}' must be ")
    required = {models.java_name(each) for each in shape.required_members}
    without = {key: each for key, each in result.items() if key != name}
    assert fault(resource, without) == (
        f"Required field '{name}' is missing" if name in required else None
    )
    assert fault(resource, without, strict=False) is None
