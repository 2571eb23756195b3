"""URLs for causes, histories and logs: without query, fragment, name and password, which may be
secrets.
"""

from __future__ import annotations

import re
from typing import Final

_USER_INFO: Final = re.compile(r"//[^/?#]*@")
_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>]*")


def public_url(url: str) -> str:
    """One URL, also an invalid one."""
    return _USER_INFO.sub("//", re.split("[?#]", url, maxsplit=1)[0])


def public_text(text: str) -> str:
    """A text with public URLs in place of its URLs."""
    return _URL.sub(lambda found: public_url(found[0]), text) if "://" in text else text
