"""What was delivered lately, for who looks: the console. In memory only, the latest ones; nothing
depends on it.

An attempt of a rule, schedule, topic or destination is noted when it is over and what it stored is
durable, and so is each call of a function.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stepwell.engine.clock import Clock
from stepwell.engine.tasks import Transaction, together
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.common.deliveries import Undelivered
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.runtime.pool import Answer, Call

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

DELIVERED, FAILED, GIVEN_UP, RAN = "delivered", "failed", "given up", "ran"
_ERROR_CHARS: Final = 400
Deliver = Callable[[Document], Awaitable[Transaction[Any] | None]]
GiveUp = Callable[[Document, Undelivered, str], Awaitable[None]]


class Entry(NamedTuple):
    """at: epoch ms; source, target: ARNs, source "" where it is not known; attempt: from 1; error:
    why not, or "".
    """

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
        """One that is given up takes the place of the attempt that failed last."""
        if entry.outcome == GIVEN_UP:
            for place in range(len(self._kept) - 1, -1, -1):
                if self._kept[place][1:4] == entry[1:4]:
                    self._kept[place] = entry
                    return
        self._kept.append(entry)

    def of(self, arn: str = "", service: str = "", most: int = 100) -> list[Entry]:
        """The latest ones from or to an ARN (or what is below it: versions of a function), or a
        service; the newest first.
        """
        found = list[Entry]()
        for entry in reversed(self._kept):
            if len(found) == most:
                break
            if any(
                _is(each, arn) if arn else _of(each, service)
                for each in (entry.source, entry.target)
            ):
                found.append(entry)
        return found

    def called(self, clock: Clock, call: Call, answer: Answer) -> None:
        """A function has answered."""
        told = answer.value if answer.failed and isinstance(answer.value, dict) else {}
        error = ": ".join(
            str(told[name]) for name in ("errorType", "errorMessage") if told.get(name)
        )[:_ERROR_CHARS]
        self.note(
            Entry(
                clock.now(),
                "",
                call.arn,
                call.request_id,
                FAILED if answer.failed else RAN,
                1,
                error,
            )
        )


def explained(fault: Undelivered | None) -> str:
    return "" if fault is None else f"{fault.code}: {fault.message}"[:_ERROR_CHARS]


def watched(host: Host, source: str, deliver: Deliver, give_up: GiveUp) -> tuple[Deliver, GiveUp]:
    """What Deliveries is given: the same, with each attempt noted. source: the member of a document
    with the ARN that it comes from.
    """

    def entry(
        document: Document, outcome: str, attempt: int, fault: Undelivered | None = None
    ) -> Entry:
        about = document[source], document["target"]["Arn"], document["id"], outcome, attempt
        return Entry(host.clock.now(), *about, explained(fault))

    async def delivered(document: Document) -> Transaction[Any] | None:
        attempt = document["attempts"] + 1
        try:
            transaction = await deliver(document)
        except Undelivered as fault:
            host.services.recent.note(entry(document, FAILED, attempt, fault))
            raise
        noted = Transaction(
            None, {}, lambda: host.services.recent.note(entry(document, DELIVERED, attempt))
        )
        return together([transaction, noted] if transaction else [noted])

    async def given_up(document: Document, fault: Undelivered, limit: str) -> None:
        await give_up(document, fault, limit)
        host.services.recent.note(entry(document, GIVEN_UP, document["attempts"], fault))

    return delivered, given_up


def _is(each: str, arn: str) -> bool:
    return each == arn or each.startswith(f"{arn}:")


def _of(arn: str, service: str) -> bool:
    return arn.startswith("arn:") and arn.split(":", 3)[2] == service


def rows(entries: Iterable[Entry]) -> list[list[Any]]:
    """For JSON: the members in their order, `at` in seconds."""
    return [[entry.at / 1000, *entry[1:]] for entry in entries]
