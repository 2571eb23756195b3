"""Authentication by AWS Signature Version 4, in the Authorization header or in the query of a
presigned URL.

canonical request = method, path, query, the signed headers, SHA-256 of the body
string to sign    = algorithm, time, scope (day/region/service/aws4_request), SHA-256 of the
canonical request
signature         = HMAC chain over the scope, keyed with the secret; then over the string to sign
"""

from __future__ import annotations

import configparser
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote

from stepwell.engine.clock import Clock
from stepwell.engine.errors import ApiError
from stepwell.integrations.server import messages

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SKEW_SECONDS: Final = 15 * 60
# prefixes of headers that must be signed: the host, the operation and its parameters
MUST_BE_SIGNED: Final = ("host", "x-amz-")
LONGEST_PRESIGNED: Final = 7 * 24 * 3600
_KEYS_KEPT: Final = 256
_TIME: Final = "%Y%m%dT%H%M%SZ"
_TIME_SHAPE: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_BLANKS: Final = re.compile(r"\s+")


class Key(NamedTuple):
    """The secret of an access key id. token: None for a long-term key."""

    secret: str
    token: str | None = None


class Claim(NamedTuple):
    """The signature of a request with its parameters, not yet checked. expires: seconds that a
    presigned request is valid, None for others.
    """

    credential: str
    signed: list[str]
    signature: str
    time: str
    token: str | None
    expires: int | None


def read_credentials(path: Path) -> dict[str, Key]:
    """The keys of a file in the format of ~/.aws/credentials, those of all profiles, by access key
    id. Raises ValueError, OSError.
    """
    parser = configparser.RawConfigParser(default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (configparser.Error, UnicodeDecodeError) as fault:
        raise ValueError(
            f"{path}: not a credentials file: {' '.join(str(fault).split())}"
        ) from None
    keys = {}
    for profile in parser.sections():
        section = parser[profile]
        try:
            key = section["aws_access_key_id"].strip()
            secret = section["aws_secret_access_key"].strip()
        except KeyError as fault:
            raise ValueError(f"{path}: profile {profile} has no {fault.args[0]}") from None
        if not key or not secret:
            raise ValueError(f"{path}: profile {profile} has an empty key")
        keys[key] = Key(secret, section.get("aws_session_token"))
    if not keys:
        raise ValueError(f"{path}: no profile with aws_access_key_id and aws_secret_access_key")
    return keys


class Verifier:
    """Checks signatures. keys: by access key id; region: that requests must be signed for."""

    def __init__(self, keys: Mapping[str, Key], region: str, clock: Clock) -> None:
        self._keys, self._region, self._clock = keys, region, clock
        # (access key id, day, service) -> signing key
        self._signing: dict[tuple[str, str, str], bytes] = {}

    def check(
        self,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        service: str = "states",
    ) -> str:
        """The access key id that signed the request. Raises ApiError.

        path, query  as received, still encoded
        service      that the request must be signed for
        """
        values: dict[str, list[str]] = {}
        for name, value in headers:
            values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        pairs = parse_qsl(query, keep_blank_values=True)
        claim = _claim(values, dict(pairs))
        key_id, _, scope = claim.credential.partition("/")
        parts = scope.split("/")
        if not key_id or len(parts) != 4:
            raise ApiError(
                "IncompleteSignature", messages.BAD_CREDENTIAL.format(credential=claim.credential)
            )
        key = self._keys.get(key_id)
        if key is None or not hmac.compare_digest(
            (key.token or "").encode(), (claim.token or "").encode()
        ):
            raise ApiError("UnrecognizedClientException", messages.UNKNOWN_KEY)
        self._check_scope(claim, parts, service)
        missing = next(
            (
                name
                for name in sorted(values)
                if name.startswith(MUST_BE_SIGNED) and name not in claim.signed
            ),
            None,
        )
        if missing is not None:
            raise ApiError("InvalidSignatureException", messages.NOT_SIGNED.format(header=missing))
        self._check_time(claim)
        canonical = _canonical(
            method, path, pairs, values, claim.signed, hashlib.sha256(body).hexdigest()
        )
        text = "\n".join(
            (ALGORITHM, claim.time, scope, hashlib.sha256(canonical.encode()).hexdigest())
        )
        signature = hmac.new(
            self._signing_key(key_id, key.secret, parts[0], service), text.encode(), hashlib.sha256
        ).hexdigest()
        if not hmac.compare_digest(signature.encode(), claim.signature.encode()):
            raise ApiError("InvalidSignatureException", messages.WRONG_SIGNATURE)
        return key_id

    def _check_scope(self, claim: Claim, parts: list[str], service: str) -> None:
        for actual, wanted, text in (
            (parts[3], "aws4_request", messages.WRONG_TERMINATOR),
            (parts[2], service, messages.WRONG_SERVICE),
            (parts[1], self._region, messages.WRONG_REGION),
            (parts[0], claim.time[:8], messages.WRONG_DAY),
        ):
            if actual != wanted:
                raise ApiError(
                    "InvalidSignatureException", text.format(actual=actual, wanted=wanted)
                )

    def _check_time(self, claim: Claim) -> None:
        try:
            signed = datetime.strptime(claim.time, _TIME).replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise ApiError(
                "IncompleteSignature", messages.BAD_TIME.format(time=claim.time)
            ) from None
        now = self._clock.wall() / 1000  # as of clients: the engine's time may be ahead
        if claim.expires is not None and now > signed + claim.expires:
            raise ApiError("RequestExpired", messages.REQUEST_EXPIRED)
        for late, text, edge in (
            (
                claim.expires is None and now - signed > SKEW_SECONDS,
                messages.SIGNATURE_EXPIRED,
                now - SKEW_SECONDS,
            ),
            (signed - now > SKEW_SECONDS, messages.SIGNATURE_TOO_EARLY, now + SKEW_SECONDS),
        ):
            if late:
                words = text.format(
                    time=claim.time, edge=_stamp(edge), now=_stamp(now), minutes=SKEW_SECONDS // 60
                )
                raise ApiError("InvalidSignatureException", words)

    def _signing_key(self, key_id: str, secret: str, day: str, service: str) -> bytes:
        known = self._signing.get((key_id, day, service))
        if known is None:
            known = f"AWS4{secret}".encode()
            for part in (day, self._region, service, "aws4_request"):
                known = hmac.new(known, part.encode(), hashlib.sha256).digest()
            if len(self._signing) >= _KEYS_KEPT:
                self._signing.clear()
            self._signing[key_id, day, service] = known
        return known


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME)


