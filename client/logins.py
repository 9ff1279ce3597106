"""Logins of a device without a browser (RFC 8628), and one's own password."""

from typing import TypedDict

from client.transport import Transport


class DeviceCode(TypedDict):
    """``user_code`` is shown to the person; ``device_code`` is what the device asks with. Times are seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class Claimed(TypedDict):
    access_token: str
    token_type: str
    expires_in: int
    user: str


class Logins:
    """``begin`` and ``claim`` need no token."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def begin(self, client: str) -> DeviceCode:
        """``client`` is what the device calls itself."""
        begun: DeviceCode = self._transport.post("/login/device", {"client": client})
        return begun

    def claim(self, device_code: str) -> Claimed:
        """Raises InvalidRequestError with the codes ``authorization_pending``, ``slow_down``, ``access_denied`` and
        ``expired_token``.
        """
        claimed: Claimed = self._transport.post("/login/token", {"device_code": device_code})
        return claimed

    def change_password(self, old: str, new: str) -> None:
        """All other sessions and logins of one's own end."""
        self._transport.post("/me/password", {"old": old, "new": new})
