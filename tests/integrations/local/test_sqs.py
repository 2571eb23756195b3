"""Queues of ours, at a time that the test moves: what is seen when, what comes again, what is told apart, what survives."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.local.house import House
from tests.integrations.local.queues import ARN, Place, Queue, limited, refused

from stepwell.engine.errors import ApiError
from stepwell.integrations.local.sqs import Outgoing


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    found = await Place(House(tmp_path / "q.db")).open()
    yield found
    await found.house.close()


# --- standard queues ----------------------------------------------------------------------------------------------------------


async def test_a_message_is_hidden_comes_again_and_is_deleted(place: Place) -> None:
    q = await place.queue("q")
    (sent,) = await q.send("hello")
    (first,) = await q.receive()
    assert first["MessageId"] == sent["MessageId"] and first["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert await q.receive() == [] and await q.counts() == (0, 1, 0)
    place.pass_(29.999)
    assert await q.receive() == []
    place.pass_(0.001)
    (second,) = await q.receive()
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["Attributes"]["ApproximateFirstReceiveTimestamp"] == first["Attributes"]["ApproximateFirstReceiveTimestamp"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    await q.delete(second)
    await q.delete(second, first)  # again: nothing happens
    place.pass_(3600)
    assert await q.receive() == [] and await place.records() == []


async def test_visibility_can_be_changed(place: Place) -> None:
    q = await place.queue("q", VisibilityTimeout=60)
    await q.send("a")
    (got,) = await q.receive()
    await q.sqs.change_message_visibility(q.url, got["ReceiptHandle"], 0)
    (got,) = await q.receive(visibility_timeout=5)
    await q.sqs.change_message_visibility(q.url, got["ReceiptHandle"], 100)
    place.pass_(99)
    assert await q.receive() == []
    place.pass_(1)
    assert (await refused(q.sqs.change_message_visibility(q.url, got["ReceiptHandle"], 1)))[0] == "MessageNotInflight"
    (got,) = await q.receive()
    await q.delete(got)
    code, text = await refused(q.sqs.change_message_visibility(q.url, got["ReceiptHandle"], 1))
    assert code == "InvalidParameterValue" and "Reason: Message does not exist or is not available for visibility timeout change." in text


async def test_delays_of_queues_and_of_messages(place: Place) -> None:
    q = await place.queue("q", DelaySeconds=10)
    await q.send("of the queue")
    await q.send("now", delay_seconds=0)
    await q.send("later", delay_seconds=20)
    assert await q.counts() == (1, 0, 2) and await q.bodies() == ["now"]
    place.pass_(10)
    assert await q.bodies() == ["of the queue"]
    place.pass_(10)
    assert await q.bodies() == ["later"]


async def test_retention(place: Place) -> None:
    q = await place.queue("q", MessageRetentionPeriod=60)
    await q.send("old")
    place.pass_(30)
    await q.send("young")
    place.pass_(30)  # the sweep, which nobody asked for
    await place.calm()
    assert len(await place.records("sqs/message/")) == 1
    assert await q.bodies() == ["young"]


async def test_many_expire_at_once(tmp_path: Path) -> None:
    place = await limited(tmp_path, queue_sweep_page=3).open()
    q = await place.queue("q", MessageRetentionPeriod=60)
    await q.send(*map(str, range(20)))
    place.pass_(60)
    await place.calm()
    assert await place.records() == [] and await q.counts() == (0, 0, 0)
    await place.house.close()


async def test_long_polling(place: Place) -> None:
    q = await place.queue("q", ReceiveMessageWaitTimeSeconds=20)
    waiting = [asyncio.create_task(q.bodies(1)) for _ in range(3)]
    await asyncio.sleep(0)
    await q.send("a", "b")
    await q.send("c", delay_seconds=5)
    assert await waiting[0] == ["a"] and await waiting[1] == ["b"]  # who came first is served first
    place.pass_(4)
    await asyncio.sleep(0.01)
    assert not waiting[2].done()
    place.pass_(1)
    assert await waiting[2] == ["c"]
    late = asyncio.create_task(q.bodies(1))
    await asyncio.sleep(0)
    place.pass_(20)
    assert await late == []
    assert await q.bodies(wait_time_seconds=0) == []


async def test_who_waits_is_told_when_the_queue_is_deleted(place: Place) -> None:
    q = await place.queue("q")
    waiting = asyncio.create_task(q.receive(wait_time_seconds=20))
    await asyncio.sleep(0)
    await q.sqs.delete_queue(q.url)
    with pytest.raises(ApiError, match="The specified queue does not exist"):
        await waiting


async def test_a_receiver_that_goes_away_loses_nothing(place: Place) -> None:
    """At whatever point of its way it is called off, the message is there for the next one, as if nobody had got it."""
    q = await place.queue("q")
    for turns in range(12):
        waiting = asyncio.create_task(q.receive(wait_time_seconds=20))
        await asyncio.sleep(0)
        sending = asyncio.create_task(q.send("a"))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        got = (await asyncio.gather(waiting, return_exceptions=True))[0]
        await sending
        await place.calm()
        if isinstance(got, BaseException):
            (got,) = await asyncio.wait_for(q.receive(wait_time_seconds=1), 5)
        else:
            (got,) = got
        assert got["Attributes"]["ApproximateReceiveCount"] == "1"
        await q.delete(got)
    assert await place.records() == []


async def test_a_wake_is_passed_on(place: Place) -> None:
    """The one who is woken is called off before he looks: the next one gets the message."""
    q = await place.queue("q")
    first, second = (asyncio.create_task(q.bodies(1, wait_time_seconds=20)) for _ in range(2))
    await asyncio.sleep(0)
    _, writes, then = q.sqs.prepare([Outgoing(q.arn, "a")])
    await place.house.engine.records.write(writes)
    then()
    first.cancel()
    assert await asyncio.wait_for(second, 5) == ["a"]


# --- dead letters ---------------------------------------------------------------------------------------------------------------


async def redriven(place: Place, end: str = "", times: int = 2) -> tuple[Queue, Queue]:
    dead = await place.queue(f"dead{end}")
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": times})
    return await place.queue(f"q{end}", RedrivePolicy=policy, VisibilityTimeout=10), dead


async def test_what_was_received_too_often_moves_away(place: Place) -> None:
    q, dead = await redriven(place)
    attributes = {"n": {"DataType": "Number", "StringValue": "1"}}
    (sent,) = await q.send("bad", message_attributes=attributes)
    for _ in range(2):
        assert await q.bodies() == ["bad"]
        place.pass_(10)
    await q.send("good")
    assert await q.bodies() == ["good"]
    (letter,) = await dead.receive()
    assert (letter["MessageId"], letter["Body"], letter["MessageAttributes"]) == (sent["MessageId"], "bad", attributes)
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == q.arn
    assert letter["Attributes"]["SentTimestamp"] == "1700000000000"
    assert await q.counts() == (0, 1, 0)
    assert await q.sqs.list_dead_letter_source_queues(dead.url) == {"queueUrls": [q.sqs.url("q")]}


async def test_a_receive_that_finds_dead_letters_only_goes_on(place: Place) -> None:
    q, dead = await redriven(place, times=1)
    await q.send(*map(str, range(25)))
    for _ in range(3):
        await q.receive()
    place.pass_(10)
    await q.send("last")
    assert await q.bodies(1) == ["last"]
    assert await dead.counts() == (25, 0, 0)


async def test_dead_letters_of_a_fifo_queue_let_the_next_one_pass(place: Place) -> None:
    q, dead = await redriven(place, ".fifo", times=1)
    for n in range(3):
        await q.send(str(n), message_group_id="g", message_deduplication_id=str(n))
    assert await q.bodies(1) == ["0"]
    place.pass_(10)
    assert await q.bodies() == ["1", "2"]
    assert await dead.bodies() == ["0"]


async def test_moving_dead_letters_back(place: Place) -> None:
    q, dead = await redriven(place, times=1)
    sent = await q.send("a", "b")
    await q.receive()
    place.pass_(10)
    assert await q.receive() == []
    (refusal, _) = await refused(q.sqs.start_message_move_task(q.arn))
    assert refusal == "InvalidParameterValue"
    handle = (await q.sqs.start_message_move_task(dead.arn))["TaskHandle"]
    await place.calm()
    (task,) = (await q.sqs.list_message_move_tasks(dead.arn))["Results"]
    assert task == {
        "Status": "COMPLETED",
        "SourceArn": dead.arn,
        "ApproximateNumberOfMessagesMoved": 2,
        "ApproximateNumberOfMessagesToMove": 2,
        "StartedTimestamp": 1_700_000_010_000,
    }
    got = await q.receive()
    assert sorted(each["Body"] for each in got) == ["a", "b"] and await dead.counts() == (0, 0, 0)
    assert {each["MessageId"] for each in got}.isdisjoint(each["MessageId"] for each in sent)  # they are new messages
    assert (await refused(q.sqs.cancel_message_move_task(handle)))[0] == "UnsupportedOperation"
    assert (await refused(q.sqs.cancel_message_move_task("x")))[0] == "ResourceNotFoundException"


async def test_a_slow_move_outlives_the_process_and_can_be_cancelled(place: Place) -> None:
    q, dead = await redriven(place, times=1)
    await q.send(*"abcde")
    await q.receive()
    place.pass_(10)
    assert await q.receive() == []
    other = await place.queue("other")
    given = {"destination_arn": other.arn, "max_number_of_messages_per_second": 1}
    handle = (await q.sqs.start_message_move_task(dead.arn, **given))["TaskHandle"]
    assert (await refused(q.sqs.start_message_move_task(dead.arn)))[0] == "UnsupportedOperation"
    await place.find("other").receive(1, wait_time_seconds=20, visibility_timeout=0)
    place.pass_(0)
    await place.again()
    assert len(await place.find("other").receive(1, wait_time_seconds=20)) == 1
    assert len(await place.find("other").receive(1, wait_time_seconds=20)) == 1
    (task,) = (await place.sqs.list_message_move_tasks(dead.arn))["Results"]
    assert (task["Status"], task["TaskHandle"]) == ("RUNNING", handle)
    assert (await place.sqs.cancel_message_move_task(handle))["ApproximateNumberOfMessagesMoved"] == 2
    place.pass_(10)
    await place.calm()
    assert await place.find("other").counts() == (0, 2, 0) and await place.find("dead").counts() == (3, 0, 0)


# --- FIFO queues ----------------------------------------------------------------------------------------------------------------


async def test_a_group_is_in_order_and_locked_while_one_of_it_is_in_flight(place: Place) -> None:
    q = await place.queue("q.fifo", ContentBasedDeduplication="true")
    for body in ("a1", "a2", "b1", "a3"):
        await q.send(body, message_group_id=body[0])
    first = await q.receive(2)
    assert [each["Body"] for each in first] == ["a1", "a2"]
    assert await q.bodies() == ["b1"]
    await q.delete(first[0])
    assert await q.bodies() == []  # a2 is in flight
    await q.sqs.change_message_visibility(q.url, first[1]["ReceiptHandle"], 0)
    assert await q.bodies() == ["a2", "a3"]
    code, text = await refused(q.sqs.delete_message(q.url, first[1]["ReceiptHandle"]))
    assert code == "InvalidParameterValue" and text.endswith("Reason: The receipt handle has expired.")


async def test_numbers_groups_and_ids_of_fifo_messages(place: Place) -> None:
    q = await place.queue("q.fifo")
    one, two = [(await q.send(body, message_group_id="g", message_deduplication_id=body))[0] for body in "ab"]
    assert len(one["SequenceNumber"]) == 20 and one["SequenceNumber"] < two["SequenceNumber"]
    got = (await q.receive(1))[0]["Attributes"]
    assert (got["SequenceNumber"], got["MessageGroupId"], got["MessageDeduplicationId"]) == (one["SequenceNumber"], "g", "a")


async def test_deduplication_lasts_five_minutes_also_after_the_message_and_the_process(place: Place) -> None:
    q = await place.queue("q.fifo")
    given: dict[str, Any] = {"message_group_id": "g", "message_deduplication_id": "same"}
    ((first,), (same,)) = await q.send("a", **given), await q.send("other body", **given)
    assert (same["MessageId"], same["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    await q.delete(*(await q.receive()))
    await place.again(crash=True)
    q = place.find("q.fifo")
    place.pass_(299)
    await q.send("a", **given)
    assert await q.receive() == []
    place.pass_(1)
    await q.send("again", **given)
    assert await q.bodies() == ["again"]
    await place.calm()
    assert len(await place.records("sqs/once/")) == 1


async def test_scopes_of_deduplication(place: Place) -> None:
    q = await place.queue("q.fifo", ContentBasedDeduplication="true", DeduplicationScope="messageGroup")
    for group in "aab":
        await q.send("same", message_group_id=group)
    assert await q.bodies() == ["same", "same"]


async def test_the_same_message_twice_at_the_same_time_is_one(place: Place) -> None:
    q = await place.queue("q.fifo")
    given: dict[str, Any] = {"message_group_id": "g", "message_deduplication_id": "same"}
    answers = await asyncio.gather(*(q.send("a", **given) for _ in range(5)))
    await place.calm()
    assert len({answer["MessageId"] for (answer,) in answers}) == 1
    assert await q.bodies() == ["a"] and len(await place.records("sqs/message/")) == 1
    await place.again()
    place.pass_(60)
    assert await place.find("q.fifo").bodies() == ["a"]


async def test_a_repeated_attempt_gets_the_same_messages(place: Place) -> None:
    q = await place.queue("q.fifo", ContentBasedDeduplication="true")
    for body in "ab":
        await q.send(body, message_group_id="g")
    first = await q.receive(receive_request_attempt_id="x")
    assert await q.receive(receive_request_attempt_id="y") == []
    place.pass_(20)
    assert await q.receive(receive_request_attempt_id="x") == first
    place.pass_(20)  # hidden for 30 s from the repetition on
    assert await q.receive() == []
    await q.delete(first[0])
    assert await q.receive(receive_request_attempt_id="x") == []


# --- emptied, deleted, changed --------------------------------------------------------------------------------------------------


async def test_a_queue_that_is_emptied(place: Place) -> None:
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


async def test_what_is_left_of_a_deleted_queue_goes_after_a_crash_too(place: Place) -> None:
    q = await place.queue("q")
    await q.send(*map(str, range(5)))
    await q.sqs.delete_queue(q.url)
    for job in list(place.sqs._jobs):
        job.cancel()
    await place.again(crash=True)
    await place.calm()
    assert await place.records() == []
    assert (await refused(place.sqs.send_message(q.url, "a"))) == ("QueueDoesNotExist", "The specified queue does not exist.")
    assert await (await place.queue("q")).receive() == []


async def test_creating_a_queue_twice(place: Place) -> None:
    url = await place.sqs.create_queue("q", {"VisibilityTimeout": "5"})
    assert await place.sqs.create_queue("q", {"VisibilityTimeout": "5"}) == url == await place.sqs.create_queue("q")
    code, text = await refused(place.sqs.create_queue("q", {"VisibilityTimeout": "6"}))
    assert (code, text) == (
        "QueueNameExists",
        "A queue already exists with the same name and a different value for attribute VisibilityTimeout",
    )


@pytest.mark.parametrize(
    ("name", "attributes", "code", "text"),
    [
        ("a b", {}, "InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"),
        ("q.fifo", {}, "InvalidParameterValue", "Can only include"),
        ("q", {"FifoQueue": "true"}, "InvalidParameterValue", "The name of a FIFO queue can only include"),
        ("q", {"FifoQueue": "false"}, "InvalidAttributeName", "Unknown Attribute FifoQueue."),
        ("q", {"ContentBasedDeduplication": "true"}, "InvalidAttributeName", "Unknown Attribute ContentBasedDeduplication."),
        ("q", {"Colour": "red"}, "InvalidAttributeName", "Unknown Attribute Colour."),
        ("q", {"QueueArn": "a"}, "InvalidAttributeName", "Unknown Attribute QueueArn."),
        ("q", {"VisibilityTimeout": "43201"}, "InvalidAttributeValue", "Invalid value for the parameter VisibilityTimeout."),
        ("q", {"DelaySeconds": "-1"}, "InvalidAttributeValue", "Invalid value for the parameter DelaySeconds."),
        ("q", {"MaximumMessageSize": "1023"}, "InvalidAttributeValue", "Invalid value for the parameter MaximumMessageSize."),
        ("q", {"Policy": "{"}, "InvalidAttributeValue", "Invalid value for the parameter Policy."),
        ("q", {"RedrivePolicy": "[]"}, "InvalidParameterValue", "Redrive policy is not a valid JSON map."),
        ("q", {"RedrivePolicy": "{}"}, "InvalidParameterValue", "does not contain mandatory attribute: maxReceiveCount."),
        ("q", {"RedrivePolicy": '{"maxReceiveCount":1}'}, "InvalidParameterValue", "mandatory attribute: deadLetterTargetArn."),
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
        ("q", {"RedriveAllowPolicy": '{"redrivePermission":"byQueue"}'}, "InvalidAttributeValue", "the parameter RedriveAllowPolicy."),
    ],
)
async def test_queues_that_are_refused(place: Place, name: str, attributes: dict[str, str], code: str, text: str) -> None:
    told = await refused(place.sqs.create_queue(name, attributes))
    assert told[0] == code and text in told[1]
    assert await place.sqs.list_queues() == {}


async def test_who_may_send_dead_letters_where(place: Place) -> None:
    await place.queue("dead", RedriveAllowPolicy=json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [ARN + "good"]}))
    fifo = await place.queue("dead.fifo")
    policy = {"deadLetterTargetArn": ARN + "dead", "maxReceiveCount": "3"}
    good = await place.queue("good", RedrivePolicy=json.dumps(policy))
    told = (await good.sqs.get_queue_attributes(good.url, ["RedrivePolicy"]))["Attributes"]["RedrivePolicy"]
    assert json.loads(told) == {"deadLetterTargetArn": ARN + "dead", "maxReceiveCount": 3}
    for name, arn in (("bad", ARN + "dead"), ("bad", fifo.arn)):
        told = await refused(place.sqs.create_queue(name, {"RedrivePolicy": json.dumps(policy | {"deadLetterTargetArn": arn})}))
        assert told[0] == "InvalidParameterValue"
    await good.sqs.set_queue_attributes(good.url, {"RedrivePolicy": ""})
    assert await good.sqs.get_queue_attributes(good.url, ["RedrivePolicy"]) == {}


async def test_pauses_between_one_queue_and_the_next_of_its_name(tmp_path: Path) -> None:
    place = await limited(tmp_path, queue_name_seconds=60, purge_seconds=60).open()
    q = await place.queue("q")
    await q.sqs.purge_queue(q.url)
    code, text = await refused(q.sqs.purge_queue(q.url))
    assert (code, text) == ("PurgeQueueInProgress", "Only one PurgeQueue operation on q is allowed every 60 seconds.")
    await q.sqs.delete_queue(q.url)
    assert (await refused(q.sqs.create_queue("q")))[0] == "QueueDeletedRecently"
    place.pass_(60)
    await q.sqs.create_queue("q")
    await place.house.close()


# --- many ------------------------------------------------------------------------------------------------------------------------


async def test_one_message_for_many_queues_in_one_transaction(place: Place) -> None:
    names = [f"q{n}" for n in range(50)]
    for name in names:
        await place.queue(name)
    body, attributes = "to all", {"a": {"DataType": "String", "StringValue": "x"}}
    sent = [Outgoing(ARN + name, body, attributes) for name in [*names, "missing"]]
    answers, writes, then = place.sqs.prepare(sent)
    assert isinstance(answers[-1], ApiError) and answers[-1].code == "QueueDoesNotExist"
    assert await place.find("q0").receive() == []  # not yet
    await place.sqs.store(writes, then)
    for name, answer in zip(names, answers):
        (got,) = await place.find(name).receive()
        assert (got["MessageId"], got["MessageAttributes"]) == (answer["MessageId"], attributes)
    assert len({answer["MessageId"] for answer in answers[:-1]}) == 50


async def test_what_is_prepared_and_never_stored_has_no_effect(place: Place) -> None:
    q = await place.queue("q.fifo")
    message = Outgoing(q.arn, "a", group="g", deduplication="same")
    place.sqs.prepare([message])
    await q.sqs.send(message)
    assert await q.bodies() == ["a"]


async def test_a_sender_here_that_repeats_itself_sends_once(place: Place) -> None:
    q = await place.queue("q")
    for _ in range(2):
        await q.sqs.send(Outgoing(q.arn, "a", once="delivery-1"))
    place.pass_(3_600)  # the process is down; the sender repeats what he cannot know to be done
    await place.again(crash=True)
    q = place.find("q")
    await q.sqs.send(Outgoing(q.arn, "a", once="delivery-1"))
    assert await q.bodies() == ["a"]


async def test_contents_are_read_from_the_disk_when_memory_is_full(tmp_path: Path) -> None:
    place = await limited(tmp_path, queue_cache_bytes=2_000, message_inline_bytes=500).open()
    q = await place.queue("q")
    bodies = [f"{n}" * (800 if n % 2 else 100) for n in range(9)]
    await q.send(*bodies)
    assert place.sqs._cached <= 2_000
    await place.again()
    q = place.find("q")
    got = await q.receive()
    assert [each["Body"] for each in got] == bodies
    await q.delete(*got)
    assert (await place.records(), place.sqs._cached, place.sqs.total) == ([], 0, 0)
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
    assert (await refused(place.sqs.receive_message(q.url, wait_time_seconds=20)))[0] == "RequestThrottled"
    await q.send("c")
    assert len(await waiting) == 1
    await place.house.close()


# --- crashes ---------------------------------------------------------------------------------------------------------------------


async def test_a_crash_loses_nothing_that_was_accepted_and_brings_back_nothing_that_was_deleted(place: Place) -> None:
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
    assert await q.counts() == (1, 1, 1)  # who holds one has his time still
    (kept,) = await q.receive()
    assert (kept["Body"], kept["Attributes"]["ApproximateReceiveCount"]) == ("kept", "2")
    await q.delete(got["held"])  # and his receipt is good
    place.pass_(50)
    assert await q.bodies() == ["delayed"]
    place.pass_(50)
    assert await q.bodies() == ["kept"]
    await q.delete(kept)


async def test_numbers_are_never_given_out_twice(place: Place) -> None:
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


async def test_dead_letters_and_states_survive_together(place: Place) -> None:
    q, _ = await redriven(place, times=1)
    await q.send("a")
    await q.receive()
    await place.again(crash=True)
    place.pass_(10)
    assert await place.find("q").receive() == []
    await place.again(crash=True)
    assert await place.find("dead").bodies() == ["a"] and await place.find("q").counts() == (0, 0, 0)
