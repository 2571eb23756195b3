"""Every operation of SNS that is served, as boto3 sees it on a real server."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import socket
from typing import Any

import boto3
import pytest
from aiosmtpd.controller import Controller
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.conftest import ROOT, SCRIPT
from tests.integrations.server.live import REGION, Live, eventually, keep_compiled
from tests.integrations.services.embedded_engine import Sink
from tests.integrations.services.test_sns import verify

ARN = "arn:aws:sns:us-east-1:123456789012"
QUEUE = "arn:aws:sqs:us-east-1:123456789012"


class Mailbox:
    """What a real mail server was given."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.got: list[tuple[str, str]] = []  # (recipient, content)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append((envelope.rcpt_tos[0], envelope.content.decode()))
        return "250 OK"


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    box = Mailbox(port)
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, mailbox: Mailbox) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("sns")
    plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    plain |= {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PYTHONPATH": str(ROOT / ".dev")}
    smtp = f"127.0.0.1:{mailbox.port}"
    server = Live(
        keep_compiled(plain, tmp_path_factory.getbasetemp()),
        folder / "served.db",
        "--allow-private",
        "--smtp",
        smtp,
    )
    yield server
    server.close()


@pytest.fixture(scope="module")
def sns(live: Live) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("sns", endpoint_url=live.url, region_name=REGION, config=config, **keys)


@pytest.fixture
def arn(sns: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    made = sns.create_topic(Name=f"t{abs(hash(request.node.name)) % 10**9}")["TopicArn"]
    yield made
    sns.delete_topic(TopicArn=made)


def refused(call: Callable[[], Any]) -> tuple[str, str, int]:
    """(code, text, status)"""
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return (
        response["Error"]["Code"],
        response["Error"]["Message"],
        response["ResponseMetadata"]["HTTPStatusCode"],
    )


def invalid(text: str) -> tuple[str, str, int]:
    return "InvalidParameter", f"Invalid parameter: {text}", 400


@pytest.mark.parametrize(
    "name", ["a\r\nBcc: all@example.com", "a\nb", "a\rb", "a\x85b", "a\u2028b", "a\x0bb", "a\x00"]
)
def test_a_display_name_stays_in_its_header(sns: Any, name: str) -> None:
    code, text, status = refused(
        lambda: sns.create_topic(Name="display", Attributes={"DisplayName": name})
    )
    assert (code, status) == ("InvalidParameter", 400) and "DisplayName" in text
    arn = sns.create_topic(Name="display", Attributes={"DisplayName": "News, daily"})["TopicArn"]
    code, text, status = refused(
        lambda: sns.set_topic_attributes(
            TopicArn=arn, AttributeName="DisplayName", AttributeValue=name
        )
    )
    assert (code, status) == ("InvalidParameter", 400) and "DisplayName" in text
    sns.delete_topic(TopicArn=arn)


# --- topics ---------------------------------------------------------------------------------------


def test_topics(sns: Any) -> None:
    made = sns.create_topic(
        Name="a-topic", Attributes={"DisplayName": "d"}, Tags=[{"Key": "k", "Value": "v"}]
    )
    assert made["TopicArn"] == f"{ARN}:a-topic"
    assert sns.create_topic(Name="a-topic")["TopicArn"] == made["TopicArn"]
    text = "Attributes Reason: Topic already exists with different attributes"
    assert refused(
        lambda: sns.create_topic(Name="a-topic", Attributes={"DisplayName": "e"})
    ) == invalid(text)
    text = "Tags Reason: Topic already exists with different tags"
    assert refused(
        lambda: sns.create_topic(Name="a-topic", Tags=[{"Key": "k", "Value": "w"}])
    ) == invalid(text)
    assert {"TopicArn": made["TopicArn"]} in sns.list_topics()["Topics"]
    attributes = sns.get_topic_attributes(TopicArn=made["TopicArn"])["Attributes"]
    assert {
        name: value
        for name, value in attributes.items()
        if name not in ("Policy", "EffectiveDeliveryPolicy")
    } == {
        "TopicArn": made["TopicArn"],
        "Owner": "123456789012",
        "DisplayName": "d",
        "SubscriptionsConfirmed": "0",
        "SubscriptionsPending": "0",
        "SubscriptionsDeleted": "0",
    }
    assert json.loads(attributes["Policy"])["Id"] == "__default_policy_ID"
    assert json.loads(attributes["EffectiveDeliveryPolicy"]) == {
        "http": {
            "defaultHealthyRetryPolicy": {
                "minDelayTarget": 20,
                "maxDelayTarget": 20,
                "numRetries": 3,
                "numMaxDelayRetries": 0,
                "numNoDelayRetries": 0,
                "numMinDelayRetries": 0,
                "backoffFunction": "linear",
            },
            "disableSubscriptionOverrides": False,
            "defaultRequestPolicy": {"headerContentType": "text/plain; charset=UTF-8"},
        }
    }
    for _ in range(2):
        sns.delete_topic(TopicArn=made["TopicArn"])
    gone = ("NotFound", "Topic does not exist", 404)
    assert refused(lambda: sns.get_topic_attributes(TopicArn=made["TopicArn"])) == gone
    assert refused(lambda: sns.publish(TopicArn=made["TopicArn"], Message="m")) == gone


@pytest.mark.parametrize("name", ["", "a b", "x" * 257, "t.fifo", "ä"])
def test_names_of_topics(sns: Any, name: str) -> None:
    assert refused(lambda: sns.create_topic(Name=name)) == invalid("Topic Name")


def test_a_fifo_topic(sns: Any) -> None:
    code, text, _ = refused(lambda: sns.create_topic(Name="f", Attributes={"FifoTopic": "true"}))
    assert code == "InvalidParameter" and text.startswith(
        "Invalid parameter: Fifo Topic names must end with .fifo"
    )
    arn = sns.create_topic(Name="f.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert (attributes["FifoTopic"], attributes["ContentBasedDeduplication"]) == ("true", "false")
    text = "The MessageGroupId parameter is required for FIFO topics"
    assert refused(lambda: sns.publish(TopicArn=arn, Message="m")) == invalid(text)
    text = (
        "The topic should either have ContentBasedDeduplication enabled or "
        "MessageDeduplicationId provided explicitly"
    )
    assert refused(lambda: sns.publish(TopicArn=arn, Message="m", MessageGroupId="g")) == invalid(
        text
    )
    sns.set_topic_attributes(
        TopicArn=arn, AttributeName="ContentBasedDeduplication", AttributeValue="true"
    )
    answers = [sns.publish(TopicArn=arn, Message="m", MessageGroupId="g") for _ in range(2)]
    assert (
        answers[0]["MessageId"] == answers[1]["MessageId"]
        and len(answers[0]["SequenceNumber"]) == 20
    )
    code, _, _ = refused(lambda: sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="a@b"))
    assert code == "InvalidParameter"
    sns.delete_topic(TopicArn=arn)


def test_attributes_of_topics(sns: Any, arn: str) -> None:
    def put(name: str, value: str) -> None:
        sns.set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)

    for name, value in {
        "DisplayName": "Shown",
        "SignatureVersion": "2",
        "KmsMasterKeyId": "k",
        "TracingConfig": "Active",
    }.items():
        put(name, value)
        assert sns.get_topic_attributes(TopicArn=arn)["Attributes"][name] == value
    put("KmsMasterKeyId", "")
    assert "KmsMasterKeyId" not in sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert refused(lambda: put("Nonsense", "1")) == invalid("AttributeName")
    assert refused(lambda: put("FifoTopic", "true")) == invalid("AttributeName")
    assert refused(lambda: put("SignatureVersion", "3"))[0] == "InvalidParameter"
    assert refused(lambda: put("Policy", "{")) == invalid("Policy: failed to parse JSON.")


def test_permissions(sns: Any, arn: str) -> None:
    sns.add_permission(
        TopicArn=arn, Label="l", AWSAccountId=["111122223333"], ActionName=["Publish"]
    )
    statements = json.loads(sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"])[
        "Statement"
    ]
    assert statements[1] == {
        "Sid": "l",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": "SNS:Publish",
        "Resource": arn,
    }
    again = {
        "TopicArn": arn,
        "Label": "l",
        "AWSAccountId": ["111122223333"],
        "ActionName": ["Publish"],
    }
    assert refused(lambda: sns.add_permission(**again)) == invalid("Statement already exists")
    assert refused(
        lambda: sns.add_permission(**{**again, "Label": "m", "ActionName": ["Eat"]})
    ) == invalid("Policy statement action out of service scope!")
    sns.remove_permission(TopicArn=arn, Label="l")
    assert (
        len(json.loads(sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"])["Statement"])
        == 1
    )
    sns.put_data_protection_policy(ResourceArn=arn, DataProtectionPolicy='{"Name":"p"}')
    assert sns.get_data_protection_policy(ResourceArn=arn)["DataProtectionPolicy"] == '{"Name":"p"}'


def test_tags(sns: Any, arn: str) -> None:
    sns.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sns.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert sns.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    assert refused(lambda: sns.tag_resource(ResourceArn=arn, Tags=twice)) == invalid(
        "Duplicated keys are not allowed."
    )
    many = [{"Key": str(n), "Value": ""} for n in range(50)]
    assert refused(lambda: sns.tag_resource(ResourceArn=arn, Tags=many))[0] == "TagLimitExceeded"
    assert refused(lambda: sns.list_tags_for_resource(ResourceArn=f"{ARN}:none")) == (
        "ResourceNotFound",
        "Resource does not exist",
        404,
    )


# --- subscriptions --------------------------------------------------------------------------------


def test_subscriptions(sns: Any, arn: str) -> None:
    asked = {"TopicArn": arn, "Protocol": "sqs", "Endpoint": f"{QUEUE}:q"}
    subscription = sns.subscribe(**asked, Attributes={"RawMessageDelivery": "true"})[
        "SubscriptionArn"
    ]
    assert (
        subscription.startswith(f"{arn}:")
        and sns.subscribe(**asked)["SubscriptionArn"] == subscription
    )
    text = "Attributes Reason: Subscription already exists with different attributes"
    assert refused(
        lambda: sns.subscribe(**asked, Attributes={"RawMessageDelivery": "false"})
    ) == invalid(text)
    listed = {"SubscriptionArn": subscription, "Owner": "123456789012", **asked}
    assert sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == [listed]
    assert listed in sns.list_subscriptions()["Subscriptions"]
    assert sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"] == {
        **listed,
        "SubscriptionPrincipal": "arn:aws:iam::123456789012:root",
        "PendingConfirmation": "false",
        "ConfirmationWasAuthenticated": "true",
        "RawMessageDelivery": "true",
    }

    def put(name: str, value: str) -> None:
        sns.set_subscription_attributes(
            SubscriptionArn=subscription, AttributeName=name, AttributeValue=value
        )

    put("FilterPolicy", '{"a": ["b"]}')
    shown = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert (shown["FilterPolicy"], shown["FilterPolicyScope"]) == (
        '{"a": ["b"]}',
        "MessageAttributes",
    )
    put("FilterPolicy", "{}")
    assert (
        "FilterPolicy"
        not in sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    )
    put("RedrivePolicy", json.dumps({"deadLetterTargetArn": f"{QUEUE}:dead"}))
    assert refused(lambda: put("Nonsense", "1")) == invalid("AttributeName")
    assert refused(lambda: put("FilterPolicy", '{"a": {"b": ["c"]}}')) == invalid(
        "Filter policy scope MessageAttributes does not support nested filter policy"
    )
    put("FilterPolicyScope", "MessageBody")
    put("FilterPolicy", '{"a": {"b": ["c"]}}')
    for _ in range(2):
        sns.unsubscribe(SubscriptionArn=subscription)
    gone = ("NotFound", "Subscription does not exist", 404)
    assert refused(lambda: sns.get_subscription_attributes(SubscriptionArn=subscription)) == gone
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["SubscriptionsDeleted"] == "1"


@pytest.mark.parametrize(
    ("protocol", "endpoint", "text"),
    [
        ("smoke", "x", "Amazon SNS does not support this protocol string: smoke"),
        ("http", "https://example.com", "Endpoint must match the specified protocol"),
        ("https", "example.com", "Endpoint must match the specified protocol"),
        ("sqs", "https://queue", "SQS endpoint ARN"),
        ("lambda", "f", "Lambda endpoint ARN"),
        ("email", "nobody", "Email address"),
        ("sms", "call me", "Invalid SMS endpoint: call me"),
        (
            "sqs",
            f"{QUEUE}:q.fifo",
            (
                "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to "
                "standard SNS topics"
            ),
        ),
        (
            "firehose",
            "arn:aws:firehose:us-east-1:123456789012:deliverystream/d",
            "Protocol Reason: there is no Firehose here to deliver to",
        ),
    ],
)
def test_endpoints_that_are_refused(
    sns: Any, arn: str, protocol: str, endpoint: str, text: str
) -> None:
    assert refused(
        lambda: sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=endpoint)
    ) == invalid(text)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("FilterPolicy", "{", "Attributes Reason: FilterPolicy: failed to parse JSON."),
        (
            "FilterPolicyScope",
            "x",
            (
                "Attributes Reason: FilterPolicyScope: Invalid value [x]. Please use either "
                "MessageBody or MessageAttributes"
            ),
        ),
        (
            "RawMessageDelivery",
            "x",
            "Attributes Reason: RawMessageDelivery: Invalid value [x]. Must be true or false.",
        ),
        (
            "RedrivePolicy",
            '{"deadLetterTargetArn": "x"}',
            "Attributes Reason: RedrivePolicy: deadLetterTargetArn is an invalid arn",
        ),
        ("Nonsense", "x", "Attributes Reason: Unknown attribute: Nonsense"),
    ],
)
def test_attributes_that_are_refused(sns: Any, arn: str, name: str, value: str, text: str) -> None:
    asked = {
        "TopicArn": arn,
        "Protocol": "sqs",
        "Endpoint": f"{QUEUE}:q",
        "Attributes": {name: value},
    }
    assert refused(lambda: sns.subscribe(**asked)) == invalid(text)


