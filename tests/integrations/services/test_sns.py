"""SNS: what becomes of a message, whatever happens to the process meanwhile."""

import asyncio
import base64
import dataclasses
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.integrations.services.embedded_engine import ROLE, EmbeddedEngine, Sink

from stepwell.engine.errors import ApiError, StoreError
from stepwell.integrations.aws.calls import ANONYMOUS
from stepwell.integrations.limits import DEFAULT_LIMITS

ARN = "arn:aws:sns:us-east-1:123456789012"
QUEUE = "arn:aws:sqs:us-east-1:123456789012"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"


async def topic(house: EmbeddedEngine, name: str = "t", **attributes: str) -> str:
    arn: str = (await house.sns.create_topic(name, attributes))["TopicArn"]
    return arn


async def subscribed(
    house: EmbeddedEngine, protocol: str, endpoint: str, to: str = f"{ARN}:t", **attributes: str
) -> str:
    arn: str = (await house.sns.subscribe(to, protocol, endpoint, attributes, True))[
        "SubscriptionArn"
    ]
    return arn


async def confirmed(
    house: EmbeddedEngine, sink: Sink, path: str = "/", to: str = f"{ARN}:t", **attributes: str
) -> str:
    """An HTTP subscription whose endpoint has confirmed it, and forgotten that."""
    arn = await subscribed(house, "http", sink.url + path, to, **attributes)
    await house.calm()
    await house.sns.confirm_subscription(to, json.loads(sink.got[-1][3])["Token"])
    sink.got.clear()
    return arn


async def pending(house: EmbeddedEngine) -> list[str]:
    return [key async for key, _ in house.engine.records.all("sns/delivery/")]


async def until(house: EmbeddedEngine, found: Any) -> None:
    async with asyncio.timeout(60):
        while not found():
            await house.calm()


async def queue(house: EmbeddedEngine, name: str, **attributes: str) -> None:
    await (await house.registry.host.services.get("sqs")).create_queue(name, attributes)


async def arrived(house: EmbeddedEngine, name: str) -> list[Any]:
    """What is in a queue of the house, taken out of it."""
    sqs, found = await house.registry.host.services.get("sqs"), list[Any]()
    url = (await sqs.get_queue_url(name))["QueueUrl"]
    while more := (
        await sqs.receive_message(url, max_number_of_messages=10, message_attribute_names=["All"])
    ).get("Messages"):
        found += more
        for each in more:
            await sqs.delete_message(url, each["ReceiptHandle"])
    return found


def verify(body: dict[str, Any], pem: str) -> None:
    """As a subscriber does it by AWS's description. Raises InvalidSignature."""
    names = [
        "Message",
        "MessageId",
        "Subject",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ]
    if body["Type"] == "Notification":
        names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    text = "".join(f"{name}\n{body[name]}\n" for name in names if name in body)
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    digest = {"1": hashes.SHA1(), "2": hashes.SHA256()}[body["SignatureVersion"]]
    key.verify(base64.b64decode(body["Signature"]), text.encode(), padding.PKCS1v15(), digest)


# --- HTTP -----------------------------------------------------------------------------------------


