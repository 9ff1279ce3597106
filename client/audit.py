"""The audit trail, the signed heads of its tree, and proofs to hand on."""

from collections.abc import Iterator
from typing import Any, TypedDict

import urllib3

from client.errors import BrokenDownloadError
from client.transport import Transport

_CHUNK = 2**16


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


class OneEntry(Entry):
    """``leaf`` is where it is sealed, ``signed`` whether a signed head is over that."""

    leaf: int | None
    signed: bool


class LogLine(TypedDict):
    """What was done by a user, for them, or to what is theirs (``how``)."""

    id: int
    at_ms: int
    action: str
    subject: str
    status: int | None
    how: list[str]
    by: str | None
    reason: str | None
    request: str | None


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
        person: str | None = None,
        request: str | None = None,
        from_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Iterator[Entry]:
        """Newest first. ``subject`` is the beginning of what they are about, ``person`` a user whom they name."""
        query = {
            "action": action, "subject": subject, "person": person, "request_id": request, "from_ms": from_ms,
            "until_ms": until_ms,
        }  # fmt: skip
        return self._transport.pages("/audit/entries", query)

    def mine(self) -> Iterator[LogLine]:
        """What I did, what others did for me, and what was done to what is mine, newest first."""
        return self._transport.pages("/me/log")

    def export(
        self, from_ms: int | None = None, until_ms: int | None = None, *, personal: bool = False
    ) -> Iterator[bytes]:
        """The entries of a time as pieces of a file that proves itself; ``personal``: with who and why."""
        query = {"from_ms": from_ms, "until_ms": until_ms, "personal": "true" if personal else None}
        response = self._transport.open(
            "GET", "/audit/export", query=query, headers={"Accept": "application/jsonl"}, stream=True
        )
        try:
            yield from response.stream(_CHUNK)
        except urllib3.exceptions.HTTPError as error:
            response.close()
            raise BrokenDownloadError(
                f"the connection broke before the export's end ({type(error).__name__})"
            ) from error
        except BaseException:
            response.close()
            raise
        response.release_conn()

    def entry(self, entry_id: int) -> OneEntry:
        entry: OneEntry = self._transport.get(f"/audit/entries/{entry_id}")
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
