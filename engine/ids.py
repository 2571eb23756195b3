"""Random UUIDs (version 4) as text, at a fifth of what uuid.uuid4() and str() take: every execution
needs two. Names made from them.
"""

import hashlib
import os
import struct
from collections.abc import Callable
from typing import Final

_AT_ONCE: Final = 128  # of the system's randomness: 2 KB
# of all of them at once: the random bits, and the version and the variant
_RANDOM: Final = int("ffffffffffff0fff3fffffffffffffff" * _AT_ONCE, 16)
_FIXED: Final = int("00000000000040008000000000000000" * _AT_ONCE, 16)
_PARTS: Final = struct.Struct("8s4s4s4s12s")  # of the digits of one


def uuids() -> Callable[[], str]:
    """A source of them. Not to be shared by threads."""
    pool: list[str] = []

    def draw() -> str:
        if not pool:
            bits = int.from_bytes(os.urandom(16 * _AT_ONCE), "big")
            digits = (bits & _RANDOM | _FIXED).to_bytes(16 * _AT_ONCE, "big").hex().encode()
            pool.extend(b" ".join(map(b"-".join, _PARTS.iter_unpack(digits))).decode().split())
        return pool.pop()

    return draw


def derived(secret: str, purpose: str, *parts: int) -> str:
    """32 hex digits: the same for the same arguments. The secret cannot be derived from them."""
    return hashlib.blake2b(
        ":".join((secret, purpose, *map(str, parts))).encode(), digest_size=16
    ).hexdigest()
