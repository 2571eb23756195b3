"""The Resource of a Task: the table of the optimised integrations and their patterns, and the
parser of resource names.

Source: Step Functions Developer Guide, service integrations; recorded errors of creation.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

REQUEST_RESPONSE: Final = ""
SYNC: Final = ".sync"
SYNC_2: Final = ".sync:2"
CALLBACK: Final = ".waitForTaskToken"

_PATTERNS: Final = {"R": (REQUEST_RESPONSE,), "S": (SYNC,), "2": (SYNC_2,), "T": (CALLBACK,)}

# service -> (action names, patterns: R request-response, S .sync, 2 .sync:2, T .waitForTaskToken)
OPTIMISED: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "lambda": (("invoke", "RT"),),
    "sns": (("publish", "RT"),),
    "sqs": (("sendMessage", "RT"),),
    "events": (("putEvents", "RT"),),
    "states": (("startExecution", "RS2T"),),
    "dynamodb": (("getItem putItem updateItem deleteItem", "R"),),
    "ecs": (("runTask", "RST"),),
    "batch": (("submitJob", "RS"),),
    "glue": (("startJobRun", "RS"),),
    "databrew": (("startJobRun", "RS"),),
    "athena": (
        ("startQueryExecution", "RS"),
        ("stopQueryExecution getQueryExecution getQueryResults", "R"),
    ),
    "apigateway": (("invoke", "RT"),),
    "codebuild": (
        ("startBuild startBuildBatch", "RS"),
        (
            (
                "stopBuild stopBuildBatch batchDeleteBuilds batchGetReports retryBuild "
                "retryBuildBatch deleteBuildBatch"
            ),
            "R",
        ),
    ),
    "sagemaker": (
        (
            (
                "createTrainingJob createTransformJob createHyperParameterTuningJob "
                "createLabelingJob createProcessingJob"
            ),
            "RS",
        ),
        ("createEndpoint createEndpointConfig createModel updateEndpoint", "R"),
    ),
    "elasticmapreduce": (
        ("createCluster terminateCluster addStep", "RS"),
        (
            (
                "cancelStep setClusterTerminationProtection modifyInstanceFleetByName "
                "modifyInstanceGroupByName"
            ),
            "R",
        ),
    ),
    "emr-containers": (("createVirtualCluster deleteVirtualCluster startJobRun", "RS"),),
    "emr-serverless": (
        (
            (
                "createApplication startApplication stopApplication deleteApplication "
                "startJobRun cancelJobRun"
            ),
            "RS",
        ),
    ),
    "eks": (
        ("call", "R"),
        ("runJob", "RST"),
        (
            (
                "createCluster deleteCluster createNodegroup deleteNodegroup "
                "createFargateProfile deleteFargateProfile"
            ),
            "RS",
        ),
        ("createAddon deleteAddon", "RS"),
    ),
    "mediaconvert": (("createJob", "RS"),),
    "bedrock": (("invokeModel", "RT"), ("createModelCustomizationJob", "RS")),
    "bedrock-agentcore": (("invokeAgentRuntime", "R"),),
    "http": (("invoke", "R"),),
}
ACTIONS: Final = {
    (service, action): tuple(pattern for letter in patterns for pattern in _PATTERNS[letter])
    for service, rows in OPTIMISED.items()
    for actions, patterns in rows
    for action in actions.split()
}

_SDK: Final = "aws-sdk:"
_PARTITION = r"arn:(?P<partition>aws|aws-cn|aws-us-gov)"
_LAMBDA = re.compile(
    _PARTITION + r":lambda:(?P<region>[\w-]*):(?P<account>[\w-]*):function:(?P<name>[^\s]+)\Z"
)
_ACTIVITY = re.compile(
    _PARTITION + r":states:(?P<region>[a-z0-9-]*):(?P<account>\d*):activity:(?P<name>[^\s]+)\Z"
)
_SERVICE = re.compile(
    _PARTITION
    + r":states:[a-z0-9-]*:\d*:(?P<service>(?:aws-sdk:)?[a-z0-9-]+):(?P<action>[A-Za-z0-9]+)"
    + r"(?P<pattern>\.sync(?::2)?|\.waitForTaskToken)?\Z"
)


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A parsed Resource; equal texts are the same object.

    kind     "lambda" (ARN of a function), "activity", "service" (arn:aws:states:::...) or "local"
             (a name that the host registered)
    service  resourceType in the history: "lambda", "aws-sdk:s3", "activity"
    action   the action without the pattern; the name of the function or activity
    pattern  "", ".sync", ".sync:2" or ".waitForTaskToken"
    """

    text: str
    kind: str
    service: str
    action: str
    pattern: str

    @property
    def label(self) -> str:
        """`resource` in the history: the action with the pattern."""
        return self.action + self.pattern

    @property
    def callback(self) -> bool:
        return self.pattern == CALLBACK


@lru_cache(maxsize=4096)
def parse_resource(text: str) -> Resource | None:
    """The parts of a Resource. None if AWS has no such resource, action or pattern."""
    if match := _LAMBDA.match(text):
        return Resource(text, "lambda", "lambda", match["name"], "")
    if match := _ACTIVITY.match(text):
        return Resource(text, "activity", "activity", match["name"], "")
    if match := _SERVICE.match(text):
        service, action, pattern = match["service"], match["action"], match["pattern"] or ""
        allowed = (
            (REQUEST_RESPONSE, CALLBACK)
            if service.startswith(_SDK)
            else ACTIONS.get((service, action), ())
        )
        return Resource(text, "service", service, action, pattern) if pattern in allowed else None
    return None


def recognized(text: str) -> Resource | None:
    """The Resource if a new definition may name it. Definitions that are stored may also have
    actions of the SDK with a capital, which AWS refuses.
    """
    found = parse_resource(text)
    capital = found and found.service.startswith(_SDK) and found.action[:1].isupper()
    return None if capital else found


@lru_cache(maxsize=4096)
def local_resource(text: str) -> Resource:
    """The Resource of a callable that the host registered; history shows a Lambda function."""
    return Resource(text, "local", "lambda", text, "")


@lru_cache(maxsize=64)
def dataset_resource(text: str) -> Resource:
    """The Resource of an ItemReader or ResultWriter, "arn:aws:states:::s3:getObject", which a Task
    cannot use. The text is validated already.
    """
    *_, service, action = text.split(":")
    return Resource(text, "service", service, action, REQUEST_RESPONSE)
