"""Where calls may go to, and what causes and logs show of their URLs."""

import ipaddress
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integrations.services.embedded_engine import EmbeddedEngine

from stepwell.integrations.aws.http_client import refusal
from stepwell.integrations.aws.urls import public_text, public_url
from stepwell.integrations.server.log import Format, Formatter

METADATA, LOOPBACK, PUBLIC = "169.254.169.254", "127.0.0.1", "93.184.216.34"
# how an IPv6 address can carry one of IPv4 in its last bits
CARRIED = ["::ffff:{}", "64:ff9b::{}", "64:ff9b:1::{}", "64:ff9b:1:a:b::{}", "::ffff:0:{}", "::{}"]
LOCAL = [
    *(
        "64:ff9b:1::1",
        "64:ff9b:1:ffff::5db8:d822",
        "::ffff:0:5db8:d822",
        "::5db8:d822",
        "::1",
        "fec0::1",
        "feff::1",
        "5f00::1",
        "5f00:ffff::1",
    ),
    *("fd00::1", "fc00::1", "10.0.0.1", "192.168.0.1", "127.0.0.1", "100.64.0.1", "2001:db8::1"),
]


@pytest.mark.parametrize("form", CARRIED)
def test_what_an_address_carries_is_judged(form: str) -> None:
    for inner, private in (
        (METADATA, True),
        (METADATA, False),
        (LOOPBACK, False),
        ("10.1.2.3", False),
    ):
        assert refusal(ipaddress.ip_address(form.format(inner)), private), (form, inner)
    assert not refusal(ipaddress.ip_address(form.format(LOOPBACK)), True)


@pytest.mark.parametrize("text", LOCAL)
def test_addresses_that_lead_nowhere_but_home_need_permission(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert refusal(address, False) and not refusal(address, True)


@pytest.mark.parametrize(
    "text", ["fe80::1", "ff02::1", "::", "fd00:ec2::254", "0.0.0.0", "224.0.0.1", METADATA]
)
def test_some_are_never_called(text: str) -> None:
    assert refusal(ipaddress.ip_address(text), True)


@pytest.mark.parametrize(
    "text",
    [PUBLIC, "2606:4700::1111", f"::ffff:{PUBLIC}", f"64:ff9b::{PUBLIC}", "2002:5db8:d822::1"],
)
def test_the_others_are(text: str) -> None:
    assert not refusal(ipaddress.ip_address(text), False)


@given(st.ip_addresses(v=6))
def test_private_addresses_in_other_notations_are_refused(address: ipaddress.IPv6Address) -> None:
    for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "fec0::/10", "5f00::/16"):
        inside = ipaddress.IPv6Network(network)
        assert refusal(inside[int(address) % inside.num_addresses], False)


# --- URLs -----------------------------------------------------------------------------------------

SECRET = "s3cr3t"
URLS = [
    f"https://h/p?token={SECRET}",
    f"https://me:{SECRET}@h/p",
    f"https://h/p#{SECRET}",
    f"h/p?{SECRET}",
    f"ftp://h/a b?x={SECRET}",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_loses_what_may_be_secret(url: str) -> None:
    assert SECRET not in public_url(url) and "h/" in public_url(url)


def test_so_do_those_in_a_text() -> None:
    text = (
        f'Could not connect to "https://me:{SECRET}@h/p?token={SECRET}" and '
        f"http://h/q?{SECRET}#{SECRET}, nor to h"
    )
    assert public_text(text) == 'Could not connect to "https://h/p" and http://h/q nor to h'
    assert public_text("what? no URL # here") == "what? no URL # here"


@pytest.mark.parametrize(
    ("task", "parameters"),
    [
        ("http:invoke", {"ApiEndpoint": f"ftp://h/x y?token={SECRET}", "Method": "GET"}),
        ("aws-sdk:s3:listObjectsV2", {"Bucket": "b", "Prefix": SECRET}),
        ("aws-sdk:sqs:sendMessage", {"QueueUrl": f"x?token={SECRET}", "MessageBody": "m"}),
    ],
)
async def test_a_cause_has_no_query(tmp_path: Path, task: str, parameters: dict[str, Any]) -> None:
    async with EmbeddedEngine(
        tmp_path / "house.db", endpoints={"s3": "http://127.0.0.1:1"}
    ) as house:
        ended = await house.task(task, parameters)
        assert ended["status"] == "FAILED"
        assert SECRET not in ended["cause"] and ended["cause"], ended


@pytest.mark.parametrize("format", list(Format))
def test_a_log_has_no_query(format: Format) -> None:
    def written(name: str) -> str:
        url = f"https://h/p?token={SECRET}"
        try:
            raise ValueError(url)
        except ValueError as error:
            info = (type(error), error, error.__traceback__)
        record = logging.LogRecord(name, logging.ERROR, "f", 1, "no answer from %s", (url,), info)
        record.fields = {"url": url, "ms": 1}
        text = Formatter(format).format(record)
        return json.dumps(json.loads(text)) if format is Format.JSON else text

    assert SECRET not in written("stepwell.sns") and "https://h/p" in written("stepwell.sns")
    assert SECRET in written("stepwell.functions")  # what users' functions print is theirs
