"""The key that signs messages, and its certificate.

The key lies in the records: it proves only that a message came from this database, and restarts
must not change it. `cryptography` is imported at the first use: it takes longer than all other
imports.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from stepwell.integrations.services.common.tables import Document, document_of, pack

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from stepwell.engine.runtime.records import Records

CERTIFICATES: Final = "/SimpleNotificationService-"  # the path of each begins so
_RECORD: Final = "sns/signing"
_DAYS: Final = 20 * 365
_HASHES: Final = {"1": "SHA1", "2": "SHA256"}  # by SignatureVersion


class Signer:
    """The key pair is created at the first use. path: of the certificate's URL; certificate: PEM"""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._stored: Document | None = None
        self._key: rsa.RSAPrivateKey | None = None
        self._last: tuple[str, str, str] = ("", "", "")
        self.certificate = ""

    async def open(self, records: Records) -> None:
        self._records = records
        data = await self._records.get(_RECORD)
        self._id = secrets.token_hex(16)
        if data is not None:
            self._stored = document_of(_RECORD, data)
        if self._stored is not None:
            self._id = self._stored["id"]

    @property
    def path(self) -> str:
        return f"{CERTIFICATES}{self._id}.pem"

    async def ready(self, now_ms: int) -> None:
        """Load or create the key: awaited before `sign` and `certificate` are used."""
        async with self._lock:
            if self._key is not None:
                return
            if self._stored is None:
                created = await asyncio.to_thread(_create, self._id, now_ms)
                await self._records.write({_RECORD: pack(created)})
                self._stored = created
            self._key, self.certificate = _load(self._stored["key"]), self._stored["certificate"]

    def sign(self, text: str, version: str) -> str:
        """Base64. The last signature is kept: all subscribers of a message get the same one."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        assert self._key is not None, "ready() comes first"
        if self._last[:2] != (text, version):
            signature = self._key.sign(
                text.encode(), padding.PKCS1v15(), getattr(hashes, _HASHES[version])()
            )
            self._last = text, version, base64.b64encode(signature).decode()
        return self._last[2]


def _load(pem: str) -> rsa.RSAPrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _create(id: str, now_ms: int) -> Document:
    """For a thread: it takes a tenth of a second or more."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(65_537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "id": id,
        "key": private.decode(),
        "certificate": certificate.public_bytes(serialization.Encoding.PEM).decode(),
    }
