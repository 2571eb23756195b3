"""Checks the shape of a mocked result against botocore's model of the service's answer, with the
names of task results.

    fault(resource, result, strict) -> TestState's error text, or None

Not checked: tasks without a model (HTTP, API Gateway, calls to a Kubernetes API), results of
callbacks, members with a payload of the user (_FREE), and members that the model does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from botocore.model import ListShape, MapShape, Shape, StructureShape

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import CALLBACK, SYNC_2, Resource
from stepwell.engine import messages as engine_messages
from stepwell.integrations.aws.models import java_name, operation_of, upper
from stepwell.integrations.tasks import messages

_SDK: Final = "aws-sdk:"
# optimised integrations whose result is not the answer of an AWS API
_NO_MODEL: Final = ("http:invoke", "apigateway:invoke", "eks:call", "eks:runJob")
_RUNTIME: Final = {"bedrock:invokeModel": "bedrock-runtime"}
# `.sync`: the operation whose answer is the result
_POLLED: Final = {
    "athena:startQueryExecution": "GetQueryExecution",
    "batch:submitJob": "DescribeJobs",
    "bedrock:createModelCustomizationJob": "GetModelCustomizationJob",
    "codebuild:startBuild": "BatchGetBuilds",
    "codebuild:startBuildBatch": "BatchGetBuildBatches",
    "databrew:startJobRun": "DescribeJobRun",
    "ecs:runTask": "DescribeTasks",
    "elasticmapreduce:addStep": "DescribeStep",
    "elasticmapreduce:terminateCluster": "DescribeCluster",
    "emr-containers:startJobRun": "DescribeJobRun",
    "emr-serverless:cancelJobRun": "GetJobRun",
    "emr-serverless:startJobRun": "GetJobRun",
    "glue:startJobRun": "GetJobRun",
    "mediaconvert:createJob": "GetJob",
    "states:startExecution": "DescribeExecution",
}
_VERB: Final = re.compile("create|delete|start|stop")  # createCluster -> DescribeCluster
_GET: Final = ("emr-serverless",)
# (service, shape) -> maximum: Step Functions' copy of a model can be older than botocore's.
# Recorded.
_LARGEST: Final = {("lambda", "MemorySize"): 10_240}
# members that are not checked
_FREE: Final = {"Invoke": ("Payload",), "InvokeModel": ("Body",)}
_FREE_SYNC_2: Final = ("Input", "Output")  # parsed, but strings in the model


def fault(
    resource: Resource, result: Json, strict: bool, numeric_times: bool = False
) -> str | None:
    """The error of a mocked result, or None.

    strict         members that the service always returns must exist
    numeric_times  a time may be a number, too
    """
    operation = _operation(resource)
    if operation is None:
        return None
    if not isinstance(result, dict):
        return engine_messages.MOCK_NOT_OBJECT
    shape = operation.output_shape
    free = _FREE.get(operation.name, ()) + (_FREE_SYNC_2 if resource.pattern == SYNC_2 else ())
    named = java_name if resource.service.startswith(_SDK) else upper
    checked = {name: value for name, value in result.items() if name not in free}
    check = _Check(operation.service_model.service_name, named, strict, numeric_times)
    text = shape and check.structure(checked, shape, free)
    return messages.MOCK_SCHEMA.format(text=text) if text else None


# --- which model ----------------------------------------------------------------------------------


def _operation(resource: Resource) -> Any:
    """botocore's model of the operation whose answer is the task's result, or None."""
    call = f"{resource.service}:{resource.action}"
    if resource.kind != "service" or resource.pattern == CALLBACK or call in _NO_MODEL:
        return None
    service, action = resource.service.removeprefix(_SDK), upper(resource.action)
    if resource.pattern:
        thing = _VERB.sub("", resource.action, count=1)
        action = _POLLED.get(call) or ("Get" if service in _GET else "Describe") + thing
    return operation_of(_RUNTIME.get(call) or service, action)


# --- the check ------------------------------------------------------------------------------------

_NUMBERS: Final = ("integer", "long", "float", "double")
_KINDS: Final[dict[str, tuple[str, Any]]] = {
    "structure": ("an object", dict),
    "map": ("an object", dict),
    "list": ("an array", list),
    "boolean": ("a boolean", bool),
    **dict.fromkeys(("string", "character", "blob", "timestamp"), ("a string", str)),
    **dict.fromkeys(_NUMBERS, ("a number", (int, float))),
}


class _Check:
    """One walk along a shape; each method returns the first error, or None."""

    def __init__(
        self, service: str, named: Callable[[str], str], strict: bool, numeric_times: bool
    ) -> None:
        self.service, self.named, self.strict = service, named, strict
        self.numeric_times = numeric_times

    def structure(
        self, value: dict[str, Json], shape: StructureShape, free: tuple[str, ...] = ()
    ) -> str | None:
        for member, inner in shape.members.items():
            name = self.named(member)
            if name not in value:
                name = upper(member)  # the model's own name is accepted too
            content = value.get(name)
            if content is not None:
                if error := self.value(name, content, inner):
                    return error
            elif self.strict and member in shape.required_members and name not in free:
                return messages.MOCK_REQUIRED.format(field=self.named(member))
        return None

    def value(self, name: str, value: Json, shape: Shape) -> str | None:
        kind, fits = _KINDS[shape.type_name]
        if (
            shape.metadata.get("document")
            or shape.metadata.get("eventstream")
            or getattr(shape, "is_document_type", False)
        ):
            return None
        if self.numeric_times and shape.type_name == "timestamp":
            fits = (str, int, float)
        if not isinstance(value, fits) or (isinstance(value, bool) and shape.type_name in _NUMBERS):
            return messages.MOCK_TYPE.format(field=name, type=kind)
        if isinstance(shape, StructureShape):
            return self.structure(value, shape)
        if isinstance(shape, ListShape):
            return next(
                filter(None, (self.value(name, each, shape.member) for each in value)), None
            ) or _length(name, len(value), shape)
        if isinstance(shape, MapShape):
            return next(
                filter(None, (self.value(name, each, shape.value) for each in value.values())), None
            )
        if value not in (getattr(shape, "enum", None) or [value]):
            return messages.MOCK_ENUM.format(field=name)
        return self.scalar(name, value, shape)

    def scalar(self, name: str, value: Json, shape: Shape) -> str | None:
        if shape.type_name in _NUMBERS:
            most = _LARGEST.get((self.service, shape.name), shape.metadata.get("max"))
            return _bounds(
                name,
                value,
                shape.metadata.get("min"),
                most,
                messages.MOCK_SMALL,
                messages.MOCK_LARGE,
            )
        if shape.type_name not in ("string", "blob"):
            return None
        size = (
            len(value) if shape.type_name == "string" else -(-len(value) * 3 // 4)
        )  # the text of a blob is base64
        return _length(name, size, shape)


def _length(name: str, size: int, shape: Shape) -> str | None:
    return _bounds(
        name,
        size,
        shape.metadata.get("min"),
        shape.metadata.get("max"),
        messages.MOCK_SHORT,
        messages.MOCK_LONG,
    )


def _bounds(name: str, size: float, least: Any, most: Any, small: str, large: str) -> str | None:
    if least is not None and size < float(least):
        return small.format(field=name)
    if most is not None and size > float(most):
        return large.format(field=name)
    return None