async def test_an_endpoint_confirms_gets_messages_and_leaves(
    house: EmbeddedEngine, sink: Sink
) -> None:
    arn = await topic(house, SignatureVersion="2")
    answer = await house.sns.subscribe(arn, "http", f"{sink.url}/in", {})
    assert answer == {"SubscriptionArn": "pending confirmation"}
    await house.sns.publish(topic_arn=arn, message="too early")
    await house.calm()
    ((method, path, headers, body),) = sink.got
    letter, pem = json.loads(body), await house.sns.certificate()
    assert (method, path, headers["x-amz-sns-message-type"]) == (
        "POST",
        "/in",
        "SubscriptionConfirmation",
    )
    assert (
        headers["content-type"] == "text/plain; charset=UTF-8"
        and "x-amz-sns-subscription-arn" not in headers
    )
    assert list(letter) == [
        *("Type", "MessageId", "Token", "TopicArn", "Message", "SubscribeURL", "Timestamp"),
        *("SignatureVersion", "Signature", "SigningCertURL"),
    ]
    asked = dict(parse_qsl(urlsplit(letter["SubscribeURL"]).query))
    assert asked == {"Action": "ConfirmSubscription", "TopicArn": arn, "Token": letter["Token"]}
    verify(letter, pem)

    (listed,) = (await house.sns.list_subscriptions())["Subscriptions"]
    assert listed["SubscriptionArn"] == "PendingConfirmation"
    subscription = (await house.sns.confirm_subscription(arn, letter["Token"]))["SubscriptionArn"]
    assert await house.sns.confirm_subscription(arn, letter["Token"]) == {
        "SubscriptionArn": subscription
    }
    attribute = {"colour": {"DataType": "String", "StringValue": "red"}}
    id = (
        await house.sns.publish(
            topic_arn=arn, message='say "ä"', subject="S", message_attributes=attribute
        )
    )["MessageId"]
    await house.calm()
    _, _, headers, body = sink.got[1]
    told = json.loads(body)
    assert {name: value for name, value in headers.items() if name.startswith("x-amz-sns")} == {
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": id,
        "x-amz-sns-topic-arn": arn,
        "x-amz-sns-subscription-arn": subscription,
    }
    assert list(told) == [
        *(
            "Type",
            "MessageId",
            "TopicArn",
            "Subject",
            "Message",
            "Timestamp",
            "SignatureVersion",
            "Signature",
            "SigningCertURL",
        ),
        *("UnsubscribeURL", "MessageAttributes"),
    ]
    assert (told["Message"], told["Subject"], told["MessageId"]) == ('say "ä"', "S", id)
    assert told["MessageAttributes"] == {"colour": {"Type": "String", "Value": "red"}}
    assert (
        body.startswith(b'{\n  "Type" : "Notification",\n')
        and told["Timestamp"] == "2023-11-14T22:13:20.000Z"
    )
    verify(told, pem)

    anonymous = ANONYMOUS.set(True)  # as who follows the link
    await house.sns.unsubscribe(
        dict(parse_qsl(urlsplit(told["UnsubscribeURL"]).query))["SubscriptionArn"]
    )
    ANONYMOUS.reset(anonymous)
    await house.calm()
    letter = json.loads(sink.got[2][3])
    assert (
        letter["Type"] == "UnsubscribeConfirmation"
        and not (await house.sns.list_subscriptions())["Subscriptions"]
    )
    verify(letter, pem)
    again = (await house.sns.confirm_subscription(arn, letter["Token"]))["SubscriptionArn"]
    assert (
        again != subscription
        and (await house.sns.get_topic_attributes(arn))["Attributes"]["SubscriptionsConfirmed"]
        == "1"
    )
    await house.sns.unsubscribe(again)
    await house.calm()
    assert not await pending(house) and len(sink.got) == 3, (
        "who has the topic gets no letter about it"
    )


async def test_raw_with_credentials_and_a_type_of_its_own(
    house: EmbeddedEngine, sink: Sink
) -> None:
    arn = await topic(house)
    url = sink.url.replace("http://", "http://me:s%20t@")
    subscription = await subscribed(house, "http", f"{url}/in?a=1", RawMessageDelivery="true")
    await house.calm()
    await house.sns.confirm_subscription(arn, json.loads(sink.got[-1][3])["Token"])
    policy = json.dumps({"requestPolicy": {"headerContentType": "application/json"}})
    await house.sns.set_subscription_attributes(subscription, "DeliveryPolicy", policy)
    await house.sns.publish(
        topic_arn=arn, message='{"default": "d", "http": "h"}', message_structure="json"
    )
    await house.calm()
    _, path, headers, body = sink.got[-1]
    assert (path, body, headers["x-amz-sns-rawdelivery"], headers["content-type"]) == (
        "/in?a=1",
        b"h",
        "true",
        "application/json",
    )
    assert headers["authorization"] == "Basic " + base64.b64encode(b"me:s t").decode()


async def test_retries_go_through_the_phases_of_the_policy(
    house: EmbeddedEngine, sink: Sink
) -> None:
    arn = await topic(house)
    retry = {
        "minDelayTarget": 2,
        "maxDelayTarget": 10,
        "numRetries": 6,
        "numNoDelayRetries": 1,
        "numMinDelayRetries": 2,
    }
    policy = {
        "healthyRetryPolicy": retry | {"numMaxDelayRetries": 1, "backoffFunction": "exponential"}
    }
    await confirmed(house, sink, DeliveryPolicy=json.dumps(policy))
    sink.answers = [(503, b"")] * 7
    await house.sns.publish(topic_arn=arn, message="m")
    await house.calm()
    pauses: list[float] = []
    while found := await pending(house):
        pause, count = int(found[0].split("/")[3]) - house.clock.now(), len(sink.got)
        await house.after(pause / 1000 - 0.001)
        assert len(sink.got) == count, "too early"
        await house.after(0.001)
        assert len(sink.got) == count + 1
        pauses.append(pause / 1000)
    # at once, on the first attempt's heels; two of the shortest; two that grow; one of the longest
    assert len(sink.got) == 7 and pauses[:2] == [2, 2] and pauses[-1] == 10
    assert 2 <= pauses[2] <= 5 and pauses[2] <= pauses[3] <= 10


