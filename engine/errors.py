"""Errors of the engine's operations.

EngineError
├── ApiError              an operation of the API refuses, with AWS's code and message
├── ExecutionFailedError  an execution that was run for its output has none
├── ExecutionParkedError  one execution cannot continue, all others do (see runtime/parking.py)
├── WrongShardError       an execution belongs to the engine of another shard (see sharding.py)
└── StoreError            the store failed: memory is ahead of the disk, so the process drops it and
                          recovers (crash-only)
"""

from collections.abc import Mapping
from typing import Any


class EngineError(Exception):
    """Base of all errors that an engine operation raises."""


class ApiError(EngineError):
    """A refusal with AWS's code (such as "ExecutionAlreadyExists") and message; `reason` is a
    ValidationException's own.
    """

    def __init__(self, code: str, message: str, reason: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.reason = code, message, reason


class ExecutionFailedError(EngineError):
    """Engine.run(): the execution has ended without an output. `execution` is its description;
    `error` and `cause` as in it, or None.
    """

    def __init__(self, execution: Mapping[str, Any]) -> None:
        self.execution = execution
        self.error, self.cause = execution.get("error"), execution.get("cause")
        super().__init__(
            ": ".join(each for each in (execution["status"], self.error, self.cause) if each)
        )


class ExecutionParkedError(EngineError):
    """The stored state of one execution cannot be read, compiled, decided upon or encoded."""


class WrongShardError(EngineError):
    """An execution belongs to another shard. What calls the engine chooses the right one first, so
    this is a bug, or one process works alone on a database with several shards.
    """

    def __init__(self, execution: str, shard: int, count: int) -> None:
        super().__init__(
            f"{execution} belongs to shard {shard} of the {count} of the database, and this command"
            " works on another one: use `stepwell serve`, which works on all of them"
        )
        self.shard, self.count = shard, count


class StoreError(EngineError):
    """The store failed; nothing after the last acknowledged commit is durable."""
