"""The cookies of the pages. None can be read by scripts, sent by other sites' forms, or outlive its use.

Over TLS their names begin with ``__Host-``: browsers keep these only if they come over TLS from this host itself, so that
no neighbour plants one. Without TLS, on a machine's own loopback, not all browsers would keep them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.http.credentials import PLAIN_COOKIE, SAFE_COOKIE
from domain.errors import Unavailable
from lifecycle.ports import Vault

_LONGEST = 3_000


@dataclass(slots=True)
class Cookies:
    """The cookies of one request, and those that its answer sets (None: takes away). Names are without ``__Host-``."""

    request: Request
    vault: Vault
    secure: bool
    changed: dict[str, tuple[str | None, int | None]] = field(default_factory=dict)

    def _full(self, name: str) -> str:
        base = SAFE_COOKIE if self.secure else PLAIN_COOKIE
        return f"{base}-{name}" if name else base

    def get(self, name: str) -> str | None:
        """The value, if there is one; ``""`` names the session."""
        value = self.request.cookies.get(self._full(name))
        return value if value and len(value) <= _LONGEST and value.isascii() else None

    def named(self, prefix: str) -> list[str]:
        """The names of all that begin so."""
        full = self._full("")
        return [name[len(full) + 1 :] for name in self.request.cookies if name.startswith(f"{full}-{prefix}")]

    def set(self, name: str, value: str, lasts_s: int | None = None) -> None:
        """Without ``lasts_s`` it ends with the browser."""
        self.changed[name] = (value, lasts_s)

    def drop(self, name: str) -> None:
        if self.get(name) is not None:
            self.changed[name] = (None, 0)

    def seal(self, purpose: str, told: Mapping[str, Any]) -> str:
        """A text that only the centre can write and read, for one purpose."""
        return self.vault.seal(json.dumps({**told, "for": purpose})).decode().rstrip("=")

    def open(self, purpose: str, text: str | None) -> dict[str, Any] | None:
        """What was sealed for the purpose; None for anything else."""
        if text is None:
            return None
        try:
            found = json.loads(self.vault.open((text + "=" * (-len(text) % 4)).encode()))
        except (Unavailable, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("for") == purpose else None

    def apply(self, response: Response) -> None:
        for name, (value, lasts_s) in self.changed.items():
            response.set_cookie(
                self._full(name),
                value or "",
                max_age=lasts_s,
                path="/",
                secure=self.secure,
                httponly=True,
                samesite="lax",
            )
