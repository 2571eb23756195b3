"""EventBridge: deliveries of events, across restarts."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.engine.engine_fixture import refused
from tests.integrations.bench import until
from tests.integrations.services.embedded_engine import ROLE, EmbeddedEngine, Sink

from stepwell.engine.errors import ApiError
from stepwell.integrations.limits import DEFAULT_LIMITS


def entry(detail: Any = None, **rest: Any) -> dict[str, Any]:
    return {
        "Source": "shop",
        "DetailType": "Order",
        "Detail": json.dumps({} if detail is None else detail),
        **rest,
    }


async def wire(
    house: EmbeddedEngine, arn: str, pattern: Any = None, name: str = "r", **target: Any
) -> None:
    """Create a rule with a target. The default pattern matches all events of the source shop."""
    await house.events.put_rule(name, event_pattern=json.dumps(pattern or {"source": ["shop"]}))
    answer = await house.events.put_targets(
        name, [{"Id": "1", "Arn": arn, "RoleArn": ROLE, **target}]
    )
    assert answer == {"FailedEntryCount": 0, "FailedEntries": []}


async def pending(house: EmbeddedEngine) -> list[str]:
    return [key async for key, _ in house.engine.records.all("events/delivery/")]


# --- deliveries -----------------------------------------------------------------------------------


async def test_an_event_starts_an_execution(house: EmbeddedEngine) -> None:
    machine = await house.machine()
    await wire(house, machine)
    answer = await house.events.put_events(
        [entry({"n": 1}, Resources=["a"], Time=1_700_000_000.5), entry(Source="other")]
    )
    await house.calm()
    (event,) = await house.inputs(machine)
    assert event == {
        "version": "0",
        "id": answer["Entries"][0]["EventId"],
        "detail-type": "Order",
        "source": "shop",
        "account": "123456789012",
        "time": "2023-11-14T22:13:20Z",
        "region": "us-east-1",
        "resources": ["a"],
        "detail": {"n": 1},
    }
    assert answer["FailedEntryCount"] == 0 and not await pending(house)


async def test_rejected_entries(house: EmbeddedEngine) -> None:
    entries = [
        entry(),
        entry(Source=""),
        {"Source": "s", "Detail": "{}"},
        entry(Detail="[1]"),
        entry(Source="aws.s3"),
        entry(EventBusName="no"),
    ]
    answer = await house.events.put_events(entries)
    assert answer["FailedEntryCount"] == 5
    assert [(each.get("ErrorCode"), each.get("ErrorMessage")) for each in answer["Entries"]] == [
        (None, None),
        (
            "InvalidArgument",
            "Parameter Source is not valid. Reason: Source is a required argument.",
        ),
        (
            "InvalidArgument",
            "Parameter DetailType is not valid. Reason: DetailType is a required argument.",
        ),
        ("MalformedDetail", "Detail is malformed."),
        ("NotAuthorizedForSourceException", "Not authorized for the source."),
        ("ResourceNotFoundException", "Event bus no does not exist."),
    ]
    with pytest.raises(ApiError, match="over the limit"):
        await house.events.put_events([entry("x" * 262_144)])


async def test_transformed_payloads_of_matching_events(house: EmbeddedEngine) -> None:
    machine = await house.machine()
    transformer = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"order": <n>}'}
    await wire(
        house, machine, {"detail": {"n": [{"numeric": [">", 1]}]}}, InputTransformer=transformer
    )
    await house.events.put_events([entry({"n": n}) for n in range(4)])
    await house.calm()
    assert sorted(each["order"] for each in await house.inputs(machine)) == [2, 3]
    await house.events.disable_rule("r")
    await house.events.put_events([entry({"n": 5})])
    await house.calm()
    assert len(await house.inputs(machine)) == 2


async def test_forwarding_from_bus_to_bus_is_limited(house: EmbeddedEngine) -> None:
    machine = await house.machine()
    bus = (await house.events.create_event_bus("second"))["EventBusArn"]
    await wire(house, bus)
    await house.events.put_rule(
        "back", event_pattern='{"source": ["shop"]}', event_bus_name="second"
    )
    targets = [
        {"Id": "m", "Arn": machine},
        {"Id": "b", "Arn": "arn:aws:events:us-east-1:123456789012:event-bus/default"},
    ]
    await house.events.put_targets("back", targets, "second")
    await house.events.put_events([entry()])
    await house.calm()
    assert len(await house.inputs(machine)) == 1 and not await pending(house), (
        "the same event starts the same execution"
    )


async def test_a_lambda_function(tmp_path: Path) -> None:
    house, got = EmbeddedEngine(tmp_path / "house.db"), list[Any]()
    house.functions["f"] = got.append
    async with house:
        await wire(house, "arn:aws:lambda:us-east-1:123456789012:function:f", InputPath="$.detail")
        await house.events.put_events([entry({"n": 1})])
        await until(lambda: got)
    assert got == [{"n": 1}]


async def test_status_changes_are_events(house: EmbeddedEngine) -> None:
    machine, told = await house.machine(), await house.machine(name="told")
    pattern = {
        "source": ["aws.states"],
        "detail": {"status": ["SUCCEEDED"], "stateMachineArn": [machine]},
    }
    await wire(house, told, pattern, InputPath="$.detail.input")
    await house.engine.start_execution(machine, input='{"a":1}')
    await house.calm()
    assert await house.inputs(told) == ['{"a":1}']
    await house.events.remove_targets("r", ["1"])
    assert house.registry.on_status is None, "no cost without a rule"


# --- retries and dead letters ---------------------------------------------------------------------


async def destination(house: EmbeddedEngine, sink: Sink, **rest: Any) -> str:
    parameters = {"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "secret"}}
    connection = await house.events.create_connection("c", "API_KEY", parameters)
    destination = await house.events.create_api_destination(
        "d", connection["ConnectionArn"], f"{sink.url}/in/*", "POST", **rest
    )
    return str(destination["ApiDestinationArn"])


async def test_an_api_destination_is_retried_with_increasing_pauses(
    house: EmbeddedEngine, sink: Sink
) -> None:
    arn = await destination(house, sink)
    about = {
        "PathParameterValues": ["a b"],
        "QueryStringParameters": {"q": "1"},
        "HeaderParameters": {"x-more": "m"},
    }
    await wire(house, arn, HttpParameters=about, InputPath="$.detail")
    sink.answers = [(503, b""), (429, b"")]
    await house.events.put_events([entry({"n": 1})])
    await house.calm()
    assert len(sink.got) == 1
    assert len(await pending(house)) == 1
    await house.after(1)
    await house.after(1)
    assert len(sink.got) == 2
    await house.after(2)
    assert len(sink.got) == 3 and not await pending(house)
    method, path, headers, body = sink.got[-1]
    assert (method, path, headers["x-key"], headers["x-more"], body) == (
        "POST",
        "/in/a%20b?q=1",
        "secret",
        "m",
        b'{"n":1}',
    )
    described = await house.events.describe_connection("c")
    assert described["AuthParameters"] == {"ApiKeyAuthParameters": {"ApiKeyName": "x-key"}}


async def test_a_retry_survives_a_restart(tmp_path: Path, sink: Sink) -> None:
    house = EmbeddedEngine(tmp_path / "house.db")
    async with house:
        await wire(house, await destination(house, sink))
        sink.answers = [(500, b"")]
        await house.events.put_events([entry()])
        await house.calm()
    house.clock.advance(3_600_000)
    async with house:
        await house.calm()
        assert len(sink.got) == 2 and not await pending(house)


async def test_dead_letters(tmp_path: Path, sink: Sink, outside: str) -> None:
    client = boto3.client(
        "sqs",
        endpoint_url=outside,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    url = (await asyncio.to_thread(client.create_queue, QueueName="dead"))["QueueUrl"]
    async with EmbeddedEngine(tmp_path / "house.db", endpoints={"sqs": outside}) as house:
        letters = {"Arn": "arn:aws:sqs:us-east-1:123456789012:dead"}
        await wire(
            house,
            await destination(house, sink),
            RetryPolicy={"MaximumRetryAttempts": 1},
            DeadLetterConfig=letters,
        )
        await wire(
            house,
            "arn:aws:states:us-east-1:123456789012:stateMachine:none",
            name="gone",
            DeadLetterConfig=letters,
        )
        sink.answers = [(500, b"")] * 2
        await house.events.put_events([entry({"n": 1})])
        await house.calm()
        await house.after(1)
        assert not await pending(house)
    received = []
    while more := client.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        received += more
    told = {
        each["MessageAttributes"]["ERROR_CODE"]["StringValue"]: {
            name: value["StringValue"] for name, value in each["MessageAttributes"].items()
        }
        for each in received
    }
    assert (
        told["SDK_CLIENT_ERROR"]["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
        and told["SDK_CLIENT_ERROR"]["RETRY_ATTEMPTS"] == "1"
    )
    assert (
        told["NO_RESOURCE"]["RULE_ARN"] == "arn:aws:events:us-east-1:123456789012:rule/gone"
        and "EXHAUSTED_RETRY_CONDITION" not in told["NO_RESOURCE"]
    )
    assert json.loads(received[0]["Body"])["detail"] == {"n": 1}


async def test_an_event_that_is_too_old_is_dead_lettered(house: EmbeddedEngine, sink: Sink) -> None:
    await wire(house, await destination(house, sink), RetryPolicy={"MaximumEventAgeInSeconds": 60})
    sink.answers = [(500, b"")] * 50
    await house.events.put_events([entry()])
    for _ in range(120):
        await house.after(1)
    assert not await pending(house) and 5 < len(sink.got) < 9


async def test_a_long_backlog_stays_on_disk(tmp_path: Path) -> None:
    limits = dataclasses.replace(
        DEFAULT_LIMITS, deliveries_held=8, deliveries_page=8, deliveries_in_flight=2
    )
    async with EmbeddedEngine(tmp_path / "house.db", limits) as house:
        machine = await house.machine()
        await wire(house, machine, InputPath="$.detail.n")
        for n in range(10):
            await house.events.put_events([entry({"n": 10 * n + each}) for each in range(10)])
            assert len(house.events.publisher.deliveries._held) <= 20
        async with asyncio.timeout(60):
            while await pending(house):
                await house.calm()
        assert sorted(await house.inputs(machine)) == list(range(100))


# --- archives -------------------------------------------------------------------------------------


async def test_archive_and_replay(tmp_path: Path) -> None:
    limits = dataclasses.replace(DEFAULT_LIMITS, replay_page=2)
    house = EmbeddedEngine(tmp_path / "house.db", limits)
    async with house:
        machine, bus = await house.machine(), (await house.events.describe_event_bus())["Arn"]
        archive = await house.events.create_archive(
            "a", bus, event_pattern='{"detail": {"n": [{"numeric": ["<", 5]}]}}'
        )
        start = house.clock.now() / 1000
        await house.events.put_events([entry({"n": n}) for n in range(3, 8)])
        await house.after(10)
        await house.events.put_events([entry({"n": n}) for n in range(3)])
        await wire(house, machine)
        assert (await house.events.describe_archive("a"))["EventCount"] == 5
    async with house:  # archived events are on disk only
        end = house.clock.now() / 1000 + 1
        await house.events.start_replay("again", archive["ArchiveArn"], start, end, {"Arn": bus})
        await house.calm()
        inputs = await house.inputs(machine)
        assert sorted(each["detail"]["n"] for each in inputs) == [0, 1, 2, 3, 4] and {
            each["replay-name"] for each in inputs
        } == {"again"}
        assert (await house.events.describe_replay("again"))["State"] == "COMPLETED"
        assert (await house.events.describe_archive("a"))["EventCount"] == 5, (
            "what is replayed is not archived again"
        )
        await house.events.start_replay(
            "first", archive["ArchiveArn"], start, start + 5, {"Arn": bus, "FilterArns": ["arn:no"]}
        )
        await house.calm()
        assert len(await house.inputs(machine)) == 5
        await house.events.update_archive("a", retention_days=1)
        await house.after(2 * 24 * 3600)
        assert (await house.events.describe_archive("a"))["EventCount"] == 0


# --- schedules of rules ---------------------------------------------------------------------------


async def test_rules_with_a_schedule(house: EmbeddedEngine) -> None:
    machine = await house.machine()
    await house.events.put_rule("often", schedule_expression="rate(5 minutes)")
    await house.events.put_targets("often", [{"Id": "1", "Arn": machine, "RoleArn": ROLE}])
    await house.after(299)
    assert await house.inputs(machine) == []
    for _ in range(3):
        await house.after(300)
    inputs = await house.inputs(machine)
    assert [each["time"] for each in inputs] == [
        "2023-11-14T22:18:20Z",
        "2023-11-14T22:23:20Z",
        "2023-11-14T22:28:20Z",
    ]
    assert (
        inputs[0]["detail-type"] == "Scheduled Event"
        and inputs[0]["source"] == "aws.events"
        and inputs[0]["detail"] == {}
    )
    await house.events.disable_rule("often")
    await house.after(600)
    assert len(await house.inputs(machine)) == 3


# --- operations -----------------------------------------------------------------------------------


async def test_rejected_operations(house: EmbeddedEngine) -> None:
    events = house.events
    await refused(
        events.describe_rule("no"),
        "ResourceNotFoundException",
        "Rule no does not exist on EventBus default.",
    )
    await refused(
        events.put_rule("r"),
        "ValidationException",
        "Parameter(s) EventPattern or ScheduleExpression must be specified.",
    )
    await refused(
        events.put_rule("r", schedule_expression="rate(1 minutes)"),
        "ValidationException",
        "Parameter ScheduleExpression is not valid.",
    )
    text = "Event pattern is not valid. Reason: Unrecognized match type like"
    await refused(
        events.put_rule("r", event_pattern='{"a": [{"like": 1}]}'),
        "InvalidEventPatternException",
        text,
    )
    await refused(
        events.delete_event_bus("default"),
        "ValidationException",
        "Cannot delete event bus default.",
    )
    await wire(house, await house.machine())
    await refused(
        events.delete_rule("r"),
        "ValidationException",
        "Rule can't be deleted since it has targets.",
    )
    more = [{"Id": str(n), "Arn": "arn:aws:sqs:us-east-1:1:q"} for n in range(2, 7)]
    await refused(
        events.put_targets("r", more),
        "LimitExceededException",
        "The requested resource exceeds the maximum number allowed.",
    )
    answer = await events.put_targets(
        "r", [{"Id": "x", "Arn": "arn:aws:sqs:us-east-1:1:q", "Input": "{"}]
    )
    assert answer["FailedEntryCount"] == 1 and answer["FailedEntries"][0]["TargetId"] == "x"


async def test_task(house: EmbeddedEngine) -> None:
    """The events are stored with the task's success. A rejected entry fails the task, but the
    others are sent.
    """
    machine = await house.machine()
    await wire(house, machine)
    ended = await house.task(
        "events:putEvents", {"Entries": [{"Source": "shop", "DetailType": "d", "Detail": {"n": 1}}]}
    )
    await house.calm()
    (event,) = await house.inputs(machine)
    assert event["detail"] == {"n": 1} and event["resources"] == [
        ended["stateMachineArn"],
        ended["executionArn"],
    ]
    assert json.loads(ended["output"]) == {
        "Entries": [{"EventId": event["id"]}],
        "FailedEntryCount": 0,
    }
    ended = await house.task(
        "events:putEvents",
        {"Entries": [{"Source": "shop", "DetailType": "d", "Detail": "{}"}, {"Detail": {}}]},
    )
    await house.calm()
    assert (
        ended["error"] == "EventBridge.FailedEntry"
        and json.loads(ended["cause"])["FailedEntryCount"] == 1
    )
    assert len(await house.inputs(machine)) == 2
    ended = await house.task("events:putEvents", {"Entries": []})
    assert (
        ended["error"] == "EventBridge.AmazonEventBridgeException"
        and "ValidationException" in ended["cause"]
    )
    assert (await house.task("events:putEvents", {"Colour": 1}))["error"] == "States.Runtime"