@pytest.mark.parametrize(
    ("status", "attempts"), [(400, 1), (404, 1), (302, 1), (429, 4), (500, 4), (204, 1)]
)
async def test_what_is_tried_again(
    house: EmbeddedEngine, sink: Sink, status: int, attempts: int
) -> None:
    await topic(house)
    await confirmed(house, sink)
    sink.answers = [(status, b"")] * 4
    await house.sns.publish(topic_arn=f"{ARN}:t", message="m")
    for _ in range(5):
        await house.after(20)
    assert len(sink.got) == attempts and not await pending(house)


async def test_a_rate_is_kept(house: EmbeddedEngine, sink: Sink) -> None:
    arn = await topic(house)
    await confirmed(
        house, sink, DeliveryPolicy=json.dumps({"throttlePolicy": {"maxReceivesPerSecond": 2}})
    )
    await house.after(0.5)  # the letter counts as well
    for n in range(4):
        await house.sns.publish(topic_arn=arn, message=str(n))
    await house.calm()
    assert len(sink.got) == 1
    for count in (2, 3, 4):
        await house.after(0.5)
        assert len(sink.got) == count


async def test_a_message_outlives_the_process(tmp_path: Path, sink: Sink) -> None:
    house = EmbeddedEngine(tmp_path / "house.db")
    async with house:
        arn = await topic(house)
        await confirmed(house, sink)
        sink.answers = [(500, b"")]
        await house.sns.publish(topic_arn=arn, message="m")
        await house.calm()
        await house.sns.publish(topic_arn=arn, message="n")  # and not even tried
        certificate = await house.sns.certificate()
    house.clock.advance(60_000)
    async with house:
        await house.calm()
        texts = [json.loads(body)["Message"] for _, _, _, body in sink.got]
        assert texts.count("m") == 2 and "n" in texts and not await pending(house)
        assert await house.sns.certificate() == certificate


async def test_what_is_refused_by_the_guard(tmp_path: Path) -> None:
    async with EmbeddedEngine(tmp_path / "house.db") as house:
        await topic(house)
        await subscribed(house, "http", "http://169.254.169.254/latest")
        await house.calm()
        assert not await pending(house), "it is not tried again"


# --- functions ------------------------------------------------------------------------------------


async def test_a_function_gets_a_record(tmp_path: Path) -> None:
    house, got = EmbeddedEngine(tmp_path / "house.db"), list[Any]()
    house.functions["f"] = got.append
    async with house:
        arn = await topic(house)
        subscription = await subscribed(house, "lambda", FUNCTION)
        attributes = {
            "n": {"DataType": "Number", "StringValue": "1"},
            "b": {"DataType": "Binary", "BinaryValue": b"\x00"},
        }
        id = (await house.sns.publish(topic_arn=arn, message="m", message_attributes=attributes))[
            "MessageId"
        ]
        await until(house, lambda: got)
        pem = await house.sns.certificate()
    (record,) = got[0]["Records"]
    told = record["Sns"]
    assert (record["EventSource"], record["EventVersion"], record["EventSubscriptionArn"]) == (
        "aws:sns",
        "1.0",
        subscription,
    )
    assert list(told) == [
        *(
            "Type",
            "MessageId",
            "TopicArn",
            "Subject",
            "Message",
            "Timestamp",
            "SignatureVersion",
            "Signature",
            "SigningCertUrl",
        ),
        *("UnsubscribeUrl", "MessageAttributes"),
    ]
    assert (told["MessageId"], told["Subject"], told["Message"]) == (id, None, "m")
    assert told["MessageAttributes"] == {
        "n": {"Type": "Number", "Value": "1"},
        "b": {"Type": "Binary", "Value": "AA=="},
    }
    verify({name: value for name, value in told.items() if value is not None}, pem)


async def test_a_function_that_is_not_there_is_given_up(house: EmbeddedEngine) -> None:
    arn = await topic(house)
    await subscribed(house, "lambda", FUNCTION)
    await house.sns.publish(topic_arn=arn, message="m")
    await house.calm()
    assert not await pending(house)


# --- queues ---------------------------------------------------------------------------------------


@pytest.fixture
def sqs(outside: str) -> Any:
    client = boto3.client(
        "sqs",
        endpoint_url=outside,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    yield client
    for url in client.list_queues().get("QueueUrls", []):
        client.delete_queue(QueueUrl=url)


def received(sqs: Any, name: str) -> list[Any]:
    url, found = sqs.get_queue_url(QueueName=name)["QueueUrl"], []
    while more := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
    ).get("Messages"):
        found += more
        for each in more:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return found


