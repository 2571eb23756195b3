"""Page tokens: opaque to callers, bound to one question, good for a day.

A token says where the page before ended. It carries a digest of that, of the question (operation and filters) and of the time it was
given out, so that the token of another list, a garbled one and an old one are all refused: InvalidToken.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from stepwell.asl import messages
from stepwell.asl.limits import Limits
from stepwell.engine.errors import ApiError

DAY_MS: Final = 24 * 3600 * 1000


def _digest(question: Sequence[object], issued: int, key: Sequence[object]) -> str:
    return hashlib.blake2b(json.dumps([question, issued, key]).encode(), digest_size=9).hexdigest()


def token(question: Sequence[object], now: int, *key: int | str) -> str:
    """The nextToken after a page that ended with `key`."""
    return base64.urlsafe_b64encode(json.dumps([_digest(question, now, key), now, *key]).encode()).decode()


def read(question: Sequence[object], now: int, next_token: str | None) -> Any:
    """The key in a nextToken, a tuple; None without a token. Raises ApiError InvalidToken."""
    if next_token is None:
        return None
    try:
        proof, issued, *key = json.loads(base64.urlsafe_b64decode(next_token.encode()))
        fits = proof == _digest(question, issued, key) and now - issued <= DAY_MS
    except (ValueError, TypeError, RecursionError):
        fits = False
    if not fits:
        raise ApiError("InvalidToken", messages.INVALID_TOKEN)
    return tuple(key)


def size(max_results: int | None, most: int, limits: Limits) -> int:
    """How many items a page has: 0 and None ask for the default."""
    return min(max_results or limits.page_default, most)
