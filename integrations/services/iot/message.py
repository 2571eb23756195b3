"""A message of MQTT, as the SQL of a topic rule sees it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stepwell.asl.json_text import JsonFault, loads


@dataclass(frozen=True)
class Message:
    """What a rule sees. client: None if the publisher's name is not known; time: epoch ms; id: a
    UUID; random: in [0, 1).
    """

    topic: str
    payload: bytes
    id: str
    time: int
    account: str = ""
    client: str | None = None
    random: float = 0.5

    @cached_property
    def value(self) -> Any:
        """The payload: JSON, or its bytes if it is none."""
        try:
            return loads(self.payload)
        except JsonFault:
            return self.payload
