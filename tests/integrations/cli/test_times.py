"""Times that the command takes: in the zone of this machine if they name none, and every form in
which it prints them.
"""

import time
from datetime import UTC, datetime

import pytest

from stepwell.engine.search import instants
from stepwell.engine.search.queries import read as read_query
from stepwell.integrations.cli.clients import selection
from stepwell.integrations.cli.output.text import ndjson, when
from stepwell.integrations.errors import UsageError

AT = datetime(2026, 11, 28, 11, 24, 8, tzinfo=UTC).timestamp()


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28T11:24:08Z", "2026-11-28T12:24:08+01:00", "2026-11-28 12:24:08 +01:00",
        "2026-11-28 11:24:08 UTC", "2026-11-28 12:24:08", "2026-11-28T12:24:08.000",
    ],
)  # fmt: skip
def test_forms_of_an_instant(text):
    assert instants.seconds(text, 0, None) == AT
    assert selection.read({"since": text}).since == AT


@pytest.mark.usefixtures("berlin")
def test_what_is_printed_is_accepted():
    for utc in (False, True):
        assert instants.seconds(when(AT, True, utc), 0, None) == AT
    assert when(AT) == "2026-11-28 12:24:08 +01:00"


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["started>=2026-11-28"], "2026-11-28T00:00:00+01:00"),
        (["status=FAILED", "started>=2026-11-28T12:24:08"], "2026-11-28T12:24:08+01:00"),
        (["started>=2026-11-28 12:24:08"], "2026-11-28T12:24:08+01:00"),
        (["started>=2026-11-28T12:24:08Z"], "2026-11-28T12:24:08+00:00"),
        (["started>=2026-11-28 12:24:08 UTC"], "2026-11-28T12:24:08+00:00"),
    ],
)
def test_a_query_has_the_same_zone_as_an_option(words, start):
    expected = datetime.fromisoformat(start).timestamp() * 1000
    assert selection.read({}, words).search().started.start == expected


@pytest.mark.usefixtures("berlin")
def test_attributes_are_left_as_they_are():
    query = 'started_by=2026-11-28 note="started>=2026-11-28"'
    assert selection.read({}, [query]).query == query


def test_the_api_takes_utc():
    search = read_query("started>=2026-11-28", 0, lambda name: name)
    assert search.started.start == datetime(2026, 11, 28, tzinfo=UTC).timestamp() * 1000


@pytest.mark.parametrize("text", ["rubbish", "2026-13-01", "9" * 30, "", "0001-01-01"])
def test_what_is_no_time(text):
    with pytest.raises(UsageError, match=r"--since .*not a time"):
        selection.read({"since": text})


def test_times_of_json_have_a_zone():
    for name in ("startDate", "updateDate", "redriveDate", "since"):
        assert ndjson({name: AT}) == f'{{"{name}":"2026-11-28T11:24:08.000+00:00"}}'
