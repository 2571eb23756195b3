"""python -m benchmarks.topics [--queues N] [--folder DIR]: SNS fan-out of one message to many
queues.

The figures: the time of Publish, the time until the message is in every queue, and the CPU time of
the event loop for it, which depends least on the machine's load.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time

from stepwell.engine import Engine
from stepwell.integrations.tasks.registry import Registry

MESSAGES = 10
BODY = "x" * 1_000


async def fan_out(path: str, queues: int) -> None:
    registry = Registry()
    async with Engine(path, tasks=registry) as engine:
        sns, sqs = await registry.host.services.get("sns"), await registry.host.services.get("sqs")
        topic = (await sns.create_topic("t"))["TopicArn"]
        await sns.certificate()
        for number in range(queues):
            await sqs.create_queue(f"q{number}")
            home = engine.home
            await sns.subscribe(topic, "sqs", f"arn:aws:sqs:{home.region}:{home.account}:q{number}")

        def held() -> int:
            """Messages in all queues."""
            return sum(len(queue.index.entries) for queue in sqs.store.queues.values())

        answered, delivered, cpu = list[float](), list[float](), list[float]()
        for _ in range(MESSAGES):
            began, busy, wanted = time.perf_counter(), time.thread_time(), held() + queues
            await sns.publish(topic_arn=topic, message=BODY)
            answered.append(time.perf_counter() - began)
            while held() < wanted:  # noqa: ASYNC110  # SQS has no event for it
                await asyncio.sleep(0.005)
            delivered.append(time.perf_counter() - began)
            cpu.append(time.thread_time() - busy)
    figures = {"Publish": answered, "in all queues": delivered, "CPU of the loop": cpu}
    for name, times in figures.items():
        print(
            f"{name:<16} {1000 * statistics.median(times):8.1f} ms median  "
            f"{1000 * min(times):8.1f} ms least"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queues", type=int, default=1_000)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="folder for the database")
    arguments = parser.parse_args()
    path = os.path.join(tempfile.mkdtemp(dir=arguments.folder), "topics.db")
    print(f"one message for {arguments.queues} queues")
    asyncio.run(fan_out(path, arguments.queues))


if __name__ == "__main__":
    main()
