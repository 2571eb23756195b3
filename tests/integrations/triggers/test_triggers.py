"""Each trigger of docs/how-to/start-executions.md starts one execution, with its name as input, on
one server.
"""

import io
import json
import os
import urllib.request
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.conftest import ROOT
from tests.integrations.server.live import REGION, ROLE, aws, eventually
from tests.integrations.triggers.conftest import Open, Site

START = """
import json, os
import botocore.session

def handler(event, context):
    states = botocore.session.get_session().create_client("stepfunctions")
    for record in event["Records"]:
        text = record["Sns"]["Message"] if "Sns" in record else record["body"]
        states.start_execution(stateMachineArn=os.environ["MACHINE"], input=text)
"""
TRIGGERS: dict[str, Callable[[Site, str], None]] = {}


def trigger(start: Callable[[Site, str], None]) -> Callable[[Site, str], None]:
    TRIGGERS[start.__name__] = start
    return start


def input_of(name: str) -> str:
    return json.dumps({"trigger": name})


@trigger
def api_call(site: Site, machine: str) -> None:
    site.aws("stepfunctions").start_execution(stateMachineArn=machine, input=input_of("api_call"))


@trigger
def command_line(site: Site, machine: str) -> None:
    keys = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_SFN": site.url,
    }
    done = aws(
        {**os.environ, **keys},
        "start-execution",
        "--state-machine-arn",
        machine,
        "--input",
        input_of("command_line"),
    )
    assert done.returncode == 0, done.stderr


@trigger
def event(site: Site, machine: str) -> None:
    events = site.aws("events")
    events.put_rule(Name="way", EventPattern=json.dumps({"source": ["tests"]}))
    events.put_targets(
        Rule="way", Targets=[{"Id": "1", "Arn": machine, "RoleArn": ROLE, "InputPath": "$.detail"}]
    )
    events.put_events(Entries=[{"Source": "tests", "DetailType": "t", "Detail": input_of("event")}])


@trigger
def schedule(site: Site, machine: str) -> None:
    scheduler = site.aws("scheduler")  # before the time is taken: creating a client is slow
    at = (datetime.now(UTC) + timedelta(seconds=5)).strftime("at(%Y-%m-%dT%H:%M:%S)")  # noqa: TID251
    target = {"Arn": machine, "RoleArn": ROLE, "Input": input_of("schedule")}
    scheduler.create_schedule(
        Name="way", ScheduleExpression=at, FlexibleTimeWindow={"Mode": "OFF"}, Target=target
    )


def function(site: Site, machine: str) -> str:
    """ARN of a function that starts an execution for each record that it gets."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("start.py", START)
    client = site.aws("lambda")
    about = {
        "Runtime": "python3.12",
        "Role": ROLE,
        "Handler": "start.handler",
        "Timeout": 30,
        "Environment": {"Variables": {"MACHINE": machine}},
    }
    try:
        return str(
            client.create_function(
                FunctionName="start", Code={"ZipFile": packed.getvalue()}, **about
            )["FunctionArn"]
        )
    except client.exceptions.ResourceConflictException:
        return str(client.get_function_configuration(FunctionName="start")["FunctionArn"])


@trigger
def queue(site: Site, machine: str) -> None:
    sqs = site.aws("sqs")
    url = sqs.create_queue(QueueName="way")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    site.aws("lambda").create_event_source_mapping(
        EventSourceArn=arn, FunctionName=function(site, machine)
    )
    sqs.send_message(QueueUrl=url, MessageBody=input_of("queue"))


@trigger
def topic(site: Site, machine: str) -> None:
    sns = site.aws("sns")
    arn = sns.create_topic(Name="way")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=function(site, machine))
    sns.publish(TopicArn=arn, Message=input_of("topic"))


@trigger
def another_workflow(site: Site, machine: str) -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "End": True}
    task["Parameters"] = {"StateMachineArn": machine, "Input": {"trigger": "another_workflow"}}
    outer = site.machine("outer", json.dumps({"StartAt": "S", "States": {"S": task}}))
    site.aws("stepfunctions").start_execution(stateMachineArn=outer)


@trigger
def http_route(site: Site, machine: str) -> None:
    gateway = site.aws("apigatewayv2")
    api = gateway.create_api(Name="way", ProtocolType="HTTP")
    gateway.create_stage(ApiId=api["ApiId"], StageName="$default", AutoDeploy=True)
    about = {
        "IntegrationType": "AWS_PROXY",
        "IntegrationSubtype": "StepFunctions-StartExecution",
        "PayloadFormatVersion": "1.0",
    }
    parameters = {"StateMachineArn": machine, "Input": "$request.body"}
    integration = gateway.create_integration(
        ApiId=api["ApiId"], RequestParameters=parameters, **about
    )
    gateway.create_route(
        ApiId=api["ApiId"], RouteKey="POST /", Target=f"integrations/{integration['IntegrationId']}"
    )
    urllib.request.urlopen(
        urllib.request.Request(f"{api['ApiEndpoint']}/", input_of("http_route").encode()),
        timeout=60,
    ).close()


@trigger
def mqtt_message(site: Site, machine: str) -> None:
    action = {"stepFunctions": {"stateMachineName": machine.rpartition(":")[2], "roleArn": ROLE}}
    site.aws("iot").create_topic_rule(
        ruleName="way", topicRulePayload={"sql": "SELECT * FROM 'way'", "actions": [action]}
    )
    site.aws("iot-data").publish(topic="way", qos=1, payload=input_of("mqtt_message"))


@pytest.fixture(scope="module")
def site(open_live: Open) -> Site:
    return Site(open_live())


def test_every_trigger(site: Site) -> None:
    machine = site.machine("target")
    for start in TRIGGERS.values():
        start(site, machine)
    eventually(
        lambda: {each["trigger"] for each in site.inputs(machine)} == set(TRIGGERS), seconds=60
    )
    assert len(site.inputs(machine)) == len(TRIGGERS), "each starts one execution"


def test_the_page_has_a_row_for_each() -> None:
    table = (
        (ROOT / "docs" / "how-to" / "start-executions.md")
        .read_text()
        .partition("| way |")[2]
        .partition("\n\n")[0]
        .lower()
    )
    assert [
        name
        for name in TRIGGERS
        if not all(word in table for word in name.split("_") if len(word) > 2)
    ] == []
