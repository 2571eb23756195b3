"""Page tokens: good for the list that gave them out, for a day, and for nothing else."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock
from stepwell.engine.errors import ApiError
from stepwell.engine.operations import paging

CLOCK = ManualClock()
PAGES = paging.Pages(lambda: b"a key", CLOCK)
QUESTIONS = st.lists(st.none() | st.booleans() | st.text(max_size=8), max_size=4)
KEYS = st.lists(st.integers(min_value=0) | st.text(max_size=8), min_size=1, max_size=3).map(tuple)


def refuses(question: list[object], token: str, pages: paging.Pages = PAGES) -> bool:
    try:
        pages.read(question, token)
    except ApiError as error:
        assert (error.code, error.message) == ("InvalidToken", "Invalid Token: 'Invalid token'")
        return True
    return False


@given(QUESTIONS, KEYS, st.integers(0, paging.DAY_MS))
def test_a_token_leads_on(question: list[object], key: tuple[int | str, ...], later: int) -> None:
    clock = ManualClock()
    pages = paging.Pages(lambda: b"a key", clock)
    token = pages.token(question, *key)
    clock.advance(later)
    assert pages.read(question, token) == key
    clock.advance(paging.DAY_MS + 1 - later)
    assert refuses(question, token, pages)


@given(QUESTIONS, QUESTIONS, KEYS)
def test_a_token_is_no_other_lists(
    question: list[object], other: list[object], key: tuple[int | str, ...]
) -> None:
    if json.dumps(question) != json.dumps(other):
        assert refuses(other, PAGES.token(question, *key))


@given(QUESTIONS, KEYS)
def test_a_token_of_another_database_is_none(
    question: list[object], key: tuple[int | str, ...]
) -> None:
    assert refuses(question, paging.Pages(lambda: b"another", CLOCK).token(question, *key))


@given(QUESTIONS, KEYS, st.integers(0, 2**50))
def test_tokens_cannot_be_forged(
    question: list[object], key: tuple[int | str, ...], issued: int
) -> None:
    """As it could be made when its digest had no key."""
    for made in ([question, issued, list(key)], [question, issued, key]):
        for size in (9, 16):
            digest = hashlib.blake2b(json.dumps(made).encode(), digest_size=size).hexdigest()
            assert refuses(
                question,
                base64.urlsafe_b64encode(json.dumps([digest, issued, *key]).encode()).decode(),
            )


async def test_a_token_outlives_the_process_and_not_its_database(tmp_path: Path) -> None:
    async def listed(path: Path, token: str | None = None) -> dict[str, Any]:
        async with Engine(path) as engine:
            for name in ("a", "b"):
                await engine.create_activity(name)
            return dict(await engine.list_activities(max_results=1, next_token=token))

    first = await listed(tmp_path / "one.db")
    second = await listed(tmp_path / "one.db", first["nextToken"])
    assert [each["name"] for each in (*first["activities"], *second["activities"])] == ["a", "b"]
    with pytest.raises(ApiError, match="InvalidToken"):
        await listed(tmp_path / "two.db", first["nextToken"])


@given(QUESTIONS, KEYS, st.data())
def test_a_changed_token_is_none(
    question: list[object], key: tuple[int | str, ...], data: st.DataObject
) -> None:
    content = bytearray(base64.urlsafe_b64decode(PAGES.token(question, *key)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    assert refuses(question, base64.urlsafe_b64encode(bytes(content)).decode())


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_garbage_is_refused(text: str) -> None:
    assert refuses([], text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bnVsbA==",
        base64.urlsafe_b64encode(b"[" * 10_000).decode(),
        base64.urlsafe_b64encode(b'["x"]').decode(),
    ],
)
def test_what_is_json_and_no_token(text: str) -> None:
    assert refuses([], text)
