"""Which systems of other governments may ask this centre what, over X-Road."""

from collections.abc import Iterator
from typing import TypedDict

from client.transport import Transport, segment


class XroadRight(TypedDict):
    """A client may ask a service about one tenant; None: about all."""

    id: int
    client: str
    service: str
    tenant: str | None
    created_ms: int


class Xroad:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self) -> Iterator[XroadRight]:
        return self._transport.pages("/xroad-clients")

    def allow(self, client: str, service: str, tenant: str | None, reason: str) -> XroadRight:
        """``service``: usage or allocation."""
        body = {"client": client, "service": service, "tenant": tenant, "reason": reason}
        right: XroadRight = self._transport.post("/xroad-clients", body)
        return right

    def revoke(self, right: int | str) -> None:
        """From the next question on."""
        self._transport.delete(f"/xroad-clients/{segment(right)}")