async def test_queues_get_envelopes_or_raw_messages(tmp_path: Path, outside: str, sqs: Any) -> None:
    sqs.create_queue(QueueName="plain")
    sqs.create_queue(QueueName="raw")
    sqs.create_queue(QueueName="filtered")
    async with EmbeddedEngine(tmp_path / "house.db", endpoints={"sqs": outside}) as house:
        arn = await topic(house)
        subscription = await subscribed(house, "sqs", f"{QUEUE}:plain")
        await subscribed(house, "sqs", f"{QUEUE}:raw", RawMessageDelivery="true")
        await subscribed(
            house, "sqs", f"{QUEUE}:filtered", FilterPolicy='{"n": [{"numeric": [">", 5]}]}'
        )
        await subscribed(house, "sqs", f"{QUEUE}:missing")
        number = {
            "n": {"DataType": "Number", "StringValue": "5"},
            "b": {"DataType": "Binary", "BinaryValue": b"\x01"},
        }
        await house.sns.publish(
            topic_arn=arn,
            message='{"default":"d","sqs":"q"}',
            message_structure="json",
            message_attributes=number,
        )
        await house.calm()
        assert not await pending(house)
        pem = await house.sns.certificate()
    (plain,), (raw,), filtered = (
        received(sqs, "plain"),
        received(sqs, "raw"),
        received(sqs, "filtered"),
    )
    told = json.loads(plain["Body"])
    assert told["Message"] == "q" and told["UnsubscribeURL"].endswith(
        f"SubscriptionArn={subscription}"
    )
    assert told["MessageAttributes"] == {
        "n": {"Type": "Number", "Value": "5"},
        "b": {"Type": "Binary", "Value": "AQ=="},
    }
    assert "MessageAttributes" not in plain
    verify(told, pem)
    assert raw["Body"] == "q" and raw["MessageAttributes"]["b"]["BinaryValue"] == b"\x01"
    assert (
        raw["MessageAttributes"]["n"] == {"DataType": "Number", "StringValue": "5"}
        and filtered == []
    )


async def test_what_cannot_be_delivered_goes_to_the_dead_letters(
    house: EmbeddedEngine, sink: Sink
) -> None:
    await queue(house, "dead")
    letters, arn = json.dumps({"deadLetterTargetArn": f"{QUEUE}:dead"}), await topic(house)
    await subscribed(house, "sqs", f"{QUEUE}:missing", RedrivePolicy=letters)
    await confirmed(house, sink, RedrivePolicy=letters)
    sink.answers = [(410, b"")]
    id = (await house.sns.publish(topic_arn=arn, message="m"))["MessageId"]
    await house.calm()
    assert not await pending(house)
    found = await arrived(house, "dead")
    told = {each["MessageAttributes"]["ErrorCode"]["StringValue"]: each for each in found}
    assert told.keys() == {"NO_RESOURCE", "410"} and len(found) == 2
    assert {each["MessageAttributes"]["RequestID"]["StringValue"] for each in found} == {id}
    assert (
        told["410"]["MessageAttributes"]["ErrorMessage"]["StringValue"]
        == "The endpoint answered 410"
    )
    assert {json.loads(each["Body"])["Message"] for each in found} == {"m"}


async def test_a_queue_service_that_is_away_for_a_while(tmp_path: Path, sink: Sink) -> None:
    sink.answers = [(500, b"")] * 400
    async with EmbeddedEngine(tmp_path / "house.db", endpoints={"sqs": sink.url}) as house:
        arn = await topic(house)
        await subscribed(house, "sqs", f"{QUEUE}:a")
        await subscribed(house, "sqs", f"{QUEUE}:b")
        await house.sns.publish(topic_arn=arn, message="m")
        await house.calm()
        assert len(await pending(house)) == 2, "each queue is tried again on its own"


async def test_queues_of_the_house_get_a_message_once_and_in_one_transaction(
    tmp_path: Path,
) -> None:
    house = EmbeddedEngine(tmp_path / "house.db")
    async with house:
        arn = await topic(house)
        for n in range(30):
            await queue(house, f"q{n}")
            await subscribed(house, "sqs", f"{QUEUE}:q{n}")
        await house.sns.publish(topic_arn=arn, message="stopped before it was delivered")
    async with house:
        await house.calm()
        await house.sns.publish(topic_arn=arn, message="2")
        await house.calm()
        assert not await pending(house)
        for n in range(30):
            texts = [json.loads(each["Body"])["Message"] for each in await arrived(house, f"q{n}")]
            assert sorted(texts) == ["2", "stopped before it was delivered"]


