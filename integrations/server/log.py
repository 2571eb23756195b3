"""The log of the server on standard error: a line for each thing that happened, as text or as JSON.
Never a payload.
"""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import Any, Final

import msgspec

from stepwell.asl.timestamps import iso_milliseconds
from stepwell.integrations.urls import public_text


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


FUNCTIONS: Final = "stepwell.functions"  # what users' functions print stays as they print it


class Formatter(logging.Formatter):
    """{"time", "level", "logger", "message", the fields that the record was given, "error": a
    traceback}, or the same as a line of text.

    URLs lose their query.
    """

    def __init__(self, format: Format) -> None:
        super().__init__()
        self._json = format is Format.JSON

    def format(self, record: logging.LogRecord) -> str:
        time = iso_milliseconds(record.created)
        fields: dict[str, Any] = getattr(record, "fields", {})
        error = self.formatException(record.exc_info) if record.exc_info else None
        message = record.getMessage()
        if record.name != FUNCTIONS:
            message, error = public_text(message), error and public_text(error)
            fields = {
                name: public_text(value) if isinstance(value, str) else value
                for name, value in fields.items()
            }
        if self._json:
            told = {
                "time": time,
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": message,
                **fields,
            }
            return msgspec.json.encode({**told, "error": error} if error else told).decode()
        words = [
            time,
            record.levelname.lower(),
            message,
            *(f"{name}={value}" for name, value in fields.items()),
        ]
        return " ".join(words) + (f"\n{error}" if error else "")


def set_up(format: Format, level: str) -> None:
    """Send everything that this process logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("stepwell").setLevel(level.upper())
