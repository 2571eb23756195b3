"""Time limits of a recorded attempt and of the same attempt in a replay. Pure."""

from __future__ import annotations

from stepwell.engine.core.model import Frame
from stepwell.engine.replay.recording import Attempt, Report


def too_early(frame: Frame, attempt: Attempt, report: Report) -> bool:
    """Whether a recorded timeout comes before the time limit of this definition: the task would
    still run, and its result is not known.
    """
    if not report.kind.endswith("TimedOut"):
        return False
    limits = frame.running_attempt
    if is_heartbeat(attempt, report):
        before = attempt.scheduled.details.get("heartbeatInSeconds")
        return before is not None and (limits.heartbeat is None or limits.heartbeat > before)
    before = attempt.scheduled.details.get("timeoutInSeconds")
    return before is not None and (limits.timeout is None or limits.timeout > before)


def is_heartbeat(attempt: Attempt, report: Report) -> bool:
    """Whether it was HeartbeatSeconds that was over."""
    known = attempt.scheduled.details
    if known.get("heartbeatInSeconds") is None:
        return False
    begun = attempt.scheduled.at
    for each in attempt.reports:
        if each.kind == "ActivityStarted":
            begun = each.at
    limit = known.get("timeoutInSeconds")
    return limit is None or report.at - begun < limit * 1000


def overrun(frame: Frame, attempt: Attempt, report: Report) -> int | None:
    """The TimeoutSeconds of this definition, if the recorded attempt took longer and had not
    that limit.
    """
    limit, before = (
        frame.running_attempt.timeout,
        attempt.scheduled.details.get("timeoutInSeconds"),
    )
    if limit is None or report.kind.endswith("TimedOut") or report.kind == "ActivityStarted":
        return None
    if before is not None and before <= limit:
        return None
    begun = [each.at for each in attempt.reports if each.kind == "ActivityStarted"]
    start = begun[-1] if begun else attempt.scheduled.at
    return limit if report.at - start > limit * 1000 else None