def test_arns_that_are_none(sns: Any) -> None:
    text = "TopicArn Reason: An ARN must have at least 6 elements, not 1"
    assert refused(lambda: sns.publish(TopicArn="topic", Message="m")) == invalid(text)
    text = "SubscriptionArn Reason: An ARN must have at least 6 elements, not 1"
    assert refused(lambda: sns.unsubscribe(SubscriptionArn="pending")) == invalid(text)
    assert refused(
        lambda: sns.get_topic_attributes(TopicArn="arn:aws:sqs:us-east-1:123456789012:t")
    ) == invalid("TopicArn")


def test_pages(sns: Any, arn: str) -> None:
    for n in range(101):
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=f"{QUEUE}:q{n}")
    first = sns.list_subscriptions_by_topic(TopicArn=arn)
    second = sns.list_subscriptions_by_topic(TopicArn=arn, NextToken=first["NextToken"])
    assert len(first["Subscriptions"]) == 100 and "NextToken" not in second
    endpoints = [each["Endpoint"] for each in [*first["Subscriptions"], *second["Subscriptions"]]]
    assert endpoints == [f"{QUEUE}:q{n}" for n in range(101)]
    assert refused(lambda: sns.list_topics(NextToken="x")) == invalid("NextToken")


def test_a_subscriber_that_verifies_what_it_gets(sns: Any, arn: str, live: Live) -> None:
    sink = Sink()
    try:
        assert (
            sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=sink.url)["SubscriptionArn"]
            == "pending confirmation"
        )
        letter = json.loads(eventually(lambda: sink.got)[0][3])
        assert letter["SigningCertURL"].startswith(live.url)
        with urllib.request.urlopen(letter["SigningCertURL"]) as answer:
            pem = answer.read().decode()
        verify(letter, pem)
        assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["SubscriptionsPending"] == "1"
        wrong = refused(lambda: sns.confirm_subscription(TopicArn=arn, Token="x"))
        assert wrong == invalid("Token")
        with urllib.request.urlopen(
            letter["SubscribeURL"]
        ) as answer:  # as a person's browser does it
            assert b"<ConfirmSubscriptionResult><SubscriptionArn>arn:aws:sns:" in answer.read()
        sns.publish(TopicArn=arn, Message="m")
        told = json.loads(eventually(lambda: sink.got[1:])[0][3])
        verify(told, pem)
        with urllib.request.urlopen(told["UnsubscribeURL"]) as answer:
            assert b"UnsubscribeResponse" in answer.read()
        assert sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == []
    finally:
        sink.close()


