"""The keys that sign the tree's heads: listed from their first day on, and followed by the next with an overlap.

A key is never taken off the list: heads that it signed stay to be checked. Its time ends with that of the next, which
is not written down but follows, so that the list is append-only too and each key is a leaf of the tree.
"""

from collections.abc import Sequence
from typing import Protocol

from domain.errors import CannotStart
from lifecycle.ports import UnitOfWork
from lifecycle.witness import witness
from quotas.leaves import PublicKey

OVERLAP_MS = 3_600_000  # who has not seen a new key yet may sign with the old one for so long


class Signer(Protocol):
    """Holds the tree's private key: a file, or one day a device. ``name`` is the tree's, as outsiders know it."""

    name: str

    def public(self) -> bytes:
        """The public half of the key that signs now: 32 bytes of Ed25519."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes of Ed25519."""
        ...


def list_key(uow: UnitOfWork, signer: Signer, now_ms: int) -> None:
    """List the first key of a centre. Raises CannotStart if another one than the newest would sign."""
    keys = uow.seals.public_keys()
    if not keys:
        uow.seals.add_key(PublicKey(0, signer.name, signer.public(), now_ms))
    elif keys[-1].public != signer.public():
        raise CannotStart(
            "the key that signs the audit tree is not the one that this centre's database lists",
            fix="restore the key from a backup; if it is lost, say so with: baray admin audit rotate-key",
        )


def follow(uow: UnitOfWork, name: str, public: bytes, reason: str, now_ms: int) -> PublicKey:
    """List the next key, from now on; with an entry in the audit trail."""
    key = uow.seals.add_key(PublicKey(0, name, public, now_ms))
    witness(uow.audit, now_ms, "rotate_key", f"/audit/keys/{key.id}", {"key": public.hex()}, {"reason": reason})
    return key


def valid_until(key: PublicKey, keys: Sequence[PublicKey]) -> int | None:
    """Until when the key signs: the time of the next one, and the overlap. None for the newest."""
    later = [other.from_ms for other in keys if other.id > key.id]
    return min(later) + OVERLAP_MS if later else None


def overlapping(key: PublicKey, keys: Sequence[PublicKey], at_ms: int) -> bool:
    """True if the key may have signed at that time."""
    until_ms = valid_until(key, keys)
    return key.from_ms <= at_ms and (until_ms is None or at_ms <= until_ms)
