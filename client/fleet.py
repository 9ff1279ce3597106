"""Flavors: on what jobs run, and at which rate."""

from collections.abc import Iterator

from client.models import Flavor, Rate
from client.transport import Transport, segment


class Flavors:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self) -> Iterator[Flavor]:
        return self._transport.pages("/flavors")

    def get(self, name: str) -> Flavor:
        flavor: Flavor = self._transport.get(f"/flavors/{segment(name)}")
        return flavor

    def add(self, name: str, **fields: object) -> Flavor:
        flavor: Flavor = self._transport.post("/flavors", {"name": name, **fields})
        return flavor

    def rates(self, name: str) -> Iterator[Rate]:
        return self._transport.pages(f"/flavors/{segment(name)}/rates")

    def add_rate(self, name: str, from_ms: int, su_per_hour: str) -> Rate:
        rate: Rate = self._transport.post(
            f"/flavors/{segment(name)}/rates", {"from_ms": from_ms, "su_per_hour": su_per_hour}
        )
        return rate