def _claim(headers: Mapping[str, list[str]], query: Mapping[str, str]) -> Claim:
    """Read the authentication from the header, else from the query. Raises ApiError."""
    header = headers.get("authorization", [""])[0]
    if not header:
        if "X-Amz-Algorithm" not in query and "X-Amz-Signature" not in query:
            raise ApiError("MissingAuthenticationToken", messages.NO_AUTHENTICATION)
        return _presigned(query)
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise ApiError("IncompleteSignature", messages.BAD_ALGORITHM.format(algorithm=algorithm))
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    for name in ("Credential", "Signature", "SignedHeaders"):
        if not fields.get(name):
            raise ApiError(
                "IncompleteSignature",
                messages.NO_PARAMETER.format(name=name, header=_public(header)),
            )
    time = headers.get("x-amz-date", [""])[0]
    if not _TIME_SHAPE.fullmatch(time):
        raise ApiError("IncompleteSignature", messages.NO_DATE)
    token = headers.get("x-amz-security-token", [None])[0]
    return Claim(
        fields["Credential"],
        fields["SignedHeaders"].split(";"),
        fields["Signature"],
        time,
        token,
        None,
    )


def _presigned(query: Mapping[str, str]) -> Claim:
    for name in (
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ):
        if not query.get(name):
            raise ApiError("IncompleteSignature", messages.NO_QUERY_PARAMETER.format(name=name))
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise ApiError(
            "IncompleteSignature", messages.BAD_ALGORITHM.format(algorithm=query["X-Amz-Algorithm"])
        )
    if not _TIME_SHAPE.fullmatch(query["X-Amz-Date"]):
        raise ApiError("IncompleteSignature", messages.NO_DATE)
    expires = query["X-Amz-Expires"]
    if not re.fullmatch(r"[0-9]{1,6}", expires) or int(expires) > LONGEST_PRESIGNED:
        raise ApiError("IncompleteSignature", messages.BAD_EXPIRES.format(most=LONGEST_PRESIGNED))
    signed = query["X-Amz-SignedHeaders"].split(";")
    token = query.get("X-Amz-Security-Token")
    return Claim(
        query["X-Amz-Credential"],
        signed,
        query["X-Amz-Signature"],
        query["X-Amz-Date"],
        token,
        int(expires),
    )


def _public(header: str) -> str:
    """An Authorization header without its signature."""
    return re.sub(r"Signature=[^,\s]*", "Signature=...", header)


def _canonical(
    method: str,
    path: str,
    query: list[tuple[str, str]],
    headers: Mapping[str, list[str]],
    signed: list[str],
    body_hash: str,
) -> str:
    encoded = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in query
        if name != "X-Amz-Signature"
    )
    lines = [
        f"{name}:{','.join(_BLANKS.sub(' ', value.strip()) for value in headers.get(name, ['']))}"
        for name in signed
    ]
    parts = (
        method,
        quote(path, safe="/-_.~"),
        "&".join(map("=".join, encoded)),
        *lines,
        "",
        ";".join(signed),
        body_hash,
    )
    return "\n".join(parts)
