"""Services of others, with moto's server as the AWS outside: optimised integrations, aws-sdk, jobs
that are followed, permissions.
"""

import asyncio
import dataclasses
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.conformance.moto import moto
from tests.integrations.services.embedded_engine import ROLE, EmbeddedEngine

from stepwell.asl.resources import ACTIONS, parse_resource
from stepwell.integrations.aws.models import operation_of
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.tasks.iam_policies import Policies, PolicyError
from stepwell.integrations.tasks.optimised import Service
from stepwell.integrations.tasks.registry import Registry


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with moto() as found:
        yield found


@pytest.fixture
async def house(tmp_path: Path, url: str) -> AsyncIterator[EmbeddedEngine]:
    limits = dataclasses.replace(DEFAULT_LIMITS, job_pause_seconds=0.05)
    async with EmbeddedEngine(tmp_path / "house.db", limits, {"": url}) as opened:
        yield opened


def client(service: str, url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )


@pytest.fixture(scope="module")
def table(url: str) -> str:
    key = {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    client("dynamodb", url).create_table(
        TableName="t", AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}], **key
    )
    return "t"


async def moving(house: EmbeddedEngine, task: Any) -> Any:
    """The result of a task that waits for time to pass."""
    work = asyncio.ensure_future(task)
    while not work.done():
        await asyncio.sleep(0.02)
        house.clock.advance(1000)
    return work.result()


# --- calls ----------------------------------------------------------------------------------------


async def test_dynamodb(house: EmbeddedEngine, table: str) -> None:
    item = {"id": {"S": "1"}, "b": {"BOOL": True}, "n": {"N": "5"}}
    put = json.loads(
        (await house.task("dynamodb:putItem", {"TableName": table, "Item": item}))["output"]
    )
    assert (
        put.keys() == {"SdkHttpMetadata", "SdkResponseMetadata"}
        and put["SdkHttpMetadata"]["HttpStatusCode"] == 200
    )
    got = json.loads(
        (await house.task("dynamodb:getItem", {"TableName": table, "Key": {"id": {"S": "1"}}}))[
            "output"
        ]
    )
    assert got["Item"] == item
    condition = {"ConditionExpression": "attribute_not_exists(id)"}
    ended = await house.task("dynamodb:putItem", {"TableName": table, "Item": item, **condition})
    assert ended["error"] == "DynamoDB.ConditionalCheckFailedException"
    ended = await house.task("dynamodb:getItem", {"TableName": "none", "Key": {"id": {"S": "1"}}})
    assert ended["error"] == "DynamoDB.ResourceNotFoundException"
    tail = (
        "(Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ResourceNotFoundException; "
        "Request ID: "
    )
    assert ended["cause"].startswith(f"Requested resource not found {tail}") and ended[
        "cause"
    ].endswith("; Proxy: null)")
    ended = await house.task("dynamodb:putItem", {"TableName": table})
    null = (
        "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member "
        "must not be null"
    )
    assert ended["error"] == "DynamoDB.AmazonDynamoDBException" and ended["cause"].startswith(
        f"{null} (Service: AmazonDynamoDBv2; Status Code: 400;"
    )
    ended = await house.task("dynamodb:putItem", {"TableName": table, "Colour": 1})
    assert (
        ended["error"] == "States.Runtime"
        and "The field 'Colour' is not supported by Step Functions" in ended["cause"]
    )


async def test_plain_strings_as_attribute_values(house: EmbeddedEngine, table: str) -> None:
    """Version 1 of the SDK for Java makes attribute values of them, version 2 does not; neither
    takes other plain values.
    """
    item = {"id": "7", "m": {"M": {"inner": "x", "n": {"N": 5}}}, "l": {"L": ["a", {"BOOL": True}]}}
    assert (await house.task("dynamodb:putItem", {"TableName": table, "Item": item}))[
        "status"
    ] == "SUCCEEDED"
    update = {"UpdateExpression": "set s=:s", "ExpressionAttributeValues": {":s": "later"}}
    assert (
        await house.task("dynamodb:updateItem", {"TableName": table, "Key": {"id": "7"}, **update})
    )["status"] == "SUCCEEDED"
    got = json.loads(
        (await house.task("dynamodb:getItem", {"TableName": table, "Key": {"id": "7"}}))["output"]
    )
    stored = {"M": {"inner": {"S": "x"}, "n": {"N": "5"}}}
    assert got["Item"] == {
        "id": {"S": "7"},
        "m": stored,
        "l": {"L": [{"S": "a"}, {"BOOL": True}]},
        "s": {"S": "later"},
    }
    for service, value in (
        ("dynamodb", 7),
        ("dynamodb", True),
        ("dynamodb", ["7"]),
        ("aws-sdk:dynamodb", "7"),
    ):
        ended = await house.task(f"{service}:putItem", {"TableName": table, "Item": {"id": value}})
        assert (
            ended["error"] == "States.Runtime"
            and "[The value of the field 'Item' has an invalid format]" in ended["cause"]
        )


