"""The planner's policy: read, rehearsed, applied from a date on."""

from collections.abc import Iterator, Mapping
from typing import Any

from client.models import Policy, Rehearsal
from client.transport import Transport


class Policies:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def in_force(self) -> Policy:
        policy: Policy = self._transport.get("/policy")
        return policy

    def each(self) -> Iterator[Policy]:
        """Every policy that was ever applied, the last one first."""
        return self._transport.pages("/policies")

    def check(self, document: Mapping[str, Any]) -> Rehearsal:
        """What a document would change, and what to beware of; nothing is applied."""
        rehearsal: Rehearsal = self._transport.post("/policy/check", {"document": document})
        return rehearsal

    def apply(
        self, document: Mapping[str, Any], reason: str, *, from_ms: int | None = None, digest: str | None = None
    ) -> Policy:
        """Put it in force, now or from a time to come. Refused if ``digest`` is given and the document has another."""
        body = {"document": document, "reason": reason, "from_ms": from_ms, "digest": digest}
        policy: Policy = self._transport.post("/policies", {k: v for k, v in body.items() if v is not None})
        return policy
