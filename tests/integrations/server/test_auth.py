"""Signature Version 4: whatever botocore signs is accepted, and nothing else."""

import datetime
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from stepwell.engine.clock import ManualClock
from stepwell.engine.errors import ApiError
from stepwell.integrations.server.sigv4 import Key, Verifier, read_credentials

NOW = 1_700_000_000_000
KEYS = {"AKID": Key("secret"), "ASIA": Key("other", "session")}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
TARGET = {
    "X-Amz-Target": "AWSStepFunctions.ListStateMachines",
    "Content-Type": "application/x-amz-json-1.0",
}


class Signed:
    """A request as it arrives at the server."""

    def __init__(self, request: AWSRequest) -> None:
        parts = urlsplit(request.url)
        self.method, self.path, self.query = request.method, parts.path or "/", parts.query
        headers = {"Host": parts.netloc, **dict(request.headers.items())}
        self.headers = [(name.encode(), str(value).encode()) for name, value in headers.items()]
        self.body: bytes = request.data or b""

    def check(self, keys: dict[str, Key] = KEYS, region: str = "us-east-1", now: int = NOW) -> str:
        return Verifier(keys, region, ManualClock(now)).check(
            self.method, self.path, self.query, self.headers, self.body
        )

    def header(self, name: str, value: str | None) -> "Signed":
        """The same with another value of a header, or without it."""
        self.headers = [each for each in self.headers if each[0].lower() != name.lower().encode()]
        if value is not None:
            self.headers.append((name.encode(), value.encode()))
        return self

    def value(self, name: str) -> str:
        return next(
            value.decode() for key, value in self.headers if key.lower() == name.lower().encode()
        )

    def code(self, **where: Any) -> str:
        with pytest.raises(ApiError) as refused:
            self.check(**where)
        return refused.value.code


