"""The encryption of stored messages.

The key lies in a file beside the database (NAME.sns-key, readable by its owner only): a copy of the
database alone, such as a backup, does not reveal the pending messages. A database without a file is
its own key: each node that opens it can read them.

`cryptography` is imported at the first use: it takes longer than all other imports.
"""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from stepwell.asl.json_text import dumps, loads
from stepwell.integrations import private_files
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.sns import messages

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


class KeyUnavailableError(Exception):
    """The key of a stored message is missing, unreadable or another."""


class MessageCipher:
    """path    of the key's file; None: the key is made of the secret
    secret  of the database
    """

    def __init__(self, path: str | None, secret: bytes) -> None:
        self._path, self._secret = path, secret
        self._fernet: Fernet | None = None

    def encrypt(self, message: Document) -> Document:
        """Raises KeyUnavailableError if there is no key and none can be created."""
        return {"sealed": self._fernet_of_file(True).encrypt(dumps(message).encode()).decode()}

    def decrypt(self, stored: Document) -> Document:
        """A message, be it stored as it is or encrypted. Raises KeyUnavailableError."""
        if "sealed" not in stored:
            return stored
        from cryptography.fernet import Fernet, InvalidToken

        sealed = stored["sealed"].encode()
        try:
            text = self._fernet_of_file(False).decrypt(sealed)
        except (InvalidToken, KeyUnavailableError) as error:
            try:  # stored in a database on a server, of which this one is a copy
                text = Fernet(self._key_of_secret()).decrypt(sealed)
            except InvalidToken:
                if isinstance(error, KeyUnavailableError):
                    raise error from None
                raise KeyUnavailableError(messages.SNS_KEY_WRONG.format(path=self._path)) from None
        message: Any = loads(text)
        return dict(message)

    def _key_of_secret(self) -> bytes:
        return base64.urlsafe_b64encode(hashlib.sha256(b"sns " + self._secret).digest())

    def _fernet_of_file(self, create: bool) -> Fernet:
        from cryptography.fernet import Fernet

        if self._fernet is None:
            self._fernet = Fernet(self._read_key(create))
        return self._fernet

    def _read_key(self, create: bool) -> bytes:
        from cryptography.fernet import Fernet

        if self._path is None:
            return self._key_of_secret()
        try:
            if create:
                with suppress(FileExistsError):
                    _write_new(self._path, Fernet.generate_key())
            with open(self._path, "rb", opener=private_files.opener) as file:
                return file.read()
        except (OSError, ValueError) as error:
            raise KeyUnavailableError(
                messages.SNS_KEY.format(path=self._path, text=error)
            ) from None


def _write_new(path: str, data: bytes) -> None:
    """Write a file atomically and durably. Raises FileExistsError, OSError."""
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
