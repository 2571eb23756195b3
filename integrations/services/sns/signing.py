"""The key that signs messages, its certificate, and the key that encrypts what is stored.

The first lies in the records: it proves nothing but that a message came from this database, and
restarts must not change it. The second lies in a file beside the database (NAME.sns-key, readable
by its owner only): who gets a copy of the database, a backup say, cannot read the messages that
wait in it.

`cryptography` is imported when there is something to sign or to encrypt: it takes longer than all
else here.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.json_text import dumps, loads
from stepwell.integrations import private_files
from stepwell.integrations.services.common.tables import Document, document_of, pack
from stepwell.integrations.services.sns import messages

if TYPE_CHECKING:
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.asymmetric import rsa

    from stepwell.engine.runtime.records import Records

_RECORD: Final = "sns/signing"
_DAYS: Final = 20 * 365
_HASHES: Final = {"1": "SHA1", "2": "SHA256"}  # by SignatureVersion


class Signer:
    """The pair is made when it is first needed. path: of the certificate's URL; certificate: PEM"""

    def __init__(self, records: Records) -> None:
        self._records, self._lock = records, asyncio.Lock()
        self._made: Document | None = None
        self._key: rsa.RSAPrivateKey | None = None
        self._last: tuple[str, str, str] = ("", "", "")
        self.certificate = ""

    async def open(self) -> None:
        data = await self._records.get(_RECORD)
        self._id = secrets.token_hex(16)
        if data is not None:
            self._made = document_of(_RECORD, data)
        if self._made is not None:
            self._id = self._made["id"]

    @property
    def path(self) -> str:
        return f"/SimpleNotificationService-{self._id}.pem"

    async def ready(self, now_ms: int) -> None:
        """To be awaited before `sign` and `certificate` are used."""
        async with self._lock:
            if self._key is not None:
                return
            if self._made is None:
                made = await asyncio.to_thread(_make, self._id, now_ms)
                await self._records.write({_RECORD: pack(made)})
                self._made = made
            self._key, self.certificate = _load(self._made["key"]), self._made["certificate"]

    def sign(self, text: str, version: str) -> str:
        """Base64. All who get a message get the same one: it is made once."""
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


def _make(id: str, now_ms: int) -> Document:
    """In a thread: it takes a tenth of a second and more."""
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


class Sealed(Exception):
    """The key of a stored message is not there."""


class Seal:
    """path: of the file with the key; None: the database is in memory, and so is the key."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._fernet: Fernet | None = None

    def close(self, message: Document) -> Document:
        """A message as it is stored. Raises Sealed if there is no key and none can be made."""
        return {"sealed": self._cipher(True).encrypt(dumps(message).encode()).decode()}

    def open(self, stored: Document) -> Document:
        """Raises Sealed."""
        if "sealed" not in stored:
            return stored
        from cryptography.fernet import InvalidToken

        try:
            message: Any = loads(self._cipher(False).decrypt(stored["sealed"].encode()))
        except InvalidToken:
            raise Sealed(messages.SNS_KEY_WRONG.format(path=self._path)) from None
        return dict(message)

    def _cipher(self, make: bool) -> Fernet:
        from cryptography.fernet import Fernet

        if self._fernet is None:
            self._fernet = Fernet(self._read(make))
        return self._fernet

    def _read(self, make: bool) -> bytes:
        from cryptography.fernet import Fernet

        if self._path is None:
            return Fernet.generate_key()
        try:
            if make:
                with suppress(FileExistsError):
                    _write_new(self._path, Fernet.generate_key())
            with open(self._path, "rb", opener=private_files.opener) as file:
                return file.read()
        except (OSError, ValueError) as error:
            raise Sealed(messages.SNS_KEY.format(path=self._path, text=error)) from None


def _write_new(path: str, data: bytes) -> None:
    """The file is there with all of it, on the disk, or not at all. Raises FileExistsError,
    OSError.
    """
    if os.path.exists(path):
        raise FileExistsError
    draft = f"{path}.new"
    with open(draft, "wb", opener=private_files.opener) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, path)
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
