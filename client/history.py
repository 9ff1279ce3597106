"""What ran to its end, and the centre as it is: what a rehearsal starts from."""

from collections.abc import Iterator
from typing import Any

from client.models import Past
from client.transport import Transport


class History:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self, *, from_ms: int | None = None, until_ms: int | None = None) -> Iterator[Past]:
        """By attempt, oldest first, of the jobs submitted in that time."""
        return self._transport.pages("/history", {"from_ms": from_ms, "until_ms": until_ms})

    def scenario(self, *, from_ms: int | None = None, until_ms: int | None = None) -> dict[str, Any]:
        """Accounts, capacity, reservations and the policy in force, as a document of ``baray simulate``."""
        scenario: dict[str, Any] = self._transport.get("/scenario", {"from_ms": from_ms, "until_ms": until_ms})
        return scenario
