"""Seals secrets with the centre's key, a file that only the service may read (Fernet: AES-128-CBC and HMAC-SHA256)."""

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from domain.errors import CannotStart, Unavailable


class FileVault:
    """See ``lifecycle.ports.Vault``."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(Fernet.generate_key())
        try:
            self._fernet = Fernet(path.read_bytes().strip())
        except ValueError as error:
            raise CannotStart(
                f"{path} is no key", fix="restore it from a backup: without it no secret opens"
            ) from error

    def seal(self, text: str) -> bytes:
        return self._fernet.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise Unavailable("a secret was sealed with another key", fix="set the secret again") from error
