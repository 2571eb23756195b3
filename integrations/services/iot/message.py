"""An MQTT message, as the SQL of topic rules reads it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stepwell.asl.json_text import JsonError, loads


@dataclass(frozen=True)
class Message:
    """client: the publisher's client id, None if unknown; time: epoch ms; id: a UUID; random: in
    [0, 1), the value of rand().
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
        """The payload: a JSON value, or its bytes if it is not JSON."""
        try:
            return loads(self.payload)
        except JsonError:
            return self.payload