def test_a_link_does_not_end_what_needs_a_signature(sns: Any, arn: str, live: Live) -> None:
    subscription = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=f"{QUEUE}:q")[
        "SubscriptionArn"
    ]
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{live.url}/?Action=Unsubscribe&SubscriptionArn={subscription}")
    assert caught.value.code == 403 and b"<Code>AuthorizationError</Code>" in caught.value.read()
    assert len(sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]) == 1


@pytest.mark.parametrize("where", ["host:port", ":25", "a@b:25", "host/path"])
def test_a_mail_server_that_is_none(live: Live, where: str) -> None:
    words = [*SCRIPT, "serve", "--port", "0", "--db", str(live.db), "--smtp", where]
    done = subprocess.run(
        words, env=live.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2 and f"--smtp {where}: not HOST:PORT" in done.stderr


# --- messages -------------------------------------------------------------------------------------

TOO_LONG = "x" * 262_145


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"Message": ""}, "Empty message"),
        ({"Message": TOO_LONG}, "Message too long"),
        ({"Message": "m", "Subject": ""}, "Subject"),
        ({"Message": "m", "Subject": "ä" * 101}, "Subject"),
        ({"Message": "m", "Subject": "a\nb"}, "Subject"),
        ({"Message": "m", "Subject": "a\u2028b"}, "Subject"),
        ({"Message": "m", "MessageStructure": "xml"}, "MessageStructure"),
        (
            {"Message": "m", "MessageStructure": "json"},
            "Message Structure - JSON message body failed to parse",
        ),
        (
            {"Message": '{"default":"m","default":"n"}', "MessageStructure": "json"},
            "Message Structure - JSON message body failed to parse",
        ),
        (
            {"Message": '{"sqs":"m"}', "MessageStructure": "json"},
            "Message Structure - No default entry in JSON message body",
        ),
        (
            {"Message": "m", "MessageDeduplicationId": "d"},
            (
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId "
                "parameter that is not valid for this topic type"
            ),
        ),
    ],
)
def test_messages_that_are_refused(sns: Any, arn: str, parts: dict[str, str], text: str) -> None:
    assert refused(lambda: sns.publish(TopicArn=arn, **parts)) == invalid(text)


