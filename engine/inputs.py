"""Payloads and definitions that a caller may pass as Python values: -> JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

JsonInput = str | Mapping[str, object] | Sequence[object] | int | float
"""A str is JSON text, as with boto3; anything else is a value. JSON's null is the text "null", and
a string is passed as JSON text, too.
"""

Definition = str | Mapping[str, object]
"""JSON text, or the same as a dict."""


def json_text_of(value: JsonInput, what: str) -> str:
    """Raises TypeError, with `what` in its text, for a value that is not JSON."""
    if isinstance(value, str):
        return value
    if value is None:  # with boto3 it is an error too: it may mean "no input"
        raise TypeError(f"{what} is None: leave it out, or pass 'null' for JSON's null")
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} is not JSON: {error}; convert it, or pass JSON text") from error