async def test_the_sdk(house: EmbeddedEngine, url: str, table: str) -> None:
    put = await house.task(
        "aws-sdk:dynamodb:putItem", {"TableName": table, "Item": {"id": {"S": "2"}}}
    )
    assert put["output"] == "{}"
    ended = await house.task("aws-sdk:dynamodb:putItem", {"TableName": table})
    null = (
        "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member "
        "must not be null"
    )
    assert ended["error"] == "DynamoDb.DynamoDbException" and ended["cause"].startswith(
        f"{null} (Service: DynamoDb, Status Code: 400, Request ID: "
    )
    assert (await house.task("aws-sdk:secretsmanager:listSecrets", {}))[
        "output"
    ] == '{"SecretList":[]}'
    s3 = client("s3", url)
    s3.create_bucket(Bucket="the-bucket")
    s3.put_object(Bucket="the-bucket", Key="k", Body="grüß".encode())
    assert (
        json.loads(
            (await house.task("aws-sdk:s3:getObject", {"Bucket": "the-bucket", "Key": "k"}))[
                "output"
            ]
        )["Body"]
        == "grüß"
    )
    ended = await house.task("aws-sdk:s3:getObject", {"Bucket": "the-bucket", "Key": "none"})
    assert ended["error"] == "S3.NoSuchKeyException"
    request = r"Request ID: [^,]+, Extended Request ID: [^ ,]+\)"
    assert re.fullmatch(
        rf"The specified key does not exist\. \(Service: S3, Status Code: 404, {request}",
        ended["cause"],
    )


async def test_the_sdk_calls_what_is_embedded_in_process(house: EmbeddedEngine) -> None:
    machine = await house.machine(name="child")
    ended = await house.task(
        "aws-sdk:sfn:startExecution", {"StateMachineArn": machine, "Input": {"a": 1}, "Name": "n"}
    )
    output = json.loads(ended["output"])
    assert output.keys() == {"ExecutionArn", "StartDate"} and output["StartDate"].endswith("Z")
    assert await house.inputs(machine) == [{"a": 1}]
    ended = await house.task("aws-sdk:sfn:sendTaskSuccess", {"TaskToken": "x", "Output": "{}"})
    assert ended["error"] == "Sfn.InvalidTokenException"
    assert ended["cause"].startswith(
        "Invalid Token: 'Invalid token' (Service: Sfn, Status Code: 400, Request ID: "
    )
    buses = json.loads((await house.task("aws-sdk:eventbridge:listEventBuses", {}))["output"])
    assert [each["Name"] for each in buses["EventBuses"]] == ["default"]


class Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        seen = {name: value for name, value in self.headers.items() if name.startswith("x-")}
        body = json.dumps({"path": self.path, "headers": seen}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


async def test_headers_of_an_api_are_strings_or_arrays_of_strings(
    house: EmbeddedEngine, echo: str
) -> None:
    call = {"ApiEndpoint": echo, "Method": "GET", "Path": "p"}
    headers = {"x-one": "1", "x-two": ["2", "3"]}
    ended = await house.task(
        "apigateway:invoke",
        {**call, "Headers": headers, "QueryParameters": {"a": "1", "b": ["2", "3"]}},
    )
    assert json.loads(ended["output"])["ResponseBody"] == {
        "path": "/p?a=1&b=2&b=3",
        "headers": {"x-one": "1", "x-two": "2,3"},
    }
    for wrong in (
        "x-one: 1",
        ["x-one"],
        {"x-one": 1},
        {"x-one": {}},
        {"x-one": ["1", 2]},
        {"x-one": None},
    ):
        ended = await house.task("apigateway:invoke", {**call, "Headers": wrong})
        assert ended["error"] == "States.Runtime" and ended["cause"].endswith(
            "[The value of the field 'Headers' has an invalid format]"
        )


async def test_nothing_is_called_that_was_not_allowed(tmp_path: Path) -> None:
    async with EmbeddedEngine(tmp_path / "house.db") as house:
        ended = await house.task("aws-sdk:s3:listBuckets", {})
        assert (
            ended["error"] == "S3.SdkClientException"
            and "no endpoint is configured for s3" in ended["cause"]
        )
        ended = await house.task("dynamodb:getItem", {"TableName": "t", "Key": {"id": {"S": "1"}}})
        assert ended["error"] == "DynamoDB.SdkClientException"


async def test_an_endpoint_that_is_not_there(tmp_path: Path) -> None:
    async with EmbeddedEngine(
        tmp_path / "house.db", endpoints={"s3": "http://127.0.0.1:1"}
    ) as house:
        ended = await house.task("aws-sdk:s3:listBuckets", {})
        assert ended["error"] == "S3.SdkClientException" and ended["cause"].startswith(
            "Unable to execute HTTP request: "
        )


def test_an_unknown_service_or_action_has_no_handler() -> None:
    registry = Registry(outside=Outside())
    for text in ("aws-sdk:nosuch:getThing", "aws-sdk:s3:noSuchAction"):
        resource = parse_resource(f"arn:aws:states:::{text}")
        assert resource is not None and registry.resolve(resource) is None


def test_every_action_and_every_job_names_operations_that_there_are() -> None:
    registry = Registry()
    missing = []
    for service, action in ACTIONS:
        handler = registry._service(service).get(action)
        about = next(
            (each for each in getattr(handler, "args", ()) if isinstance(each, Service)), None
        )
        if handler is None:
            missing.append(f"{service}:{action}")
        if about is None:
            continue
        name = about.operation(action).service_model.service_name
        job = about.jobs.get(action)
        if job is not None:
            assert operation_of(name, job.poll) is not None, job.poll
            assert job.cancel is None or operation_of(name, job.cancel[0]) is not None, job.cancel
        assert job is not None or not any(
            pattern.startswith(".sync") for pattern in ACTIONS[service, action]
        ), action
    assert [each for each in missing if each not in ("eks:call", "eks:runJob")] == []


# --- jobs -----------------------------------------------------------------------------------------

GLUE = {"Name": "job", "Role": "r", "Command": {"Name": "glueetl"}}
TRAINING = {
    "TrainingJobName": "train",
    "RoleArn": ROLE,
    "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://b/o"},
    "ResourceConfig": {"InstanceType": "ml.m4.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


async def test_glue(house: EmbeddedEngine, url: str) -> None:
    client("glue", url).create_job(**GLUE)
    ended = await moving(house, house.task("glue:startJobRun.sync", {"JobName": "job"}))
    output = json.loads(ended["output"])
    assert (
        output["JobName"] == "job"
        and output["JobRunState"] == "SUCCEEDED"
        and isinstance(output["StartedOn"], int)
    )
    events = (await house.engine.get_execution_history(ended["executionArn"]))["events"]
    assert "TaskSubmitted" in [event["type"] for event in events]
    assert [key async for key, _ in house.engine.records.all("jobs/")] == []
    ended = await house.task("glue:startJobRun.sync", {"JobName": "none"})
    assert ended["error"] == "Glue.EntityNotFoundException"


async def test_sagemaker(house: EmbeddedEngine) -> None:
    ended = await moving(house, house.task("sagemaker:createTrainingJob.sync", TRAINING))
    assert json.loads(ended["output"])["TrainingJobStatus"] == "Completed"


async def test_emr(house: EmbeddedEngine) -> None:
    cluster = {
        "Name": "c",
        "Instances": {
            "MasterInstanceType": "m3.xlarge",
            "SlaveInstanceType": "m3.xlarge",
            "InstanceCount": 1,
        },
    }
    cluster |= {"JobFlowRole": "r", "ServiceRole": "s"}
    cluster["Instances"] |= {"KeepJobFlowAliveWhenNoSteps": True}  # type: ignore[operator]
    ended = await moving(house, house.task("elasticmapreduce:createCluster.sync", cluster))
    id = json.loads(ended["output"])["Cluster"]["Id"]
    step = {"Name": "s", "HadoopJarStep": {"Jar": "x.jar"}}
    ended = await house.task("elasticmapreduce:addStep", {"ClusterId": id, "Step": step})
    assert len(json.loads(ended["output"])["StepIds"]) == 1
    ended = await moving(
        house, house.task("elasticmapreduce:terminateCluster.sync", {"ClusterId": id})
    )
    assert json.loads(ended["output"])["Cluster"]["Status"]["State"].startswith("TERMINATED")


async def test_athena(house: EmbeddedEngine) -> None:
    query = {
        "QueryString": "SELECT 1",
        "ResultConfiguration": {"OutputLocation": "s3://bucket/out"},
    }
    ended = await moving(house, house.task("athena:startQueryExecution.sync", query))
    assert json.loads(ended["output"])["QueryExecution"]["Status"]["State"] == "SUCCEEDED"


async def test_codebuild(house: EmbeddedEngine, url: str) -> None:
    client("codebuild", url).create_project(
        name="project",
        source={"type": "S3", "location": "bucket/source.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "i",
            "computeType": "BUILD_GENERAL1_SMALL",
        },
        serviceRole=ROLE,
    )
    ended = await moving(house, house.task("codebuild:startBuild.sync", {"ProjectName": "project"}))
    output = json.loads(ended["output"])
    assert list(output) == ["Build"]
    assert output["Build"]["ProjectName"] == "project"
    assert output["Build"]["BuildStatus"] == "SUCCEEDED"


async def test_a_job_is_found_again_by_its_id(tmp_path: Path, url: str) -> None:
    """The process ends after the job was started: the next one follows that job, and starts no
    other.
    """
    client("glue", url).create_job(**GLUE | {"Name": "slow"})
    house = EmbeddedEngine(tmp_path / "house.db", endpoints={"": url})
    async with house:
        state = {
            "Type": "Task",
            "Resource": "arn:aws:states:::glue:startJobRun.sync",
            "Parameters": {"JobName": "slow"},
            "End": True,
        }
        machine = await house.machine({"StartAt": "T", "States": {"T": state}})
        arn = (await house.engine.start_execution(machine))["executionArn"]
        while not await house.engine.records.scan("jobs/"):
            await asyncio.sleep(0.02)
            house.clock.advance(0)
    async with house:
        ended = await moving(house, house.engine.wait(arn, timeout=30))
        runs = client("glue", url).get_job_runs(JobName="slow")["JobRuns"]
        assert ended["status"] == "SUCCEEDED" and [each["Id"] for each in runs] == [
            json.loads(ended["output"])["Id"]
        ]
        assert [key async for key, _ in house.engine.records.all("jobs/")] == []


# --- permissions ----------------------------------------------------------------------------------


async def test_a_role_may_do_what_its_policy_allows(tmp_path: Path, url: str, table: str) -> None:
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/t"
    allowed = {"Effect": "Allow", "Action": ["dynamodb:Get*", "events:PutEvents"], "Resource": "*"}
    denied = {
        "Effect": "Deny",
        "Action": "dynamodb:*",
        "Resource": "arn:aws:dynamodb:*:*:table/secret-*",
    }
    policies = {ROLE: {"Version": "2012-10-17", "Statement": [allowed, denied]}}
    async with EmbeddedEngine(
        tmp_path / "house.db", endpoints={"": url}, policies=policies
    ) as house:
        key = {"Key": {"id": {"S": "1"}}}
        assert (await house.task("dynamodb:getItem", {"TableName": "t", **key}))[
            "status"
        ] == "SUCCEEDED"
        entries = [{"Source": "s", "DetailType": "d", "Detail": {}}]
        assert (await house.task("events:putEvents", {"Entries": entries}))["status"] == "SUCCEEDED"
        ended = await house.task("dynamodb:deleteItem", {"TableName": "t", **key})
        user = "User: arn:aws:sts::123456789012:assumed-role/any/"
        why = "because no identity-based policy allows the dynamodb:DeleteItem action"
        assert ended["error"] == "DynamoDB.AmazonDynamoDBException" and ended["cause"].startswith(
            user
        )
        assert (
            f" is not authorized to perform: dynamodb:DeleteItem on resource: {arn} {why} "
            "(Service: "
        ) in ended["cause"]
        ended = await house.task("aws-sdk:dynamodb:getItem", {"TableName": "secret-x", **key})
        assert (
            ended["error"] == "DynamoDb.DynamoDbException"
            and "with an explicit deny in an identity-based policy" in ended["cause"]
        )


OTHER = "arn:aws:iam::222222222222:role/other"
ALLOWED = {"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}
DENIED = {**ALLOWED, "Effect": "Deny"}
NO_ALLOW = "no {}-based policy allows the sns:Publish action"
DENY = "an explicit deny in {} policy"


@pytest.mark.parametrize(
    ("role", "own", "of_topic", "why"),
    [
        (OTHER, [ALLOWED], [], NO_ALLOW.format("resource")),
        (OTHER, [ALLOWED], [{**ALLOWED, "Principal": {"AWS": "222222222222"}}], None),
        (
            OTHER,
            [ALLOWED],
            [{**ALLOWED, "Principal": {"AWS": ["arn:aws:iam::222222222222:root"]}}],
            None,
        ),
        (
            OTHER,
            [ALLOWED],
            [
                {
                    **ALLOWED,
                    "Principal": "*",
                    "Condition": {"StringEquals": {"aws:PrincipalArn": OTHER}},
                }
            ],
            None,
        ),
        (
            OTHER,
            [ALLOWED],
            [{**ALLOWED, "Principal": {"AWS": "333333333333"}}],
            NO_ALLOW.format("resource"),
        ),
        (
            OTHER,
            [ALLOWED],
            [{**ALLOWED, "Principal": "*", "Condition": {"Odd": {"a": "b"}}}],
            NO_ALLOW.format("resource"),
        ),
        (OTHER, [], [{**ALLOWED, "Principal": "*"}], NO_ALLOW.format("identity")),
        (ROLE, [], [{**ALLOWED, "Principal": {"AWS": ROLE}}], None),
        (ROLE, [], [], NO_ALLOW.format("identity")),
        (ROLE, [ALLOWED], [], None),
        (ROLE, [ALLOWED], [{**DENIED, "Principal": "*"}], DENY.format("a resource-based")),
        (ROLE, [DENIED], [{**ALLOWED, "Principal": "*"}], DENY.format("an identity-based")),
    ],
)
async def test_the_policy_of_a_topic_has_a_say(
    tmp_path: Path, role: str, own: Any, of_topic: Any, why: str | None
) -> None:
    async with EmbeddedEngine(tmp_path / "house.db", policies={role: {"Statement": own}}) as house:
        sns = await house.registry.host.services.get("sns")
        attributes = (
            {"Policy": json.dumps({"Version": "2012-10-17", "Statement": of_topic})}
            if of_topic
            else {}
        )
        topic = (await sns.create_topic("news", attributes=attributes))["TopicArn"]
        parameters = {"TopicArn": topic, "Message": "m"}
        state = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sns:publish",
            "Parameters": parameters,
            "End": True,
        }
        definition = json.dumps({"StartAt": "T", "States": {"T": state}})
        machine = await house.engine.create_state_machine("m", definition, role_arn=role)
        started = await house.engine.start_execution(machine["stateMachineArn"])
        ended = await house.engine.wait(started["executionArn"], timeout=60)
        if why is None:
            assert ended["status"] == "SUCCEEDED", ended["cause"]
        else:
            assert ended["error"] == "SNS.AuthorizationErrorException" and why in ended["cause"], (
                ended
            )


def policy(**statement: Any) -> Policies:
    return Policies(
        {
            ROLE: {
                "Statement": {
                    "Effect": "Allow",
                    "Action": "states:InvokeHTTPEndpoint",
                    "Resource": "*",
                    **statement,
                }
            }
        }
    )


@pytest.mark.parametrize(
    ("condition", "method", "endpoint", "fits"),
    [
        ({"StringEquals": {"states:HTTPMethod": ["GET", "HEAD"]}}, "GET", "https://a", True),
        ({"StringEquals": {"states:HTTPMethod": "GET"}}, "POST", "https://a", False),
        (
            {"StringLike": {"states:HTTPEndpoint": "https://api.example.com/*"}},
            "GET",
            "https://api.example.com/x",
            True,
        ),
        (
            {"StringLike": {"states:HTTPEndpoint": "https://api.example.com/*"}},
            "GET",
            "https://evil.example.com/x",
            False,
        ),
        ({"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}, "GET", "https://a", True),
        ({"StringEquals": {"no:such": "x"}}, "GET", "https://a", False),
        ({"StringEqualsIfExists": {"no:such": "x"}}, "GET", "https://a", True),
        ({"Null": {"no:such": "true"}}, "GET", "https://a", True),
    ],
)
async def test_conditions(
    tmp_path: Path, condition: Any, method: str, endpoint: str, fits: bool
) -> None:
    from tests.integrations.test_service import request

    asked = request("arn:aws:states:::http:invoke", {"Method": method, "ApiEndpoint": endpoint})
    asked.role_arn = ROLE
    assert (policy(Condition=condition).refusal(asked) is None) is fits


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Maybe"},
        {"Condition": {"DateLessThan": {"aws:CurrentTime": "x"}}},
        {"NotAction": "x"},
    ],
)
def test_what_is_no_policy(statement: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        policy(**statement)


def test_a_policies_file(tmp_path: Path) -> None:
    file = tmp_path / "policies.json"
    for text in ("[]", "{", '{"r": {}}'):
        file.write_text(text)
        with pytest.raises(PolicyError):
            Policies.read(file)
    file.write_text(json.dumps({ROLE: [{"Statement": []}]}))
    assert Policies.read(file)