@pytest.mark.parametrize(
    ("name", "attribute", "text"),
    [
        (
            "a",
            {"DataType": "Colour", "StringValue": "x"},
            "The message attribute 'a' has an invalid message attribute type, the set of",
        ),
        (
            "a",
            {"DataType": "String"},
            "The message attribute 'a' must contain non-empty message attribute value for message",
        ),
        (
            "a",
            {"DataType": "String", "BinaryValue": b"x"},
            "The message attribute 'a' with type 'String' must use field 'String'.",
        ),
        (
            "a",
            {"DataType": "Number", "StringValue": "x"},
            "Could not cast message attribute 'a' value to number.",
        ),
        (
            "a",
            {"DataType": "", "StringValue": "x"},
            "The message attribute 'a' must contain non-empty message attribute type.",
        ),
        (
            "a b",
            {"DataType": "String", "StringValue": "x"},
            "Invalid non-alphanumeric character '#x20' was found in the message attribute",
        ),
        (".a", {"DataType": "String", "StringValue": "x"}, "Invalid message attribute name."),
    ],
)
def test_message_attributes_that_are_refused(
    sns: Any, arn: str, name: str, attribute: dict[str, Any], text: str
) -> None:
    code, said, status = refused(
        lambda: sns.publish(TopicArn=arn, Message="m", MessageAttributes={name: attribute})
    )
    assert (code, status) == ("ParameterValueInvalid", 400) and said.startswith(text)


