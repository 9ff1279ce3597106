"""From which address a request comes. What proxies say of it is believed only of those that the centre trusts."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_MOST_HOPS = 32  # more than any honest chain of proxies has


class Addresses:
    """Puts the caller's address and scheme into the scope, as the last trusted proxy saw them.

    ``X-Forwarded-For`` is read from its end, for every proxy adds what it saw: the first address that is no trusted
    proxy's is the caller's, and what stands before it is the caller's own claim.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and scope.get("client") and self._trusts(scope["client"][0]):
            self._believe(scope)
        await self._app(scope, receive, send)

    def _believe(self, scope: Scope) -> None:
        headers = scope["headers"]
        chain = b",".join(value for name, value in headers if name == b"x-forwarded-for").split(b",")
        for hop in reversed(chain[-_MOST_HOPS:]):
            address = _read(hop)
            if address is None:
                break
            scope["client"] = (str(address), 0)
            if not self._trusts(str(address)):
                break
        protocols = [value for name, value in headers if name == b"x-forwarded-proto"]
        if len(protocols) == 1 and protocols[0] in {b"http", b"https"}:
            secure = protocols[0] == b"https"
            plain = "ws" if scope["type"] == "websocket" else "http"
            scope["scheme"] = f"{plain}s" if secure else plain

    def _trusts(self, text: str) -> bool:
        address = _read(text.encode())
        return address is not None and any(address in network for network in self._trusted)


def _read(text: bytes) -> Address | None:
    try:
        address = ip_address(text.decode("ascii").strip())
    except (ValueError, UnicodeDecodeError):
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def neighbourhood(scope: Scope) -> str:
    """What counts as one address: of IPv6 the network of 64 bits, for that is what one customer gets."""
    text = scope["client"][0] if scope.get("client") else ""
    if ":" not in text:
        return text
    address = _read(text.encode())
    return str(address) if not isinstance(address, IPv6Address) else str(IPv6Network((int(address) >> 64 << 64, 64)))
