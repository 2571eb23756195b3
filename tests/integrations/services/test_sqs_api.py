"""SQS as AWS's own clients see it, on a real server: every operation, every refusal on the wire,
and the death of the process.
"""

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.conftest import ROOT
from tests.integrations.server.live import REGION, Live, eventually, keep_compiled

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": REGION}
ARN = f"arn:aws:sqs:{REGION}:123456789012:"


def environment(folder: Path, base: Path) -> dict[str, str]:
    plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return keep_compiled(
        plain
        | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PYTHONPATH": str(ROOT / ".dev")},
        base,
    )


def client_of(url: str, **config: Any) -> Any:
    settings = {"retries": {"total_max_attempts": 1}, "read_timeout": 30, **config}
    return boto3.client("sqs", endpoint_url=url, config=Config(**settings), **KEYS)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("sqs")
    server = Live(environment(folder, tmp_path_factory.getbasetemp()), folder / "served.db")
    yield server
    server.close()


@pytest.fixture
def client(live: Live) -> Any:
    return client_of(live.url)


@pytest.fixture
def url(client: Any, request: pytest.FixtureRequest) -> str:
    """A queue of the test's own."""
    created: str = client.create_queue(QueueName=request.node.name.partition("[")[0][5:75])[
        "QueueUrl"
    ]
    return created


def refusal(call: Any, **given: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**given)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    found = error.value.response["Error"]
    return found["Code"], found["Message"]


# --- every operation ------------------------------------------------------------------------------


