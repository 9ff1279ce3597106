"""The audit trail, the signed heads of its tree, and proofs to hand on."""

from collections.abc import Iterator
from typing import Any, TypedDict

from client.transport import Transport


class Entry(TypedDict):
    """``personal`` (who, why and for whom, as JSON) and ``salt`` are None once they are erased."""

    id: int
    at_ms: int
    action: str
    subject: str
    facts: dict[str, Any]
    commitment: str | None
    personal: str | None
    salt: str | None


class Head(TypedDict):
    """``note`` is the signed head as a text to be kept outside the centre."""

    number: int
    size: int
    root: str
    at_ms: int
    key: int
    note: str


class Key(TypedDict):
    id: int
    name: str
    key: str
    from_ms: int
    until_ms: int | None


class Audit:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def entries(
        self,
        *,
        action: str | None = None,
        subject: str | None = None,
        from_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Iterator[Entry]:
        """Newest first. ``subject`` is the beginning of what they are about."""
        query = {"action": action, "subject": subject, "from_ms": from_ms, "until_ms": until_ms}
        return self._transport.pages("/audit/entries", query)

    def entry(self, entry_id: int) -> Entry:
        entry: Entry = self._transport.get(f"/audit/entries/{entry_id}")
        return entry

    def erase(self, entry_id: int, reason: str) -> Entry:
        """Erase who and why, for good."""
        entry: Entry = self._transport.post(f"/audit/entries/{entry_id}/erase", {"reason": reason})
        return entry

    def heads(self) -> Iterator[Head]:
        """Newest first."""
        return self._transport.pages("/audit/heads")

    def latest(self) -> Head:
        head: Head = self._transport.get("/audit/heads/latest")
        return head

    def keys(self) -> Iterator[Key]:
        """Every key that ever signed, oldest first."""
        return self._transport.pages("/audit/keys")

    def prove_inclusion(self, kind: str, id_: str) -> dict[str, Any]:
        """A proof for the standalone verifier. ``kind``: ledger, audit, head or key; ``id_`` a number or a name."""
        proof: dict[str, Any] = self._transport.get("/audit/proof/inclusion", {"kind": kind, "id": id_})
        return proof

    def prove_consistency(self, from_size: int, to_size: int | None = None) -> dict[str, Any]:
        """A proof that the tree only grew between two heads; up to the newest without a second one."""
        query = {"from": from_size, "to": to_size}
        proof: dict[str, Any] = self._transport.get("/audit/proof/consistency", query)
        return proof
