"""A run against what the oracle says it may come to: lines that say what differs, none if it is as
it should be.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from stepwell.conformance.oracle import Outcome
from stepwell.conformance.oracle.history import ABORTED, Event, details_member, key_of
from stepwell.conformance.oracle.values import ANY, MISSING, Json, fits, text
from stepwell.conformance.run.matching import parsed

_SHOWN: Final = 300
_IGNORED: Final = frozenset(
    {
        "inputDetails",
        "outputDetails",
        "assignedVariablesDetails",
        "roleArn",
        "resource",
        "workerName",
    }
)
_TEXTS: Final = ("input", "output")


class Ended(Protocol):
    """What is compared: a run as endpoint.Run has it. `output` is JSON text, `history` may be
    empty.
    """

    status: str
    output: str | None
    error: str | None
    cause: str | None
    history: Sequence[Mapping[str, Json]]


def differences(outcomes: Iterable[Outcome], run: Any) -> list[str]:
    """What differs from the outcome that the run comes closest to."""
    best: list[str] | None = None
    for outcome in outcomes:
        found = difference(outcome, run)
        if not found:
            return []
        if best is None or len(found) < len(best):
            best = found
    return best if best is not None else ["the oracle knows no outcome"]


def difference(outcome: Outcome, run: Any) -> list[str]:
    """What differs from one outcome."""
    found = list(_results(outcome, run))
    return found if found or not run.history else list(_histories(outcome.events, run.history))


def _results(outcome: Outcome, run: Any) -> Iterable[str]:
    if outcome.status != run.status:
        yield (
            f"status: expected {outcome.status}{_said(outcome)}, got {run.status} "
            f"{shown(run.error)} {shown(run.cause)}"
        )
    elif outcome.status == "SUCCEEDED":
        output = MISSING if run.output is None else parsed(run.output)
        if output is MISSING or not fits(outcome.output, output):
            yield f"output: expected {shown(outcome.output)}, got {shown(output)}"
    else:
        for name in ("error", "cause"):
            expected, actual = getattr(outcome, name), getattr(run, name)
            if not _text_fits(expected, actual):
                yield f"{name}: expected {shown(expected)}, got {shown(actual)}"


def _said(outcome: Outcome) -> str:
    return (
        f" with {shown(outcome.output)}"
        if outcome.status == "SUCCEEDED"
        else f" {shown(outcome.error)} {shown(outcome.cause)}"
    )


def _text_fits(expected: str | None, actual: str | None) -> bool:
    if expected is None or actual is None:
        return expected is actual or (expected == ANY and actual is None)
    return fits(expected, actual)


def shown(value: Json) -> str:
    if value is MISSING:
        return "nothing"
    written = text(value).replace(ANY, "…")
    return written if len(written) <= _SHOWN else f"{written[:_SHOWN]}… ({len(written)} characters)"


# --- histories ------------------------------------------------------------------------------------
class _Seen:
    """An event of the endpoint: its details parsed, and the key that links compare."""

    __slots__ = ("id", "type", "details", "after", "key")

    def __init__(self, event: Mapping[str, Json]) -> None:
        self.id, self.type, self.after = event["id"], event["type"], event.get("previousEventId", 0)
        member = details_member(self.type)
        details = (
            {
                name: value
                for name, value in (event.get(member) or {}).items()
                if name not in _IGNORED
            }
            if member
            else {}
        )
        for name in _TEXTS:
            if isinstance(details.get(name), str):
                details[name] = parsed(details[name])
        if "assignedVariables" in details:
            details["assignedVariables"] = {
                name: parsed(value) for name, value in details["assignedVariables"].items()
            }
        self.details = details
        self.key = key_of(self.type, details)

    def __str__(self) -> str:
        return f"#{self.id} {self.type} {shown(self.details)}"


def _histories(expected: list[Event], history: Sequence[Mapping[str, Json]]) -> list[str]:
    """Every required event is there, nothing is there that may not be, and each points to one of
    its candidates.

    Where several expected events look alike, those that must be there are matched first; if that
    does not come out, those that may be.
    """
    seen = [_Seen(event) for event in history]
    first = list(_unmatched(expected, seen))
    return first if first and list(_unmatched(expected, seen, optional_first=True)) else []


def _unmatched(
    expected: list[Event], seen: list["_Seen"], optional_first: bool = False
) -> Iterable[str]:
    waiting: dict[tuple[Json, ...], list[Event]] = {}
    for event in sorted(expected, key=lambda event: event.optional is not optional_first):
        waiting.setdefault(event.key, []).append(event)
    matched: dict[int, tuple[_Seen, Event | None]] = {}
    for actual in seen:
        candidates = waiting.get(actual.key, [])
        alike = [event for event in candidates if _same(event, actual)]
        before, expected_before = matched.get(actual.after, (None, None))
        # the one whose predecessor is matched with ours, else one whose predecessor looks like ours
        found = next(
            (event for event in alike if any(each is expected_before for each in event.after)), None
        )
        found = found or next((event for event in alike if _linked(event, before)), None)
        matched[actual.id] = actual, found
        if found is not None:
            candidates.remove(found)
        elif alike:
            wanted = (
                " or ".join(
                    dict.fromkeys(
                        f"{each.type} {each.details.get('name', '')}".strip()
                        for each in alike[0].after
                    )
                )
                or "the start"
            )
            yield f"history: {actual} follows {before or 'the start'}, expected {wanted}"
            return
        elif actual.type not in ABORTED:
            near = f", expected {shown(candidates[0].details)}" if candidates else ""
            yield f"history: unexpected {actual}{near}"
            return
    for events in waiting.values():
        for event in events:
            if not event.optional:
                yield f"history: missing {event.type} {shown(event.details)}"
                return


def _same(event: Event, actual: _Seen) -> bool:
    wanted = {
        name: value
        for name, value in event.details.items()
        if value is not None or name in ("input", "output")
    }
    if event.details.get("cause") == ANY and "cause" not in actual.details:
        wanted.pop("cause")
    return fits(wanted, actual.details)


def _linked(event: Event, before: _Seen | None) -> bool:
    if before is None:
        return not event.after or any(each.type == "start" for each in event.after)
    return any(each.key == before.key for each in event.after)
