"""Which members of X-Road may ask which service about which tenants: data, and nothing without it.

A client id is ``instance/class/member[/subsystem]``, each part percent-encoded UTF-8 (PR-REST). It is kept and compared
in one spelling; there are no wildcards. ``store`` implements the port.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from urllib.parse import quote, unquote_to_bytes

from domain.errors import Invalid
from lifecycle.paging import Page

_PART = re.compile(r"(?:[!$&'()*+,=@A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+")
_NEVER = re.compile(
    r"[:;/\\%\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)  # X-Road forbids these
_LONGEST = 255  # bytes of a part, decoded
_FIX = "write instance/class/member or instance/class/member/subsystem, such as KH/GOV/0001/statistics"


class Service(StrEnum):
    """What other members may ask."""

    USAGE = "usage"
    ALLOCATION = "allocation"


@dataclass(frozen=True, slots=True)
class Right:
    """A client may ask a service about one tenant; ``tenant_id`` None: about all."""

    id: int
    client: str
    service: Service
    tenant_id: int | None
    created_ms: int


class Rights(Protocol):
    """The rights of X-Road clients."""

    def add(self, client: str, service: Service, tenant_id: int | None, now_ms: int) -> Right | None:
        """None if it is there already."""
        ...

    def get(self, right_id: int) -> Right | None: ...
    def remove(self, right_id: int) -> None: ...
    def page(self, page: Page) -> list[Right]: ...

    def tenants(self, client: str, service: Service) -> Collection[int | None]:
        """Those of the client's rights to the service; nothing if it has none."""
        ...


def client_id(text: str, field: str = "client") -> str:
    """A client id in its one spelling. Raises Invalid for all that is no client id, wildcards too."""
    parts = text.split("/")
    if len(text) > 4 * 3 * _LONGEST or len(parts) not in {3, 4}:
        raise Invalid(f"{text[:80]!r} is no X-Road client id", field, fix=_FIX)
    return "/".join(quote(_part(part, field), safe="") for part in parts)


def _part(part: str, field: str) -> str:
    if not _PART.fullmatch(part):
        raise Invalid(f"{part[:80]!r} is no part of an X-Road client id", field, fix=_FIX)
    data = unquote_to_bytes(part)
    try:
        decoded = data.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"{part[:80]!r} is no UTF-8 when it is decoded", field, fix="percent-encode UTF-8") from error
    if len(data) > _LONGEST or _NEVER.search(decoded) or decoded in {".", "..", "*"}:
        raise Invalid(f"{part[:80]!r} holds what no X-Road identifier may hold", field, fix=_FIX)
    if unicodedata.normalize("NFC", decoded) != decoded:
        raise Invalid(f"{part[:80]!r} is not in Unicode's composed form", field, fix="write it in the form NFC")
    return decoded
