"""Tasks of embedded services whose execution is on another shard: the same as on one node, and once
whatever is lost.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.cluster.shards import ROLE, Call, Network, ShardEngine, task

from stepwell.engine.errors import StoreError
from stepwell.integrations.host import LostAnswerError
from stepwell.integrations.limits import DEFAULT_LIMITS

QUEUE = "http://localhost:8083/123456789012/q"
TOPIC = "arn:aws:sns:us-east-1:123456789012:t"
CONNECTION = "arn:aws:events:us-east-1:123456789012:connection/c/1"
HTTP = {
    "ApiEndpoint": "http://localhost:9/",
    "Method": "GET",
    "Authentication": {"ConnectionArn": CONNECTION},
}
EVENT = {"Detail": {}, "DetailType": "d", "Source": "s"}
FUNCTION = "def handler(event, context):\n    return {'got': event}\n"
VARYING = re.compile(
    r'"timestamp": [^,]+|Root=[^"\\]+|[MTWFS]\w\w, [^"\\]+ GMT|(?<=MessageId\\":\\")[0-9a-f-]+'
)
FAILING = "def handler(event, context):\n    raise KeyError('\\udc00 no')\n"


def uuids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012x}"


async def with_services(home: ShardEngine) -> None:
    await (await home.service("sqs")).create_queue(queue_name="q")
    await (await home.service("sns")).create_topic(name="t")


TASKS = {
    "queue": task("sqs:sendMessage", {"QueueUrl": QUEUE, "MessageBody": {"a": [1.0, "é"]}}),
    "no queue": task("sqs:sendMessage", {"QueueUrl": QUEUE + "2", "MessageBody": "x"}),
    "no body": task("sqs:sendMessage", {"QueueUrl": QUEUE}),
    "topic": task("sns:publish", {"TopicArn": TOPIC, "Message": "x"}),
    "no topic": task("sns:publish", {"TopicArn": TOPIC + "2", "Message": "x"}),
    "events": task("events:putEvents", {"Entries": [EVENT]}),
    "failed entry": task("events:putEvents", {"Entries": [EVENT | {"Source": "aws.s"}]}),
    "sdk": task("aws-sdk:sqs:getQueueUrl", {"QueueName": "q"}),
    "sdk error": task("aws-sdk:sqs:getQueueUrl", {"QueueName": "none"}),
    "sdk rules": task("aws-sdk:eventbridge:listRules", {}),
    "no connection": task("http:invoke", HTTP),
    "function": task("lambda:invoke", {"FunctionName": "f", "Payload": {"x": 1.50}}),
    "failing": task("lambda:invoke", {"FunctionName": "failing"}),
    "arn": task("arn:aws:lambda:us-east-1:123456789012:function:f", {"x": 1}),
    "no function": task("lambda:invoke", {"FunctionName": "none"}),
    "event": task("lambda:invoke", {"FunctionName": "f", "InvocationType": "Event"}),
    "scheduler": task("aws-sdk:scheduler:getSchedule", {"Name": "none"}),
}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
async def test_the_history_is_that_of_one_node(name: str, tmp_path: Path) -> None:
    functions = tmp_path / "functions"
    functions.mkdir()
    (functions / "f.py").write_text(FUNCTION)
    (functions / "failing.py").write_text(FAILING)

    async def history(engine: ShardEngine) -> Any:
        ended = await engine.run(TASKS[name])
        return VARYING.sub("-", json.dumps(await engine.history(ended["executionArn"])))

    single = {"functions": functions, "new_uuid": uuids()}
    async with ShardEngine(tmp_path / "one.db", **single) as one:
        await with_services(one)
        expected = await history(one)
    network = Network(2)
    async with ShardEngine(tmp_path / "0.db", network, 0, functions=functions) as home:
        await with_services(home)
        other = ShardEngine(tmp_path / "1.db", network, 1, functions=functions, new_uuid=uuids())
        async with other:
            assert await history(other) == expected
            sent = network.calls["run"]
            assert sent == (name not in ("function", "failing", "arn", "no function"))


async def test_a_function_that_was_created_runs_at_home(tmp_path: Path) -> None:
    network = Network(2)
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "lambda_function.py").write_text(
        "import os\ndef lambda_handler(event, context):\n    return event\n"
    )
    async with (
        ShardEngine(tmp_path / "0.db", network, 0) as home,
        ShardEngine(tmp_path / "1.db", network, 1) as other,
    ):
        await (await home.service("lambda")).create_function(
            function_name="created",
            runtime="python3.11",
            role=ROLE,
            handler="lambda_function.lambda_handler",
            code={"S3Bucket": "hot-reload", "S3Key": str(folder)},
        )
        # the store of this shard has no record of the function: as if it were read from the same
        # database
        await other.engine.records.write({"lambda/function/created": b"exists"})
        ended = await other.run(task("lambda:invoke", {"FunctionName": "created", "Payload": {}}))
        assert ended["status"] == "SUCCEEDED", ended
        assert network.calls["run"] >= 1


async def test_policies_refuse_once_and_in_the_same_words(tmp_path: Path) -> None:
    policies = {ROLE: {"Statement": [{"Effect": "Allow", "Action": "sns:*", "Resource": "*"}]}}
    machine = TASKS["queue"]
    async with ShardEngine(tmp_path / "one.db", policies=policies, new_uuid=uuids()) as one:
        await with_services(one)
        expected = await one.run(machine)
    network = Network(2)
    async with (
        ShardEngine(tmp_path / "0.db", network, 0, policies=policies) as home,
        ShardEngine(tmp_path / "1.db", network, 1, policies=policies, new_uuid=uuids()) as other,
    ):
        await with_services(home)
        ended = await other.run(machine)
        assert (ended["error"], ended["cause"]) == (expected["error"], expected["cause"])
        assert "not authorized" in ended["cause"]


async def test_an_attempt_waits_for_home_without_a_slot(tmp_path: Path) -> None:
    """Home has no owner for a while: the attempts hold no slot, and end when it is back."""
    network = Network(2)
    home = ShardEngine(tmp_path / "0.db", network, 0)
    async with ShardEngine(tmp_path / "1.db", network, 1) as other:
        running = asyncio.ensure_future(other.run(TASKS["queue"]))
        await network.called("run", 3)
        pools = other.engine.worker.effects.pools
        assert sum(pool.taken for pool in pools.values()) <= 1
        async with home:
            await with_services(home)
            assert (await running)["status"] == "SUCCEEDED"


async def test_an_attempt_that_times_out_is_cancelled_at_home(tmp_path: Path) -> None:
    network = Network(2)
    started, cancelled = asyncio.Event(), asyncio.Event()
    async with (
        ShardEngine(tmp_path / "0.db", network, 0) as home,
        ShardEngine(tmp_path / "1.db", network, 1) as other,
    ):
        await with_services(home)
        machine = task(
            "aws-sdk:sqs:receiveMessage",
            {"QueueUrl": QUEUE, "WaitTimeSeconds": 20},
            TimeoutSeconds=1,
        )
        sqs = await home.service("sqs")

        async def watched(call: Call) -> Any:
            if call.method == "cancel":
                await call.run()
                cancelled.set()
                return None
            started.set()
            return await call.run()

        network.fault = watched
        ended = await other.run(machine)
        assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")
        async with asyncio.timeout(60):
            await cancelled.wait()
        # the poller is no more: the next message is for others
        await sqs.send_message(queue_url=QUEUE, message_body="x")
        got = await sqs.receive_message(queue_url=QUEUE)
        assert [each["Body"] for each in got["Messages"]] == ["x"]


async def test_a_waiting_attempt_at_home_holds_no_slot_here(tmp_path: Path) -> None:
    network = Network(2)
    async with (
        ShardEngine(tmp_path / "0.db", network, 0) as home,
        ShardEngine(tmp_path / "1.db", network, 1) as other,
    ):
        await with_services(home)
        machine = task("aws-sdk:sqs:receiveMessage", {"QueueUrl": QUEUE, "WaitTimeSeconds": 20})
        running = asyncio.ensure_future(other.run(machine))
        await network.called("run", 2)
        pools = other.engine.worker.effects.pools.values()
        await other.until(lambda: not sum(pool.taken for pool in pools))
        await asyncio.sleep(0.01)
        assert sum(pool.taken for pool in pools) == 0
        await (await home.service("sqs")).send_message(queue_url=QUEUE, message_body="x")
        assert json.loads((await running)["output"])["Messages"][0]["Body"] == "x"


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_lost_answer_is_asked_for_again(lost: int, tmp_path: Path) -> None:
    network = Network(2)
    left = [lost]

    async def losing(call: Call) -> Any:
        answer = await call.run()
        if left[0] and call.method == "run":
            left[0] -= 1
            raise LostAnswerError("lost")
        return answer

    network.fault = losing
    async with (
        ShardEngine(tmp_path / "0.db", network, 0) as home,
        ShardEngine(tmp_path / "1.db", network, 1) as other,
    ):
        await with_services(home)
        assert (await other.run(TASKS["queue"]))["status"] == "SUCCEEDED"
        sqs = await home.service("sqs")
        got = await sqs.receive_message(queue_url=QUEUE, max_number_of_messages=10)
        assert len(got["Messages"]) == 1


async def test_a_late_call_takes_no_effect(tmp_path: Path) -> None:
    """The first call arrives after its repetition was answered."""
    network, late = Network(2), []

    async def delayed(call: Call) -> Any:
        if call.method == "run" and not late:
            late.append(call)
            raise LostAnswerError("slow")
        return await call.run()

    network.fault = delayed
    async with (
        ShardEngine(tmp_path / "0.db", network, 0) as home,
        ShardEngine(tmp_path / "1.db", network, 1) as other,
    ):
        await with_services(home)
        assert (await other.run(TASKS["queue"]))["status"] == "SUCCEEDED"
        await late[0].run()
        sqs = await home.service("sqs")
        got = await sqs.receive_message(queue_url=QUEUE, max_number_of_messages=10)
        assert len(got["Messages"]) == 1


async def test_a_call_of_an_earlier_owner_takes_no_effect(tmp_path: Path) -> None:
    """It was frozen before it sent its call; that the next owner's was answered is forgotten."""
    network, late, sent = Network(2), list[Call](), asyncio.Event()
    limits = replace(DEFAULT_LIMITS, task_answers_seconds=0.01)

    async def freezing(call: Call) -> Any:
        if call.method == "run" and not late:
            late.append(call)
            sent.set()
            await asyncio.Event().wait()
        return await call.run()

    network.fault = freezing
    home = ShardEngine(tmp_path / "0.db", network, 0, limits)
    other = ShardEngine(tmp_path / "1.db", network, 1)
    async with home:
        await with_services(home)
        async with other:
            running = asyncio.create_task(other.run(TASKS["queue"]))
            await sent.wait()
        with pytest.raises(StoreError):
            await running
        async with other:
            (arn,) = [each["executionArn"] for each in await executions(other)]
            assert (await other.ended(arn))["status"] == "SUCCEEDED"
    async with home, other:
        await asyncio.sleep(0.02)
        with pytest.raises(LostAnswerError, match="repeated"):
            await late[0].run()
        sqs = await home.service("sqs")
        got = await sqs.receive_message(queue_url=QUEUE, max_number_of_messages=10)
        assert len(got["Messages"]) == 1