def test_queues(live: Live, client: Any) -> None:
    names = [f"listed-{n}" for n in range(5)]
    urls = [client.create_queue(QueueName=name, tags={"a": "b"})["QueueUrl"] for name in names]
    assert urls[0] == f"{live.url}/123456789012/listed-0"
    assert client.get_queue_url(QueueName=names[0])["QueueUrl"] == urls[0]
    by_name = live.url.replace("127.0.0.1", "localhost")  # who comes by another name gets that one
    assert (
        client_of(by_name).get_queue_url(QueueName=names[0])["QueueUrl"]
        == f"{by_name}/123456789012/listed-0"
    )
    assert client.list_queues(QueueNamePrefix="listed-")["QueueUrls"] == urls
    pages = client.get_paginator("list_queues").paginate(
        QueueNamePrefix="listed-", PaginationConfig={"PageSize": 2}
    )
    assert [page["QueueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]
    assert client.list_queue_tags(QueueUrl=urls[0])["Tags"] == {"a": "b"}
    client.tag_queue(QueueUrl=urls[0], Tags={"c": "d"})
    client.untag_queue(QueueUrl=urls[0], TagKeys=["a"])
    assert client.list_queue_tags(QueueUrl=urls[0])["Tags"] == {"c": "d"}
    client.set_queue_attributes(
        QueueUrl=urls[0], Attributes={"VisibilityTimeout": "7", "KmsMasterKeyId": "alias/aws/sqs"}
    )
    found = client.get_queue_attributes(QueueUrl=urls[0], AttributeNames=["All"])["Attributes"]
    assert {name: value for name, value in found.items() if "Timestamp" not in name} == {
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "DelaySeconds": "0",
        "KmsDataKeyReusePeriodSeconds": "300",
        "KmsMasterKeyId": "alias/aws/sqs",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "QueueArn": ARN + "listed-0",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "false",
        "VisibilityTimeout": "7",
    }
    assert "Attributes" not in client.get_queue_attributes(QueueUrl=urls[0])
    for each in urls:
        client.delete_queue(QueueUrl=each)
    assert "QueueUrls" not in client.list_queues(QueueNamePrefix="listed-")


def test_permissions_are_kept_in_the_policy(client: Any, url: str) -> None:
    given = {"AWSAccountIds": ["111111111111", "222222222222"], "Actions": ["SendMessage"]}
    client.add_permission(QueueUrl=url, Label="l", **given)
    assert (
        refusal(client.add_permission, QueueUrl=url, Label="l", **given)[0]
        == "InvalidParameterValue"
    )
    policy = json.loads(
        client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    )
    (statement,) = policy["Statement"]
    assert statement == {
        "Sid": "l",
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root"]},
        "Action": "SQS:SendMessage",
        "Resource": ARN + url.rpartition("/")[2],
    }
    client.remove_permission(QueueUrl=url, Label="l")
    assert "Attributes" not in client.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    _, text = refusal(client.remove_permission, QueueUrl=url, Label="l")
    assert text == "Value l for parameter Label is invalid. Reason: can't find label."


def test_messages_with_everything_that_they_may_have(client: Any, url: str) -> None:
    attributes = {
        "text": {"DataType": "String", "StringValue": "grün"},
        "number": {"DataType": "Number.int", "StringValue": "7"},
        "bytes.raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "bytes.more": {"DataType": "Binary.png", "BinaryValue": b"png"},
    }
    trace = {
        "AWSTraceHeader": {
            "DataType": "String",
            "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793",
        }
    }
    body = "Grüße 🎉\n\t<&>"
    sent = client.send_message(
        QueueUrl=url, MessageBody=body, MessageAttributes=attributes, MessageSystemAttributes=trace
    )
    assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    assert len(sent["MD5OfMessageSystemAttributes"]) == 32
    asked = {"MessageSystemAttributeNames": ["All"], "VisibilityTimeout": 0}
    (got,) = client.receive_message(QueueUrl=url, MessageAttributeNames=["All"], **asked)[
        "Messages"
    ]
    assert (got["MessageId"], got["Body"], got["MessageAttributes"]) == (
        sent["MessageId"],
        body,
        attributes,
    )
    assert (got["MD5OfBody"], got["MD5OfMessageAttributes"]) == (
        sent["MD5OfMessageBody"],
        sent["MD5OfMessageAttributes"],
    )
    assert got["Attributes"]["AWSTraceHeader"] == trace["AWSTraceHeader"]["StringValue"]
    assert got["Attributes"]["SenderId"] == "123456789012"
    (got,) = client.receive_message(
        QueueUrl=url, MessageAttributeNames=["bytes.*", "text"], **asked
    )["Messages"]
    assert set(got["MessageAttributes"]) == {"bytes.raw", "bytes.more", "text"}
    assert got["MD5OfMessageAttributes"] != sent["MD5OfMessageAttributes"]
    (got,) = client.receive_message(QueueUrl=url, AttributeNames=["SentTimestamp"])["Messages"]
    assert set(got) == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body", "Attributes"} and set(
        got["Attributes"]
    ) == {"SentTimestamp"}
    client.change_message_visibility(
        QueueUrl=url, ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=0
    )
    (got,) = client.receive_message(QueueUrl=url)["Messages"]
    client.delete_message(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"])
    client.send_message(QueueUrl=url, MessageBody="gone")
    client.purge_queue(QueueUrl=url)
    assert "Messages" not in client.receive_message(QueueUrl=url)


def test_batches(client: Any, url: str) -> None:
    entries = [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(9)] + [
        {"Id": "bad", "MessageBody": "\x00"}
    ]
    sent = client.send_message_batch(QueueUrl=url, Entries=entries)
    assert [each["Id"] for each in sent["Successful"]] == list("012345678")
    (failed,) = sent["Failed"]
    assert (failed["Id"], failed["SenderFault"], failed["Code"]) == (
        "bad",
        True,
        "InvalidMessageContents",
    )
    got = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [each["Body"] for each in got] == [f"m{n}" for n in range(9)]
    shown = [
        {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"], "VisibilityTimeout": 0}
        for n, each in enumerate(got)
    ]
    changed = client.change_message_visibility_batch(
        QueueUrl=url, Entries=[*shown[:3], {**shown[3], "VisibilityTimeout": -1}]
    )
    assert [each["Id"] for each in changed["Successful"]] == ["0", "1", "2"]
    assert [(each["Id"], each["Code"]) for each in changed["Failed"]] == [
        ("3", "InvalidParameterValue")
    ]
    handles = [{"Id": each["Id"], "ReceiptHandle": each["ReceiptHandle"]} for each in shown]
    deleted = client.delete_message_batch(
        QueueUrl=url, Entries=[*handles, {"Id": "x", "ReceiptHandle": "no"}]
    )
    assert len(deleted["Successful"]) == 9
    assert [(each["Id"], each["Code"]) for each in deleted["Failed"]] == [
        ("x", "ReceiptHandleIsInvalid")
    ]
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (
        found["ApproximateNumberOfMessages"],
        found["ApproximateNumberOfMessagesNotVisible"],
    ) == ("0", "0")


def test_fifo_and_dead_letters_and_their_return(client: Any) -> None:
    dead = client.create_queue(QueueName="dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    policy = {"deadLetterTargetArn": ARN + "dead.fifo", "maxReceiveCount": 1}
    given = {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "true",
        "RedrivePolicy": json.dumps(policy),
        "VisibilityTimeout": "0",
    }
    url = client.create_queue(QueueName="q.fifo", Attributes=given)["QueueUrl"]
    sent = client.send_message(QueueUrl=url, MessageBody="a", MessageGroupId="g")
    assert (
        client.send_message(QueueUrl=url, MessageBody="a", MessageGroupId="g")["SequenceNumber"]
        == sent["SequenceNumber"]
    )
    assert len(client.receive_message(QueueUrl=url, ReceiveRequestAttemptId="x")["Messages"]) == 1
    assert "Messages" not in client.receive_message(QueueUrl=url)
    assert client.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    (letter,) = client.receive_message(
        QueueUrl=dead, MessageSystemAttributeNames=["All"], VisibilityTimeout=0
    )["Messages"]
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == ARN + "q.fifo"
    assert (
        letter["Attributes"]["MessageGroupId"] == "g" and letter["MessageId"] == sent["MessageId"]
    )
    handle = client.start_message_move_task(SourceArn=ARN + "dead.fifo")["TaskHandle"]
    eventually(
        lambda: (
            client.list_message_move_tasks(SourceArn=ARN + "dead.fifo")["Results"][0]["Status"]
            == "COMPLETED"
        )
    )
    assert refusal(client.cancel_message_move_task, TaskHandle=handle) == (
        "AWS.SimpleQueueService.UnsupportedOperation",
        "Only active tasks can be cancelled.",
    )
    assert [each["Body"] for each in client.receive_message(QueueUrl=url)["Messages"]] == ["a"]


# --- refusals -------------------------------------------------------------------------------------

NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
NO_ATTRIBUTE = ("InvalidAttributeName", "Unknown Attribute Colour.")
TEXT_A = {"DataType": "String", "StringValue": "a"}
MANY = [{"Id": str(n), "MessageBody": "m"} for n in range(11)]
VALUE = "InvalidParameterValue"
TYPES = "You must use only the following supported type prefixes: Binary, Number, String."


def sent(name: str, **value: Any) -> dict[str, Any]:
    return {"MessageBody": "m", "MessageAttributes": {name: value}}


@pytest.mark.parametrize(
    ("operation", "given", "code", "text"),
    [
        ("get_queue_url", {"QueueName": "no"}, *NO_QUEUE),
        (
            "get_queue_url",
            {"QueueName": "test", "QueueOwnerAWSAccountId": "999999999999"},
            *NO_QUEUE,
        ),
        ("send_message", {"QueueUrl": "http://x/123456789012/no", "MessageBody": "m"}, *NO_QUEUE),
        (
            "send_message",
            {"QueueUrl": "no", "MessageBody": "m"},
            "InvalidAddress",
            "The address no is not valid for this endpoint.",
        ),
        (
            "send_message",
            {"MessageBody": ""},
            "MissingParameter",
            "The request must contain the parameter MessageBody.",
        ),
        (
            "send_message",
            {"MessageBody": "\x07"},
            "InvalidMessageContents",
            "Invalid characters found.",
        ),
        (
            "send_message",
            {"MessageBody": "m" * 1_048_577},
            VALUE,
            (
                "One or more parameters are invalid. Reason: Message must be shorter than "
                "1048576 bytes."
            ),
        ),
        (
            "send_message",
            {"MessageBody": "m", "DelaySeconds": 901},
            VALUE,
            (
                "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be "
                ">= 0 and <= 900."
            ),
        ),
        (
            "send_message",
            {"MessageBody": "m", "MessageDeduplicationId": "d"},
            VALUE,
            (
                "Value d for parameter MessageDeduplicationId is invalid. Reason: The request "
                "include parameter that is not valid for this"
            ),
        ),
        (
            "send_message",
            sent("a", DataType="Boolean", StringValue="true"),
            VALUE,
            f"The type of message (user) attribute 'a' is invalid. {TYPES}",
        ),
        (
            "send_message",
            sent("a", DataType="Number", StringValue="seven"),
            VALUE,
            "Can't cast the value of message (user) attribute 'a' to a number.",
        ),
        ("send_message", sent("a", DataType="String"), VALUE, "Message (user) attribute 'a' must"),
        ("send_message", sent("AWS.a", DataType="String", StringValue="a"), VALUE, "Message"),
        (
            "send_message",
            {"MessageBody": "m", "MessageAttributes": {f"a{n}": TEXT_A for n in range(11)}},
            VALUE,
            "Number of message attributes [11] exceeds the allowed maximum [10].",
        ),
        (
            "send_message_batch",
            {"Entries": []},
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "There should be at least one SendMessageBatchRequestEntry in the request.",
        ),
        (
            "send_message_batch",
            {"Entries": MANY},
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10. You have sent 11.",
        ),
        (
            "send_message_batch",
            {"Entries": [MANY[0]] * 2},
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            "Id 0 repeated.",
        ),
        (
            "send_message_batch",
            {"Entries": [{"Id": "a b", "MessageBody": "m"}]},
            "AWS.SimpleQueueService.InvalidBatchEntryId",
            (
                "A batch entry id can only contain alphanumeric characters, hyphens and "
                "underscores. It can be at most 80 letters long."
            ),
        ),
        (
            "send_message_batch",
            {"Entries": [{"Id": str(n), "MessageBody": "m" * 600_000} for n in range(2)]},
            "AWS.SimpleQueueService.BatchRequestTooLong",
            "Batch requests cannot be longer than 1048576 bytes. You have sent 1200000 bytes.",
        ),
        (
            "receive_message",
            {"MaxNumberOfMessages": 11},
            VALUE,
            (
                "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between "
                "1 and 10, if provided."
            ),
        ),
        (
            "receive_message",
            {"WaitTimeSeconds": 21},
            VALUE,
            (
                "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= "
                "20, if provided."
            ),
        ),
        ("receive_message", {"AttributeNames": ["Colour"]}, *NO_ATTRIBUTE),
        ("get_queue_attributes", {"AttributeNames": ["Colour"]}, *NO_ATTRIBUTE),
        ("set_queue_attributes", {"Attributes": {"Colour": "red"}}, *NO_ATTRIBUTE),
        (
            "delete_message",
            {"ReceiptHandle": "x"},
            "ReceiptHandleIsInvalid",
            'The input receipt handle "x" is not a valid receipt handle.',
        ),
        (
            "change_message_visibility",
            {"ReceiptHandle": "x", "VisibilityTimeout": 43_201},
            VALUE,
            (
                "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be between "
                "0 and 43200."
            ),
        ),
        (
            "start_message_move_task",
            {"SourceArn": ARN + "no"},
            "ResourceNotFoundException",
            "The resource that you specified for the SourceArn parameter doesn't exist.",
        ),
    ],
)
def test_refusals(client: Any, operation: str, given: dict[str, Any], code: str, text: str) -> None:
    if operation not in ("get_queue_url", "start_message_move_task"):
        given = {"QueueUrl": client.create_queue(QueueName="refusing")["QueueUrl"], **given}
    told = refusal(getattr(client, operation), **given)
    assert told[0] == code and told[1].startswith(text)


def test_refusals_of_fifo_queues(client: Any) -> None:
    url = client.create_queue(QueueName="strict.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    given: dict[str, Any] = {"QueueUrl": url, "MessageBody": "m"}
    assert refusal(client.send_message, **given) == (
        "MissingParameter",
        "The request must contain the parameter MessageGroupId.",
    )
    given["MessageGroupId"] = "g"
    text = (
        "The queue should either have ContentBasedDeduplication enabled or "
        "MessageDeduplicationId provided explicitly"
    )
    assert refusal(client.send_message, **given) == ("InvalidParameterValue", text)
    given["MessageDeduplicationId"] = "d"
    assert "DelaySeconds is invalid" in refusal(client.send_message, DelaySeconds=1, **given)[1]
    assert (
        "MessageGroupId can only include"
        in refusal(client.send_message, **{**given, "MessageGroupId": "a b"})[1]
    )


def test_the_wire_of_an_error(live: Live, client: Any, url: str) -> None:
    """To the path of the queue, without a parameter that boto3 would not leave out."""
    response = _post(live, "/123456789012/x", "SendMessage", {"QueueUrl": url})
    assert response[0] == 400
    assert json.loads(response[2]) == {
        "__type": "com.amazonaws.sqs#MissingParameter",
        "message": "The request must contain the parameter MessageBody.",
    }
    status, headers, body = _post(
        live, "/", "SendMessage", {"QueueUrl": url + "no", "MessageBody": "m"}
    )
    assert (status, headers["x-amzn-query-error"]) == (
        400,
        "AWS.SimpleQueueService.NonExistentQueue;Sender",
    )
    assert json.loads(body)["__type"] == "com.amazonaws.sqs#QueueDoesNotExist"


def _post(live: Live, path: str, operation: str, body: Any) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=60)
    headers = {
        "x-amz-target": f"AmazonSQS.{operation}",
        "content-type": "application/x-amz-json-1.0",
    }
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    try:
        return (
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
        )
    finally:
        connection.close()


# --- waiting, dying -------------------------------------------------------------------------------


def test_long_polls(client: Any, url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        waiting = [
            threads.submit(client.receive_message, QueueUrl=url, WaitTimeSeconds=20)
            for _ in range(3)
        ]
        for n in range(3):
            client.send_message(QueueUrl=url, MessageBody=str(n))
        assert sorted(each.result(60)["Messages"][0]["Body"] for each in waiting) == ["0", "1", "2"]
    began = time.monotonic()
    assert "Messages" not in client.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    assert time.monotonic() - began > 0.9


def test_a_client_that_goes_away_while_it_waits_takes_nothing_with_it(
    live: Live, client: Any, url: str
) -> None:
    host, port = live.url.removeprefix("http://").split(":")
    body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nX-Amz-Target: "
        f"AmazonSQS.ReceiveMessage\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    gone = [socket.create_connection((host, int(port))) for _ in range(5)]
    for each in gone:
        each.sendall(head.encode() + body)
    opened = eventually(
        lambda: "stepwell_open_requests 6" in (text := live.get("/metrics")) and text
    )
    assert opened
    for each in gone:
        each.close()
    eventually(lambda: "stepwell_open_requests 1" in live.get("/metrics"))
    client.send_message(QueueUrl=url, MessageBody="a")
    (got,) = client.receive_message(
        QueueUrl=url, MessageSystemAttributeNames=["All"], WaitTimeSeconds=5
    )["Messages"]
    assert got["Attributes"]["ApproximateReceiveCount"] == "1"


def test_what_was_accepted_survives_kill_9_and_what_was_deleted_stays_away(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = environment(tmp_path, tmp_path_factory.getbasetemp())
    first = Live(own, tmp_path / "q.db")
    client = client_of(first.url)
    url = client.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    accepted, deleted = list[str](), list[str]()

    def send(sender: int) -> None:
        own_client = client_of(first.url)
        for n in range(10_000):
            try:
                own_client.send_message(QueueUrl=url, MessageBody=f"{sender}-{n}")
            except Exception:
                return
            accepted.append(f"{sender}-{n}")

    def receive() -> None:
        own_client = client_of(first.url)
        while True:
            try:
                for each in own_client.receive_message(QueueUrl=url, WaitTimeSeconds=1).get(
                    "Messages", []
                ):
                    own_client.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
                    deleted.append(each["Body"])
            except Exception:
                return

    with ThreadPoolExecutor(3) as threads:
        work = [threads.submit(send, 0), threads.submit(send, 1), threads.submit(receive)]
        eventually(lambda: len(deleted) > 50 and len(accepted) > len(deleted))
        first.stop(signal.SIGKILL)
        for each in work:
            each.result(30)
    second = Live(own, tmp_path / "q.db")
    client = client_of(second.url)
    found = list[str]()
    while got := client.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2, VisibilityTimeout=60
    ).get("Messages"):
        found += [each["Body"] for each in got]
    second.close()
    first.close()
    assert len(found) == len(set(found))
    assert set(found).isdisjoint(deleted)
    # what is found and was not accepted was on its way: one of each sender at most
    assert len(set(found) - set(accepted)) <= 2
    # what was accepted, not deleted and not found was being deleted: one at most
    assert len(set(accepted) - set(deleted) - set(found)) <= 1


# --- other clients --------------------------------------------------------------------------------


def test_the_aws_command(live: Live, url: str, home: dict[str, str]) -> None:
    def aws(*words: object) -> Any:
        program = [
            sys.executable,
            "-m",
            "awscli",
            "sqs",
            *map(str, words),
            "--endpoint-url",
            live.url,
            "--region",
            REGION,
        ]
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        done = subprocess.run(
            program, env=home | keys, capture_output=True, text=True, timeout=60, check=True
        )
        return json.loads(done.stdout or "{}")

    aws("send-message", "--queue-url", url, "--message-body", "hello")
    (got,) = aws("receive-message", "--queue-url", url)["Messages"]
    assert got["Body"] == "hello"


def test_the_console_lists_queues(live: Live, client: Any, url: str) -> None:
    client.send_message_batch(
        QueueUrl=url,
        Entries=[
            {"Id": str(n), "MessageBody": "m", "DelaySeconds": 60 * (n == 3)} for n in range(4)
        ],
    )
    client.receive_message(QueueUrl=url)
    found = json.loads(live.get("/console/api/listing?service=sqs"))
    assert (found["title"], found["columns"]) == (
        "Queues",
        ["Queue", "Messages", "In flight", "Delayed"],
    )
    name = url.rpartition("/")[2]
    assert [row["cells"][1:] for row in found["rows"] if row["arn"].endswith(f":{name}")] == [
        ["2", "1", "1"]
    ]
