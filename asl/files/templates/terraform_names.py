"""What the files of a Terraform module say of its names: variables with a default, locals, and the
names and ARNs of resources. Also the functions of these files.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.hcl_reader import Body, Call, HclReader, Text, Value
from stepwell.asl.files.placeholders import Known, Placeholders, as_text
from stepwell.asl.files.templates.functions import FunctionCode
from stepwell.asl.files.templates.hcl_expressions import Scope, evaluate
from stepwell.asl.files.templates.names import PSEUDO, Lookups, place
from stepwell.asl.files.templates.resource_types import TYPES
from stepwell.asl.files.yaml_values import DefinitionFileError

# type of Terraform -> (of CloudFormation, argument with the name, what the attribute `id` is).
# Source: the reference of the AWS provider, "Attribute Reference"
_NAME, _ARN, _URL = "name", "arn", "url"
_TYPES: Final[Mapping[str, tuple[str, str, str]]] = {
    "aws_lambda_function": ("AWS::Lambda::Function", "function_name", _NAME),
    "aws_lambda_alias": ("AWS::Lambda::Alias", "name", _ARN),
    "aws_dynamodb_table": ("AWS::DynamoDB::Table", "name", _NAME),
    "aws_sqs_queue": ("AWS::SQS::Queue", "name", _URL),
    "aws_sns_topic": ("AWS::SNS::Topic", "name", _ARN),
    "aws_sfn_state_machine": ("AWS::StepFunctions::StateMachine", "name", _ARN),
    "aws_sfn_activity": ("AWS::StepFunctions::Activity", "name", _ARN),
    "aws_s3_bucket": ("AWS::S3::Bucket", "bucket", _NAME),
    "aws_cloudwatch_event_bus": ("AWS::Events::EventBus", "name", _NAME),
    "aws_cloudwatch_event_connection": ("AWS::Events::Connection", "name", _NAME),
    "aws_iam_role": ("AWS::IAM::Role", "name", _NAME),
    "aws_kms_key": ("AWS::KMS::Key", "", _NAME),
    "aws_secretsmanager_secret": ("AWS::SecretsManager::Secret", "name", _ARN),
    "aws_ssm_parameter": ("AWS::SSM::Parameter", "name", _NAME),
    "aws_kinesis_stream": ("AWS::Kinesis::Stream", "name", _ARN),
    "aws_cloudwatch_log_group": ("AWS::Logs::LogGroup", "name", _NAME),
    "aws_ecs_cluster": ("AWS::ECS::Cluster", "name", _ARN),
    "aws_ecs_task_definition": ("AWS::ECS::TaskDefinition", "family", _NAME),
    "aws_ecr_repository": ("AWS::ECR::Repository", "name", _NAME),
    "aws_batch_job_definition": ("AWS::Batch::JobDefinition", "name", _ARN),
    "aws_batch_job_queue": ("AWS::Batch::JobQueue", "name", _ARN),
    "aws_glue_job": ("AWS::Glue::Job", "name", _NAME),
    "aws_glue_crawler": ("AWS::Glue::Crawler", "name", _NAME),
    "aws_athena_workgroup": ("AWS::Athena::WorkGroup", "name", _NAME),
    "aws_codebuild_project": ("AWS::CodeBuild::Project", "name", _ARN),
    "aws_eks_cluster": ("AWS::EKS::Cluster", "name", _NAME),
    "aws_security_group": ("AWS::EC2::SecurityGroup", "", _NAME),
    "aws_subnet": ("AWS::EC2::Subnet", "", _NAME),
    "aws_vpc": ("AWS::EC2::VPC", "", _NAME),
}  # fmt: skip
# begin of an output of a module -> the type of what it is about
_OUTPUTS: Final = (
    (re.compile(r"(?:lambda_)?function_"), "aws_lambda_function"),
    (re.compile(r"lambda_(?=arn|name)"), "aws_lambda_function"),
    (re.compile(r"(?:dynamodb_)?table_"), "aws_dynamodb_table"),
    (re.compile(r"queue_"), "aws_sqs_queue"),
    (re.compile(r"(?:sns_)?topic_"), "aws_sns_topic"),
    (re.compile(r"(?:s3_)?bucket_"), "aws_s3_bucket"),
    (re.compile(r"state_machine_"), "aws_sfn_state_machine"),
    (re.compile(r"eventbridge_bus_"), "aws_cloudwatch_event_bus"),
)
_PLACES: Final = {  # of data sources
    ("aws_caller_identity", "account_id"): "account", ("aws_partition", "partition"): "partition",
    ("aws_region", "name"): "region", ("aws_region", "id"): "region",
    ("aws_region", "region"): "region", ("aws_partition", "dns_suffix"): "suffix",
}  # fmt: skip
_REFERENCE: Final = re.compile(
    r"(data\.)?([a-z]\w*)\.([\w-]+)(?:\[[^\[\]]*\])?(?:\.(\w+))?\Z", re.ASCII
)
_HERE: Final = re.compile(r"\$\{path\.(?:module|root|cwd)\}/")
_ARCHIVE: Final = re.compile(r"data\.archive_file\.([\w-]+)(?:\[\w+\])?\.output_path\Z")
_CHARS: Final = re.compile(r"[^A-Za-z0-9_-]+")


class _File(NamedTuple):
    body: Body
    placeholders: Placeholders


class TerraformNames:
    """find(): the value of a name, such as aws_lambda_function.charge.arn.

    beside  the other files of the module: name -> content
    """

    def __init__(
        self,
        body: Body,
        placeholders: Placeholders,
        beside: Callable[[], Mapping[str, bytes]],
    ) -> None:
        self._own, self._beside = _File(body, placeholders), beside
        self._values, self._place = placeholders.values, place(placeholders.values)
        self._lookups = Lookups()

    @cached_property
    def _files(self) -> Sequence[_File]:
        files = [self._own]
        for name, data in self._beside().items():
            text = data.decode("utf-8-sig", "replace")
            placeholders = Placeholders(self._values, text)
            placeholders.find = self.find
            try:
                files.append(_File(HclReader(name, text, placeholders).read(), placeholders))
            except DefinitionFileError:
                continue  # its names are not known: Terraform says what is wrong with it
        return files

    def _blocks(self, kind: str, *labels: str) -> Iterator[tuple[Body, Placeholders]]:
        for file in self._files:
            for each, its, body in file.body.blocks:
                if each == kind and its[: len(labels)] == labels:
                    yield body, file.placeholders

    def find(self, name: str) -> Known | None:
        if name in self._values:
            return Known(self._values[name])
        return self._lookups.get(name, self._find)

    def _find(self, name: str) -> Known | None:
        if name in PSEUDO:
            return Known(self._place[PSEUDO[name][0]])
        if name == "terraform.workspace":
            return Known("default", fixed=False)
        match = _REFERENCE.match(name)
        if match is None:
            return evaluate(name, Scope.of(self.find))
        data, kind, label, attribute = match.groups()
        if kind in ("var", "local") and name != f"{kind}.{label}":
            return evaluate(name, Scope.of(self.find))  # a member of it
        if data and (kind, attribute) in _PLACES:
            return Known(self._place[_PLACES[kind, attribute]])
        if attribute is None:
            return self._variable(kind, label)
        if kind == "module":
            return self._output(label, attribute)
        return self._attribute(kind, label, attribute, "data" if data else "resource")

    def _variable(self, kind: str, name: str) -> Known | None:
        if kind == "var":
            for body, placeholders in self._blocks("variable", name):
                known = _known(body, "default", placeholders)
                return known and known._replace(fixed=False)
        if kind == "local":
            for body, placeholders in self._blocks("locals"):
                if name in body.attributes:
                    return _known(body, name, placeholders)
        return None

    def _attribute(self, kind: str, label: str, attribute: str, block: str) -> Known | None:
        if kind not in _TYPES:
            return None
        for body, placeholders in self._blocks(block, kind, label):
            field = _TYPES[kind][1]
            name = _text(body, field, placeholders) or label
            alias = _text(body, "function_name", placeholders)
            return self._text(kind, attribute, name, alias)
        return None

    def _output(self, label: str, output: str) -> Known | None:
        """Of a module, by the name of its output: lambda_function_arn."""
        for pattern, kind in _OUTPUTS:
            if begin := pattern.match(output):
                fields = (_TYPES[kind][1], "name")
                names = [
                    _text(body, field, placeholders)
                    for body, placeholders in self._blocks("module", label)
                    for field in fields
                ]
                name = next(filter(None, names), label)
                known = self._text(kind, output[begin.end() :], name, None)
                return known and known._replace(fixed=False)
        return None

    def _text(self, kind: str, attribute: str, name: str, function: str | None) -> Known | None:
        of_cloudformation, field, id = _TYPES[kind]
        type = TYPES[of_cloudformation]
        arn = type.arn or (type.ref if type.ref.startswith("arn") else "")
        texts = {
            "arn": arn,
            "qualified_arn": f"{arn}:1" * bool(arn),
            "url": type.ref if type.ref.startswith("https") else "",
            "name": "{name}" if field else type.ref,
        }
        texts |= {"id": texts[id], field: "{name}", "key_id": type.more.get("KeyId", "")}
        text = texts.get(attribute)
        words = {**self._place, "name": _CHARS.sub("-", name), "FunctionName": function or "x"}
        words["FunctionName"] = words["FunctionName"].rpartition(":function:")[2]
        return Known(text.format(**words)) if text else None

    # --- functions --------------------------------------------------------------------------------

    def functions(self) -> Iterator[FunctionCode]:
        """Those whose code is in an archive of a folder or file, or that a module builds."""
        for file in self._files:
            for kind, labels, body in file.body.blocks:
                if kind == "resource" and labels[:1] == ("aws_lambda_function",):
                    folder = self._archived(body, file.placeholders)
                    blocks = [each for name, _, each in body.blocks if name == "environment"]
                    inside = (blocks[0], "variables") if blocks else (body, "")
                elif kind == "module" and "source_path" in body.attributes:
                    folder = _path(body, "source_path", file.placeholders)
                    inside = body, "environment_variables"
                else:
                    continue
                name = _text(body, "function_name", file.placeholders) or labels[-1]
                handler = _text(body, "handler", file.placeholders)
                if folder and handler:
                    yield FunctionCode(
                        name,
                        folder,
                        handler,
                        _variables(*inside, file.placeholders),
                        _number(body, "timeout", file.placeholders),
                        _number(body, "memory_size", file.placeholders),
                    )

    def _archived(self, body: Body, placeholders: Placeholders) -> str | None:
        written = body.attributes.get("filename", (0, None, {}))[1]
        plain = placeholders.unmarked(written) if isinstance(written, str) else ""
        match = _ARCHIVE.match(plain.removeprefix("${").removesuffix("}"))
        for archive, its in self._blocks("data", "archive_file", match[1]) if match else ():
            if folder := _path(archive, "source_dir", its):
                return folder
            if file := _path(archive, "source_file", its):
                return posixpath.dirname(file) or "."
        return None


def _value(body: Body, field: str) -> Value:
    return body.attributes.get(field, (0, None, {}))[1]


def _known(body: Body, field: str, placeholders: Placeholders) -> Known | None:
    """Of an attribute; None of one that is null or not there."""
    value = _value(body, field)
    if isinstance(value, Call) and value.name == "jsonencode" and value.arguments:
        argument = value.arguments[0]
        known = None if _has_calls(argument) else placeholders.known(argument)
        return known and known._replace(value=json_text.dumps(known.value))
    if isinstance(value, str | int | float | bool | list | dict):
        return None if _has_calls(value) else placeholders.known(value)
    return None


def _has_calls(value: Value) -> bool:
    """Whether it is a call such as jsonencode(...), or a list with one."""
    items = value if isinstance(value, list) else ()
    return isinstance(value, Call | Text) or any(_has_calls(each) for each in items)


def _text(body: Body, field: str, placeholders: Placeholders) -> str | None:
    known = _known(body, field, placeholders)
    return known.value if known is not None and isinstance(known.value, str) else None


def _number(body: Body, field: str, placeholders: Placeholders) -> int | None:
    known = _known(body, field, placeholders)
    return known.value if known is not None and isinstance(known.value, int) else None


def _path(body: Body, field: str, placeholders: Placeholders) -> str | None:
    """A path from the folder of the module; the first of a list."""
    value = _value(body, field)
    first: Json = value[0] if isinstance(value, list) and value else value
    return _HERE.sub("", placeholders.unmarked(first)) if isinstance(first, str) else None


def _variables(body: Body, field: str, placeholders: Placeholders) -> dict[str, str]:
    values = _value(body, field)
    if not isinstance(values, dict):
        return {}
    known = {name: placeholders.known(value) for name, value in values.items()}
    return {name: as_text(each.value) for name, each in known.items() if each is not None}
