"""Queues with a manual clock: visibility, redelivery, deduplication, durability."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.services.queues import QueueFixture, limited, redriven, refused

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.queues import Outgoing

# --- standard queues ------------------------------------------------------------------------------


async def test_a_message_is_hidden_comes_again_and_is_deleted(place: QueueFixture) -> None:
    q = await place.queue("q")
    (sent,) = await q.send("hello")
    (first,) = await q.receive()
    assert (
        first["MessageId"] == sent["MessageId"] and first["MD5OfBody"] == sent["MD5OfMessageBody"]
    )
    assert await q.receive() == [] and await q.counts() == (0, 1, 0)
    place.pass_(29.999)
    assert await q.receive() == []
    place.pass_(0.001)
    (second,) = await q.receive()
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert (
        second["Attributes"]["ApproximateFirstReceiveTimestamp"]
        == first["Attributes"]["ApproximateFirstReceiveTimestamp"]
    )
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    await q.delete(second)
    await q.delete(second, first)  # again: nothing happens
    place.pass_(3600)
    assert await q.receive() == [] and await place.records() == []


async def test_visibility_can_be_changed(place: QueueFixture) -> None:
    q = await place.queue("q", VisibilityTimeout=60)
    await q.send("a")
    (got,) = await q.receive()
    await q.sqs.change_message_visibility(q.url, got["ReceiptHandle"], 0)
    (got,) = await q.receive(visibility_timeout=5)
    await q.sqs.change_message_visibility(q.url, got["ReceiptHandle"], 100)
    place.pass_(99)
    assert await q.receive() == []
    place.pass_(1)
    assert (await refused(q.sqs.change_message_visibility(q.url, got["ReceiptHandle"], 1)))[
        0
    ] == "MessageNotInflight"
    (got,) = await q.receive()
    await q.delete(got)
    code, text = await refused(q.sqs.change_message_visibility(q.url, got["ReceiptHandle"], 1))
    assert (
        code == "InvalidParameterValue"
        and "Reason: Message does not exist or is not available for visibility timeout change."
        in text
    )


async def test_delays_of_queues_and_of_messages(place: QueueFixture) -> None:
    q = await place.queue("q", DelaySeconds=10)
    await q.send("of the queue")
    await q.send("now", delay_seconds=0)
    await q.send("later", delay_seconds=20)
    assert await q.counts() == (1, 0, 2) and await q.bodies() == ["now"]
    place.pass_(10)
    assert await q.bodies() == ["of the queue"]
    place.pass_(10)
    assert await q.bodies() == ["later"]


async def test_retention(place: QueueFixture) -> None:
    q = await place.queue("q", MessageRetentionPeriod=60)
    await q.send("old")
    place.pass_(30)
    await q.send("young")
    place.pass_(30)  # the periodic sweep
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


async def test_long_polling(place: QueueFixture) -> None:
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


async def test_a_waiting_receiver_gets_an_error_when_the_queue_is_deleted(
    place: QueueFixture,
) -> None:
    q = await place.queue("q")
    waiting = asyncio.create_task(q.receive(wait_time_seconds=20))
    await asyncio.sleep(0)
    await q.sqs.delete_queue(q.url)
    with pytest.raises(ApiError, match="The specified queue does not exist"):
        await waiting


async def test_a_receiver_that_goes_away_loses_nothing(place: QueueFixture) -> None:
    """At whatever point it is cancelled, the next receiver gets the message as if it had not been
    received.
    """
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
            (got,) = await asyncio.wait_for(q.receive(wait_time_seconds=1), 60)
        else:
            (got,) = got
        assert got["Attributes"]["ApproximateReceiveCount"] == "1"
        await q.delete(got)
    assert await place.records() == []


async def test_a_wake_is_passed_on(place: QueueFixture) -> None:
    """The woken receiver is cancelled before it runs: the next one gets the message."""
    q = await place.queue("q")
    first, second = (asyncio.create_task(q.bodies(1, wait_time_seconds=20)) for _ in range(2))
    await asyncio.sleep(0)
    prepared = q.sqs.prepare([Outgoing(q.arn, "a")])
    await place.house.engine.records.write(prepared.writes)
    prepared.then()
    first.cancel()
    assert await asyncio.wait_for(second, 60) == ["a"]


# --- dead letters ---------------------------------------------------------------------------------


async def test_what_was_received_too_often_moves_away(place: QueueFixture) -> None:
    q, dead = await redriven(place)
    attributes = {"n": {"DataType": "Number", "StringValue": "1"}}
    (sent,) = await q.send("bad", message_attributes=attributes)
    for _ in range(2):
        assert await q.bodies() == ["bad"]
        place.pass_(10)
    await q.send("good")
    assert await q.bodies() == ["good"]
    (letter,) = await dead.receive()
    assert (letter["MessageId"], letter["Body"], letter["MessageAttributes"]) == (
        sent["MessageId"],
        "bad",
        attributes,
    )
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == q.arn
    assert letter["Attributes"]["SentTimestamp"] == "1700000000000"
    assert await q.counts() == (0, 1, 0)
    assert await q.sqs.list_dead_letter_source_queues(dead.url) == {
        "queueUrls": [q.sqs.store.url("q")]
    }


async def test_a_receive_that_finds_dead_letters_only_goes_on(place: QueueFixture) -> None:
    q, dead = await redriven(place, times=1)
    await q.send(*map(str, range(25)))
    for _ in range(3):
        await q.receive()
    place.pass_(10)
    await q.send("last")
    assert await q.bodies(1) == ["last"]
    assert await dead.counts() == (25, 0, 0)


async def test_dead_letters_of_a_fifo_queue_let_the_next_one_pass(place: QueueFixture) -> None:
    q, dead = await redriven(place, ".fifo", times=1)
    for n in range(3):
        await q.send(str(n), message_group_id="g", message_deduplication_id=str(n))
    assert await q.bodies(1) == ["0"]
    place.pass_(10)
    assert await q.bodies() == ["1", "2"]
    assert await dead.bodies() == ["0"]


async def test_moving_dead_letters_back(place: QueueFixture) -> None:
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
    assert {each["MessageId"] for each in got}.isdisjoint(
        each["MessageId"] for each in sent
    )  # they are new messages
    assert (await refused(q.sqs.cancel_message_move_task(handle)))[0] == "UnsupportedOperation"
    assert (await refused(q.sqs.cancel_message_move_task("x")))[0] == "ResourceNotFoundException"


async def test_a_slow_move_outlives_the_process_and_can_be_cancelled(place: QueueFixture) -> None:
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
    assert (await place.sqs.cancel_message_move_task(handle))[
        "ApproximateNumberOfMessagesMoved"
    ] == 2
    place.pass_(10)
    await place.calm()
    assert await place.find("other").counts() == (0, 2, 0) and await place.find(
        "dead"
    ).counts() == (3, 0, 0)


# --- FIFO queues ----------------------------------------------------------------------------------


async def test_a_group_is_in_order_and_locked_while_one_of_it_is_in_flight(
    place: QueueFixture,
) -> None:
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
    assert code == "InvalidParameterValue" and text.endswith(
        "Reason: The receipt handle has expired."
    )


async def test_numbers_groups_and_ids_of_fifo_messages(place: QueueFixture) -> None:
    q = await place.queue("q.fifo")
    one, two = [
        (await q.send(body, message_group_id="g", message_deduplication_id=body))[0]
        for body in "ab"
    ]
    assert len(one["SequenceNumber"]) == 20 and one["SequenceNumber"] < two["SequenceNumber"]
    got = (await q.receive(1))[0]["Attributes"]
    assert (got["SequenceNumber"], got["MessageGroupId"], got["MessageDeduplicationId"]) == (
        one["SequenceNumber"],
        "g",
        "a",
    )


async def test_deduplication_lasts_five_minutes_also_after_the_message_and_the_process(
    place: QueueFixture,
) -> None:
    q = await place.queue("q.fifo")
    given: dict[str, Any] = {"message_group_id": "g", "message_deduplication_id": "same"}
    ((first,), (same,)) = await q.send("a", **given), await q.send("other body", **given)
    assert (same["MessageId"], same["SequenceNumber"]) == (
        first["MessageId"],
        first["SequenceNumber"],
    )
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


async def test_scopes_of_deduplication(place: QueueFixture) -> None:
    q = await place.queue(
        "q.fifo", ContentBasedDeduplication="true", DeduplicationScope="messageGroup"
    )
    for group in "aab":
        await q.send("same", message_group_id=group)
    assert await q.bodies() == ["same", "same"]


async def test_the_same_message_twice_at_the_same_time_is_one(place: QueueFixture) -> None:
    q = await place.queue("q.fifo")
    given: dict[str, Any] = {"message_group_id": "g", "message_deduplication_id": "same"}
    answers = await asyncio.gather(*(q.send("a", **given) for _ in range(5)))
    await place.calm()
    assert len({answer["MessageId"] for (answer,) in answers}) == 1
    assert await q.bodies() == ["a"] and len(await place.records("sqs/message/")) == 1
    await place.again()
    place.pass_(60)
    assert await place.find("q.fifo").bodies() == ["a"]


async def test_a_repeated_attempt_gets_the_same_messages(place: QueueFixture) -> None:
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