@pytest.mark.parametrize("seed", range(6))
async def test_crashes_lose_nothing_and_repeat_nothing_in_our_own_queues(
    tmp_path: Path, seed: int
) -> None:
    draw, house, sent, fifo = (
        random.Random(seed),
        EmbeddedEngine(tmp_path / "house.db"),
        list[str](),
        seed % 2 == 1,
    )
    ending = ".fifo" if fifo else ""
    async with house:
        arn = await topic(house, f"t{ending}", **({"FifoTopic": "true"} if fifo else {}))
        for name in "ab":
            await queue(house, name + ending, **({"FifoQueue": "true"} if fifo else {}))
            await subscribed(
                house, "sqs", f"{QUEUE}:{name}{ending}", arn, RawMessageDelivery="true"
            )

    async def publish(text: str) -> None:
        order = {"message_group_id": "g", "message_deduplication_id": text} if fifo else {}
        with suppress(StoreError):
            await house.sns.publish(topic_arn=arn, message=text, **order)
            sent.append(text)

    for life in range(5):
        await house.open()
        publishers = [asyncio.create_task(publish(f"{life}/{n}")) for n in range(8)]
        for _ in range(draw.randrange(40)):
            await asyncio.sleep(0)
        await asyncio.sleep(draw.choice([0, 0.001, 0.003, 0.01]))
        house.engine.worker.fail(RuntimeError("killed"))
        await house.close()
        await asyncio.gather(*publishers)
    async with house:
        await house.calm()
        assert not await pending(house)
        for name in "ab":
            texts = [each["Body"] for each in await arrived(house, name + ending)]
            assert set(sent) <= set(texts) and len(texts) == len(set(texts))
            assert not fifo or texts == sorted(texts)


async def test_a_queue_of_the_house_that_is_missing_does_not_hold_up_the_others(
    house: EmbeddedEngine,
) -> None:
    arn = await topic(house)
    await queue(house, "there")
    await queue(house, "raw")
    await subscribed(house, "sqs", f"{QUEUE}:missing")
    await subscribed(house, "sqs", f"{QUEUE}:there")
    await subscribed(house, "sqs", f"{QUEUE}:raw", RawMessageDelivery="true")
    many = {f"a{n}": {"DataType": "String", "StringValue": "x"} for n in range(11)}
    await house.sns.publish(topic_arn=arn, message="m", message_attributes=many)
    await house.calm()
    (envelope,) = await arrived(house, "there")
    assert len(json.loads(envelope["Body"])["MessageAttributes"]) == 11
    assert await arrived(house, "raw") == [], "a queue takes ten attributes"
    few = {
        "b": {"DataType": "Binary", "BinaryValue": b"\x01"},
        "n": {"DataType": "Number", "StringValue": "1"},
    }
    await house.sns.publish(
        topic_arn=arn, message="m", message_attributes=few, message_group_id="fair"
    )
    await house.calm()
    (raw,) = await arrived(house, "raw")
    assert raw["Body"] == "m" and raw["MessageAttributes"] == few
    assert not await pending(house)


# --- FIFO -----------------------------------------------------------------------------------------


async def test_fifo_topics_keep_the_order_and_drop_repetitions(tmp_path: Path) -> None:
    house = EmbeddedEngine(tmp_path / "house.db")
    async with house:
        await queue(house, "q.fifo", FifoQueue="true")
        arn = await topic(house, "t.fifo", FifoTopic="true")
        await subscribed(house, "sqs", f"{QUEUE}:q.fifo", arn)
        answers = [
            await house.sns.publish(
                topic_arn=arn,
                message=f"{n}",
                message_group_id="g",
                message_deduplication_id=f"d{n}",
            )
            for n in range(12)
        ]
        again = await house.sns.publish(
            topic_arn=arn, message="other", message_group_id="h", message_deduplication_id="d3"
        )
        assert again == answers[3]
        numbers = [each["SequenceNumber"] for each in answers]
        assert numbers == sorted(set(numbers)) and {len(each) for each in numbers} == {20}
        await house.calm()
    async with house:
        again = await house.sns.publish(
            topic_arn=arn, message="other", message_group_id="h", message_deduplication_id="d4"
        )
        assert again == answers[4], "it is remembered"
        house.clock.advance(300_000)
        fresh = await house.sns.publish(
            topic_arn=arn, message="other", message_group_id="h", message_deduplication_id="d5"
        )
        assert fresh["SequenceNumber"] > numbers[-1]
        await house.calm()
        assert [key async for key, _ in house.engine.records.all("sns/seen/")] != []
        found = [json.loads(each["Body"]) for each in await arrived(house, "q.fifo")]
    assert [each["Message"] for each in found][:12] == [str(n) for n in range(12)]
    assert [each["SequenceNumber"] for each in found][:12] == numbers and "Signature" not in found[
        0
    ]


