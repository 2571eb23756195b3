"""Page tokens: opaque to callers, bound to one question, valid for a day.

A token says where its page ended. It carries a digest of that, of the question (operation and
filters) and of the time it was issued, keyed with the secret of the database. A forged, damaged or
expired token, and that of another list or database, is refused: InvalidToken.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from stepwell.engine import messages
from stepwell.engine.clock import Clock
from stepwell.engine.errors import ApiError
from stepwell.engine.limits import Limits

DAY_MS: Final = 24 * 3600 * 1000
T = TypeVar("T")


class Pages:
    """Issues page tokens and reads them again. secret: the key of the digests, once the store is
    open.
    """

    def __init__(self, secret: Callable[[], bytes], clock: Clock) -> None:
        self._secret, self._clock = secret, clock

    def token(self, question: Sequence[object], *key: int | str) -> str:
        """The nextToken after a page that ended with `key`."""
        now = self._clock.now()
        return base64.urlsafe_b64encode(
            json.dumps([self._digest(question, now, key), now, *key]).encode()
        ).decode()

    def read(self, question: Sequence[object], next_token: str | None) -> Any:
        """The key in a nextToken, a tuple; None without a token. Raises ApiError InvalidToken."""
        if next_token is None:
            return None
        try:
            proof, issued, *key = json.loads(base64.urlsafe_b64decode(next_token.encode()))
            fits = (
                hmac.compare_digest(proof, self._digest(question, issued, key))
                and self._clock.now() - issued <= DAY_MS
            )
        except (ValueError, TypeError, RecursionError):
            fits = False
        if not fits:
            raise ApiError("InvalidToken", messages.INVALID_TOKEN)
        return tuple(key)

    def page(
        self,
        question: Sequence[object],
        items: Sequence[T],
        size: int,
        next_token: str | None,
        member: str = "NextToken",
    ) -> tuple[Sequence[T], dict[str, str]]:
        """(the items of a page, {member: the token of the next one} if there are more), for a list
        that is in memory. Raises ApiError InvalidToken.
        """
        (begin,) = self.read(question, next_token) or (0,)
        end = begin + size
        more = {member: self.token(question, end)} if len(items) > end else {}
        return items[begin:end], more

    def _digest(self, question: Sequence[object], issued: int, key: Sequence[object]) -> str:
        signed = json.dumps([question, issued, key]).encode()
        return hashlib.blake2b(signed, digest_size=16, key=self._secret()).hexdigest()


def size(max_results: int | None, most: int, limits: Limits) -> int:
    """How many items a page has; 0 and None mean the default."""
    return min(max_results or limits.page_default, most)
