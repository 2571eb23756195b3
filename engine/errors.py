"""Errors of the engine's operations.

EngineError
├── ApiError         an operation of the API refuses: `code` as AWS names it, `message` as AWS words it
├── ExecutionParked  one execution cannot go on, everything else does (see parking.py)
└── StoreError       the store failed: memory is ahead of the disk, so the process drops it and recovers (crash-only)
"""


class EngineError(Exception):
    """Base of all errors that an engine operation raises."""


class ApiError(EngineError):
    """A refusal with AWS's code (such as "ExecutionAlreadyExists") and message; `reason` is a ValidationException's own."""

    def __init__(self, code: str, message: str, reason: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.reason = code, message, reason


class ExecutionParked(EngineError):
    """What is stored of one execution cannot be read, compiled, decided upon or encoded."""


class StoreError(EngineError):
    """The store failed; nothing after the last acknowledged commit is durable."""