@pytest.mark.parametrize("fifo", [False, True])
async def test_a_fan_out_of_several_transactions(tmp_path: Path, fifo: bool) -> None:
    ending = ".fifo" if fifo else ""
    async with EmbeddedEngine(
        tmp_path / "house.db", dataclasses.replace(DEFAULT_LIMITS, topic_fan_out=2)
    ) as house:
        arn = await topic(
            house,
            f"t{ending}",
            **({"FifoTopic": "true", "ContentBasedDeduplication": "true"} if fifo else {}),
        )
        for n in range(5):
            await queue(house, f"q{n}{ending}", **({"FifoQueue": "true"} if fifo else {}))
            await subscribed(house, "sqs", f"{QUEUE}:q{n}{ending}", arn, RawMessageDelivery="true")
        group = {"message_group_id": "g"} if fifo else {}
        await asyncio.gather(
            *(house.sns.publish(topic_arn=arn, message=str(n), **group) for n in range(6))
        )
        await house.calm()
        for n in range(5):
            texts = [each["Body"] for each in await arrived(house, f"q{n}{ending}")]
            assert (
                texts == [str(n) for n in range(6)]
                if fifo
                else sorted(texts) == [str(n) for n in range(6)]
            )
        assert not await pending(house)


async def test_by_content_and_by_group(house: EmbeddedEngine) -> None:
    arn = await topic(
        house,
        "t.fifo",
        FifoTopic="true",
        ContentBasedDeduplication="true",
        FifoThroughputScope="MessageGroup",
    )
    first = await house.sns.publish(topic_arn=arn, message="m", message_group_id="g")
    assert await house.sns.publish(topic_arn=arn, message="m", message_group_id="g") == first
    assert await house.sns.publish(topic_arn=arn, message="m", message_group_id="h") != first
    entries = [{"Id": str(n), "Message": "same", "MessageGroupId": "g"} for n in range(2)]
    answer = await house.sns.publish_batch(arn, entries)
    assert answer["Successful"][0]["MessageId"] == answer["Successful"][1]["MessageId"]


async def test_ids_are_remembered_within_a_limit(tmp_path: Path) -> None:
    async with EmbeddedEngine(
        tmp_path / "house.db", dataclasses.replace(DEFAULT_LIMITS, topic_deduplication_ids=3)
    ) as house:
        arn = await topic(house, "t.fifo", FifoTopic="true", ContentBasedDeduplication="true")
        for n in range(3):
            await house.sns.publish(topic_arn=arn, message=str(n), message_group_id="g")
        with pytest.raises(ApiError, match="Rate exceeded"):
            await house.sns.publish(topic_arn=arn, message="x", message_group_id="g")
        house.clock.advance(300_000)
        await house.sns.publish(topic_arn=arn, message="x", message_group_id="g")
        assert len([key async for key, _ in house.engine.records.all("sns/seen/")]) == 1


# --- what is stored -------------------------------------------------------------------------------


async def test_messages_of_a_topic_with_a_key_are_not_readable_in_the_database(
    tmp_path: Path, sink: Sink
) -> None:
    house = EmbeddedEngine(tmp_path / "house.db")
    async with house:
        arn = await topic(house, KmsMasterKeyId="alias/aws/sns")
        await confirmed(house, sink)
        sink.answers = [(500, b"")]
        await house.sns.publish(topic_arn=arn, message="the-secret-text")
        await house.calm()
        assert await pending(house)
    stored = b"".join(
        each.read_bytes()
        for each in tmp_path.iterdir()
        if each.name.startswith("house.db") and each.is_file()
    )
    assert b"the-secret-text" not in stored
    assert ((tmp_path / "house.db.sns-key").stat().st_mode & 0o777) == 0o600
    key = tmp_path / "house.db.sns-key"
    key.rename(tmp_path / "elsewhere")
    house.clock.advance(60_000)
    async with house:
        await house.calm()
        assert await pending(house) and len(sink.got) == 1, "without the key it waits"
        (tmp_path / "elsewhere").rename(key)
        key.chmod(0o644)  # as a copy may have it
        await house.after(60)
        assert json.loads(sink.got[-1][3])["Message"] == "the-secret-text" and not await pending(
            house
        )
    assert key.stat().st_mode & 0o777 == 0o600


async def test_without_a_matching_subscription_nothing_is_stored(house: EmbeddedEngine) -> None:
    arn = await topic(house)
    await house.sns.publish(topic_arn=arn, message="m")
    assert [key async for key, _ in house.engine.records.all("sns/")] == ["sns/topic/t"]