@pytest.fixture(autouse=True)
def _at(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore signs at NOW."""
    freeze(monkeypatch, NOW)


def freeze(monkeypatch: pytest.MonkeyPatch, ms: int) -> None:
    moment = datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)
    monkeypatch.setattr(
        botocore.auth,
        "get_current_datetime",
        lambda remove_tzinfo=True: moment.replace(tzinfo=None),
    )


def sign(
    body: bytes = b"{}",
    url: str = "http://localhost:8083/",
    headers: dict[str, str] = TARGET,
    key: tuple[str, ...] = ("AKID", "secret"),
    scope: tuple[str, str] = ("states", "us-east-1"),
    signer: Any = SigV4Auth,
) -> Signed:
    request = AWSRequest("POST", url, dict(headers), body)
    signer(Credentials(*key), *scope).add_auth(request)
    return Signed(request)


def test_what_botocore_signs_is_accepted():
    assert sign().check() == "AKID"
    assert sign(key=("ASIA", "other", "session")).check() == "ASIA"
    assert sign(scope=("states", "eu-west-1")).check(region="eu-west-1") == "AKID"


@given(
    st.binary(max_size=200),
    st.dictionaries(
        st.from_regex(r"x-amz-meta-[a-z]{1,8}", fullmatch=True), st.text(" ab\t,=;/", max_size=12)
    ),
    st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=4),
    st.sampled_from(["localhost:8083", "127.0.0.1", "sync-states.local:81", "[::1]:9"]),
)
def test_any_body_headers_and_query_that_botocore_signs_are_accepted(body, headers, query, host):
    with pytest.MonkeyPatch.context() as patch:
        freeze(patch, NOW)
        pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
        prepared = f"http://{host}/{'?' if pairs else ''}{pairs}"
        assert sign(body, prepared, {**TARGET, **headers}).check() == "AKID"


def test_a_presigned_request_is_accepted_until_it_expires():
    def signer(*arguments: Any) -> SigV4QueryAuth:
        return SigV4QueryAuth(*arguments, expires=60)

    request = sign(b"", signer=signer)
    assert "X-Amz-Signature" in request.query
    assert request.check() == "AKID"
    assert request.check(now=NOW + 60_000) == "AKID"
    assert request.code(now=NOW + 60_001) == "RequestExpired"
    assert request.code(now=NOW - 16 * 60_000) == "InvalidSignatureException"
    request.query = request.query.replace("X-Amz-Expires=60", "X-Amz-Expires=61")
    assert request.code() == "InvalidSignatureException"
    request.query = request.query.replace("X-Amz-Expires=61", "X-Amz-Expires=9999999")
    assert request.code() == "IncompleteSignature"
    session = sign(b"", key=("ASIA", "other", "session"), signer=signer)
    assert session.check() == "ASIA"


def test_a_changed_request_is_refused():
    request = sign()
    request.body = b"{ }"
    assert request.code() == "InvalidSignatureException"
    assert (
        sign().header("X-Amz-Target", "AWSStepFunctions.DeleteStateMachine").code()
        == "InvalidSignatureException"
    )
    assert sign().header("Host", "evil.example").code() == "InvalidSignatureException"
    request = sign()
    request.query = "a=b"
    assert request.code() == "InvalidSignatureException"
    request = sign()
    request.path = "/other"
    assert request.code() == "InvalidSignatureException"
    request = sign()
    request.method = "PUT"
    assert request.code() == "InvalidSignatureException"
    request = sign()
    request.headers.append(
        (b"x-amz-target", b"AWSStepFunctions.DeleteStateMachine")
    )  # a second one behind the one that was signed
    assert request.code() == "InvalidSignatureException"


def test_the_operation_and_the_host_must_be_signed():
    class Careless(SigV4Auth):
        def headers_to_sign(self, request: AWSRequest) -> Any:
            headers = super().headers_to_sign(request)
            del headers["X-Amz-Target"]
            return headers

    with pytest.raises(ApiError, match="'x-amz-target' must be a 'SignedHeader'"):
        sign(signer=Careless).check()


@pytest.mark.parametrize(
    "name", ["x-amz-json", "X-Amz-Meta-A", "X-AMZ-Security-Token", "x-amz-content-sha256"]
)
def test_what_was_added_to_a_signed_request_is_refused(name: str):
    added = sign()
    added.headers.append((name.encode(), b""))
    with pytest.raises(
        ApiError, match=f"'{name.lower()}' must be a 'SignedHeader' in the AWS Authorization"
    ) as caught:
        added.check()
    assert caught.value.code == "InvalidSignatureException"
    other = sign()
    other.headers += [
        (b"x-amzn-trace-id", b"Root=1"),
        (b"amz-sdk-request", b"attempt=1"),
        (b"x-forwarded-for", b"::1"),
    ]
    assert other.check() == "AKID"


def test_wrong_keys_are_refused_as_aws_does():
    assert sign(key=("AKID", "wrong")).code() == "InvalidSignatureException"
    assert sign(key=("NOBODY", "secret")).code() == "UnrecognizedClientException"
    assert sign(key=("ASIA", "other", "wrong session")).code() == "UnrecognizedClientException"
    assert sign(key=("ASIA", "other")).code() == "UnrecognizedClientException"
    assert (
        sign(key=("AKID", "secret", "a session that it does not have")).code()
        == "UnrecognizedClientException"
    )


@pytest.mark.parametrize("scope", [("states", "eu-west-1"), ("lambda", "us-east-1")])
def test_the_scope_must_be_ours(scope: tuple[str, str]):
    with pytest.raises(ApiError, match="Credential should be scoped to"):
        sign(scope=scope).check()


@pytest.mark.parametrize("minutes", [-16, 16, 60 * 24])
def test_a_signature_is_good_for_a_quarter_of_an_hour(minutes: int):
    assert sign().check(now=NOW + 14 * 60_000) == "AKID"
    assert sign().check(now=NOW - 14 * 60_000) == "AKID"
    with pytest.raises(
        ApiError,
        match=r"Signature (expired: .* is now earlier|not yet current: .* is still later) than",
    ):
        sign().check(now=NOW + minutes * 60_000)


def test_an_incomplete_signature_is_refused():
    good = sign().value("Authorization")
    assert sign().header("Authorization", None).code() == "MissingAuthenticationToken"
    for bad in (
        "Bearer abc",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=AKID",
        good.replace("/states", ""),
        good.replace("Signature=", "S="),
    ):
        assert sign().header("Authorization", bad).code() == "IncompleteSignature", bad
    assert sign().header("X-Amz-Date", None).code() == "IncompleteSignature"
    assert sign().header("X-Amz-Date", "yesterday").code() == "IncompleteSignature"
    assert sign().header("X-Amz-Date", "20231432T999999Z").code() in (
        "IncompleteSignature",
        "InvalidSignatureException",
    )
    day_after = sign().header("X-Amz-Date", "20231115T221320Z")
    assert (
        day_after.code(now=NOW + 24 * 3_600_000) == "InvalidSignatureException"
    )  # the scope says another day


@given(st.text(max_size=60), st.text(max_size=30))
def test_no_header_breaks_the_check(authorization: str, date: str):
    encoded = [
        (b"authorization", authorization.encode()),
        (b"x-amz-date", date.encode()),
        (b"host", b"localhost"),
    ]
    for headers in (
        encoded,
        [(b"authorization", b"AWS4-HMAC-SHA256 " + authorization.encode()), *encoded[1:]],
    ):
        with pytest.raises(ApiError):
            Verifier(KEYS, "us-east-1", ManualClock(NOW)).check(
                "POST", "/", authorization, headers, b""
            )


def test_a_signature_is_never_shown_again():
    header = sign().value("Authorization").replace("Credential=", "C=")
    with pytest.raises(ApiError) as refused:
        sign().header("Authorization", header).check()
    assert header.rpartition("Signature=")[2] not in refused.value.message


def test_credentials_files(tmp_path: Path):
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = A\naws_secret_access_key = s%cret=\n\n"
        "[ci]\naws_access_key_id=B\naws_secret_access_key=t\naws_session_token=u\n"
    )
    assert read_credentials(file) == {"A": Key("s%cret="), "B": Key("t", "u")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no profile"),
        ("nonsense", "not a credentials file"),
        ("[a]\naws_access_key_id = A\n", "profile a has no aws_secret_access_key"),
        ("[a]\naws_access_key_id =\naws_secret_access_key = s\n", "profile a has an empty key"),
        (json.dumps({"AccessKeyId": "A"}), "not a credentials file"),
    ],
)
def test_bad_credentials_files_are_explained(tmp_path: Path, text: str, said: str):
    file = tmp_path / "credentials"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_credentials(file)
