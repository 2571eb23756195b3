"""What was delivered lately, for who looks: the console. In memory only, the latest ones; nothing depends on it.

An attempt of a rule, schedule, topic or destination is noted when it is over, and so is each call of a function.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple, TypeVar

from stepwell.asl.limits import DEFAULT_LIMITS
from stepwell.engine.clock import Clock
from stepwell.integrations.local.deliveries import Undelivered
from stepwell.integrations.local.documents import Document
from stepwell.integrations.local.pool import Answer, Call

DELIVERED, FAILED, GIVEN_UP, RAN = "delivered", "failed", "given up", "ran"
_SENDERS: Final = ("rule", "schedule", "topic", "subscription")  # members of a delivery's document, one of which says whose it is
_ERROR_CHARS: Final = 400
_T = TypeVar("_T")


class Entry(NamedTuple):
    """at: epoch ms; source, target: ARNs, source "" where it is not known; attempt: from 1; error: why not, or ""."""

    at: int
    source: str
    target: str
    id: str
    outcome: str
    attempt: int = 1
    error: str = ""


class Recent:
    def __init__(self, most: int = DEFAULT_LIMITS.deliveries_remembered) -> None:
        self._kept: deque[Entry] = deque(maxlen=most)

    def note(self, entry: Entry) -> None:
        self._kept.append(entry)

    def of(self, arn: str = "", service: str = "", most: int = 100) -> list[Entry]:
        """The latest ones from or to an ARN (or what is below it: versions of a function), or a service; the newest first."""
        found = list[Entry]()
        for entry in reversed(self._kept):
            if len(found) == most:
                break
            if any(_is(each, arn) if arn else _of(each, service) for each in (entry.source, entry.target)):
                found.append(entry)
        return found

    def watched(self, clock: Clock, deliver: Callable[[Document], Awaitable[_T]]) -> Callable[[Document], Awaitable[_T]]:
        """The same, and each attempt is noted. As Deliveries wants it."""

        async def watched(document: Document) -> _T:
            try:
                done = await deliver(document)
            except Undelivered as fault:
                self.note(_entry(clock, document, FAILED, document["attempts"] + 1, fault))
                raise
            self.note(_entry(clock, document, DELIVERED, document["attempts"] + 1))
            return done

        return watched

    def called(self, clock: Clock, call: Call, answer: Answer) -> None:
        """A function has answered."""
        told = answer.value if answer.failed and isinstance(answer.value, dict) else {}
        error = ": ".join(str(told[name]) for name in ("errorType", "errorMessage") if told.get(name))[:_ERROR_CHARS]
        self.note(Entry(clock.now(), "", call.arn, call.request_id, FAILED if answer.failed else RAN, 1, error))

    def given_up(
        self, clock: Clock, give_up: Callable[[Document, Undelivered, str], Awaitable[None]]
    ) -> Callable[[Document, Undelivered, str], Awaitable[None]]:
        async def given_up(document: Document, fault: Undelivered, limit: str) -> None:
            await give_up(document, fault, limit)
            self._replace(_entry(clock, document, GIVEN_UP, document["attempts"], fault))

        return given_up

    def _replace(self, entry: Entry) -> None:
        """Put it in the place of the attempt that it tells the end of."""
        for place in range(len(self._kept) - 1, -1, -1):
            if self._kept[place][1:4] == entry[1:4]:
                self._kept[place] = entry
                return


def _entry(clock: Clock, document: Document, outcome: str, attempt: int, fault: Undelivered | None = None) -> Entry:
    source = next((arn for name in _SENDERS if (arn := _arn(document.get(name)))), "")
    error = "" if fault is None else f"{fault.code}: {fault.message}"[:_ERROR_CHARS]
    return Entry(
        clock.now(), source, _arn(document.get("target")) or str(document.get("endpoint", "")), document["id"], outcome, attempt, error
    )


def _arn(given: Any) -> str:
    found = given.get("Arn", "") if isinstance(given, dict) else given
    return found if isinstance(found, str) else ""


def _is(each: str, arn: str) -> bool:
    return each == arn or each.startswith(f"{arn}:")


def _of(arn: str, service: str) -> bool:
    return arn.startswith("arn:") and arn.split(":", 3)[2] == service


def rows(entries: Iterable[Entry]) -> list[list[Any]]:
    """For JSON: the members in their order, `at` in seconds."""
    return [[entry.at / 1000, *entry[1:]] for entry in entries]
