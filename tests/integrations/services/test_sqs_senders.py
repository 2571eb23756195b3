"""Who sends to queues of ours: tasks, rules, schedules, functions; each message once, whatever
happens to the process.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.integrations.bench import until
from tests.integrations.services.embedded_engine import ROLE, EmbeddedEngine
from tests.integrations.services.queues import ARN, QueueFixture

from stepwell.engine.errors import StoreError

SEND = "sqs:sendMessage"


# --- tasks ----------------------------------------------------------------------------------------


async def test_a_task_sends_and_returns_the_answer_of_the_service(place: QueueFixture) -> None:
    q = await place.queue("q")
    attributes = {"n": {"DataType": "String", "StringValue": "x"}}
    ended = await place.house.task(
        SEND, {"QueueUrl": q.url, "MessageBody": {"a": 1}, "MessageAttributes": attributes}
    )
    output = json.loads(ended["output"])
    (got,) = await q.receive()
    assert (got["Body"], got["MessageAttributes"]) == ('{"a":1}', attributes)
    request, date = (
        output["SdkResponseMetadata"]["RequestId"],
        output["SdkHttpMetadata"]["HttpHeaders"]["Date"],
    )
    headers = {
        "x-amzn-RequestId": request,
        "connection": "keep-alive",
        "Content-Length": "166",
        "Date": date,
    }
    headers["Content-Type"] = "application/x-amz-json-1.0"
    assert output == {
        "MD5OfMessageAttributes": got["MD5OfMessageAttributes"],
        "MD5OfMessageBody": got["MD5OfBody"],
        "MessageId": got["MessageId"],
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": request},
    }
    assert list(output) == sorted(output)


async def test_a_task_to_a_fifo_queue(place: QueueFixture) -> None:
    q = await place.queue("q.fifo")
    given = {
        "QueueUrl": q.url,
        "MessageBody": "m",
        "MessageGroupId": "g",
        "MessageDeduplicationId": "d",
    }
    output = json.loads((await place.house.task(SEND, given))["output"])
    (got,) = await q.receive()
    assert output["SequenceNumber"] == got["Attributes"]["SequenceNumber"]


FAULT = "{text} (Service: AmazonSQS; Status Code: 400; Error Code: {code}; Request ID: "


@pytest.mark.parametrize(
    ("given", "error", "cause"),
    [
        (
            {"MessageBody": None},
            "SQS.AmazonSQSException",
            FAULT.format(
                text="The request must contain the parameter MessageBody.", code="MissingParameter"
            ),
        ),
        (
            {"MessageBody": ""},
            "SQS.AmazonSQSException",
            FAULT.format(
                text="The request must contain the parameter MessageBody.", code="MissingParameter"
            ),
        ),
        (
            {"QueueUrl": "http://x/123456789012/no", "MessageBody": "m"},
            "SQS.AmazonSQSException",
            FAULT.format(
                text="The specified queue does not exist.",
                code="AWS.SimpleQueueService.NonExistentQueue",
            ),
        ),
        (
            {"MessageBody": "m", "DelaySeconds": 1000},
            "SQS.AmazonSQSException",
            (
                "Value 1000 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be "
                ">= 0 and <= 900. (Service: AmazonSQS; Status"
            ),
        ),
        (
            {"MessageBody": "m", "Colour": "red"},
            "States.Runtime",
            "The field 'Colour' is not supported by Step Functions",
        ),
    ],
)
async def test_tasks_that_fail(place: QueueFixture, given: Any, error: str, cause: str) -> None:
    q = await place.queue("q")
    ended = await place.house.task(SEND, {"QueueUrl": q.url, **given})
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    assert cause in ended["cause"]
    assert await q.receive() == []


async def test_a_task_that_waits_for_its_token(place: QueueFixture) -> None:
    q = await place.queue("q")
    state = {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{SEND}.waitForTaskToken",
        "Parameters": {"QueueUrl": q.url, "MessageBody": {"Token.$": "$$.Task.Token"}},
        "End": True,
    }
    machine = await place.house.machine({"StartAt": "T", "States": {"T": state}})
    started = await place.house.engine.start_execution(machine)
    (got,) = await q.receive(wait_time_seconds=20)
    await place.again(crash=True)
    await place.house.engine.send_task_success(json.loads(got["Body"])["Token"], '"done"')
    assert (await place.house.engine.wait(started["executionArn"], timeout=60))[
        "output"
    ] == '"done"'
    await place.calm()
    assert await place.find("q").counts() == (0, 1, 0)  # the message was sent once
    history = (await place.house.engine.get_execution_history(started["executionArn"]))["events"]
    submitted = next(event for event in history if event["type"] == "TaskSubmitted")[
        "taskSubmittedEventDetails"
    ]
    assert json.loads(submitted["output"])["MessageId"] == got["MessageId"]


async def test_the_message_and_the_success_of_its_task_are_one_transaction(tmp_path: Path) -> None:
    """Killed at any point and resumed: each execution has sent one message."""
    for turns in range(0, 40, 3):
        place = await QueueFixture(EmbeddedEngine(tmp_path / f"{turns}.db")).open()
        q = await place.queue("q")
        state = {
            "Type": "Task",
            "Resource": f"arn:aws:states:::{SEND}",
            "Parameters": {"QueueUrl": q.url, "MessageBody": "m"},
            "End": True,
        }
        machine = await place.house.machine({"StartAt": "T", "States": {"T": state}})
        started = await place.house.engine.start_execution(machine)
        for _ in range(turns):
            await asyncio.sleep(0)
        await place.again(crash=True)
        assert (await place.house.engine.wait(started["executionArn"], timeout=60))[
            "status"
        ] == "SUCCEEDED"
        assert await place.find("q").bodies(wait_time_seconds=20) == ["m"], (
            turns
        )  # the end may be read before it is published
        await place.house.close()


async def test_a_state_that_is_tested_sends(place: QueueFixture) -> None:
    q = await place.queue("q")
    state = {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{SEND}",
        "Parameters": {"QueueUrl": q.url, "MessageBody": "m"},
        "End": True,
    }
    tested = await place.house.engine.test_state(json.dumps(state), role_arn=ROLE)
    (got,) = await q.receive()
    assert (
        tested["status"] == "SUCCEEDED"
        and json.loads(tested["output"])["MessageId"] == got["MessageId"]
    )


async def test_any_operation_as_a_task(place: QueueFixture) -> None:
    q = await place.queue("q")
    sent = await place.house.task(
        "aws-sdk:sqs:sendMessage", {"QueueUrl": q.url, "MessageBody": "m"}
    )
    assert set(json.loads(sent["output"])) == {"MessageId", "Md5OfMessageBody"}
    got = json.loads(
        (await place.house.task("aws-sdk:sqs:receiveMessage", {"QueueUrl": q.url}))["output"]
    )
    assert got["Messages"][0]["Body"] == "m"
    made = json.loads(
        (await place.house.task("aws-sdk:sqs:createQueue", {"QueueName": "made"}))["output"]
    )
    assert made == {"QueueUrl": "http://localhost:8083/123456789012/made"}
    failed = await place.house.task("aws-sdk:sqs:getQueueUrl", {"QueueName": "no"})
    assert failed["error"] == "Sqs.QueueDoesNotExistException"
    assert failed["cause"].startswith(
        "The specified queue does not exist. (Service: Sqs, Status Code: 400, Request ID: "
    )


async def test_a_task_to_a_queue_elsewhere(tmp_path: Path, outside: str) -> None:
    client = boto3.client(
        "sqs",
        endpoint_url=outside,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    url = client.create_queue(QueueName="elsewhere")["QueueUrl"]
    async with EmbeddedEngine(tmp_path / "h.db", endpoints={"sqs": outside}) as house:
        ended = await house.task(SEND, {"QueueUrl": url, "MessageBody": {"a": 1}})
        output = json.loads(ended["output"])
        assert output["SdkHttpMetadata"]["HttpStatusCode"] == 200
        failed = await house.task(SEND, {"QueueUrl": url + "no", "MessageBody": "m"})
        assert (
            failed["error"] == "SQS.AmazonSQSException"
            and "Error Code: AWS.SimpleQueueService.NonExistentQueue" in failed["cause"]
        )
    (got,) = client.receive_message(QueueUrl=url)["Messages"]
    assert (got["Body"], got["MessageId"]) == ('{"a":1}', output["MessageId"])


# --- rules and schedules --------------------------------------------------------------------------


async def test_a_rule_sends_each_event_once_though_its_delivery_is_repeated(
    place: QueueFixture,
) -> None:
    """The process dies after the queue has taken the message, and before the delivery is known to
    be done.
    """
    await place.queue("q")
    await place.queue("q.fifo")
    events = place.house.events
    await events.put_rule("r", event_pattern='{"source": ["shop"]}')
    targets = [
        {"Id": "1", "Arn": ARN + "q"},
        {"Id": "2", "Arn": ARN + "q.fifo", "SqsParameters": {"MessageGroupId": "g"}},
    ]
    await events.put_targets("r", targets)
    kept = events.publisher.deliveries._deliver

    async def deliver_and_die(document: Any) -> None:
        await kept(document)
        raise StoreError("killed")

    events.publisher.deliveries._deliver = deliver_and_die
    await events.put_events([{"Source": "shop", "DetailType": "d", "Detail": '{"n": 1}'}])
    for name in ("q", "q.fifo"):
        (got,) = await place.find(name).receive(wait_time_seconds=20)
        assert json.loads(got["Body"])["detail"] == {"n": 1}
        await place.find(name).delete(got)
    await place.again(crash=True)
    await place.house.calm()
    assert [key async for key, _ in place.house.engine.records.all("events/delivery/")] == []
    assert await place.find("q").counts() == await place.find("q.fifo").counts() == (0, 0, 0)


async def test_what_a_rule_cannot_deliver_goes_to_its_dead_letters(place: QueueFixture) -> None:
    dead = await place.queue("dead")
    events = place.house.events
    await events.put_rule("r", event_pattern='{"source": ["shop"]}')
    await events.put_targets(
        "r", [{"Id": "1", "Arn": ARN + "missing", "DeadLetterConfig": {"Arn": dead.arn}}]
    )
    await events.put_events([{"Source": "shop", "DetailType": "d", "Detail": "{}"}])
    (got,) = await dead.receive(wait_time_seconds=20)
    assert got["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_RESOURCE"


async def test_a_schedule_sends_to_a_queue(place: QueueFixture) -> None:
    q = await place.queue("q")
    target = {"Arn": q.arn, "RoleArn": ROLE, "Input": "tick"}
    await place.house.scheduler.create_schedule(
        name="s",
        schedule_expression="rate(1 minute)",
        flexible_time_window={"Mode": "OFF"},
        target=target,
    )
    await place.house.after(60)
    assert await q.bodies(wait_time_seconds=20) == ["tick"]


# --- functions ------------------------------------------------------------------------------------


async def test_an_event_source_mapping_of_a_queue_of_ours(place: QueueFixture) -> None:
    seen: list[list[str]] = []

    def function(event: Any) -> None:
        seen.append([record["body"] for record in event["Records"]])
        if any(
            record["attributes"]["ApproximateReceiveCount"] == "1" and record["body"] == "twice"
            for record in event["Records"]
        ):
            raise ValueError("not yet")

    place.house.functions["f"] = function
    await place.again()
    q = await place.queue("q", VisibilityTimeout=5)
    lambda_ = await place.house.registry.host.services.get("lambda")
    made = await lambda_.create_event_source_mapping("f", q.arn)
    await q.send("once")
    await until(lambda: seen == [["once"]])
    await q.send("twice")
    await until(lambda: len(seen) == 2)
    place.pass_(5)
    await until(lambda: len(seen) == 3)
    assert seen[1:] == [["twice"]] * 2
    async with asyncio.timeout(60):
        while sum(await q.counts()):  # noqa: ASYNC110  # until it is deleted
            await asyncio.sleep(0.01)
    await lambda_.delete_event_source_mapping(made["UUID"])


async def test_a_result_and_a_dead_letter_in_the_same_queue_are_two_messages(
    place: QueueFixture, tmp_path: Path
) -> None:
    q = await place.queue("q")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "f.py").write_text("def handler(event, context): raise ValueError('no')\n")
    lambda_ = await place.house.registry.host.services.get("lambda")
    await lambda_.create_function(
        function_name="fails",
        role=ROLE,
        code={"S3Bucket": "hot-reload", "S3Key": str(tmp_path / "code")},
        runtime="python3.12",
        handler="f.handler",
        dead_letter_config={"TargetArn": q.arn},
    )
    destination = {"OnFailure": {"Destination": q.arn}}
    await lambda_.put_function_event_invoke_config(
        function_name="fails", maximum_retry_attempts=0, destination_config=destination
    )
    await lambda_.invoke("fails", "Event", payload=b'{"a": 1}')
    got: list[Any] = []
    while len(got) < 2:  # one or two of them at a time
        got += await q.receive(wait_time_seconds=20)
    told, letter = sorted((json.loads(each["Body"]) for each in got), key=len, reverse=True)
    assert (letter, told["requestContext"]["condition"]) == ({"a": 1}, "RetriesExhausted")
