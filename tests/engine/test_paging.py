"""Page tokens: good for the list that gave them out, for a day, and for nothing else."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.engine import paging
from stepwell.engine.errors import ApiError

NOW = 1_700_000_000_000
QUESTIONS = st.lists(st.none() | st.booleans() | st.text(max_size=8), max_size=4)
KEYS = st.lists(st.integers(min_value=0) | st.text(max_size=8), min_size=1, max_size=3).map(tuple)


def refuses(question: list[object], now: int, token: str) -> bool:
    try:
        paging.read(question, now, token)
    except ApiError as error:
        assert (error.code, error.message) == ("InvalidToken", "Invalid Token: 'Invalid token'")
        return True
    return False


@given(QUESTIONS, KEYS, st.integers(0, paging.DAY_MS))
def test_a_token_leads_on(question: list[object], key: tuple[int | str, ...], later: int) -> None:
    token = paging.token(question, NOW, *key)
    assert paging.read(question, NOW + later, token) == key
    assert refuses(question, NOW + paging.DAY_MS + 1, token)


@given(QUESTIONS, QUESTIONS, KEYS)
def test_a_token_is_no_other_lists(question: list[object], other: list[object], key: tuple[int | str, ...]) -> None:
    if json.dumps(question) != json.dumps(other):
        assert refuses(other, NOW, paging.token(question, NOW, *key))


@given(QUESTIONS, KEYS, st.data())
def test_a_changed_token_is_none(question: list[object], key: tuple[int | str, ...], data: st.DataObject) -> None:
    content = bytearray(base64.urlsafe_b64decode(paging.token(question, NOW, *key)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    assert refuses(question, NOW, base64.urlsafe_b64encode(bytes(content)).decode())


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_garbage_is_refused(text: str) -> None:
    assert refuses([], NOW, text)


@pytest.mark.parametrize(
    "text", ["", "bnVsbA==", base64.urlsafe_b64encode(b"[" * 10_000).decode(), base64.urlsafe_b64encode(b'["x"]').decode()]
)
def test_what_is_json_and_no_token(text: str) -> None:
    assert refuses([], NOW, text)
