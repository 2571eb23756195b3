"""Damaged records of every embedded service: the server starts without them, says so, keeps them,
and `db check` lists them.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from tests.conftest import Command
from tests.integrations.lambda_.calls import ECHO, archive
from tests.integrations.server.live import ACCOUNT, REGION, ROLE, Live, eventually
from tests.integrations.server.test_database_check import findings

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
NUMBER = "sqs/number"
KINDS = (
    *(
        "events/archive",
        "events/archived",
        "events/bus",
        "events/connection",
        "events/destination",
        "events/rule",
    ),
    *(
        "httpapi/api",
        "iot/rule",
        "lambda/event",
        "lambda/function",
        "lambda/mapping",
        "scheduler/group",
        "scheduler/schedule",
    ),
    *(
        "sns/app",
        "sns/seen",
        "sns/subscription",
        "sns/topic",
        "sqs/message",
        "sqs/number",
        "sqs/once",
        "sqs/queue",
        "sqs/state",
    ),
)


def fill(live: Live) -> None:
    """Something of each kind."""
    functions, queues, topics, events = (
        live.client(each) for each in ("lambda", "sqs", "sns", "events")
    )
    code = {"ZipFile": archive(f__py=ECHO)}
    functions.create_function(
        FunctionName="f", Role=ROLE, Runtime="python3.12", Handler="f.handler", Code=code
    )
    functions.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    functions.invoke(FunctionName="f", InvocationType="Event", Payload="1")
    url = queues.create_queue(QueueName="q")["QueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody="first")
    assert queues.receive_message(QueueUrl=url)["Messages"]
    fifo = queues.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    queues.send_message(
        QueueUrl=fifo, MessageBody="second", MessageGroupId="g", MessageDeduplicationId="d"
    )
    mapping = {"EventSourceArn": QUEUE, "FunctionName": "f", "Enabled": False}
    functions.create_event_source_mapping(**mapping)
    topic = topics.create_topic(Name="t.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"{QUEUE}.fifo")
    topics.publish(TopicArn=topic, Message="m", MessageGroupId="g", MessageDeduplicationId="d")
    topics.create_platform_application(
        Name="a", Platform="GCM", Attributes={"PlatformCredential": "x"}
    )
    events.create_event_bus(Name="b")
    events.put_rule(Name="r", EventPattern='{"source": ["s"]}')
    events.put_rule(Name="s", ScheduleExpression="rate(1 day)")
    events.create_archive(
        ArchiveName="a", EventSourceArn=f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    )
    events.put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}])
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "k", "ApiKeyValue": "v"}}
    connection = events.create_connection(
        Name="c", AuthorizationType="API_KEY", AuthParameters=key
    )["ConnectionArn"]
    events.create_api_destination(
        Name="d",
        ConnectionArn=connection,
        InvocationEndpoint="https://localhost/",
        HttpMethod="GET",
    )
    scheduler = live.client("scheduler")
    scheduler.create_schedule_group(Name="g")
    target = {"Arn": FUNCTION, "RoleArn": ROLE}
    scheduler.create_schedule(
        Name="s",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
    )
    live.client("apigatewayv2").create_api(Name="api", ProtocolType="HTTP")
    action = {"republish": {"roleArn": ROLE, "topic": "other"}}
    live.client("iot").create_topic_rule(
        ruleName="r", topicRulePayload={"sql": "SELECT * FROM 'a/b'", "actions": [action]}
    )


def counts(live: Live) -> list[int]:
    """How many of each there are, in the eyes of a client."""
    functions, queues, topics, events = (
        live.client(each) for each in ("lambda", "sqs", "sns", "events")
    )
    return [
        len(functions.list_functions()["Functions"]),
        len(functions.list_event_source_mappings()["EventSourceMappings"]),
        len(queues.list_queues().get("QueueUrls", [])),
        len(topics.list_topics()["Topics"]),
        len(topics.list_subscriptions()["Subscriptions"]),
        len(topics.list_platform_applications()["PlatformApplications"]),
        len(
            [each for each in events.list_event_buses()["EventBuses"] if each["Name"] != "default"]
        ),
        len(events.list_rules()["Rules"]),
        len(events.list_archives()["Archives"]),
        len(events.list_connections()["Connections"]),
        len(events.list_api_destinations()["ApiDestinations"]),
        len(live.client("scheduler").list_schedules()["Schedules"]),
        len(live.client("apigatewayv2").get_apis()["Items"]),
        len(live.client("iot").list_topic_rules()["rules"]),
    ]


def records(live: Live) -> dict[str, bytes]:
    with closing(sqlite3.connect(live.db)) as db:
        return dict(db.execute("SELECT key, blob FROM record"))


@pytest.fixture
def filled(serve: Any) -> Iterator[Live]:
    live = serve()
    fill(live)
    assert min(counts(live)) > 0
    kinds = eventually(
        lambda: (
            (found := {"/".join(key.split("/")[:2]) for key in records(live)}) >= set(KINDS)
            and found
        )
    )
    assert kinds
    assert live.stop() == 0
    yield live


def harm(live: Live, change: Callable[[bytes], bytes]) -> dict[str, bytes]:
    """Change every record but the code of functions; what there is then."""
    with closing(sqlite3.connect(live.db)) as db:
        db.create_function("harm", 1, change)
        db.execute("UPDATE record SET blob = harm(blob) WHERE key NOT LIKE 'lambda/code/%'")
        db.commit()
    return records(live)


HARMS: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda blob: blob[: len(blob) // 2],
    "flipped": lambda blob: blob[:-2] + bytes([blob[-2] ^ 4]) + blob[-1:],
    "version": lambda blob: b"\x07" + blob[1:],
    "empty": lambda blob: b"",
    "shape": lambda blob: b'\x01{"other":1}',  # the format of earlier versions had no checksum
    "array": lambda blob: b"\x01[]",
}


@pytest.mark.parametrize("how", HARMS)
def test_the_server_starts_without_damaged_records(
    filled: Live, serve: Any, command: Command, how: str
) -> None:
    before = harm(filled, HARMS[how])
    listed = {each["row"].removeprefix("record ") for each in findings(command, filled.db)}
    free = (
        ("lambda/code/", "events/archived/") if how == "shape" else ("lambda/code/",)
    )  # any document is an archived event
    assert listed == {key for key in before if not key.startswith(free)}
    live = serve()
    assert live.client().list_state_machines()["stateMachines"] == []
    assert counts(live) == [0] * 14
    logged = [each["message"] for each in live.log if "cannot be used" in each["message"]]
    for kind in (
        "lambda/function/f",
        "lambda/event/",
        "sqs/queue/q",
        "scheduler/schedule/",
        "iot/rule/r",
        NUMBER,
    ):
        assert [each for each in logged if kind in each], (kind, logged)
    assert len(set(logged)) == len(logged)  # once each
    assert live.stop() == 0
    after = records(live)
    assert {key: after.get(key) for key in before if key != NUMBER} == {
        key: blob for key, blob in before.items() if key != NUMBER
    }


def test_after_a_damaged_number_none_is_given_out_again(filled: Live, serve: Any) -> None:
    """Also not those of messages of which nothing is left, so that an old receipt never fits a new
    message.
    """
    with closing(sqlite3.connect(filled.db)) as db:
        db.execute("UPDATE record SET blob = substr(blob, 1, 9) WHERE key = ?", (NUMBER,))
        db.commit()
    live = serve()
    queues = live.client("sqs")
    url = queues.get_queue_url(QueueName="q")["QueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody="third")
    assert queues.create_queue(QueueName="new")["QueueUrl"]
    assert live.stop() == 0
    seqs = sorted(
        int(key.rpartition("/")[2], 16) for key in records(live) if key.startswith("sqs/message/")
    )
    assert len(seqs) == len(set(seqs)) and seqs[-1] - seqs[-2] > 1 << 41
    (stored,) = [json.loads(blob[5:]) for key, blob in records(live).items() if key == NUMBER]
    assert stored["next"] > seqs[-1]
    live = serve()
    received = live.client("sqs").receive_message(
        QueueUrl=url.replace(url.split("/")[2], live.url.split("/")[2]), MaxNumberOfMessages=10
    )
    assert "third" in [each["Body"] for each in received["Messages"]]