async def executions(shard: ShardEngine) -> list[Any]:
    machines = await shard.engine.list_state_machines()
    (arn,) = [each["stateMachineArn"] for each in machines["stateMachines"]]
    return list((await shard.engine.list_executions(arn))["executions"])


async def test_of_two_calls_that_are_checked_at_once_one_begins_the_attempt(tmp_path: Path) -> None:
    """The check of the first call takes so long that the second one could have done the work."""
    network, go = Network(2), asyncio.Event()

    class Waiting:
        async def waits(self, call: str) -> bool:
            if call == "1":
                await go.wait()
            return True

    async with ShardEngine(tmp_path / "0.db", network, 0) as home:
        await with_services(home)
        network.services[1] = {"task_callers": Waiting()}
        runs = network.services[0]["tasks"]
        message = {
            "token": "token",
            "shard": 1,
            "opening": "o",
            "resource": "arn:aws:states:::sqs:sendMessage",
            "payload": json.dumps({"QueueUrl": QUEUE, "MessageBody": "x"}).encode(),
            **dict.fromkeys(("timeout", "heartbeat")),
            **dict.fromkeys(("execution_arn", "machine_arn", "state_name", "role_arn"), ""),
            "known": "working",
        }
        first = asyncio.create_task(runs.run(**message, caller="a", call="1", again=False))
        await network.called("waits", 1)
        second = asyncio.create_task(runs.run(**message, caller="a", call="2", again=True))
        await asyncio.sleep(0.2)
        go.set()
        assert (await first)["marked"] and await first == await second
        sqs = await home.service("sqs")
        got = await sqs.receive_message(queue_url=QUEUE, max_number_of_messages=10)
        assert len(got["Messages"]) == 1


async def test_a_marker_is_swept_when_its_execution_has_ended(tmp_path: Path) -> None:
    network = Network(2)
    async with (
        ShardEngine(tmp_path / "0.db", network, 0) as home,
        ShardEngine(tmp_path / "1.db", network, 1) as other,
    ):
        await with_services(home)
        await other.run(TASKS["queue"])
        runs = network.services[0]["tasks"]
        # the other shard has a database of its own here, so the marker stays
        assert len(await home.engine.records.scan("task/answer/")) == 1
        assert await runs.delete_markers() == 0, "young"
        home.clock.advance(3_601_000)
        assert await runs.delete_markers() == 1
        assert await home.engine.records.scan("task/answer/") == []
