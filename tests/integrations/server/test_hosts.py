"""The checks of Host and Origin."""

import pytest

from stepwell.engine.errors import ApiError
from stepwell.integrations.server.host_check import HostCheck, is_loopback

GOOD = [
    *(
        "localhost",
        "localhost:8083",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:8083",
        "127.3.4.5",
        "[::1]",
        "[::1]:8083",
    ),
    *(
        "sync-localhost:8083",
        "sync-127.0.0.1:8083",
        "states.localhost",
        "sync-states.localhost:1",
        None,
    ),
    *("stepwell", "stepwell:8083", "sync-stepwell", "a.dev.test", "sync-a.dev.test"),
]
BAD = [
    *(
        "evil.example",
        "evil.example:8083",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evillocalhost",
        "sync-evil.example",
    ),
    *(
        "sync-sync-localhost",
        "10.0.0.1",
        "0.0.0.0",
        "[::2]",
        "",
        "localhost:",
        "localhost:x",
        "a@localhost",
        "localhost/x",
        " localhost",
    ),
    *("dev.test", "adev.test", "stepwell.evil.example", "2130706433", "localhost\n", "[localhost]"),
]


@pytest.mark.parametrize("host", GOOD)
def test_names_of_this_machine_and_allowed_ones_may_call(host: str | None):
    hosts = HostCheck(["Stepwell", "*.dev.test"])
    hosts.check(host, None)
    hosts.check(host, None)  # also when it was seen before


@pytest.mark.parametrize("host", BAD)
def test_other_names_may_not_call(host: str):
    hosts = HostCheck(["Stepwell", "*.dev.test"])
    for _ in range(2):
        with pytest.raises(ApiError, match="AccessDeniedException"):
            hosts.check(host, None)
    HostCheck(None).check(host, None)  # on other addresses than loopback, the signature counts


def test_a_page_may_call_only_its_own_origin():
    hosts = HostCheck()
    hosts.check("localhost:8083", "http://localhost:8083")
    hosts.check("localhost:8083", "https://localhost:8083")  # behind a proxy that terminates TLS
    for origin in (
        "http://localhost:3000",
        "http://localhost",
        "https://evil.example",
        "null",
        "",
        "file://",
        "http://127.0.0.1:8083",
    ):
        with pytest.raises(ApiError, match="AccessDeniedException"):
            hosts.check("localhost:8083", origin)
        with pytest.raises(ApiError, match="AccessDeniedException"):
            HostCheck(None).check("localhost:8083", origin)


def test_loopback():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.1", "example.com", "")))
