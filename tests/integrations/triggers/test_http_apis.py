"""HTTP APIs, created with boto3 and called with an HTTP client."""

import base64
import http.client
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from tests.integrations.server.live import ACCOUNT, REGION, ROLE, Live
from tests.integrations.triggers.conftest import Open, Site

from stepwell.integrations.services.apigateway.parameter_mappings import compile_mapping
from stepwell.integrations.services.apigateway.requests import ApiRequest
from stepwell.integrations.services.apigateway.route_keys import (
    RouteKeyError,
    RouteTable,
    parse_key,
)

LAMBDA = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:answer"


class Got(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(url: str, method: str = "GET", body: str | bytes | None = None, **headers: str) -> Got:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, place.path + (f"?{place.query}" if place.query else ""), body, named)
    answer = connection.getresponse()
    got = Got(
        answer.status,
        {name.lower(): value for name, value in answer.getheaders()},
        answer.read().decode(),
    )
    connection.close()
    return got


@pytest.fixture(scope="module")
def site(open_live: Open) -> Site:
    return Site(open_live())


class Api:
    """An API with a stage with AutoDeploy."""

    def __init__(self, site: Site, stage: str = "$default", **rest: Any) -> None:
        self.gateway = site.aws("apigatewayv2")
        created = self.gateway.create_api(Name="orders", ProtocolType="HTTP", **rest)
        self.id, self.url = created["ApiId"], created["ApiEndpoint"]
        self.gateway.create_stage(ApiId=self.id, StageName=stage, AutoDeploy=True)

    def integrate(self, **parameters: Any) -> str:
        parameters = {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "1.0", **parameters}
        return str(self.gateway.create_integration(ApiId=self.id, **parameters)["IntegrationId"])

    def route(self, key: str, integration: str, **rest: Any) -> str:
        created = self.gateway.create_route(
            ApiId=self.id, RouteKey=key, Target=f"integrations/{integration}", **rest
        )
        return str(created["RouteId"])

    def start(
        self, key: str, machine: str, subtype: str = "StartExecution", **parameters: str
    ) -> str:
        mappings = {"StateMachineArn": machine, "Input": "$request.body", **parameters}
        id = self.integrate(
            IntegrationSubtype=f"StepFunctions-{subtype}",
            CredentialsArn=ROLE,
            RequestParameters=mappings,
        )
        return self.route(key, id)


@pytest.fixture
def api(site: Site) -> Iterator[Api]:
    created = Api(site)
    yield created
    created.gateway.delete_api(ApiId=created.id)


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    response = error.value.response["Error"]
    return response["Code"], response["Message"]


# --- starting executions --------------------------------------------------------------------------


def test_a_request_starts_an_execution(site: Site, api: Api) -> None:
    machine = site.machine("http-start")
    api.start("POST /orders", machine)
    got = ask(f"{api.url}/orders", "POST", '{"id": 7}')
    assert (
        got.status == 200
        and got.headers["content-type"] == "application/json"
        and got.headers["apigw-requestid"]
    )
    assert got.json.keys() == {"executionArn", "startDate"} and type(got.json["startDate"]) is float
    described = site.aws("stepfunctions").describe_execution(executionArn=got.json["executionArn"])
    assert json.loads(described["input"]) == {"id": 7}


def test_unknown_apis_and_routes(site: Site, api: Api) -> None:
    api.start("POST /orders", site.machine("http-start"))
    for path, method in (("/orders", "GET"), ("/other", "POST"), ("/orders/1", "POST")):
        got = ask(api.url + path, method, "{}")
        assert (got.status, got.json) == (404, {"message": "Not Found"})
    assert ask(f"{site.url}/_apis/nothere/orders", "POST", "{}").status == 404


def test_the_response_of_a_synchronous_execution(site: Site, api: Api) -> None:
    api.start("POST /sum", site.machine("http-express", type="EXPRESS"), "StartSyncExecution")
    got = ask(f"{api.url}/sum", "POST", '{"a": 1}')
    assert got.status == 200
    assert (got.json["status"], json.loads(got.json["output"])) == ("SUCCEEDED", {"a": 1})
    assert "billingDetails" in got.json and "extras" not in got.json


