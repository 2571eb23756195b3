"""Compares a run with the outcomes of the oracle: a line for each difference."""

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
    """A run to compare, such as endpoint.Run. `output` is JSON text, `history` may be empty."""

    status: str
    output: str | None
    error: str | None
    cause: str | None
    history: Sequence[Mapping[str, Json]]


def differences(outcomes: Iterable[Outcome], run: Any) -> list[str]:
    """The differences from the outcome with the fewest."""
    best: list[str] | None = None
    for outcome in outcomes:
        found = difference(outcome, run)
        if not found:
            return []
        if best is None or len(found) < len(best):
            best = found
    return best if best is not None else ["the oracle has no outcome"]


def difference(outcome: Outcome, run: Any) -> list[str]:
    """The differences from one outcome."""
    found = list(_results(outcome, run))
    return found if found or not run.history else list(_histories(outcome.events, run.history))


def _results(outcome: Outcome, run: Any) -> Iterable[str]:
    if outcome.status != run.status:
        yield (
            f"status: expected {outcome.status}{_expected(outcome)}, got {run.status} "
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


def _expected(outcome: Outcome) -> str:
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
class _Actual:
    """An event of the endpoint, with its details parsed and the key that links compare."""

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
    """Every required event exists, no unexpected one does, and each has one of the possible
    predecessors.

    Among expected events with the same key, required ones are matched first; if that leaves a
    difference, optional ones.
    """
    actual = [_Actual(event) for event in history]
    first = list(_unmatched(expected, actual))
    return first if first and list(_unmatched(expected, actual, optional_first=True)) else []


def _unmatched(
    expected: list[Event], seen: list["_Actual"], optional_first: bool = False
) -> Iterable[str]:
    waiting: dict[tuple[Json, ...], list[Event]] = {}
    for event in sorted(expected, key=lambda event: event.optional is not optional_first):
        waiting.setdefault(event.key, []).append(event)
    matched: dict[int, tuple[_Actual, Event | None]] = {}
    for actual in seen:
        candidates = waiting.get(actual.key, [])
        alike = [event for event in candidates if _same(event, actual)]
        before, expected_before = matched.get(actual.after, (None, None))
        # first choice: the predecessors are matched with each other; second: they have the same key
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


def _same(event: Event, actual: _Actual) -> bool:
    wanted = {
        name: value
        for name, value in event.details.items()
        if value is not None or name in ("input", "output")
    }
    if event.details.get("cause") == ANY and "cause" not in actual.details:
        wanted.pop("cause")
    return fits(wanted, actual.details)


def _linked(event: Event, before: _Actual | None) -> bool:
    if before is None:
        return not event.after or any(each.type == "start" for each in event.after)
    return any(each.key == before.key for each in event.after)