def test_large_messages(sns: Any, arn: str) -> None:
    def allow(size: str) -> None:
        sns.set_topic_attributes(
            TopicArn=arn, AttributeName="MaximumMessageSize", AttributeValue=size
        )

    assert (
        refused(lambda: allow("1048577"))[0]
        == refused(lambda: allow("1023"))[0]
        == "InvalidParameter"
    )
    allow("1048576")
    assert "MessageId" in sns.publish(TopicArn=arn, Message="x" * 1_048_576)
    assert refused(lambda: sns.publish(TopicArn=arn, Message="x" * 1_048_577)) == invalid(
        "Message too long"
    )
    assert (
        "MaximumMessageSize Reason"
        in refused(lambda: sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="a@b"))[1]
    )
    allow("1024")
    sns.subscribe(TopicArn=arn, Protocol="sms", Endpoint="+15551234567")
    assert "MaximumMessageSize Reason" in refused(lambda: allow("262145"))[1]


def test_where_a_message_goes(sns: Any, arn: str) -> None:
    text = "TopicArn or TargetArn Reason: no value for required parameter"
    assert refused(lambda: sns.publish(Message="m")) == invalid(text)
    assert refused(lambda: sns.publish(Message="m", TopicArn=arn, TargetArn=arn)) == invalid(text)
    assert "MessageId" in sns.publish(Message="m", TargetArn=arn, MessageGroupId="fair")
    assert refused(lambda: sns.publish(Message="m", PhoneNumber="x")) == invalid(
        "PhoneNumber Reason: x is not valid to publish to"
    )


