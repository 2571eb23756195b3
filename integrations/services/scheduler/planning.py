"""When a schedule runs next. Pure."""

from __future__ import annotations

import hashlib

from stepwell.integrations.services.common.schedule_expressions import parse_schedule
from stepwell.integrations.services.common.tables import Document


def plan(document: Document, after: float, has_run: bool = False) -> Document:
    """The schedule with its next run after a time (epoch seconds).

    "due"   the time of the expression, epoch seconds
    "fire"  when it runs, epoch ms: "due" plus its own share of the flexible window

    Both are None if it does not run again. That includes a new schedule `at(...)` a time in the
    past: like AWS, which does not document this, it is accepted, stays ENABLED and never runs.
    Raises ScheduleError.
    """
    start = document.get("StartDate")
    since = document["LastModificationDate"] if start is None else start
    schedule = parse_schedule(
        document["ScheduleExpression"], document["ScheduleExpressionTimezone"], since
    )
    if not schedule.once and not has_run:  # the first run of a rate is at once, or at its start
        after = max(after, since) - 0.001
    due = schedule.next(after)
    end = document.get("EndDate")
    if due is None or (not schedule.once and end is not None and due > end):
        return {**document, "due": None, "fire": None}
    window = 60_000 * document["FlexibleTimeWindow"].get("MaximumWindowInMinutes", 0)
    digest = hashlib.blake2b(f"{document['Arn']}:{due}".encode(), digest_size=4).digest()
    delay = int.from_bytes(digest) % max(window, 1)
    return {**document, "due": due, "fire": round(due * 1000) + delay}