async def test_feedback(tmp_path: Path, sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "stepwell.sns.delivery")
    async with EmbeddedEngine(tmp_path / "house.db") as house:
        role = "arn:aws:iam::123456789012:role/log"
        arn = await topic(house, HTTPSuccessFeedbackRoleArn=role, HTTPFailureFeedbackRoleArn=role)
        await confirmed(house, sink)
        sink.answers = [(200, b"fine"), (403, b"")]
        for text in ("a", "b"):
            await house.sns.publish(topic_arn=arn, message=text)
            await house.calm()
    told = [
        json.loads(each.getMessage())
        for each in caplog.records
        if each.name == "stepwell.sns.delivery"
    ]
    good, bad = told[-2:]
    assert (
        good["status"],
        good["delivery"]["statusCode"],
        good["delivery"]["providerResponse"],
    ) == ("SUCCESS", 200, "fine")
    assert good["notification"]["topicArn"] == arn and good["delivery"]["destination"].startswith(
        sink.url
    )
    assert (bad["status"], bad["delivery"]["statusCode"]) == ("FAILURE", 403)


# --- mail, phones, devices ------------------------------------------------------------------------


async def test_mail_without_a_server_and_phones_are_in_the_outbox(tmp_path: Path) -> None:
    async with EmbeddedEngine(
        tmp_path / "house.db", dataclasses.replace(DEFAULT_LIMITS, outbox=3)
    ) as house:
        arn = await topic(house)
        await subscribed(house, "email", "me@example.com")
        await subscribed(house, "sms", "+491701234567")
        await house.calm()
        (letter,) = house.sns.sender.outbox.kept()
        link = next(line for line in letter["message"].splitlines() if "Action=Confirm" in line)
        asked = dict(parse_qsl(urlsplit(link).query))
        await house.sns.confirm_subscription(asked["TopicArn"], asked["Token"])
        await house.sns.publish(topic_arn=arn, message="m", subject="s")
        await house.sns.publish(phone_number="+15551234567", message="hello")
        await house.calm()
        kept = house.sns.sender.outbox.kept()
        assert len(kept) == 3, "the oldest was dropped"
        texts = {each["endpoint"]: each["message"] for each in kept}
        assert (
            texts["+491701234567"] == "m"
            and texts["+15551234567"] == "hello"
            and texts["me@example.com"].startswith("m\n")
        )
        carried = []

        async def carry(parcel: Any) -> None:
            carried.append(parcel["message"])

        house.sns.sender.outbox.providers["sms"] = carry
        await house.sns.publish(phone_number="+15551234567", message="again")
        await house.calm()
        assert carried == ["again"] and len(house.sns.sender.outbox.kept()) == 3


async def test_devices(house: EmbeddedEngine) -> None:
    application = (
        await house.sns.create_platform_application("a", "GCM", {"PlatformCredential": "secret"})
    )["PlatformApplicationArn"]
    assert (await house.sns.get_platform_application_attributes(application))["Attributes"] == {
        "Enabled": "true"
    }
    device = (await house.sns.create_platform_endpoint(application, "token"))["EndpointArn"]
    assert (await house.sns.create_platform_endpoint(application, "token"))["EndpointArn"] == device
    with pytest.raises(ApiError, match="already exists with the same Token"):
        await house.sns.create_platform_endpoint(application, "token", "other")
    await house.sns.publish(
        target_arn=device, message='{"default": "d", "GCM": "g"}', message_structure="json"
    )
    await house.calm()
    assert [each["message"] for each in house.sns.sender.outbox.kept()] == ["g"]
    await house.sns.set_endpoint_attributes(device, {"Enabled": "false"})
    with pytest.raises(ApiError, match="Endpoint is disabled"):
        await house.sns.publish(target_arn=device, message="m")


# --- from workflows and other services ------------------------------------------------------------


async def test_a_task_publishes(house: EmbeddedEngine, sink: Sink) -> None:
    arn = await topic(house)
    await confirmed(house, sink)
    attributes = {"n": {"DataType": "String", "StringValue": "v"}}
    ended = await house.task(
        "sns:publish", {"TopicArn": arn, "Message": {"a": 1}, "MessageAttributes": attributes}
    )
    result = json.loads(ended["output"])
    assert list(result) == ["MessageId", "SdkHttpMetadata", "SdkResponseMetadata"]
    metadata = result["SdkHttpMetadata"]
    assert list(metadata["AllHttpHeaders"]) == [
        "x-amzn-RequestId",
        "connection",
        "Content-Length",
        "Date",
        "Content-Type",
    ]
    assert list(metadata["HttpHeaders"]) == [
        "connection",
        "Content-Length",
        "Content-Type",
        "Date",
        "x-amzn-RequestId",
    ]
    await house.calm()
    told = json.loads(sink.got[0][3])
    assert (told["Message"], told["MessageId"]) == ('{"a":1}', result["MessageId"])
    assert told["MessageAttributes"] == {"n": {"Type": "String", "Value": "v"}}


