"""Argon2id, for passwords of built-in users: slow and with much memory, and only a few at once."""

import secrets
import threading

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from domain.errors import Unavailable

# More than the least that the OWASP Password Storage Cheat Sheet names for argon2id (19 MiB, 2 passes, 1 lane).
MEMORY_KIB, PASSES, LANES = 32 * 1024, 3, 1

AT_ONCE = 2  # 32 MiB and a core each
_WAITING = 16  # further ones that may wait for their turn
_PATIENCE_S = 5.0


class Argon2Hasher:
    """See ``lifecycle.passwords.Hasher``. The parameters can be lower for tests only."""

    def __init__(self, memory_kib: int = MEMORY_KIB, passes: int = PASSES, *, at_once: int = AT_ONCE) -> None:
        self._hasher = PasswordHasher(passes, memory_kib, LANES, type=Type.ID)
        self._at_once = threading.BoundedSemaphore(at_once)
        self._places = threading.BoundedSemaphore(at_once + _WAITING)
        self._nobody: str | None = None

    def hash(self, password: str) -> str:
        with _Turn(self._places, self._at_once):
            return self._hasher.hash(password)

    def verify(self, hashed: str | None, password: str) -> bool:
        with _Turn(self._places, self._at_once):
            if self._nobody is None:
                self._nobody = self._hasher.hash(secrets.token_urlsafe(32))
            try:
                self._hasher.verify(self._nobody if hashed is None else hashed, password)
            except (VerificationError, InvalidHashError):
                return False
        return hashed is not None

    def stale(self, hashed: str) -> bool:
        return self._hasher.check_needs_rehash(hashed)


class _Turn:
    """A place in a short queue, and then a turn. Raises Unavailable if there is none."""

    def __init__(self, places: threading.BoundedSemaphore, at_once: threading.BoundedSemaphore) -> None:
        self._places, self._at_once = places, at_once

    def __enter__(self) -> None:
        if not self._places.acquire(blocking=False):
            raise _busy()
        if not self._at_once.acquire(timeout=_PATIENCE_S):
            self._places.release()
            raise _busy()

    def __exit__(self, *_error: object) -> None:
        self._at_once.release()
        self._places.release()


def _busy() -> Unavailable:
    error = Unavailable("too many people log in just now", fix="try again in a moment", code="busy")
    error.retry_after_s = 2
    return error
