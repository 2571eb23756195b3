"""Queues of a house, and short ways to use them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.services.embedded_engine import EmbeddedEngine

from stepwell.engine.errors import ApiError
from stepwell.integrations.limits import DEFAULT_LIMITS

ARN = "arn:aws:sqs:us-east-1:123456789012:"


class Queue:
    """A queue by its name."""

    def __init__(self, house: EmbeddedEngine, sqs: Any, name: str) -> None:
        self.house, self.sqs, self.name = house, sqs, name
        self.url, self.arn = f"http://anywhere/123456789012/{name}", ARN + name

    async def send(self, *bodies: str, **more: Any) -> list[Any]:
        return [await self.sqs.send_message(self.url, body, **more) for body in bodies]

    async def receive(self, most: int = 10, **more: Any) -> list[Any]:
        asked = {
            "max_number_of_messages": most,
            "message_system_attribute_names": ["All"],
            "message_attribute_names": ["All"],
        }
        found: list[Any] = (await self.sqs.receive_message(self.url, **asked | more)).get(
            "Messages", []
        )
        return found

    async def bodies(self, most: int = 10, **more: Any) -> list[str]:
        return [each["Body"] for each in await self.receive(most, **more)]

    async def delete(self, *received: Any) -> None:
        for each in received:
            await self.sqs.delete_message(self.url, each["ReceiptHandle"])

    async def counts(self) -> tuple[int, int, int]:
        """(visible, in flight, delayed)"""
        found = (await self.sqs.get_queue_attributes(self.url, ["All"]))["Attributes"]
        visible, flying, delayed = (
            int(found[f"ApproximateNumberOfMessages{end}"]) for end in ("", "NotVisible", "Delayed")
        )
        return visible, flying, delayed


class QueueFixture:
    """A house whose queues are made by their names: place.queue("q", VisibilityTimeout=...);
    reopened as often as wanted.
    """

    def __init__(self, house: EmbeddedEngine) -> None:
        self.house = house

    async def open(self) -> QueueFixture:
        await self.house.open()
        self.sqs = await self.house.registry.host.services.get("sqs")
        return self

    async def again(self, crash: bool = False) -> None:
        """Close and open. With a crash nothing that is not stored by now ever is."""
        if crash:
            self.house.engine.worker.fail(RuntimeError("killed"))
        await self.house.close()
        await self.open()

    async def queue(self, name: str, **attributes: object) -> Queue:
        given = {key: str(value) for key, value in attributes.items()} | (
            {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        )
        await self.sqs.create_queue(name, given)
        return Queue(self.house, self.sqs, name)

    def find(self, name: str) -> Queue:
        return Queue(self.house, self.sqs, name)

    def pass_(self, seconds: float) -> None:
        self.house.clock.advance(round(1000 * seconds))

    async def records(self, prefix: str = "sqs/") -> list[str]:
        """What is stored, but for the queues themselves."""
        found = [key async for key, _ in self.house.engine.records.all(prefix)]
        return [key for key in found if not key.startswith(("sqs/queue/", "sqs/number"))]

    async def calm(self) -> None:
        while self.sqs.store.tasks:
            await asyncio.gather(*self.sqs.store.tasks, return_exceptions=True)


def limited(tmp_path: Path, **limits: Any) -> QueueFixture:
    return QueueFixture(
        EmbeddedEngine(tmp_path / "limited.db", dataclasses.replace(DEFAULT_LIMITS, **limits))
    )


async def refused(call: Awaitable[Any]) -> tuple[str, str]:
    """(code, message)"""
    with pytest.raises(ApiError) as error:
        await call
    return error.value.code, error.value.message


async def redriven(place: QueueFixture, end: str = "", times: int = 2) -> tuple[Queue, Queue]:
    """(a queue, its dead-letter queue)"""
    dead = await place.queue(f"dead{end}")
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": times})
    return await place.queue(f"q{end}", RedrivePolicy=policy, VisibilityTimeout=10), dead
