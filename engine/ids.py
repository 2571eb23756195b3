"""Random UUIDs (version 4) as text, at a fifth of what uuid.uuid4() and str() take: every execution
needs two. Names made from them.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Final

_AT_ONCE: Final = 128  # of the system's randomness: 2 KB


def uuids() -> Callable[[], str]:
    """A source of them. Not to be shared by threads."""
    pool: list[str] = []

    def draw() -> str:
        if not pool:
            digits = os.urandom(16 * _AT_ONCE).hex()
            pool.extend(digits[at : at + 32] for at in range(0, len(digits), 32))
        text = pool.pop()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"

    return draw


def derived(secret: str, purpose: str, *parts: int) -> str:
    """32 hex digits: the same for the same arguments. The secret cannot be derived from them."""
    return hashlib.blake2b(
        ":".join((secret, purpose, *map(str, parts))).encode(), digest_size=16
    ).hexdigest()
