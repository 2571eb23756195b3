"""The payloads and errors of requests: parsed, and checked against their limits."""

from __future__ import annotations

from stepwell.asl import json_text
from stepwell.engine import messages
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import ApiError
from stepwell.engine.inputs import JsonInput, json_text_of
from stepwell.engine.limits import Limits


def execution_input(value: JsonInput, limits: Limits) -> Payload:
    """The input of an execution. Raises ApiError InvalidExecutionInput, ValidationException."""
    text = value if isinstance(value, str) else json_text_of(value, "input")
    if not text.strip():
        raise ApiError(
            "InvalidExecutionInput", messages.INVALID_INPUT.format(text=messages.NO_INPUT)
        )
    try:
        payload = Payload(json_text.loads(text), text.encode())
    except json_text.JsonError as fault:
        raise ApiError(
            "InvalidExecutionInput", messages.INVALID_INPUT.format(text=fault.message)
        ) from None
    if len(payload.data) > limits.payload_bytes:
        raise ApiError(
            "ValidationException", messages.INPUT_TOO_LONG.format(limit=limits.payload_bytes)
        )
    return payload


def task_output(text: str, limits: Limits) -> Payload:
    """The result of a task. Raises ApiError InvalidOutput."""
    try:
        payload = Payload(json_text.loads(text), text.encode())
    except json_text.JsonError as fault:
        raise ApiError(
            "InvalidOutput", messages.INVALID_OUTPUT.format(text=fault.message)
        ) from None
    if len(payload.data) > limits.payload_bytes:
        too_long = messages.OUTPUT_TOO_LONG.format(limit=limits.payload_bytes)
        raise ApiError("InvalidOutput", messages.INVALID_OUTPUT.format(text=too_long))
    return payload


def check_failure(error: str | None, cause: str | None, limits: Limits) -> None:
    """Raises ApiError ValidationException if one of the two is too long."""
    for member, text, limit in (
        ("error", error, limits.error_chars),
        ("cause", cause, limits.cause_chars),
    ):
        if text is not None and len(text) > limit:
            raise ApiError(
                "ValidationException", messages.MEMBER_TOO_LONG.format(member=member, limit=limit)
            )
