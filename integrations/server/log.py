"""The log of the server on standard error: one line for each record, as text or as JSON. Payloads
are never logged.
"""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import Any, Final

import msgspec

from stepwell.asl.timestamps import iso_milliseconds
from stepwell.integrations.aws.urls import public_text


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


FUNCTIONS: Final = "stepwell.functions"  # output of users' functions: it is not changed


class Formatter(logging.Formatter):
    """{"time", "level", "logger", "message", ...the record's fields, "error": a traceback}, or the
    same as a line of text.

    The queries of URLs are removed.
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
            line = {
                "time": time,
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": message,
                **fields,
            }
            return msgspec.json.encode({**line, "error": error} if error else line).decode()
        words = [
            time,
            record.levelname.lower(),
            message,
            *(f"{name}={value}" for name, value in fields.items()),
        ]
        return " ".join(words) + (f"\n{error}" if error else "")


def set_up(format: Format, level: str) -> None:
    """Log to standard error, also what libraries log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("stepwell").setLevel(level.upper())
