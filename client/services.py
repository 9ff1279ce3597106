"""Logins of programs, and who answers for them."""

from collections.abc import Iterator

from client.people import User
from client.transport import Transport, segment


class Services:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self) -> Iterator[User]:
        return self._transport.pages("/service-accounts")

    def get(self, name: str) -> User:
        service: User = self._transport.get(f"/service-accounts/{segment(name)}")
        return service

    def add(self, name: str, *, title: str, account: str, role: str) -> User:
        """The caller answers for it."""
        body = {"name": name, "title": title, "account": account, "role": role}
        service: User = self._transport.post("/service-accounts", body)
        return service

    def change(self, name: str, **fields: object) -> User:
        """``owner``: who answers for it from now on; ``state``: suspended or active."""
        service: User = self._transport.patch(f"/service-accounts/{segment(name)}", fields)
        return service