async def test_a_task_that_is_refused(house: EmbeddedEngine) -> None:
    fifo = await topic(house, "t.fifo", FifoTopic="true")
    ended = await house.task("sns:publish", {"TopicArn": f"{ARN}:none", "Message": "m"})
    assert ended["error"] == "SNS.NotFoundException"
    assert ended["cause"].startswith(
        "Topic does not exist (Service: AmazonSNS; Status Code: 404; Error Code: NotFound; "
        "Request ID: "
    )
    ended = await house.task("sns:publish", {"TopicArn": fifo, "Message": "m"})
    assert ended["error"] == "SNS.InvalidParameterException"
    text = (
        "Invalid parameter: The MessageGroupId parameter is required for FIFO topics (Service: "
        "AmazonSNS; Status Code: 400;"
    )
    assert ended["cause"].startswith(text) and ended["cause"].endswith("; Proxy: null)")
    ended = await house.task("sns:publish", {"TopicArn": fifo, "Message": "m", "Nonsense": 1})
    assert ended["error"] == "States.Runtime"
    ended = await house.task("aws-sdk:sns:publish", {"TopicArn": f"{ARN}:none", "Message": "m"})
    assert ended["error"] == "Sns.NotFoundException"
    ended = await house.task("aws-sdk:sns:createTopic", {"Name": "made"})
    assert json.loads(ended["output"]) == {"TopicArn": f"{ARN}:made"}


async def test_a_task_waits_for_who_gets_its_token(house: EmbeddedEngine, sink: Sink) -> None:
    arn = await topic(house)
    await confirmed(house, sink)
    parameters = {"TopicArn": arn, "Message": {"token.$": "$$.Task.Token"}}

    async def answer() -> None:
        await until(house, lambda: sink.got)
        token = json.loads(json.loads(sink.got[0][3])["Message"])["token"]
        await house.engine.send_task_success(token, '"done"')

    ended, _ = await asyncio.gather(
        house.task("sns:publish.waitForTaskToken", parameters), answer()
    )
    assert ended["output"] == '"done"'


@pytest.mark.parametrize("seed", range(3))
async def test_a_rule_publishes_once_whenever_it_crashes(tmp_path: Path, seed: int) -> None:
    draw, house, sent = random.Random(seed), EmbeddedEngine(tmp_path / "house.db"), list[str]()
    async with house:
        arn = await topic(house)
        await queue(house, "q")
        await subscribed(house, "sqs", f"{QUEUE}:q", RawMessageDelivery="true")
        await house.events.put_rule("r", event_pattern='{"source": ["shop"]}')
        await house.events.put_targets("r", [{"Id": "1", "Arn": arn, "InputPath": "$.detail.n"}])
    for life in range(4):
        await house.open()
        for n in range(3):
            await house.events.put_events(
                [{"Source": "shop", "DetailType": "D", "Detail": json.dumps({"n": f"{life}{n}"})}]
            )
            sent.append(f'"{life}{n}"')
        await asyncio.sleep(draw.choice([0, 0.001, 0.002, 0.004, 0.008]))
        house.engine.worker.fail(RuntimeError("killed"))
        await house.close()
    async with house:
        await house.calm()
        assert sorted(each["Body"] for each in await arrived(house, "q")) == sent


async def test_rules_and_schedules_reach_topics(house: EmbeddedEngine, sink: Sink) -> None:
    arn = await topic(house)
    await confirmed(house, sink)
    await house.events.put_rule("r", event_pattern='{"source": ["shop"]}')
    await house.events.put_targets("r", [{"Id": "1", "Arn": arn, "InputPath": "$.detail"}])
    await house.events.put_events([{"Source": "shop", "DetailType": "D", "Detail": '{"n":1}'}])
    await house.calm()
    assert json.loads(sink.got[0][3])["Message"] == '{"n":1}'
    target = {"Arn": arn, "RoleArn": ROLE, "Input": "at its time"}
    at = {"schedule_expression": "at(2023-11-14T22:15:00)", "flexible_time_window": {"Mode": "OFF"}}
    await house.scheduler.create_schedule("s", target=target, **at)
    await house.after(100)
    assert json.loads(sink.got[1][3])["Message"] == "at its time"
