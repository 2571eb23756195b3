"""All operations of EventBridge and Scheduler on a real server, by boto3 and the `aws` command."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.conftest import ROOT
from tests.integrations.server.live import (
    ACCOUNT,
    PASS,
    REGION,
    ROLE,
    Live,
    aws,
    eventually,
    keep_compiled,
)

from stepwell.integrations.services.events.service import EventBridge
from stepwell.integrations.services.scheduler.service import Scheduler

BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("events")
    plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    plain |= {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PYTHONPATH": str(ROOT / ".dev")}
    server = Live(
        keep_compiled(plain, tmp_path_factory.getbasetemp()),
        folder / "served.db",
        "--allow-private",
    )
    yield server
    server.close()


class Noting:
    """A client that records which operations succeeded."""

    def __init__(self, live: Live, service: str) -> None:
        config = Config(retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self.client = boto3.client(
            service, endpoint_url=live.url, region_name=REGION, config=config, **keys
        )
        self.answered: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**parameters: Any) -> Any:
            answer = getattr(self.client, name)(**parameters)
            self.answered.add(name)
            return answer

        return call

    def refuses(self, code: str, name: str, **parameters: Any) -> str:
        with pytest.raises(ClientError) as caught:
            getattr(self.client, name)(**parameters)
        assert caught.value.response["Error"]["Code"] == code, caught.value
        return str(caught.value.response["Error"]["Message"])

    def left(self, served: type) -> set[str]:
        """Operations of the service that were not called."""
        return {
            name for name in self.client.meta.method_to_api_mapping if hasattr(served, name)
        } - self.answered


def machine(live: Live) -> str:
    """Create a state machine with one Pass state. Returns its ARN."""
    arn: str = live.client().create_state_machine(
        name=uuid.uuid4().hex, definition=PASS, roleArn=ROLE
    )["stateMachineArn"]
    return arn


def inputs(live: Live, arn: str) -> list[Any]:
    """The inputs of the executions of a machine."""
    client = live.client()
    started = client.list_executions(stateMachineArn=arn)["executions"]
    return [
        json.loads(client.describe_execution(executionArn=each["executionArn"])["input"])
        for each in started
    ]


def test_every_operation_of_events(live: Live) -> None:
    events, target = Noting(live, "events"), machine(live)
    bus = events.create_event_bus(Name="orders", Tags=[{"Key": "team", "Value": "shop"}])[
        "EventBusArn"
    ]
    events.refuses("ResourceAlreadyExistsException", "create_event_bus", Name="orders")
    events.update_event_bus(Name="orders", Description="of the shop")
    assert events.describe_event_bus(Name="orders")["Description"] == "of the shop"
    assert [each["Name"] for each in events.list_event_buses()["EventBuses"]] == [
        "default",
        "orders",
    ]
    events.put_permission(
        EventBusName="orders",
        Action="events:PutEvents",
        Principal="111111111111",
        StatementId="other",
    )
    assert "111111111111" in events.describe_event_bus(Name="orders")["Policy"]
    events.remove_permission(EventBusName="orders", StatementId="other")

    pattern = json.dumps({"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}})
    rule = events.put_rule(Name="large", EventBusName="orders", EventPattern=pattern)["RuleArn"]
    events.refuses(
        "InvalidEventPatternException", "put_rule", Name="bad", EventPattern='{"source": "shop"}'
    )
    assert events.describe_rule(Name="large", EventBusName="orders")["State"] == "ENABLED"
    to_machine = {"Id": "1", "Arn": target, "RoleArn": ROLE, "InputPath": "$.detail"}
    assert (
        events.put_targets(Rule="large", EventBusName="orders", Targets=[to_machine])[
            "FailedEntryCount"
        ]
        == 0
    )
    assert [
        each["Id"]
        for each in events.list_targets_by_rule(Rule="large", EventBusName="orders")["Targets"]
    ] == ["1"]
    assert events.list_rule_names_by_target(TargetArn=target, EventBusName="orders")[
        "RuleNames"
    ] == ["large"]
    assert [each["Arn"] for each in events.list_rules(EventBusName="orders")["Rules"]] == [rule]
    event = {
        "source": "shop",
        "detail": {"total": 101},
        "id": "1",
        "account": ACCOUNT,
        "time": "2026-01-01T00:00:00Z",
    }
    event |= {"region": REGION, "detail-type": "Order"}
    assert events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]
    for member in event.keys() - {"detail"}:  # of the envelope only `resources` may be absent
        without = json.dumps({name: value for name, value in event.items() if name != member})
        events.refuses(
            "ValidationException", "test_event_pattern", EventPattern=pattern, Event=without
        )
    events.tag_resource(ResourceARN=rule, Tags=[{"Key": "a", "Value": "b"}])
    assert events.list_tags_for_resource(ResourceARN=rule)["Tags"] == [{"Key": "a", "Value": "b"}]
    events.untag_resource(ResourceARN=rule, TagKeys=["a"])

    archive = events.create_archive(ArchiveName="kept", EventSourceArn=bus, RetentionDays=1)[
        "ArchiveArn"
    ]
    events.update_archive(ArchiveName="kept", Description="all")
    assert events.describe_archive(ArchiveName="kept")["Description"] == "all"
    assert [each["ArchiveName"] for each in events.list_archives()["Archives"]] == ["kept"]

    entry = {"Source": "shop", "DetailType": "Order", "EventBusName": "orders"}
    put = events.put_events(
        Entries=[{**entry, "Detail": f'{{"total": {total}}}'} for total in (101, 99)]
        + [{**entry, "Detail": "no"}]
    )
    assert put["FailedEntryCount"] == 1 and put["Entries"][2]["ErrorCode"] == "MalformedDetail"
    eventually(lambda: inputs(live, target) == [{"total": 101}])
    events.disable_rule(Name="large", EventBusName="orders")
    events.put_events(Entries=[{**entry, "Detail": '{"total": 102}'}])
    events.enable_rule(Name="large", EventBusName="orders")

    now = events.describe_archive(ArchiveName="kept")["CreationTime"]
    window = {"EventStartTime": now - timedelta(hours=1), "EventEndTime": now + timedelta(hours=1)}
    events.start_replay(
        ReplayName="again", EventSourceArn=archive, Destination={"Arn": bus}, **window
    )
    eventually(lambda: events.describe_replay(ReplayName="again")["State"] == "COMPLETED")
    assert [each["ReplayName"] for each in events.list_replays()["Replays"]] == ["again"]
    events.refuses("IllegalStatusException", "cancel_replay", ReplayName="again")
    events.answered.add("cancel_replay")
    eventually(lambda: sorted(each["total"] for each in inputs(live, target)) == [101, 101, 102])

    header = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "hush"}}
    connection = events.create_connection(
        Name="c", AuthorizationType="API_KEY", AuthParameters=header
    )["ConnectionArn"]
    shown = events.describe_connection(Name="c")
    assert shown["ConnectionState"] == "AUTHORIZED" and "hush" not in json.dumps(shown, default=str)
    events.update_connection(Name="c", Description="d")
    assert [each["Name"] for each in events.list_connections()["Connections"]] == ["c"]
    where = {
        "ConnectionArn": connection,
        "InvocationEndpoint": "http://127.0.0.1:9/x",
        "HttpMethod": "POST",
    }
    events.create_api_destination(Name="d", **where)
    events.update_api_destination(Name="d", InvocationRateLimitPerSecond=5)
    assert events.describe_api_destination(Name="d")["InvocationRateLimitPerSecond"] == 5
    assert [each["Name"] for each in events.list_api_destinations()["ApiDestinations"]] == ["d"]
    events.delete_api_destination(Name="d")
    events.deauthorize_connection(Name="c")
    events.delete_connection(Name="c")

    events.refuses("ValidationException", "delete_rule", Name="large", EventBusName="orders")
    assert (
        events.remove_targets(Rule="large", EventBusName="orders", Ids=["1"])["FailedEntryCount"]
        == 0
    )
    events.delete_rule(Name="large", EventBusName="orders")
    events.delete_archive(ArchiveName="kept")
    events.delete_event_bus(Name="orders")
    events.refuses("ResourceNotFoundException", "describe_event_bus", Name="orders")
    assert events.left(EventBridge) == set()


def test_every_operation_of_the_scheduler(live: Live) -> None:
    scheduler, target = Noting(live, "scheduler"), machine(live)
    group = scheduler.create_schedule_group(Name="nightly")["ScheduleGroupArn"]
    scheduler.refuses("ConflictException", "create_schedule_group", Name="nightly")
    assert scheduler.get_schedule_group(Name="nightly")["State"] == "ACTIVE"
    assert [each["Name"] for each in scheduler.list_schedule_groups()["ScheduleGroups"]] == [
        "default",
        "nightly",
    ]
    scheduler.tag_resource(ResourceArn=group, Tags=[{"Key": "a", "Value": "b"}])
    assert scheduler.list_tags_for_resource(ResourceArn=group)["Tags"] == [
        {"Key": "a", "Value": "b"}
    ]
    scheduler.untag_resource(ResourceArn=group, TagKeys=["a"])
    parameters = {
        "Target": {"Arn": target, "RoleArn": ROLE, "Input": '{"by": "schedule"}'},
        "FlexibleTimeWindow": {"Mode": "OFF"},
    }
    soon = scheduler.get_schedule_group(Name="nightly")["CreationDate"].astimezone(UTC) + timedelta(
        seconds=2
    )
    at = f"at({soon:%Y-%m-%dT%H:%M:%S})"
    scheduler.create_schedule(
        Name="once",
        GroupName="nightly",
        ScheduleExpression=at,
        ActionAfterCompletion="DELETE",
        **parameters,
    )
    scheduler.create_schedule(
        Name="later",
        GroupName="nightly",
        ScheduleExpression="cron(0 3 * * ? *)",
        ScheduleExpressionTimezone="Europe/Berlin",
        **parameters,
    )
    scheduler.refuses(
        "ValidationException",
        "create_schedule",
        Name="never",
        ScheduleExpression="cron(0 3 * *)",
        **parameters,
    )
    scheduler.update_schedule(
        Name="later",
        GroupName="nightly",
        ScheduleExpression="rate(1 day)",
        State="DISABLED",
        **parameters,
    )
    assert scheduler.get_schedule(Name="later", GroupName="nightly")["State"] == "DISABLED"
    eventually(lambda: inputs(live, target) == [{"by": "schedule"}])
    listed = eventually(
        lambda: (
            len(found := scheduler.list_schedules(GroupName="nightly")["Schedules"]) == 1 and found
        )
    )
    assert listed[0]["Name"] == "later"
    scheduler.delete_schedule(Name="later", GroupName="nightly")
    scheduler.delete_schedule_group(Name="nightly")
    scheduler.refuses(
        "ResourceNotFoundException", "get_schedule", Name="later", GroupName="nightly"
    )
    assert scheduler.left(Scheduler) == set()


def test_the_aws_command(live: Live, tmp_path: Path) -> None:
    target = machine(live)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": live.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def command(*words: str) -> Any:
        done = aws(environment, *words, service="events")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    command("put-rule", "--name", "cli", "--event-pattern", '{"source": ["cli"]}')
    targets = json.dumps([{"Id": "1", "Arn": target, "RoleArn": ROLE, "Input": '{"by": "cli"}'}])
    assert command("put-targets", "--rule", "cli", "--targets", targets)["FailedEntryCount"] == 0
    entries = json.dumps([{"Source": "cli", "DetailType": "t", "Detail": "{}"}])
    assert command("put-events", "--entries", entries)["FailedEntryCount"] == 0
    eventually(lambda: inputs(live, target) == [{"by": "cli"}])


def test_status_changes_come_to_the_default_bus(live: Live) -> None:
    """The status changes of one machine start another one."""
    watched, target, events = machine(live), machine(live), Noting(live, "events")
    detail = {"status": ["SUCCEEDED"], "stateMachineArn": [watched]}
    events.put_rule(
        Name="ended", EventPattern=json.dumps({"source": ["aws.states"], "detail": detail})
    )
    events.put_targets(
        Rule="ended",
        Targets=[{"Id": "1", "Arn": target, "RoleArn": ROLE, "InputPath": "$.detail.name"}],
    )
    live.client().start_execution(stateMachineArn=watched, name="the-one")
    eventually(lambda: inputs(live, target) == ["the-one"])
