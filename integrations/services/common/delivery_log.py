"""The latest deliveries, for the console. In memory only; nothing depends on them.

An attempt of a rule, schedule, topic or destination is noted when it has ended and its writes are
durable, and so is each call of a function.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple

from stepwell.engine.clock import Clock
from stepwell.engine.tasks import Transaction, together
from stepwell.integrations.host import Host
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.common.deliveries import DeliveryError
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.runtime.pool import Answer, Call

DELIVERED, FAILED, GIVEN_UP, RAN = "delivered", "failed", "given up", "ran"
_ERROR_CHARS: Final = 400
Deliver = Callable[[Document], Awaitable[Transaction[Any] | None]]
GiveUp = Callable[[Document, DeliveryError, str], Awaitable[None]]


class Entry(NamedTuple):
    """at: epoch ms; source, target: ARNs, source "" if unknown; attempt: from 1; error: why it
    failed, or "".
    """

    at: int
    source: str
    target: str
    id: str
    outcome: str
    attempt: int = 1
    error: str = ""


class DeliveryLog:
    def __init__(self, most: int = DEFAULT_LIMITS.deliveries_remembered) -> None:
        self._entries: deque[Entry] = deque(maxlen=most)

    def note(self, entry: Entry) -> None:
        """A delivery that is given up replaces its last failed attempt."""
        if entry.outcome == GIVEN_UP:
            for place in range(len(self._entries) - 1, -1, -1):
                if self._entries[place][1:4] == entry[1:4]:
                    self._entries[place] = entry
                    return
        self._entries.append(entry)

    def of(self, arn: str = "", service: str = "", most: int = 100) -> list[Entry]:
        """The latest entries from or to an ARN (or one below it: versions of a function), or a
        service; the newest first.
        """
        found = list[Entry]()
        for entry in reversed(self._entries):
            if len(found) == most:
                break
            if any(
                _is_at_or_below(each, arn) if arn else _is_of_service(each, service)
                for each in (entry.source, entry.target)
            ):
                found.append(entry)
        return found

    def called(self, clock: Clock, call: Call, answer: Answer) -> None:
        """Note a call of a function."""
        value = answer.value if answer.failed and isinstance(answer.value, dict) else {}
        error = ": ".join(
            str(value[name]) for name in ("errorType", "errorMessage") if value.get(name)
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


def explained(error: DeliveryError | None) -> str:
    return "" if error is None else f"{error.code}: {error.message}"[:_ERROR_CHARS]


def watched(host: Host, source: str, deliver: Deliver, give_up: GiveUp) -> tuple[Deliver, GiveUp]:
    """The arguments `deliver` and `give_up` of Deliveries, noting each attempt. source: the member
    of a document with the ARN that it comes from.
    """

    def entry(
        document: Document, outcome: str, attempt: int, error: DeliveryError | None = None
    ) -> Entry:
        about = document[source], document["target"]["Arn"], document["id"], outcome, attempt
        return Entry(host.clock.now(), *about, explained(error))

    async def delivered(document: Document) -> Transaction[Any] | None:
        attempt = document["attempts"] + 1
        try:
            transaction = await deliver(document)
        except DeliveryError as error:
            host.services.delivery_log.note(entry(document, FAILED, attempt, error))
            raise
        noted = Transaction(
            None, {}, lambda: host.services.delivery_log.note(entry(document, DELIVERED, attempt))
        )
        return together([transaction, noted] if transaction else [noted])

    async def given_up(document: Document, error: DeliveryError, limit: str) -> None:
        await give_up(document, error, limit)
        host.services.delivery_log.note(entry(document, GIVEN_UP, document["attempts"], error))

    return delivered, given_up


def _is_at_or_below(each: str, arn: str) -> bool:
    return each == arn or each.startswith(f"{arn}:")


def _is_of_service(arn: str, service: str) -> bool:
    return arn.startswith("arn:") and arn.split(":", 3)[2] == service


def rows(entries: Iterable[Entry]) -> list[list[Any]]:
    """For JSON: the members in their order, `at` in seconds."""
    return [[entry.at / 1000, *entry[1:]] for entry in entries]