def test_parameters_are_mapped_from_the_request(site: Site, api: Api) -> None:
    machine = site.machine("http-mapping")
    template = (
        '{"id": "${request.path.id}", "tag": "${request.querystring.tag}", "by": '
        '"${request.header.X-By}", "at": "${context.stage}"}'
    )
    api.start("PUT /orders/{id}", machine, Name="$request.body.name", Input=template)
    got = ask(f"{api.url}/orders/o%2F1?tag=a&tag=b", "PUT", '{"name": "mine"}', X_By="me")
    assert got.status == 200 and got.json["executionArn"].endswith(":http-mapping:mine")
    assert site.inputs(machine) == [{"id": "o/1", "tag": "a,b", "by": "me", "at": "$default"}]


def test_a_mapping_without_a_value_is_omitted(site: Site, api: Api) -> None:
    machine = site.machine("http-nothing")
    api.start("POST /", machine, Name="$request.header.no")
    assert ask(f"{api.url}/", "POST").status == 200
    assert site.inputs(machine) == [{}]


def test_an_error_of_the_service_is_the_response(site: Site, api: Api) -> None:
    api.start("POST /bad", site.machine("http-bad"))
    got = ask(f"{api.url}/bad", "POST", "no json")
    assert (
        got.status == 400
        and got.json["__type"] == "InvalidExecutionInput"
        and got.json["message"].startswith("Invalid State Machine")
    )
    api.start("POST /none", f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:none")
    assert ask(f"{api.url}/none", "POST", "{}").json["__type"] == "StateMachineDoesNotExist"


def test_an_execution_is_stopped_and_an_event_is_put(site: Site, api: Api) -> None:
    wait = json.dumps(
        {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}
    )
    machine = site.machine("http-stop", wait)
    arn = site.aws("stepfunctions").start_execution(stateMachineArn=machine)["executionArn"]
    stop = {"ExecutionArn": "$request.body.arn", "Cause": "asked"}
    api.route(
        "POST /stop",
        api.integrate(IntegrationSubtype="StepFunctions-StopExecution", RequestParameters=stop),
    )
    assert ask(f"{api.url}/stop", "POST", json.dumps({"arn": arn})).json.keys() == {"stopDate"}
    assert site.aws("stepfunctions").describe_execution(executionArn=arn)["cause"] == "asked"
    put = {"Detail": "$request.body", "DetailType": "t", "Source": "own"}
    api.route(
        "POST /put",
        api.integrate(IntegrationSubtype="EventBridge-PutEvents", RequestParameters=put),
    )
    assert ask(f"{api.url}/put", "POST", "{}").json["FailedEntryCount"] == 0


def test_a_message_is_sent_to_a_queue(site: Site, api: Api) -> None:
    url = site.aws("sqs").create_queue(QueueName="http")["QueueUrl"]
    send = {"QueueUrl": url, "MessageBody": "$request.body"}
    api.route(
        "POST /send", api.integrate(IntegrationSubtype="SQS-SendMessage", RequestParameters=send)
    )
    got = ask(f"{api.url}/send", "POST", "hello")
    (message,) = site.aws("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == "hello" and message["MessageId"] == got.json["MessageId"]


def test_a_body_that_is_too_long(api: Api) -> None:
    place = urlsplit(api.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.putrequest("POST", f"{place.path}/orders")
    connection.putheader("Content-Length", str(11 * 1024 * 1024))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (
        413,
        {"message": "Request Entity Too Large"},
    )
    connection.close()


# --- functions ------------------------------------------------------------------------------------


def function(api: Api, version: str = "2.0", key: str = "ANY /f/{proxy+}") -> None:
    api.route(key, api.integrate(IntegrationUri=LAMBDA, PayloadFormatVersion=version))


def test_the_event_of_format_2(api: Api) -> None:
    function(api)
    got = ask(
        f"{api.url}/f/a/b?x=1&x=2&y=",
        "POST",
        '{"echo": true}',
        Cookie="c=1; d=2",
        content_type="application/json",
    )
    event = got.json
    assert (event["version"], event["routeKey"], event["rawPath"]) == (
        "2.0",
        "ANY /f/{proxy+}",
        "/f/a/b",
    )
    assert event["rawQueryString"] == "x=1&x=2&y="
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["cookies"] == ["c=1", "d=2"] and "cookie" not in event["headers"]
    assert event["pathParameters"] == {"proxy": "a/b"}
    assert (event["body"], event["isBase64Encoded"]) == ('{"echo": true}', False)
    context = event["requestContext"]
    assert (
        context["http"].items()
        >= {
            "method": "POST",
            "path": "/f/a/b",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
        }.items()
    )
    assert (context["apiId"], context["stage"], context["accountId"]) == (
        api.id,
        "$default",
        ACCOUNT,
    )


def test_the_event_of_format_1(api: Api) -> None:
    function(api, "1.0", "GET /one/{id}")
    answer = {"statusCode": 201, "multiValueHeaders": {"x-a": ["1", "2"]}, "body": "made"}
    got = ask(f"{api.url}/one/7?x=1&x=2", "GET", json.dumps({"answer": answer}))
    assert (got.status, got.text, got.headers["content-type"]) == (
        201,
        "made",
        "text/plain; charset=utf-8",
    )
    # without a body the function returns its event, which is not a response in format 1.0
    assert ask(f"{api.url}/one/7").status == 500


@pytest.mark.parametrize(
    ("answer", "status", "type", "text"),
    [
        (
            {"statusCode": 202, "headers": {"Content-Type": "text/x"}, "body": "hi"},
            202,
            "text/x",
            "hi",
        ),
        (
            {"statusCode": 200, "body": base64.b64encode(b"raw").decode(), "isBase64Encoded": True},
            200,
            "application/json",
            "raw",
        ),
        ({"a": 1}, 200, "application/json", '{"a":1}'),
        ("hello", 200, "application/json", "hello"),
        ({"statusCode": 99}, 500, "application/json", '{"message":"Internal Server Error"}'),
        ({"statusCode": 204, "headers": {"content-type": "a/b"}, "body": "none"}, 204, "a/b", ""),
        (
            {"statusCode": 200, "headers": [1]},
            500,
            "application/json",
            '{"message":"Internal Server Error"}',
        ),
        (
            {"statusCode": 200, "headers": {"x y": "1"}},
            500,
            "application/json",
            '{"message":"Internal Server Error"}',
        ),
        ({"statusCode": "no"}, 500, "application/json", '{"message":"Internal Server Error"}'),
        (
            {"statusCode": 200, "headers": {"x": "a\r\nb: c"}},
            500,
            "application/json",
            '{"message":"Internal Server Error"}',
        ),
    ],
)
def test_responses_of_format_2(api: Api, answer: Any, status: int, type: str, text: str) -> None:
    function(api)
    got = ask(f"{api.url}/f/x", "POST", json.dumps({"answer": answer}))
    assert (got.status, got.headers["content-type"], got.text) == (status, type, text)


def test_cookies_and_binary_bodies(api: Api) -> None:
    function(api)
    got = ask(
        f"{api.url}/f/x", "POST", json.dumps({"answer": {"statusCode": 200, "cookies": ["a=1"]}})
    )
    assert got.headers["set-cookie"] == "a=1"
    got = ask(f"{api.url}/f/x", "POST", b"\xff\x00", content_type="application/octet-stream")
    assert got.status == 500  # the function cannot read its body: an error of a function


def test_quick_create_of_a_function(site: Site) -> None:
    gateway = site.aws("apigatewayv2")
    created = gateway.create_api(Name="quick", ProtocolType="HTTP", Target=LAMBDA)
    assert ask(f"{created['ApiEndpoint']}/any/where", "PATCH").json["routeKey"] == "$default"
    assert gateway.get_stages(ApiId=created["ApiId"])["Items"][0]["ApiGatewayManaged"]
    gateway.delete_api(ApiId=created["ApiId"])


# --- stages, deployments, names -------------------------------------------------------------------


def test_a_stage_without_automatic_deployment_serves_a_copy(site: Site) -> None:
    api = Api(site)
    route = api.start("POST /a", site.machine("http-stage"))
    api.gateway.create_stage(ApiId=api.id, StageName="prod")
    assert ask(f"{api.url}/prod/a", "POST", "{}").status == 404
    deployment = api.gateway.create_deployment(ApiId=api.id, StageName="prod")["DeploymentId"]
    api.gateway.delete_route(ApiId=api.id, RouteId=route)
    assert ask(f"{api.url}/prod/a", "POST", "{}").status == 200
    assert ask(f"{api.url}/a", "POST", "{}").status == 404
    assert (
        refused(api.gateway.delete_deployment, ApiId=api.id, DeploymentId=deployment)[0]
        == "BadRequestException"
    )
    newer = api.gateway.create_deployment(ApiId=api.id)["DeploymentId"]
    assert [
        each["DeploymentId"] for each in api.gateway.get_deployments(ApiId=api.id)["Items"]
    ] == [deployment, newer]
    api.gateway.update_stage(ApiId=api.id, StageName="prod", DeploymentId=newer)
    assert ask(f"{api.url}/prod/a", "POST", "{}").status == 404
    api.gateway.delete_deployment(ApiId=api.id, DeploymentId=deployment)
    assert (
        api.gateway.get_deployment(ApiId=api.id, DeploymentId=newer)["DeploymentStatus"]
        == "DEPLOYED"
    )
    assert (
        refused(api.gateway.get_deployment, ApiId=api.id, DeploymentId=deployment)[0]
        == "NotFoundException"
    )
    api.gateway.delete_stage(ApiId=api.id, StageName="prod")


def test_stage_variables_and_the_raw_path(site: Site) -> None:
    api = Api(site, "dev")
    api.gateway.update_stage(ApiId=api.id, StageName="dev", StageVariables={"which": "answer"})
    assert api.gateway.get_stage(ApiId=api.id, StageName="dev")["StageVariables"] == {
        "which": "answer"
    }
    api.route(
        "GET /v",
        api.integrate(
            IntegrationUri=LAMBDA.replace("answer", "${stageVariables.which}"),
            PayloadFormatVersion="2.0",
        ),
    )
    event = ask(f"{api.url}/dev/v").json
    assert (event["rawPath"], event["stageVariables"]) == ("/dev/v", {"which": "answer"})


def test_an_api_by_its_host_name(site: Site, api: Api) -> None:
    api.start("POST /orders", site.machine("http-start"))
    name = f"{api.id}.execute-api.localhost"
    assert (
        ask(f"{site.url}/orders", "POST", "{}", Host=f"{name}:{urlsplit(site.url).port}").status
        == 200
    )
    assert ask(f"{site.url}/", "POST", "{}", Host=name).json == {
        "message": "Not Found"
    }  # not the API of AWS
    assert (
        ask(f"{site.url}/orders", "POST", "{}", Host=f"{api.id}.execute-api.evil.example").status
        == 400
    )


# --- CORS -----------------------------------------------------------------------------------------


def test_pages_of_other_origins(site: Site) -> None:
    cors = {
        "AllowOrigins": ["https://shop.example"],
        "AllowMethods": ["POST"],
        "AllowHeaders": ["x-a"],
        "MaxAge": 60,
    }
    api = Api(site, CorsConfiguration={**cors, "ExposeHeaders": ["x-b"], "AllowCredentials": True})
    machine = site.machine("http-cors")
    api.start("POST /orders", machine)
    before = ask(
        f"{api.url}/orders",
        "OPTIONS",
        Origin="https://shop.example",
        Access_Control_Request_Method="POST",
    )
    assert (before.status, before.headers["access-control-allow-origin"]) == (
        204,
        "https://shop.example",
    )
    assert (
        before.headers["access-control-allow-methods"] == "POST"
        and before.headers["access-control-max-age"] == "60"
    )
    got = ask(f"{api.url}/orders", "POST", "{}", Origin="https://shop.example")
    assert got.status == 200 and got.headers["access-control-expose-headers"] == "x-b"
    assert (
        got.headers["access-control-allow-credentials"] == "true"
        and "access-control-max-age" not in got.headers
    )
    assert ask(f"{api.url}/orders", "POST", "{}", Origin="https://evil.example").status == 403
    assert (
        "access-control-allow-origin"
        not in ask(
            f"{api.url}/x", "OPTIONS", Origin="https://e.example", Access_Control_Request_Method="X"
        ).headers
    )
    api.gateway.delete_cors_configuration(ApiId=api.id)
    assert ask(f"{api.url}/orders", "POST", "{}", Origin="https://shop.example").status == 403
    assert ask(f"{api.url}/orders", "POST", "{}", Origin=site.url).status == 200  # its own
    assert len(site.inputs(machine)) == 2


# --- signatures -----------------------------------------------------------------------------------


def test_a_route_with_iam_authorization(open_live: Open, site: Site, tmp_path: Path) -> None:
    """A route without authorization is open even if the AWS API requires signatures."""
    keys = tmp_path / "keys"
    keys.write_text("[one]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n")
    signed = Site(
        open_live("--credentials", keys, "--db", tmp_path / "signed.db"), "AKIDEXAMPLE", "secret"
    )
    api = Api(signed)
    integration = api.integrate(IntegrationUri=LAMBDA, PayloadFormatVersion="2.0")
    api.route("GET /open", integration)
    api.route("GET /closed", integration, AuthorizationType="AWS_IAM")
    assert ask(f"{api.url}/open").status == 200
    assert (got := ask(f"{api.url}/closed")).status == 403 and got.json == {"message": "Forbidden"}
    request = AWSRequest("GET", f"{api.url}/closed")
    SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "execute-api", REGION).add_auth(request)
    assert ask(f"{api.url}/closed", **dict(request.headers.items())).status == 200


# --- definitions ----------------------------------------------------------------------------------


def test_apis(site: Site) -> None:
    gateway = site.aws("apigatewayv2")
    created = gateway.create_api(Name="a", ProtocolType="HTTP", Description="d", Tags={"k": "v"})
    assert created["CreatedDate"].year >= 2024 and created["ProtocolType"] == "HTTP"
    assert created["ApiEndpoint"] == f"{site.url}/_apis/{created['ApiId']}"
    other_name = Site(site.live)
    other_name.url = site.url.replace("127.0.0.1", "localhost")
    assert (
        other_name.aws("apigatewayv2").get_api(ApiId=created["ApiId"])["ApiEndpoint"]
        == f"{other_name.url}/_apis/{created['ApiId']}"
    )
    assert created["RouteSelectionExpression"] == "$request.method $request.path"
    other = gateway.create_api(Name="b", ProtocolType="HTTP")
    pages = [
        page["Items"]
        for page in gateway.get_paginator("get_apis").paginate(PaginationConfig={"PageSize": "1"})
    ]
    assert {created["ApiId"], other["ApiId"]} <= {
        each["ApiId"] for page in pages for each in page
    } and {len(page) for page in pages} == {1}
    assert gateway.update_api(ApiId=created["ApiId"], Name="c")["Name"] == "c"
    assert {
        key: gateway.get_api(ApiId=created["ApiId"])[key] for key in ("Name", "Description")
    } == {
        "Name": "c",
        "Description": "d",
    }
    arn = f"arn:aws:apigateway:{REGION}::/apis/{created['ApiId']}"
    gateway.tag_resource(ResourceArn=arn, Tags={"x": "y"})
    gateway.untag_resource(ResourceArn=arn, TagKeys=["k"])
    assert gateway.get_tags(ResourceArn=arn)["Tags"] == {"x": "y"}
    stage = f"{arn}/stages/tagged"
    gateway.create_stage(ApiId=created["ApiId"], StageName="tagged", Tags={"k": "v"})
    gateway.tag_resource(ResourceArn=stage, Tags={"s": "t"})
    gateway.untag_resource(ResourceArn=stage, TagKeys=["k"])
    assert (
        gateway.get_stage(ApiId=created["ApiId"], StageName="tagged")["Tags"]
        == gateway.get_tags(ResourceArn=stage)["Tags"]
        == {"s": "t"}
    )
    assert gateway.get_tags(ResourceArn=arn)["Tags"] == {"x": "y"}
    gateway.delete_api(ApiId=created["ApiId"])
    gateway.delete_api(ApiId=other["ApiId"])
    text = f"Invalid API identifier specified {ACCOUNT}:{created['ApiId']}"
    assert refused(gateway.get_api, ApiId=created["ApiId"]) == ("NotFoundException", text)


def test_routes_and_integrations(site: Site, api: Api) -> None:
    gateway, id = api.gateway, api.id
    machine = site.machine("http-start")
    route = api.start("POST /a", machine, Name="$request.header.name")
    before = gateway.get_route(ApiId=id, RouteId=route)
    assert before["AuthorizationType"] == "NONE" and [
        each["RouteId"] for each in gateway.get_routes(ApiId=id)["Items"]
    ] == [route]
    integration = before["Target"].removeprefix("integrations/")
    changed = gateway.update_integration(
        ApiId=id, IntegrationId=integration, RequestParameters={"Name": "", "Input": "{}"}
    )
    assert changed["RequestParameters"] == {"StateMachineArn": machine, "Input": "{}"}
    assert gateway.get_integration(ApiId=id, IntegrationId=integration)["TimeoutInMillis"] == 30_000
    assert (
        gateway.update_route(ApiId=id, RouteId=route, RouteKey="GET /b")["Target"]
        == before["Target"]
    )
    assert ask(f"{api.url}/b").status == 200
    assert (
        refused(gateway.delete_integration, ApiId=id, IntegrationId=integration)[0]
        == "ConflictException"
    )
    gateway.delete_route(ApiId=id, RouteId=route)
    gateway.delete_integration(ApiId=id, IntegrationId=integration)
    assert gateway.get_integrations(ApiId=id)["Items"] == []
    assert refused(gateway.get_route, ApiId=id, RouteId=route)[0] == "NotFoundException"


def test_rejected_requests(site: Site, api: Api) -> None:
    gateway, id, good = (
        api.gateway,
        api.id,
        {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "1.0"},
    )
    assert (
        refused(gateway.create_api, Name="w", ProtocolType="WEBSOCKET")[0] == "BadRequestException"
    )
    for integration in (
        {**good, "IntegrationType": "HTTP_PROXY", "IntegrationUri": "http://x"},
        {**good, "IntegrationSubtype": "Kinesis-PutRecord"},
        {**good, "IntegrationUri": "http://x"},
        {**good, "IntegrationUri": LAMBDA, "PayloadFormatVersion": "3.0"},
        {
            **good,
            "IntegrationSubtype": "StepFunctions-StartExecution",
            "RequestParameters": {"Input": "{}"},
        },
        {
            **good,
            "IntegrationSubtype": "StepFunctions-StartExecution",
            "RequestParameters": {"StateMachineArn": "a", "Inputs": "{}"},
        },
        {
            **good,
            "IntegrationSubtype": "StepFunctions-StartExecution",
            "RequestParameters": {"StateMachineArn": "$request.no"},
        },
    ):
        assert (
            refused(gateway.create_integration, ApiId=id, **integration)[0] == "BadRequestException"
        ), integration
    for route in (
        {"RouteKey": "POST"},
        {"RouteKey": "FETCH /a"},
        {"RouteKey": "GET /{a+}/b"},
        {"RouteKey": "GET /a", "Target": "x"},
    ):
        assert refused(gateway.create_route, ApiId=id, **route)[0] == "BadRequestException", route
    assert (
        refused(gateway.create_route, ApiId=id, RouteKey="GET /a", AuthorizationType="JWT")[0]
        == "BadRequestException"
    )
    code, text = refused(gateway.create_integration, ApiId=id, IntegrationType="NONE")
    assert code == "BadRequestException" and "'integrationType'" in text
    gateway.create_route(ApiId=id, RouteKey="GET /a")
    assert refused(gateway.create_route, ApiId=id, RouteKey="GET /a") == (
        "ConflictException",
        "Route with key GET /a already exists for this API",
    )
    assert (
        refused(
            gateway.create_authorizer,
            ApiId=id,
            AuthorizerType="JWT",
            Name="n",
            IdentitySource=["a"],
        )[0]
        == "UnknownOperationException"
    )
    assert ask(f"{api.url}/a").status == 500  # a route without a target


# --- properties -----------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=3)
SEGMENTS = st.lists(
    st.one_of(NAMES, NAMES.map(lambda name: "{v" + name + "}")), min_size=1, max_size=3
)


@given(
    st.lists(SEGMENTS, min_size=1, max_size=6),
    st.lists(NAMES, min_size=1, max_size=3),
    st.randoms(),
)
def test_the_most_specific_route_serves_in_any_order(
    routes: list[list[str]], path: list[str], random: Any
) -> None:
    keys = []
    for segments in routes:
        key = "GET /" + "/".join(segments)
        try:
            parse_key(key)
        except RouteKeyError:  # two variables of one name
            continue
        if key not in keys:
            keys.append(key)
    keys += ["GET /{all+}", "$default"]
    shuffled = list(keys)
    random.shuffle(shuffled)
    found = RouteTable((key, key) for key in shuffled).find("GET", "/" + "/".join(path))
    assert found is not None

    def kinds(key: str) -> list[bool]:
        return [segment.startswith("{") for segment in key[5:].split("/")]

    def fits(key: str) -> bool:
        segments = key[5:].split("/")
        return len(segments) == len(path) and all(
            a.startswith("{") or a == b for a, b in zip(segments, path)
        )

    fitting = [kinds(key) for key in keys[:-2] if fits(key)]
    assert found[0] == "GET /{all+}" if not fitting else kinds(found[0]) == min(fitting)


@given(st.text(st.characters(exclude_characters="$", codec="utf-8")))
def test_a_plain_text_is_itself(text: str) -> None:
    assert compile_mapping(text)(ApiRequest("GET", "/", [], {}, b"")) == text


@given(st.dictionaries(NAMES, st.one_of(st.text(), st.integers(), st.booleans()), min_size=1))
def test_members_of_a_body(body: dict[str, Any]) -> None:
    request = ApiRequest("POST", "/", [], {}, json.dumps(body).encode())
    for name, value in body.items():
        read = compile_mapping(f"$request.body.{name}")(request)
        assert read == value if isinstance(value, str) else json.loads(read or "") == value


# --- restart --------------------------------------------------------------------------------------


def test_definitions_and_executions_survive_a_kill(open_live: Open, site: Site) -> None:
    api = Api(site, "prod")
    machine = site.machine("http-kept")
    api.start("POST /orders", machine)
    assert ask(f"{api.url}/prod/orders", "POST", '{"n": 1}').status == 200
    site.live.process.kill()
    site.live.process.wait(timeout=60)
    again: Live = open_live()
    anew = Site(again)
    assert ask(f"{anew.url}/_apis/{api.id}/prod/orders", "POST", '{"n": 2}').status == 200
    assert anew.inputs(machine) == [{"n": 1}, {"n": 2}]
