"""Gates in front of jobs, and the terms of use."""

from collections.abc import Iterator
from typing import TypedDict

from client.transport import Transport, segment


class Gate(TypedDict):
    """A rule: the gate applies to an account and all below it."""

    id: int
    gate: str
    account: str
    state: str
    from_ms: int
    until_ms: int | None
    ask: str
    author: str
    reason: str
    created_ms: int


class Terms(TypedDict):
    version: str
    title: str
    text: str
    url: str | None
    from_ms: int
    state: str
    accepted_ms: int | None


class Gates:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self, account: str | None = None) -> Iterator[Gate]:
        """The rules that say where which gate applies, past ones too; of one account those that reach it."""
        return self._transport.pages("/gates", {"account": account})

    def require(self, gate: str, account: str, reason: str, **fields: object) -> Gate:
        """``fields``: ask, from_ms, until_ms."""
        rule: Gate = self._transport.post("/gates", {"gate": gate, "account": account, "reason": reason, **fields})
        return rule

    def drop(self, rule: int | str) -> None:
        """It ends now."""
        self._transport.delete(f"/gates/{segment(rule)}")

    def terms(self) -> Iterator[Terms]:
        """Every version, in the order in which they take over, and when the caller accepted it."""
        return self._transport.pages("/terms")

    def set_terms(self, version: str, title: str, **fields: object) -> Terms:
        """``fields``: text or url, from_ms."""
        terms: Terms = self._transport.post("/terms", {"version": version, "title": title, **fields})
        return terms

    def accept(self, version: str) -> Terms:
        terms: Terms = self._transport.post("/terms/acceptance", {"version": version})
        return terms
