"""What !Ref and !GetAtt give for the types of resources that state machines use.

Source: CloudFormation's reference of resource types, "Return values". A resource without a name of
its own is called as its logical id: the real name, which begins so, is known after a deployment
only.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple


class Type(NamedTuple):
    """name: the property with the name; ref: value of !Ref; arn: of !GetAtt Arn, "" without one;
    more: of other attributes.

    Texts have {name}, {partition}, {region}, {account}, {suffix} and the names of properties.
    """

    name: str
    ref: str = "{name}"
    arn: str = ""
    more: Mapping[str, str] = {}

    def attributes(self) -> Iterator[tuple[str, str]]:
        """("", value of !Ref), ("Arn", its value), ..."""
        yield "", self.ref
        if self.arn:
            yield "Arn", self.arn
        yield from self.more.items()


def _arn(service: str, rest: str) -> str:
    return f"arn:{{partition}}:{service}:{{region}}:{{account}}:{rest}"


def _named(name: str, arn: str, more: Mapping[str, str] | None = None) -> Type:
    """!Ref gives the name."""
    return Type(name, arn=arn, more=more or {})


def _by_arn(name: str, arn: str, more: Mapping[str, str] | None = None) -> Type:
    """!Ref gives the ARN."""
    return Type(name, arn, arn, more or {})


_FUNCTION_ARN: Final = _arn("lambda", "function:{name}")
_QUEUE_URL: Final = "https://sqs.{region}.{suffix}/{account}/{name}"
_TOPIC: Final = _arn("sns", "{name}")
_MACHINE: Final = _arn("states", "stateMachine:{name}")
_ID: Final = "0123456789abcdef0"  # of resources whose id AWS chooses
_KEY: Final = "01234567-89ab-cdef-0123-456789abcdef"

FUNCTION: Final = Type(
    "FunctionName", arn=_FUNCTION_ARN,
    more={"Alias": f"{_FUNCTION_ARN}:{{AutoPublishAlias}}", "Version": f"{_FUNCTION_ARN}:1"},
)  # fmt: skip
_TABLE: Final = _named("TableName", _arn("dynamodb", "table/{name}"))
_STATE_MACHINE: Final = _by_arn("StateMachineName", _MACHINE, {"Name": "{name}"})
TYPES: Final[Mapping[str, Type]] = {
    "AWS::Lambda::Function": FUNCTION,
    "AWS::Serverless::Function": FUNCTION,
    "AWS::Lambda::Alias": Type("Name", _arn("lambda", "function:{FunctionName}:{name}")),
    "AWS::Lambda::Version": Type(
        "", _arn("lambda", "function:{FunctionName}:1"), more={"Version": "1"}
    ),
    "AWS::DynamoDB::Table": _TABLE,
    "AWS::DynamoDB::GlobalTable": _TABLE,
    "AWS::Serverless::SimpleTable": _TABLE,
    "AWS::SQS::Queue": Type(
        "QueueName", _QUEUE_URL, _arn("sqs", "{name}"),
        {"QueueName": "{name}", "QueueUrl": _QUEUE_URL},
    ),
    "AWS::SNS::Topic": Type(
        "TopicName", _TOPIC, more={"TopicName": "{name}", "TopicArn": _TOPIC}
    ),
    "AWS::StepFunctions::StateMachine": _STATE_MACHINE,
    "AWS::Serverless::StateMachine": _STATE_MACHINE._replace(name="Name"),
    "AWS::StepFunctions::Activity": _by_arn(
        "Name", _arn("states", "activity:{name}"), {"Name": "{name}"}
    ),
    "AWS::S3::Bucket": _named(
        "BucketName", "arn:{partition}:s3:::{name}",
        {"DomainName": "{name}.s3.{suffix}", "RegionalDomainName": "{name}.s3.{region}.{suffix}"},
    ),
    "AWS::Events::EventBus": _named("Name", _arn("events", "event-bus/{name}"), {"Name": "{name}"}),
    "AWS::Events::Rule": _named("Name", _arn("events", "rule/{name}")),
    "AWS::Events::Connection": _named("Name", _arn("events", f"connection/{{name}}/{_KEY}")),
    "AWS::Events::ApiDestination": _named(
        "Name", _arn("events", f"api-destination/{{name}}/{_KEY}")
    ),
    "AWS::IAM::Role": _named("RoleName", "arn:{partition}:iam::{account}:role/{name}"),
    "AWS::KMS::Key": Type("", _KEY, _arn("kms", f"key/{_KEY}"), {"KeyId": _KEY}),
    "AWS::SecretsManager::Secret": Type("Name", _arn("secretsmanager", "secret:{name}-AbCdEf")),
    "AWS::SSM::Parameter": Type("Name"),
    "AWS::Kinesis::Stream": _named("Name", _arn("kinesis", "stream/{name}")),
    "AWS::KinesisFirehose::DeliveryStream": _named(
        "DeliveryStreamName", _arn("firehose", "deliverystream/{name}")
    ),
    "AWS::Logs::LogGroup": _named("LogGroupName", _arn("logs", "log-group:{name}:*")),
    "AWS::ECS::Cluster": _named("ClusterName", _arn("ecs", "cluster/{name}")),
    "AWS::ECS::TaskDefinition": Type(
        "Family", _arn("ecs", "task-definition/{name}:1"),
        more={"TaskDefinitionArn": _arn("ecs", "task-definition/{name}:1")},
    ),
    "AWS::ECR::Repository": _named("RepositoryName", _arn("ecr", "repository/{name}")),
    "AWS::Batch::JobDefinition": Type(
        "JobDefinitionName", _arn("batch", "job-definition/{name}:1"),
        more={"JobDefinitionArn": _arn("batch", "job-definition/{name}:1")},
    ),
    "AWS::Batch::JobQueue": Type(
        "JobQueueName", _arn("batch", "job-queue/{name}"),
        more={"JobQueueArn": _arn("batch", "job-queue/{name}")},
    ),
    "AWS::Glue::Job": Type("Name"),
    "AWS::Glue::Crawler": Type("Name"),
    "AWS::Glue::Trigger": Type("Name"),
    "AWS::Athena::WorkGroup": Type("Name"),
    "AWS::CodeBuild::Project": _named("Name", _arn("codebuild", "project/{name}")),
    "AWS::DataBrew::Job": Type("Name"),
    "AWS::EKS::Cluster": _named("Name", _arn("eks", "cluster/{name}")),
    "AWS::EC2::SecurityGroup": Type(
        "", f"sg-{_ID}", more={"GroupId": f"sg-{_ID}", "VpcId": f"vpc-{_ID}"}
    ),
    "AWS::EC2::Subnet": Type("", f"subnet-{_ID}", more={"SubnetId": f"subnet-{_ID}"}),
    "AWS::EC2::VPC": Type(
        "", f"vpc-{_ID}", more={"VpcId": f"vpc-{_ID}", "DefaultSecurityGroup": f"sg-{_ID}"}
    ),
    "AWS::SageMaker::Model": Type("ModelName"),
    "AWS::SES::ConfigurationSet": Type("Name"),
}  # fmt: skip