def test_batches(sns: Any, arn: str) -> None:
    def send(*entries: dict[str, Any]) -> Any:
        return sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=list(entries))

    answer = send(
        {"Id": "a", "Message": "m"},
        {"Id": "b", "Message": ""},
        {"Id": "c", "Message": "m", "Subject": "s"},
    )
    assert [each["Id"] for each in answer["Successful"]] == ["a", "c"]
    assert answer["Failed"] == [
        {
            "Id": "b",
            "Code": "InvalidParameter",
            "Message": "Invalid parameter: Empty message",
            "SenderFault": True,
        }
    ]
    entry = {"Id": "a", "Message": "m"}
    assert refused(send) == (
        "EmptyBatchRequest",
        "The batch request doesn't contain any entries.",
        400,
    )
    assert refused(lambda: send(*[{**entry, "Id": str(n)} for n in range(11)])) == (
        "TooManyEntriesInBatchRequest",
        "The batch request contains more entries than permissible.",
        400,
    )
    assert refused(lambda: send(entry, entry))[:2] == (
        "BatchEntryIdsNotDistinct",
        "Two or more batch entries in the request have the same Id.",
    )
    assert refused(lambda: send({**entry, "Id": "a b"}))[0] == "InvalidBatchEntryId"
    half = {"Message": "x" * 131_073}
    assert (
        refused(lambda: send({**half, "Id": "a"}, {**half, "Id": "b"}))[0] == "BatchRequestTooLong"
    )


# --- mail, phones, devices ------------------------------------------------------------------------


def test_mail(sns: Any, arn: str, mailbox: Mailbox) -> None:
    mailbox.got.clear()
    sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="The Shop")
    for protocol in ("email", "email-json"):
        sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=f"{protocol}@example.com")
    for _, content in eventually(lambda: len(mailbox.got) == 2 and list(mailbox.got)):
        assert (
            "Subject: AWS Notification - Subscription Confirmation" in content
            and "From: AWS Notifications <" in content
        )
        link = next(
            line
            for line in content.replace("=\r\n", "").replace("=3D", "=").splitlines()
            if "Action=ConfirmSubscription" in line
        )
        with urllib.request.urlopen(link) as answer:
            assert answer.status == 200
    mailbox.got.clear()
    sns.publish(TopicArn=arn, Message="the text", Subject="the subject")
    eventually(lambda: len(mailbox.got) == 2)
    found = dict(mailbox.got)
    assert "From: The Shop <no-reply@sns.amazonaws.com>" in found["email@example.com"]
    assert (
        "Subject: the subject" in found["email@example.com"]
        and "the text" in found["email@example.com"]
    )
    assert (
        "Action=3DUnsubscribe" in found["email@example.com"]
        or "Action=Unsubscribe" in found["email@example.com"]
    )
    assert '"Type" : "Notification"' in found["email-json@example.com"]


