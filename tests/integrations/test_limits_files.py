"""Files of limits: what they change, what follows, and what is wrong with them."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from tests.conftest import ROOT

from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.limits_files import (
    FIXED,
    FOLLOWERS,
    LEAST,
    MOST,
    ORDERED,
    LimitsFileError,
    changed,
    read_limits,
)

NAMES = {each.name for each in fields(Limits)}


def read(folder: Path, text: str, name: str = "limits.yaml") -> Limits:
    (folder / name).write_text(text)
    return read_limits(folder / name)


def faults(folder: Path, text: str, name: str = "limits.yaml") -> list[str]:
    with pytest.raises(LimitsFileError) as caught:
        read(folder, text, name)
    return [fault.removeprefix(f"{folder}/") for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("limits.yaml", "# of our own\nhistory_events: 1000000\njsonata_seconds: 2\n"),
        ("limits.YML", "{history_events: 0xF4240, jsonata_seconds: 2.0}"),
        ("limits.json", '{"history_events": 1000000, "jsonata_seconds": 2}'),
        ("limits", '{"history_events": 1000000, "jsonata_seconds": 2}'),
    ],
)
def test_a_file_names_what_differs(tmp_path: Path, name: str, text: str) -> None:
    limits = read(tmp_path, text, name)
    assert changed(limits) == {"history_events": (1_000_000, 25_000), "jsonata_seconds": (2.0, 1.0)}
    assert type(limits.jsonata_seconds) is float


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "{}"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == DEFAULT_LIMITS
    assert changed(DEFAULT_LIMITS) == {}


def test_what_carries_payloads_is_raised_with_them(tmp_path: Path) -> None:
    limits = read(tmp_path, "payload_bytes: 4194304")
    assert limits.variables_bytes == DEFAULT_LIMITS.variables_bytes  # is large enough
    assert limits.request_bytes == 4 * limits.payload_bytes
    assert limits.message_bytes == limits.outbound_response_bytes == limits.payload_bytes
    own = read(tmp_path, "payload_bytes: 4194304\nvariable_bytes: 1000\nmessage_bytes: 8000000")
    assert (own.variable_bytes, own.message_bytes) == (1_000, 8_000_000)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "payload_byte: 9",
            "1:1: payload_byte: there is no such limit; did you mean payload_bytes?",
        ),
        ("\nzzz: 1", "2:1: zzz: there is no such limit"),
        ("__doc__: 1", "1:1: __doc__: there is no such limit"),
        ("queues: 1.5", "1:1: queues: must be a whole number, such as 10000, not 1.5"),
        ("queues: true", "1:1: queues: must be a whole number, such as 10000, not true"),
        ("queues: 5k", '1:1: queues: must be a whole number, such as 10000, not "5k"'),
        ("mail_seconds: [3]", "1:1: mail_seconds: must be a number, such as 30.0, not [3]"),
        ("queues: 0", "1:1: queues: must be at least 1"),
        ("purge_seconds: -1", "1:1: purge_seconds: must be at least 0"),
        ("mail_seconds: 0", "1:1: mail_seconds: must be more than 0"),
        ("mail_seconds: 1e300", "1:1: mail_seconds: must be at most 3,153,600,000"),
        (
            "history_events: 9",
            "1:1: history_events: must be at least 10: an execution needs a few events to start "
            "and to fail",
        ),
        (
            "payload_bytes: 99999999",
            "1:1: payload_bytes: must be at most 67,108,864: pass larger data by reference, such "
            "as an object in S3",
        ),
        (
            "payload_depth: 9",
            "1:1: payload_depth: cannot be changed: the JSON parser has it, as that of AWS does",
        ),
        (
            "payload_bytes: 4194304\nrequest_bytes: 5000000",
            "2:1: request_bytes: 5,000,000 is too low for payload_bytes (4,194,304): set it to at "
            "least 16,777,216, or lower payload_bytes",
        ),
        (
            "list_page: 50",
            "1:1: list_page: 50 is too low for page_default (100): set it to at least 100, or "
            "lower page_default",
        ),
        (
            "jsonata_inline_steps: 3000000",
            "1:1: jsonata_inline_steps: 3,000,000 is too high for jsonata_steps (2,000,000): lower "
            "it, or set jsonata_steps, too",
        ),
        ("- 1", "1:1: must have names of limits and their values, such as payload_bytes: 1048576"),
        ("queues: 1\nqueues: 2", "2:1: duplicate key 'queues', also at 1:1"),
        ("queues: .inf", "1:9: .inf has no JSON form"),
    ],
)
def test_each_fault_has_its_place_and_its_mend(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(tmp_path, text) == [f"limits.yaml:{fault}"]


def test_faults_of_json(tmp_path: Path) -> None:
    assert faults(tmp_path, '{\n "queues": 1,\n "queues": 2}', "limits.json") == [
        "limits.json:3:2: queues: is in the file twice"
    ]
    (fault,) = faults(tmp_path, '{"queues": }', "limits.json")
    assert fault.startswith("limits.json:1:13: not JSON: ")
    with pytest.raises(LimitsFileError, match=r"nothing\.json: No such file"):
        read_limits(tmp_path / "nothing.json")
    assert faults(tmp_path, "#" * 70_000) == ["limits.yaml: larger than 65,536 bytes"]


def test_all_faults_are_reported(tmp_path: Path) -> None:
    assert len(faults(tmp_path, "queue: 1\nqueues: 0\npurge_seconds: -1\nlist_page: 5")) == 3


def test_the_rules_name_limits_and_the_defaults_keep_them() -> None:
    named = {*FIXED, *LEAST, *MOST}
    named |= {name for each in FOLLOWERS for name in (each.name, each.leader)}
    assert named | {name for pair in ORDERED for name in pair} <= NAMES
    for name, (least, _) in LEAST.items():
        assert getattr(DEFAULT_LIMITS, name) >= least, name
    for name, (most, _) in MOST.items():
        assert getattr(DEFAULT_LIMITS, name) <= most, name
    for follower in FOLLOWERS:
        least = follower.factor * getattr(DEFAULT_LIMITS, follower.leader)
        assert getattr(DEFAULT_LIMITS, follower.name) >= least, follower
    for smaller, larger in ORDERED:
        assert getattr(DEFAULT_LIMITS, smaller) <= getattr(DEFAULT_LIMITS, larger), smaller


def test_every_limit_can_be_set_to_its_default(tmp_path: Path) -> None:
    values = {name: getattr(DEFAULT_LIMITS, name) for name in NAMES - FIXED.keys()}
    assert read(tmp_path, json.dumps(values), "limits.json") == DEFAULT_LIMITS


def test_the_page_names_every_follower() -> None:
    text = (ROOT / "docs" / "how-to" / "raise-limits.md").read_text()
    assert [each.name for each in FOLLOWERS if f"`{each.name}`" not in text] == []
    assert [name for name in FIXED if f"`{name}`" not in text] == []
