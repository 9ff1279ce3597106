"""The Ed25519 key that signs the tree's heads: a file that only the service may read."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.errors import CannotStart


class FileSigner:
    """See ``lifecycle.seal.Signer``. The file is looked at before each signature, so that a rotation is seen at once."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._key = self._read()

    def public(self) -> bytes:
        self._key = self._read()
        return _public(self._key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def _read(self) -> Ed25519PrivateKey:
        try:
            stat = self._path.stat()
            if self._seen != (stat.st_mtime_ns, stat.st_ino):
                self._key = _load(self._path.read_bytes(), self._path)
                self._seen = (stat.st_mtime_ns, stat.st_ino)
        except OSError as error:
            raise CannotStart(
                f"the key {self._path} cannot be read: {error.strerror}",
                fix="name the centre's with BARAY_AUDIT_KEY or restore it from a backup; if it is lost: baray admin audit rotate-key",
            ) from error
        return self._key


def open_key(path: Path, name: str, listed: bytes | None) -> FileSigner:
    """The key that signs; ``listed`` is the newest public key of the database. Makes the first one of a centre.

    A rotation that was cut short is brought to its end: the database lists the next key before its file takes over.
    """
    following = next_of(path)
    if listed is not None and following.exists() and public_of(following) == listed:
        following.replace(path)
    if listed is None and not path.exists():
        make_key(path)
    return FileSigner(path, name)


def next_of(path: Path) -> Path:
    """Where the key that will follow lies until the database lists it."""
    return path.with_name(f"{path.name}.next")


def make_key(path: Path) -> bytes:
    """Write a new private key, durably and for the service alone; answers its public half. The file must be new."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return _public(key)


def public_of(path: Path) -> bytes:
    """The public half of a key's file."""
    return _public(_load(path.read_bytes(), path))


def signed_by(public: bytes, signature: bytes, message: bytes) -> bool:
    """True if the signature over the message is the key's."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _load(text: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError) as error:
        raise CannotStart(f"{path} is no private key", fix="restore it from a backup") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise CannotStart(f"{path} is no Ed25519 key", fix="restore it from a backup")
    return key


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
