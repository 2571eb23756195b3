"""What the expressions of a state read: Env, the Context object, random numbers and the task token.
All of it is the same after a crash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from stepwell.asl.evaluation import MISSING, Env, Json
from stepwell.asl.program import MAP, PARALLEL, TASK
from stepwell.asl.timestamps import iso_milliseconds
from stepwell.engine.core import model
from stepwell.engine.core.model import Execution, Frame, Payload
from stepwell.engine.core.run import Run


def entropy(run: Run, frame: Frame) -> Callable[[], bytes]:
    """A source of 16 bytes a call, seeded by execution, event and frame."""
    seed = f"{run.x.uuid}:{run.next_id()}:{frame.id}".encode()
    count = 0

    def draw() -> bytes:
        nonlocal count
        count += 1
        return hashlib.blake2b(seed + count.to_bytes(8, "big"), digest_size=16).digest()

    return draw


def environment(
    run: Run, frame: Frame, result: Payload | None = None, error_output: Json = MISSING
) -> Env:
    """For one evaluation. result: of the work; error_output: for a catcher.

    Payloads that only raised limits allow are evaluated in a thread: to convert one for an
    expression takes long by itself.
    """
    inline = run.limits.encode_inline_bytes
    large = len(frame.raw.data) > inline or (result is not None and len(result.data) > inline)
    return Env(
        frame.raw.value,
        frame.scope.values,
        partial(context, run.x, frame),
        entropy(run, frame),
        run.now / 1000,
        MISSING if result is None else result.value,
        error_output,
        run.in_thread,
        run.begin_evaluation(),
        _late if large and run.time is not None else run.late,
    )


def _late() -> bool:
    return True


def iso(ms: int) -> str:
    """As the Context object shows a time."""
    return iso_milliseconds(ms / 1000)


def context(
    x: Execution,
    frame: Frame,
    item: tuple[int, Payload, Payload | None] | None = None,
    source: str = model.STATE_DATA,
) -> dict[str, Json]:
    """The Context object ($$, $states.context) of the frame's state.

    item, source  for its ItemSelector: the item, and where the items come from
    """
    selecting, item, state = item is not None, item or frame.item, frame.state
    execution: dict[str, Json] = {
        "Id": x.arn,
        "Input": x.input.value,
        "StartTime": iso(x.started),
        "Name": x.name,
        "RoleArn": x.role_arn,
        "RedriveCount": x.extras.get("redrives", 0),
    }
    if "redriven" in x.extras:
        execution["RedriveTime"] = iso(x.extras["redriven"])
    if x.extras.get("sync"):
        del execution["RedriveCount"]
    if not x.role_arn:  # a state under test
        del execution["RoleArn"]
    here: dict[str, Json] = {"Name": state.name, "EnteredTime": iso(frame.entered_at)}
    if state.type in (TASK, PARALLEL, MAP):
        here["RetryCount"] = sum(frame.retries) + x.extras.get("retried", 0)
    whole: dict[str, Json] = {
        "Execution": execution,
        "StateMachine": {"Id": x.machine_arn, "Name": x.machine_name},
        "State": here,
    }
    if state.resource is not None and state.resource.pattern:
        whole["Task"] = {"Token": token(x, frame.id, frame.seq)}
    if item is not None:
        index, value, key = item
        shown = whole["Map"] = {
            "Item": {"Index": index, **({"Key": key.value} if key else {}), "Value": value.value}
        }
        if selecting and state.map is not None and state.map.distributed:
            shown["Item"]["Source"] = source
    supplied = x.extras.get("context")
    if supplied is None:
        return whole
    # the caller of TestState supplies it, except for the items of the state itself
    return {**supplied, "Map": whole["Map"]} if "Map" in whole else supplied


_TOKEN: Final = re.compile(r"1:([0-9]{1,14}):([0-9]{1,9}):([0-9]{1,9}):[0-9a-f]{24}")
# ids of executions are below it: stores keep one beside 17 other bits in 64, one of them the sign
_EXECUTIONS: Final = 1 << 46


class Identified(Protocol):
    """An execution, or a row of one."""

    @property
    def id(self) -> int: ...

    @property
    def uuid(self) -> str: ...


def token(x: Identified, frame_id: int, seq: int) -> str:
    """The task token of an attempt: it names the attempt and cannot be guessed without the
    execution's uuid.
    """
    proof = hashlib.blake2b(f"{x.uuid}:{frame_id}:{seq}".encode(), digest_size=12).hexdigest()
    return base64.urlsafe_b64encode(f"1:{x.id}:{frame_id}:{seq}:{proof}".encode()).decode()


def read_token(text: str) -> tuple[int, int, int] | None:
    """(execution id, frame, seq) of a task token; None for any other text. Not verified: compare it
    with token().
    """
    try:
        match = _TOKEN.fullmatch(base64.urlsafe_b64decode(text.encode()).decode())
    except ValueError:
        return None
    return (
        (int(match[1]), int(match[2]), int(match[3]))
        if match and int(match[1]) < _EXECUTIONS
        else None
    )
