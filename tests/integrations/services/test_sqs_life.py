"""The life of queues: made, changed, emptied, deleted; many at once; closed and killed."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.integrations.services.queues import ARN, QueueFixture, limited, redriven, refused

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.queues import Outgoing

# --- made, changed, emptied, deleted --------------------------------------------------------------


async def test_a_queue_that_is_emptied(place: QueueFixture) -> None:
    q = await place.queue("q")
    await q.send(*map(str, range(5)), delay_seconds=5)
    await q.send("x" * 9_000)
    (got,) = await q.receive()
    await q.sqs.purge_queue(q.url)
    assert await q.counts() == (0, 0, 0)
    await q.delete(got)
    await place.calm()
    assert await place.records() == []
    await q.send("new")
    await place.again()
    assert await place.find("q").bodies() == ["new"]


async def test_what_is_left_of_a_deleted_queue_goes_after_a_crash_too(place: QueueFixture) -> None:
    q = await place.queue("q")
    await q.send(*map(str, range(5)))
    await q.sqs.delete_queue(q.url)
    for job in list(place.sqs.store.tasks):
        job.cancel()
    await place.again(crash=True)
    await place.calm()
    assert await place.records() == []
    assert (await refused(place.sqs.send_message(q.url, "a"))) == (
        "QueueDoesNotExist",
        "The specified queue does not exist.",
    )
    assert await (await place.queue("q")).receive() == []


async def test_attributes_that_are_words_in_any_case(place: QueueFixture) -> None:
    """As a template's or Terraform's boolean is written: "True"."""
    await place.sqs.create_queue(
        "words.fifo", {"FifoQueue": "True", "ContentBasedDeduplication": "TRUE"}
    )
    kept = (await place.sqs.get_queue_attributes(place.sqs.store.url("words.fifo"), ["All"]))[
        "Attributes"
    ]
    assert (kept["FifoQueue"], kept["ContentBasedDeduplication"]) == ("true", "true")
    await place.sqs.create_queue("words.fifo", {"FifoQueue": "true"})


async def test_a_queues_name_instead_of_its_url(place: QueueFixture) -> None:
    q = await place.queue("named")
    await place.sqs.send_message("named", "a")
    assert await q.bodies() == ["a"]


async def test_creating_a_queue_twice(place: QueueFixture) -> None:
    url = await place.sqs.create_queue("q", {"VisibilityTimeout": "5"})
    assert (
        await place.sqs.create_queue("q", {"VisibilityTimeout": "5"})
        == url
        == await place.sqs.create_queue("q")
    )
    code, text = await refused(place.sqs.create_queue("q", {"VisibilityTimeout": "6"}))
    assert (code, text) == (
        "QueueNameExists",
        (
            "A queue already exists with the same name and a different value for attribute "
            "VisibilityTimeout"
        ),
    )


@pytest.mark.parametrize(
    ("name", "attributes", "code", "text"),
    [
        (
            "a b",
            {},
            "InvalidParameterValue",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ),
        ("q.fifo", {}, "InvalidParameterValue", "Can only include"),
        (
            "q",
            {"FifoQueue": "true"},
            "InvalidParameterValue",
            "The name of a FIFO queue can only include",
        ),
        (
            "q",
            {"FifoQueue": "True"},
            "InvalidParameterValue",
            "The name of a FIFO queue can only include",
        ),
        ("q", {"FifoQueue": "false"}, "InvalidAttributeName", "Unknown Attribute FifoQueue."),
        (
            "q",
            {"ContentBasedDeduplication": "true"},
            "InvalidAttributeName",
            "Unknown Attribute ContentBasedDeduplication.",
        ),
        ("q", {"Colour": "red"}, "InvalidAttributeName", "Unknown Attribute Colour."),
        ("q", {"QueueArn": "a"}, "InvalidAttributeName", "Unknown Attribute QueueArn."),
        (
            "q",
            {"VisibilityTimeout": "43201"},
            "InvalidAttributeValue",
            "Invalid value for the parameter VisibilityTimeout.",
        ),
        (
            "q",
            {"DelaySeconds": "-1"},
            "InvalidAttributeValue",
            "Invalid value for the parameter DelaySeconds.",
        ),
        (
            "q",
            {"MaximumMessageSize": "1023"},
            "InvalidAttributeValue",
            "Invalid value for the parameter MaximumMessageSize.",
        ),
        ("q", {"Policy": "{"}, "InvalidAttributeValue", "Invalid value for the parameter Policy."),
        (
            "q",
            {"RedrivePolicy": "[]"},
            "InvalidParameterValue",
            "Redrive policy is not a valid JSON map.",
        ),
        (
            "q",
            {"RedrivePolicy": "{}"},
            "InvalidParameterValue",
            "does not contain mandatory attribute: maxReceiveCount.",
        ),
        (
            "q",
            {"RedrivePolicy": '{"maxReceiveCount":1}'},
            "InvalidParameterValue",
            "mandatory attribute: deadLetterTargetArn.",
        ),
        (
            "q",
            {"RedrivePolicy": f'{{"maxReceiveCount":0,"deadLetterTargetArn":"{ARN}no"}}'},
            "InvalidParameterValue",
            "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive.",
        ),
        (
            "q",
            {"RedrivePolicy": f'{{"maxReceiveCount":1,"deadLetterTargetArn":"{ARN}no"}}'},
            "InvalidParameterValue",
            "Reason: Dead letter target does not exist.",
        ),
        (
            "q",
            {"RedriveAllowPolicy": '{"redrivePermission":"byQueue"}'},
            "InvalidAttributeValue",
            "the parameter RedriveAllowPolicy.",
        ),
    ],
)
async def test_queues_that_are_refused(
    place: QueueFixture, name: str, attributes: dict[str, str], code: str, text: str
) -> None:
    told = await refused(place.sqs.create_queue(name, attributes))
    assert told[0] == code and text in told[1]
    assert await place.sqs.list_queues() == {}


async def test_who_may_send_dead_letters_where(place: QueueFixture) -> None:
    await place.queue(
        "dead",
        RedriveAllowPolicy=json.dumps(
            {"redrivePermission": "byQueue", "sourceQueueArns": [ARN + "good"]}
        ),
    )
    fifo = await place.queue("dead.fifo")
    policy = {"deadLetterTargetArn": ARN + "dead", "maxReceiveCount": "3"}
    good = await place.queue("good", RedrivePolicy=json.dumps(policy))
    told = (await good.sqs.get_queue_attributes(good.url, ["RedrivePolicy"]))["Attributes"][
        "RedrivePolicy"
    ]
    assert json.loads(told) == {"deadLetterTargetArn": ARN + "dead", "maxReceiveCount": 3}
    for name, arn in (("bad", ARN + "dead"), ("bad", fifo.arn)):
        told = await refused(
            place.sqs.create_queue(
                name, {"RedrivePolicy": json.dumps(policy | {"deadLetterTargetArn": arn})}
            )
        )
        assert told[0] == "InvalidParameterValue"
    await good.sqs.set_queue_attributes(good.url, {"RedrivePolicy": ""})
    assert await good.sqs.get_queue_attributes(good.url, ["RedrivePolicy"]) == {}


async def test_pauses_between_one_queue_and_the_next_of_its_name(tmp_path: Path) -> None:
    place = await limited(tmp_path, queue_name_seconds=60, purge_seconds=60).open()
    q = await place.queue("q")
    await q.sqs.purge_queue(q.url)
    code, text = await refused(q.sqs.purge_queue(q.url))
    assert (code, text) == (
        "PurgeQueueInProgress",
        "Only one PurgeQueue operation on q is allowed every 60 seconds.",
    )
    await q.sqs.delete_queue(q.url)
    assert (await refused(q.sqs.create_queue("q")))[0] == "QueueDeletedRecently"
    place.pass_(60)
    await q.sqs.create_queue("q")
    await place.house.close()


# --- many -----------------------------------------------------------------------------------------


async def test_one_message_for_many_queues_in_one_transaction(place: QueueFixture) -> None:
    names = [f"q{n}" for n in range(50)]
    for name in names:
        await place.queue(name)
    body, attributes = "to all", {"a": {"DataType": "String", "StringValue": "x"}}
    sent = [Outgoing(ARN + name, body, attributes) for name in [*names, "missing"]]
    prepared = place.sqs.prepare(sent)
    answers = prepared.answer
    assert isinstance(answers[-1], ApiError) and answers[-1].code == "QueueDoesNotExist"
    assert await place.find("q0").receive() == []  # not yet
    await place.house.engine.records.commit(prepared)
    for name, answer in zip(names, answers):
        (got,) = await place.find(name).receive()
        assert (got["MessageId"], got["MessageAttributes"]) == (answer["MessageId"], attributes)
    assert len({answer["MessageId"] for answer in answers[:-1]}) == 50


async def test_what_is_prepared_and_never_stored_has_no_effect(place: QueueFixture) -> None:
    q = await place.queue("q.fifo")
    message = Outgoing(q.arn, "a", group="g", deduplication="same")
    place.sqs.prepare([message])
    await q.sqs.send(message)
    assert await q.bodies() == ["a"]


async def test_a_sender_here_that_repeats_itself_sends_once(place: QueueFixture) -> None:
    q = await place.queue("q")
    for _ in range(2):
        await q.sqs.send(Outgoing(q.arn, "a", once="delivery-1"))
    place.pass_(3_600)  # the process is down; the sender repeats what was not confirmed
    await place.again(crash=True)
    q = place.find("q")
    await q.sqs.send(Outgoing(q.arn, "a", once="delivery-1"))
    assert await q.bodies() == ["a"]


async def test_contents_are_read_from_the_disk_when_memory_is_full(tmp_path: Path) -> None:
    place = await limited(tmp_path, queue_cache_bytes=2_000, message_inline_bytes=500).open()
    q = await place.queue("q")
    bodies = [f"{n}" * (800 if n % 2 else 100) for n in range(9)]
    await q.send(*bodies)
    assert place.sqs.store.cached_bytes <= 2_000
    await place.again()
    q = place.find("q")
    got = await q.receive()
    assert [each["Body"] for each in got] == bodies
    await q.delete(*got)
    assert (await place.records(), place.sqs.store.cached_bytes, place.sqs.store.message_count) == (
        [],
        0,
        0,
    )
    await place.house.close()


async def test_limits(tmp_path: Path) -> None:
    place = await limited(tmp_path, queues=1, queue_messages=2, queue_in_flight=1, pollers=1).open()
    q = await place.queue("q")
    assert (await refused(place.sqs.create_queue("r")))[0] == "OverLimit"
    await q.send("a", "b")
    assert (await refused(place.sqs.send_message(q.url, "c")))[0] == "RequestThrottled"
    assert await q.bodies(1) == ["a"]
    assert (await refused(place.sqs.receive_message(q.url)))[0] == "OverLimit"
    await q.sqs.purge_queue(q.url)
    waiting = asyncio.create_task(q.receive(wait_time_seconds=20))
    await asyncio.sleep(0)
    assert (await refused(place.sqs.receive_message(q.url, wait_time_seconds=20)))[
        0
    ] == "RequestThrottled"
    await q.send("c")
    assert len(await waiting) == 1
    await place.house.close()


# --- crashes --------------------------------------------------------------------------------------


async def test_a_crash_loses_nothing_that_was_accepted_and_brings_back_nothing_that_was_deleted(
    place: QueueFixture,
) -> None:
    q = await place.queue("q", VisibilityTimeout=100)
    await q.send("kept", "deleted", "held")
    await q.send("delayed", delay_seconds=50)
    got = {each["Body"]: each for each in await q.receive()}
    await q.delete(got["deleted"])
    await q.sqs.change_message_visibility(q.url, got["kept"]["ReceiptHandle"], 0)
    lost = asyncio.create_task(q.send("never acknowledged"))
    await asyncio.sleep(0)
    await place.again(crash=True)
    assert isinstance((await asyncio.gather(lost, return_exceptions=True))[0], Exception)
    q = place.find("q")
    assert await q.counts() == (1, 1, 1)  # its visibility timeout has not ended
    (kept,) = await q.receive()
    assert (kept["Body"], kept["Attributes"]["ApproximateReceiveCount"]) == ("kept", "2")
    await q.delete(got["held"])  # and its receipt handle is valid
    place.pass_(50)
    assert await q.bodies() == ["delayed"]
    place.pass_(50)
    assert await q.bodies() == ["kept"]
    await q.delete(kept)


async def test_numbers_are_never_given_out_twice(place: QueueFixture) -> None:
    """The receipt of a message that was deleted before the crash fits none that comes after it."""
    q = await place.queue("q")
    await q.send("old")
    (old,) = await q.receive()
    await q.delete(old)
    await place.again(crash=True)
    q = place.find("q")
    await q.send("new")
    await q.delete(old)
    assert await q.bodies() == ["new"]


async def test_dead_letters_and_states_survive_together(place: QueueFixture) -> None:
    q, _ = await redriven(place, times=1)
    await q.send("a")
    await q.receive()
    await place.again(crash=True)
    place.pass_(10)
    assert await place.find("q").receive() == []
    await place.again(crash=True)
    assert await place.find("dead").bodies() == ["a"] and await place.find("q").counts() == (
        0,
        0,
        0,
    )