def test_applications_and_devices(sns: Any) -> None:
    application = sns.create_platform_application(
        Name="app", Platform="GCM", Attributes={"PlatformCredential": "c"}
    )["PlatformApplicationArn"]
    assert application == f"{ARN}:app/GCM/app"
    sns.set_platform_application_attributes(
        PlatformApplicationArn=application, Attributes={"EventEndpointCreated": "x"}
    )
    shown = {"Enabled": "true", "EventEndpointCreated": "x"}
    assert (
        sns.get_platform_application_attributes(PlatformApplicationArn=application)["Attributes"]
        == shown
    )
    listed = sns.list_platform_applications()["PlatformApplications"]
    assert listed == [{"PlatformApplicationArn": application, "Attributes": shown}]
    device = sns.create_platform_endpoint(
        PlatformApplicationArn=application, Token="t", CustomUserData="u"
    )["EndpointArn"]
    assert device.startswith(f"{ARN}:endpoint/GCM/app/")
    sns.set_endpoint_attributes(EndpointArn=device, Attributes={"CustomUserData": "w"})
    attributes = {"Enabled": "true", "Token": "t", "CustomUserData": "w"}
    assert sns.get_endpoint_attributes(EndpointArn=device)["Attributes"] == attributes
    listed = sns.list_endpoints_by_platform_application(PlatformApplicationArn=application)[
        "Endpoints"
    ]
    assert listed == [{"EndpointArn": device, "Attributes": attributes}]
    assert "MessageId" in sns.publish(TargetArn=device, Message="m")
    sns.set_endpoint_attributes(EndpointArn=device, Attributes={"Enabled": "false"})
    assert refused(lambda: sns.publish(TargetArn=device, Message="m")) == (
        "EndpointDisabled",
        "Endpoint is disabled",
        400,
    )
    sns.delete_endpoint(EndpointArn=device)
    assert refused(lambda: sns.get_endpoint_attributes(EndpointArn=device)) == (
        "NotFound",
        "Endpoint does not exist",
        404,
    )
    sns.delete_platform_application(PlatformApplicationArn=application)
    gone = ("NotFound", "PlatformApplication does not exist", 404)
    assert (
        refused(lambda: sns.get_platform_application_attributes(PlatformApplicationArn=application))
        == gone
    )
    assert refused(
        lambda: sns.create_platform_application(
            Name="a", Platform="X", Attributes={"PlatformCredential": "c"}
        )
    ) == invalid("Platform Reason: X is not supported")


def test_phones(sns: Any) -> None:
    sns.set_sms_attributes(attributes={"DefaultSMSType": "Transactional"})
    assert sns.get_sms_attributes(attributes=["DefaultSMSType"])["attributes"] == {
        "DefaultSMSType": "Transactional"
    }
    assert sns.check_if_phone_number_is_opted_out(phoneNumber="+15551234567")["isOptedOut"] is False
    assert sns.list_phone_numbers_opted_out()["phoneNumbers"] == []
    sns.opt_in_phone_number(phoneNumber="+15551234567")
    assert "MessageId" in sns.publish(PhoneNumber="+15551234567", Message="m")
    assert sns.get_sms_sandbox_account_status()["IsInSandbox"] is False


def test_what_is_not_served_says_so(sns: Any) -> None:
    code, text, _ = refused(lambda: sns.create_sms_sandbox_phone_number(PhoneNumber="+15551234567"))
    assert "not implemented here" in text and code


def test_kill_and_go_on(tmp_path: Path, live: Live) -> None:
    """What Publish acknowledged is delivered after kill -9."""
    sink, server = Sink(), Live(live.environment, tmp_path / "killed.db", "--allow-private")
    try:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        client = boto3.client("sns", endpoint_url=server.url, region_name=REGION, **keys)
        topic = client.create_topic(Name="t")["TopicArn"]
        policy = json.dumps({"healthyRetryPolicy": {"minDelayTarget": 1, "maxDelayTarget": 1}})
        client.subscribe(
            TopicArn=topic,
            Protocol="http",
            Endpoint=sink.url,
            Attributes={"DeliveryPolicy": policy},
        )
        client.confirm_subscription(
            TopicArn=topic, Token=json.loads(eventually(lambda: sink.got)[0][3])["Token"]
        )
        sink.got.clear()
        sink.answers = [(503, b"")] * 3
        sent = [client.publish(TopicArn=topic, Message=str(n))["MessageId"] for n in range(3)]
        server.process.kill()
        server.process.wait(timeout=30)
        sink.answers = []
        sink.got.clear()
        server.close()
        server = Live(live.environment, tmp_path / "killed.db", "--allow-private")
        assert server.url
        eventually(lambda: {json.loads(body)["MessageId"] for *_, body in sink.got} == set(sent))
    finally:
        server.close()
        sink.close()
