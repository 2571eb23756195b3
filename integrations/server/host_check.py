"""Checks Host, Origin and Sec-Fetch-Site of a request, so that pages of other origins cannot call
the server through a browser.

A page of evil.example can point that name at 127.0.0.1 (DNS rebinding), but then the browser sends
Host: evil.example. It can also post to http://localhost:8083, but then the browser sends Origin:
https://evil.example. Requests of images, frames and scripts have no Origin, but Sec-Fetch-Site:
cross-site (of another port: same-site). SDKs send neither; their Host is the one of their
configuration, with the prefix `sync-` for StartSyncExecution and TestState.

Links to the console, and those that a topic sends, may be on any page: to navigate is not to embed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.server import messages

REFUSED: Final = "AccessDeniedException"
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?\Z")
_KEPT: Final = 256


def is_cross_site(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser reports that a page of another origin caused a request. Older browsers and
    other clients report nothing.
    """
    return headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin")


def is_navigation(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a window navigates to the requested page, which is neither embedded in another page
    nor prefetched.
    """
    target = headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest")
    navigates = target == (b"navigate", b"document")
    return method == "GET" and navigates and b"sec-purpose" not in headers


def is_browser(headers: Mapping[bytes, bytes]) -> bool:
    return b"origin" in headers or b"sec-fetch-site" in headers


def is_loopback(address: str) -> bool:
    """Whether only this machine can connect to an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class HostCheck:
    """allowed: names besides those of loopback, `*.NAME` for all names below NAME; None: any Host,
    because requests are signed.
    """

    def __init__(self, allowed: Iterable[str] | None = ()) -> None:
        self._any = allowed is None
        self._names = {
            name.lower().rstrip(".") for name in allowed or () if not name.startswith("*.")
        }
        self._suffixes = tuple(
            name[1:].lower().rstrip(".") for name in allowed or () if name.startswith("*.")
        )
        self._seen: set[str] = set()  # Host headers that were checked before: a cache

    def check(self, host: str | None, origin: str | None) -> None:
        """Raises ApiError. host: None from a client of HTTP/1.0, which no browser is."""
        if host is not None and not self._any and host not in self._seen:
            if not self._ours(host):
                raise ApiError(REFUSED, messages.WRONG_HOST.format(host=host[:255]))
            if len(self._seen) < _KEPT:
                self._seen.add(host)
        if origin is not None and origin.partition("://")[2] != (host or ""):
            raise ApiError(REFUSED, messages.WRONG_ORIGIN.format(origin=origin[:255]))

    def _ours(self, host: str) -> bool:
        match = _HOST.match(host)
        if match is None:
            return False
        name = match[1].strip("[]").lower().rstrip(".")
        return any(self._allowed(each) for each in (name, name.removeprefix("sync-")))

    def _allowed(self, name: str) -> bool:
        return (
            name in self._names
            or name.endswith(self._suffixes)
            or name.endswith(".localhost")
            or is_loopback(name)
        )
