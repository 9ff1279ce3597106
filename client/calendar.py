"""Reservations: what is kept for whom, and when."""

from collections.abc import Iterator

from client.models import Reservation
from client.transport import Transport, segment


class Reservations:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self) -> Iterator[Reservation]:
        return self._transport.pages("/reservations")

    def get(self, name: str) -> Reservation:
        found: Reservation = self._transport.get(f"/reservations/{segment(name)}")
        return found

    def add(self, name: str, **fields: object) -> Reservation:
        """The answer's ``warnings`` name what may be missing when it begins."""
        added: Reservation = self._transport.post("/reservations", {"name": name, **fields})
        return added

    def remove(self, name: str) -> None:
        self._transport.delete(f"/reservations/{segment(name)}")
