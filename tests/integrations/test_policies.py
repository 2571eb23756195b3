"""A Deny of a role's policy holds however the call spells what it is about."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integrations.services.embedded_engine import ECHO, ROLE, EmbeddedEngine
from tests.integrations.test_service import request

from stepwell.asl.resources import dataset_resource
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import TaskError
from stepwell.integrations.tasks.iam_policies import Policies

HERE = "us-east-1:123456789012"
FUNCTION, QUEUE = f"arn:aws:lambda:{HERE}:function:secret", f"arn:aws:sqs:{HERE}:secret"
TOPIC, BUS = f"arn:aws:sns:{HERE}:secret", f"arn:aws:events:{HERE}:event-bus/secret"
MACHINE, TABLE = (
    f"arn:aws:states:{HERE}:stateMachine:secret",
    f"arn:aws:dynamodb:{HERE}:table/secret",
)
ALLOW = {"Effect": "Allow", "Action": "*", "Resource": "*"}
FOREIGN = [
    FUNCTION.replace("aws:", "aws-cn:", 1),
    FUNCTION.replace("us-east-1", "eu-west-1"),
    FUNCTION.replace("1234", "9999"),
]


def deny(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


async def furnished(path: Path, *denied: dict[str, Any]) -> EmbeddedEngine:
    """With something secret and something public of each kind; nothing of it does any harm."""
    house = EmbeddedEngine(path, policies={ROLE: {"Statement": [ALLOW, *denied]}})
    house.functions = {"secret": lambda event: "told", "public": lambda event: "told"}
    await house.open()
    sqs, events = await house.registry.host.services.get("sqs"), house.events
    for name in ("secret", "public"):
        await sqs.create_queue(name)
        await house.sns.create_topic(name)
        await events.create_event_bus(name)
        await house.engine.create_state_machine(name, ECHO, role_arn=ROLE)
    return house


# --- calls that a Deny of ONE resource must stop --------------------------------------------------
# (denied resource, action, Resource of the task, its parameters)


def invoke(function: Any, **more: Any) -> tuple[str, str, str, Any]:
    return FUNCTION, "lambda:InvokeFunction", "lambda:invoke", {"FunctionName": function, **more}


def sdk_invoke(function: Any, **more: Any) -> tuple[str, str, str, Any]:
    return (
        FUNCTION,
        "lambda:InvokeFunction",
        "aws-sdk:lambda:invoke",
        {"FunctionName": function, **more},
    )


def send(url: Any) -> tuple[str, str, str, Any]:
    return QUEUE, "sqs:SendMessage", "sqs:sendMessage", {"QueueUrl": url, "MessageBody": "m"}


def put(
    *entries: Any, resource: str = "events:putEvents", **more: Any
) -> tuple[str, str, str, Any]:
    return (
        BUS,
        "events:PutEvents",
        resource,
        {
            "Entries": [
                {"Source": "s", "DetailType": "d", "Detail": "{}", **each} for each in entries
            ],
            **more,
        },
    )


ENTRY = {"Id": "a", "MessageBody": "m"}
ATTACKS = [
    *(
        invoke(each)
        for each in (
            "secret",
            FUNCTION,
            "123456789012:function:secret",
            "function:secret",
            f"{FUNCTION}:$LATEST",
            *FOREIGN,
        )
    ),
    *(
        invoke(each)
        for each in ("secret:$LATEST", "secret:any", "function:secret:any", f"{FUNCTION}:any")
    ),
    *(invoke("secret", Qualifier=each) for each in ("$LATEST", "any")),
    sdk_invoke("function:secret"),
    (FUNCTION, "lambda:InvokeFunction", "aws-sdk:lambda:invoke", {"functionName": "secret"}),
    (
        FUNCTION,
        "lambda:InvokeFunction",
        "aws-sdk:lambda:invoke",
        {"FUNCTIONNAME": "secret", "FunctionName": None},
    ),
    (f"{FUNCTION}:any", "lambda:InvokeFunction", "lambda:invoke", {"FunctionName": "secret:any"}),
    *(
        send(each)
        for each in (
            "http://localhost/123456789012/secret",
            "https://x.example/a/123456789012/secret/",
            "secret",
            QUEUE,
        )
    ),
    (
        QUEUE,
        "sqs:SendMessage",
        "aws-sdk:sqs:sendMessageBatch",
        {"QueueUrl": "h/123456789012/secret", "Entries": [ENTRY]},
    ),
    (
        QUEUE,
        "sqs:SendMessage",
        "aws-sdk:sqs:sendMessageBatch",
        {"queueurl": "h/123456789012/secret//", "Entries": [ENTRY]},
    ),
    (
        QUEUE,
        "sqs:DeleteMessage",
        "aws-sdk:sqs:deleteMessageBatch",
        {"QueueUrl": QUEUE, "Entries": []},
    ),
    (
        QUEUE,
        "sqs:ChangeMessageVisibility",
        "aws-sdk:sqs:changeMessageVisibilityBatch",
        {"QueueUrl": QUEUE, "Entries": []},
    ),
    (TOPIC, "sns:Publish", "sns:publish", {"TopicArn": TOPIC, "Message": "m"}),
    (TOPIC, "sns:Publish", "sns:publish", {"TargetArn": TOPIC, "Message": "m"}),
    (TOPIC, "sns:Publish", "aws-sdk:sns:publish", {"topicArn": TOPIC, "Message": "m"}),
    (
        TOPIC,
        "sns:Publish",
        "aws-sdk:sns:publishBatch",
        {"TopicArn": TOPIC, "PublishBatchRequestEntries": [{"Id": "a", "Message": "m"}]},
    ),
    *(
        put({"EventBusName": each})
        for each in ("secret", BUS, "x/secret", BUS.replace("aws:", "aws-cn:", 1), "/secret")
    ),
    put({}, {"EventBusName": "secret"}),
    put({"EventBusName": "secret"}, resource="aws-sdk:eventbridge:putEvents"),
    put({"eventBusName": "secret"}, resource="aws-sdk:eventbridge:putEvents"),
    put({"EventBusName": BUS}, resource="aws-sdk:events:putEvents"),
    (MACHINE, "states:StartExecution", "states:startExecution", {"StateMachineArn": MACHINE}),
    (
        MACHINE,
        "states:StartExecution",
        "states:startExecution",
        {"StateMachineArn": f"{MACHINE}:1"},
    ),
    (
        MACHINE,
        "states:StartExecution",
        "states:startExecution",
        {"StateMachineArn": f"{MACHINE}:live"},
    ),
    (
        MACHINE,
        "states:StartExecution",
        "aws-sdk:sfn:startExecution",
        {"stateMachineArn": f"{MACHINE}:live"},
    ),
    (
        MACHINE,
        "states:StartSyncExecution",
        "aws-sdk:sfn:startSyncExecution",
        {"StateMachineArn": MACHINE},
    ),
    (TABLE, "dynamodb:GetItem", "dynamodb:getItem", {"TableName": "secret", "Key": {}}),
    (
        TABLE,
        "dynamodb:GetItem",
        "dynamodb:getItem",
        {"TableName": TABLE.replace("aws:", "aws-cn:", 1), "Key": {}},
    ),
    (TABLE, "dynamodb:Query", "aws-sdk:dynamodb:query", {"TableName": "secret", "IndexName": "i"}),
    (
        TABLE,
        "dynamodb:PutItem",
        "aws-sdk:dynamodb:transactWriteItems",
        {"TransactItems": [{"Put": {"TableName": "secret", "Item": {}}}]},
    ),
    (
        TABLE,
        "dynamodb:BatchWriteItem",
        "aws-sdk:dynamodb:batchWriteItem",
        {"RequestItems": {"public": [], "secret": []}},
    ),
    (
        TABLE,
        "dynamodb:PartiQLSelect",
        "aws-sdk:dynamodb:executeStatement",
        {"Statement": 'SELECT * FROM "secret"'},
    ),
    (
        "arn:aws:s3:::b/secret/*",
        "s3:GetObject",
        "aws-sdk:s3:getObject",
        {"Bucket": "b", "Key": "secret/k"},
    ),
    (
        "arn:aws:s3:::b/secret/*",
        "s3:GetObject",
        "aws-sdk:s3:headObject",
        {"Bucket": "b", "Key": "secret/k"},
    ),
    (
        "arn:aws:s3:::b/secret/*",
        "s3:GetObject",
        "aws-sdk:s3:copyObject",
        {"Bucket": "c", "Key": "k", "CopySource": "/b/secret%2Fk"},
    ),
    (
        "arn:aws:s3:::b/*",
        "s3:GetObject",
        "aws-sdk:s3:getObject",
        {"Bucket": "arn:aws:s3:us-east-1:1:accesspoint/p", "Key": "k"},
    ),
    (
        f"arn:aws:secretsmanager:{HERE}:secret:a-AbCdEf",
        "secretsmanager:GetSecretValue",
        "aws-sdk:secretsmanager:getSecretValue",
        {"SecretId": "a"},
    ),
    (
        f"arn:aws:batch:{HERE}:job-definition/secret:1",
        "batch:SubmitJob",
        "batch:submitJob",
        {"JobDefinition": "secret", "JobQueue": "q", "JobName": "j"},
    ),
    (
        "*",
        "monitoring:PutMetricData",
        "aws-sdk:cloudwatch:putMetricData",
        {"Namespace": "n", "MetricData": []},
    ),
    (
        "*",
        "cloudwatch:PutMetricData",
        "aws-sdk:cloudwatch:putMetricData",
        {"Namespace": "n", "MetricData": []},
    ),
    ("*", "eventbridge:PutEvents", "events:putEvents", {"Entries": [{"Source": "s"}]}),
    ("*", "iot:Publish", "aws-sdk:iotdataplane:publish", {"Topic": "t"}),
]


@pytest.mark.parametrize(("resource", "action", "task", "parameters"), ATTACKS)
async def test_a_deny_holds_for_every_spelling(
    tmp_path: Path, resource: str, action: str, task: str, parameters: Any
) -> None:
    house = await furnished(tmp_path / "house.db", deny(action, resource))
    try:
        ended = await house.task(task, parameters)
        assert "with an explicit deny in an identity-based policy" in ended.get("cause", ""), ended
    finally:
        await house.close()


ALLOWED = [
    ("lambda:invoke", {"FunctionName": "public"}),
    ("lambda:invoke", {"FunctionName": "public:any"}),
    ("aws-sdk:lambda:invoke", {"FunctionName": "public"}),
    ("sqs:sendMessage", {"QueueUrl": "h/123456789012/public", "MessageBody": "m"}),
    ("aws-sdk:sqs:sendMessageBatch", {"QueueUrl": "h/123456789012/public", "Entries": [ENTRY]}),
    ("sns:publish", {"TopicArn": TOPIC.replace("secret", "public"), "Message": "m"}),
    ("sns:publish", {"PhoneNumber": "+15550100", "Message": "m"}),
    ("events:putEvents", {"Entries": [{"Source": "s", "DetailType": "d", "Detail": {}}]}),
    (
        "aws-sdk:eventbridge:putEvents",
        {"Entries": [{"EventBusName": "public", "Source": "s", "DetailType": "d", "Detail": "{}"}]},
    ),
    ("states:startExecution", {"StateMachineArn": MACHINE.replace("secret", "public")}),
    ("aws-sdk:sfn:describeStateMachine", {"StateMachineArn": MACHINE.replace("secret", "public")}),
    ("aws-sdk:sqs:listQueues", {}),
]


async def test_a_deny_of_one_thing_stops_no_other(tmp_path: Path) -> None:
    house = await furnished(
        tmp_path / "house.db",
        *(deny(f"{each.split(':')[2]}:*", each) for each in (TOPIC, MACHINE)),
        *(
            deny(f"{each.split(':')[2]}:*{verb}*", each)
            for each, verb in ((FUNCTION, "Invoke"), (QUEUE, "Send"), (BUS, "Put"))
        ),
        *(
            deny("*", f"{each}*")
            for each in (FUNCTION, QUEUE, TOPIC, BUS, MACHINE)
            if each != QUEUE
        ),
    )
    try:
        for task, parameters in ALLOWED:
            if task == "aws-sdk:sqs:listQueues":
                continue
            ended = await house.task(task, parameters)
            assert ended["status"] == "SUCCEEDED" or "authorized" not in ended["cause"], (
                task,
                ended,
            )
    finally:
        await house.close()


async def test_an_allow_says_what_it_says_and_no_more(tmp_path: Path) -> None:
    """An ARN of another account leads to the function that is here, so it needs the Allow of
    that.
    """
    there = FUNCTION.replace("1234", "9999")
    allowed = {
        "Effect": "Allow",
        "Action": "lambda:InvokeFunction",
        "Resource": [there, f"arn:aws:lambda:{HERE}:function:public"],
    }
    house = EmbeddedEngine(tmp_path / "house.db", policies={ROLE: {"Statement": [allowed]}})
    house.functions = {"secret": lambda event: "told", "public": lambda event: "told"}
    async with house:
        assert (
            "no identity-based policy allows"
            in (await house.task("lambda:invoke", {"FunctionName": there}))["cause"]
        )
        assert (await house.task("lambda:invoke", {"FunctionName": "function:public"}))[
            "status"
        ] == "SUCCEEDED"


# --- a Deny of a resource applies to every spelling that the service accepts ----------------------

BEFORE = st.sampled_from([
    "", "function:", "123456789012:function:", "999999999999:function:",
    "arn:aws:lambda:us-east-1:123456789012:function:",
    "arn:aws-cn:lambda:eu-west-1:999999999999:function:", "arn:aws:lambda:",
    "http://h/123456789012/", "https://h/a/b/123456789012/",
    "/", "123456789012/", "http://h/999999999999/",
    "arn:aws:sqs:us-east-1:123456789012:", "arn:aws-cn:sqs:us-east-1:123456789012:",
    "arn:aws:sns:us-east-1:123456789012:",
    "arn:aws:events:us-east-1:123456789012:event-bus/", "arn:x:y:z:0:event-bus/",
    "a/b/", "event-bus/", "http://h//123456789012//",
])  # fmt: skip
NAMES = st.sampled_from(["secret"] * 6 + ["public", "SECRET", "%73ecret", " secret", "secret\n"])
AFTER = st.sampled_from(
    ["", "", "", "/", "//", ":", ":$LATEST", ":live", ":1", "/secret", "?", "#", ".fifo", " ", "\n"]
)
SPELLINGS = st.one_of(
    st.tuples(BEFORE, NAMES, AFTER).map("".join),
    st.lists(st.one_of(BEFORE, NAMES, AFTER), max_size=5).map("".join),
)


async def test_what_a_service_takes_for_a_thing_is_denied_as_that_thing(tmp_path: Path) -> None:
    denied = [
        deny("lambda:*", FUNCTION),
        deny("sqs:*", QUEUE),
        deny("sns:*", TOPIC),
        deny("events:*", BUS),
        deny("states:*", MACHINE),
    ]
    house = await furnished(tmp_path / "house.db", *denied)
    host = house.registry.host
    sqs = await host.services.get("sqs")
    policies = house.registry._policies
    assert isinstance(policies, Policies)
    seen = dict.fromkeys(("lambda", "sqs", "sns", "events"), 0)

    def function(text: str) -> bool:
        found = host.functions.find(text)
        return found is not None and host.functions.parse(text)[0] == "secret"

    def named(find: Callable[[str], Any], wanted: Callable[[Any], bool]) -> Callable[[str], bool]:
        def takes(text: str) -> bool:
            try:
                return wanted(find(text))
            except ApiError:
                return False

        return takes

    doors: dict[str, tuple[Callable[[str], bool], Callable[[str], Any], str]] = {
        "lambda": (function, lambda text: {"FunctionName": text}, "lambda:invoke"),
        "sqs": (
            named(sqs.find, lambda queue: queue.name == "secret"),
            lambda text: {"QueueUrl": text, "MessageBody": "m"},
            "sqs:sendMessage",
        ),
        "sns": (
            named(house.sns.topic, lambda topic: topic["Arn"] == TOPIC),
            lambda text: {"TopicArn": text, "Message": "m"},
            "sns:publish",
        ),
        "events": (
            named(house.events.bus_name, lambda name: name == "secret"),
            lambda text: {"Entries": [{"EventBusName": text}]},
            "events:putEvents",
        ),
    }

    @settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
    @given(SPELLINGS, st.sampled_from(sorted(doors)))
    def holds(text: str, service: str) -> None:
        takes, parameters, task = doors[service]
        if not takes(text):
            return
        seen[service] += 1
        asked = request(f"arn:aws:states:::{task}", parameters(text))
        asked.role_arn = ROLE
        refusal = policies.refusal(asked)
        assert isinstance(refusal, TaskError) and "explicit deny" in (refusal.cause or ""), (
            service,
            text,
        )

    try:
        holds()
        assert seen["lambda"] and seen["sqs"] and seen["events"]  # a topic has one spelling
    finally:
        await house.close()


# --- what Map Runs read and write -----------------------------------------------------------------

READER = {"Bucket": "b", "ReaderConfig": {"InputType": "JSON"}, "MaxItems": None}
WRITER = {
    "Bucket": "b",
    "Prefix": "secret",
    "MapRunArn": "arn:aws:states:us-east-1:1:mapRun:m/l:id",
    "Results": [],
}
MANIFEST = {**READER, "Key": "open/k", "ReaderConfig": {"InputType": "MANIFEST"}}
FLATTENED = {
    **READER,
    "Prefix": "open",
    "ReaderConfig": {"InputType": "JSON", "Transformation": "LOAD_AND_FLATTEN"},
}


@pytest.mark.parametrize(
    ("action", "parameters", "denied", "refused"),
    [
        ("getObject", {**READER, "Key": "secret/k"}, "s3:GetObject", True),
        ("getObject", {**READER, "Key": "open/k"}, "s3:GetObject", False),
        ("getObject", MANIFEST, "s3:GetObject", True),
        ("listObjectsV2", {**READER, "Prefix": "open"}, "s3:GetObject", False),
        ("listObjectsV2", FLATTENED, "s3:GetObject", True),
        ("putObject", WRITER, "s3:PutObject", True),
        ("putObject", {**WRITER, "Prefix": "/open/"}, "s3:PutObject", False),
    ],
)
def test_what_a_map_run_reads_and_writes(
    action: str, parameters: Any, denied: str, refused: bool
) -> None:
    asked = request("local", parameters)
    asked.resource, asked.role_arn = dataset_resource(f"arn:aws:states:::s3:{action}"), ROLE
    refusal = Policies(
        {ROLE: {"Statement": [ALLOW, deny(denied, "arn:aws:s3:::b/secret/*")]}}
    ).refusal(asked)
    assert (refusal is not None) is refused
    if refusal is not None:
        assert refusal.error == (
            "States.ResultWriterFailed" if action == "putObject" else "States.ItemReaderFailed"
        )


# --- the parts of a statement ---------------------------------------------------------------------


def refusal(statements: Any, task: str, parameters: Any) -> str | None:
    asked = request(f"arn:aws:states:::{task}", parameters)
    asked.role_arn = ROLE
    found = Policies({ROLE: {"Statement": statements}}).refusal(asked)
    return found and found.cause


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        (deny("sns:Publish", "arn:aws:sns:*:${aws:PrincipalAccount}:secret"), True),
        (deny("sns:Publish", "arn:aws:sns:*:${aws:SourceAccount}:public"), False),
        (
            deny("sns:Publish", "arn:aws:sns:*:*:${aws:PrincipalTag/team}"),
            True,
        ),  # an unknown variable
        (deny("sns:Publish", "arn:aws:sns:*:*:secre${?}"), False),
        (
            {
                "Effect": "Deny",
                "Action": "sns:Publish",
                "NotResource": "arn:aws:sns:*:*:${aws:PrincipalTag/team}",
            },
            True,
        ),
        ({"Effect": "Deny", "Action": "sns:Publish", "NotResource": TOPIC}, False),
        ({"Effect": "Deny", "NotAction": "sns:*", "Resource": "*"}, False),
        ({"Effect": "Deny", "NotAction": "sqs:*", "Resource": "*"}, True),
    ],
)
def test_variables_and_negations(statement: dict[str, Any], refused: bool) -> None:
    assert (
        refusal([ALLOW, statement], "sns:publish", {"TopicArn": TOPIC, "Message": "m"}) is not None
    ) is refused


def test_an_allow_with_an_unknown_variable_allows_nothing() -> None:
    for part in ("Resource", "NotResource"):
        statement = {
            "Effect": "Allow",
            "Action": "*",
            part: "arn:aws:sns:*:*:${aws:PrincipalTag/team}",
        }
        assert refusal([statement], "sns:publish", {"TopicArn": TOPIC, "Message": "m"}) is not None


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://api.example.com/admin",
            "HTTPS://API.Example.com/admin",
            "https://api.example.com:443/admin",
            "https://api.example.com./admin",
        ),
        *(
            "https://user@api.example.com/admin",
            "https://api.example.com/a/../admin",
            "https://api.example.com/%61dmin",
            "https://api.example.com//admin",
        ),
    ],
)
def test_a_deny_of_an_endpoint_holds_for_every_spelling(url: str) -> None:
    condition = {"StringLike": {"states:HTTPEndpoint": "https://api.example.com/admin*"}}
    denied = [ALLOW, deny("states:InvokeHTTPEndpoint", Condition=condition)]
    assert refusal(denied, "http:invoke", {"Method": "GET", "ApiEndpoint": url}) is not None
    assert (
        refusal(
            denied, "http:invoke", {"Method": "GET", "ApiEndpoint": "https://api.example.com/open"}
        )
        is None
    )


@pytest.mark.parametrize(
    ("principal", "refused"),
    [
        ({"NotPrincipal": {"AWS": "arn:aws:iam::123456789012:role/other"}}, True),
        ({"NotPrincipal": {"AWS": ["arn:aws:iam::123456789012:root", ROLE]}}, False),
        ({"Principal": {"AWS": "arn:aws:sts::123456789012:assumed-role/any/session"}}, True),
        ({"Principal": {"AWS": "arn:aws:sts::123456789012:assumed-role/another/session"}}, False),
    ],
)
async def test_whom_the_policy_of_a_topic_denies(
    tmp_path: Path, principal: dict[str, Any], refused: bool
) -> None:
    async with EmbeddedEngine(
        tmp_path / "house.db", policies={ROLE: {"Statement": [ALLOW]}}
    ) as house:
        policy = json.dumps(
            {"Version": "2012-10-17", "Statement": [{**deny("sns:Publish"), **principal}]}
        )
        await house.sns.create_topic("secret", attributes={"Policy": policy})
        ended = await house.task("sns:publish", {"TopicArn": TOPIC, "Message": "m"})
        assert (ended["status"] == "FAILED") is refused, ended
