"""Create the resources of the application; a second run updates them after a change.

    python examples/app/setup.py [--mail me@example.org]

The program uses botocore, a dependency of stepwell; boto3 has the same methods. It calls the
endpoint in AWS_ENDPOINT_URL, or else http://127.0.0.1:8083.
"""

import argparse
import io
import json
import os
import zipfile
from functools import cache
from pathlib import Path

import botocore.session

HERE = Path(__file__).resolve().parent
NAME = "invoices"
LIMIT = 100
SESSION = botocore.session.get_session()
ROLE = "arn:aws:iam::123456789012:role/invoices"  # AWS requires a role; stepwell accepts any


@cache
def client(service):
    url = os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:8083")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    keys = {"aws_access_key_id": "stepwell", "aws_secret_access_key": "stepwell"}
    configured = "AWS_ACCESS_KEY_ID" in os.environ or "AWS_PROFILE" in os.environ
    return SESSION.create_client(
        service, endpoint_url=url, region_name=region, **({} if configured else keys)
    )


def topic(mail):
    """The topic of the notifications, with a queue for inbox.py and an optional mail address."""
    sqs, sns = client("sqs"), client("sns")
    queue = sqs.create_queue(QueueName=f"{NAME}-inbox")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    arn = sns.create_topic(Name=NAME)["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
    if mail:
        sns.subscribe(TopicArn=arn, Protocol="email", Endpoint=mail)
    return arn


def function(name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(HERE / "functions" / f"{name}.py", f"{name}.py")
    functions, full = client("lambda"), f"{NAME}-{name}"
    try:
        made = functions.create_function(
            FunctionName=full,
            Runtime="python3.12",
            Handler=f"{name}.handler",
            Role=ROLE,
            Timeout=30,
            Code={"ZipFile": packed.getvalue()},
        )
    except functions.exceptions.ResourceConflictException:
        made = functions.update_function_code(FunctionName=full, ZipFile=packed.getvalue())
    return made["FunctionArn"]


def machine(topic_arn, api):
    definition = (HERE / "review.asl.json").read_text()
    for placeholder, value in {"Topic": topic_arn, "Api": api, "Limit": str(LIMIT)}.items():
        definition = definition.replace(f"${{{placeholder}}}", value)
    states = client("stepfunctions")
    known = {
        each["name"]: each["stateMachineArn"]
        for each in states.list_state_machines()["stateMachines"]
    }
    if NAME in known:
        states.update_state_machine(stateMachineArn=known[NAME], definition=definition)
        return known[NAME]
    return states.create_state_machine(name=NAME, definition=definition, roleArn=ROLE)[
        "stateMachineArn"
    ]


def rule(machine_arn):
    """An upload event starts an execution."""
    events = client("events")
    events.put_rule(
        Name=NAME,
        EventPattern=json.dumps({"source": ["invoices"], "detail-type": ["Invoice Uploaded"]}),
    )
    events.put_targets(Rule=NAME, Targets=[{"Id": "review", "Arn": machine_arn, "RoleArn": ROLE}])


def api():
    """(id, URL) of the HTTP API, which is created if it does not exist."""
    gateway = client("apigatewayv2")
    for each in gateway.get_apis()["Items"]:
        if each["Name"] == NAME:
            return each["ApiId"], each["ApiEndpoint"]
    made = gateway.create_api(Name=NAME, ProtocolType="HTTP")
    gateway.create_stage(ApiId=made["ApiId"], StageName="$default", AutoDeploy=True)
    return made["ApiId"], made["ApiEndpoint"]


def routes(api_id, decide_arn):
    """POST /uploads sends an event; GET /decisions/... calls a function."""
    upload = {"Source": "invoices", "DetailType": "Invoice Uploaded", "Detail": "$request.body"}
    wanted = {
        "POST /uploads": {
            "IntegrationSubtype": "EventBridge-PutEvents",
            "PayloadFormatVersion": "1.0",
            "RequestParameters": upload,
            "CredentialsArn": ROLE,
        },
        "GET /decisions/{answer}": {"IntegrationUri": decide_arn, "PayloadFormatVersion": "2.0"},
    }
    gateway = client("apigatewayv2")
    known = {each["RouteKey"] for each in gateway.get_routes(ApiId=api_id)["Items"]}
    for key, integration in wanted.items():
        if key not in known:
            id = gateway.create_integration(
                ApiId=api_id, IntegrationType="AWS_PROXY", **integration
            )["IntegrationId"]
            gateway.create_route(ApiId=api_id, RouteKey=key, Target=f"integrations/{id}")


def main():
    options = argparse.ArgumentParser(description="Create the resources of the application.")
    options.add_argument("--mail", help="a mail address for the notifications")
    topic_arn = topic(options.parse_args().mail)
    api_id, url = api()
    for name in ("read", "file"):
        function(name)
    routes(api_id, function("decide"))
    rule(machine(topic_arn, url))
    print(url)


if __name__ == "__main__":
    main()
