"""A database that was a cluster's, such as a restored backup, on a server of its own."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integrations.cluster.shards import ROLE, task

from stepwell.engine.core.environment import token
from stepwell.engine.engine import Engine
from stepwell.integrations.machine_tasks import ServerTasks
from stepwell.integrations.services.common.tables import pack

URL = "http://localhost:8083/123456789012/q"
ARN = "arn:aws:sqs:us-east-1:123456789012:q"
SEND = json.dumps(task("sqs:sendMessage", {"QueueUrl": URL, "MessageBody": "x"}))


async def served(db: Path) -> Engine:
    tasks = ServerTasks(None, None)
    engine = Engine(db, tasks=tasks)
    await engine.open()
    return engine


async def test_what_was_on_its_way_between_shards_arrives_once(tmp_path: Path) -> None:
    engine = await served(tmp_path / "copy.db")  # its tasks do not begin
    machine = await engine.create_state_machine("m", SEND, role_arn=ROLE)
    started = await engine.start_execution(machine["stateMachineArn"])
    tasks = engine.tasks
    assert isinstance(tasks, ServerTasks)
    services = await tasks.services()
    await services["sqs"].create_queue(queue_name="q")
    await services["events"].put_rule(name="r", event_pattern='{"source": ["s"]}')
    await services["events"].put_targets(rule="r", targets=[{"Id": "1", "Arn": ARN}])
    (live,) = engine.worker.live.values()
    (frame,) = live.x.frames.values()
    event = {"id": "1", "source": "s", "detail-type": "d", "detail": {}}
    await engine.records.write(
        {
            # home has carried out the attempt, and the execution's shard has not heard of it
            f"task/answer/{token(live.x, frame.id, frame.seq)}": pack(
                {"at": 0, "result": '{"done":1.0}'}
            ),
            f"inbox/0/003-{0:013}-{0:012}": pack({"events": [event]}),
        }
    )
    await engine.close()

    engine = await served(tmp_path / "copy.db")
    tasks = engine.tasks
    assert isinstance(tasks, ServerTasks)
    tasks.begin([], None)
    ended = await engine.wait(started["executionArn"], 60)
    assert ended["status"] == "SUCCEEDED" and ended["output"] == '{"done":1.0}'
    sqs = (await tasks.services())["sqs"]
    got = await sqs.receive_message(queue_url=URL, max_number_of_messages=10, wait_time_seconds=5)
    assert [json.loads(each["Body"])["source"] for each in got["Messages"]] == ["s"]
    assert await engine.records.scan("inbox/") == await engine.records.scan("task/") == []
    await engine.close()
