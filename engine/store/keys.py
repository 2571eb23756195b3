"""The keys of rows that are stored by number, and the parts of an execution's ARN.

history   execution << EVENT_BITS | id of the row's first event; rows of later events than EVENTS
          are in long_history, whose key is (execution, event)
frame     execution << ROW_BITS | frame
payload   execution << ROW_BITS | number of the row
"""

from __future__ import annotations

from typing import Final

EVENT_BITS: Final = 15
ROW_BITS: Final = 17
EVENTS: Final = (1 << EVENT_BITS) - 1  # the greatest id of an event in a key
ROWS: Final = (1 << ROW_BITS) - 1  # the greatest number of a row


def row_key(execution_id: int, number: int) -> int:
    """Of a frame or payload row."""
    return execution_id << ROW_BITS | number


def event_keys(execution_id: int) -> tuple[int, int]:
    """The first and the last key that history rows of an execution can have."""
    return execution_id << EVENT_BITS, execution_id << EVENT_BITS | EVENTS


def row_keys(execution_id: int) -> tuple[int, int]:
    """The first and the last key that frame or payload rows of an execution can have."""
    return execution_id << ROW_BITS, execution_id << ROW_BITS | ROWS


def first_number(shard: int) -> int:
    """Below the numbers that a shard gives to series, pins and qualifiers."""
    return shard << 32


def split_arn(arn: str) -> tuple[str, str]:
    """An execution's ARN -> the prefix that the executions of its machine share, and the rest: the
    name; Express: name:uuid.
    """
    express = arn.split(":", 6)[5:6] == ["express"]
    prefix, *tail = arn.rsplit(":", 2 if express else 1)
    return prefix, ":".join(tail)


def uuid_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))
