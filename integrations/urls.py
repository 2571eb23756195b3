"""URLs as causes, histories and logs may show them: without query, fragment, name and password,
where secrets are kept.
"""

from __future__ import annotations

import re
from typing import Final

_PEOPLE: Final = re.compile(r"//[^/?#]*@")
_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>]*")


def public_url(url: str) -> str:
    """One URL, be it one that nobody can read."""
    return _PEOPLE.sub("//", re.split("[?#]", url, maxsplit=1)[0])


def public_text(text: str) -> str:
    """A text with the URLs in it."""
    return _URL.sub(lambda found: public_url(found[0]), text) if "://" in text else text
