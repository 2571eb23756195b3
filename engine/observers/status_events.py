"""The events that Step Functions sends to EventBridge when the status of a Standard execution
changes. Pure.

Express executions have none. The receiver of the events stores its part in the transaction of the
change itself, so none is lost, and none is sent of a change that did not happen. (AWS delivers them
with best effort.)
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from typing import Any, Final

from stepwell.asl.json_text import dumps, size
from stepwell.asl.timestamps import iso_seconds
from stepwell.engine.arns import Home
from stepwell.engine.core import model
from stepwell.engine.core.history import CODES
from stepwell.engine.core.model import Execution
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.operations.executions import shapes
from stepwell.engine.store.base import Unit

SOURCE: Final = "aws.states"
DETAIL_TYPE: Final = "Step Functions Execution Status Change"

_REDRIVEN: Final = CODES["ExecutionRedriven"]
_DATES: Final = ("startDate", "stopDate", "redriveDate")  # epoch ms here
# the members of the detail, in this order; those that an execution does not have are null
_DETAIL: Final = (
    "executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate", "input", "output",
    "stateMachineVersionArn",
    "stateMachineAliasArn", "redriveCount", "redriveDate", "redriveStatus", "redriveStatusReason",
    "inputDetails", "outputDetails", "error",
    "cause",
)  # fmt: skip


def status_events(unit: Unit, home: Home, limits: Limits = DEFAULT_LIMITS) -> list[dict[str, Any]]:
    """The events of a unit of a Standard execution, [] for most: one if it starts (or redrives) the
    execution, one if it ends it.
    """
    x, states = unit.execution, []
    if unit.created or (unit.history and unit.history[0][0] == _REDRIVEN):
        states.append(
            replace(x, status=model.RUNNING, stopped=None, output=None, error=None, cause=None)
        )
    if x.status != model.RUNNING:
        states.append(x)
    return [_event(each, unit, home, limits) for each in states]


def _event(x: Execution, unit: Unit, home: Home, limits: Limits) -> dict[str, Any]:
    # derived from the contents, so that a receiver recognizes a repeated event
    digest = hashlib.blake2b(f"{x.uuid}:{unit.first}:{x.status}".encode(), digest_size=16).digest()
    return {
        "version": "0",
        "id": str(uuid.UUID(bytes=digest, version=4)),
        "detail-type": DETAIL_TYPE,
        "source": SOURCE,
        "account": home.account,
        "time": iso_seconds(unit.at / 1000),
        "region": home.region,
        "resources": [x.arn],
        "detail": _detail(x, limits),
    }


def _detail(x: Execution, limits: Limits) -> dict[str, Any]:
    described: dict[str, Any] = {**shapes.execution(x, limits)}
    described |= {name: round(described[name] * 1000) for name in _DATES if name in described}
    detail = {name: described.get(name) for name in _DETAIL}
    room = limits.event_data_bytes - _escaped(detail["output"])
    if room < 0:
        detail |= {"output": None, "outputDetails": {"included": False}}
    if room - _escaped(detail["input"]) < 0:  # the output goes before
        detail |= {"input": None, "inputDetails": {"included": False}}
    return detail


def _escaped(text: str | None) -> int:
    """Bytes of a text within a JSON text."""
    return 0 if text is None else size(dumps(text)) - 2
